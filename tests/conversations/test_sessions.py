"""The borders of conversations."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import table, thorough

from myna.conversations import sessions
from myna.messages import CHANNEL_KEY

DAY = 24 * 60


def split(rows: list[dict[str, Any]], gap_minutes: float = 60) -> list[list[str]]:
    """The texts of each conversation."""
    found = sessions.split_conversations(
        table([{"author": "Ana", **row} for row in rows]), gap_minutes
    )
    assert found["conversation"].to_list() == found["conversation"].rle_id().to_list()
    grouped = found.group_by("conversation", maintain_order=True).agg("text")
    return grouped["text"].to_list()


def at(*minutes: float | None, **more: Any) -> list[dict[str, Any]]:
    """Messages at these minutes, called a, b, c …"""
    return [{"text": chr(97 + n), "at": m, **more} for n, m in enumerate(minutes)]


class TestGaps:
    def test_a_longer_silence_than_the_gap_ends_a_conversation(self) -> None:
        assert split(at(0, 60, 121, 181.5)) == [["a", "b"], ["c"], ["d"]]

    def test_a_gap_of_three_days_is_three_days(self) -> None:
        assert split(at(0, 3 * DAY)) == [["a"], ["b"]]
        assert split(at(0, 3 * DAY), gap_minutes=3 * DAY) == [["a", "b"]]
        assert split(at(0, 3 * DAY + 2)) == [["a"], ["b"]]

    def test_the_first_message_after_a_gap_begins_the_new_conversation(self) -> None:
        assert split(at(0, 1, 100, 101, 200)) == [["a", "b"], ["c", "d"], ["e"]]

    @pytest.mark.parametrize("gap", [0.01, 1e9])
    def test_any_gap_that_settings_allow(self, gap: float) -> None:
        assert len(split(at(0, 1, 100), gap)) == (3 if gap < 1 else 1)


class TestThreads:
    def test_chats_of_different_channels_never_merge(self) -> None:
        rows = [{"text": str(n), "at": n, "channel": "ab"[n % 2]} for n in range(6)]
        assert split(rows) == [["0", "2", "4"], ["1", "3", "5"]]

    def test_nor_do_a_channel_and_its_threads(self) -> None:
        rows = [{"text": str(n), "at": n, "thread": [None, "x", "y"][n % 3]} for n in range(6)]
        assert sorted(split(rows)) == [["0", "3"], ["1", "4"], ["2", "5"]]


class TestOrder:
    def test_times_come_first(self) -> None:
        assert split(at(2, 0, 1)) == [["b", "c", "a"]]

    def test_equal_times_are_in_the_order_of_the_source(self) -> None:
        found = table([{"author": "Ana", "text": t, "at": 0} for t in "abc"])
        found = found.with_columns(position=pl.Series([2, 0, 1]))
        assert sessions.split_conversations(found, 60)["text"].to_list() == ["b", "c", "a"]

    def test_messages_without_times_keep_their_order_and_stay_together(self) -> None:
        assert split(at(None, None, None)) == [["a", "b", "c"]]

    def test_a_message_whose_time_is_missing_keeps_its_place(self) -> None:
        assert split(at(0, None, 1, 500, None, 501)) == [["a", "b", "c"], ["d", "e", "f"]]
        assert split(at(None, 0, 1)) == [["a", "b", "c"]]

    def test_two_files_without_times_do_not_interleave(self) -> None:
        files = [table([{"author": "Ana", "text": t, "at": None} for t in "abc"])] * 2
        found = sessions.split_conversations(pl.concat(files), 60)
        assert found["text"].to_list() == ["a", "b", "c", "a", "b", "c"]


def test_a_chat_of_twenty_minutes_is_one_conversation() -> None:
    rows = [{"text": str(n), "at": n / 6} for n in range(120)]
    assert split(rows) == [[str(n) for n in range(120)]]


def test_no_messages_are_no_conversations() -> None:
    assert split([]) == []


@thorough
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "at": st.none() | st.integers(0, 400),
                "channel": st.sampled_from("ab"),
                "thread": st.sampled_from([None, "t"]),
            }
        )
    )
)
def test_every_message_is_in_one_conversation_of_one_thread(rows: list[dict[str, Any]]) -> None:
    said = table([{"author": "Ana", "text": str(n), **row} for n, row in enumerate(rows)])
    found = sessions.split_conversations(said, 60)
    assert sorted(found["text"]) == sorted(said["text"])
    for _, one in found.group_by("conversation"):
        assert one.select(sessions.CHANNEL_KEY).n_unique() == 1
        times = one["sent_at"].drop_nulls()
        assert times.is_sorted()
        assert (times.diff().dt.total_minutes().fill_null(0) <= 60).all()


def chat(channel: str, within: float, between: float, talks: int = 40) -> list[dict[str, Any]]:
    """Talks of ten messages, with silences of so many minutes, each some more or less."""
    rng = random.Random(channel)
    minute, rows = 0.0, []
    for _ in range(talks):
        for _ in range(10):
            minute += within * rng.lognormvariate(0, 0.4)
            rows.append({"author": "Ana", "text": "tea", "channel": channel, "at": minute})
        minute += between * rng.lognormvariate(0, 0.4)
    return [{**row, "id": f"{channel} {n}"} for n, row in enumerate(rows)]


def gaps_of(rows: list[dict[str, Any]]) -> dict[str, float]:
    found = sessions.estimate_gaps(sessions.split_conversations(table(rows), 60), CHANNEL_KEY)
    return dict(found.select(pl.col("channel_id").str.strip_prefix("/"), "gap").iter_rows())


class TestEstimatedGaps:
    """The gap estimated from a thread's silences."""

    def test_it_lies_between_answering_and_coming_back(self) -> None:
        found = gaps_of([*chat("brisk", 0.3, 120), *chat("slow", 20, 3000)])
        assert 0.3 < found["brisk"] < 120
        assert found["brisk"] < 60 < found["slow"]

    def test_conversations_are_what_it_parts(self) -> None:
        rows = chat("slow", 20, 3000)
        assert sessions.split_conversations(table(rows), "auto")["conversation"].n_unique() == 40
        assert sessions.split_conversations(table(rows), 10)["conversation"].n_unique() > 300

    @pytest.mark.parametrize("rows", [chat("small", 1, 300, talks=5), chat("even", 5, 5)])
    def test_a_small_channel_and_one_without_a_rhythm_take_an_hour(
        self, rows: list[dict[str, Any]]
    ) -> None:
        assert [*gaps_of(rows).values()] == [sessions.DEFAULT_GAP_MINUTES]

    def test_times_to_the_minute_are_no_rhythm_of_seconds(self) -> None:
        rows = [row | {"at": int(row["at"])} for row in chat("minutes", 0.2, 400)]
        assert gaps_of(rows)["minutes"] >= sessions.MIN_GAP_MINUTES

    def test_channels_without_times(self) -> None:
        assert gaps_of([{"author": "Ana", "text": "tea", "at": None}]) == {
            "tea": sessions.DEFAULT_GAP_MINUTES
        }


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

    alone, beside = gaps_of(rows("a", one)), gaps_of([*rows("a", one), *rows("b", other)])
    assert beside["a"] == alone["a"]
    assert all(
        sessions.MIN_GAP_MINUTES <= gap <= sessions.MAX_GAP_MINUTES for gap in beside.values()
    )
