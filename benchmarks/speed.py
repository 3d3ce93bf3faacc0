"""The speed of all that is not a model, in one table: processor time, and ratios to a limit.

python benchmarks/speed.py [--scale 0.2] [--workspace FOLDER] [--peers PYTHON] [NAME…]

Processor time (user and system, of a command and all processes that it starts) changes far
less than a clock's on a machine that does other work as well. Each row has a limit, measured
in the same run: what a plain decoder in C takes for the same bytes, or the bare start of
Python. `--workspace` adds the first token of `myna chat` there (`apollo-11` of `make demo`);
`--peers` the parsers of other tools, installed for that Python (`pip install chat-miner
whatstk lxml selectolax`). `--scale 1` is
the whole amount of each row; the default takes a fifth of it, and a few minutes.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import exports
import exports_discord
import exports_form
import importing
from myna.sources import ChatFile

FILES, MESSAGES = 7_099, 704_597
"""A server of many channels: files, and messages in all of them."""
MEMBERS = 20_000
"""Files in a zip archive."""


class Row(NamedTuple):
    """A row of the table; `limit` are the processor seconds of what it is compared with."""

    what: str
    amount: int
    unit: str
    seconds: float
    limit: float
    limit_name: str
    clock: float

    def cells(self) -> list[str]:
        """The cells of the row."""
        return [
            self.what,
            f"{self.amount:,} {self.unit}" if self.amount > 1 else "",
            f"{self.seconds:.2f} s",
            f"{self.clock:.2f} s",
            f"{self.amount / self.seconds:,.0f}/s" if self.amount > 1 else "",
            f"{self.seconds / self.limit:.1f} × {self.limit_name}" if self.limit else "",
        ]


COLUMNS = ("what", "amount", "processor", "clock", "rate", "ratio")


def used(command: list[str], *, text: str = "") -> tuple[float, float]:
    """Seconds of processor time and by the clock of a command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, clock


def myna(folder: Path, *arguments: str) -> tuple[float, float]:
    """Seconds of a myna command in a workspace."""
    return used([sys.executable, "-m", "myna", "-C", str(folder), *arguments])


def new_workspace(folder: Path) -> Path:
    """A new workspace in a folder."""
    used([sys.executable, "-m", "myna", "new", str(folder / "w")])
    return folder / "w"


def spent(work: Callable[[], object]) -> float:
    """Seconds of processor time of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def many_files(folder: Path, form: str, files: int, messages: int) -> int:
    """Write channels of very different sizes, a file each; return the number of messages."""
    make = {"csv": exports_discord.csv, "txt": exports_discord.text, "json": exports_discord.small}
    rng = random.Random(0)
    weights = [rng.lognormvariate(0, 1.3) for _ in range(files)]
    written = 0
    for number, weight in enumerate(weights):
        count = max(1, round(weight / sum(weights) * messages))
        written += count

        def channel(rng: random.Random, number: int = number) -> exports_form.Export:
            name = f"Generated - Rooms {number % 40} - channel-{number} [{7 * 10**17 + number}]"
            return make[form](rng)._replace(file=f"{name}.{form}")

        exports_form.write(channel, folder / f"server {number % 7}", count, 0, number)
    return written


def _rows(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as lines:
        deque(csv.reader(lines), maxlen=0)


def many(scale: float, folder: Path) -> list[Row]:
    """Thousands of small files: their import, and preparing all of them."""
    rows = []
    exports_form.POOL = 100
    for form, decode, limit in (("csv", _rows, "csv.reader"), ("txt", importing._lines, "lines")):
        export = folder / form
        count = many_files(export, form, round(FILES * scale), round(MESSAGES * scale))
        files = sorted(export.rglob("*.*"))
        bare = spent(lambda d=decode, f=files: deque(map(d, f), maxlen=0))
        workspace = new_workspace(folder / f"of {form}")
        for name, command in (
            ("import", ("import", str(export), "--consent", "clone", "--json")),
            ("prepare", ("prepare", "--json")),
        ):
            taken, clock = myna(workspace, *command)
            what = f"{name}: {len(files):,} {form.upper()} files"
            rows.append(Row(what, count, "messages", taken, bare, limit, clock))
    return rows


def archive(scale: float, folder: Path) -> list[Row]:
    """A zip archive with many members."""
    members = round(MEMBERS * scale)
    count = many_files(folder / "json", "json", members, members * 5)
    with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((folder / "json").rglob("*.json")):
            archive.write(path, path.relative_to(folder))

    def unpack() -> None:
        with zipfile.ZipFile(folder / "all.zip") as archive:
            for name in archive.namelist():
                archive.read(name)

    bare = spent(unpack)
    workspace = new_workspace(folder)
    taken, clock = myna(workspace, "import", str(folder / "all.zip"), "--consent", "clone")
    what = f"import: a zip of {members:,} files"
    return [Row(what, count, "messages", taken, bare, "unpacking", clock)]


def one_export(name: str, messages: int, limit: str) -> Callable[[float, Path], list[Row]]:
    """The import of one large export."""

    def measure(scale: float, folder: Path) -> list[Row]:
        export = folder / "export"
        exports_form.POOL = 2_000
        count = exports.EXPORTS[name](export, round(messages * scale), 0, 0)
        form = importing.FORMATS[name]
        files = sorted(path for path in export.rglob("*") if path.is_file())
        bare = spent(lambda: deque(map(form.decode, files), maxlen=0))
        workspace = new_workspace(folder)
        taken, clock = myna(workspace, "import", str(export), "--consent", "clone")
        size = sum(path.stat().st_size for path in files)
        what = f"import: {name}, {size / count:,.0f} bytes a message"
        return [Row(what, count, "messages", taken, bare, limit, clock)]

    return measure


def prepare(scale: float, folder: Path) -> list[Row]:
    """Preparing one large chat, every rule and redaction on."""
    exports_form.POOL = 2_000
    count = exports.EXPORTS["discord-small"](folder / "export", round(300_000 * scale), 0, 0)
    workspace = new_workspace(folder)
    imported, _ = myna(workspace, "import", str(folder / "export"), "--consent", "clone")
    taken, clock = myna(workspace, "prepare", "--json")
    return [Row("prepare: one chat", count, "messages", taken, imported, "its import", clock)]


def start(scale: float, folder: Path) -> list[Row]:
    """Whole commands on a small chat."""
    del scale
    exports.EXPORTS["discord-small"](folder / "export", 1_000, 0, 0)
    workspace = new_workspace(folder)
    python = used([sys.executable, "-c", "pass"])[0]
    commands = {
        "start: myna --help": ("--help",),
        "start: import, 1,000 messages": ("import", str(folder / "export"), "--consent", "clone"),
        "start: prepare, 1,000 messages": ("prepare", "--json"),
        "start: myna status": ("status",),
    }
    rows = []
    for what, command in commands.items():
        taken, clock = myna(workspace, *command)
        rows.append(Row(what, 1, "", taken, python, "python -c pass", clock))
    return rows


def chat(workspace: Path) -> list[Row]:
    """The first reply of `myna chat`: after other files were read, and once more."""
    python = used([sys.executable, "-c", "pass"])[0]
    command = [sys.executable, "-m", "myna", "-C", str(workspace), "chat"]
    rows = []
    for what in ("first", "again"):
        taken, clock = used(command, text="hi\n")
        name = f"start: myna chat, one reply, {what}"
        rows.append(Row(name, 1, "", taken, python, "python -c pass", clock))
    return rows


_PEER = """
import sys, time, json
kind, path = sys.argv[1:]
text = open(path, encoding="utf-8").read()
if kind == "whatstk":
    from whatstk import df_from_whatsapp
    work = lambda: df_from_whatsapp(path)
