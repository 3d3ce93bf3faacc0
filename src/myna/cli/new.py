"""`myna new`: a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myna.cli._terminal import say

NAME = "new"


def command(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    base: Annotated[str | None, typer.Option(help="The base model, as in myna.toml.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="The machine to train on, as in myna.toml.")
    ] = None,
) -> None:
    """Make a workspace: a private folder with a myna.toml."""
    from myna import workspace
    from myna.config import Settings, override

    wanted = {"base": base, "recipe": recipe}
    settings = override(Settings(), [f"{key}={value}" for key, value in wanted.items() if value])
    workspace.create(folder, settings)
    say(f"{folder} is ready. Next: cd {folder} && myna import PATH")
