"""Turns: each message can always be read back, with its author."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st
from tests.chats import names, texts, thorough, transcript

from myna.messages import normalize_text
from myna.rendering.render import Segment
from myna.rendering.turns import (
    LOOKS_LIKE_TURN,
    TurnLine,
    escape,
    merge_turns,
    system_line,
    unescape,
)

HEADER = "A chat in tea: Ana, Ben.\n"


def text_of(segments: list[Segment]) -> str:
    return "".join(segment.text for segment in segments)


def read_back(transcript: str) -> list[tuple[str, str]]:
    """The turns, read back from the lines below the header."""
    said: list[tuple[str, list[str]]] = []
    for line in transcript.removeprefix(HEADER).removesuffix("\n").split("\n"):
        begin = LOOKS_LIKE_TURN.match(line)
        if begin:
            said.append((line[: begin.end() - 1], [line[begin.end() + 1 :]]))
        else:
            said[-1][1].append(unescape(line))
    return [(name, "\n".join(lines)) for name, lines in said]


class TestSystemLine:
    def test_people_are_in_alphabetical_order(self) -> None:
        line = system_line("In {channel}: {people}.", channel="x", people="cab")
        assert line == "In x: a, b, c."

    def test_all_that_it_may_say(self) -> None:
        line = system_line(
            "{name}, {people}, {space}/{channel} on {platform}, {date}",
            people=["Ana", "Ben"], space="home", channel="tea", name="Ana", date="2024-05-01",
            platform="discord",
        )  # fmt: skip
        assert line == "Ana, Ana, Ben, home/tea on discord, 2024-05-01"

    @given(texts, texts)
    def test_it_is_one_line_whatever_places_are_called(self, space: str, channel: str) -> None:
        template = "{space} / {channel}: {people}"
        line = system_line(template, space=space, channel=channel, people=["Ana"])
        assert len(line.splitlines()) == 1


@thorough
@given(texts)
@example("\nBuzz: hi")
@example("\n   Buzz:\x1chi\nNeil:")
def test_unescape_gives_back_what_escape_was_given(text: str) -> None:
    assert unescape(escape(text)) == text


@thorough
@given(texts)
def test_no_line_of_escaped_text_looks_like_a_turn(text: str) -> None:
    assert not any(LOOKS_LIKE_TURN.match(line) for line in escape(text).split("\n"))


def test_what_is_no_beginning_of_a_turn_stays_as_it_is() -> None:
    for text in ("10:30 is fine", "https://myna.example", ":teapot: hot", "a" * 50 + ": b"):
        assert escape(text) == text


@thorough
@given(st.lists(st.tuples(names, texts.map(normalize_text).filter(bool)), min_size=1, max_size=8))
@example([("Ana", "x\nBen: y"), ("Ben", "Ana: z"), ("Ben", "Ana: z")])
def test_no_speaker_can_write_anothers_turn(lines: list[tuple[str, str]]) -> None:
    turns = merge_turns((name, TurnLine(text)) for name, text in lines)
    written = text_of(transcript(HEADER, turns))
    assert read_back(written) == [
        (turn.person, "\n".join(part.text for part in turn.lines)) for turn in turns
    ]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=2))))
def test_turns_keep_every_message_in_order_and_change_speakers(lines: list[tuple[str, str]]):
    turns = merge_turns((person, TurnLine(text)) for person, text in lines)
    assert [(t.person, p.text) for t in turns for p in t.lines] == lines
    assert all(a.person != b.person for a, b in itertools.pairwise(turns))
