"""Conversations that run at once in a channel, pulled apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import names, table, texts, thorough

from myna.conversations import disentangle, disentangle_features, sessions
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
    return sessions.split(frame, 60).with_columns(person="author")


def tangled(*authors: str) -> bool:
    """Whether a talk of these authors, one message each, may be tangled."""
    frame = table([{"author": author, "text": "hm"} for author in authors])
    found = disentangle.is_tangled(in_stretches(frame)).unique().to_list()
    assert len(found) == 1
    return bool(found[0])


class TestPullingApart:
    def test_two_conversations_at_once(self) -> None:
        assert disentangle.disentangle(said(TANGLED)).to_list() == [0, 1, 0, 1, 0, 1, 0, 1, 0]

    def test_who_answers_whom(self) -> None:
        assert disentangle.links(said(TANGLED)).to_list() == [0, 1, 0, 1, 2, 3, 4, 5, 6]

    def test_without_times(self) -> None:
        found = disentangle.disentangle(said(TANGLED, at=None))
        assert found.to_list() == [0, 1, 0, 1, 0, 1, 0, 1, 0]

    def test_in_another_script(self) -> None:
        found = disentangle.disentangle(
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
        found = disentangle.disentangle(
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
        apart = disentangle.pull_apart(talk)
        assert apart["id"].to_list() == list("024681357")
        assert apart["conversation"].to_list() == [0] * 5 + [1] * 4
        assert apart.columns == talk.columns

    def test_what_is_not_tangled_stays_as_it_is(self) -> None:
        talk = in_stretches(table([{"author": a, "text": "hm", "at": 0} for a in "abcabc"]))
        assert disentangle.pull_apart(talk).equals(talk)


class TestReplies:
    def test_a_reply_is_always_the_link(self) -> None:
        talk = said(TANGLED)
        reply = pl.Series(["0" if row == 8 else None for row in range(9)], dtype=pl.String)
        assert disentangle.links(talk.with_columns(reply_to=reply))[8] == 0

    def test_however_far_away(self) -> None:
        rows: list[dict[str, Any]] = [{"author": "Ana", "text": str(n)} for n in range(200)]
        rows[199]["reply_to"] = "3"
        assert disentangle.links(table(rows))[199] == 3

    def test_a_reply_to_a_later_message_or_another_stretch_is_none(self) -> None:
        rows = [{"author": "Ana", "text": "a", "reply_to": "1"}, {"author": "Ben", "text": "b"}]
        assert disentangle.links(table(rows)).to_list()[0] == 0
        apart = table(list(reversed(rows))).with_columns(
            conversation=pl.Series([0, 1]), id=pl.Series(["1", "0"])
        )
        assert disentangle.links(apart).to_list() == [0, 1]


class TestStretches:
    def test_links_never_leave_a_stretch(self) -> None:
        talk = pl.concat([said(TANGLED)] * 2)
        talk = talk.with_columns(conversation=pl.Series([0] * 9 + [1] * 9))
        found = disentangle.disentangle(talk).to_list()
        assert found == [0, 1, 0, 1, 0, 1, 0, 1, 0, 9, 10, 9, 10, 9, 10, 9, 10, 9]

    def test_a_long_stretch_is_looked_at_in_pieces(self) -> None:
        talk = pl.concat([said(TANGLED)] * 300)
        whole = disentangle.links(talk)
        before, disentangle.PIECE = disentangle.PIECE, 500
        try:
            pieces = disentangle.links(talk)
        finally:
            disentangle.PIECE = before
        assert (pieces <= pl.int_range(talk.height, eager=True)).all()
        assert (whole == pieces).mean() > 0.99  # type: ignore[operator]

    def test_no_messages(self) -> None:
        assert disentangle.links(pl.DataFrame(schema=SCHEMA)).to_list() == []
        assert disentangle.disentangle(pl.DataFrame(schema=SCHEMA)).to_list() == []


class TestWhatMayBeTangled:
    def test_four_people_may_hold_two_conversations(self) -> None:
        assert tangled(*"abcd")

    def test_three_do_not(self) -> None:
        assert not tangled(*"abcabcabcabc")

    def test_four_who_never_speak_together_do_not(self) -> None:
        between = disentangle.RUN - 3
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
def test_whatever_is_said_each_message_is_in_one_conversation(rows: list[dict[str, Any]]) -> None:
    talk = in_stretches(table(rows))
    answers, begins = disentangle.links(talk), disentangle.disentangle(talk)
    own = pl.int_range(talk.height, eager=True)
    stretch = talk["conversation"]
    assert (answers <= own).all()
    assert (begins <= answers).all()
    assert stretch.gather(begins).to_list() == stretch.to_list()
    assert begins.gather(answers).to_list() == begins.to_list()
    assert answers.gather(begins).to_list() == begins.to_list()
    apart = disentangle.pull_apart(talk)
    assert apart["conversation"].to_list() == apart["conversation"].rle_id().to_list()
    assert sorted(apart["id"]) == sorted(talk["id"])


def chat(count: int) -> disentangle_features.Talk:
    people = ("Ana", "Ben", "Cleo", "Dan", "Eve")
    rows = (
        {"author": people[n * n % 5], "text": f"{people[n % 5]}: tea {n % 7}?", "at": n // 3}
        for n in range(count)
    )
    return disentangle_features.read_talk(table(list(rows)))


def test_the_weights_are_small_and_run_no_code() -> None:
    assert len(disentangle.FILE.read_bytes()) < 300_000
    with disentangle.FILE.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        assert {arrays[name].dtype for name in arrays} == {np.dtype(np.float32)}


def test_the_block_that_a_message_is_scored_in_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = disentangle.answers(chat(300))
    monkeypatch.setattr(disentangle, "BLOCK", 7)
    assert disentangle.answers(chat(300)).tolist() == found.tolist()
