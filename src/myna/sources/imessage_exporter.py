"""Text files of imessage-exporter: one for each chat, named after it.

After what its exporters/txt.rs writes:

    May 17, 2022  5:29:42 PM (Read by them after 1 hour, 49 seconds)
    Me                                          the sender
    hello
    Tapbacks:                                   "Reactions:" in older versions
    Loved by ada
                                                a blank line ends each block
        May 17, 2022  5:31:00 PM                a reply: only its lines' beginnings
        ada                                     are indented
        hi

    This message responded to an earlier message.

    May 17, 2022  5:40:00 PM You named the conversation Tea House

- Times are local, without a zone. Blank lines may stand anywhere in a message, so one
  begins where a line after a blank one is a date and no more; a date and more is a notice.
- A reply stands below what it answers and once more in its own place, with the note that
  it responded: that one is read, the other one tells which message it answers.
- An edited part is ``DATE first text``, then ``Edited 5 seconds later: text`` for each
  edit. An unsent part is a line that says so; a message unsent as a whole is a notice.
- Attachments are paths, stickers ``Sticker from NAME: path``, a voice message may have a
  ``Transcription:``. ``Sent with Confetti`` and its like are effects.
- The exporter's user is "Me", or the name given to the exporter, which receipts then show.

Assumed: indistinguishable by their form are the rest of a reply's text behind a blank line
and the rest of the message that it answers; it is the latter's where that has no text yet
(a photo and its caption). Lines behind a lone link are its preview's, for Messages sends a
link by itself. "NAME message:" begins an app's message. The lines of app messages other
than those known here are read as text.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import NamedTuple

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.imessage import TAPBACKS
from myna.sources._shared.message_table import (
    Attachment,
    MessageIds,
    ParsedMessage,
    attachment_kind,
    count_reactions,
)
from myna.sources._shared.text import begins_head, head_lines, read_lines

TITLE = "imessage-exporter text"
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

_DATE = r"[A-Z][a-z]{2} \d\d, \d{4} [ \d]\d:\d\d:\d\d [AP]M"
_DATED = re.compile(rf"({_DATE})(?: (.*))?")
_HEAD = re.compile(rf"({_DATE})(?: \(Read by .*\))?")
_READER = re.compile(r"\(Read by (.{1,200}) after ")
_EDIT = re.compile(r"Edited [\w, ]{1,99}? later: ?(.*)")
_NOTICE = re.compile(
    r"(.+?) (?:added|removed|renamed|named|left|changed|kept|unsent|performed) .*", re.DOTALL
)
_STICKER = re.compile(r"(?:\w+ )?Sticker from [^:]*: ")
_PATH = re.compile(r"(?:~?/|[A-Za-z]:\\|attachments[/\\])\S.*[/\\](\S.*)")
_FILE = re.compile(r"[^\s/\\]+\.\w{3,4}|Audio Message\.\w{3}")
_HASH = re.compile(r"[0-9a-f]{40}")
_LINK = re.compile(r"https?://\S+")
_APP_MESSAGE = re.compile(
    r"(?:[A-Z]\S*(?: \S+)?|[\w-]+(?:\.[\w-]+)+) message:|Digital Touch Message: .*"
    r"|Unable to format app message: .*|Photo album: .*|[\w ]+ transaction: .*|Check\xa0In.*"
)

_INDENT = "    "
_RESPONDED = "This message responded to an earlier message."
_DELETED_NOTE = "This message was deleted from the conversation!"
_MISSING_NOTES = ("Attachment missing!", "Attachment missing name metadata!")
_UNKNOWN_NOTICE = "Unable to format announcement!"
_UNSENT_ENDINGS = (" unsent this message part!", " after sending!")
_OWN_LINES = (_RESPONDED, _DELETED_NOTE, *_MISSING_NOTES, "Tapbacks:", "Reactions:")
_EXAMPLE = "May 17, 2022  5:29:42 PM"
_EFFECTS = {
    f"Sent with {effect}"
    for effect in (
        *("Confetti", "Echo", "Fireworks", "Balloons", "Heart", "Lasers", "Shooting Star"),
        *("Sparkles", "Spotlight", "Slam", "Loud", "Gentle", "Invisible Ink"),
    )
}
_TAPBACK = re.compile(r"(?!Sticker from )(.{1,40}?) by (.+)")
_SYSTEM = {
    *("SharePlay Message\nEnded", "Started sharing location!", "Stopped sharing location!"),
    "Shared location!",
}

MOST_CERTAIN = 0.95


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by a first line with a date, and a line that is a date above a name."""
    first, *rest = [*head_lines(file), ""]
    if not (_DATED.fullmatch(first) or first == _UNKNOWN_NOTICE):
        return None
    for line, below in zip([first, *rest], rest, strict=False):
        if _HEAD.fullmatch(line) and below:
            return Recognition("imessage_exporter", 0.95, "its messages begin with such dates")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order.

    Raises:
        SourceError: the file holds no message of this format, or cannot be read.
    """
    messages = _messages(file, tally)
    yield from message_table.to_tables(
        messages, "imessage", tally, zone_assumed=True, months_first=True
    )
    if not (tally.read or tally.skipped.keys() - {"outside of messages"}):
        raise SourceError(
            f"{file.location} is no text of imessage-exporter: no line is a date and the "
            "next one a name; export the chat again with -f txt"
        )


class _Block(NamedTuple):
    """A message or a notice: its lines, the number of the first, and whether it has an end."""

    number: int
    lines: list[str]
    is_whole: bool


def _blocks(file: ChatFile, tally: Tally) -> Iterator[_Block]:
    block: list[str] = []
    begin, is_blank = 0, True
    for number, line in read_lines(file, tally, _is_whole_line):
        if is_blank and line == _UNKNOWN_NOTICE:
            tally.skip("notice without words", f"line {number}")
            continue
        if _HEAD.fullmatch(line) or (is_blank and _DATED.fullmatch(line)):
            if block:
                yield _Block(begin, block, is_whole=True)
            block, begin = [], number
        is_blank = not line.strip()
        if begin:
            block.append(line)
        elif not is_blank:
            tally.skip("outside of messages", f"line {number}: {line}")
    if block:
        yield _Block(begin, block, is_whole=is_blank or len(block) > 2 or not _has_sender(block))


def _has_sender(block: list[str]) -> bool:
    """True unless the block is a notice, whose words stand behind its date."""
    dated = _DATED.fullmatch(block[0])
    return not (dated and dated[2] and not dated[2].startswith("("))


def _is_whole_line(line: str) -> bool | None:
    """False for a last line that breaks off in what the exporter writes itself."""
    own = any(known.startswith(line) for known in _OWN_LINES if len(line) > 4)
    return False if own or begins_head(line.strip(), [_EXAMPLE], _DATED.fullmatch) else None


def _messages(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    chat = PurePath(file.name).stem
    ids = MessageIds()
    # Ids of answered messages, by date and sender of the reply below them.
    reply_targets: dict[tuple[str, str], deque[str]] = defaultdict(deque)
    previews = 0
    for block in _blocks(file, tally):
        dated = _DATED.fullmatch(block.lines[0])
        date, rest = dated.groups() if dated else ("", None)
        author = block.lines[1] if len(block.lines) > 1 else ""
        if not block.is_whole:
            tally.skip("message breaks off", f"line {block.number}")
            tally.notes.append(f"the file breaks off in the message of line {block.number}")
        elif rest and not rest.startswith("("):
            yield _notice(date, "\n".join([rest, *block.lines[1:]]).strip(), chat)
        elif not author.strip():
            tally.skip("message without a sender", f"line {block.number}")
        else:
            reader = _READER.match(rest or "")
            if author == "Me":
                tally.me = "me"
            elif reader and reader[1] not in ("them", "you"):
                tally.me = reader[1]
            parsed = _parse_lines(block.lines[2:])
            previews += parsed.has_preview
            sent = ParsedMessage(
                author=author,
                author_id="me" if author == "Me" else None,
                text=parsed.text,
                sent_at=date,
                channel=chat,
                kind=parsed.kind,
                edited=parsed.is_edited,
                attachments=tuple(parsed.files),
                reactions=count_reactions(parsed.tapbacks),
            )
            sent = sent._replace(id=ids.new(sent))
            for reply in parsed.replies:
                reply_targets[reply].append(sent.id or "")
            if parsed.is_reply and (targets := reply_targets.get((date, author))):
                sent = sent._replace(reply_to=targets.popleft())
                if not targets:
                    del reply_targets[date, author]
            yield sent
    if previews:
        tally.notes.append(f"of {previews:,} links, title and summary of the page are left out")


def _notice(date: str, text: str, chat: str) -> ParsedMessage:
    """A notice by the platform; that a message was unsent stands for the message itself."""
    match = _NOTICE.fullmatch(text)
    author = match[1] if match else ""
    is_unsent = text.endswith(" unsent a message!")
    return ParsedMessage(
        author="Me" if author == "You" else author,
        author_id="me" if author == "You" else None,
        text="" if is_unsent else text,
        sent_at=date,
        channel=chat,
        kind="deleted" if is_unsent else "system",
    )


@dataclass
class _Parsed:
    """The content of a message, filled while its lines are parsed."""

    lines: list[str] = field(default_factory=list)
    files: list[Attachment] = field(default_factory=list)
    replies: list[tuple[str, str]] = field(default_factory=list)
    tapbacks: list[tuple[str, str]] = field(default_factory=list)
    kind: str = "text"
    text: str = ""
    is_reply: bool = False
    is_edited: bool = False
    has_preview: bool = False


def _parse_lines(block: list[str]) -> _Parsed:
    """Parse the lines below a sender."""
    parsed = _Parsed()
    is_unsent = False
    for line in _own_lines(block, parsed):
        if line == _RESPONDED:
            parsed.is_reply = True
        elif line in _MISSING_NOTES:
            parsed.files.append(Attachment("file", ""))
        elif sticker := _STICKER.match(line):
            parsed.files.append(Attachment("sticker", _sticker_name(line[sticker.end() :])))
        elif name := _attachment_name(line):
            parsed.files.append(Attachment(attachment_kind(name), name))
        elif line.endswith(_UNSENT_ENDINGS) and _UNSENT_ENDINGS[0][:-1] in line:
            is_unsent = True
        elif line not in _EFFECTS and not _is_transcription(line, parsed):
            parsed.lines.append(line)
    parsed.text = _last_version(parsed)
    first, _, more = parsed.text.partition("\n")
    if block[:1] == [_DELETED_NOTE] or (is_unsent and not parsed.text and not parsed.files):
        parsed.kind, parsed.text, parsed.files = "deleted", "", []
    elif parsed.text in _SYSTEM or _APP_MESSAGE.fullmatch(first):
        parsed.kind = "system"
    elif more and _LINK.fullmatch(first):
        parsed.text, parsed.has_preview = first, True
    parsed.is_edited = (parsed.is_edited or is_unsent) and parsed.kind == "text"
    return parsed


def _own_lines(block: list[str], parsed: _Parsed) -> Iterator[str]:
    """The message's own lines, without reactions and the replies below it."""
    state = "own"
    date = indent = ""
    for line, below in zip(block, [*block[1:], ""], strict=False):
        is_blank = not line.strip()
        if line.startswith(_INDENT) and (head := _HEAD.fullmatch(line, len(_INDENT))):
            state, date = "head", head[1]
        elif state == "head":
            parsed.replies.append((date, line.strip()))
            state = "reply"
        elif state == "reply":
            state = "behind" if is_blank else state
        elif state == "tapbacks" and (is_blank or _is_tapback(line, indent)):
            state = "own" if is_blank else state
            if tapback := _TAPBACK.fullmatch(line.strip()):
                sender = "me" if tapback[2] == "Me" else tapback[2]
                parsed.tapbacks.append((TAPBACKS.get(tapback[1], tapback[1]), sender))
        elif line in ("Tapbacks:", "Reactions:") and _is_tapback(below, ""):
            state = "tapbacks"
            indent = _INDENT if below.startswith(_INDENT) else ""
        elif state == "behind" and (is_blank or _continues_reply(line, parsed)):
            pass
        else:
            state = "own"
            yield line


