"""WhatsApp's "Export chat": `WhatsApp Chat with X.txt` of Android, `_chat.txt` of iOS.

A line of Android is ``31/12/2023, 23:59 - Name: text``, one of iOS
``[31/12/2023, 23:59:01] Name: text``; iOS before 2016 wrote ``31/12/15 23:59:01: Name:
text`` (so the parser whats_json knows it). A line that begins otherwise goes on with the
message before it. What stands between the brackets, or before the dash, is as the phone's
language and settings write it:

- dates in any order, with ``/``, ``-``, ``.`` or 年月日 between the fields and years of two
  or four figures (formats.md); a time in front of the date (Vietnamese), years of the
  Buddhist era (``2565 BE``) and of Japan's (``R4``), figures of Arabic, Persian, Hindi and
  Bengali (whats_json, its `date_formatter.dart` and tests).
- ``.`` or ``:`` in times, which have seconds on iOS; halves of the day in words, before the
  time or behind it, with U+00A0 or U+202F between; `klo` before it in Finnish.
- U+200E and its like before a line, around names and numbers, and before whatever iOS, and
  newer versions of Android, write themselves: "image omitted", notices, `<attached: ...>`.

The order of a date's fields is found over the whole file: the reading in which the fewest
dates are impossible (no month 13, no year before WhatsApp), then the one in which the
fewest dates turn back, then the one in which days change most cache. A note is made where
that leaves two.

What is not a message of a person, by its words in `whatsapp_words` or its U+200E: a line
without ``Name: `` is a notice of the app; iOS writes some notices under the chat's or
someone's name, and begins their text with U+200E. A notice has no author here.

The export has no ids and no zone, says nothing of forwards, reactions and replies, and is
cut to the last 40,000 messages (10,000 with media; WhatsApp's help pages): so a later
export need not begin where an earlier one did, and ids are made of a message's own line
alone, with a count for those that are the same. A message edited or deleted since has a
new line and so another id. Numbers that are no contacts' are told by their figures, since
each phone writes them differently. A name that the sender chose (`~ Bo`) is kept apart from
a contact of that name.

Assumptions: `null` as a whole message of Android is media that could be looked at once
(whats_json says so, and is not sure either). ``:`` and a blank end a name, so a notice that
holds them is told by a quotation mark that is left open in the name. Of a place, its name
remains as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import PurePath
from zlib import crc32

import polars as pl

from myna import messages
from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import whatsapp_formats as forms
from myna.sources._shared import whatsapp_words as words
from myna.sources._shared.message_table import MessageIds, flatten, list_column
from myna.sources._shared.notice_words import notice_kind
from myna.sources._shared.text import head_lines, read_blocks
from myna.sources._shared.times import UTC_TIME
from myna.sources._shared.whatsapp_lines import (
    Content,
    DateOrder,
    date_numbers,
    detect_line_format,
    may_begin_message,
    parse_author,
    parse_content,
    parse_lines,
    parse_notice,
    to_date,
)
from myna.sources._shared.whatsapp_survey import (
    Survey,
    group_name,
    is_whole_line,
    name_and_body,
    parse_text,
    survey_file,
)

TITLE = "WhatsApp chat export"
READS = (
    *("text", "mentions", "edits", "deleted", "attachments", "stickers", "voice", "calls"),
    "system",
)

MAX_MESSAGE_CHARS = 2**22
"""Characters; WhatsApp itself takes 65,536."""

MAX_REMEMBERED = 20_000
"""Messages that are remembered to tell identical lines, with the same time, apart."""

_COPY = re.compile(r"\s*\(\d+\)$")
_UNSENT = re.compile(r"_chat(?: \d+)?$", re.IGNORECASE)

MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """By its first lines; with more confidence if the file or folder is named by WhatsApp."""
    lines = [line for line in head_lines(file) if line.strip()]
    if not any(map(may_begin_message, lines)):
        return None
    form = detect_line_format(pl.Series(lines, dtype=pl.String))
    if form is None:
        return None
    heads = parse_lines(pl.Series(lines), form)
    named = "whatsapp" in f"{file.name} {file.folder_name}".lower() or bool(
        _UNSENT.match(_stem(file.name))
    )
    marked = any("\u200e" in line for line in lines)
    first = heads["begins"][0]
    has_names = heads["rest"].str.contains(": ").any()
    # Logs of programs, and signal-export's, have such a time in brackets, or a colon.
    is_common = form.layout == "colon" or (
        form.layout == "brackets" and heads["date"].str.contains("^[0-9]{4}-").any()
    )
    if named:
        confidence = 0.97 if first else 0.7
    elif is_common and not marked:
        return None
    elif first and (has_names or marked):
        confidence = 0.9 if marked or form.layout.startswith("dash") else 0.8
    elif heads["begins"].sum() >= 3 and has_names:
        confidence = 0.5
    else:
        return None
    return Recognition("whatsapp", confidence, "lines begin as in WhatsApp's exports")


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order; all times are local, of an unknown zone.

    Raises:
        SourceError: no line begins as a message does, or the file cannot be read.
    """
    survey = survey_file(file, tally)
    if survey is None:
        raise SourceError(
            f"{file.location} is no WhatsApp chat: no line begins with a date, a time and a name; "
            "export the chat again, choosing 'Export chat' in its menu"
        )
    is_ios = survey.form.layout.startswith("brackets")
    channel = _channel(file)
    chat = _Chat(channel, is_ios, survey.order, group_name(file, survey.form, channel))
    for heads in _messages(file, survey, tally):
        yield _table(heads, chat, tally)
    if chat.invalid_times:
        unread = (
            f"{chat.invalid_times:,} times could not be read, the first: '{chat.first_invalid}'"
        )
        tally.notes.append(unread)
    others = chat.authors - {chat.channel}
    # In a chat of two, which is named after the other, the one who is not that is oneself.
    if tally.me is None and len(chat.authors) == 2 and len(others) == 1:
        tally.me = others.pop()


