"""SMS Backup & Restore (Android): `sms-….xml` with SMS and MMS, `calls-….xml` with calls.

After the app's published list of fields and public parsers of its files:

    <smses count="2" …>
      <sms address="+15550101" date="1714554000000" type="1" body="tea?" contact_name="Bo" …/>
      <mms date="…" msg_box="2" address="+15550101~+15550102" contact_name="Bo, Peep" …>
        <parts><part ct="text/plain" text="yes"/><part ct="image/jpeg" cl="a.jpg" data="…"/></parts>
        <addrs><addr address="+15550101" type="137"/></addrs>
      </mms>
    </smses>
    <calls count="1"><call number="…" duration="61" date="…" type="1" contact_name="Bo"/></calls>

- Dates are ms UTC. ``type`` and ``msg_box`` are 1 received, 2 sent, 3 draft, 4 to 6 not sent
  yet or not at all; a call's is 1 received, 2 made, and others for missed ones.
- Of an MMS, the address with type 137 sent it. The exporter is "Me"; their number is not said.
- What is absent is the word null. Names that are not known are "(Unknown)".
- Characters beyond U+FFFF are references to both halves of their surrogate pair, which no XML
  parser accepts, and files are cut off or damaged as others are. So only tags, attributes,
  references to characters and the five entities of XML are read here, tag by tag. A file that
  declares entities or a document type is refused: the app writes none, and they are how a
  small file becomes a large one.

Accounts are numbers without blanks and hyphens. Senders with letters in place of a number, and
numbers of three to six figures, are services and count as bots. That is an assumption.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.message_table import Attachment, ParsedMessage, attachment_kind
from myna.sources._shared.text import open_text

TITLE = "SMS Backup & Restore XML"
READS = ("text", "attachments", "stickers", "voice", "calls", "bots")

CHUNK_CHARS = 2**19
"""Characters read at a time, or as many as are waiting."""

MAX_TAG_BYTES = 2**28
"""Bytes of one tag, with a file in it; a longer one is left unread."""

ME = "me"

_ROOT = re.compile(rb"<(?:smses|calls)[\s>]")
_FIRST = re.compile(rb'<(?:sms|mms|call)\s[^>]{0,2000}?\b(?:address|number|date)="')
# Attributes hold no "<": a quote that is never closed ends where the next tag begins.
_TAG = re.compile(
    rb"<(?P<close>/?)(?P<name>[A-Za-z]++)"
    rb"(?P<attributes>(?:\s++[\w:.-]++\s*+=\s*+(?:\"[^\"<]*+\"|'[^'<]*+'))*)\s*+(?P<empty>/?)>"
)
_ATTRIBUTE = re.compile(rb"([\w:.-]++)\s*+=\s*+(?:\"([^\"<]*+)\"|'([^'<]*+)')")
_OTHER = re.compile(rb"<(?:\?[^<>?]*+\?|!--[^<>]*+)>")
_DECLARES = re.compile(rb"<!(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST)", re.IGNORECASE)
_REFERENCE = re.compile(
    r"&(?:#(?:x(?P<hex>[0-9a-fA-F]{1,6})|(?P<number>[0-9]{1,7}))|(?P<name>\w+));"
)
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_SEPARATORS = re.compile(r"[\s().\u00a0-]+")
_SERVICE = re.compile(r"\d{3,6}|(?!\+?[\d*#]+$)[^@]*[A-Za-z][^@]*")
_NO_NAME = ("", "null", "(Unknown)", "Unknown")


class _Element(NamedTuple):
    """A tag: its name, with a slash in front if it closes, its attributes, and its offset."""

    name: str
    attributes: dict[str, str]
    start: int
    is_empty: bool


@dataclass
class _Mms:
    """An MMS while its parts are read."""

    attributes: dict[str, str]
    texts: list[str] = field(default_factory=list)
    files: list[Attachment] = field(default_factory=list)
    sender: str = ""


MOST_CERTAIN = 0.96


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the outermost tag, and those in it."""
    head = file.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"<") or _ROOT.search(head[:4000]) is None:
        return None
    if _FIRST.search(head) or re.search(rb'<(?:smses|calls)\s[^>]*count="', head[:4000]):
        return Recognition("sms_backup", 0.96, "it is a backup of SMS Backup & Restore")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages and calls, in the file's order.

    Raises:
        SourceError: the file is no such backup, declares entities, or cannot be read.
    """
    yield from message_table.to_tables(
        _messages(file, tally), "sms", tally, zone_assumed=False, months_first=False
    )
    if not (tally.read or tally.skipped or _ROOT.search(file.head)):
        raise SourceError(
            f"{file.location} is no backup of SMS Backup & Restore: it has no list of messages; "
            "back up again, in the app's own format, XML"
        )
    tally.bytes_done = file.size


def _messages(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    tally.me = ME
    mms: _Mms | None = None
    is_closed = False
    for element in _elements(file, tally):
        name, fields = element.name, element.attributes
        if name in ("sms", "call", "mms", "/smses", "/calls") and mms is not None:
            tally.skip("message breaks off", f"byte {element.start}")
            mms = None
        if name == "sms":
            if message := _sms(fields, tally):
                yield message
        elif name == "call":
            yield _call(fields)
        elif name == "mms" and not element.is_empty:
            mms = _Mms(fields)
        elif mms is not None and name == "part":
            _add_part(mms, fields)
        elif mms is not None and name == "addr" and fields.get("type") == "137":
            mms.sender = fields.get("address", "")
        elif name == "/mms" and mms is not None:
            if message := _mms(mms, tally):
                yield message
            mms = None
        is_closed = is_closed or name in ("/smses", "/calls")
        tally.bytes_done = min(element.start, file.size)
    if mms is not None:
        tally.skip("message breaks off", "the last of the file")
    if not is_closed and _ROOT.search(file.head):
        tally.notes.append("the backup is not closed: messages may be missing at its end")


def _elements(file: ChatFile, tally: Tally) -> Iterator[_Element]:
    """The tags of a file; bytes between them that are no tags are counted as unread."""
    buffer, start = b"", 0
    with file.open() as stream, open_text(stream, file) as text:
        while True:
            block = text.read(max(CHUNK_CHARS, len(buffer))).encode("utf-8", "surrogatepass")
            buffer += block
            position = 0
            while (begin := buffer.find(b"<", position)) >= 0:
                if _DECLARES.match(buffer, begin):
                    raise SourceError(
                        f"{file.location} declares entities or a document type, as no backup of "
                        "SMS Backup & Restore does: it is not read; back up again with the app"
                    )
                match = _TAG.match(buffer, begin) or _OTHER.match(buffer, begin)
                if match is not None:
                    if match.re is _TAG:
                        yield _element(match, start + begin)
                    position = match.end()
                    continue
                following = buffer.find(b"<", begin + 1)
                if following < 0 and block and len(buffer) - begin < MAX_TAG_BYTES:
                    position = begin
                    break
                end = following if following >= 0 else len(buffer)
                _count_damage(buffer[begin:end], start + begin, start + end, not block, tally)
                position = end
            else:
                position = len(buffer)
            if not block:
                return
            buffer, start = buffer[position:], start + position


def _count_damage(data: bytes, begin: int, end: int, is_last: bool, tally: Tally) -> None:
    """Count bytes that begin like a tag and are none."""
    tally.skip_bytes(begin, end)
    if is_last and b">" not in data:
        tally.notes.append("the backup breaks off within a tag: that is not read")
    elif data.startswith((b"<sms ", b"<mms ", b"<call ")):
        tally.skip("damaged message", f"byte {begin}")


def _element(match: re.Match[bytes], start: int) -> _Element:
    name = match["name"].decode("ascii")
    if match["close"]:
        return _Element(f"/{name}", {}, start, is_empty=True)
    attributes = {
        key.decode("utf-8", "replace"): _value(double or single)
        for key, double, single in _ATTRIBUTE.findall(match["attributes"])
        if key != b"data"  # a file, in base 64
    }
    return _Element(name, attributes, start, bool(match["empty"]))


def _value(raw: bytes) -> str:
    """An attribute's value, its references resolved, with surrogate pairs joined."""
    text = raw.decode("utf-8", "replace")
    if "&" not in text:
        return text
    text = _REFERENCE.sub(_resolve, text)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _resolve(match: re.Match[str]) -> str:
    """A reference's character; one to another entity stays as it is."""
    if match["name"]:
        return _ENTITIES.get(match["name"], match[0])
    code = int(match["hex"], 16) if match["hex"] else int(match["number"])
    return chr(code) if 0 < code < 0x110000 else "\ufffd"


