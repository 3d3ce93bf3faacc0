"""WeChat chats as the known exporters write them: tables (CSV) and JSON.

WeChat has no export of its own. Read are, told by their columns or keys:

    PyWxDump    CSV, or a list: id, MsgSvrID, type_name, is_sender, talker, room_name, msg, src,
                CreateTime
    MemoTrace   CSV: localId, TalkerId, Type, SubType, IsSender, CreateTime, Status, StrContent,
                StrTime, Remark, NickName, Sender; newer: 消息ID, 类型, 发送人, 时间, 内容, 备注, …
    chatlog     CSV: Time, SenderName, Sender, TalkerName, Talker, Content; or a list of seq,
                time, talker, sender, senderName, isSelf, type, subType, content
    WeFlow, EchoTrace   {weflow?, session{wxid, nickname, remark, displayName, type},
                messages[{localId, createTime, type, content, isSend, senderUsername,
                senderDisplayName}]}
    and tables with some of these columns, such as localId, NickName, Sender, Type, msg

Known from public parsers of these formats. Could not be confirmed: how each exporter writes
the text of an answer and of a card; words behind "[引用]", or "引用:" on a line of its own, and
in 「 」 at the end are taken for the quoted message, and XML for no words at all.

- `Type` is WeChat's number (1 text, 3 image, 34 voice, 43 video, 47 sticker, 48 place, 49 an
  app's message with its SubType, 50 call, 10000 notice) or a word (文本, 图片消息, …).
- Accounts are wxids where the format has them. Public accounts (gh_…) and the platform's own
  are bots. In a group the text may begin with the sender's wxid on a line of its own.
- Who `IsSender`, `isSend` or `isSelf` marks, or is called 我, made the export.
- A time that is a number is UTC; others are local.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec
import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.chat_lists import get, get_text, open_object
from myna.sources._shared.json_objects import decode_items, is_complete
from myna.sources._shared.json_stream import SEPARATORS, ListPattern, pieces, pieces_from
from myna.sources._shared.message_table import Attachment, ParsedMessage
from myna.sources._shared.rows import CsvHeader, find_csv_header, read_csv_rows
from myna.sources._shared.text import head_text, open_text

TITLE = "WeChat (PyWxDump, MemoTrace, WeFlow, chatlog)"
READS = (
    *("text", "deleted", "forwards", "attachments", "stickers", "voice", "calls", "system"),
    "bots",
)

MAX_ACCOUNTS = 100_000
"""Accounts that are remembered to tell half of one from a whole one."""

_COLUMNS = {
    "id": ("MsgSvrID", "消息ID", "localId", "seq", "id"),
    "type": ("type_name", "Type", "类型", "消息类型", "type"),
    "subtype": ("SubType", "subType"),
    "is_sender": ("is_sender", "IsSender", "isSend", "isSelf"),
    "account": ("senderUsername", "Sender", "sender", "发送者微信ID"),
    "name": ("senderDisplayName", "SenderName", "senderName", "发送人", "NickName", "发送者昵称"),
    "remark": ("Remark", "备注", "发送者备注"),
    "room": ("room_name", "Talker", "talker", "TalkerId"),
    "room_name": ("TalkerName", "talkerName"),
    "text": ("StrContent", "msg", "内容", "Content", "content"),
    "time": ("CreateTime", "createTime", "时间", "Time", "time", "StrTime"),
}
"""Names of columns and keys by role, the first that there is."""

_TELLING = {
    *("MsgSvrID", "type_name", "is_sender", "talker", "room_name", "localId", "TalkerId"),
    *("IsSender", "StrContent", "StrTime", "消息ID", "发送人", "TalkerName", "SenderName"),
    *("senderUsername", "senderDisplayName", "isSend", "CreateTime", "Talker", "NickName"),
    *("发送者微信ID", "发送者昵称", "isSelf", "talkerName", "isChatRoom", "更多信息", "备注"),
}
"""Names of which a file of this source has at least three."""

_SHAPE = ListPattern(
    key=b"messages",
    boundary=re.compile(rb',\s*(?=\{\s*"(?:localId|id|seq)"\s*:\s*"?[0-9]+"?\s*,)'),
    ending=re.compile(rb'\]\s*(?:,\s*"avatars"\s*:[^\]]{0,5000})?\}\s*\Z'),
)
_ITEMS = msgspec.json.Decoder(list[dict[str, Any]])
_BOM = b"\xef\xbb\xbf"
_LIST = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[")
_KEY = re.compile(rb'"([^"\\]{1,24})"\s*:')

_TYPES = {
    **dict.fromkeys((42, 48, 10000, 10002), "system"),  # people, places, notices
    1: "text",
    3: "image",
    34: "voice",
    43: "video",
    47: "sticker",
    50: "call",
    62: "video",
}
_APP_TYPES = {6: "file", 8: "gif", 19: "forward", 57: "text", 62: "system", 2000: "system"}
_WORDS = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"撤回|recall", "deleted"),
        (r"引用|quote|refer", "text"),
        (r"转发|聊天记录|合并|forward", "forward"),
        (r"通话|call|voip", "call"),
        (r"图片|照片|picture|image|photo", "image"),
        (r"语音|voice|audio", "voice"),
        (r"系统|拍一拍|位置|名片|红包|转账|收款|system|location", "system"),
        (r"视频号|小程序|直播|链接|卡片|图文|分享|音乐|\b(?:link|card|share)", "forward"),
        (r"视频|video", "video"),
        (r"表情|sticker|emoji", "sticker"),
        (r"文件|file", "file"),
        (r"文本|文字|text", "text"),
    )
)
_ME = "我"
_MEDIA = ("image", "voice", "video", "sticker", "file", "gif")
_QUOTE_MARKS = ("[引用]", "\n引用:", "\n引用：")
_SENDER_LINE = re.compile(r"(wxid_\w+|[A-Za-z][\w-]{5,19}):\r?\n")
_RECALLED = re.compile(r".{0,60}(?:撤回了一条消息|recalled a message)\.?")
_XML = re.compile(r"\s*(?:<\?xml|<msg\b|<sysmsg\b|<voip)")
_BOTS = re.compile(r"gh_\w+|weixin|notifymessage|newsapp|medianote|fmessage|qqmail")
_PARTS = re.compile(r"(.+?)_\d+_\d+")


class _Table(NamedTuple):
    """The chat of a file, from its head and its name."""

    name: str
    id: str | None


MOST_CERTAIN = 0.93


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by its columns or keys."""
    header = _header(file)
    if header is not None:
        return Recognition("wechat", 0.9, f"its columns are {', '.join(header.names[:4])}, …")
    head = file.head.removeprefix(_BOM).lstrip()
    if not head.startswith((b"{", b"[")):
        return None
    keys = {key.decode("utf-8", "replace") for key in _KEY.findall(head)}
    if b'"chatlab"' in head[:2000] or not _is_telling(keys):
        return None
    if head.startswith(b"{") and not ("session" in keys and "messages" in keys):
        return None
    names = ", ".join(sorted(keys & _TELLING)[:3])
    return Recognition("wechat", 0.93, f"its messages have {names}")


