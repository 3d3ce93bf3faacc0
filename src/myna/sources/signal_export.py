r"""Signal Desktop chats, exported by signal-export (`sigexport`).

It makes a folder for each chat, named after it (letters and digits only), with the chat
twice: `chat.md` (before 2022 `index.md`) and, since then, `data.json`, one object per line,
which has more fields. If both exist, `data.json` is read.

Known from signal-export's own `models.py` (`Message.to_md`, `dict_str`), `create.py`,
`merge.py` and, for the oldest, its first `sigexport.py`:

    [2024-05-01 18:02:11] Bo: \n\n> the quoted\n> text\n\nthe answer  \n(- ada: 👍 -)
    [2024-05-01 18:02:11] Me: words  ![a.jpg](./media/a.jpg)  [b.pdf](./media/b.pdf)

- Times are those of the exporting computer, which does not say its zone; older files have
  no seconds, the oldest a comma behind the date. A message without a time is of 1970.
- `Me` is whoever made the export. `No-Sender` is an unknown member of a group.
- A body ends with two blanks, a newer file has an empty line behind each message, and
  backquotes are gone from all texts.
- Attachments are links to `./media/`, stickers are links to `../exported_stickers/` or
  `(( 🎉 ))`, reactions `(- name: 👍, name: ❤ -)`: all behind the body, on its last line or
  below it. What people typed is not escaped: a text that ends in just this way is read so.
- Calls have a fixed English body, such as "Missed video call". Group changes, timers and
  the like have an empty one, and so have deleted messages before 2025.
- A mention is U+FFFC, of an account that the export does not name.
- `data.json` has date (ISO), sender, body, quote, sticker ("" or the emoji, later null or
  an object), reactions, attachments{name, path}; since 2025 deleted, then call, id and
  edits (earlier versions: the body is the last one).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.message_table import (
    Attachment,
    ParsedMessage,
    Reaction,
    attachment_kind,
    count_reactions,
)
from myna.sources._shared.signal import (
    MENTION_PLACEHOLDER,
    as_dicts,
    as_text,
    count_cut_off,
    match_heads,
    read_objects,
    split_messages,
)
from myna.sources._shared.text import head_lines

TITLE = "Signal (signal-export)"
READS = (
    *("text", "edits", "deleted", "attachments", "stickers", "voice", "calls", "system"),
    "reactions",
)

_ME = "Me"
_NAMES = ("chat.md", "index.md", "data.json")
_KEYS = ('"date"', '"sender"', '"body"', '"quote"', '"sticker"', '"reactions"', '"attachments"')
_HEAD = re.compile(r"\[(\d{4}-\d\d-\d\d),? (\d\d:\d\d(?::\d\d)?)\] (.+?):(?: (.*))?$")
_EXAMPLE = "[2024-05-01 18:02:11] B: "
_DELETED = "(This message was deleted)"
_CALL = re.compile(r"(?:Incoming|Outgoing|Missed) (?:\w+ )?call(?: \([^()\n]*\))?")
_NOT_EXPORTED = re.compile(
    r"\s*\((media|attachment|sticker|image|voice message|file)s?(?: was)? not exported\)\s*$",
    re.IGNORECASE,
)
_STICKER = re.compile(r"\(\( ([^\n]*) \)\)")

MOST_CERTAIN = 0.95


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by the file's name and its first message."""
    if _is_data(file):
        return Recognition("signal_export", 0.95, "its lines are signal-export's messages")
    lines = head_lines(file)
    if not any(map(_HEAD.match, lines)):
        return None
    if not file.name.lower().endswith(".md"):
        # Logs of programs have such times as well, and no empty lines between.
        is_sure = _HEAD.match(lines[0]) and any(
            line.endswith("  ") or not line for line in lines[:-1]
        )
        because = "its lines look like signal-export's"
        return Recognition("signal_export", 0.7, because) if is_sure else None
    if file.name.lower() not in _NAMES:
        return Recognition("signal_export", 0.7, "its lines look like signal-export's")
    data = file.sibling("data.json")
    if data is not None and _is_data(data):
        return Recognition("signal_export", 0.95, "data.json beside it has the same", False)
    return Recognition("signal_export", 0.95, "its lines are signal-export's messages")


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order.

    Raises:
        SourceError: the file holds no message of signal-export, or cannot be read.
    """
    tally.me = _ME
    messages = _from_data(file, tally) if _is_data(file) else _from_text(file, tally)
    yield from message_table.to_tables(messages, "signal", tally, months_first=False)
    if not tally.read:
        raise SourceError(
            f"{file.location} holds no message of signal-export: give the chat.md or the "
            "data.json that 'sigexport' wrote"
        )


def _is_data(file: ChatFile) -> bool:
    """True if one of the first lines is a message of data.json, or its beginning."""
    objects = (line for line in head_lines(file, 5) if line.lstrip().startswith("{"))
    return any(all(key in line for key in _KEYS) for line in objects)


def _channel(file: ChatFile) -> str:
    """The chat's name: the folder's, or the file's if it was renamed."""
    stem = PurePath(file.name).stem
    return file.folder_name or stem if file.name.lower() in _NAMES else stem