@dataclass
class _Chat:
    """The state of reading a file."""

    channel: str
    is_ios: bool
    order: DateOrder
    group: str | None  # an author who is the group itself
    ids: MessageIds = field(default_factory=lambda: MessageIds(MAX_REMEMBERED))
    authors: set[str] = field(default_factory=set)  # their ids, until there are more than two
    invalid_times: int = 0
    first_invalid: str = ""


def _stem(name: str) -> str:
    """A file's or folder's name without extension and the number of a repeated download."""
    stem = name[: -len(".txt")] if name.lower().endswith(".txt") else name
    return _COPY.sub("", forms.normalize(stem))


def _channel(file: ChatFile) -> str:
    """The chat's name, stable between exports: from the file's or folder's name.

    If neither has it, a notice of iOS under the chat's name does.
    """
    stem, folder = _stem(file.name), _stem(PurePath(file.folder_name).name.removesuffix(".zip"))
    if name := forms.chat_name(stem):
        return name
    if not _UNSENT.match(stem):
        return stem or "chat"
    if name := forms.chat_name(folder):
        return name
    for line in head_lines(file, 5):
        before, colon, text = line.rpartition("] ")[2].partition(": ")
        if colon and forms.normalize(text).startswith(forms.NOTICE_BEGINNINGS):
            return forms.normalize(before)
    return folder or stem


def _messages(file: ChatFile, survey: Survey, tally: Tally) -> Iterator[pl.DataFrame]:
    """Complete messages: the columns of `parse_lines` for first lines, and `more`.

    That column holds the other lines, each with a line end in front.
    """
    kept = ""  # the last message, which may continue in the next block
    number = 0
    is_whole = partial(is_whole_line, file, survey.form)
    for block in read_blocks(file, tally, is_whole, keep_returns=survey.has_returns):
        lines = parse_text(kept + block, survey)
        number += block.count("\n")
        if (rows := lines["begins"].arg_true()).is_empty():
            lead, last = 0 if kept else lines.height, 0
        else:
            lead, last = rows[0], rows[-1]
        if lost := [line for line in lines["line"][:lead] if line.strip()]:
            place = f"line {number - lines.height + 1}: {lost[0]}"
            tally.skip("line outside any message", place, len(lost))
        if last > lead:
            yield _grouped(lines[lead:last])
        raw = lines["raw" if survey.has_returns else "line"]
        kept = "".join(f"{line}\n" for line in raw[max(lead, last) :])
        if len(kept) > MAX_MESSAGE_CHARS:
            tally.skip("message too long", f"line {number}: over {MAX_MESSAGE_CHARS:,} characters")
            kept = ""
    if kept:
        yield _grouped(parse_text(kept, survey))


def _grouped(lines: pl.DataFrame) -> pl.DataFrame:
    """Group lines, the first of which begins a message, by message."""
    lines = lines.with_columns(message=pl.col("begins").cum_sum())
    more = (
        lines.filter(~pl.col("begins"))
        .group_by("message", maintain_order=True)
        .agg(more="\n" + pl.col("line").str.join("\n"))
    )
    heads = lines.filter("begins").join(more, on="message", how="left", maintain_order="left")
    return heads.with_columns(pl.col("more").fill_null(""))