def _sms(fields: dict[str, str], tally: Tally) -> ParsedMessage | None:
    """Convert an SMS; None for a draft."""
    if fields.get("type") == "3":
        tally.skip("draft that was never sent", fields.get("body", ""))
        return None
    address, subject = fields.get("address", ""), fields.get("subject", "null")
    text = fields.get("body", "")
    if subject not in ("", "null"):
        text = f"{subject}\n{text}"
    name = fields.get("contact_name", "")
    is_mine = fields.get("type") in ("2", "4", "5", "6")
    return _parsed(address, name, address, name, is_mine, fields, text=text)


def _mms(mms: _Mms, tally: Tally) -> ParsedMessage | None:
    """Convert an MMS; None for a draft."""
    fields = mms.attributes
    box = fields.get("msg_box", "1")
    if box == "3":
        tally.skip("draft that was never sent", "\n".join(mms.texts))
        return None
    chat, names = fields.get("address", ""), fields.get("contact_name", "")
    addresses = chat.split("~")
    sender = mms.sender if mms.sender not in ("", "insert-address-token") else addresses[0]
    listed = [name.strip() for name in names.split(",")]
    name = ""
    if len(listed) == len(addresses):
        by_number = {_account(a): n for a, n in zip(addresses, listed, strict=True)}
        name = by_number.get(_account(sender), "")
    text = "\n".join(part for part in mms.texts if part)
    is_mine = box in ("2", "4", "5")
    return _parsed(chat, names, sender, name, is_mine, fields, text=text, files=tuple(mms.files))


