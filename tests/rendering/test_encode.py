"""Token ids and kinds: exactly the persona's words and their end-of-turn tokens are trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.chats import names, texts, thorough, transcript

from myna.messages import normalize_text
from myna.rendering.encode import encode_batch, loss_mask, token_kinds
from myna.rendering.render import CONTEXT, END, REPLY, Segment, encode_segments
from myna.rendering.tokenizer import BatchEncoding, Encoding, Tokenizer
from myna.rendering.turns import TurnLine, merge_turns

pytestmark = pytest.mark.model

CONTROL = range(17)
"""The embedded base's control tokens: <|endoftext|>, <|im_start|>, <|im_end|> and so on."""


def spelt(segments: list[Segment], wanted: set[int]) -> list[int]:
    """The places of the characters of these kinds."""
    kinds = [segment.kind for segment in segments for _ in segment.text]
    return [at for at, kind in enumerate(kinds) if kind in wanted]


def covered(encoding: Encoding, kinds: list[int], wanted: set[int]) -> list[int]:
    """The places of the characters that tokens of these kinds cover."""
    return sorted(
        {
            at
            for (start, end), kind in zip(encoding.offsets, kinds, strict=False)
            if kind in wanted
            for at in range(start, end)
        }
    )


messages = st.tuples(names, texts.map(normalize_text).filter(bool), st.booleans())


def framed(*samples: list[Segment]) -> pl.DataFrame:
    """The segments of samples as `encode_batch` takes them."""
    rows = [
        (number, segment.text, segment.kind, segment.control, segment.person)
        for number, segments in enumerate(samples)
        for segment in segments
    ]
    schema = {"sample": pl.Int64, "text": pl.String, "kind": pl.UInt8}
    schema |= {"control": pl.Boolean, "person": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def words(text: str) -> Segment:
    return Segment(text, REPLY, person="Ana")


def encoded(segments: list[Segment], tokenizer: Tokenizer, *, ends: bool) -> dict[str, Any]:
    [row] = encode_batch(framed(segments), tokenizer, add_eos=np.array([ends])).to_dicts()
    return row


def kinds(sample: dict[str, Any]) -> list[int]:
    return token_kinds(len(sample["ids"]), sample["target_spans"])


@thorough
@given(st.lists(messages, min_size=1, max_size=6), st.none() | names, st.booleans())
def test_exactly_the_trained_words_and_what_ends_them_are_trained(
    tokenizer: Tokenizer,
    lines: list[tuple[str, str, bool]],
    next_person: str | None,
    ends: bool,
) -> None:
    turns = merge_turns((name, TurnLine(text, trained)) for name, text, trained in lines)
    segments = transcript("A chat.\n", turns, next_person=next_person)
    sample = encoded(segments, tokenizer, ends=ends)
    text = "".join(segment.text for segment in segments)
    # The embedded base has no tokens for two bytes that only unassigned characters need.
    assume(not {0xF1, 0xF2} & {*text.encode()})
    encoding = tokenizer.encode(text)
    assert covered(encoding, kinds(sample), {REPLY}) == spelt(segments, {REPLY})
    assert covered(encoding, kinds(sample), {END}) == spelt(segments, {END})

    body = sample["ids"][:-1] if ends else sample["ids"]
    assert body == encoding.ids
    assert tokenizer.decode(body) == text
    assert not set(body) & set(CONTROL)
    assert not ends or sample["ids"][-1] == tokenizer.eos_id
    assert [(s["text"], s["kind"]) for s in sample["segments"]] == [
        (s.text, s.kind) for s in segments
    ]


def test_samples_are_apart(tokenizer: Tokenizer) -> None:
    samples = [
        [Segment("Ana:"), words(" hi 🚀"), Segment("\n", END, person="Ana")],
        [Segment("Ana:"), words(" it is late"), words("\nok"), Segment("\nBen:")],
    ]
    both = encode_batch(framed(*samples), tokenizer, add_eos=np.array([True, False])).to_dicts()
    assert both == [
        encoded(segments, tokenizer, ends=ends)
        for segments, ends in zip(samples, (True, False), strict=True)
    ]
    said = [
        tokenizer.decode(row["ids"][span["words_start"] : span["words_end"]])
        for row in both
        for span in row["target_spans"]
    ]
    assert said == [" hi 🚀", " it is late\nok"]
    assert [span["characters"] for row in both for span in row["target_spans"]] == [4, 13]


@thorough
@given(texts, texts)
def test_a_prompt_that_ends_at_a_colon_is_the_beginning_of_all_that_may_follow(
    tokenizer: Tokenizer, before: str, after: str
) -> None:
    prompt = encode_segments([Segment(f"{before}\nBuzz:")], tokenizer)[0]
    whole = encode_segments([Segment(f"{before}\nBuzz: x{after}")], tokenizer)[0]
    assert whole[: len(prompt)] == prompt


def test_the_end_token_is_trained_as_the_last_words_are(tokenizer: Tokenizer) -> None:
    for trained, kind in ((True, END), (False, CONTEXT)):
        turns = merge_turns([("Ana", TurnLine("bye", trained))])
        segments = transcript("A chat.\n", turns)
        sample = encoded(segments, tokenizer, ends=True)
        assert (sample["ids"][-1], kinds(sample)[-1]) == (tokenizer.eos_id, kind)


def test_a_token_that_reaches_into_untrained_text_is_not_trained(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = [Segment("Ana:"), words(" ok."), Segment("\n[image]"), words(" b")]
    # As a tokenizer cuts it that joins a full stop and the newline behind it.
    starts, ends = np.array([0, 4, 7, 9, 16]), np.array([4, 7, 9, 16, 18])
    ids = np.array([50, 51, 52, 53, 54], dtype=np.uint32)
    cut = BatchEncoding(ids, np.array([5]), starts, ends)
    monkeypatch.setattr(tokenizer, "encode_batch", lambda _: cut)
    sample = encoded(segments, tokenizer, ends=False)
    assert kinds(sample) == [CONTEXT, REPLY, CONTEXT, CONTEXT, REPLY]
    assert [(span["start"], span["end"]) for span in sample["target_spans"]] == [(1, 2), (4, 5)]


SPANS = [
    {"person": "Ana", "start": 0, "end": 3, "words_start": 1, "words_end": 2},
    {"person": "Ben", "start": 4, "end": 5, "words_start": 4, "words_end": 5},
]


def test_kinds_and_masks_are_read_from_the_target_spans() -> None:
    assert token_kinds(6, SPANS) == [END, REPLY, END, CONTEXT, REPLY, CONTEXT]
    assert loss_mask(6, SPANS, words_only=True) == [False, True, False, False, True, False]
    assert loss_mask(2, []) == [False, False]


def test_a_first_token_has_no_loss_as_nothing_comes_before_it() -> None:
    assert loss_mask(6, SPANS) == [False, True, True, False, True, False]