def _table(heads: pl.DataFrame, chat: _Chat, tally: Tally) -> pl.DataFrame:
    """The message table from the frames of `_messages`."""
    height = heads.height
    name, body = name_and_body(heads["rest"])
    people = {raw: parse_author(raw) for raw in name.unique().drop_nulls()}
    author, author_id = (
        _mapped(name, {raw: account and account[i] for raw, account in people.items()}, pl.String)
        for i in (0, 1)
    )
    text = body + heads["more"]
    rows, contents = _special_contents(author, body, text, heads, chat)
    files = flatten([content.files for content in contents], rows)
    mentions = flatten([content.mentions for content in contents], rows)
    notices = [row for row, content in zip(rows, contents, strict=True) if content.kind == "system"]
    author, author_id = (column.scatter(notices, None) for column in (author, author_id))
    if tally.me is None:
        tally.me = _exporter(rows, contents, body, author_id)
    if len(chat.authors) <= 2:
        chat.authors.update(author_id.unique().drop_nulls())
    table = messages.table(
        {
            "id": _ids(heads, chat.ids),
            "position": range(tally.read, tally.read + height),
            "author_id": author_id.fill_null(""),
            "author": author.fill_null(""),
            "sent_at": _sent_at(heads, chat),
            "kind": pl.repeat("text", height, eager=True).scatter(rows, [s.kind for s in contents]),
            "text": text.scatter(rows, [s.text for s in contents]),
            "edited": pl.repeat(False, height, eager=True).scatter(
                rows, [s.edited for s in contents]
            ),
            "attachments": list_column("attachments", height, files),
            "mentions": list_column("mentions", height, mentions),
        }
    )
    tally.read += height
    return table.with_columns(
        source=pl.lit("whatsapp"),
        channel=pl.lit(chat.channel),
        channel_id=pl.lit(f"/{chat.channel}"),
        zone_assumed=pl.lit(True),
    )


def _special_contents(
    author: pl.Series, body: pl.Series, text: pl.Series, heads: pl.DataFrame, chat: _Chat
) -> tuple[list[int], list[Content]]:
    """The rows of messages that may be more than typed text, and their contents."""
    first_name = pl.col("author").str.extract(r"^(\S+)").fill_null("\0")
    named = pl.DataFrame({"text": text, "author": author})
    names_itself = named.select(pl.col("text").str.starts_with(first_name)).to_series()
    is_special = (
        author.is_null()
        | names_itself
        | (author == (chat.group or "\0"))
        | text.str.contains_any(list(words.SPECIAL_MARKERS))
        | body.is_in(pl.Series(words.SPECIAL_FIRST_LINES).implode())
    )
    rows = is_special.arg_true()
    columns = (author, body, heads["rest"], heads["more"])
    picked = [column.gather(rows).to_list() for column in columns]
    cache: dict[str, Content] = {}  # most of these are a few phrases of the app
    contents = []
    for name, first, rest, more in zip(*picked, strict=True):
        if name is None:
            contents.append(parse_notice(rest + more))
        elif name == chat.group or notice_kind(name, forms.strip_marks(first + more)) == "system":
            contents.append(parse_notice(first + more))
        elif more:
            contents.append(parse_content(first, more, chat.is_ios))
        else:
            if first not in cache:
                cache[first] = parse_content(first, more, chat.is_ios)
            contents.append(cache[first])
    return rows.to_list(), contents


def _exporter(
    rows: list[int], contents: list[Content], body: pl.Series, author_id: pl.Series
) -> str | None:
    """The exporter's account: the app says "you" of a message that they deleted."""
    for row, content in zip(rows, contents, strict=True):
        if content.kind == "deleted" and forms.phrase_key(body[row]) in words.YOU_DELETED:
            return str(author_id[row])
    return None


def _ids(heads: pl.DataFrame, ids: MessageIds) -> list[str]:
    """Ids from the lines as written, so that they are the same in a later export.

    A checksum is enough to tell messages of one minute apart.
    """
    written = (heads["line"] + heads["more"]).cast(pl.Binary).to_list()
    sums = pl.Series([crc32(line) for line in written], dtype=pl.UInt32)
    return ids.numbered(
        heads.select(pl.format("{} {} {}", "date", pl.col("time").fill_null(-1), sums))
        .to_series()
        .to_list()
    )


def _sent_at(heads: pl.DataFrame, chat: _Chat) -> pl.Series:
    """The times of messages; invalid ones are null, and counted."""
    dates = {text: to_date(date_numbers(text), chat.order) for text in heads["date"].unique()}
    days = {text: day and (day - date(1970, 1, 1)).days for text, day in dates.items()}
    day = _mapped(heads["date"], days, pl.Int64)
    sent_at = ((day * 86_400 + heads["time"]) * 1_000_000).cast(UTC_TIME)
    if unread := sent_at.null_count():
        row = sent_at.is_null().arg_max() or 0
        chat.first_invalid = chat.first_invalid or forms.normalize(
            heads["line"][row].removesuffix(heads["rest"][row])
        ).rstrip(" -")
        chat.invalid_times += unread
    return sent_at


def _mapped(column: pl.Series, values: Mapping[str, object], kind: type[pl.DataType]) -> pl.Series:
    """The value of each text of a column."""
    return column.replace_strict(
        pl.Series(list(values), dtype=pl.String),
        pl.Series(list(values.values()), dtype=kind),
        default=None,
        return_dtype=kind,
    )
