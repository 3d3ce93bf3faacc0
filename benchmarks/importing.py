"""The speed of imports, beside that of decoding alone.

python benchmarks/importing.py [--messages N | --bytes N] [FORMAT | SOURCE…] [--runs 3] [--table]
python benchmarks/importing.py discord-large --bytes 5000000000 --folder /on/disk

Generated exports (benchmarks/exports.py), all by default. For each, in turns:

- decoding: msgspec decodes what the reader reads of a JSON document, or each line of JSON;
  Python's csv module reads a table's rows, SQLite selects them; of other texts the lines
  are read. On one core, and nothing is made of it.
- reading: the reader's own work in this process (and those that it starts), to tables.
- import: `myna import` in a process of its own, from its start until all is stored.

Medians. Peak memory is that of all processes of an import together. It is checked that
every message generated was read, and stored.
"""

from __future__ import annotations

import argparse
import csv
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import exports
from myna import sources
from myna.importing.discover import discover_chats
from myna.sources import (
    ChatFile,
    Tally,
    chatlab,
    discord_chat_exporter,
    discord_package,
    element,
    google_chat,
    messenger,
    slack,
)
from myna.sources._shared import json_objects, json_stream, telegram_messages

Decode = Callable[[Path], object]


def _items(shape: json_stream.ListPattern, decoder: msgspec.json.Decoder[Any], path: Path) -> None:
    """The items of a document's list, in flat memory."""
    with path.open("rb") as stream, json_objects.without_gc():
        for piece in json_stream.pieces(stream, shape):
            if piece.kind == "items":
                decoder.decode(b"[%b]" % piece.data)


def _list(decoder: msgspec.json.Decoder[Any], path: Path) -> None:
    """A document that is a list."""
    with json_objects.without_gc():
        decoder.decode(path.read_bytes())


def _objects(path: Path) -> None:
    """An object a line; sigtop's have a comma behind them, and brackets around all."""
    decoder = msgspec.json.Decoder()
    with path.open("rb") as lines:
        for line in lines:
            if data := line.strip(b"[], \n"):
                decoder.decode(data)


def _lines(path: Path) -> None:
    with path.open(encoding="utf-8") as lines:
        deque(lines, maxlen=0)


