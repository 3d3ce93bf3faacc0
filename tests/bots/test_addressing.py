"""Whom a message is for."""

from __future__ import annotations

import pytest

from myna.bots.addressing import named, to_all

PERSONAS = ["Ana Silva", "Ben Silva", "Cy", "José"]


@pytest.mark.parametrize(
    ("text", "persons"),
    [
        ("ana, tea?", ["Ana Silva"]),
        ("what do BEN and Ana Silva think", ["Ben Silva", "Ana Silva"]),
        ("@cy hi", ["Cy"]),
        ("josé?", ["José"]),
        ("silva!", []),  # two are called so
        ("a banana in the cyan sea", []),
        ("Cy's turn", ["Cy"]),
        ("", []),
    ],
)
def test_a_name_calls_whom_it_belongs_to(text: str, persons: list[str]) -> None:
    assert named(text, PERSONAS) == persons


@pytest.mark.parametrize(
    ("text", "all_"),
    [
        ("hey everyone, tea?", True),
        ("Guys!", True),
        ("tea, @everyone", True),
        ("all: listen", True),
        ("not everyone likes tea", False),
        ("all", True),
        ("tall guys", False),
    ],
)
def test_everyone_may_be_meant(text: str, all_: bool) -> None:
    assert to_all(text) is all_