def _is_tapback(line: str, indent: str) -> bool:
    return line.startswith(indent) and (" by " in line or "Sticker from " in line)


def _continues_reply(line: str, parsed: _Parsed) -> bool:
    """True if a line behind a reply belongs to the reply, not to this message."""
    if line.startswith(_INDENT):
        return True
    return any(parsed.lines) and line != _RESPONDED and not _attachment_name(line)


def _is_transcription(line: str, parsed: _Parsed) -> bool:
    """True for a machine transcription of the voice message before it."""
    is_voice = any(file.kind == "voice" for file in parsed.files[-1:])
    return is_voice and line.startswith("Transcription: ")


def _attachment_name(line: str) -> str | None:
    """The name of an attachment if the line is its path or name, else None."""
    path = _PATH.fullmatch(line)
    name = path[1] if path else line
    is_file = "." in name[:-1] or _HASH.fullmatch(name) if path else _FILE.fullmatch(name)
    if is_file and (path or attachment_kind(name) != "file"):
        return name
    return None


def _sticker_name(path: str) -> str:
    """A sticker's name from its path, without the app or the prompt that follows."""
    path = path.partition(" (App: ")[0].partition(" (Genmoji prompt: ")[0]
    return re.split(r"[/\\]", path)[-1]


def _last_version(parsed: _Parsed) -> str:
    """The text, with the last version of each edited part."""
    done: list[str] = []
    part: list[str] = []  # a part that begins with a date, and may have been edited
    version: list[str] | None = None

    def finish() -> None:
        done.extend(part if version is None else version)

    for line in parsed.lines:
        if _DATED.fullmatch(line):
            finish()
            part, version = [line], None
        elif part and (edited := _EDIT.fullmatch(line)):
            version = [edited[1]]
            parsed.is_edited = True
        elif version is not None:
            version.append(line)
        else:
            (part or done).append(line)
    finish()
    return "\n".join(done).strip("\n")