elif kind == "chat-miner":
    from chatminer.chatparsers import WhatsAppParser
    def work():
        parser = WhatsAppParser(path)
        parser.parse_file()
        return parser.parsed_messages.get_df()
elif kind == "lxml":
    from lxml import etree
    work = lambda: etree.HTML(text)
elif kind == "selectolax":
    from selectolax.lexbor import LexborHTMLParser
    work = lambda: LexborHTMLParser(text)
began = time.process_time()
found = work()
print(json.dumps([time.process_time() - began, len(found) if hasattr(found, "columns") else 0]))
"""


def peers(python: str, scale: float, folder: Path) -> list[Row]:
    """The parsers of other tools, beside our readers of the same file in the same run."""
    rows = []
    for name, kinds in (
        ("whatsapp", ("whatstk", "chat-miner")),
        ("discord_chat_exporter_html", ("lxml", "selectolax")),
    ):
        exports_form.POOL = 2_000
        count = exports.EXPORTS[name](folder / name, round(20_000 * scale), 0, 0)
        [file] = [path for path in (folder / name).rglob("*") if path.is_file()]
        source = importing.FORMATS[name].source
        ours = spent(partial(importing.reading, source, [ChatFile(file)], folder, count))
        for kind in kinds:
            done = subprocess.run(
                [python, "-c", _PEER, kind, str(file)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(f"{kind}: {done.stderr.strip()[-200:]}", file=sys.stderr)
                continue
            taken, _found = json.loads(done.stdout.splitlines()[-1])
            what = f"peer: {kind}, {source}"
            rows.append(Row(what, count, "messages", taken, ours, "our reader", taken))
    return rows


MEASURES: dict[str, Callable[[float, Path], list[Row]]] = {
    "start": start,
    "many": many,
    "zip": archive,
    "html": one_export("discord_chat_exporter_html", 60_000, "lines"),
    "json": one_export("discord-small", 600_000, "msgspec"),
    "json-long": one_export("discord-large", 60_000, "msgspec"),
    "telegram": one_export("telegram", 300_000, "msgspec"),
    "whatsapp": one_export("whatsapp", 300_000, "lines"),
    "prepare": prepare,
}


def table(rows: list[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = [COLUMNS, ("---", *["---:"] * 5), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure what is named, or all, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASURES))
    parser.add_argument("--scale", type=float, default=0.2)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    wanted = parser.parse_args()
    if unknown := set(wanted.names) - set(MEASURES):
        sys.exit(f"nothing is called {min(unknown)}: there are {', '.join(MEASURES)}")
    rows: list[Row] = []
    for name, measure in MEASURES.items():
        if not wanted.names or name in wanted.names:
            with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
                rows += measure(wanted.scale, Path(folder))
            print(f"{name}: measured", file=sys.stderr, flush=True)
    if wanted.workspace:
        rows += chat(wanted.workspace)
    if wanted.peers:
        with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
            rows += peers(wanted.peers, wanted.scale, Path(folder))
    print(table(rows))


if __name__ == "__main__":
    main()
