"""Bringing exports into a workspace.

    messages/NAME-HASH.parquet    the messages of one file
    messages/NAME-HASH.json       what it was, and what became of all that was in it; a
                                  file counts as imported once this is written

The messages of a file flow through in batches, so memory stays flat whatever its size.
Importing again adds what is new: a file of the same content is not read twice, and
messages that are there already are not stored twice.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from myna import people as people_
from myna import workspace as workspace_
from myna.errors import SourceError
from myna.messages import KEY, SCHEMA
from myna.sources import ChatFile, Recognition, Tally, recognise, source
from myna.workspace import Workspace


@dataclass
class Imported:
    """What became of one file. `trouble` is a line for the user, or nothing."""

    file: str
    source: str | None = None
    confidence: float = 0.0
    messages: int = 0
    stored: int = 0
    known: int = 0
    skipped: dict[str, int] | None = None
    unread_bytes: int = 0
    notes: list[str] | None = None
    trouble: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def files(paths: list[Path]) -> Iterator[ChatFile]:
    """The files that paths name, folders searched through; hidden ones left out.

    Raises:
        SourceError: a path is not there.
    """
    for path in paths:
        if path.is_dir():
            for folder, subfolders, names in os.walk(path):
                subfolders[:] = sorted(d for d in subfolders if not d.startswith("."))
                yield from (
                    ChatFile(Path(folder, name)) for name in sorted(names) if name[0] != "."
                )
        elif path.exists():
            yield ChatFile(path)
        else:
            raise SourceError(f"{path} is not there: check the path")


def import_file(
    workspace: Workspace,
    file: ChatFile,
    *,
    consent: people_.Consent,
    as_source: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Imported:
    """Read a file and store what is new of it; new people are added to people.toml.

    `progress` hears the bytes done and the bytes of the file. Damage within the file is
    told in the result; all complete messages are stored.

    Raises:
        SourceError: the file cannot be opened, or `as_source` is no source.
        WorkspaceError: the disk is full; nothing of this file is stored then.
    """
    done = Imported(file.place)
    if not file.size:
        done.trouble = f"{file.place}: the file is empty: export it again"
        return done
    found = Recognition(as_source, 1.0, "said by --as") if as_source else recognise(file)
    if found is None:
        done.trouble = f"{file.place}: no chat that myna knows: see `myna import --help`"
        return done
    done.source, done.confidence = found.source, found.confidence
    reader = source(found.source)
    digest = _digest(file)
    slug = re.sub(r"[^\w.-]+", "-", file.path.stem).strip("-.")[:40] or "chat"
    target = workspace.messages / f"{slug}-{digest[:10]}.parquet"
    record = target.with_suffix(".json")
    if record.exists() and target.exists():
        before = workspace_.read_json(record)["counts"]
        done.messages = done.known = before["messages"]
        with workspace_.clear_disk_errors(workspace.people_file):
            _meet(workspace, people_.accounts(pl.read_parquet(target)), consent)
        return done

    tally, batches, seen = Tally(), _Batches(workspace), list[pl.DataFrame]()

    def flow() -> Iterator[pl.DataFrame]:
        for frame in reader.read(file, tally):
            progress(min(tally.bytes_done, file.size), file.size)
            seen.append(people_.accounts(frame))
            yield batches.new(frame)

    with workspace_.clear_disk_errors(target), _hidden(target) as written:
        _store(flow(), written)
        if seen:
            _meet(workspace, people_.newest(pl.concat(seen)), consent)
        if batches.stored:
            written.replace(target)
            workspace_.write_json(
                record,
                {
                    "file": file.name,
                    "imported_at": datetime.now(UTC).isoformat(timespec="microseconds"),
                    "sha256": digest,
                    "source": found.source,
                    "because": found.because,
                    "counts": {"messages": batches.read, "stored": batches.stored},
                    "tally": {k: v for k, v in asdict(tally).items() if k != "bytes_done"},
                },
            )
    done.messages, done.stored = batches.read, batches.stored
    done.known = batches.read - batches.stored
    done.skipped, done.notes = tally.skipped, tally.notes
    done.unread_bytes = tally.unread_bytes
    done.trouble = _trouble(file, tally, batches.read)
    return done


def _meet(workspace: Workspace, found: pl.DataFrame, consent: people_.Consent) -> None:
    """Add those accounts to people.toml that nobody has yet."""
    before = people_.load(workspace.people_file)
    after = people_.add(before, found, consent)
    if after != before:
        people_.save(workspace.people_file, after)


class _Batches:
    """Lets through the messages that the workspace does not have yet."""

    def __init__(self, workspace: Workspace) -> None:
        stored = workspace.message_files()
        self.read = self.stored = 0
        self._known = (
            pl.scan_parquet(stored).select(known=_mark()).unique().collect() if stored else None
        )

    def new(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of `frame` that are new, or whose text has been edited since."""
        self.read += frame.height
        if self._known is not None:
            frame = frame.with_columns(known=_mark()).join(self._known, on="known", how="anti")
            frame = frame.select(list(SCHEMA))
        self.stored += frame.height
        return frame


def _mark() -> pl.Expr:
    return pl.struct(*KEY, "text").hash()


@contextmanager
def _hidden(target: Path) -> Iterator[Path]:
    """A name beside `target` to write under; gone afterwards unless it was renamed."""
    target.parent.mkdir(mode=0o700, exist_ok=True)
    hidden = target.with_name(f".{target.name}.new")
    try:
        yield hidden
    finally:
        hidden.unlink(missing_ok=True)


def _store(frames: Iterator[pl.DataFrame], target: Path) -> None:
    """Write frames to a file, one after the other."""

    def pull(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        for frame in frames:
            yield frame if columns is None else frame.select(columns)

    register_io_source(pull, schema=SCHEMA).sink_parquet(target, maintain_order=True)


def _digest(file: ChatFile) -> str:
    digest = hashlib.sha256()
    with file.open() as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _trouble(file: ChatFile, tally: Tally, messages: int) -> str | None:
    if tally.unread_bytes:
        return (
            f"{file.place}: {tally.unread_bytes:,} bytes from byte {tally.unread_from:,} on "
            f"could not be read; the {messages:,} complete messages are kept: "
            "export it again and import that to get the rest"
        )
    if not messages:
        why = "; ".join([*tally.notes, *(f"{n} × {r}" for r, n in tally.skipped.items())])
        return f"{file.place}: no messages in it{f' ({why})' if why else ''}: export it again"
    return None
