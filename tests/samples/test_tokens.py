"""Token ids and labels: exactly the persona's words, and what ends them, are trained."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.chats import names, texts, thorough

from myna.messages import tidy
from myna.samples import rendering
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
    sample = encode(segments, tokenizer, ends=ends)
    # The embedded base has no tokens for two bytes that only unassigned characters need.
    assume(not {0xF1, 0xF2} & {*sample.text.encode()})
    encoding = tokenizer.encode(sample.text)
    assert covered(encoding, sample.labels, {REPLY}) == spelt(segments, {REPLY})
    assert covered(encoding, sample.labels, {END}) == spelt(segments, {END})

    body = sample.ids[:-1] if ends else sample.ids
    assert tokenizer.decode(body) == sample.text
    assert not set(body) & set(CONTROL)
    assert not ends or sample.ids[-1] == tokenizer.eos
    assert len(sample.labels) == len(sample.ids)


@thorough
@given(texts, texts)
def test_a_prompt_that_ends_at_a_colon_is_the_beginning_of_all_that_may_follow(
    tokenizer: Tokenizer, before: str, after: str
) -> None:
    prompt = prompt_ids(f"{before}\nBuzz:", tokenizer)
    whole = prompt_ids(f"{before}\nBuzz: x{after}", tokenizer)
    assert whole[: len(prompt)] == prompt


def test_the_end_token_is_trained_as_the_last_words_are(tokenizer: Tokenizer) -> None:
    for trained, label in ((True, END), (False, CONTEXT)):
        turns = merge([("Ana", Part("bye", trained))])
        segments = rendering.transcript("A chat.\n", turns, next_person=None)
        sample = encode(segments, tokenizer, ends=True)
        assert (sample.ids[-1], sample.labels[-1]) == (tokenizer.eos, label)


def test_a_token_that_reaches_into_untrained_text_is_not_trained(tokenizer: Tokenizer) -> None:
    segments = [Segment("Ana:"), Segment(" ok.", REPLY), Segment("\n[image]"), Segment(" b", REPLY)]
    # As a tokenizer cuts it that joins a full stop and the newline behind it.
    encoding = Encoding([50, 51, 52, 53, 54], [(0, 4), (4, 7), (7, 9), (9, 14), (14, 18)])
    sample = encode(segments, tokenizer, ends=False, encoding=encoding)
    assert sample.labels == [CONTEXT, REPLY, CONTEXT, CONTEXT, CONTEXT]


def test_runs_are_the_stretches_of_a_label() -> None:
    assert runs([0, 1, 1, 2, 1]) == [(1, 3), (4, 5)]
    assert runs([0, 2, 0]) == []
    assert runs([]) == []
