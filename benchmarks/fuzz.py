"""Fuzz the sources with damaged exports: no other error than SourceError may be raised.

python benchmarks/fuzz.py [SOURCE…] [--minutes 10] [--seed 7]

Each source reads its own fixtures (tests/sources/fixtures) with pieces lost, doubled, moved or
foreign, `minutes` for each, with a new seed each time unless one is given. Files that fail are
kept in build/fuzz/, with the error; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl

from myna import messages, sources
from myna.errors import SourceError
from myna.sources import ChatFile, Tally

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "tests" / "sources" / "fixtures"
FAILURES = ROOT / "build" / "fuzz"
SLOW_SECONDS = 5.0
"""Seconds after which reading a small file counts as a failure."""

FOREIGN = [
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"\r", b"\r\n", b'"', b"'", b"\\", b"/"),
    *(b"{", b"}", b"[", b"]", b",", b":", b";", b"\t", b"<", b">", b"</div>", b"<div>", b"&#0;"),
    *(b"null", b"true", b"-1", b"0", b"1e999", b"9" * 30, b"[" * 2000, b'{"a":' * 2000, b"\\x0B"),
    *(b"\\ud800", b"0000-00-00", b"9999-12-31T23:59:59Z", b"[]", b"{}", b'""', b"%s", b"@" * 50),
    *("\u200e\u202f\u2028🎉".encode(), "日本".encode(), "é".encode("latin-1"), b" " * 3000),
]


@dataclass(frozen=True)
class DamagedFile(ChatFile):
    """A file whose bytes are in memory; its neighbours are those of `path`."""

    data: bytes = b""

    @property
    def local_path(self) -> None:
        """It has no file of its own on disk."""

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    @property
    def head(self) -> bytes:
        """The first bytes."""
        return self.data[: 64 * 1024]

    def open(self) -> BinaryIO:
        """As a stream."""
        return io.BytesIO(self.data)


def damage(data: bytes, rng: random.Random) -> bytes:
    """Damage bytes as files get damaged, one to six times."""
    for _ in range(rng.randint(1, 6)):
        at, length = rng.randrange(len(data) + 1), min(1000, int(rng.expovariate(0.05)))
        piece = data[(start := rng.randrange(len(data) + 1)) : start + length]
        choices = (b"", piece, piece[::-1], rng.choice(FOREIGN), rng.randbytes(rng.randint(1, 8)))
        data = data[:at] + rng.choice(choices) + data[at + rng.choice((0, 0, 1, length)) :]
    if rng.random() < 0.02:
        data = data.decode("utf-8", "replace").encode(
            rng.choice(["utf-16", "cp1252", "utf-8-sig"]), "replace"
        )
    return data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data


def failure(name: str, file: DamagedFile) -> str:
    """The failure of reading a file; "" if there is none."""
    started = time.process_time()  # other programs may use the cores
    tally = Tally()
    try:
        sources.recognise(file)
        frames = list(sources.load_source(name).read(file, tally))
        for frame in frames:
            frame.to_dicts()
            if frame.schema != pl.Schema(messages.SCHEMA):
                return "another schema"
    except SourceError as error:
        return "an error of several lines" if "\n" in str(error) else ""
    except Exception:
        return traceback.format_exc()
    if sum(frame.height for frame in frames) != tally.read:
        return "the tally does not count what was read"
    seconds = time.process_time() - started
    return f"slow: {seconds:.1f} s" if seconds > SLOW_SECONDS else ""


def fuzz(name: str, seconds: float, rng: random.Random) -> int:
    """Damage and read a source's fixtures; return the number of failures."""
    paths = [path for path in sorted((FIXTURES / name).rglob("*")) if path.is_file()]
    end = time.monotonic() + seconds
    count = failed = 0
    while time.monotonic() < end:
        path = rng.choice(paths)
        file = DamagedFile(path, damage(path.read_bytes(), rng))
        count += 1
        if error := failure(name, file):
            failed += 1
            FAILURES.mkdir(parents=True, exist_ok=True)
            kept = FAILURES / f"{name}-{failed}{path.suffix}"
            kept.write_bytes(file.data)
            kept.with_suffix(".error").write_text(error)
            print(f"{name}: {error.strip().splitlines()[-1]} ({kept})", flush=True)
    print(f"{name}: {count:,} files, {failed} failures", flush=True)
    return failed


def main() -> int:
    """Fuzz every source, or those named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    rng = random.Random(arguments.seed)
    failed = [fuzz(n, arguments.minutes * 60, rng) for n in arguments.names or sources.names()]
    return min(1, sum(failed))


if __name__ == "__main__":
    sys.exit(main())