def _is_telling(names: set[str]) -> bool:
    """True if enough of the names are WeChat's, with a text and a time among them."""
    has_both = all(not names.isdisjoint(_COLUMNS[role]) for role in ("text", "time"))
    return has_both and len(names & _TELLING) >= 3


def _header(file: ChatFile) -> CsvHeader | None:
    return find_csv_header(
        head_text(file).removeprefix("\ufeff"), lambda names: _is_telling(set(names))
    )


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order.

    Raises:
        SourceError: the file holds no messages of this format, or cannot be read.
    """
    header = _header(file)
    rows = _from_table(file, header, tally) if header else _from_json(file, tally)
    chat = _chat(file)
    messages = (message for row in rows if (message := _message(row, chat, tally)))
    yield from message_table.to_tables(messages, "wechat", tally, months_first=False)
    tally.bytes_done = file.size


def _chat(file: ChatFile) -> _Table:
    """The chat: of the session, or named after the file."""
    stem = PurePath(file.name).stem
    if part := _PARTS.fullmatch(stem):
        stem = part[1]
    if file.head.removeprefix(_BOM).lstrip().startswith(b"{"):
        with file.open() as stream:
            head = next(pieces(stream, _SHAPE))
        session = get(open_object(head.data), "session")
        names = (get_text(session, key) for key in ("displayName", "remark", "nickname", "wxid"))
        return _Table(next(filter(None, names), stem), get_text(session, "wxid") or None)
    return _Table(stem or file.folder_name or "chat", None)


def _from_table(file: ChatFile, header: CsvHeader, tally: Tally) -> Iterator[Mapping[str, Any]]:
    columns = {name: name for name in header.names if name}
    last, notes = header.names[-1], len(tally.notes)
    is_account = any(last in _COLUMNS[role] for role in ("account", "name", "remark"))
    seen: set[str] = set()
    with file.open() as stream, open_text(stream, file) as lines:
        for row in read_csv_rows(lines, header, columns, file.size, tally):
            tally.bytes_done = min(stream.tell(), file.size)
            # A last row without its end may have half an account in its last cell.
            if is_account and len(tally.notes) > notes and row[last] not in seen:
                tally.skip("row breaks off", ", ".join(row.values()))
                continue
            seen |= {row[last]} if is_account and len(seen) < MAX_ACCOUNTS else set()
            yield row


def _from_json(file: ChatFile, tally: Tally) -> Iterator[Mapping[str, Any]]:
    """The objects of a list, or of the list in a document.

    Raises:
        SourceError: there is no such list.
    """
    begin = _LIST.match(file.head)
    with file.open() as stream:
        found = pieces_from(stream, _SHAPE, begin.end()) if begin else pieces(stream, _SHAPE)
        for piece in found:
            if piece.kind == "items":
                yield from decode_items(piece, _ITEMS, _SHAPE, tally)
            elif piece.kind == "lost":
                if piece.start == 0 and is_complete(piece.data):
                    raise SourceError(
                        f"{file.location} is no export of WeChat: it has neither WeChat's columns "
                        "nor a list of messages; name the columns with --columns"
                    )
                tally.skip_bytes(piece.start, piece.end)
                tally.notes.append("the export breaks off: what follows its last message is lost")
            elif piece.kind == "tail" and begin and piece.data.strip(SEPARATORS):
                tally.skip_bytes(piece.start, piece.end)
                tally.notes.append("something that is no message stands behind the list")
            elif piece.kind == "tail" and not begin and not _is_closed(piece.data):
                tally.notes.append("the export breaks off behind its last message: none is missing")
            tally.bytes_done = piece.end
    if begin and not tally.read and not _has_telling_head(file):
        raise SourceError(
            f"{file.location} is no export of WeChat: its list has none of WeChat's messages; "
            "name the columns of a table with --columns"
        )


def _has_telling_head(file: ChatFile) -> bool:
    """True if the first bytes have keys of WeChat's."""
    return _is_telling({key.decode("utf-8", "replace") for key in _KEY.findall(file.head)})


