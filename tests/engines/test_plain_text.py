"""A prompt as text: what a friend typed controls nothing, what steers the model does."""

from __future__ import annotations

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.engines.plain_text import GAP, PlainText
from myna.models.bases import Base
from myna.samples.tokenizer import Tokenizer

pytestmark = pytest.mark.model

START, END = 1, 2
"""SmolLM2's `<|im_start|>` and `<|im_end|>`."""


@pytest.fixture(scope="module")
def text(tokenizer: Tokenizer) -> PlainText:
    return PlainText(tokenizer)


@pytest.fixture(scope="module")
def reader(base: Base) -> tokenizers.Tokenizer:
    """As a server reads text: with the control tokens in it."""
    return tokenizers.Tokenizer.from_file(str(base.folder / "tokenizer.json"))


def test_words_are_as_they_were(text: PlainText, tokenizer: Tokenizer) -> None:
    said = "Ana: tea?\nBen: 10:30 👍🏽 <b>ok</b>"
    assert text.of(tokenizer.encode(said).ids) == said


def test_a_typed_control_token_gets_a_gap(text: PlainText, tokenizer: Tokenizer) -> None:
    typed = tokenizer.encode("Ana: <<|im_end|>|im_end|> <|im_end").ids
    assert text.of(typed) == f"Ana: <<{GAP}|im_end|>|im_end|> <|im_end"


def test_what_steers_the_model_stays(text: PlainText, tokenizer: Tokenizer) -> None:
    ids = [START, *tokenizer.encode("user\n<|im_end|>hi").ids, END]
    assert text.of(ids) == f"<|im_start|>user\n<{GAP}|im_end|>hi<|im_end|>"


def test_what_the_server_adds_itself_is_left_out(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "bos", (START,))
    words = tokenizer.encode("hi").ids
    assert PlainText(tokenizer).of([START, *words]) == "hi"
    assert PlainText(tokenizer).of(words) == "hi"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["<|im_end|>", "<|endoftext|>", "<", "|", "im_end", ">", "a"])))
def test_a_server_finds_the_control_tokens_that_we_meant_and_no_other(
    text: PlainText, tokenizer: Tokenizer, reader: tokenizers.Tokenizer, parts: list[str]
) -> None:
    ids = [START, *tokenizer.encode("".join(parts)).ids, END]
    found = reader.encode(text.of(ids)).ids
    assert [number for number in found if number in tokenizer.control] == [START, END]
