"""QQ's own text exports, from the message manager of QQ for Windows.

Known from public parsers of such files and their test texts:

    消息记录（此消息记录为文本格式，不支持重新导入）
    ================================================================
    消息分组:我的好友
    ================================================================
    消息对象:Ada                              the chat; an export of all has many of them
    ================================================================

    2019-07-16 18:15:05 Ada(23333233)         or Ada<ada@example.org>, or Ada alone
    tea?                                      one line or more
                                              a blank line ends each message

- Accounts are numbers or addresses; where the line has none, the name is all there is.
- In groups a title may stand before the name, 【管理员】Ada, which is left out.
- Pictures and faces are placeholders in the text, `[图片]`, `[表情]`.
- The number 10000 and the name 系统消息 are QQ's own; their texts, and those that say that
  somebody took a message back or joined, are notices.

A line that looks like the first of a message begins one only behind a blank line. That is an
assumption, as a text may hold blank lines and such a line. All times are local, of an unknown
zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple

import polars as pl

from myna.errors import SourceError
from myna.sources import ChatFile, Recognition, Tally
from myna.sources._shared import message_table
from myna.sources._shared.message_table import Attachment, ParsedMessage
from myna.sources._shared.text import head_lines
from myna.sources._shared.text_records import Record, read_records

TITLE = "QQ text export"
READS = ("text", "deleted", "attachments", "stickers", "voice", "calls", "system")

_PREAMBLE = "消息记录（此消息记录为文本格式"
_CHAT = "消息对象:"
_GROUP = "消息分组:"
_RULE = re.compile(r"={20,}")
_HEAD = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d{1,2}:\d\d:\d\d) (?P<name>.*?)"
    r"(?:\((?P<number>[0-9]{4,12})\)|<(?P<mail>[^<>\s@]{1,100}@[^<>\s@]{1,200})>)?"
)
_TORN = re.compile(r"\d{1,4}(?:-[\d: -]*)?(?: .*)?|消息.{0,30}|=+")
_LEVEL = re.compile(r"^(?:【[^】]{0,20}】\s?)+(?=.)")
_SYSTEM_NUMBERS = ("10000", "1000000", "80000000")
_SYSTEM_NAME = "系统消息"
_MEDIA = {
    "图片": "image",
    "表情": "sticker",
    "动画表情": "sticker",
    "语音": "voice",
    "视频": "video",
    "短视频": "video",
    "文件": "file",
    "闪照": "image",
}
_PLACEHOLDER = re.compile(rf"\[({'|'.join(_MEDIA)})\]")
_RECALLED = re.compile(r".{0,60}撤回了一条(?:成员)?消息.{0,20}")
_NOTICE = re.compile(
    r".{0,120}(?:加入了?本?群|加入了群聊|退出了群聊|被移出群聊|被.{0,60}移出.{0,10}群|修改了群名称?"
    r"|修改群名为|成为新群主|邀请.{1,60}加入|已成为好友|现在可以开始聊天).{0,60}"
)
_CALL = re.compile(
    r"\[(?:语音|视频)通话\].{0,40}|.{0,20}通话时长.{0,20}|.{0,20}(?:取消|拒绝)了?.{0,8}通话.{0,10}"
)


class _Section(NamedTuple):
    """A line with the name of a chat or of the group that it is in, or a rule."""

    chat: str | None


class _Line(NamedTuple):
    """The first line of a message."""

    time: str
    name: str
    account: str | None


_Head = _Section | _Line

MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by its preamble, or by a chat's name and the lines of messages."""
    lines = head_lines(file, 60)
    if any(line.startswith(_PREAMBLE) for line in lines[:3]):
        return Recognition("qq", 0.97, "it begins as QQ's text exports do")
    first = next((line for line in lines if line.strip()), "").removeprefix("\ufeff")
    has_chats = any(line.startswith((_CHAT, _GROUP)) for line in lines[:20])
    if isinstance(_parse_head(first, True), _Section) and has_chats:
        return Recognition("qq", 0.95, "it has QQ's names of chats")
    begin = _HEAD.fullmatch(first)
    if begin and (begin["number"] or begin["mail"]) and len(lines) > 1:
        return Recognition("qq", 0.9, "its messages begin with a time, a name and a number")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order; all times are local, of an unknown zone.

    Raises:
        SourceError: the file holds no message of this format, or cannot be read.
    """
    yield from message_table.to_tables(
        _messages(file, tally), "qq", tally, zone_assumed=True, months_first=False
    )
    is_ours = any(line.startswith((_PREAMBLE, _CHAT, _GROUP)) for line in head_lines(file, 20))
    if not (tally.read or tally.skipped.keys() - {"line outside any message"} or is_ours):
        raise SourceError(
            f"{file.location} is no text export of QQ: no line is a time, a name and a number; "
            "export the chat again, as text"
        )


def _messages(file: ChatFile, tally: Tally) -> Iterator[ParsedMessage]:
    channel = PurePath(file.name).stem or "chat"
    for record in read_records(file, tally, _parse_head, _is_torn):
        head = record.head
        if isinstance(head, _Section):
            channel = head.chat or channel
            continue
        text = "\n".join(record.lines).rstrip()
        if record.is_last and not text and not any(not line for line in record.lines[1:]):
            tally.skip("message breaks off", f"line {record.number}")
            tally.notes.append(f"the file breaks off in the message of line {record.number}")
            continue
        yield _message(head, text, channel)


def _is_torn(line: str, record: Record[_Head] | None) -> bool:
    """True for the beginning of a first line, which stands below a blank one."""
    if record is None:
        return False
    is_below_blank = not record.lines or not record.lines[-1].strip()
    return isinstance(record.head, _Section) or (
        is_below_blank and bool(record.lines) and _TORN.fullmatch(line) is not None
    )


def _parse_head(line: str, is_after_blank: bool) -> _Head | None:
    line = line.removeprefix("\ufeff").rstrip()
    if line.startswith(_CHAT):
        return _Section(line.removeprefix(_CHAT).strip())
    if line.startswith((_GROUP, _PREAMBLE)) or _RULE.fullmatch(line):
        return _Section(None)
    match = _HEAD.fullmatch(line)
    if match is None or not is_after_blank:
        return None
    name = _LEVEL.sub("", match["name"].strip())
    account = match["number"] or match["mail"]
    return _Line(match["time"], name or account or "unknown", account)


def _message(head: _Line, text: str, channel: str) -> ParsedMessage:
    kind, author = "text", head.name
    if head.account in _SYSTEM_NUMBERS or head.name == _SYSTEM_NAME:
        kind, author = "system", ""
    elif _RECALLED.fullmatch(text):
        kind, text = "deleted", ""
    elif _NOTICE.fullmatch(text):
        kind = "system"
    elif _CALL.fullmatch(text):
        kind = "call"
    files = [Attachment(_MEDIA[name], "") for name in _PLACEHOLDER.findall(text)]
    if files and kind == "text":
        text = re.sub(r" {2,}", " ", _PLACEHOLDER.sub(" ", text)).strip()
    return ParsedMessage(
        author=author,
        author_id=head.account if author else None,
        handle=head.account if author else None,
        text=text,
        sent_at=head.time,
        channel=channel,
        kind=kind,
        attachments=tuple(files) if kind == "text" else (),
    )
