"""Disentanglement of simultaneous conversations in one channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import names, table, tea_talk, texts, thorough

from myna.conversations import disentangle, sessions
from myna.messages import SCHEMA

TANGLED = """
Ana: anyone awake? my bread did not rise at all
Ben: did somebody watch the match last night?
Cleo: Ana: how old is the yeast?
Dan: Ben: yes, what a goal in the last minute!
Ana: Cleo: it was in the fridge since spring
Ben: Dan: the keeper stood much too far out
Cleo: Ana: then buy fresh yeast, the bread will rise
Dan: Ben: he always does
Ana: Cleo: thanks, I will
"""


def said(talk: str, **more: Any) -> pl.DataFrame:
    """A talk of lines `author: text`, a minute apart."""
    lines = [line.partition(": ") for line in talk.strip().splitlines()]
    return table([{"author": author, "text": text, **more} for author, _, text in lines])


def in_stretches(frame: pl.DataFrame) -> pl.DataFrame:
    """As `is_tangled` takes it."""
    return sessions.split_conversations(frame, 60).with_columns(person="author")


def conversation_starts(messages: pl.DataFrame) -> pl.Series:
    """Return the row that each message's conversation starts at."""
    links = disentangle.predict_links(messages).to_numpy()
    return pl.Series("starts", disentangle.roots(links))


def tangled(*authors: str) -> bool:
    """True if messages of these authors, one each, may be tangled."""
    frame = table([{"author": author, "text": "hm"} for author in authors])
    found = disentangle.is_tangled(in_stretches(frame)).unique().to_list()
    assert len(found) == 1
    return bool(found[0])


class TestDisentangling:
    def test_two_conversations_at_once(self) -> None:
        assert conversation_starts(said(TANGLED)).to_list() == [0, 1, 0, 1, 0, 1, 0, 1, 0]

    def test_the_links(self) -> None:
        assert disentangle.predict_links(said(TANGLED)).to_list() == [0, 1, 0, 1, 2, 3, 4, 5, 6]

    def test_without_times(self) -> None:
        found = conversation_starts(said(TANGLED, at=None))
        assert found.to_list() == [0, 1, 0, 1, 0, 1, 0, 1, 0]

    def test_in_another_script(self) -> None:
        found = conversation_starts(
            said("""
Аня: кто-нибудь умеет печь хлеб? у меня не поднялось тесто
Боря: кто смотрел вчера матч?
Света: Аня: сколько лет дрожжам?
Дима: Боря: я, какой гол на последней минуте!
Аня: Света: стоят с весны в холодильнике
Боря: Дима: вратарь вышел слишком далеко
""")
        )
        assert found.to_list() == [0, 1, 0, 1, 0, 1]

    def test_two_who_talk_stay_together(self) -> None:
        found = conversation_starts(
            said("""
Ana: are you home?
Ben: in ten minutes
Ana: then I put the kettle on
Ben: lovely
Ana: green or black?
Ben: black please
""")
        )
        assert found.to_list() == [0] * 6

    def test_the_messages_in_the_order_of_their_conversations(self) -> None:
        talk = in_stretches(said(TANGLED))
        apart = disentangle.disentangle_stretches(talk)
        assert apart["id"].to_list() == list("024681357")
        assert apart["conversation"].to_list() == [0] * 5 + [1] * 4
        assert apart.columns == talk.columns

    def test_what_is_not_tangled_stays_is_given(self) -> None:
        talk = in_stretches(table([{"author": a, "text": "hm", "at": 0} for a in "abcabc"]))
        assert disentangle.disentangle_stretches(talk).equals(talk)


class TestReplies:
    def test_a_reply_is_always_the_link(self) -> None:
        talk = said(TANGLED)
        reply = pl.Series(["0" if row == 8 else None for row in range(9)], dtype=pl.String)
        assert disentangle.predict_links(talk.with_columns(reply_to=reply))[8] == 0

    def test_however_far_away(self) -> None:
        rows: list[dict[str, Any]] = [{"author": "Ana", "text": str(n)} for n in range(200)]
        rows[199]["reply_to"] = "3"
        assert disentangle.predict_links(table(rows))[199] == 3

    def test_a_reply_to_a_later_message_or_another_stretch_is_none(self) -> None:
        rows = [{"author": "Ana", "text": "a", "reply_to": "1"}, {"author": "Ben", "text": "b"}]
        assert disentangle.predict_links(table(rows)).to_list()[0] == 0
        apart = table(list(reversed(rows))).with_columns(
            conversation=pl.Series([0, 1]), id=pl.Series(["1", "0"])
        )
        assert disentangle.predict_links(apart).to_list() == [0, 1]


