"""The gap that a channel's own rhythm tells."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import table, thorough

from myna.conversations import rhythm, sessions
from myna.messages import PLACE


def chat(channel: str, within: float, between: float, talks: int = 40) -> list[dict[str, Any]]:
    """Talks of ten messages, with silences of so many minutes, each some more or less."""
    chance = random.Random(channel)
    minute, rows = 0.0, []
    for _ in range(talks):
        for _ in range(10):
            minute += within * chance.lognormvariate(0, 0.4)
            rows.append({"author": "Ana", "text": "tea", "channel": channel, "at": minute})
        minute += between * chance.lognormvariate(0, 0.4)
    return [{**row, "id": f"{channel} {n}"} for n, row in enumerate(rows)]


def gaps(rows: list[dict[str, Any]]) -> dict[str, float]:
    found = rhythm.gaps(sessions.split(table(rows), 60), PLACE)
    return dict(found.select(pl.col("channel_id").str.strip_prefix("/"), "gap").iter_rows())


class TestGap:
    def test_it_lies_between_answering_and_coming_back(self) -> None:
        found = gaps([*chat("brisk", 0.3, 120), *chat("slow", 20, 3000)])
        assert 0.3 < found["brisk"] < 120
        assert found["brisk"] < 60 < found["slow"]

    def test_conversations_are_what_it_parts(self) -> None:
        rows = chat("slow", 20, 3000)
        assert sessions.split(table(rows), "auto")["conversation"].n_unique() == 40
        assert sessions.split(table(rows), 10)["conversation"].n_unique() > 300

    @pytest.mark.parametrize("rows", [chat("small", 1, 300, talks=5), chat("even", 5, 5)])
    def test_a_small_channel_and_one_without_a_rhythm_take_an_hour(
        self, rows: list[dict[str, Any]]
    ) -> None:
        assert [*gaps(rows).values()] == [rhythm.OTHERWISE]

    def test_times_to_the_minute_are_no_rhythm_of_seconds(self) -> None:
        rows = [row | {"at": int(row["at"])} for row in chat("minutes", 0.2, 400)]
        assert gaps(rows)["minutes"] >= rhythm.LEAST

    def test_channels_without_times(self) -> None:
        assert gaps([{"author": "Ana", "text": "tea", "at": None}]) == {"tea": rhythm.OTHERWISE}


silences = st.lists(st.integers(0, 10**7), min_size=1, max_size=10)


@thorough
@given(silences, silences, st.sampled_from([1, 2, 60]))
def test_it_stays_in_its_bounds_and_other_channels_change_nothing(
    one: list[int], other: list[int], times: int
) -> None:
    def rows(channel: str, seconds: list[int]) -> list[dict[str, Any]]:
        at, found = 0, []
        for number, silence in enumerate(seconds * times):
            at += silence
            row = {"author": "Ana", "text": "x", "channel": channel, "at": at / 60}
            found.append({**row, "id": f"{channel}{number}"})
        return found

    alone, beside = gaps(rows("a", one)), gaps([*rows("a", one), *rows("b", other)])
    assert beside["a"] == alone["a"]
    assert all(rhythm.LEAST <= gap <= rhythm.MOST for gap in beside.values())
