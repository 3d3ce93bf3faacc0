"""DiscordChatExporter's CSV, all versions that know it.

The first row is ``AuthorID,Author,Date,Content,Attachments,Reactions``, and each cell of the
others is quoted (CsvMessageWriter.WriteMessageAsync). In old versions the delimiter is ``;``,
also behind the last cell (CsvChatLogRenderer); in those between it is ``,``, and only the
rows have one at their end. The oldest have no AuthorID or Reactions [unverified].

The exporter writes dates as its settings say: ``26-Jun-19 06:26 PM`` and the forms of a
country are in the zone of whoever exported, newer ones in ISO 8601. Where messages were
sent is only in the file's name. There are no ids of messages, replies, stickers, embeds or
words that were forwarded, and what is a notice by Discord only its text says. Attachments
are addresses with commas between, or where they are on disk: there, the folder is named
after the chat, so commas can stand in it as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.discord import (
    Channel,
    attachment_at,
    channel_of,
    detect_order,
    message_from_fields,
)
from myna.sources._shared.message_table import Attachment, ParsedMessage
from myna.sources._shared.rows import find_csv_header, read_csv_rows
from myna.sources._shared.text import head_text, open_text

TITLE = "DiscordChatExporter CSV"
READS = ("text", "mentions", "attachments", "voice", "stickers", "calls", "system", "reactions")

_NEEDED = {"Author", "Date", "Content", "Attachments"}
_KNOWN = {"AuthorID", "Reactions", "", *_NEEDED}

MOST_CERTAIN = 0.98


def recognise(file: ChatFile) -> Recognition | None:
    """By the names of its columns, all of them."""
    header = find_csv_header(head_text(file), _is_header)
    if header is None:
        return None
    confidence = 0.98 if "AuthorID" in header.names else 0.8
    return Recognition("discord_chat_exporter_csv", confidence, "its columns are that exporter's")


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, one a row.

    ``position`` counts down from 0 in an export that has the newest first.

    Raises:
        SourceError: the first row is another one, or the file cannot be read.
    """
    header = find_csv_header(head_text(file), _is_header)
    if header is None:
        raise SourceError(
            f"{file.location} is no DiscordChatExporter CSV: it does not begin with its columns; "
            "export the chat again, choosing CSV as the format"
        )
    with file.open() as stream, open_text(stream, file) as text:
        columns = {name: name for name in header.names if name}
        rows = read_csv_rows(text, header, columns, file.size, tally)
        sample = list(islice(rows, message_table.DATE_SAMPLE_MESSAGES))
        step, months_first = detect_order([row["Date"] for row in sample], tally)
        parsed = _messages(chain(sample, rows), channel_of(file), step)
        for frame in message_table.to_tables(parsed, "discord", tally, months_first=months_first):
            tally.bytes_done = stream.tell()
            yield frame
        tally.bytes_done = file.size


def _is_header(cells: Sequence[str]) -> bool:
    return _NEEDED <= set(cells) <= _KNOWN


def _messages(
    rows: Iterable[Mapping[str, str]], channel: Channel, step: int
) -> Iterator[ParsedMessage]:
    """The messages in the rows."""
    for number, row in enumerate(rows):
        yield message_from_fields(
            channel,
            row["Author"],
            row["Date"],
            row["Content"].replace("\r\n", "\n"),
            author_id=row.get("AuthorID"),
            files=_files(row["Attachments"]),
            position=number * step,
            reactions=row.get("Reactions") or "",
        )


def _files(cell: str) -> list[Attachment]:
    """The attachments in a cell: each address or path has a slash."""
    parts = cell.split(",") if cell else []
    addresses = [part for part in parts if "/" in part or "\\" in part]
    return [attachment_at(part) for part in addresses or parts]
