"""KakaoTalk's exported chats: text files of Windows, Android and iOS, CSV of macOS.

Known from public parsers of such files, their test texts and notes on real ones (Korean and
English; which words other languages have could not be confirmed):

    Windows   `--------------- 2024년 12월 9일 월요일 ---------------`
              `[Ada] [오후 2:30] tea?`          or [2:30 PM], or [14:30]; notices have no time
    Android   `2024년 12월 9일 오후 2:30, Ada : tea?`     `December 9, 2024, 2:30 PM, Ada : tea?`
    iOS       `2024. 12. 9. 오후 2:30, Ada : tea?`       `Dec 9, 2024 at 14:30, Ada : tea?`
              `2024. 12. 9. 오후 2:31: Bo left`          or, below a date, `오후 2:30, Ada : tea?`
    macOS     a table with the columns Date, User and Message

- Above stand the chat's name ("Ada 님과 카카오톡 대화", "KakaoTalk Chats with Ada") or that
  of the file (`Talk_2024.12.9 14:30-1.txt`), and the time of saving.
- A line that begins otherwise belongs to the message above it. A notice has no name, or no
  ` : `; on Windows it is a line by itself, known by its words.
- Media, calls and deleted messages are words such as 사진 or "Photo", which nothing tells
  from the same word as somebody typed it.
- Names are all that tells accounts apart; "회원님" is the exporter.
- The rooms' own bots (방장봇, 오픈채팅봇) are bots.

All times are local, of an unknown zone.
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
from myna.sources._shared.rows import find_csv_header, read_csv_rows
from myna.sources._shared.text import head_lines, head_text, open_text
from myna.sources._shared.text_records import Record, read_records

TITLE = "KakaoTalk chat export"
READS = ("text", "deleted", "attachments", "stickers", "voice", "calls", "system", "bots")

_COLUMNS = ["Date", "User", "Message"]
_EXPORTER = "회원님"
_BOTS = ("방장봇", "오픈채팅봇")
_GONE = ("(알 수 없음)", "(알수없음)", "(Unknown)")

_HALVES = {"오전": 0, "오후": 12, "am": 0, "pm": 12, "a.m.": 0, "p.m.": 12, "午前": 0, "午後": 12}
_HALF = "|".join(re.escape(half) for half in _HALVES)
_CLOCK = (
    rf"(?:(?P<before>{_HALF})\s?)?(?P<hour>\d{{1,2}}):(?P<minute>\d\d)"
    rf"(?:[\s\u202f]?(?P<after>{_HALF}))?"
)
_MONTH = r"(?P<name>[A-Z][a-z]{2,8})\.? (?P<day_2>\d{1,2}), (?P<year_2>\d{4})"
_DATE = (
    r"(?:(?P<year>\d{4})(?:[년年.]|-)\s?(?P<month>\d{1,2})(?:[월月.]|-)\s?(?P<day>\d{1,2})[일日.]?"
    rf"|{_MONTH})"
)
_WEEKDAY = r"(?:\s?[월화수목금토일]요일|\s?[月火水木金土日]曜日)?"
_DAY = re.compile(rf"(?:-{{5,}} )?(?:[A-Z][a-z]+, )?{_DATE}{_WEEKDAY}(?: -{{5,}})?")
_WINDOWS = re.compile(rf"\[(?P<author>[^\n]*?)\] \[{_CLOCK}\](?: (?P<text>.*))?", re.IGNORECASE)
_PHONE = re.compile(
    rf"(?:{_DATE}(?:,| at)? )?{_CLOCK}"
    r"(?:, (?P<author>.*?) :(?: (?P<text>.*))?|[,:] (?P<notice>.*))",
    re.IGNORECASE,
)
_BARE_TIME = re.compile(rf"{_DATE}(?:,| at)? {_CLOCK}", re.IGNORECASE)
_TORN = re.compile(
    rf"\[.*|-+(?: .*)?|\d{{4}}.{{0,40}}|(?:{_HALF})\b.{{0,40}}|\d{{1,2}}(?::\d{{0,2}}.{{0,20}})?"
    r"|[A-Z][a-z]{2,8}(?:\.?,? .{0,24})?",
    re.IGNORECASE,
)
_TITLES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(.+?) ?님과의? ?카카오톡 ?대화",
        r"(.+) 카카오톡 대화",
        r"KakaoTalk Chats with (.+?)(?:-\d+\.txt)?",
        r"(.+) with KakaoTalk Chats",
        r"(.+) (?:KakaoTalk|Talk) Chats",
    )
)
_PART = re.compile(r"Talk_[\d. :_-]+\.txt")
_SAVED = re.compile(r"(?:저장한 날짜|Date Saved|Saved Date) ?:.*")
_FOLDER = re.compile(
    r"(?:KakaoTalk Chats with |Kakaotalk_Chat_)(.+?)(?:_\d{8}_\d{6})?", re.IGNORECASE
)
_FILE_NAME = re.compile(
    r"(?:KakaoTalk_Chat_|KakaoTalk_)(.+?)(?:[_ ]\d{4}[-_.\d ]*)?", re.IGNORECASE
)
_NOTICE_BEGINNING = re.compile(r".{1,200}?님(?:이|을|과) |(?:채팅방 관리자|오픈채팅봇|방장)[이가] ")
_NOTICE_ENDINGS = tuple(
    f"{word}습니다{end}"
    for word in ("초대했", "초대하였", "들어왔", "나갔", "내보냈", "가렸", "변경했", "되었")
    for end in (".", "")
)
_ENGLISH_NOTICE = re.compile(
    r".{1,100} (?:invited .{1,400}|joined this chatroom|left this chatroom)\.?"
)
_LEFT = re.compile(r"(.{1,60}) left\.")

_DELETED = {
    *("삭제된 메시지입니다.", "(삭제된 메시지입니다.)", "This message was deleted."),
    *("(This message was deleted.)", "채팅방 관리자가 메시지를 가렸습니다."),
}
_MEDIA = {
    **dict.fromkeys(("사진", "Photo", "Photos", "写真"), "image"),
    **dict.fromkeys(("동영상", "Video", "Videos", "videos", "動画"), "video"),
    **dict.fromkeys(("음성메시지", "음성메세지", "Voice Note", "Voice Message"), "voice"),
    **dict.fromkeys(("이모티콘", "Emoticon", "Emoticons", "スタンプ"), "sticker"),
}
_PHOTOS = re.compile(r"사진 (\d{1,3})장|(\d{1,3}) photos|Photos? (\d{1,3})", re.IGNORECASE)
_FILE = re.compile(r"(?:파일|File): (.+)")
_CALL = re.compile(
    r"(?:보이스톡|페이스톡|라이브톡|그룹콜|보이스룸|(?:Voice|Video|Group) Call|Live Talk)\b.{0,60}"
)
_OTHER = re.compile(
    r"(?:샵검색|지도|위치|연락처|투표|일정|공지|Map|Location|Contact|Poll|Event): .*"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class _Day(NamedTuple):
    """A line with a date, as ISO 8601; None for an impossible one."""

    day: str | None


class _Line(NamedTuple):
    """The first line of a message or, without an author, of a notice."""

    day: str | None
    clock: str
    author: str
    text: str


class _Title(NamedTuple):
    """A line above the messages."""


class _Notice(NamedTuple):
    """A line of Windows with a notice and no time."""

    text: str


_Head = _Day | _Line | _Title | _Notice

MOST_CERTAIN = 0.97


def recognise(file: ChatFile) -> Recognition | None:
    """Recognise the format by its title, or its dates and lines; the table by its columns."""
    if _header(file):
        return Recognition("kakaotalk", 0.9, "its columns are Date, User and Message")
    lines = [line for line in head_lines(file, 200) if line.strip()]
    has_title = any(_is_title(line) for line in lines[:2])
    dashed = any(line.startswith("-----") and _DAY.fullmatch(line) for line in lines)
    if not (has_title or dashed or (lines and _is_phone_line(lines[0]))):
        return None
    heads = [_parse_head(line, set()) for line in lines]
    count = sum(isinstance(head, _Line) for head in heads)
    days = sum(isinstance(head, _Day) for head in heads)
    if has_title and any(_SAVED.fullmatch(line) for line in lines[:3]):
        return Recognition("kakaotalk", 0.97, "it has KakaoTalk's title, and when it was saved")
    if has_title and (count or len(lines) < 4):
        return Recognition("kakaotalk", 0.93, "it has KakaoTalk's title")
    windows = any(_WINDOWS.fullmatch(line) for line in lines)
    if days and dashed and windows and count * 3 >= len(lines):
        return Recognition("kakaotalk", 0.93, "it has KakaoTalk's dates and lines")
    if lines and _is_phone_line(lines[0]) and count * 3 >= len(lines):
        return Recognition("kakaotalk", 0.9, "its lines are a date, a time, a name and a text")
    return None


def read(file: ChatFile, tally: Tally) -> Iterator[pl.DataFrame]:
    """The messages, in the file's order; all times are local, of an unknown zone.

    Raises:
        SourceError: the file holds no message of this format, or cannot be read.
    """
    channel = _channel(file)
    authors: set[str] = set()
    messages = _from_table(file, channel, tally) if _header(file) else _from_text(file, tally)
    parsed = (_message(line, channel, authors) for line in messages)
    yield from message_table.to_tables(
        parsed, "kakaotalk", tally, zone_assumed=True, months_first=False
    )
    others = authors - {channel}
    if _EXPORTER in authors:
        tally.me = _EXPORTER
    elif len(authors) == 2 and len(others) == 1:
        tally.me = others.pop()
    lines = [line for line in head_lines(file, 3) if line.strip()]
    is_ours = _header(file) or any(map(_is_title, lines))
    if not tally.read and not is_ours:
        raise SourceError(
            f"{file.location} is no chat of KakaoTalk: no line has a time, a name and a text; "
            "export the chat again, as text, from the settings of the chat"
        )
    tally.bytes_done = file.size


def _is_title(line: str) -> bool:
    text = line.removeprefix("\ufeff").strip()
    return _PART.fullmatch(text) is not None or any(t.fullmatch(text) for t in _TITLES)


def _is_phone_line(line: str) -> bool:
    """True for a line with which a file without a title may begin."""
    match = _PHONE.fullmatch(line.removeprefix("\ufeff"))
    # WhatsApp's lines have dates in figures as well: a time with 오전 is KakaoTalk's.
    is_korean = match is not None and (match["before"] or "") in ("오전", "오후")
    return match is not None and is_korean and _date(match) is not None


def _header(file: ChatFile) -> bool:
    """True for the table of macOS."""
    return find_csv_header(head_text(file).removeprefix("\ufeff"), _COLUMNS.__eq__) is not None


def _channel(file: ChatFile) -> str:
    """The chat's name, from the title, or else that of the folder or the file."""
    for line in head_lines(file, 3):
        text = line.strip()
        for title in _TITLES:
            if match := title.fullmatch(text):
                return re.sub(r" \d+$", "", match[1]) if " 카카오톡" in text else match[1]
    stem = PurePath(file.name).stem
    is_part = _PART.fullmatch(f"{stem}.txt") is not None
    folder = _FOLDER.fullmatch(file.folder_name)
    if is_part or not stem:
        return folder[1] if folder else file.folder_name or stem or "chat"
    name = _FILE_NAME.fullmatch(stem)
    return name[1] if name else stem