class TestStretches:
    def test_links_never_leave_a_stretch(self) -> None:
        talk = pl.concat([said(TANGLED)] * 2)
        talk = talk.with_columns(conversation=pl.Series([0] * 9 + [1] * 9))
        found = conversation_starts(talk).to_list()
        assert found == [0, 1, 0, 1, 0, 1, 0, 1, 0, 9, 10, 9, 10, 9, 10, 9, 10, 9]

    def test_a_long_stretch_is_scored_in_chunks(self) -> None:
        talk = pl.concat([said(TANGLED)] * 300)
        whole = disentangle.predict_links(talk)
        before, disentangle.CHUNK_MESSAGES = disentangle.CHUNK_MESSAGES, 500
        try:
            pieces = disentangle.predict_links(talk)
        finally:
            disentangle.CHUNK_MESSAGES = before
        assert (pieces <= pl.int_range(talk.height, eager=True)).all()
        assert (whole == pieces).mean() > 0.99  # type: ignore[operator]

    def test_no_messages(self) -> None:
        assert disentangle.predict_links(pl.DataFrame(schema=SCHEMA)).to_list() == []
        assert conversation_starts(pl.DataFrame(schema=SCHEMA)).to_list() == []


class TestIsTangled:
    def test_four_people_may_hold_two_conversations(self) -> None:
        assert tangled(*"abcd")

    def test_three_do_not(self) -> None:
        assert not tangled(*"abcabcabcabc")

    def test_four_who_never_speak_together_do_not(self) -> None:
        between = disentangle.TANGLED_MESSAGES - 3
        assert tangled(*"abc", *"a" * between, "d")
        assert not tangled(*"abc", *"a" * (between + 1), "d")

    def test_each_stretch_by_itself(self) -> None:
        quiet = [{"author": a, "text": "hm", "at": n} for n, a in enumerate("abab")]
        loud = [{"author": a, "text": "hm", "at": 500 + n} for n, a in enumerate("abcd")]
        found = disentangle.is_tangled(in_stretches(table(quiet + loud)))
        assert found.to_list() == [False] * 4 + [True] * 4

    def test_no_messages(self) -> None:
        assert disentangle.is_tangled(in_stretches(pl.DataFrame(schema=SCHEMA))).to_list() == []


@thorough
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "author": names,
                "text": texts,
                "at": st.none() | st.integers(0, 400),
                "reply_to": st.none() | st.integers(0, 20).map(str),
            }
        ),
        max_size=20,
    )
)
def test_each_message_is_in_one_conversation(rows: list[dict[str, Any]]) -> None:
    talk = in_stretches(table(rows))
    answers, begins = disentangle.predict_links(talk), conversation_starts(talk)
    own = pl.int_range(talk.height, eager=True)
    stretch = talk["conversation"]
    assert (answers <= own).all()
    assert (begins <= answers).all()
    assert stretch.gather(begins).to_list() == stretch.to_list()
    assert begins.gather(answers).to_list() == begins.to_list()
    assert answers.gather(begins).to_list() == begins.to_list()
    apart = disentangle.disentangle_stretches(talk)
    assert apart["conversation"].to_list() == apart["conversation"].rle_id().to_list()
    assert sorted(apart["id"]) == sorted(talk["id"])


def test_the_weights_are_small_and_run_no_code() -> None:
    assert len(disentangle.WEIGHTS_FILE.read_bytes()) < 300_000
    with disentangle.WEIGHTS_FILE.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        assert {arrays[name].dtype for name in arrays} == {np.dtype(np.float32)}


def test_the_block_that_a_message_is_scored_in_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = disentangle.best_links(tea_talk(300))
    monkeypatch.setattr(disentangle, "BLOCK_ROWS", 7)
    assert disentangle.best_links(tea_talk(300)).tolist() == found.tolist()
