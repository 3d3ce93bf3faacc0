"""Import chat exports into a workspace.

    messages/NAME-HASH/             one large file, or several small ones
      0000000.parquet, …            their messages, in order; several tables of a large file
      import.json                   what became of each file and of all that was in it

Such a folder appears whole or not at all. Messages flow through in batches, or straight
from the processes that read them to tables, so memory use is independent of file size.
Importing again adds what is new: files are deduplicated by content, messages by id and text.
Messages of forgotten people are never stored again.
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
from functools import cached_property, partial
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import polars as pl

from myna import people as people_
from myna import sources
from myna import workspace as workspace_
from myna.errors import SourceError
from myna.importing.known_messages import NewMessageFilter, WaitingTables, write_table
from myna.leftovers import temporary_folder
from myna.messages import in_zone
from myna.people import accounts
from myna.sources import (
    ChatFile,
    Recognition,
    StoredTable,
    Tally,
    load_table,
)
from myna.sources._shared import files, message_table
from myna.workspace import ImportRecord, Workspace

Group = list[tuple[ChatFile, Recognition]]
"""Files that share one folder of tables, each with the source that it was recognised as."""

Progress = Callable[[int, str], None]
"""Progress callback: bytes done of all files, and the name of the file being read."""


@dataclass
class ImportResult:
    """The result of importing one file; `known` messages were stored before.

    `trouble` is an error line for the user, or None. `copy_of` is another file of the same
    import with the same content, which alone counts.
    """

    file: str
    source: str
    confidence: float
    because: str = ""
    sha256: str = ""
    bytes: int = 0
    messages: int = 0
    texts: bool = False
    stored: int = 0
    known: int = 0
    forgotten: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    unread_bytes: int = 0
    notes: list[str] = field(default_factory=list)
    trouble: str | None = None
    copy_of: str = ""
    owner: str = ""
    """The account of whoever made the export, if the file tells."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def import_files(
    workspace: Workspace,
    chats: list[tuple[ChatFile, Recognition]],
    *,
    consent: people_.Consent,
    progress: Progress = lambda _done, _name: None,
    zone: str | None = None,
) -> Iterator[ImportResult]:
    """Read files and store their new messages; add new people to people.toml.

    Args:
        workspace: the workspace.
        chats: the files, each with the source that it was recognised as.
        consent: of new people.
        progress: called while files are read.
        zone: the time zone of times that have none (an IANA name).

    Yields a file's result once its messages are stored. Of a damaged file all complete
    messages are stored, and its result says what is missing.

    Raises:
        WorkspaceError: the disk is full; nothing of the current file is stored then.
    """
    done = 0
    seen = _Seen(Counter(file.size for file, _ in chats), {})
    for group in _groups(chats):
        yield from _GroupImport(workspace, group, consent, progress, done, zone, seen).run()
        done += sum(file.size for file, _ in group)


def _groups(chats: Group) -> Iterator[Group]:
    """Split the files into groups: one large file, or small ones of one source."""
    group: Group = []
    size = 0
    for file, recognition in chats:
        is_other_source = group and recognition.source != group[0][1].source
        if group and (size + file.size > files.LARGE_BYTES or is_other_source):
            yield group
            group, size = [], 0
        group.append((file, recognition))
        size += file.size
    if group:
        yield group


class _Seen(NamedTuple):
    """The sizes of all files of an import, and the locations of those read, by SHA-256."""

    sizes: Counter[int]
    files: dict[str, str]


_HAS_TEXT = pl.col("text").str.contains(r"\S") & (pl.col("kind") != "system")


@dataclass
class _ReadFile:
    """A file that is read."""

    file: ChatFile
    result: ImportResult
    tally: Tally
    platform: str = ""

    @cached_property
    def key(self) -> str:
        """The key of its messages in the column `export`."""
        name = f"{self.file.location} {self.file.size}".encode()
        return hashlib.blake2b(name, digest_size=6).hexdigest()


