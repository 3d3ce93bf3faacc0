"""Drafts: the windows of conversations, rendered, before they have tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from myna.config import Samples
from myna.errors import SettingsError
from myna.samples import rendering
from myna.samples.conversation import Conversation, conversations
from myna.samples.rendering import REPLY, Segment
from myna.samples.tokenizer import Encoding, Tokenizer
from myna.samples.tokens import Reply, Sample
from myna.samples.turns import Turn
from myna.samples.windows import SLACK, cut


@dataclass
class Draft:
    """A sample before it has tokens.

    `speakers` has whose each run of reply segments is, `messages` the rows of the
    messages that it trains.
    """

    conversation: Conversation
    segments: list[Segment]
    speakers: list[str]
    messages: list[int]
    ends: bool


def drafts(kept: pl.DataFrame, settings: Samples, tokenizer: Tokenizer) -> Iterator[Draft]:
    """The drafts of all conversations in which something is trained.

    Raises:
        SettingsError: a system line and a name leave no room for words.

    """
    for conversation in conversations(kept):
        if not any(turn.trained for turn in conversation.turns):
            continue
        header, room = _room(conversation, settings, tokenizer)
        overlap = settings.overlap_tokens
        for window in cut(conversation.turns, tokenizer.count, room=room, overlap=overlap):
            parts = [p for turn in window.turns for p in turn.parts]
            yield Draft(
                conversation,
                rendering.transcript(header, window.turns, next_person=window.next_person),
                [s for turn in window.turns for s in _speakers(turn)],
                [p.message for p in parts if p.trained and p.message is not None],
                ends=conversation.whole and window.next_person is None,
            )


def _room(conversation: Conversation, settings: Samples, tokenizer: Tokenizer) -> tuple[str, int]:
    """The system line, and the tokens that it leaves to a window's turns.

    It takes a quarter of a sample at most: of many people, those who speak most are named.
    """
    named = list(conversation.people)
    while True:
        header = rendering.system_line(
            settings.system,
            space=conversation.space,
            channel=conversation.channel,
            people=named,
        )
        line = tokenizer.count([header])[0]
        if line <= settings.max_tokens // 4 or len(named) == 1:
            break
        named.pop()
    cue = max(tokenizer.count([*{"\n" + rendering.cue(t.person) for t in conversation.turns}]))
    room = settings.max_tokens - len(tokenizer.bos) - 1 - line - cue
    if room - cue - SLACK < settings.max_tokens // 4:
        raise SettingsError(
            f"samples.max_tokens = {settings.max_tokens} leaves too little room beside a system "
            f"line of {line} tokens and a name of {cue}: raise the one or shorten the others"
        )
    return header, room


def _speakers(turn: Turn) -> list[str]:
    """The person, once for each run of trained parts of their turn."""
    marks = [False, *(part.trained for part in turn.parts)]
    return [turn.person for a, b in pairwise(marks) if b and not a]


def replies(draft: Draft, sample: Sample, encoding: Encoding, opening: int) -> list[Reply]:
    """The runs of trained words, one for each turn, with their characters.

    `opening` is the number of the model's own tokens before the text.
    """
    spans: list[list[int]] = []
    at = 0
    before = False
    for segment in draft.segments:
        now = segment.label == REPLY
        if now and before:
            spans[-1][1] += len(segment.text)
        elif now:
            spans.append([at, at + len(segment.text)])
        before = now
        at += len(segment.text)
    begins = np.array([start for start, _ in encoding.offsets], dtype=np.int64)
    found: list[Reply] = []
    for person, span in zip(draft.speakers, spans, strict=True):
        start, end = (np.searchsorted(begins, span) + opening).tolist()
        # A last token that goes on into what is not trained is not trained either.
        while end > start and sample.labels[end - 1] != REPLY:
            end -= 1
        if end > start:
            # Without the blank behind the name, or the newline before a later message.
            found.append(Reply(person, start, end, span[1] - span[0] - 1))
    return found
