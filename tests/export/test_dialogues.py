"""Conversations become dialogues: alternate, within a length, each answer once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import names, texts
from tests.export.prepared import Row, numbered

from myna.errors import SettingsError
from myna.export.dialogues import Dialogue, check_system, dialogues
from myna.export.formats import FORMATS, draw_exchanges
from myna.messages import normalize_text

SYSTEM = "You are {name}, with {others}."


def made(*rows: Row, max_bytes: int = 8192, **options: Any) -> list[Dialogue]:
    return list(
        dialogues(
            numbered(*rows), "Ana", split="train", system=SYSTEM, max_bytes=max_bytes, **options
        )
    )


def spoken(dialogue: Dialogue) -> list[tuple[list[tuple[str, str]], str]]:
    return [([(t.person, t.text) for t in e.others], e.own.text) for e in dialogue.exchanges]


def test_consecutive_messages_are_one_turn_and_others_come_before_the_answer() -> None:
    [dialogue] = made(
        *(("Ben", "tea?"), ("Ben", "now?"), ("Cy", "yes"), ("Ana", "ok"), ("Ana", "coming")),
        *(("Ben", "good"), ("Ana", "bye")),
    )
    assert dialogue.system == "You are Ana, with Ben, Cy."
    assert dialogue.named
    assert spoken(dialogue) == [
        ([("Ben", "tea?\nnow?"), ("Cy", "yes")], "ok\ncoming"),
        ([("Ben", "good")], "bye"),
    ]


def test_what_is_said_after_the_last_answer_is_left() -> None:
    [dialogue] = made(("Ben", "tea?"), ("Ana", "ok"), ("Ben", "good"))
    assert spoken(dialogue) == [([("Ben", "tea?")], "ok")]


def test_a_conversation_without_a_trained_answer_gives_nothing() -> None:
    assert made(("Ben", "tea?"), ("Ana", "lol", {"trained": False})) == []
    assert made(("Ben", "tea?"), ("Cy", "ok")) == []


def test_names_are_needed_where_a_channel_has_more_than_one_other() -> None:
    other = {"conversation": 1, "channel_id": "/dm", "channel": "dm"}
    later = {"conversation": 2}
    two, group, group_again = sorted(
        made(
            ("Ben", "tea?"), ("Cy", "tea!"), ("Ana", "ok"),
            ("Ben", "psst", other), ("Ana", "yes?", other),
            ("Ben", "again?", later), ("Ana", "again", later),
        ),
        key=lambda dialogue: dialogue.named,
    )  # fmt: skip
    assert not two.named
    assert spoken(two) == [([("Ben", "psst")], "yes?")]
    assert group.named
    assert group_again.named


def test_channels_never_mix() -> None:
    found = made(
        ("Ben", "tea?"), ("Ana", "ok"), ("Cy", "x", {"conversation": 1, "channel": "b"}),
        ("Ana", "y", {"conversation": 1, "channel": "b"}),
    )  # fmt: skip
    assert [spoken(d) for d in found] == [[([("Ben", "tea?")], "ok")], [([("Cy", "x")], "y")]]


def test_a_persona_may_open() -> None:
    [dialogue] = made(("Ana", "anyone?"), ("Ben", "me"), ("Ana", "good"))
    assert spoken(dialogue) == [([], "anyone?"), ([("Ben", "me")], "good")]


def test_a_dialogue_that_goes_on_begins_with_the_other_side() -> None:
    rows = [((("Ben", "Ana")[n % 2]), f"{n} " + "x" * 100) for n in range(40)]
    found = made(*rows, max_bytes=1000)
    assert len(found) > 1
    assert all(dialogue.exchanges[0].others for dialogue in found)


def test_an_answer_longer_than_a_dialogue_is_cut_at_blanks_and_loses_no_word() -> None:
    words = [f"word{n}" for n in range(2000)]
    found = made(("Ben", "tell me"), ("Ana", " ".join(words)), max_bytes=1024)
    answers = [answer for dialogue in found for _, answer in spoken(dialogue)]
    assert " ".join(answers).split() == words
    assert all(e.others[-1].text == "tell me" for d in found for e in d.exchanges)


def test_the_pieces_of_a_long_opening_stand_alone() -> None:
    found = made(("Ana", "word " * 300), max_bytes=1024)
    assert len(found) > 2
    assert all([others for others, _ in spoken(dialogue)] == [[]] for dialogue in found)


def test_of_a_long_lead_up_the_end_is_kept() -> None:
    rows = [("Ben", f"line {n} " + "x" * 100) for n in range(100)]
    [dialogue] = made(*rows, ("Ana", "wow"), max_bytes=1024)
    [([(_, before)], answer)] = spoken(dialogue)
    assert answer == "wow"
    assert before.startswith("line 9")
    assert "line 99" in before


def test_drawn_dialogues_have_two_to_ten_turns() -> None:
    rows = [(("Ben", "Ana")[n % 2], str(n)) for n in range(400)]
    found = made(*rows, draw=draw_exchanges)
    sizes = Counter(2 * len(dialogue.exchanges) for dialogue in found[:-1])
    assert set(sizes) == {2, 4, 6, 8, 10}
    assert [a for d in found for _, a in spoken(d)] == [str(n) for n in range(1, 400, 2)]
    assert found == made(*rows, draw=draw_exchanges)


def test_a_system_line_that_fills_a_dialogue_is_refused() -> None:
    rows = numbered(("Ben", "tea?"), ("Ana", "ok"))
    with pytest.raises(SettingsError, match="--sequence-len"):
        list(dialogues(rows, "Ana", split="train", system="x" * 500, max_bytes=1024))


def test_of_many_others_those_who_speak_most_are_named() -> None:
    crowd = [(f"friend number {n:03}", "hi") for n in range(300)]
    [dialogue] = made(*crowd, ("Ben", "tea?"), ("Ben", "!"), ("Ana", "ok"), max_bytes=600)
    assert len(dialogue.system.encode()) <= 150
    assert "Ben" in dialogue.system


@pytest.mark.parametrize("template", ["{who}", "{", "{0}", "{name.x}"])
def test_a_template_that_cannot_be_filled_in_is_an_error(template: str) -> None:
    with pytest.raises(SettingsError, match="are filled in"):
        check_system(template)


people = st.sampled_from(["Ana", "Ana", "Ben"]) | names
lines = st.lists(
    st.tuples(
        people,
        texts.map(normalize_text).filter(bool)
        | st.text("ab \n<|s>:", min_size=300, max_size=900).map(normalize_text),
        st.booleans(),
    ).filter(lambda line: bool(line[1])),
    max_size=12,
)


@given(lines, st.booleans())
def test_every_trained_word_stands_in_one_dialogue_and_none_is_too_long(
    drawn: list[tuple[str, str, bool]], is_random: bool
) -> None:
    rows: list[Row] = [
        (person, text, {"trained": trained and person == "Ana"}) for person, text, trained in drawn
    ]
    if not rows:
        return
    found = made(*rows, max_bytes=1024, draw=draw_exchanges if is_random else None)
    told = Counter(
        sign
        for dialogue in found
        for exchange in dialogue.exchanges
        for one in exchange.own.messages
        if one.trained
        for sign in "".join(one.text.split())
    )
    wanted = (text for person, text, trained in drawn if person == "Ana" and trained)
    assert told == Counter(sign for text in wanted for sign in "".join(text.split()))
    for dialogue in found:
        assert any(one.trained for e in dialogue.exchanges for one in e.own.messages)
        for format_ in FORMATS.values():
            for row in format_.rows(dialogue) if format_.rows else ():
                row.pop("history", None)
                assert sum(len(text.encode()) for text in strings(row)) <= 1024


def strings(value: Any) -> list[str]:
    """Every text in a row that is not the name of something."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = [v for k, v in value.items() if k not in ("role", "from")]
    return [text for one in value for text in strings(one)] if isinstance(value, list) else []
