"""Token ids and labels: exactly the persona's words, and what ends them, are trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.chats import names, texts, thorough

from myna.messages import tidy
from myna.samples import rendering
from myna.samples.many import Tokens
from myna.samples.rendering import CONTEXT, END, REPLY, Segment
from myna.samples.tokenizer import Encoding, Tokenizer
from myna.samples.tokens import encode, prompt_ids, runs
from myna.samples.turns import Part, merge

pytestmark = pytest.mark.model

CONTROL = range(17)
"""The embedded base's control tokens: <|endoftext|>, <|im_start|>, <|im_end|> and so on."""


def spelt(segments: list[Segment], wanted: set[int]) -> list[int]:
    """The places of the characters with these labels."""
    marks = [segment.label for segment in segments for _ in segment.text]
    return [at for at, mark in enumerate(marks) if mark in wanted]


def covered(encoding: Encoding, labels: list[int], wanted: set[int]) -> list[int]:
    """The places of the characters that tokens with these labels cover."""
    return sorted(
        {
            at
            for (start, end), label in zip(encoding.offsets, labels, strict=False)
            if label in wanted
            for at in range(start, end)
        }
    )


messages = st.tuples(names, texts.map(tidy).filter(bool), st.booleans())


def framed(*samples: list[Segment], person: str = "Ana") -> pl.DataFrame:
    """The segments of samples as `encode` takes them."""
    rows = [
        (
            number,
            segment.text,
            segment.label,
            segment.control,
            person if segment.label == REPLY else None,
        )
        for number, segments in enumerate(samples)
        for segment in segments
    ]
    schema = {"sample": pl.Int64, "text": pl.String, "label": pl.UInt8}
    schema |= {"control": pl.Boolean, "person": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def encoded(segments: list[Segment], tokenizer: Tokenizer, *, ends: bool) -> dict[str, Any]:
    [row] = encode(framed(segments), tokenizer, ends=np.array([ends])).to_dicts()
    return row


@thorough
@given(st.lists(messages, min_size=1, max_size=6), st.none() | names, st.booleans())
def test_exactly_the_trained_words_and_what_ends_them_are_trained(
    tokenizer: Tokenizer,
    lines: list[tuple[str, str, bool]],
    next_person: str | None,
    ends: bool,
) -> None:
    turns = merge((name, Part(text, trained)) for name, text, trained in lines)
    segments = rendering.transcript("A chat.\n", turns, next_person=next_person)
    sample = encoded(segments, tokenizer, ends=ends)
    text = "".join(segment.text for segment in segments)
    # The embedded base has no tokens for two bytes that only unassigned characters need.
    assume(not {0xF1, 0xF2} & {*text.encode()})
    encoding = tokenizer.encode(text)
    assert covered(encoding, sample["labels"], {REPLY}) == spelt(segments, {REPLY})
    assert covered(encoding, sample["labels"], {END}) == spelt(segments, {END})

    body = sample["ids"][:-1] if ends else sample["ids"]
    assert body == encoding.ids
    assert tokenizer.decode(body) == text
    assert not set(body) & set(CONTROL)
    assert not ends or sample["ids"][-1] == tokenizer.eos
    assert len(sample["labels"]) == len(sample["ids"])
    assert [(s["text"], s["label"]) for s in sample["segments"]] == [
        (s.text, s.label) for s in segments
    ]


def test_samples_are_apart(tokenizer: Tokenizer) -> None:
    samples = [
        [Segment("Ana:"), Segment(" hi 🚀", REPLY), Segment("\n", END)],
        [Segment("Ana:"), Segment(" it is late", REPLY), Segment("\nok", REPLY), Segment("\nBen:")],
    ]
    both = encode(framed(*samples), tokenizer, ends=np.array([True, False])).to_dicts()
    assert both == [
        encoded(segments, tokenizer, ends=ends)
        for segments, ends in zip(samples, (True, False), strict=True)
    ]
    words = [
        tokenizer.decode(row["ids"][reply["start"] : reply["end"]])
        for row in both
        for reply in row["replies"]
    ]
    assert words == [" hi 🚀", " it is late\nok"]
    assert [r["characters"] for row in both for r in row["replies"]] == [4, 13]


@thorough
@given(texts, texts)
def test_a_prompt_that_ends_at_a_colon_is_the_beginning_of_all_that_may_follow(
    tokenizer: Tokenizer, before: str, after: str
) -> None:
    prompt = prompt_ids([Segment(f"{before}\nBuzz:")], tokenizer)
    whole = prompt_ids([Segment(f"{before}\nBuzz: x{after}")], tokenizer)
    assert whole[: len(prompt)] == prompt


def test_the_end_token_is_trained_as_the_last_words_are(tokenizer: Tokenizer) -> None:
    for trained, label in ((True, END), (False, CONTEXT)):
        turns = merge([("Ana", Part("bye", trained))])
        segments = rendering.transcript("A chat.\n", turns, next_person=None)
        sample = encoded(segments, tokenizer, ends=True)
        assert (sample["ids"][-1], sample["labels"][-1]) == (tokenizer.eos, label)


def test_a_token_that_reaches_into_untrained_text_is_not_trained(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = [Segment("Ana:"), Segment(" ok.", REPLY), Segment("\n[image]"), Segment(" b", REPLY)]
    # As a tokenizer cuts it that joins a full stop and the newline behind it.
    starts, ends = np.array([0, 4, 7, 9, 16]), np.array([4, 7, 9, 16, 18])
    ids = np.array([50, 51, 52, 53, 54], dtype=np.uint32)
    cut = Tokens(ids, np.array([5]), starts, ends)
    monkeypatch.setattr(tokenizer, "encode_all", lambda _: cut)
    sample = encoded(segments, tokenizer, ends=False)
    assert sample["labels"] == [CONTEXT, REPLY, CONTEXT, CONTEXT, REPLY]
    assert [(r["start"], r["end"]) for r in sample["replies"]] == [(1, 2), (4, 5)]


def test_runs_are_the_stretches_of_a_label() -> None:
    assert runs([0, 1, 1, 2, 1]) == [(1, 3), (4, 5)]
    assert runs([0, 2, 0]) == []
    assert runs([]) == []