def _from_table(file: ChatFile, channel: str, tally: Tally) -> Iterator[_Line]:
    header = find_csv_header(head_text(file).removeprefix("\ufeff"), _COLUMNS.__eq__)
    if header is None:
        return
    columns = {name: name for name in _COLUMNS}
    with file.open() as stream, open_text(stream, file) as lines:
        for row in read_csv_rows(lines, header, columns, file.size, tally):
            tally.bytes_done = min(stream.tell(), file.size)
            day, _, clock = row["Date"].strip().partition(" ")
            is_notice = _is_notice(row["Message"])
            author = "" if is_notice else row["User"]
            yield _Line(day, clock, author, row["Message"])


def _from_text(file: ChatFile, tally: Tally) -> Iterator[_Line]:
    """The messages and notices of a text file, with their dates."""
    authors: set[str] = set()
    day: str | None = None
    clock = ""
    is_first = True
    for record in read_records(file, tally, lambda line, _: _parse_head(line, authors), _is_torn):
        head = record.head
        if isinstance(head, _Title):
            if not is_first:
                tally.skip("title in the midst of the file", f"line {record.number}")
        elif isinstance(head, _Day):
            day = head.day
            if day is None:
                tally.skip("a day that cannot be read", f"line {record.number}")
        elif isinstance(head, _Notice):
            yield _Line(day, clock, "", "\n".join([head.text, *record.lines]).rstrip())
        else:
            day, clock, is_first = head.day or day, head.clock, False
            if head.author:
                authors.add(head.author)
            text = "\n".join([head.text, *record.lines]).rstrip()
            yield head._replace(day=day, text=text)