def _from_text(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    channel = _channel(file)
    for message in split_messages(match_heads(file, tally, _HEAD, _EXAMPLE), tally):
        date, time, sender, begin = message.head.groups()
        body, files = _without_links("\n".join(_without_quote([begin or "", *message.below])))
        body, more, reactions = _without_marks(body)
        # Messages with a quote, a sticker or reactions have an empty first line.
        if (
            message.is_last
            and not (body.strip() or files or more)
            and not (begin and message.below)
        ):
            count_cut_off(message, tally)
            continue
        is_deleted = body.strip() == _DELETED
        yield _message(
            *(sender, body, f"{date} {time}", channel, more + files),
            is_deleted=is_deleted,
            reactions=reactions,
        )


def _from_data(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    channel = _channel(file)
    for number, values in read_objects(file, tally):
        date, sender, body = (values.get(key) for key in ("date", "sender", "body"))
        if not isinstance(sender, str) or not isinstance(body, str | None):
            tally.skip("no message", f"line {number}: no sender, or a body that is no text")
            continue
        yield _message(
            sender,
            body or "",
            as_text(date),
            channel,
            _files(values),
            is_deleted=values.get("deleted") is True,
            is_call=values.get("call") is True,
            is_edited=bool(values.get("edits")),
            id_=as_text(values.get("id")) or None,
            reactions=count_reactions(map(_reaction, _as_list(values.get("reactions")))),
        )


def _message(
    sender: str,
    body: str,
    date: str,
    channel: str,
    files: tuple[Attachment, ...],
    *,
    is_deleted: bool = False,
    is_call: bool = False,
    is_edited: bool = False,
    id_: str | None = None,
    reactions: tuple[Reaction, ...] = (),
) -> ParsedMessage:
    text, missing = _without_missing(body.strip().replace(MENTION_PLACEHOLDER, "@unknown"))
    files = (*files, *missing)
    kind = "text"
    if is_deleted:
        kind, text = "deleted", ""
    elif is_call or _CALL.fullmatch(text):
        kind = "call"
    elif not text and not files:
        kind = "system"  # of notices the tool keeps only the time
    return ParsedMessage(
        author=sender,
        text=text,
        # The tool writes 1970 in any time zone for an unknown time.
        sent_at=None if date.startswith(("1970-01-01", "1969-12-31")) else date,
        channel=channel,
        id=id_,
        kind=kind,
        edited=is_edited,
        attachments=files,
        reactions=() if is_deleted else reactions,
    )


def _without_missing(text: str) -> tuple[str, tuple[Attachment, ...]]:
    """Split what the tool writes for files that it was told to leave out from a text's end."""
    files: list[Attachment] = []
    while match := _NOT_EXPORTED.search(text):
        kind = {"sticker": "sticker", "voice message": "voice", "image": "image"}
        files.append(Attachment(kind.get(match[1].lower(), "file"), ""))
        text = text[: match.start()].rstrip()
    return text, tuple(files)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _reaction(item: Any) -> tuple[str, str]:
    """The emoji of a reaction and who gave it: a pair of a name and it, later an object."""
    if isinstance(item, list) and len(item) == 2:
        return as_text(item[1]), as_text(item[0])
    if isinstance(item, dict):
        return as_text(item.get("emoji")), as_text(item.get("name"))
    return "", ""


def _without_quote(lines: list[str]) -> list[str]:
    """Remove the quote that a message begins with, up to a blank line."""
    filled = [number for number, line in enumerate(lines) if line.strip()]
    if lines[0].strip() or not filled or not lines[filled[0]].startswith(">"):
        return lines
    quote = filled[0]
    while quote < len(lines) and lines[quote].strip():
        quote += 1
    return lines[quote:]


def _without_links(text: str) -> tuple[str, tuple[Attachment, ...]]:
    """Split the links to files from the end of a text; return text and files."""
    files: list[Attachment] = []
    end = len(text.rstrip())
    while end and text[end - 1] == ")":
        middle = text.rfind("](", 0, end)
        path = text[middle + 2 : end - 1]
        is_sticker = path.startswith("../exported_stickers/")
        if middle < 0 or not (is_sticker or path.startswith(("./media/", "./media\\"))):
            break
        # A name may have brackets in it, and then stands in the path as well.
        name = re.split(r"[/\\]", path)[-1].replace("%20", " ")
        begin = middle - len(name) - 1
        if text[max(begin, 0) : middle] != f"[{name}":
            begin = text.rfind("[", 0, middle)
        if begin < 0:
            break
        label = text[begin + 1 : middle]
        files.append(Attachment("sticker" if is_sticker else attachment_kind(label), label))
        end = begin - (not is_sticker and text[begin - 1 : begin] == "!")
        while end and text[end - 1] == " ":
            end -= 1
    return text[:end], tuple(reversed(files))


def _without_marks(text: str) -> tuple[str, tuple[Attachment, ...], tuple[Reaction, ...]]:
    """Split the sticker and the reactions from the last lines of a text."""
    body, _, last = text.rstrip().rpartition("\n")
    files: tuple[Attachment, ...] = ()
    if sticker := _STICKER.fullmatch(last):
        files = (Attachment("sticker", sticker[1]),)
        text = body
        body, _, last = text.rstrip().rpartition("\n")
    is_reactions = last.startswith("(- ") and last.endswith(" -)") and ": " in last
    if not is_reactions:
        return text, files, ()
    given = last.removeprefix("(- ").removesuffix(" -)").split(", ")
    pairs = (one.rpartition(": ") for one in given)
    return body, files, count_reactions((emoji.strip(), name.strip()) for name, _, emoji in pairs)


def _files(values: dict[str, Any]) -> tuple[Attachment, ...]:
    """The sticker and the attachments of an object."""
    sticker = values.get("sticker")
    names = [as_text(item.get("name")) for item in as_dicts(values.get("attachments"))]
    files = [Attachment(attachment_kind(name), name) for name in names]
    if isinstance(sticker, dict):
        files.insert(0, Attachment("sticker", as_text(sticker.get("emoji"))))
    elif sticker and isinstance(sticker, str):
        files.insert(0, Attachment("sticker", sticker))
    return tuple(files)
