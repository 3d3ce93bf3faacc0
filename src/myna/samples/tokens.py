"""Segments to token ids and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from myna.samples.rendering import CONTEXT, END, REPLY, Segment
from myna.samples.tokenizer import Encoding, Tokenizer


@dataclass(frozen=True)
class Reply:
    """Where a trained message's words stand in a sample: tokens [start, end)."""

    person: str
    start: int
    end: int
    characters: int


@dataclass(frozen=True)
class Sample:
    """A rendered window.

    `ids` and `labels` have one entry for each token; a label is one of
    `myna.samples.rendering`'s and says whether the token is trained.
    """

    segments: list[Segment]
    ids: list[int]
    labels: list[int]

    @property
    def text(self) -> str:
        """All of its text."""
        return "".join(segment.text for segment in self.segments)


def encode(
    segments: Sequence[Segment],
    tokenizer: Tokenizer,
    *,
    ends: bool,
    encoding: Encoding | None = None,
) -> Sample:
    """Tokenise a sample's text in one piece and map its labels onto the tokens.

    A token that straddles two segments is trained only if both are. `ends` adds the
    model's end token after a conversation that ends there, trained as the last segment
    is. The model's own opening tokens come first, untrained.
    """
    text = "".join(segment.text for segment in segments)
    encoding = encoding or tokenizer.encode(text)
    of_character = np.repeat(
        np.array([s.label for s in segments], dtype=np.uint8), [len(s.text) for s in segments]
    )
    starts, stops = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2).T
    last = np.maximum(stops - 1, starts)
    labels = np.where(of_character[last] == CONTEXT, CONTEXT, of_character[starts])
    opening = list(tokenizer.bos)
    ids = opening + encoding.ids
    marks = [CONTEXT] * len(opening) + labels.tolist()
    if ends:
        ids.append(tokenizer.eos)
        marks.append(END if segments[-1].label != CONTEXT else CONTEXT)
    return Sample(list(segments), ids, marks)


def prompt_ids(text: str, tokenizer: Tokenizer) -> list[int]:
    """The ids of a prompt: token for token the beginning of the sample it stands in."""
    return [*tokenizer.bos, *tokenizer.encode(text).ids]


def runs(labels: Sequence[int], wanted: int = REPLY) -> list[tuple[int, int]]:
    """The [start, end) runs of a label."""
    marks = np.concatenate(([0], (np.asarray(labels) == wanted).astype(np.int8), [0]))
    edges = np.flatnonzero(np.diff(marks))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
