"""Stop strings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from myna.serving.openai_generate import StopStringFilter

few = st.text(alphabet="ab\n", max_size=12)


def read(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    filter_ = StopStringFilter(stops)
    out = "".join(map(filter_.feed, pieces)) + filter_.finish()
    return out, filter_.is_stopped


def test_a_text_ends_before_its_first_stop_string() -> None:
    assert read(["one two", " three"], ["o t", "three"]) == ("one tw", True)
    assert read(["one t", "wo"], ["e tw"]) == ("on", True)
    assert read(["one"], []) == ("one", False)


def test_what_may_be_a_stop_string_is_held_back_until_it_is_none() -> None:
    filter_ = StopStringFilter(["END"])
    assert [filter_.feed(piece) for piece in ("a E", "N", "G", " EN")] == ["a ", "", "ENG", " "]
    assert filter_.finish() == "EN"


def test_after_the_stop_string_nothing_comes() -> None:
    filter_ = StopStringFilter(["x"])
    assert filter_.feed("axb") + filter_.feed("c") + filter_.finish() == "a"


@given(few, st.lists(few, max_size=4), st.lists(st.integers(1, 5), min_size=1))
def test_pieces_of_any_size_give_the_same(text: str, stops: list[str], sizes: list[int]) -> None:
    pieces, at, turn = [], 0, 0
    while at < len(text):
        pieces.append(text[at : at + sizes[turn % len(sizes)]])
        at, turn = at + len(pieces[-1]), turn + 1
    assert read(pieces, stops) == read([text], stops)
    out, found = read(pieces, stops)
    assert text.startswith(out)
    assert found == any(stop and stop in text for stop in stops)
    assert not any(stop and stop in out for stop in stops)
