"""The ledger: it balances, or says that it does not."""

from __future__ import annotations

import json

from myna.cleaning.ledger import ACTIONS, Ledger, LedgerRow, PersonShare, from_json


def ledger() -> Ledger:
    return Ledger(
        messages=10,
        characters=100,
        rows=[
            LedgerRow("empty", "drop", "nothing in it", 2, 0),
            LedgerRow(
                "media-only", "context", "an attachment without words", 1, 0, ["Ana: (no text)"]
            ),
            LedgerRow("test", "test", "held out to report on", 3, 40),
            LedgerRow("kept", "train", "a person's words, trained", 4, 60),
        ],
        people=[PersonShare("Ana", 100, train=60, test=40, replies={"train": 4, "test": 3})],
    )


def test_it_balances_when_all_messages_and_characters_are_somewhere() -> None:
    assert ledger().balanced
    assert [ledger().total(action) for action in ACTIONS] == [2, 1, 0, 3, 4]


def test_a_missing_message_is_an_imbalance() -> None:
    off = ledger()
    off.messages += 1
    assert off.imbalance() == 1
    assert not off.balanced


def test_a_missing_character_is_an_imbalance() -> None:
    off = ledger()
    off.characters += 1
    assert not off.balanced
    assert not off.to_json()["balanced"]


def test_it_is_read_back_from_its_json() -> None:
    assert from_json(json.loads(json.dumps(ledger().to_json()))) == ledger()


def test_what_is_kept_is_a_share_of_what_is_not_held_out() -> None:
    assert ledger().people[0].kept == 1
    assert PersonShare("Ben", characters=50, train=10, validation=10).kept == 0.25
    assert PersonShare("Cy").kept == 0
