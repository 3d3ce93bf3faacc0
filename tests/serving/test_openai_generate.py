"""Stop strings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from myna.serving.openai_generate import StopReader

few = st.text(alphabet="ab\n", max_size=12)


def read(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    reader = StopReader(stops)
    out = "".join(map(reader.feed, pieces)) + reader.finish()
    return out, reader.found


def test_a_text_ends_before_its_first_stop_string() -> None:
    assert read(["one two", " three"], ["o t", "three"]) == ("one tw", True)
    assert read(["one t", "wo"], ["e tw"]) == ("on", True)
    assert read(["one"], []) == ("one", False)


def test_what_may_be_a_stop_string_is_held_back_until_it_is_none() -> None:
    reader = StopReader(["END"])
    assert [reader.feed(piece) for piece in ("a E", "N", "G", " EN")] == ["a ", "", "ENG", " "]
    assert reader.finish() == "EN"


def test_after_the_stop_string_nothing_comes() -> None:
    reader = StopReader(["x"])
    assert reader.feed("axb") + reader.feed("c") + reader.finish() == "a"


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