class _GroupImport:
    """The import of one group of files."""

    def __init__(
        self,
        workspace: Workspace,
        chats: Group,
        consent: people_.Consent,
        progress: Progress,
        bytes_before: int,
        zone: str | None,
        seen: _Seen,
    ) -> None:
        self.workspace = workspace
        self.seen = seen
        self.zone = zone
        self.chats = chats
        self.consent = consent
        self.progress = progress
        self.bytes_done = bytes_before
        self.people = people_.load(workspace.people_file)
        self.results: list[ImportResult] = []
        self.accounts: list[pl.DataFrame] = []
        self.my_accounts: set[str] = set()

    def run(self) -> list[ImportResult]:
        """Import the files; return one result for each."""
        new_files = self._new_files()
        if new_files:
            slug = re.sub(r"[^\w.-]+", "-", new_files[0][0].path.stem).strip("-.")[:40] or "chat"
            folder = self.workspace.messages
            with (
                workspace_.explain_disk_errors(folder),
                temporary_folder(folder / slug) as temp_dir,
            ):
                write_table(self._new_messages(new_files, temp_dir), temp_dir)
                self._add_people()
                read = [r for _, r in new_files if r.trouble is None or r.messages]
                if read:
                    _save_record(temp_dir, read)
                    digest = hashlib.sha256("".join(r.sha256 for r in read).encode()).hexdigest()
                    workspace_.replace_folder(temp_dir, folder / f"{slug}-{digest[:10]}")
        elif self.accounts:
            with workspace_.explain_disk_errors(self.workspace.people_file):
                self._add_people()
        return self.results

    def _new_files(self) -> list[tuple[ChatFile, ImportResult]]:
        """The files that were not imported before.

        A file whose size is unique is certainly new: `_with_sha256` hashes it later.
        """
        imported = _imported_files(self.workspace)
        sizes = Counter(size for size, _, _ in imported.values())
        sizes.update(self.seen.sizes)
        new_files = []
        for file, recognition in self.chats:
            result = ImportResult(
                file.location, recognition.source, recognition.confidence, recognition.reason
            )
            result.bytes = file.size
            self.results.append(result)
            if sizes[file.size] == 1:
                new_files.append((file, result))
                continue
            try:
                result.sha256 = _sha256(file)
            except SourceError as error:
                result.trouble = str(error)
                continue
            if first := self.seen.files.get(result.sha256):
                result.copy_of = first
                continue
            self.seen.files[result.sha256] = file.location
            if result.sha256 not in imported:
                new_files.append((file, result))
                continue
            _, result.messages, tables = imported[result.sha256]
            result.known = result.messages
            if tables:
                self.accounts.append(accounts.find_accounts(pl.scan_parquet(tables)))
        return new_files

    def _new_messages(
        self, new_files: list[tuple[ChatFile, ImportResult]], folder: Path
    ) -> Iterator[pl.DataFrame]:
        """Yield the new messages of the files, and complete their results.

        Tables of small files are joined first. Those that readers spool to `folder` and that
        are new as a whole are not yielded.
        """
        message_filter = NewMessageFilter(self.workspace)
        waiting, read = WaitingTables(), list[_ReadFile]()
        for file, result in new_files:
            one = _ReadFile(file, result, Tally())
            read.append(one)
            for batch in self._read(one, waiting, folder):
                if isinstance(batch, StoredTable):
                    yield from self._new_waiting(waiting, message_filter, read)
                    yield from self._new_in_stored(batch, message_filter, one)
                else:
                    waiting.add(one.key, batch)
                if waiting.height >= message_table.TABLE_ROWS:
                    yield from self._new_waiting(waiting, message_filter, read)
            if waiting.height >= message_table.TABLE_ROWS:
                yield from self._new_waiting(waiting, message_filter, read)
            self.bytes_done += file.size
            self.progress(self.bytes_done, file.name)
        yield from self._new_waiting(waiting, message_filter, read)
        for one in read:
            self._complete(one)

    def _read(
        self, one: _ReadFile, waiting: WaitingTables, folder: Path
    ) -> Iterator[pl.DataFrame | StoredTable]:
        """The tables of a file; messages of a small one may go to those that wait instead."""
        tally = one.tally
        tally.gather = partial(waiting.add, one.key)
        try:
            with _with_sha256(one.file, one.result):
                spooling = replace(one.file, spool_dir=folder)
                for batch in sources.read(one.result.source, spooling, tally):
                    done = min(tally.bytes_done, one.file.size)
                    self.progress(self.bytes_done + done, one.file.name)
                    yield batch
        except SourceError as error:
            one.result.trouble = str(error)

    def _complete(self, one: _ReadFile) -> None:
        """Complete the result of a file whose messages are stored."""
        result, tally = one.result, one.tally
        result.known = result.messages - result.stored - result.forgotten
        result.skipped, result.examples = tally.skipped, tally.examples
        result.unread_bytes = tally.unread_bytes
        result.notes = [*tally.notes, *one.file.notes]
        result.trouble = result.trouble or _problem(one.file, tally, result.messages)
        if result.messages and not result.texts:
            result.notes.append("none of its messages has a text: there is nothing to train on")
        if tally.me is not None and result.messages:
            result.owner = f"{one.platform}:{tally.me}"
            self.my_accounts.add(result.owner)

    def _new_waiting(
        self, waiting: WaitingTables, message_filter: NewMessageFilter, read: list[_ReadFile]
    ) -> Iterator[pl.DataFrame]:
        """The messages that waited and are still to be stored; counted in the files' results."""
        frame = waiting.take()
        if frame.is_empty():
            return
        remembered = accounts.drop_forgotten(frame, self.people)
        if self.zone:
            remembered = in_zone(remembered, self.zone)
        new = message_filter.new_messages(remembered)
        self.accounts.append(accounts.find_accounts(remembered))
        files = {one.key: one for one in read}
        of_file = [some.group_by("export") for some in (frame, remembered, new)]
        for key, count, platform in of_file[0].agg(pl.len(), pl.last("source")).iter_rows():
            files[key].platform = platform
            files[key].result.messages += count
            files[key].result.forgotten += count
        for key, count, has_text in of_file[1].agg(pl.len(), has_text=_HAS_TEXT.any()).iter_rows():
            files[key].result.forgotten -= count
            files[key].result.texts |= has_text
        for key, count in of_file[2].len().iter_rows():
            files[key].result.stored += count
        if new.height:
            yield new

    def _new_in_stored(
        self, batch: StoredTable, message_filter: NewMessageFilter, one: _ReadFile
    ) -> Iterator[pl.DataFrame]:
        """The messages of a spooled table that are still to be stored.

        One that is new as a whole is stored already: it stays as it is.
        """
        if not message_filter.is_empty or self.people.forgotten or self.zone:
            waiting = WaitingTables()
            waiting.add(one.key, load_table(batch))
            yield from self._new_waiting(waiting, message_filter, [one])
            return
        one.platform, result = batch.source, one.result
        result.messages += batch.height
        result.stored += batch.height
        messages = pl.scan_parquet(batch.path)
        self.accounts.append(accounts.find_accounts(messages))
        if not result.texts:
            result.texts = bool(messages.select(_HAS_TEXT.any()).collect().item())

    def _add_people(self) -> None:
        """Add a person to people.toml for each account that belongs to no person yet."""
        if not self.accounts:
            return
        latest = accounts.latest_names(pl.concat(self.accounts))
        after = accounts.add_people(self.people, latest, self.consent, self.my_accounts)
        if after != self.people:
            people_.save(self.workspace.people_file, after)


