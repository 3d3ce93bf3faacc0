"""Conversations as turns: who is named, what late replies bring along."""

from __future__ import annotations

from typing import Any

import polars as pl
from tests.chats import cleaned, table

from myna.config import Split
from myna.conversations import holdout, sessions
from myna.samples.conversation import MOST_NAMED, Conversation, conversations

LATER = 3 * 24 * 60


def made(rows: list[dict[str, Any]], **split: Any) -> list[Conversation]:
    settings = Split(**{"tune": 0, "test": 0, "min_replies": 0, **split})
    kept = holdout.hold_out(sessions.split(cleaned(table(rows)), 60), settings)
    return list(conversations(kept))


def lines(conversation: Conversation) -> list[tuple[str, str, bool]]:
    return [(t.person, p.text, p.trained) for t in conversation.turns for p in t.parts]


def test_a_late_reply_brings_what_it_answers_as_context() -> None:
    rows = [
        {"author": "Ana", "text": "eat together?", "id": "q"},
        {"author": "Cy", "text": "never mind"},
        {"author": "Ben", "text": "no class on Thursday", "at": LATER},
        {"author": "Ben", "text": "yes!", "reply_to": "q", "at": LATER},
        {"author": "Cy", "text": "me too", "reply_to": "q", "at": LATER},
    ]
    first, second = made(rows)
    assert lines(first) == [("Ana", "eat together?", True), ("Cy", "never mind", True)]
    assert lines(second) == [
        ("Ben", "no class on Thursday", True),
        ("Ana", "eat together?", False),
        ("Ben", "yes!", True),
        ("Cy", "me too", True),
    ]
    assert second.people == ["Ben", "Ana", "Cy"]


def test_a_reply_within_its_conversation_brings_nothing() -> None:
    rows = [
        {"author": "Ana", "text": "eat?", "id": "q"},
        {"author": "Ben", "text": "yes", "reply_to": "q"},
    ]
    [only] = made(rows)
    assert lines(only) == [("Ana", "eat?", True), ("Ben", "yes", True)]


def test_replies_to_what_is_not_there_bring_nothing() -> None:
    [only] = made([{"author": "Ben", "text": "yes", "reply_to": "gone"}])
    assert lines(only) == [("Ben", "yes", True)]


def test_attachments_stand_behind_the_words() -> None:
    rows = [
        {"author": "Ana", "text": "look", "files": ["image", "voice"]},
        {"author": "Ana", "text": "", "files": ["sticker"]},
    ]
    [only] = made(rows)
    assert lines(only) == [("Ana", "look [image] [voice]", True), ("Ana", "[sticker]", False)]


def test_the_loudest_people_are_named_first() -> None:
    rows = [{"author": f"p{number}", "text": "hi"} for number in range(20)]
    rows += [{"author": "p19", "text": "hi again", "at": 30}]
    [only] = made(rows)
    assert len(only.people) == MOST_NAMED
    assert only.people[0] == "p19"


def test_a_conversation_that_a_border_cuts_is_two_and_neither_is_whole() -> None:
    rows = [{"author": "Ana", "text": f"word {number}"} for number in range(100)]
    parts = made(rows, tune=0.1, test=0.2)
    assert [(c.part, c.whole) for c in parts] == [
        ("train", False),
        ("tune", False),
        ("test", False),
    ]
    assert [len(lines(c)) for c in parts] == [70, 10, 20]


def test_nothing_held_out_is_brought_into_train_whatever_a_reply_says() -> None:
    rows = [{"author": "Ana", "text": f"word {n}", "at": n * 90} for n in range(20)]
    rows[2]["reply_to"] = "19"  # an answer before its question: a clock that was wrong
    rows[19]["reply_to"] = "2"
    found = made(rows, test=0.2)
    assert lines(found[2]) == [("Ana", "word 2", True)]
    assert found[19].part == "test"
    assert lines(found[19]) == [("Ana", "word 2", False), ("Ana", "word 19", True)]


def test_a_thread_answers_the_channel_and_the_channel_a_thread() -> None:
    rows = [
        {"author": "Ana", "text": "soup?", "id": "q"},
        {"author": "Ben", "text": "yes", "id": "a", "thread": "soup", "reply_to": "q", "at": 5},
        {"author": "Ana", "text": "as Ben says", "reply_to": "a", "at": 500},
    ]
    brought = [lines(conversation)[0] for conversation in made(rows)[1:]]
    assert brought == [("Ben", "yes", False), ("Ana", "soup?", False)]


def test_the_text_of_an_empty_table_is_no_conversation() -> None:
    assert made([{"author": "Ana", "text": "hi", "kind": "system"}]) == []
    assert isinstance(table([]), pl.DataFrame)