def _rows(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as text:
        deque(csv.reader(text), maxlen=0)


def _select(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        deque(database.execute("SELECT * FROM message"), maxlen=0)


_discord = partial(_items, discord_chat_exporter._SHAPE, discord_chat_exporter._MESSAGES)

_telegram = partial(_items, telegram_messages.MESSAGE_LIST, telegram_messages.MESSAGES_DECODER)
_BULKY = 60_000_000
"""Bytes of an export with much around each text, or with a fast reader."""


class Format(NamedTuple):
    """A format to measure: its source and variant, its decoder, and the default amount."""

    source: str
    variant: str
    decode: Decode
    messages: int = 0
    size: int = 20_000_000


FORMATS = {
    "discord-small": Format("discord_chat_exporter", "short messages", _discord, 1_000_000),
    "discord-large": Format("discord_chat_exporter", "long messages", _discord, 300_000),
    "discord_chat_exporter_csv": Format("discord_chat_exporter_csv", "", _rows),
    "discord_chat_exporter_html": Format("discord_chat_exporter_html", "", _lines),
    "discord_chat_exporter_text": Format("discord_chat_exporter_text", "", _lines),
    "discord_package": Format(
        "discord_package", "", partial(_list, discord_package._MESSAGES), size=_BULKY
    ),
    "telegram": Format("telegram", "", _telegram, 1_000_000),
    "whatsapp": Format("whatsapp", "", _lines, 1_000_000),
    "signal_export": Format("signal_export", "data.json", _objects),
    "signal_export-markdown": Format("signal_export", "chat.md", _lines),
    "signalbackup_tools": Format("signalbackup_tools", "text", _lines),
    "signalbackup_tools-csv": Format("signalbackup_tools", "CSV", _rows),
    "sigtop": Format("sigtop", "text", _lines),
    "sigtop-json": Format("sigtop", "JSON", _objects),
    "imessage_database": Format("imessage_database", "", _select, size=_BULKY),
    "imessage_exporter": Format("imessage_exporter", "", _lines),
    "messenger": Format(
        "messenger", "", partial(_items, messenger._SHAPE, messenger._MESSAGES), size=_BULKY
    ),
    "slack": Format("slack", "", partial(_list, slack._ITEMS), size=_BULKY),
    "irc": Format("irc", "irssi", _lines),
    "element": Format("element", "", partial(_items, element._SHAPE, element._EVENTS), size=_BULKY),
    "google_chat": Format(
        "google_chat", "", partial(_items, google_chat._SHAPE, google_chat._MESSAGES), size=_BULKY
    ),
    "chatlab": Format(
        "chatlab", "JSON", partial(_items, chatlab._SHAPE, chatlab._MESSAGES), size=_BULKY
    ),
    "chatlab-lines": Format("chatlab", "JSON lines", _objects, size=_BULKY),
    "csv_table": Format("csv_table", "", _rows),
    "json_lines": Format("json_lines", "", _objects, 1_000_000),
    "journal": Format("journal", "Markdown", _lines),
}


class Result(NamedTuple):
    """The measurements of a format; seconds are medians."""

    format: str
    messages: int
    bytes: int
    decoding: float
    reading: float
    importing: float
    peak_MB: int  # noqa: N815 (megabytes)

    def to_json(self) -> dict[str, str | int | float]:
        """The measurements with rates, as JSON."""
        rates = {}
        for what in ("decoding", "reading", "importing"):
            seconds = getattr(self, what)
            rates[f"{what}_messages_s"] = round(self.messages / seconds)
            rates[f"{what}_MB_s"] = round(self.bytes / seconds / 1e6, 1)
        return {**self._asdict(), **rates}

    def to_row(self) -> list[str]:
        """The cells of its row of the table."""
        source, variant, *_ = FORMATS[self.format]
        title = sources.load_source(source).TITLE + (f": {variant}" if variant else "")
        rates = [self._rate(taken) for taken in (self.decoding, self.reading, self.importing)]
        return [title, f"{self.bytes / self.messages:,.0f}", *rates, f"{self.peak_MB:,} MB"]

    def _rate(self, seconds: float) -> str:
        size = self.bytes / seconds / 1e6
        return f"{self.messages / seconds:,.0f} ({size:,.{size < 10:d}f} MB/s)"


COLUMNS = ("format", "bytes each", "decoding alone", "reading", "whole import", "peak memory")


def table(results: list[Result]) -> str:
    """The results as a table in Markdown."""
    rows = [list(COLUMNS), ["---", *["---:"] * 5], *(result.to_row() for result in results)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def decoding(decode: Decode, files: list[ChatFile]) -> float:
    """Seconds to decode the files, and do nothing with it."""
    begun = time.perf_counter()
    for file in files:
        decode(file.path)
    return time.perf_counter() - begun


def reading(source: str, files: list[ChatFile], folder: Path, count: int) -> float:
    """Seconds to read the files to tables; of those made in other processes, to their files."""
    read = sources.load_source(source).read
    found, tallies = 0, [Tally() for _ in files]
    with tempfile.TemporaryDirectory(dir=folder) as tables:
        begun = time.perf_counter()
        for file, tally in zip(files, tallies, strict=True):
            for frame in read(replace(file, spool_dir=Path(tables)), tally):
                found += frame.height
        taken = time.perf_counter() - begun
    lost = [tally for tally in tallies if tally.skipped or tally.unread_bytes]
    if found != count or lost:
        sys.exit(f"{source}: {found:,} of {count:,} messages read {lost[:1]}")
    return taken


def importing(export: Path, folder: Path, count: int) -> tuple[float, float]:
    """Seconds of a whole import into a new workspace, and the peak memory in MB."""
    myna = str(Path(sys.executable).with_name("myna"))
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        subprocess.run([myna, "new", f"{inner}/w"], check=True, capture_output=True)
        command = [myna, "-C", f"{inner}/w", "import", str(export), "--consent", "clone", "--json"]
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        peak = [0.0]
        watch = threading.Thread(target=_watch, args=(process, peak), daemon=True)
        watch.start()
        told, said = process.communicate()
        taken = time.perf_counter() - begun
        watch.join()
    if process.returncode:
        sys.exit(said.decode())
    if (stored := json.loads(told)["stored"]) != count:
        sys.exit(f"{export}: {stored:,} of {count:,} messages stored\n{said.decode()}")
    return taken, peak[0]


def _watch(process: subprocess.Popen[bytes], peak: list[float]) -> None:
    """Note the most memory (proportional set size, MB) of a process and those it starts."""
    while process.poll() is None:
        tree, total = [process.pid], 0.0
        while tree:
            pid = tree.pop()
            try:
                total += _memory(pid)
                for task in Path(f"/proc/{pid}/task").iterdir():
                    tree += map(int, (task / "children").read_text().split())
            except (OSError, ValueError):
                continue  # it has ended meanwhile
        peak[0] = max(peak[0], total)
        time.sleep(0.05)


def _memory(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


def measure(name: str, folder: Path, messages: int, size: int, runs: int) -> Result:
    """Generate an export; the medians of all three, in turns."""
    form, export = FORMATS[name], folder / "export"
    count = exports.EXPORTS[name](export, messages, size, 0)
    found = discover_chats([export])
    strange = {recognised.source for _, recognised in found.chats} - {form.source}
    if strange or found.problems or found.others:
        sys.exit(f"{name}: not recognised: {strange} {found.problems} {dict(found.others)}")
    files = [file for file, _ in found.chats]
    decoded, read, whole = [], [], []
    for _ in range(runs):
        decoded.append(decoding(form.decode, files))
        read.append(reading(form.source, files, folder, count))
        whole.append(importing(export, folder, count))
    return Result(
        format=name,
        messages=count,
        bytes=sum(file.size for file in files),
        decoding=statistics.median(decoded),
        reading=statistics.median(read),
        importing=statistics.median(taken for taken, _ in whole),
        peak_MB=round(max(peak for _, peak in whole)),
    )


def is_in_memory(folder: Path) -> bool:
    """True if a folder is on a file system in memory, which would distort the peak."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    around = [(len(place), kind) for place, kind in mounts if folder.is_relative_to(place)]
    return max(around, default=(0, ""))[1] in ("tmpfs", "ramfs")


def chosen(names: list[str]) -> list[str]:
    """The formats of these names, each a format's or a source's; all if there are none."""
    for name in names:
        if name not in FORMATS and name not in {form.source for form in FORMATS.values()}:
            sys.exit(f"no format is called {name}: there are {', '.join(FORMATS)}")
    return [name for name, form in FORMATS.items() if not names or {name, form.source} & set(names)]


def main() -> None:
    """Print one JSON line for each format, or a table of all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="a table in Markdown at the end")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="for the files; on disk"
    )
    wanted = parser.parse_args()
    names, results = chosen(wanted.names), []
    wanted.folder.mkdir(parents=True, exist_ok=True)
    if is_in_memory(wanted.folder.resolve()):
        sys.exit(f"{wanted.folder} is in memory: give a folder on disk with --folder")
    for name in names:
        form = FORMATS[name]
        messages = wanted.messages or (0 if wanted.bytes else form.messages)
        size = wanted.bytes or (0 if messages else form.size)
        with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
            results.append(measure(name, Path(folder), messages, size, wanted.runs))
        line = json.dumps(results[-1].to_json())
        print(line, file=sys.stderr if wanted.table else sys.stdout, flush=True)
    if wanted.table:
        print(table(results))


if __name__ == "__main__":
    main()
