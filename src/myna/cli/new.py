"""`myna new`: create a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myna.cli._terminal import note

NAME = "new"


def command(
    folder: Annotated[Path, typer.Argument(help="The folder to create.")],
    base: Annotated[str | None, typer.Option(help="The base model: `base` in myna.toml.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="The settings for a machine: `recipe` in myna.toml.")
    ] = None,
) -> None:
    """Create a workspace: a private folder with a myna.toml."""
    from myna.config import Settings, override
    from myna.workspace import create

    chosen = {"base": base, "recipe": recipe}
    settings = override(Settings(), [f"{key}={value}" for key, value in chosen.items() if value])
    create(folder, settings)
    note(f"{folder} is ready. Next: cd {folder} && myna import PATH")
