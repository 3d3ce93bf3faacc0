"""Conversations that run at once in a channel, pulled apart.

Each message answers one before it or starts a conversation; messages that hang together
so are one. Which message is answered a small network tells from names, times, turns and
words (`Weights`), unless the platform says it: each candidate
gets a score from two layers of weights over its features, those of the message and those of
the pair, and the best one is the link. benchmarks/train_links.py makes the weights;
docs/disentanglement.md says from what, and how good they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

import numpy as np
import polars as pl

from myna.conversations import disentangle_features
from myna.conversations.disentangle_features import Floats, Ints, Talk, read_talk, targets

PEOPLE = 4
"""Who holds two conversations at once: so many people at least …"""

RUN = 24
"""… within so many messages."""

PIECE = 20_000
"""Messages that are looked at together, so that memory stays flat …"""

BEFORE = 1_000
"""… with so many before them."""


Load = Callable[[pl.DataFrame], pl.DataFrame]
"""Gives messages with all that `read_talk` looks at."""


def pull_apart(messages: pl.DataFrame, load: Load = lambda some: some) -> pl.DataFrame:
    """The same messages, conversation by conversation where stretches were tangled.

    `conversation` is numbered anew, in the order of the first messages.

    Args:
        messages: the frame of `sessions.split`, with `person`.
        load: for some of these messages what is looked at of them.
    """
    rows = messages.select("conversation").with_row_index("row")
    tangled = is_tangled(messages).arg_true()
    begins = roots(links(messages[tangled], load).to_numpy())
    apart = pl.DataFrame({"row": tangled.cast(pl.UInt32), "begins": tangled.gather(begins)})
    first = pl.coalesce("begins", pl.col("row").min().over("conversation"))
    numbers = (
        rows.join(apart, on="row", how="left", maintain_order="left")
        .select(first.rank("dense").cast(pl.Int64) - 1)
        .to_series()
        .alias("conversation")
    )
    # The order of rows is that of time; the sort is stable.
    return messages.with_columns(numbers).sort("conversation", maintain_order=True)


def links(messages: pl.DataFrame, load: Load = lambda some: some) -> pl.Series:
    """The row that each message answers; its own where it starts a conversation.

    A link points to an earlier row of the same stretch. A reply of the platform's own to
    such a row is always the link.

    Args:
        messages: people's words in order: those of a place, or of several stretches, told
            apart by `conversation`. The columns are those of `read_talk`.
        load: for some of these messages what is looked at of them.
    """
    found = np.empty(messages.height, np.int64)
    for start in range(0, messages.height, PIECE):
        begin = max(start - BEFORE, 0)
        piece = read_talk(load(messages[begin : start + PIECE]))
        found[start : start + PIECE] = begin + answers(piece)[start - begin :]
    told = targets(messages).to_numpy()
    return pl.Series("answers", np.where(told >= 0, told, found))


def disentangle(messages: pl.DataFrame) -> pl.Series:
    """The conversation of each message: the row that it starts at.

    Args:
        messages: as for `links`.
    """
    return pl.Series("begins", roots(links(messages).to_numpy()))


def is_tangled(messages: pl.DataFrame) -> pl.Series:
    """For each message, whether its stretch may hold several conversations at once.

    That is where at least `PEOPLE` people speak within some `RUN` messages; a chat of two
    or three never does. It costs next to nothing, and everything else need not be pulled
    apart.

    Args:
        messages: the frame of `sessions.split`: in order, with `conversation` and `person`.
    """
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    rows = messages.select("conversation", "person", row=row)
    ends = pl.min_horizontal(
        pl.col("row").shift(-1).over("conversation", "person"),
        pl.col("row").max().over("conversation") + 1,
        pl.col("row") + RUN,
    )
    # Each message counts for its person until the next one's takes its place.
    leaves = np.bincount(rows.select(ends).to_series().to_numpy(), minlength=rows.height + 1)
    here = np.arange(1, rows.height + 1) - leaves[:-1].cumsum()
    return (
        rows.with_columns(many=pl.Series(here, dtype=pl.Int64) >= PEOPLE)
        .select(pl.col("many").any().over("conversation"))
        .to_series()
        .alias("is_tangled")
    )


def roots(answers: Ints) -> Ints:
    """The row at which following the links from each row ends."""
    roots = answers
    while not np.array_equal(further := roots[roots], roots):
        roots = further
    return roots


FILE = resources.files("myna.conversations").joinpath("links.npz")

BLOCK = 128
"""Rows that are scored at a time."""


@dataclass(frozen=True)
class Weights:
    """The network: features to `bias` (first layer), to `second_bias`, to a score.

    `pair` is (features, units), as are `answer` for the features of the message itself and
    `target` for those of the candidate. `start` is added to the score of starting a
    conversation.
    """

    pair: Floats
    answer: Floats
    target: Floats
    bias: Floats
    second: Floats
    second_bias: Floats
    out: Floats
    start: Floats


@cache
def read_weights(file: Traversable = FILE) -> Weights:
    """The weights of a file: those that come with the package, unless another is given."""
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return Weights(**{name: arrays[name] for name in Weights.__dataclass_fields__})


def answers(talk: Talk, network: Weights | None = None) -> Ints:
    """The row that each message answers most likely; its own if it starts a conversation."""
    network = network or read_weights()
    thread = disentangle_features.threads(talk)
    shared = disentangle_features.shared_words(talk)
    single = disentangle_features.single(talk, thread)
    answer = single @ network.answer + network.bias
    none = np.zeros((disentangle_features.CANDIDATES - 1, len(network.bias)), np.float32)
    target = np.concatenate([none, single @ network.target])
    found = np.empty(talk.length, np.int64)
    for start in range(0, talk.length, BLOCK):
        end = min(start + BLOCK, talk.length)
        features, there = disentangle_features.pairs(talk, thread, shared, start, end)
        scores = _scores(features, answer[start:end], target[start:], network)
        scores[~there] = -np.inf
        found[start:end] = np.arange(start, end) - scores.argmax(axis=1)
    return found


def _scores(features: Floats, answer: Floats, target: Floats, network: Weights) -> Floats:
    """Scores of candidates: (rows, candidates).

    `answer` and `target` are what the features of single messages bring to the first layer;
    `target` begins with the first row's last candidate.
    """
    count, rows, places = features.shape
    first = network.pair.T @ features.reshape(count, -1)
    first = first.reshape(-1, rows, places)
    first += answer.T[:, :, None]
    first += np.lib.stride_tricks.sliding_window_view(
        target[: rows + places - 1].T, places, axis=1
    )[:, :, ::-1]
    np.maximum(first, 0, out=first)
    second = network.second.T @ first.reshape(len(first), -1) + network.second_bias[:, None]
    np.maximum(second, 0, out=second)
    scores = (network.out @ second).reshape(rows, places)
    scores[:, 0] += network.start
    return scores
