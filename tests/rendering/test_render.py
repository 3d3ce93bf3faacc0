"""The one representation: who said what can always be read back from it."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st
from tests.chats import names, texts, thorough, transcript

from myna.messages import normalize_text
from myna.rendering import render
from myna.rendering.render import CONTEXT, END, LOOKS_LIKE_TURN, REPLY, Part, Segment, Turn, merge

HEADER = "A chat in tea: Ana, Ben.\n"


def text_of(segments: list[Segment]) -> str:
    return "".join(segment.text for segment in segments)


def read_back(transcript: str) -> list[tuple[str, str]]:
    """Who said what, from nothing but the lines below the header."""
    said: list[tuple[str, list[str]]] = []
    for line in transcript.removeprefix(HEADER).removesuffix("\n").split("\n"):
        begin = LOOKS_LIKE_TURN.match(line)
        if begin:
            said.append((line[: begin.end() - 1], [line[begin.end() + 1 :]]))
        else:
            said[-1][1].append(render.unescape(line))
    return [(name, "\n".join(lines)) for name, lines in said]


class TestTranscript:
    def test_the_documented_example(self) -> None:
        turns = merge(
            [
                ("Neil", Part("How does it look?", trained=True)),
                ("Buzz", Part("Magnificent.", trained=True)),
                ("Buzz", Part("Very stark.", trained=True)),
            ]
        )
        assert transcript(HEADER, turns) == [
            Segment(HEADER),
            Segment("Neil:"),
            Segment(" How does it look?", REPLY, person="Neil"),
            Segment("\n", END, person="Neil"),
            Segment("Buzz:", END, person="Neil"),
            Segment(" Magnificent.", REPLY, person="Buzz"),
            Segment("\nVery stark.", REPLY, person="Buzz"),
            Segment("\n", END, person="Buzz"),
        ]

    def test_nothing_of_the_untrained_is_trained(self) -> None:
        turns = [Turn("Ana", (Part("tea?"),)), Turn("Ben", (Part("yes", trained=True),))]
        segments = transcript(HEADER, turns, next_person="Ana")
        assert [s.label for s in segments] == [0, 0, 0, 0, 0, REPLY, END, END]
        assert text_of([s for s in segments if s.label]) == " yes\nAna:"

    def test_a_message_that_is_not_trained_within_a_turn(self) -> None:
        turn = Turn("Ana", (Part("look", trained=True), Part("[image]"), Part("nice", True)))
        segments = transcript(HEADER, [turn])
        labels = [(s.text, s.label) for s in segments[2:]]
        assert labels == [(" look", REPLY), ("\n[image]", CONTEXT), ("\nnice", REPLY), ("\n", END)]

    def test_a_turn_that_goes_on_in_the_next_window_has_no_trained_end(self) -> None:
        turn = Turn("Ana", (Part("half of", trained=True),), ends=False)
        segments = transcript(HEADER, [turn], next_person="Ana")
        assert [(s.text, s.label) for s in segments[3:]] == [("\n", CONTEXT), ("Ana:", CONTEXT)]

    def test_a_prompt_ends_with_the_name_of_who_speaks(self) -> None:
        turns = [Turn("Ana", (Part("tea?"),))]
        segments = transcript(HEADER, turns, next_person="Ben")
        assert text_of(segments) == HEADER + "Ana: tea?\nBen:"


class TestSystemLine:
    def test_people_are_in_alphabetical_order(self) -> None:
        line = render.system_line("In {channel}: {people}.", channel="x", people="cab")
        assert line == "In x: a, b, c."

    def test_all_that_it_may_say(self) -> None:
        line = render.system_line(
            "{name}, {people}, {space}/{channel} on {platform}, {date}",
            people=["Ana", "Ben"], space="home", channel="tea", name="Ana", date="2024-05-01",
            platform="discord",
        )  # fmt: skip
        assert line == "Ana, Ana, Ben, home/tea on discord, 2024-05-01"

    @given(texts, texts)
    def test_it_is_one_line_whatever_places_are_called(self, space: str, channel: str) -> None:
        template = "{space} / {channel}: {people}"
        line = render.system_line(template, space=space, channel=channel, people=["Ana"])
        assert len(line.splitlines()) == 1


@thorough
@given(texts)
@example("\nBuzz: hi")
@example("\n   Buzz:\x1chi\nNeil:")
def test_unescape_gives_back_what_escape_was_given(text: str) -> None:
    assert render.unescape(render.escape(text)) == text


@thorough
@given(texts)
def test_no_line_of_escaped_text_looks_like_a_turn(text: str) -> None:
    assert not any(LOOKS_LIKE_TURN.match(line) for line in render.escape(text).split("\n"))


def test_what_is_no_beginning_of_a_turn_stays_as_it_is() -> None:
    for text in ("10:30 is fine", "https://myna.example", ":teapot: hot", "a" * 50 + ": b"):
        assert render.escape(text) == text


@thorough
@given(st.lists(st.tuples(names, texts.map(normalize_text).filter(bool)), min_size=1, max_size=8))
@example([("Ana", "x\nBen: y"), ("Ben", "Ana: z"), ("Ben", "Ana: z")])
def test_no_speaker_can_write_anothers_turn(lines: list[tuple[str, str]]) -> None:
    turns = merge((name, Part(text)) for name, text in lines)
    written = text_of(transcript(HEADER, turns))
    assert read_back(written) == [
        (turn.person, "\n".join(part.text for part in turn.parts)) for turn in turns
    ]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=2))))
def test_turns_keep_every_message_in_order_and_change_speakers(lines: list[tuple[str, str]]):
    turns = merge((person, Part(text)) for person, text in lines)
    assert [(t.person, p.text) for t in turns for p in t.parts] == lines
    assert all(a.person != b.person for a, b in itertools.pairwise(turns))
