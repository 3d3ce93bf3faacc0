"""`myna new`: a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myna.cli._terminal import say

NAME = "new"


def command(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    base: Annotated[str, typer.Option(help="The base model, as in myna.toml.")] = "smollm2-135m",
) -> None:
    """Make a workspace: a private folder with a myna.toml."""
    from myna import workspace
    from myna.config import Settings

    workspace.create(folder, Settings(base=base))
    say(f"{folder} is ready. Next: cd {folder} && myna import PATH")