def _is_torn(line: str, record: Record[_Head] | None) -> bool:
    return record is not None and _TORN.fullmatch(line) is not None


def _parse_head(line: str, authors: set[str]) -> _Head | None:
    """Parse a line that is a title, a date or a notice, or with which a message begins."""
    line = line.removeprefix("\ufeff").rstrip()
    if match := _WINDOWS.fullmatch(line):
        return _Line(None, _clock(match), match["author"].strip(), match["text"] or "")
    match = _PHONE.fullmatch(line)
    if match and not (match["year"] is None and match["name"] is None and not _has_half(match)):
        text = match["text"] or match["notice"] or ""
        return _Line(_date(match), _clock(match), (match["author"] or "").strip(), text)
    if match := _DAY.fullmatch(line) or _BARE_TIME.fullmatch(line):
        return _Day(_date(match))
    if _is_title(line) or _SAVED.fullmatch(line):
        return _Title()
    left = _LEFT.fullmatch(line)
    if _is_notice(line) or (left and left[1] in authors):
        return _Notice(line)
    return None


def _is_notice(line: str) -> bool:
    """True for a line in the platform's words for people who come and go."""
    if line.endswith(_NOTICE_ENDINGS):
        return _NOTICE_BEGINNING.match(line) is not None and "\n" not in line
    return _ENGLISH_NOTICE.fullmatch(line) is not None


