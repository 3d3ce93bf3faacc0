"""Bringing exports into a workspace.

    messages/NAME-HASH.parquet    the messages of one file, or of several small ones
    messages/NAME-HASH.json       what each file was, and what became of all that was in
                                  it; they count as imported once this is written

Messages flow through in batches, so memory stays flat whatever the size of an export.
Importing again adds what is new: a file of the same content is not read twice, and
messages that are there already are not stored twice. Whoever was forgotten stays so.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from myna import people as people_
from myna import workspace as workspace_
from myna.errors import SourceError
from myna.importing import storing
from myna.people import accounts
from myna.sources import ChatFile, Recognition, Tally, source
from myna.workspace import Workspace

TOGETHER = 64 * 2**20
"""Bytes of small files whose messages are stored in one table."""

Progress = Callable[[int, str], None]
"""Hears the bytes done of all files, and which file is being read."""


@dataclass
class Imported:
    """What became of one file. `trouble` is a line for the user, or nothing."""

    file: str
    source: str
    confidence: float
    because: str = ""
    sha256: str = ""
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
        if group and (size + file.size > TOGETHER or found.source != group[0][1].source):
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
        """What became of each file, once all is stored."""
        fresh = self._fresh()
        if fresh:
            digest = hashlib.sha256("".join(r.sha256 for _, r in fresh).encode()).hexdigest()
            slug = re.sub(r"[^\w.-]+", "-", fresh[0][0].path.stem).strip("-.")[:40] or "chat"
            target = self.workspace.messages / f"{slug}-{digest[:10]}.parquet"
            with workspace_.clear_disk_errors(target), storing.hidden(target) as written:
                storing.store(self._flow(fresh), written)
                self._meet()
                if any(result.stored for _, result in fresh):
                    written.replace(target)
                self._record(target.with_suffix(".json"), [result for _, result in fresh])
        elif self.seen:
            with workspace_.clear_disk_errors(self.workspace.people_file):
                self._meet()
        return self.results

    def _fresh(self) -> list[tuple[ChatFile, Imported]]:
        """The files that were not read before."""
        before = _read_before(self.workspace)
        fresh = []
        for file, found in self.chats:
            result = Imported(file.place, found.source, found.confidence, found.because)
            self.results.append(result)
            try:
                result.sha256 = _digest(file)
            except SourceError as error:
                result.trouble = str(error)
                continue
            known = before.get(result.sha256)
            if known is None:
                before[result.sha256] = (0, None)
                fresh.append((file, result))
                continue
            result.messages = result.known = known[0]
            if known[1] is not None:
                self.seen.append(accounts.accounts(pl.read_parquet(known[1])))
        return fresh

    def _flow(self, fresh: list[tuple[ChatFile, Imported]]) -> Iterator[pl.DataFrame]:
        """What is new of each file in turn; the results say what became of it."""
        news = storing.News(self.workspace)
        for file, result in fresh:
            tally, platform = Tally(), ""
            try:
                for frame in source(result.source).read(file, tally):
                    platform = next(iter(frame["source"]), platform)
                    self.progress(self.done + min(tally.bytes_done, file.size), file.name)
                    remembered = accounts.without_forgotten(frame, self.people)
                    result.forgotten += frame.height - remembered.height
                    self.seen.append(accounts.accounts(remembered))
                    new = news.of(remembered)
                    result.messages += frame.height
                    result.stored += new.height
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

    def _meet(self) -> None:
        """Add those accounts to people.toml that nobody has yet."""
        if not self.seen:
            return
        found = accounts.newest(pl.concat(self.seen))
        after = accounts.add(self.people, found, self.consent, self.me)
        if after != self.people:
            people_.save(self.workspace.people_file, after)

    def _record(self, path: Path, results: list[Imported]) -> None:
        """Write down what became of the files, the last thing that is done."""
        read = [result for result in results if result.trouble is None or result.messages]
        if not read:
            return
        workspace_.write_json(
            path,
            {
                "imported_at": datetime.now(UTC).isoformat(timespec="microseconds"),
                "files": [{**r.to_json(), "file": Path(r.file).name} for r in read],
                "counts": {
                    "messages": sum(result.messages for result in read),
                    "stored": sum(result.stored for result in read),
                },
            },
        )


def _read_before(workspace: Workspace) -> dict[str, tuple[int, Path | None]]:
    """The messages of each file that was imported, and the table they are in, by its hash."""
    known: dict[str, tuple[int, Path | None]] = {}
    for path in workspace.messages.glob("*.json"):
        record = workspace_.read_json(path)
        table = path.with_suffix(".parquet")
        if table.exists() or not record["counts"]["stored"]:
            there = table if table.exists() else None
            known |= {file["sha256"]: (file["messages"], there) for file in record["files"]}
    return known


def _digest(file: ChatFile) -> str:
    with file.open() as stream:
        digest = hashlib.sha256()
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
