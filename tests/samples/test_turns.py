"""Turns: consecutive messages of one author."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from myna.samples.turns import Part, merge


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=2))))
def test_turns_keep_every_message_in_order_and_change_speakers(lines: list[tuple[str, str]]):
    turns = merge((person, Part(text)) for person, text in lines)
    assert [(t.person, p.text) for t in turns for p in t.parts] == lines
    assert all(a.person != b.person for a, b in itertools.pairwise(turns))