def _has_half(match: re.Match[str]) -> bool:
    """True if the time of day names its half: without a date, only then it begins a message."""
    return bool(match["before"] or match["after"])


def _date(match: re.Match[str]) -> str | None:
    """The date of a match, as ISO 8601; None if there is none."""
    if match["name"]:
        month = match["name"][:3].lower()
        number = _MONTHS.index(month) + 1 if month in _MONTHS else 0
        return f"{match['year_2']}-{number:02}-{int(match['day_2']):02}"
    if match["year"]:
        return f"{match['year']}-{int(match['month']):02}-{int(match['day']):02}"
    return None


def _clock(match: re.Match[str]) -> str:
    """A time of day, in 24 hours."""
    hour = int(match["hour"])
    half = match["before"] or match["after"]
    if half and hour < 13:
        hour = hour % 12 + _HALVES[half.lower()]
    return f"{hour:02}:{match['minute']}"


def _message(line: _Line, channel: str, authors: set[str]) -> ParsedMessage:
    if line.author in _GONE:  # whoever left: several people may have this name
        line = line._replace(author=line.author.strip("()"))
    if line.author and len(authors) < 3:
        authors.add(line.author)
    kind, text = "text" if line.author else "system", line.text
    files: tuple[Attachment, ...] = ()
    if text in _DELETED:
        kind, text = "deleted", ""
    elif not line.author:
        pass
    elif media := _MEDIA.get(text):
        files, text = (Attachment(media, ""),), ""
    elif photos := _PHOTOS.fullmatch(text):
        count = next(int(number) for number in photos.groups() if number)
        files, text = (Attachment("image", ""),) * min(count, 30), ""
    elif named := _FILE.fullmatch(text):
        files, text = (Attachment("file", named[1]),), ""
    elif _CALL.fullmatch(text):
        kind = "call"
    elif _OTHER.fullmatch(text):
        kind = "system"
    return ParsedMessage(
        author=line.author,
        text=text,
        sent_at=f"{line.day} {line.clock}" if line.day else None,
        channel=channel,
        kind=kind,
        is_bot=line.author in _BOTS,
        attachments=files,
    )
