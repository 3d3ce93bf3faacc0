"""Import chat exports into a workspace.

    messages/NAME-HASH/             one file, or several small ones
      0000000.parquet, …            their messages, in order; several tables of a large file
      import.json                   what each file was, and what became of all that was in it

Such a folder appears whole or not at all. Messages flow through in batches, or straight
from the processes that read them to tables, so memory stays flat whatever the size.
Importing again adds what is new: a file of the same content is not read twice, and
messages that are there already are not stored twice. Whoever was forgotten stays so.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from myna import people as people_
from myna import workspace as workspace_
from myna.errors import SourceError
from myna.messages import MESSAGE_KEY, PARQUET_COMPRESSION, SCHEMA
from myna.people import accounts
from myna.sources import (
    ChatFile,
    Recognition,
    StoredTable,
    Tally,
    load_source,
    load_table,
    table_file_name,
)
from myna.sources._shared import files
from myna.workspace import ImportRecord, Workspace

Progress = Callable[[int, str], None]
"""Hears the bytes done of all files, and which file is being read."""


@dataclass
class Imported:
    """The result of importing one file. `trouble` is a line for the user, or nothing."""

    file: str
    source: str
    confidence: float
    because: str = ""
    sha256: str = ""
    bytes: int = 0
    messages: int = 0
    stored: int = 0
    known: int = 0
    forgotten: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    unread_bytes: int = 0
    notes: list[str] = field(default_factory=list)
    trouble: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def import_files(
    workspace: Workspace,
    chats: list[tuple[ChatFile, Recognition]],
    *,
    consent: people_.Consent,
    progress: Progress = lambda _done, _name: None,
) -> Iterator[Imported]:
    """Read files and store what is new of them; new people are added to people.toml.

    A file's result comes once its messages are stored. Damage within a file is told in its
    result; all complete messages are stored.

    Raises:
        WorkspaceError: the disk is full; nothing of the file at hand is stored then.
    """
    done = 0
    for group in _groups(chats):
        yield from _Group(workspace, group, consent, progress, done).bring_in()
        done += sum(file.size for file, _ in group)


def _groups(
    chats: list[tuple[ChatFile, Recognition]],
) -> Iterator[list[tuple[ChatFile, Recognition]]]:
    """Files whose messages make one table: a large one, or small ones of one source."""
    group: list[tuple[ChatFile, Recognition]] = []
    size = 0
    for file, found in chats:
        if group and (size + file.size > files.LARGE_BYTES or found.source != group[0][1].source):
            yield group
            group, size = [], 0
        group.append((file, found))
        size += file.size
    if group:
        yield group


class _Group:
    """The import of files whose messages make one table."""

    def __init__(
        self,
        workspace: Workspace,
        chats: list[tuple[ChatFile, Recognition]],
        consent: people_.Consent,
        progress: Progress,
        done_before: int,
    ) -> None:
        self.workspace = workspace
        self.chats = chats
        self.consent = consent
        self.progress = progress
        self.done = done_before
        self.people = people_.load(workspace.people_file)
        self.results: list[Imported] = []
        self.seen: list[pl.DataFrame] = []
        self.me: set[str] = set()

    def bring_in(self) -> list[Imported]:
        """The results, one for each file, once all is stored."""
        fresh = self._fresh()
        if fresh:
            slug = re.sub(r"[^\w.-]+", "-", fresh[0][0].path.stem).strip("-.")[:40] or "chat"
            folder = self.workspace.messages
            with (
                workspace_.explain_disk_errors(folder),
                workspace_.temporary_folder(folder / slug) as new,
            ):
                store(self._flow(fresh, new), new)
                self._meet()
                read = [r for _, r in fresh if r.trouble is None or r.messages]
                if read:
                    _record(new, read)
                    digest = hashlib.sha256("".join(r.sha256 for r in read).encode()).hexdigest()
                    workspace_.replace_folder(new, folder / f"{slug}-{digest[:10]}")
        elif self.seen:
            with workspace_.explain_disk_errors(self.workspace.people_file):
                self._meet()
        return self.results

    def _fresh(self) -> list[tuple[ChatFile, Imported]]:
        """The files that were not read before.

        One whose size no other has is new: its hash is left for `_digested`.
        """
        before = _read_before(self.workspace)
        sizes = Counter(size for size, _, _ in before.values())
        sizes.update(file.size for file, _ in self.chats)
        fresh = []
        for file, found in self.chats:
            result = Imported(file.location, found.source, found.confidence, found.reason)
            result.bytes = file.size
            self.results.append(result)
            if sizes[file.size] == 1:
                fresh.append((file, result))
                continue
            try:
                result.sha256 = _digest(file)
            except SourceError as error:
                result.trouble = str(error)
                continue
            known = before.get(result.sha256)
            if known is None:
                before[result.sha256] = (file.size, 0, [])
                fresh.append((file, result))
                continue
            _, result.messages, tables = known
            result.known = result.messages
            if tables:
                self.seen.append(accounts.accounts(pl.scan_parquet(tables)))
        return fresh

    def _flow(self, fresh: list[tuple[ChatFile, Imported]], folder: Path) -> Iterator[pl.DataFrame]:
        """New messages of each file in turn, but for tables that stay where they are.

        The results say what became of it. `folder` is where readers may spool tables.
        """
        news = News(self.workspace)
        for file, result in fresh:
            tally, platform = Tally(), ""
            try:
                with _digested(file, result):
                    for found in load_source(result.source).read(
                        replace(file, spool_dir=folder), tally
                    ):
                        self.progress(self.done + min(tally.bytes_done, file.size), file.name)
                        platform = _platform(found) or platform
                        if (new := self._new_of(found, news, result)) is not None:
                            yield new
            except SourceError as error:
                result.trouble = str(error)
            result.known = result.messages - result.stored - result.forgotten
            result.skipped, result.examples = tally.skipped, tally.examples
            result.unread_bytes = tally.unread_bytes
            result.notes = [*tally.notes, *getattr(file, "troubles", ())]
            result.trouble = result.trouble or _trouble(file, tally, result.messages)
            if tally.me is not None and result.messages:
                self.me.add(f"{platform}:{tally.me}")
            self.done += file.size
            self.progress(self.done, file.name)

    def _new_of(
        self, found: pl.DataFrame | StoredTable, news: News, result: Imported
    ) -> pl.DataFrame | None:
        """The messages of a batch that are still to be stored; None where there are none.

        A table of which all is new is stored already: it is left as it is.
        """
        remembered: pl.DataFrame | pl.LazyFrame
        if isinstance(found, StoredTable) and news.is_all and not self.people.forgotten:
            remembered, new, stored = pl.scan_parquet(found.path), None, found.height
        else:
            remembered = accounts.without_forgotten(load_table(found), self.people)
            new = news.of(remembered)
            stored = new.height
            result.forgotten += found.height - remembered.height
        self.seen.append(accounts.accounts(remembered))
        result.messages += found.height
        result.stored += stored
        return new if stored else None

    def _meet(self) -> None:
        """Add those accounts to people.toml that nobody has yet."""
        if not self.seen:
            return
        found = accounts.newest(pl.concat(self.seen))
        after = accounts.add(self.people, found, self.consent, self.me)
        if after != self.people:
            people_.save(self.workspace.people_file, after)


def _record(folder: Path, results: list[Imported]) -> None:
    """Write down what became of the files."""
    ImportRecord(
        folder,
        imported_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        files=[{**result.to_json(), "file": Path(result.file).name} for result in results],
        messages=sum(result.messages for result in results),
        stored=sum(result.stored for result in results),
    ).save()


def _read_before(workspace: Workspace) -> dict[str, tuple[int, int, list[Path]]]:
    """Each file that was imported, by its hash: bytes, messages, and the tables they are in."""
    known: dict[str, tuple[int, int, list[Path]]] = {}
    for record in workspace.import_records():
        tables = record.tables
        if tables or not record.stored:
            known |= {
                file["sha256"]: (file["bytes"], file["messages"], tables) for file in record.files
            }
    return known


@contextmanager
def _digested(file: ChatFile, result: Imported) -> Iterator[None]:
    """Find the file's hash, where it is not known yet: of a large one while it is read."""
    if not result.sha256 and not file.is_large:
        result.sha256 = _digest(file)
    if result.sha256:
        yield
        return
    given_up = Event()
    with ThreadPoolExecutor(1) as beside:
        digest = beside.submit(_digest, file, given_up)
        try:
            yield
        except SourceError:
            raise  # what was read until then is kept
        except BaseException:
            given_up.set()
            raise
        finally:
            result.sha256 = digest.result()


