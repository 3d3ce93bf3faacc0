"""Windows: every trained word is a target once, and nothing is longer than it may be."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import names, texts, thorough

from myna.messages import tidy
from myna.samples.rendering import transcript
from myna.samples.tokenizer import Tokenizer
from myna.samples.turns import Part, Turn, merge
from myna.samples.windows import SLACK, Window, cut

pytestmark = pytest.mark.model

ROOM = 90


def bare(text: str) -> str:
    """What is left when all blanks are gone."""
    return "".join(text.split())


def size(window: Window, tokenizer: Tokenizer) -> int:
    segments = transcript("", window.turns, next_person=None)
    return len(tokenizer.encode("".join(s.text for s in segments)).ids)


def said(windows: list[Window]) -> list[tuple[str, str]]:
    """The trained words with their speakers, blanks left out."""
    return [
        (turn.person, bare(part.text))
        for window in windows
        for turn in window.turns
        for part in turn.parts
        if part.trained
    ]


lengthy = st.builds(lambda text, times: text * times, texts, st.sampled_from([1, 1, 1, 5, 40]))
short_names = names.map(lambda name: name[:9].strip())


@thorough
@given(
    st.lists(st.tuples(short_names, lengthy.map(tidy).filter(bool)), min_size=1, max_size=9),
    st.sampled_from([0, 10, 40, 1000]),
)
def test_each_word_is_trained_once_and_each_window_fits(
    tokenizer: Tokenizer, lines: list[tuple[str, str]], overlap: int
) -> None:
    numbered = [(name, Part(text, True, row)) for row, (name, text) in enumerate(lines)]
    turns = merge(numbered)
    windows = list(cut(turns, tokenizer.count, room=ROOM, overlap=overlap))
    assert all(size(window, tokenizer) <= ROOM for window in windows)
    spoken = said(windows)
    assert "".join(text for _, text in spoken) == bare("".join(text for _, text in lines))
    parts = [p for w in windows for t in w.turns for p in t.parts if p.trained]
    assert [p.message for p in parts if p.message is not None] == list(range(len(lines)))


def chat(count: int) -> list[Turn]:
    people = ("Ana", "Ben")
    return merge(
        (people[number % 2], Part(f"message {number}", True, number)) for number in range(count)
    )


class TestCut:
    def test_what_fits_is_one_window(self, tokenizer: Tokenizer) -> None:
        turns = chat(4)
        assert list(cut(turns, tokenizer.count, room=ROOM, overlap=20)) == [
            Window(tuple(turns), None)
        ]

    def test_a_window_begins_with_context_and_names_who_follows(self, tokenizer: Tokenizer) -> None:
        turns = chat(40)
        windows = list(cut(turns, tokenizer.count, room=ROOM, overlap=20))
        assert len(windows) > 3
        for before, window in itertools.pairwise(windows):
            context = [turn for turn in window.turns if not turn.trained]
            assert context
            assert context == [turn.as_context() for turn in before.turns[-len(context) :]]
            first = next(turn for turn in window.turns if turn.trained)
            assert before.next_person == first.person
        assert windows[-1].next_person is None

    def test_without_overlap_nothing_is_repeated(self, tokenizer: Tokenizer) -> None:
        windows = list(cut(chat(40), tokenizer.count, room=ROOM, overlap=0))
        assert [turn for window in windows for turn in window.turns] == chat(40)

    def test_windows_without_a_target_are_left_out(self, tokenizer: Tokenizer) -> None:
        turns = [turn.as_context() for turn in chat(40)]
        assert list(cut(turns, tokenizer.count, room=ROOM, overlap=20)) == []

    def test_a_long_turn_ends_only_in_its_last_window(self, tokenizer: Tokenizer) -> None:
        turns = [Turn("Ana", (Part("and " * 200, True, 0),)), Turn("Ben", (Part("ok", True, 1),))]
        windows = list(cut(turns, tokenizer.count, room=ROOM, overlap=10))
        pieces = [t for w in windows for t in w.turns if t.trained and t.person == "Ana"]
        assert len(pieces) > 2
        assert [piece.ends for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert [p.parts[0].message for p in pieces] == [None] * (len(pieces) - 1) + [0]

    def test_a_long_message_is_cut_at_blanks_into_few_pieces(self, tokenizer: Tokenizer) -> None:
        words = [f"word{number}" for number in range(150)]
        turns = [Turn("Ana", (Part(" ".join(words), True, 0),))]
        windows = list(cut(turns, tokenizer.count, room=ROOM, overlap=0))
        texts = [part.text for window in windows for turn in window.turns for part in turn.parts]
        assert " ".join(texts).split() == words
        assert all(len(turn.parts) == 1 for window in windows for turn in window.turns)
        assert all(size(w, tokenizer) > (ROOM - SLACK) / 2 - 5 for w in windows[:-1])
