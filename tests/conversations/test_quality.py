"""The rules about conversations: goodbyes and low quality."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import cleaned, table, texts, thorough

from myna.cleaning.ledger import Ledger
from myna.config import Rules
from myna.config.rules import DISCORD_MISTRAL, resolve_preset
from myna.conversations import quality, sessions


def judged(rows: list[dict[str, Any]], **settings: Any) -> tuple[pl.DataFrame, Ledger]:
    ledger = Ledger()
    chosen = resolve_preset(Rules(**settings))
    kept = sessions.split_conversations(cleaned(table(rows), ledger, chosen), 60)
    return quality.apply_conversation_rules(
        kept.hstack(quality.goodbye_features(kept, chosen)), ledger, chosen
    ), ledger


def pieces(*said: str, **settings: Any) -> list[list[str]]:
    """The conversations of a chat of two, a message a minute: `name text`."""
    rows = [
        {"author": author, "text": text, "at": at}
        for at, (author, _, text) in enumerate(line.partition(" ") for line in said)
    ]
    kept, _ = judged(rows, **settings)
    parts = kept.group_by("conversation", maintain_order=True).agg("text")
    assert parts["conversation"].to_list() == list(range(parts.height))
    return parts["text"].to_list()


class TestEnds:
    def test_a_conversation_ends_behind_the_goodbyes(self) -> None:
        assert pieces("Ana tea?", "Ben gtg", "Ana ok", "Ana sleep well", "Ben back!", "Ana hi") == [
            ["tea?", "gtg", "ok", "sleep well"],
            ["back!", "hi"],
        ]

    def test_what_is_said_in_the_same_breath_belongs_to_it(self) -> None:
        assert pieces("Ana tea?", "Ben gtg", "Ben the train is here", "Ana right so") == [
            ["tea?", "gtg", "the train is here"],
            ["right so"],
        ]

    def test_a_goodbye_at_the_end_ends_nothing_more(self) -> None:
        assert pieces("Ana tea?", "Ben gtg") == [["tea?", "gtg"]]

    def test_a_mention_of_a_goodbye_is_none(self) -> None:
        said = ("Ana are you going to sleep?", "Ben no, she said good night to me", "Ana ok")
        assert len(pieces(*said)) == 1

    def test_an_answer_long_after_is_a_new_conversation(self) -> None:
        rows = [
            {"author": "Ana", "text": "gn", "at": 0},
            {"author": "Ben", "text": "ok", "at": 30},
        ]
        assert judged(rows)[0]["conversation"].to_list() == [0, 1]

    def test_each_conversation_ends_by_itself(self) -> None:
        rows = [
            {"author": "Ana", "text": text, "channel": channel, "at": at}
            for channel in "ab"
            for at, text in enumerate(("hi", "gtg" if channel == "a" else "so", "well then"), 1)
        ]
        rows = [
            {**row, "id": number, "author": "AB"[number % 2]} for number, row in enumerate(rows)
        ]
        assert judged(rows)[0]["conversation"].to_list() == [0, 0, 1, 2, 2, 2]

    def test_pulled_apart_conversations_may_alternate(self) -> None:
        rows = [{"author": "ABBA"[n], "text": t} for n, t in enumerate(("bye", "so", "hi", "yes"))]
        apart = sessions.split_conversations(cleaned(table(rows)), 60).with_columns(
            conversation=pl.Series([0, 1, 0, 1])
        )
        told = apart.hstack(quality.goodbye_features(apart, resolve_preset(Rules())))
        assert quality.split_at_goodbyes(told)["conversation"].to_list() == [0, 1, 2, 1]

    def test_words_can_be_added(self) -> None:
        said = ("Ana over and out", "Ben so there")
        assert len(pieces(*said)) == 1
        assert len(pieces(*said, ender_words=["over and out"])) == 2

    @pytest.mark.parametrize(("action", "left"), [("keep", [3]), ("drop", []), ("end", [2, 1])])
    def test_can_be_kept_or_dropped_whole(self, action: str, left: list[int]) -> None:
        said = ("Ana tea?", "Ben gtg", "Ana what else is there")
        assert [len(piece) for piece in pieces(*said, ender=action)] == left

    def test_can_be_context(self) -> None:
        rows = [{"author": "Ana", "text": text} for text in ("gtg", "well", "lol")]
        kept, ledger = judged(rows, ender="context")
        assert kept["rule"].to_list() == ["ender", "ender", "non-response"]
        assert not kept["trained"].any()
        assert ledger.rows == []


class TestLowQuality:
    SHORT = ("Ana dinner at 7?", "Ben ok")

    def test_short_ones_stay_as_that_is_how_people_talk(self) -> None:
        assert pieces(*self.SHORT) == [["dinner at 7?", "ok"]]

    def test_are_few_messages_under_30_characters(self) -> None:
        assert pieces(*self.SHORT, low_quality="drop") == []
        assert pieces(*self.SHORT, "Ben " + "x" * 30, low_quality="drop", repeats=0)
        assert len(pieces(*self.SHORT * 2, "Ana yes", low_quality="drop")[0]) == 5

    def test_stand_in_the_ledger(self) -> None:
        rows = [{"author": "Ana", "text": "dinner at 7?"}, {"author": "Ana", "text": "lol"}]
        kept, ledger = judged(rows, low_quality="drop")
        assert kept.is_empty()
        [row] = ledger.rows
        assert (row.rule, row.action, row.messages) == ("low-quality", "drop", 2)
        assert row.characters == ledger.characters == 15
        assert ledger.balanced


def test_the_preset_drops_poor_conversations_and_those_with_a_goodbye() -> None:
    long = "a long line that goes on for more than thirty characters"
    rows = [
        {"author": "Ana", "text": text, "at": at}
        for at, text in [(0, "hi"), (1, "you"), (200, long), (201, "cya"), (400, long[::-1])]
    ]
    kept, ledger = judged(rows, preset=DISCORD_MISTRAL)
    assert kept["text"].to_list() == [long[::-1]]
    assert {row.rule: row.messages for row in ledger.rows} == {"ender": 2, "low-quality": 2}


@thorough
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "author": st.sampled_from(["Ana", "Ben", "Cy"]),
                "text": texts | st.sampled_from(["gtg", "ok", "cya all", "lol", "well " * 9]),
                "channel": st.sampled_from("ab"),
                "at": st.none() | st.integers(0, 300),
            }
        )
    ),
    st.sampled_from(["", "keep", "end", "context", "drop"]),
    st.sampled_from(["", "keep", "context", "drop"]),
    st.sampled_from(["default", DISCORD_MISTRAL]),
)
def test_every_message_stays_or_is_dropped_by_name(
    rows: list[dict[str, Any]], ender: str, poor: str, preset: str
) -> None:
    kept, ledger = judged(rows, ender=ender, low_quality=poor, preset=preset)
    assert ledger.messages == len(rows) == ledger.total("drop") + kept.height
    dropped = sum(row.characters for row in ledger.rows)
    assert dropped + kept["characters"].sum() == ledger.characters
    assert kept["trained"].to_list() == [rule is None for rule in kept["rule"]]
    # Conversations are cut, and never joined.
    assert (kept.group_by("conversation").agg(pl.col("channel").n_unique())["channel"] == 1).all()
    # Numbers rise with the first message of each.
    numbers = kept["conversation"].unique(maintain_order=True).to_list()
    assert numbers == sorted(numbers)
