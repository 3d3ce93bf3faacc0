"""Lines: what a message shows, what late replies bring along, whose turn it is."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl
from hypothesis import given
from tests.chats import cleaned, table, texts

from myna.config import Split
from myna.conversations import sessions, splits
from myna.preparing.conversation_lines import lines
from myna.rendering.turns import MAX_PEOPLE_NAMED, entry_line, most_active

LATER = 3 * 24 * 60


class Conversation(NamedTuple):
    part: str
    whole: bool
    lines: list[tuple[str, str, bool]]


def made(rows: list[dict[str, Any]], **split: Any) -> list[Conversation]:
    settings = Split(**{"validation": 0, "test": 0, "min_replies": 0, **split})
    kept = splits.assign_splits(sessions.split_conversations(cleaned(table(rows)), 60), settings)
    said = lines(kept)
    return [
        Conversation(
            *own.select("split", "whole").row(0),
            said.filter(pl.col("conversation") == number)
            .select("person", "text", "trained")
            .rows(),
        )
        for (number,), own in kept.group_by("conversation", maintain_order=True)
    ]


def test_a_late_reply_brings_what_it_answers_as_context() -> None:
    rows = [
        {"author": "Ana", "text": "eat together?", "id": "q"},
        {"author": "Cy", "text": "never mind"},
        {"author": "Ben", "text": "no class on Thursday", "at": LATER},
        {"author": "Ben", "text": "yes!", "reply_to": "q", "at": LATER},
        {"author": "Cy", "text": "me too", "reply_to": "q", "at": LATER},
    ]
    first, second = made(rows)
    assert first.lines == [("Ana", "eat together?", True), ("Cy", "never mind", True)]
    assert second.lines == [
        ("Ben", "no class on Thursday", True),
        ("Ana", "eat together?", False),
        ("Ben", "yes!", True),
        ("Cy", "me too", True),
    ]


def test_a_reply_within_its_conversation_brings_nothing() -> None:
    rows = [
        {"author": "Ana", "text": "eat?", "id": "q"},
        {"author": "Ben", "text": "yes", "reply_to": "q"},
    ]
    [only] = made(rows)
    assert only.lines == [("Ana", "eat?", True), ("Ben", "yes", True)]


def test_replies_to_what_is_not_there_bring_nothing() -> None:
    [only] = made([{"author": "Ben", "text": "yes", "reply_to": "gone"}])
    assert only.lines == [("Ben", "yes", True)]


def test_attachments_stand_behind_the_words() -> None:
    rows = [
        {"author": "Ana", "text": "look", "files": ["image", "voice"]},
        {"author": "Ana", "text": "", "files": ["sticker"]},
    ]
    [only] = made(rows)
    assert only.lines == [("Ana", "look [image] [voice]", True), ("Ana", "[sticker]", False)]


def test_the_loudest_people_are_named_first() -> None:
    named = most_active([*(f"p{number}" for number in range(20)), "p19"])
    assert named == ["p19", *(f"p{number}" for number in range(MAX_PEOPLE_NAMED - 1))]


def test_a_conversation_that_a_border_cuts_is_two_and_neither_is_whole() -> None:
    rows = [{"author": "Ana", "text": f"word {number}"} for number in range(100)]
    parts = made(rows, validation=0.1, test=0.2)
    assert [(c.part, c.whole) for c in parts] == [
        ("train", False),
        ("validation", False),
        ("test", False),
    ]
    assert [len(c.lines) for c in parts] == [70, 10, 20]


def test_nothing_held_out_is_brought_into_train_whatever_a_reply_says() -> None:
    rows = [{"author": "Ana", "text": f"word {n}", "at": n * 90} for n in range(20)]
    rows[2]["reply_to"] = "19"  # an answer before its question: a clock that was wrong
    rows[19]["reply_to"] = "2"
    found = made(rows, test=0.2)
    assert found[2].lines == [("Ana", "word 2", True)]
    assert found[19].part == "test"
    assert found[19].lines == [("Ana", "word 2", False), ("Ana", "word 19", True)]


def test_a_thread_answers_the_channel_and_the_channel_a_thread() -> None:
    rows = [
        {"author": "Ana", "text": "soup?", "id": "q"},
        {"author": "Ben", "text": "yes", "id": "a", "thread": "soup", "reply_to": "q", "at": 5},
        {"author": "Ana", "text": "as Ben says", "reply_to": "a", "at": 500},
    ]
    brought = [conversation.lines[0] for conversation in made(rows)[1:]]
    assert brought == [("Ben", "yes", False), ("Ana", "soup?", False)]


def test_the_text_of_an_empty_table_is_no_conversation() -> None:
    assert made([{"author": "Ana", "text": "hi", "kind": "system"}]) == []
    assert isinstance(table([]), pl.DataFrame)


def test_a_turn_is_what_one_person_says_until_somebody_else_speaks() -> None:
    said = [("Ana", 0), ("Ana", 1), ("Ben", 2), ("Ana", 3), ("Ana", LATER)]
    rows = [{"author": author, "text": "hi", "at": at} for author, at in said]
    kept = splits.assign_splits(
        sessions.split_conversations(cleaned(table(rows)), 60), Split(validation=0, test=0)
    )
    assert lines(kept)["turn"].to_list() == [0, 0, 1, 2, 3]


class TestEntries:
    def test_each_is_by_itself_behind_what_asks_for_it(self) -> None:
        rows = [
            {"author": "Ana", "text": "Rain.\nMore rain.", "kind": "entry"},
            {"author": "Ana", "text": "Tea.", "kind": "entry", "at": None},
            {"author": "Ana", "text": "Cups.", "kind": "entry", "thread": "What\n is a cup? "},
        ]
        assert sorted(conversation.lines for conversation in made(rows)) == [
            [("Ana", "[ESSAY] What is a cup?", False), ("Ana", "Cups.", True)],
            [("Ana", "[JOURNAL]", False), ("Ana", "Tea.", True)],
            [("Ana", "[JOURNAL] 2024-05-01", False), ("Ana", "Rain.\nMore rain.", True)],
        ]

    @given(texts.map(lambda text: " ".join(text.split())))
    def test_the_line_is_that_which_a_chat_asks_with(self, prompt: str) -> None:
        entry = {"author": "Ana", "text": "x", "kind": "entry", "thread": prompt or None}
        [only] = made([entry])
        assert only.lines[0][1] == entry_line(prompt, "2024-05-01")