def _save_record(folder: Path, results: list[ImportResult]) -> None:
    ImportRecord(
        folder,
        imported_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        files=[{**result.to_json(), "file": Path(result.file).name} for result in results],
        messages=sum(result.messages for result in results),
        stored=sum(result.stored for result in results),
    ).save()


def _imported_files(workspace: Workspace) -> dict[str, tuple[int, int, list[Path]]]:
    """Files imported before, by SHA-256: bytes, messages, and their tables."""
    imported: dict[str, tuple[int, int, list[Path]]] = {}
    for record in workspace.import_records():
        tables = record.tables
        if tables or not record.stored:
            imported |= {
                file["sha256"]: (file["bytes"], file["messages"], tables) for file in record.files
            }
    return imported


@contextmanager
def _with_sha256(file: ChatFile, result: ImportResult) -> Iterator[None]:
    """Set the result's SHA-256 if it is missing; a large file is hashed while it is read."""
    if not result.sha256 and not file.is_large:
        result.sha256 = _sha256(file)
    if result.sha256:
        yield
        return
    is_cancelled = Event()
    with ThreadPoolExecutor(1) as executor:
        digest = executor.submit(_sha256, file, is_cancelled)
        try:
            yield
        except SourceError:
            raise  # what was read until then is kept
        except BaseException:
            is_cancelled.set()
            raise
        finally:
            result.sha256 = digest.result()


def _sha256(file: ChatFile, is_cancelled: Event | None = None) -> str:
    with file.open() as stream:
        digest = hashlib.sha256()
        while (block := stream.read(1 << 20)) and not (is_cancelled and is_cancelled.is_set()):
            digest.update(block)
        return digest.hexdigest()


def _problem(file: ChatFile, tally: Tally, messages: int) -> str | None:
    if tally.unread_bytes:
        return (
            f"{file.location}: {tally.unread_bytes:,} bytes from byte {tally.unread_from:,} on "
            f"could not be read; the {messages:,} complete messages are kept: "
            "export it again and import that to get the rest"
        )
    if not messages and not tally.is_empty:
        why = "; ".join([*tally.notes, *(f"{n} × {r}" for r, n in tally.skipped.items())])
        return f"{file.location}: no messages in it{f' ({why})' if why else ''}: export it again"
    return None
