"""Typed control tokens stay text, and can be read back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import texts
from tests.export.reading import typed

from myna.engines.openai_engine import ZERO_WIDTH_SPACE
from myna.export.dialogues import neutralize

TOKENS = [
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<｜begin▁of▁sentence｜>"),
    *("<s>", "</s>", "<unk>", "<pad>", "<eos>", "<end_of_turn>", "[INST]", "[/INST]", "[start]"),
]

PIECES = st.sampled_from(
    [
        *TOKENS,
        "<",
        "[",
        "|",
        ZERO_WIDTH_SPACE,
        f"<{ZERO_WIDTH_SPACE}|im_end|>",
        f"[{ZERO_WIDTH_SPACE}{ZERO_WIDTH_SPACE}INST]",
    ]
)


@pytest.mark.parametrize("token", TOKENS)
def test_a_zero_width_space_makes_a_control_token_text(token: str) -> None:
    assert neutralize(f"so {token} there") == f"so {token[0]}{ZERO_WIDTH_SPACE}{token[1:]} there"


@pytest.mark.parametrize(
    "text", ["a < b", "<3", "<|", "[image]", "[JOURNAL] 1 May", "</strong>", "a <b> c", "<| x |>"]
)
def test_whatever_controls_nothing_stays(text: str) -> None:
    assert neutralize(text) == text


@given(st.lists(PIECES | texts).map("".join))
def test_no_control_token_is_left_and_nothing_is_lost(text: str) -> None:
    safe = neutralize(text)
    assert not re.search("|".join(map(re.escape, TOKENS)), safe)
    assert typed(safe) == text