def _call(fields: dict[str, str]) -> ParsedMessage:
    number, name = fields.get("number", ""), fields.get("contact_name", "")
    kinds = {"1": "received", "2": "made", "3": "missed", "5": "refused"}
    seconds = fields.get("duration", "0")
    text = f"call {kinds.get(fields.get('type', ''), 'other')}, {seconds} s"
    is_mine = fields.get("type") == "2"
    return _parsed(number, name, number, name, is_mine, fields, text=text, kind="call")


def _parsed(
    chat: str,
    chat_name: str,
    sender: str,
    name: str,
    is_mine: bool,
    fields: dict[str, str],
    *,
    text: str,
    kind: str = "text",
    files: tuple[Attachment, ...] = (),
) -> ParsedMessage:
    """A message of a chat, which is one number or several."""
    channel_id = "~".join(sorted(map(_account, chat.split("~"))))
    account = _account(sender)
    shown = chat_name if chat_name not in _NO_NAME else chat.replace("~", ", ")
    date = fields.get("date", "")
    return ParsedMessage(
        author="Me" if is_mine else name if name not in _NO_NAME else sender or "unknown",
        author_id=ME if is_mine else account or None,
        handle=None if is_mine else account or None,
        text=text,
        sent_at=int(date) * 1000 if date.isdecimal() and len(date) < 15 else date or None,
        channel=shown or "unknown",
        channel_id=channel_id or None,
        kind=kind,
        is_bot=not is_mine and _SERVICE.fullmatch(account) is not None,
        attachments=files,
    )


def _account(address: str) -> str:
    """A number without the blanks and hyphens that each phone writes differently."""
    plain = _SEPARATORS.sub("", address)
    return plain if plain.lstrip("+").isdecimal() else address.strip()


def _add_part(mms: _Mms, fields: dict[str, str]) -> None:
    """Add a part of an MMS: its text, or its file."""
    type_ = fields.get("ct", "").lower()
    if type_ == "text/plain":
        mms.texts.append(fields.get("text", "").replace("\r\n", "\n"))
    elif type_ != "application/smil":
        names = (fields.get(key, "") for key in ("cl", "name", "fn"))
        name = next((name for name in names if name not in ("", "null")), "")
        family = type_.partition("/")[0]
        kind = {"image": "image", "video": "video", "audio": "voice"}.get(family)
        mms.files.append(
            Attachment("gif" if type_ == "image/gif" else kind or attachment_kind(name), name)
        )
