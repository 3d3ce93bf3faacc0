"""Presidio as an extra pass."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from tests.chats import table

from myna.cleaning import presidio
from myna.cleaning.redaction import redact
from myna.config import Redaction
from myna.errors import SettingsError


def redacted(text: str, **settings: Any) -> str:
    frame, _ = redact(table([{"author": "Ana", "text": text}]), Redaction(**settings))
    found: str = frame["text"][0]
    return found


WALLET = "send it to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa please"


class TestFinder:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("presidio_analyzer", reason="myna[presidio] is not installed")

    def test_it_finds_what_myna_does_not(self) -> None:
        assert redacted(WALLET) == WALLET
        assert redacted(WALLET, presidio=True) == "send it to [token] please"

    def test_what_both_find_is_replaced_once(self) -> None:
        text = "card 4111 1111 1111 1111 and tea@kettle.example"
        assert redacted(text, presidio=True) == "card [card] and [email]"

    @pytest.mark.parametrize("text", ["won 3-1 at 10:30 in 2019", "7-8 ish", "order 12345678901"])
    def test_bare_numbers_stay(self, text: str) -> None:
        assert redacted(text, presidio=True) == text

    def test_only_the_types_that_are_wanted_are_replaced(self) -> None:
        assert redacted(WALLET, presidio=True, types=["email"]) == WALLET


def test_without_it_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    presidio.finder.cache_clear()
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(SettingsError, match=r"pip install 'myna\[presidio\]'"):
        redacted("tea", presidio=True)
