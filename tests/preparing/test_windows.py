"""Windows: every turn is in one, and nothing is longer than it may be."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import cleaned, names, table, texts, thorough

from myna.config import Split
from myna.conversations import sessions, splits
from myna.messages import normalize_text
from myna.preparing import windows
from myna.preparing.conversation_lines import lines
from myna.preparing.windows import Window, split_into_windows
from myna.rendering.render_batch import with_rendered_text
from myna.rendering.spec import TRANSCRIPT
from myna.rendering.tokenizer import Tokenizer

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
    """What is left when all blanks are gone."""
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
