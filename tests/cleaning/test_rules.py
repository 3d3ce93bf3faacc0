"""The rules about single messages: which one decides, and what the ledger says of it."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import cleaned, everyone, table, texts, thorough

from myna.cleaning import rules
from myna.cleaning.ledger import Ledger
from myna.messages import KINDS, tidy
from myna.people import People, Person, accounts


def verdicts(rows: list[dict[str, Any]], **consents: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """What stays, and how many messages each rule dropped."""
    ledger = Ledger()
    kept = cleaned(table(rows), ledger, **consents)
    return kept, {row.rule: row.messages for row in ledger.rows}


class TestRules:
    def test_a_persons_words_are_trained(self) -> None:
        kept, dropped = verdicts([{"author": "Ana", "text": " привет \r\n"}])
        assert kept.select("person", "text", "trained").rows() == [("Ana", "привет", True)]
        assert dropped == {}

    def test_each_kind_that_is_nobodys_words_is_dropped_by_its_name(self) -> None:
        rows = [{"author": "Ana", "text": "x", "kind": kind} for kind in KINDS]
        kept, dropped = verdicts(rows)
        assert kept["kind"].to_list() == ["text", "entry"]
        assert dropped == dict.fromkeys(["system", "call", "deleted", "command", "forward"], 1)

    def test_nothing_in_it_is_dropped_and_an_attachment_alone_is_context(self) -> None:
        rows = [
            {"author": "Ana", "text": " \r\n"},
            {"author": "Ana", "text": "", "files": ["image"]},
        ]
        kept, dropped = verdicts(rows)
        assert kept.select("rule", "trained").rows() == [("media-only", False)]
        assert dropped == {"empty": 1}

    def test_consent_decides(self) -> None:
        rows = [{"author": name, "text": "x"} for name in ("Ana", "Ben", "Cy")]
        kept, dropped = verdicts(rows, Ben="context", Cy="no")
        assert kept.select("person", "trained").rows() == [("Ana", True), ("Ben", False)]
        assert dropped == {"no-consent": 1}

    def test_replies_are_words_like_others(self) -> None:
        rows = [{"author": "Ana", "text": "x"}, {"author": "Ana", "text": "y", "reply_to": "0"}]
        assert verdicts(rows)[0]["trained"].to_list() == [True, True]


class TestBots:
    ROWS = ({"author": "Beep", "text": "x", "bot": True},)

    def test_a_bot_is_dropped_as_a_bot(self) -> None:
        kept, dropped = verdicts([*self.ROWS])
        assert kept.is_empty()
        assert dropped == {"bot": 1}

    def test_a_bot_may_stand_in_prompts_and_is_never_trained(self) -> None:
        assert verdicts([*self.ROWS], Beep="context")[0]["trained"].to_list() == [False]
        assert verdicts([*self.ROWS], Beep="clone")[0].is_empty()

    def test_a_bot_that_passes_on_a_persons_words_can_be_given_to_them(self) -> None:
        merged = People((Person("Ana", ("test:Ana", "test:Beep"), "clone"),))
        kept = rules.clean(accounts.assign(table([*self.ROWS]), merged), Ledger())
        assert kept.select("person", "trained").rows() == [("Ana", True)]

    def test_a_person_whom_people_toml_calls_a_bot_is_one(self) -> None:
        bot = People((Person("Ana", ("test:Ana",), "clone", is_bot=True),))
        said = table([{"author": "Ana", "text": "x"}])
        assert rules.clean(accounts.assign(said, bot), Ledger()).is_empty()


class TestDuplicates:
    def texts_of(self, rows: list[dict[str, Any]]) -> list[str]:
        kept, dropped = verdicts(rows)
        assert dropped.get("duplicate", 0) == len(rows) - kept.height
        return kept["text"].to_list()

    def test_the_one_read_last_stays(self) -> None:
        rows = [{"author": "Ana", "text": text, "id": "1"} for text in ("a", "b", "c")]
        assert self.texts_of(rows) == ["c"]

    def test_an_edited_one_stays_before_all_others(self) -> None:
        rows: list[dict[str, Any]] = [
            {"author": "Ana", "text": text, "id": "1"} for text in ("a", "b", "c")
        ]
        rows[1]["edited"] = True
        assert self.texts_of(rows) == ["b"]

    def test_messages_stay_in_their_order(self) -> None:
        rows = [{"author": "Ana", "text": str(n), "edited": n % 3 == 0} for n in range(9)]
        assert self.texts_of(rows) == [str(n) for n in range(9)]

    def test_another_channel_is_another_message(self) -> None:
        rows = [{"author": "Ana", "text": "a", "id": "1", "channel": c} for c in "ab"]
        assert self.texts_of(rows) == ["a", "a"]


def test_examples_are_short_lines() -> None:
    ledger = Ledger()
    rows = [{"author": "Ana", "text": "joined\nthe chat " * 20, "kind": "system"}] * 5
    cleaned(table([{**row, "id": n} for n, row in enumerate(rows)]), ledger)
    [row] = ledger.rows
    assert len(row.examples) == 3
    assert all(len(e) <= 100 and "\n" not in e for e in row.examples)
    assert row.examples[0].startswith("Ana: joined / the chat")


@thorough
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "author": st.sampled_from(["Ana", "Ben", "Cy"]),
                "text": texts,
                "id": st.sampled_from("123456"),
                "kind": st.sampled_from(["text", *KINDS]),
                "bot": st.booleans(),
                "edited": st.booleans(),
                "files": st.sampled_from([(), ("image",)]),
            }
        )
    ),
    st.sampled_from(["clone", "context", "no"]),
)
def test_what_comes_in_is_dropped_or_stays(rows: list[dict[str, Any]], consent: str) -> None:
    ledger = Ledger()
    kept = cleaned(table(rows), ledger, Ana=consent)
    assert ledger.messages == len(rows)
    assert ledger.characters == sum(len(tidy(row["text"])) for row in rows)
    assert ledger.total("drop") + kept.height == len(rows)
    dropped = sum(row.characters for row in ledger.rows)
    assert dropped + sum(map(len, kept["text"])) == ledger.characters
    assert kept["id"].is_unique().all()


def test_persons_are_found_by_their_accounts() -> None:
    said = table([{"author": "a1", "text": "x"}, {"author": "a2", "text": "y"}])
    merged = People((Person("Ana", ("test:a1", "test:a2"), "clone"),))
    assert accounts.assign(said, merged)["person"].to_list() == ["Ana", "Ana"]
    assert everyone(said).persons[0].accounts == ("test:a1",)
    unknown = accounts.assign(said, People())
    assert unknown.select("person", "consent").rows() == [("a1", "no"), ("a2", "no")]