def _is_closed(tail: bytes) -> bool:
    return is_complete(b"{" + tail.lstrip(SEPARATORS))


def _field(row: Mapping[str, Any], role: str) -> str:
    """The value of the first column of a role that there is, as text."""
    for name in _COLUMNS[role]:
        if name in row:
            value = row[name]
            if isinstance(value, bool):
                return str(int(value))
            if isinstance(value, str | int | float):
                return str(value).strip() if role != "text" else str(value)
            return ""
    return ""


def _message(row: Mapping[str, Any], chat: _Table, tally: Tally) -> ParsedMessage | None:
    """Convert a row; None if it has nothing of a message."""
    text, time = _field(row, "text"), _field(row, "time")
    kind = _kind(_field(row, "type"), _field(row, "subtype"), row)
    is_dump = "is_sender" in row and "talker" in row  # there, the talker is the sender
    account = str(row.get("talker") or "") if is_dump else _field(row, "account")
    if not account.endswith("@chatroom") and (line := _SENDER_LINE.match(text)):
        account, text = (account or line[1]), text[line.end() :]
    name = _field(row, "remark") or _field(row, "name") or account
    if not (text or time or account):
        tally.skip("no message", str(row))
        return None
    if _field(row, "is_sender") == "1" or name == _ME:
        tally.me = account or name or None
    room = str(row.get("room_name") or "") if is_dump else _field(row, "room")
    files: tuple[Attachment, ...] = ()
    if _RECALLED.fullmatch(text):
        kind = "deleted"
    if kind in _MEDIA:
        path = str(row.get("src") or "") or (text if "\n" not in text and "." in text else "")
        files = (Attachment(kind, re.split(r"[/\\]", path)[-1] if len(path) < 300 else ""),)
        kind, text = "text", ""
    elif kind == "deleted" or _XML.match(text):
        text = ""
    elif kind == "text":
        text = _unquoted(text)
    is_notice = kind == "system" and account.endswith("@chatroom")
    return ParsedMessage(
        author="" if is_notice else name or "unknown",
        author_id=None if is_notice else account or None,
        handle=None if is_notice else account or None,
        text=text,
        sent_at=time or None,
        channel=_field(row, "room_name") or (chat.name if chat.id else "") or room or chat.name,
        channel_id=chat.id or room or None,
        id=_field(row, "id").removeprefix("0") or None,  # 0 until WeChat gives one
        kind=kind,
        is_bot=_BOTS.fullmatch(account) is not None,
        attachments=files,
    )


def _unquoted(text: str) -> str:
    """A text without the message that it answers, which stands at its end."""
    at = min((at for mark in _QUOTE_MARKS if (at := text.find(mark)) >= 0), default=-1)
    if at < 0 and text.endswith("」"):
        at = text.find("\n「")
    return text[:at].rstrip() if at >= 0 else text


def _kind(type_: str, subtype: str, row: Mapping[str, Any]) -> str:
    """The kind of a message, or of its medium."""
    if type_.isdigit():
        number = int(type_)
        if number > 2**32:  # newer versions put the SubType into the upper half
            number, subtype = number % 2**32, str(number >> 32)
        if number == 49:
            return _APP_TYPES.get(int(subtype) if subtype.isdigit() else 0, "forward")
        return _TYPES.get(number, "text" if not number else "system")
    if type_:
        return next((kind for word, kind in _WORDS if word.search(type_)), "system")
    return "text"
