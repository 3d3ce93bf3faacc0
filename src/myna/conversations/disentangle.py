"""Disentanglement of simultaneous conversations in one channel.

Each message answers an earlier one or starts a conversation; messages connected by such links
are one conversation. Where the platform gives no reply, a small network (`Weights`) scores each
candidate by names, times, turns and words, with two layers over the features of the message,
of the candidate and of the pair; the best candidate is the link. benchmarks/train_links.py
trains the weights; docs/disentanglement.md describes the data and the quality.
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
from myna.conversations.disentangle_features import (
    Floats,
    Ints,
    MessageArrays,
    message_arrays,
    reply_targets,
)

MIN_TANGLED_PEOPLE = 4
TANGLED_MESSAGES = 24
"""A stretch with so many people within so many messages may be tangled."""

CHUNK_MESSAGES = 20_000
"""Messages scored at once, so that memory stays flat …"""
CONTEXT_MESSAGES = 1_000
"""… with so many before them as context."""

LoadColumns = Callable[[pl.DataFrame], pl.DataFrame]
"""Loads the columns that `message_arrays` reads."""


def disentangle_stretches(
    messages: pl.DataFrame, load: LoadColumns = lambda rows: rows
) -> pl.DataFrame:
    """Separate the conversations of tangled stretches, and sort the messages by conversation.

    `conversation` is renumbered, in the order of first messages.

    Args:
        messages: the table of `sessions.split_conversations`, with `person`.
        load: loads the other columns of some of these messages.
    """
    rows = messages.select("conversation").with_row_index("row")
    tangled = is_tangled(messages).arg_true()
    first_rows = tangled.gather(roots(predict_links(messages[tangled], load).to_numpy()))
    separated = pl.DataFrame({"row": tangled.cast(pl.UInt32), "first": first_rows})
    first = pl.coalesce("first", pl.col("row").min().over("conversation"))
    numbers = (
        rows.join(separated, on="row", how="left", maintain_order="left")
        .select(first.rank("dense").cast(pl.Int64) - 1)
        .to_series()
        .alias("conversation")
    )
    # Rows are in the order of time, and the sort is stable.
    return messages.with_columns(numbers).sort("conversation", maintain_order=True)


def predict_links(messages: pl.DataFrame, load: LoadColumns = lambda rows: rows) -> pl.Series:
    """Predict the row that each message answers; its own if it starts a conversation.

    A link points to an earlier row of the same stretch. A reply on the platform to such a row
    is always the link.

    Args:
        messages: messages in order: a thread, or several stretches numbered by
            `conversation`. The columns are those of `message_arrays`.
        load: loads the other columns of some of these messages.
    """
    links = np.empty(messages.height, np.int64)
    for start in range(0, messages.height, CHUNK_MESSAGES):
        context = max(start - CONTEXT_MESSAGES, 0)
        chunk = message_arrays(load(messages[context : start + CHUNK_MESSAGES]))
        links[start : start + CHUNK_MESSAGES] = context + best_links(chunk)[start - context :]
    replies = reply_targets(messages).to_numpy()
    return pl.Series("answers", np.where(replies >= 0, replies, links))


def is_tangled(messages: pl.DataFrame) -> pl.Series:
    """Detect messages in stretches that may hold simultaneous conversations.

    In these, `MIN_TANGLED_PEOPLE` people or more write within `TANGLED_MESSAGES` messages; a
    chat of two or three is never tangled. The check is cheap, and spares the network the rest.

    Args:
        messages: the table of `sessions.split_conversations`, in order, with `conversation`
            and `person`.
    """
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    rows = messages.select("conversation", "person", row=row)
    ends = pl.min_horizontal(
        pl.col("row").shift(-1).over("conversation", "person"),
        pl.col("row").max().over("conversation") + 1,
        pl.col("row") + TANGLED_MESSAGES,
    )
    # Each message counts for its person until the person's next one.
    leaves = np.bincount(rows.select(ends).to_series().to_numpy(), minlength=rows.height + 1)
    present = np.arange(1, rows.height + 1) - leaves[:-1].cumsum()
    return (
        rows.with_columns(tangled=pl.Series(present, dtype=pl.Int64) >= MIN_TANGLED_PEOPLE)
        .select(pl.col("tangled").any().over("conversation"))
        .to_series()
        .alias("is_tangled")
    )


def roots(answers: Ints) -> Ints:
    """Follow the links from each row to their end: the first row of its conversation."""
    roots = answers
    while not np.array_equal(further := roots[roots], roots):
        roots = further
    return roots


WEIGHTS_FILE = resources.files("myna.conversations").joinpath("links.npz")

BLOCK_ROWS = 128


@dataclass(frozen=True)
class Weights:
    """The weights of the network: two layers of ReLU units, and a score.

    The first layer has `pair` (features, units) for features of the pair, `answer` for those
    of the message, `target` for those of the candidate, and `bias`; the second has `second`
    and `second_bias`; `out` gives the score. `start` is added to the score of starting a
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
def read_weights(file: Traversable = WEIGHTS_FILE) -> Weights:
    """Read the weights of a file: by default those of the package."""
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return Weights(**{name: arrays[name] for name in Weights.__dataclass_fields__})


def best_links(messages: MessageArrays, weights: Weights | None = None) -> Ints:
    """Return the row that each message answers most likely; its own if it starts a conversation."""
    weights = weights or read_weights()
    neighbours = disentangle_features.find_neighbours(messages)
    shared = disentangle_features.shared_words(messages)
    features = disentangle_features.message_features(messages, neighbours)
    answer = features @ weights.answer + weights.bias
    padding = np.zeros((disentangle_features.CANDIDATES - 1, len(weights.bias)), np.float32)
    target = np.concatenate([padding, features @ weights.target])
    links = np.empty(messages.length, np.int64)
    for start in range(0, messages.length, BLOCK_ROWS):
        end = min(start + BLOCK_ROWS, messages.length)
        pairs, exist = disentangle_features.pair_features(messages, neighbours, shared, start, end)
        scores = _scores(pairs, answer[start:end], target[start:], weights)
        scores[~exist] = -np.inf
        links[start:end] = np.arange(start, end) - scores.argmax(axis=1)
    return links


def _scores(pairs: Floats, answer: Floats, target: Floats, weights: Weights) -> Floats:
    """Score the candidates: (rows, candidates).

    `answer` and `target` are the first layer's terms of messages and candidates; `target`
    begins with the first row's last candidate.
    """
    count, rows, candidates = pairs.shape
    first = weights.pair.T @ pairs.reshape(count, -1)
    first = first.reshape(-1, rows, candidates)
    first += answer.T[:, :, None]
    first += np.lib.stride_tricks.sliding_window_view(
        target[: rows + candidates - 1].T, candidates, axis=1
    )[:, :, ::-1]
    np.maximum(first, 0, out=first)
    second = weights.second.T @ first.reshape(len(first), -1) + weights.second_bias[:, None]
    np.maximum(second, 0, out=second)
    scores = (weights.out @ second).reshape(rows, candidates)
    scores[:, 0] += weights.start
    return scores
