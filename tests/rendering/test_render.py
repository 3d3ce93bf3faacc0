"""The reference: segments of turns, and their token ids and loss mask."""

from __future__ import annotations

from pathlib import Path

from tests.bases import KINDS, make
from tests.chats import transcript

from myna.rendering.render import CONTEXT, END, REPLY, Segment, encode_segments
from myna.rendering.turns import Turn, TurnLine, merge_turns

HEADER = "A chat in tea: Ana, Ben.\n"


def text_of(segments: list[Segment]) -> str:
    return "".join(segment.text for segment in segments)


class TestTranscript:
    def test_the_documented_example(self) -> None:
        turns = merge_turns(
            [
                ("Neil", TurnLine("How does it look?", trained=True)),
                ("Buzz", TurnLine("Magnificent.", trained=True)),
                ("Buzz", TurnLine("Very stark.", trained=True)),
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
        turns = [Turn("Ana", (TurnLine("tea?"),)), Turn("Ben", (TurnLine("yes", trained=True),))]
        segments = transcript(HEADER, turns, next_person="Ana")
        assert [s.kind for s in segments] == [0, 0, 0, 0, 0, REPLY, END, END]
        assert text_of([s for s in segments if s.kind]) == " yes\nAna:"

    def test_a_message_that_is_not_trained_within_a_turn(self) -> None:
        turn = Turn(
            "Ana", (TurnLine("look", trained=True), TurnLine("[image]"), TurnLine("nice", True))
        )
        segments = transcript(HEADER, [turn])
        kinds = [(s.text, s.kind) for s in segments[2:]]
        assert kinds == [(" look", REPLY), ("\n[image]", CONTEXT), ("\nnice", REPLY), ("\n", END)]

    def test_a_turn_that_goes_on_in_the_next_window_has_no_trained_end(self) -> None:
        turn = Turn("Ana", (TurnLine("half of", trained=True),), ends=False)
        segments = transcript(HEADER, [turn], next_person="Ana")
        assert [(s.text, s.kind) for s in segments[3:]] == [("\n", CONTEXT), ("Ana:", CONTEXT)]

    def test_a_prompt_ends_with_the_name_of_who_speaks(self) -> None:
        turns = [Turn("Ana", (TurnLine("tea?"),))]
        segments = transcript(HEADER, turns, next_person="Ben")
        assert text_of(segments) == HEADER + "Ana: tea?\nBen:"


def test_the_drawn_example(tmp_path: Path) -> None:
    tokenizer = make(tmp_path, KINDS["headers"])
    ana = Turn("Ana", (TurnLine("yes", trained=True), TurnLine("please", trained=True)))
    turns = [Turn("Ben", (TurnLine("tea?"),)), ana]
    segments = transcript("A chat.\n", turns, next_person="Ben")
    assert [(segment.text, segment.kind, segment.person) for segment in segments] == [
        *(("A chat.\n", CONTEXT, None), ("Ben:", CONTEXT, None), (" tea?", CONTEXT, None)),
        *(("\n", CONTEXT, None), ("Ana:", CONTEXT, None)),
        *((" yes", REPLY, "Ana"), ("\nplease", REPLY, "Ana"), ("\n", END, "Ana")),
        ("Ben:", END, "Ana"),
    ]
    ids, mask = encode_segments(segments, tokenizer, add_special_tokens=True)
    assert tokenizer.decode(ids[len(tokenizer.bos_ids) :]) == text_of(segments)
    trained = [number for number, is_in in zip(ids, mask, strict=True) if is_in]
    assert tokenizer.decode(trained) == " yes\nplease\nBen:"
    assert encode_segments(segments, tokenizer, add_eos=True) == (
        [*ids, tokenizer.eos_id], [*mask, True]
    )  # fmt: skip
