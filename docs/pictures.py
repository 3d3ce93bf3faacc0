"""Draw the README's pictures from the demo's workspace: docs/ledger.svg and docs/talk.svg.

python docs/pictures.py [apollo-11]
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from myna.cli import demo, prepare
from myna.cli._terminal import person_colours
from myna.people import CLONE_MARK
from myna.workspace import Workspace

FOLDER = Path(__file__).parent
WIDTH = 92


def write(console: Console, name: str, title: str) -> None:
    """Save the recorded output as SVG that loads no fonts from elsewhere."""
    svg = console.export_svg(title=title)
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    (FOLDER / name).write_text(svg, "utf-8")


def recorder() -> Console:
    """A console that only records."""
    return Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)


def main(folder: Path) -> None:
    """Draw both pictures."""
    workspace = Workspace(folder.resolve())
    console = recorder()
    prepare.print_ledger(prepare.read_ledger(workspace), console)
    write(console, "ledger.svg", "myna prepare")

    console = recorder()
    talk = demo.talk(workspace, quiet=True)
    people = sorted({line["person"] for lines in talk.values() for line in lines})
    colours = person_colours(people)
    headings = {
        "said": "What was said:",
        "clones": "What the clones say next:",
        "really": "What was really said next:",
    }
    for key, heading in headings.items():
        console.print(heading, style="dim")
        for line in talk[key]:
            mark = CLONE_MARK if key == "clones" else ""
            person = Text(f"{line['person']}{mark}: ", style=f"bold {colours[line['person']]}")
            console.print(person.append(line["text"], style="not bold white"))
    write(console, "talk.svg", "myna demo")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "apollo-11"))
