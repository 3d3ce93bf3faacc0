"""Redaction of a text that is still being generated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.chats import table, texts, thorough

from myna.cleaning.redact import redact_messages
from myna.cleaning.redact_stream import RedactionStream
from myna.config import Redaction

CASES = Path(__file__).parents[2] / "benchmarks" / "redaction_cases.jsonl"
PERSONAL = [
    case["text"] for line in CASES.read_text("utf-8").splitlines() if (case := json.loads(line))
]
SETTINGS = (
    Redaction(),
    Redaction(style="fake", seed="x"),
    Redaction(style="off"),
    Redaction(types=["phone", "password"]),
    Redaction(types=[]),
)


def whole(text: str, settings: Redaction) -> str:
    frame, _ = redact_messages(table([{"author": "Ana", "text": text}]), settings)
    shown: str = frame["text"][0]
    return shown


def streamed(text: str, sizes: list[int], settings: Redaction) -> str:
    stream = RedactionStream(settings)
    given, at = "", 0
    while at < len(text):
        size = sizes[len(given) % len(sizes)]
        given += stream.feed(text[at : at + size])
        at += size
    return given + stream.finish()


def test_every_known_case_comes_out_the_same() -> None:
    frame, _ = redact_messages(
        table([{"author": "Ana", "text": text} for text in PERSONAL]), Redaction()
    )
    for number, (text, shown) in enumerate(zip(PERSONAL, frame["text"], strict=True)):
        assert streamed(text, [1 if number % 8 == 0 else 7], Redaction()) == shown


@thorough
@given(
    st.lists(st.one_of(st.sampled_from(PERSONAL), texts), min_size=1, max_size=4),
    st.sampled_from([" ", "\n", ", "]),
    st.lists(st.integers(min_value=1, max_value=30), min_size=1, max_size=5),
    st.sampled_from(SETTINGS),
)
@example(["call me:", "+49 30 123456-78", "or not"], "\n", [3], SETTINGS[0])
@example(["password:", "hunter22"], "\n", [1], SETTINGS[0])
@example(["in 1969 it was 2019", "is 2024"], " ", [1], SETTINGS[0])
@example(["-----BEGIN PRIVATE KEY-----", "MHcCAQEEabcdefgh", "x", "bye"], "\n", [4], SETTINGS[0])
def test_pieces_joined_are_the_whole_text_redacted(
    parts: list[str], between: str, sizes: list[int], settings: Redaction
) -> None:
    text = between.join(parts)
    assert streamed(text, sizes, settings) == whole(text, settings)


def test_plain_words_are_released_word_by_word() -> None:
    stream = RedactionStream(Redaction())
    said = "the lake was cold, and nobody went in but me. "
    late = []
    for end in range(1, len(said) + 1):
        stream.feed(said[end - 1])
        late.append(end - stream.released)
    assert max(late) <= len("nobody ") + 1


def test_numbers_that_are_not_personal_are_released() -> None:
    stream = RedactionStream(Redaction())
    assert stream.feed("in 1969 it took 8 days, ").startswith("in 1969 it took 8 days")


@pytest.mark.parametrize(
    ("so_far", "given"),
    [
        ("mine is kettle.fan92", "mine is "),
        ("mine is teapot99 at gm", "mine is "),
        ("i live at 221B Bak", "i live "),
        ("my ssn is 536-2", "my ssn is "),
        ("her password is hunt", "her "),
        ("join discord.gg/te", "join "),
    ],
)
def test_possible_personal_data_is_held_back_from_its_start(so_far: str, given: str) -> None:
    stream = RedactionStream(Redaction())
    assert "".join(map(stream.feed, so_far)) == given
