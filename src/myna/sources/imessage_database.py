"""Apple's own message database: chat.db of a Mac, sms.db of a phone's backup.

Names of tables and columns, and what their numbers mean, are those of imessage-database,
the library under imessage-exporter (tables/messages/message.rs, models/group_action.rs,
util/streamtyped.rs):

- ``message.date`` counts nanoseconds since 2001, UTC; on old systems seconds (unverified).
- The text is in ``attributedBody``, an NSAttributedString in the "typedstream" format:
  behind the class name NSString comes ``01 2B``, the length (a byte, or ``81`` and two, or
  ``82`` and four, little-endian) and UTF-8. ``text`` has it too, but is NULL on newer
  systems. U+FFFC stands in it for each attachment.
- ``associated_message_type`` 2000-2006 are tapbacks, 3000-3006 take them back, 2007 is a
  sticker as one, and 4000 a vote in a poll. 1000 is a sticker put on a message: an answer to it.
- ``item_type`` other than 0, and ``group_title``, make it a notice.
- A message that was unsent has ``date_edited`` and neither text nor attachments.
- ``balloon_bundle_id`` is an app's message (a payment, a game, a poll); only that of links
  holds the author's words. Attachments named ``*.pluginPayloadAttachment`` are such an
  app's, or a link's preview, and not read.
- A message may be in two chats (SMS and iMessage with one person): it is read once.

Assumed: after an edit the body holds the last text; ``date_retracted`` means unsent.
Columns that a system did not have yet are taken for NULL. The chats of a phone number are
named after it: whose it is stands in the address book, which is another file.

Nothing is ever written to the database. Where newest messages wait in a ``-wal`` file
beside it, SQLite itself needs (and may make) a ``-shm`` file there, its index of that.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.imessage import as_integer, as_string, read_tapbacks, select_list
from myna.sources._shared.message_table import (
    Attachment,
    ParsedMessage,
    attachment_kind,
    count_reactions,
)

TITLE = "iMessage database (chat.db)"
READS = (
    "text",
    "replies",
    "edits",
    "deleted",
    "attachments",
    "stickers",
    "voice",
    "system",
    "reactions",
)

MAX_IN_MEMORY_BYTES = 2**29
"""Size limit of a database in an archive, which has to be unpacked into memory."""

MAX_CELL_BYTES = 2**26
"""Size limit of a cell; a longer one is damaged."""

_MAGIC = b"SQLite format 3\0"
_TABLES = {"message", "chat", "handle", "chat_message_join"}
_CREATED = re.compile(rb'CREATE TABLE (?:IF NOT EXISTS )?["\[`]?(\w+)')
_EPOCH_2001 = 978_307_200_000_000  # in microseconds since 1970
_DATABASE_ERRORS = (sqlite3.Error, ValueError, OverflowError, MemoryError)
_LINKS = "com.apple.messages.URLBalloonProvider"
_BODY = re.compile(rb"NSString.{0,32}?\x01\x2b", re.DOTALL)
_PART = re.compile(r"^(?:p:\d+/|bp:)")

# Texts of notices, by item_type and group_action_type, or by item_type alone.
_NOTICES = {
    (1, 0): "added {other} to the conversation",
    (1, 1): "removed {other} from the conversation",
    (2,): "named the conversation {title}",
    (3, 0): "left the conversation",
    (3, 1): "changed the group photo",
    (3, 2): "removed the group photo",
    (3, 4): "changed the chat background",
    (3, 6): "removed the chat background",
    (4,): "shared or stopped sharing a location",
    (5,): "kept an audio message",
    (6,): "used SharePlay",
}


class _Row(NamedTuple):
    """A message with one of its chats; any value may have any type."""

    rowid: int
    chat_id: Any
    guid: Any
    text: Any
    attributedBody: Any  # noqa: N815 (the column's name)
    handle_id: Any
    date: Any
    is_from_me: Any
    associated_message_guid: Any
    associated_message_type: Any
    thread_originator_guid: Any
    item_type: Any
    group_title: Any
    group_action_type: Any
    other_handle: Any
    balloon_bundle_id: Any
    date_edited: Any
    date_retracted: Any


class _Chat(NamedTuple):
    name: str
    guid: str | None


MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the database by its tables or, if they are not in the head, its name."""
    if not file.head.startswith(_MAGIC):
        return None
    created = {name.decode() for name in _CREATED.findall(file.head)}
    if created >= {"message", "chat", "handle"}:
        return Recognition("imessage_database", 0.97, "it has Apple's tables of messages")
    if file.name.lower() == "chat.db":
        return Recognition("imessage_database", 0.7, "it is a database named chat.db")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages of all chats, in the order in which they entered the database.

    Raises:
        SourceError: the file is damaged, no message database, or cannot be read.
    """
    with closing(_open(file, tally)) as database:
        messages = _messages(database, file, tally)
        yield from message_table.to_tables(
            messages, "imessage", tally, zone_assumed=False, months_first=False
        )
    tally.bytes_done = file.size


def _open(file: ChatFile, tally: Tally) -> sqlite3.Connection:
    """Open the database read-only."""
    if not file.head.startswith(_MAGIC) or len(file.head) < 100:
        raise SourceError(f"{file.location} is not an SQLite database: copy chat.db again")
    page = int.from_bytes(file.head[16:18], "big")
    if file.size % (65536 if page == 1 else max(1, page)):
        raise SourceError(f"{file.location} breaks off in the middle: copy the database again")
    try:
        database = _connect(file, tally)
    except _DATABASE_ERRORS as error:
        raise _read_error(file, error) from error
    try:
        database.text_factory = lambda data: data.decode("utf-8", "replace")
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL_BYTES)
        # The schema is not trusted: nothing in it may call functions or write.
        for setting in ("query_only = 1", "trusted_schema = 0", "cell_size_check = 1"):
            database.execute(f"PRAGMA {setting}")
        kinds = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE TABLE%'"
        missing = _TABLES - {name for (name,) in database.execute(kinds)}
    except _DATABASE_ERRORS as error:
        database.close()
        raise _read_error(file, error) from error
    if missing:
        database.close()
        raise SourceError(
            f"{file.location} is no message database: it has no table "
            f"{', '.join(sorted(missing))}; the right one is ~/Library/Messages/chat.db"
        )
    return database


def _connect(file: ChatFile, tally: Tally) -> sqlite3.Connection:
    wal = file.sibling(f"{file.name}-wal")
    has_wal = wal is not None and wal.size > 0
    if file.local_path is None:
        if has_wal:
            tally.notes.append(f"the newest messages, in {file.name}-wal, are not read: unpack it")
        return _in_memory(file)
    uri = file.local_path.absolute().as_uri()
    if has_wal:
        try:
            database = sqlite3.connect(f"{uri}?mode=ro", uri=True, check_same_thread=False)
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return database
        except sqlite3.Error:
            tally.notes.append(f"{file.name}-wal cannot be read: the newest messages may be absent")
    # Without a log nothing can change; SQLite then creates no files beside it.
    return sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True, check_same_thread=False)


def _in_memory(file: ChatFile) -> sqlite3.Connection:
    """Open a database inside an archive."""
    if file.size > MAX_IN_MEMORY_BYTES or not hasattr(sqlite3.Connection, "deserialize"):
        raise SourceError(f"{file.location} cannot be read inside an archive: unpack it first")
    data = bytearray()
    with file.open() as stream:
        while len(data) <= MAX_IN_MEMORY_BYTES and (block := stream.read(2**20)):
            data += block
    if len(data) != file.size:
        raise SourceError(f"{file.location} breaks off in the middle: fetch the archive again")
    if data[18:20] == b"\2\2":  # no log exists in memory, but SQLite would look for one
        data[18:20] = b"\1\1"
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.deserialize(data)
    return database


def _read_error(file: ChatFile, error: BaseException) -> SourceError:
    why = _one_line(error)
    return SourceError(f"cannot read {file.location}: {why}: close Messages and copy it again")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _messages(
    database: sqlite3.Connection, file: ChatFile, tally: Tally
) -> Iterator[ParsedMessage]:
    row = None
    try:
        people = {key: as_string(name) for key, name in _select(database, "handle", "ROWID", "id")}
        chats = {
            key: _Chat(
                as_string(name) or as_string(short) or as_string(guid) or "unnamed", as_string(guid)
            )
            for key, guid, name, short in _select(
                database, "chat", "ROWID", "guid", "display_name", "chat_identifier"
            )
        }
        last = as_integer(database.execute("SELECT max(ROWID) FROM message").fetchone()[0])
        files = _Attachments(database, tally)
        tapbacks = read_tapbacks(database, people, _PART, tally)
        before = None
        for row in _rows(database):
            if row.rowid == before:  # once more, in another chat
                continue
            if before is not None and row.rowid < before:
                raise sqlite3.DatabaseError("its rows go round in circles")
            before = row.rowid
            tally.bytes_done = file.size * min(max(row.rowid, 0), last) // max(last, 1)
            if sent := _message(row, chats.get(row.chat_id), people, files.of(row.rowid), tally):
                yield sent._replace(reactions=count_reactions(tapbacks.get(sent.id or "", ())))
    except _DATABASE_ERRORS as error:
        if row is None:
            raise _read_error(file, error) from error
        tally.skip_bytes(
            tally.bytes_done, file.size
        )  # estimated from the share of missing messages
        why = _one_line(error)
        tally.notes.append(f"the database is damaged behind message {row.rowid}: {why}")


def _select(database: sqlite3.Connection, table: str, *columns: str) -> sqlite3.Cursor:
    """Rows of a table; NULL for columns that it does not have. Names never come from data."""
    listed = select_list(database, table, "", *columns)
    return database.execute(f"SELECT {listed} FROM {table}")  # noqa: S608


def _rows(database: sqlite3.Connection) -> Iterator[_Row]:
    columns = select_list(database, "message", "m.", *_Row._fields[2:])
    query = (
        f"SELECT m.ROWID, j.chat_id, {columns} FROM message AS m "  # noqa: S608
        "LEFT JOIN chat_message_join AS j ON j.message_id = m.ROWID ORDER BY m.ROWID"
    )
    return map(_Row._make, database.execute(query))


class _Attachments:
    """The attachments of messages, to be requested in the order of row ids."""

    def __init__(self, database: sqlite3.Connection, tally: Tally) -> None:
        self.rows = self._read(database, tally)
        self.next = next(self.rows, None)

    @staticmethod
    def _read(database: sqlite3.Connection, tally: Tally) -> Iterator[tuple[int, Attachment]]:
        try:
            names = ("transfer_name", "filename", "mime_type", "is_sticker")
            columns = select_list(database, "attachment", "a.", *names)
            for message, *values in database.execute(
                f"SELECT j.message_id, {columns} FROM message_attachment_join AS j "  # noqa: S608
                "JOIN attachment AS a ON a.ROWID = j.attachment_id "
                "WHERE typeof(j.message_id) = 'integer' ORDER BY j.message_id, a.ROWID"
            ):
                if attachment := _file(*values):
                    yield message, attachment
        except _DATABASE_ERRORS as error:
            tally.notes.append(f"not all attachments could be read: {_one_line(error)}")

    def of(self, rowid: int) -> tuple[Attachment, ...]:
        """The attachments of a message."""
        attachments = []
        while self.next is not None and self.next[0] <= rowid:
            if self.next[0] == rowid:
                attachments.append(self.next[1])
            self.next = next(self.rows, None)
        return tuple(attachments)


def _file(transfer_name: Any, filename: Any, mime_type: Any, is_sticker: Any) -> Attachment | None:
    path = as_string(transfer_name) or as_string(filename) or ""
    name = re.split(r"[/\\]", path)[-1]
    if name.endswith(".pluginPayloadAttachment"):
        return None
    major = (as_string(mime_type) or "").partition("/")[0]
    kind = "sticker" if as_integer(is_sticker) else attachment_kind(name)
    return Attachment(major if kind == "file" and major in ("image", "video") else kind, name)


def _message(
    row: _Row,
    chat: _Chat | None,
    people: dict[Any, str | None],
    files: tuple[Attachment, ...],
    tally: Tally,
) -> ParsedMessage | None:
    """Convert a row to a message; None for reactions and for rows that cannot be read."""
    associated = as_integer(row.associated_message_type)
    if 2000 <= associated <= 2007 or 3000 <= associated <= 3007 or associated == 4000:
        return None
    if chat is None:
        tally.skip("in no chat", f"message {row.rowid}")
        return None
    text = _text(row)
    if text is None and not files and row.attributedBody:
        tally.skip("text in an unknown form", f"message {row.rowid}")
        return None
    is_edited = as_integer(row.date_edited) != 0
    kind = "text"
    if as_integer(row.item_type) or as_string(row.group_title):
        kind, text = "system", _notice(row, people)
    elif as_integer(row.date_retracted) or (is_edited and not text and not files):
        kind, text, files = "deleted", "", ()
    elif (as_string(row.balloon_bundle_id) or _LINKS) != _LINKS:
        kind = "system"
    reply_to = as_string(row.thread_originator_guid)
    if associated == 1000 and (target := as_string(row.associated_message_guid)):
        files = tuple(Attachment("sticker", file.name) for file in files)
        reply_to = _PART.sub("", target)
    is_me = as_integer(row.is_from_me) != 0
    if is_me:
        tally.me = "me"
    author = "Me" if is_me else people.get(row.handle_id) or "Unknown"
    return ParsedMessage(
        author=author,
        author_id="me" if is_me else None,
        text=text or "",
        sent_at=_time(row.date),
        channel=chat.name,
        channel_id=chat.guid,
        id=as_string(row.guid),
        kind=kind,
        reply_to=reply_to,
        edited=is_edited and kind == "text",
        attachments=files,
    )


def _text(row: _Row) -> str | None:
    """The text without the placeholders of attachments, which become line breaks."""
    body = body_text(row.attributedBody) if isinstance(row.attributedBody, bytes) else None
    text = body or as_string(row.text) or body
    if text is None or "\ufffc" not in text:
        return text
    parts = (part.strip() for part in text.split("\ufffc"))
    return "\n".join(part for part in parts if part)


def body_text(body: bytes) -> str | None:
    """The text of an attributedBody, or None if it is in an unknown form."""
    if (match := _BODY.search(body)) is None:
        return None
    begin = match.end()
    width = {0x81: 2, 0x82: 4}.get(body[begin] if begin < len(body) else 0, 0)
    count = body[begin + 1 : begin + 1 + width] if width else body[begin : begin + 1]
    begin += len(count) + (width > 0)
    text = body[begin : begin + int.from_bytes(count, "little")]
    if not count or len(text) != int.from_bytes(count, "little"):
        return None
    return text.decode("utf-8", "replace")


def _notice(row: _Row, people: dict[Any, str | None]) -> str:
    """The text of a notice, without its author."""
    item = as_integer(row.item_type) or 2
    template = _NOTICES.get((item, as_integer(row.group_action_type))) or _NOTICES.get((item,))
    if template is None:
        return f"did something unknown ({item})"
    other = people.get(row.other_handle) or "someone"
    title = as_string(row.group_title) or ""
    return template.replace("{other}", other).replace("{title}", title)


def _time(date: Any) -> int | None:
    """Microseconds since 1970, from nanoseconds or (small values) seconds since 2001."""
    count = as_integer(date)
    if not count:
        return None
    return _EPOCH_2001 + (count // 1000 if abs(count) > 10**11 else count * 1_000_000)
