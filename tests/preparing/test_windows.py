"""Windows: every turn is in one, and nothing is longer than it may be."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import cleaned, names, table, texts, thorough

from myna.config import Split
from myna.conversations import sessions, splits
from myna.messages import normalize_text
from myna.preparing import windows
from myna.preparing.windows import Window, lines, split_into_windows
from myna.rendering.render_batch import with_rendered_text
from myna.rendering.spec import TRANSCRIPT
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import MAX_PEOPLE_NAMED, entry_line, most_active

BUDGET = 90


class TestCut:
    def test_what_fits_is_one_window(self) -> None:
        assert list(split_into_windows([10, 20, 30], budget=60, overlap=20)) == [Window(0, 0, 3)]

    def test_a_window_begins_with_context_that_fits_twice(self) -> None:
        assert list(split_into_windows([20, 20, 20, 20, 20], budget=60, overlap=20)) == [
            Window(0, 0, 3),
            Window(2, 3, 5),
        ]

    def test_context_gives_way_to_a_turn_that_needs_the_room(self) -> None:
        assert list(split_into_windows([20, 30, 50], budget=60, overlap=40)) == [
            Window(0, 0, 2),
            Window(2, 2, 3),
        ]

    def test_without_overlap_nothing_is_repeated(self) -> None:
        found = list(split_into_windows([9] * 40, budget=60, overlap=0))
        assert all(window.begin == window.start for window in found)

    @given(
        st.lists(st.integers(1, 60), min_size=1, max_size=40),
        st.integers(0, 80),
    )
    def test_each_turn_is_in_one_window_and_each_window_fits(
        self, sizes: list[int], overlap: int
    ) -> None:
        found = list(split_into_windows(sizes, budget=60, overlap=overlap))
        assert [n for w in found for n in range(w.start, w.end)] == list(range(len(sizes)))
        for window in found:
            assert window.begin <= window.start < window.end
            assert sum(sizes[window.begin : window.end]) <= 60
            assert sum(sizes[window.begin : window.start]) <= overlap
            # There is no room for another turn, before it or behind it.
            before = sizes[window.begin - 1] if window.begin else 1000
            context = sum(sizes[window.begin : window.start]) + before
            assert context > overlap or context + sizes[window.start] > 60
            assert sum(sizes[window.begin : window.end + 1]) > 60 or window.end == len(sizes)


def said(rows: list[tuple[str, str]]) -> pl.DataFrame:
    """The lines of one conversation."""
    chat = table([{"author": name, "text": text, "at": 0} for name, text in rows])
    kept = sessions.split_conversations(cleaned(chat), 60)
    return lines(splits.assign_splits(kept, Split(validation=0, test=0)))


def fitting(found: pl.DataFrame, tokenizer: Tokenizer, budget: int = BUDGET) -> pl.DataFrame:
    rendered = with_rendered_text(found, TRANSCRIPT)
    known = windows.turn_table(rendered).with_columns(budget=pl.lit(budget))
    known = known.with_columns(size=pl.Series(tokenizer.count(known["text"].to_list())))
    return windows.split_long_turns(rendered, known, tokenizer.count).drop("rendered")


def turns(found: pl.DataFrame) -> pl.DataFrame:
    return windows.turn_table(with_rendered_text(found, TRANSCRIPT))


def bare(text: str) -> str:
    """A text without its blanks."""
    return "".join(text.split())


lengthy = st.builds(lambda text, times: text * times, texts, st.sampled_from([1, 1, 1, 5, 40]))
short_names = names.map(lambda name: name[:9].strip())


@pytest.mark.model
class TestFitting:
    @thorough
    @given(
        st.lists(
            st.tuples(short_names, lengthy.map(normalize_text).filter(bool)), min_size=1, max_size=9
        )
    )
    def test_nothing_is_lost_and_each_turn_fits(
        self, tokenizer: Tokenizer, rows: list[tuple[str, str]]
    ) -> None:
        before = said(rows)
        after = fitting(before, tokenizer)
        sizes = tokenizer.count(turns(after)["text"].to_list())
        assert max(sizes, default=0) <= BUDGET
        assert bare("".join(after["text"])) == bare("".join(before["text"]))
        assert after["message"].drop_nulls().to_list() == before["message"].to_list()
        whose = [turns(found).select("person") for found in (before, after)]
        assert list(dict.fromkeys(whose[1].rows())) == list(dict.fromkeys(whose[0].rows()))

    def test_what_fits_stays(self, tokenizer: Tokenizer) -> None:
        found = said([("Ana", "hi"), ("Ana", "there"), ("Ben", "yes " * 20)])
        assert fitting(found, tokenizer).equals(found)

    def test_a_long_turn_is_cut_between_its_messages(self, tokenizer: Tokenizer) -> None:
        found = fitting(said([("Ana", f"message {n}") for n in range(60)]), tokenizer)
        assert found["text"].to_list() == [f"message {n}" for n in range(60)]
        assert found["turn"].n_unique() > 2

    def test_a_long_turn_ends_only_in_its_last_piece(self, tokenizer: Tokenizer) -> None:
        found = fitting(said([("Ana", "and " * 200), ("Ben", "ok")]), tokenizer)
        pieces = found.height - 1
        assert pieces > 2
        assert found["ends"].to_list() == [False] * (pieces - 1) + [True, True]
        assert found["message"].to_list() == [None] * (pieces - 1) + [0, 1]
        assert found["turn"].to_list() == list(range(pieces + 1))

    def test_a_long_message_is_cut_at_blanks_into_few_pieces(self, tokenizer: Tokenizer) -> None:
        words = [f"word{number}" for number in range(150)]
        found = fitting(said([("Ana", " ".join(words))]), tokenizer)
        assert " ".join(found["text"]).split() == words
        sizes = tokenizer.count(turns(found)["text"].to_list())
        assert all(size > BUDGET / 2 - 5 for size in sizes[:-1])


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