def _digest(file: ChatFile, given_up: Event | None = None) -> str:
    with file.open() as stream:
        digest = hashlib.sha256()
        while (block := stream.read(1 << 20)) and not (given_up and given_up.is_set()):
            digest.update(block)
        return digest.hexdigest()


def _platform(found: pl.DataFrame | StoredTable) -> str:
    """The platform of a batch of messages, "" of one without any."""
    if isinstance(found, StoredTable):
        return found.source
    return str(found.item(0, "source")) if found.height else ""


def _trouble(file: ChatFile, tally: Tally, messages: int) -> str | None:
    if tally.unread_bytes:
        return (
            f"{file.location}: {tally.unread_bytes:,} bytes from byte {tally.unread_from:,} on "
            f"could not be read; the {messages:,} complete messages are kept: "
            "export it again and import that to get the rest"
        )
    if not messages:
        why = "; ".join([*tally.notes, *(f"{n} × {r}" for r, n in tally.skipped.items())])
        return f"{file.location}: no messages in it{f' ({why})' if why else ''}: export it again"
    return None


class News:
    """Lets through the messages that the workspace does not have yet."""

    def __init__(self, workspace: Workspace) -> None:
        stored = workspace.message_files()
        self._known = (
            pl.scan_parquet(stored).select(known=_mark()).unique().collect() if stored else None
        )

    @property
    def is_all(self) -> bool:
        """True while the workspace has no messages, so that every one is new."""
        return self._known is None

    def of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of `frame` that are new, or whose text has been edited since."""
        if self._known is None:
            return frame
        frame = frame.with_columns(known=_mark()).join(
            self._known, on="known", how="anti", maintain_order="left"
        )
        return frame.select(list(SCHEMA))


def _mark() -> pl.Expr:
    return pl.struct(*MESSAGE_KEY, "text").hash()


def store(frames: Iterator[pl.DataFrame], folder: Path) -> None:
    """Write frames to the folder's first table, one after the other, so that memory stays flat.

    There is no such table where there are no frames.
    """
    if (first := next(frames, None)) is None:
        return
    frames = chain([first], frames)

    def pull(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        for frame in frames:
            yield frame if columns is None else frame.select(columns)

    source = register_io_source(pull, schema=SCHEMA)
    source.sink_parquet(
        folder / table_file_name(0), maintain_order=True, compression=PARQUET_COMPRESSION
    )
