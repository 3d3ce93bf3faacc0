"""The splits: by time, per channel, and without leaks."""

from __future__ import annotations

import itertools
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import cleaned, table, thorough

from myna.config import Split
from myna.conversations import sessions
from myna.conversations.splits import SPLITS, assign_splits, find_leaks, is_long, shingles


def split_rows(rows: list[dict[str, Any]], **settings: Any) -> pl.DataFrame:
    split = Split(**{"validation": 0.1, "test": 0.2, "min_replies": 0, **settings})
    return assign_splits(sessions.split_conversations(cleaned(table(rows)), 60), split)


def chat(count: int, *, every: float = 1, **more: Any) -> list[dict[str, Any]]:
    return [{"author": "Ana", "text": f"n{n}", "at": n * every, **more} for n in range(count)]


def sizes(frame: pl.DataFrame) -> list[int]:
    return [frame.filter(pl.col("split") == split).height for split in SPLITS]


class TestShares:
    def test_the_newest_are_test_and_before_them_validation(self) -> None:
        frame = split_rows(chat(100))
        assert sizes(frame) == [70, 10, 20]
        assert frame.sort("sent_at")["split"].rle().struct.field("value").to_list() == [*SPLITS]

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"validation": 0, "test": 0}, [100, 0, 0]),
            ({"validation": 0}, [80, 0, 20]),
            ({"test": 0}, [90, 10, 0]),
        ],
    )
    def test_a_share_of_nothing_holds_nothing_out(
        self, settings: dict[str, Any], expected: list[int]
    ) -> None:
        assert sizes(split_rows(chat(100), **settings)) == expected

    def test_every_channel_has_its_own(self) -> None:
        rows = [
            {**row, "id": f"{channel}{n}", "at": n + late, "channel": channel}
            for channel, late in (("a", 0), ("b", 9000))
            for n, row in enumerate(chat(100))
        ]
        frame = split_rows(rows)
        for _, channel in frame.group_by("channel"):
            assert sizes(channel) == [70, 10, 20]

    def test_threads_are_held_out_with_their_channel(self) -> None:
        rows = [{**row, "thread": [None, "t"][n % 2]} for n, row in enumerate(chat(100))]
        assert sizes(split_rows(rows)) == [70, 10, 20]

    def test_a_few_messages_are_all_trained(self) -> None:
        assert sizes(split_rows(chat(1))) == [1, 0, 0]

    def test_no_messages_at_all(self) -> None:
        assert sizes(split_rows([])) == [0, 0, 0]

    def test_a_border_goes_to_the_begin_of_a_conversation_near_it(self) -> None:
        rows = [{"author": "Ana", "text": f"n{n}", "at": n + 500 * (n >= 79)} for n in range(100)]
        frame = split_rows(rows, validation=0)
        assert sizes(frame) == [79, 0, 21]
        assert frame["whole"].all()


class TestMinReplies:
    def test_the_test_share_grows_until_a_regular_has_enough(self) -> None:
        rows = chat(200)
        assert sizes(split_rows(rows, validation=0, test=0.1, min_replies=30))[2] >= 30
        assert sizes(split_rows(rows, validation=0, test=0.1, min_replies=0))[2] == 20

    def test_it_never_grows_beyond_a_fifth(self) -> None:
        assert sizes(split_rows(chat(200), validation=0, test=0.1, min_replies=1000))[2] == 20

    def test_an_author_of_two_messages_is_no_regular(self) -> None:
        rows = chat(200)
        rows[3]["author"] = rows[150]["author"] = "Ben"
        assert sizes(split_rows(rows, validation=0, test=0.1, min_replies=20))[2] == 20


class TestNearDuplicates:
    LONG = "the kettle is on and everybody gets a cup of tea today"

    def found(self, train: str, test: str) -> list[bool]:
        texts = pl.Series([train, test])
        state = pl.Series([False, True if is_long(texts)[1] else None], dtype=pl.Boolean)
        said = shingles(texts)
        parts = [said[:3], said[3:]]
        found = find_leaks(
            lambda: (part.with_columns(held_out=state.gather(part["row"])) for part in parts)
        )
        return [row in found for row in range(2)]

    def test_near_duplicates_of_train_are_found(self) -> None:
        assert self.found(self.LONG, self.LONG.upper() + "!!!") == [False, True]
        assert self.found("well: " + self.LONG, self.LONG) == [False, True]

    def test_other_words_are_not(self) -> None:
        assert self.found(self.LONG, "all new words that nobody here has ever said")[1] is False

    def test_short_messages_are_no_leak(self) -> None:
        assert self.found("Roger. Out.", "Roger. Out.") == [False, False]


@thorough
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "at": st.none() | st.integers(0, 2000),
                "channel": st.sampled_from("ab"),
                "thread": st.sampled_from([None, "t"]),
                "author": st.sampled_from(["Ana", "Ben"]),
            }
        ),
        max_size=40,
    ),
    st.sampled_from([0, 0.1, 0.4]),
    st.sampled_from([0, 0.1, 0.3]),
    st.sampled_from([0, 3]),
)
def test_splits_follow_each_other_in_time(
    rows: list[dict[str, Any]], validation: float, test: float, min_replies: int
) -> None:
    said = [{"text": f"n{n}", **row} for n, row in enumerate(rows)]
    frame = split_rows(said, validation=validation, test=test, min_replies=min_replies)
    assert sorted(frame["text"]) == sorted(row["text"] for row in said)
    for _, channel in frame.group_by("channel"):
        ordered = channel.sort("time", nulls_last=False, maintain_order=True)
        for earlier, later in itertools.pairwise(SPLITS):
            before = ordered.filter(pl.col("split") == earlier)["time"].drop_nulls()
            after = ordered.filter(pl.col("split") == later)["time"].drop_nulls()
            assert before.is_empty() or after.is_empty() or before.max() <= after.min()
    for _, one in frame.group_by("conversation"):
        assert one["split"].n_unique() == 1
        assert one.select(sessions.CHANNEL_KEY).n_unique() == 1
