"""Copies of long texts: the same in letters and digits, or nearly the same.

Near-duplicates are found by MinHash: a text's pieces of five characters are hashed, and
the least hash of each of 32 bins is kept. The share of bins that are equal in two texts
estimates the share of pieces that they have in common. Only texts that agree in four bins
of one of eight bands are compared, each with the first of its kind, so time grows with
the number of texts and not with that of pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

PIECE = 5
"""Characters of a piece."""
BINS = 32
SIMILAR = 0.75
"""Share of equal bins from which texts are near-duplicates."""
BLOCK = 1 << 16
"""Characters hashed at a time."""
EMPTY = np.uint16(0xFFFF)
_SIGN = pl.Array(pl.UInt16, BINS)

SEVERAL_PEOPLE = 3
MANY_TIMES = 5


LINK = r"https?://\S+"


class Long(NamedTuple):
    """The long texts among messages.

    `rows` has the message (row) and its text (copy: the same number for the same text), in
    order; `signs` each of these texts once, with its signature.
    """

    rows: pl.DataFrame
    signs: pl.DataFrame


def long_texts(texts: pl.Series, shortest: int) -> Long:
    """Those of `shortest` characters or more, links aside."""
    long = (texts.str.len_chars() >= shortest).arg_true()
    words = texts.gather(long).str.replace_all(LINK, "")
    stay = words.str.len_chars() >= shortest
    words = words.filter(stay)
    rows = pl.DataFrame({"row": long.filter(stay).cast(pl.UInt32), "copy": words.hash()})
    news = rows.with_columns(text=words).unique("copy", keep="first", maintain_order=True)
    signed = pl.Series("sign", signatures(news["text"].str.to_lowercase()), _SIGN)
    return Long(rows, news.select("copy", signed))


def joined(parts: Iterable[tuple[int, Long]]) -> Long:
    """The long texts of several tables, each with the row that it begins at."""
    none = Long(
        pl.DataFrame(schema={"row": pl.UInt32, "copy": pl.UInt64}),
        pl.DataFrame(schema={"copy": pl.UInt64, "sign": _SIGN}),
    )
    rows, signs = [none.rows], [none.signs]
    for first, part in parts:
        rows.append(part.rows.with_columns((pl.col("row") + first).cast(pl.UInt32)))
        signs.append(part.signs)
    return Long(pl.concat(rows), pl.concat(signs).unique("copy", keep="any"))


def found(long: Long, people: pl.Series) -> dict[str, NDArray[np.bool_]]:
    """Which messages are copies: masks named `copypasta` and `repeated`.

    A text of three people or more, or that stands there five times, is copypasta,
    everywhere: nobody can tell whose it was. Of others the first is its author's, those
    after it are repeated.

    Args:
        long: the long texts of the messages, in the order they were read.
        people: who wrote each message.
    """
    rows = long.rows["row"]
    copies = pl.DataFrame({"person": people.gather(rows), "copy": clusters(long)})
    several = pl.col("person").n_unique().over("copy") >= SEVERAL_PEOPLE
    many = pl.len().over("copy") >= MANY_TIMES
    first = pl.col("copy") == pl.int_range(pl.len())
    masks = {}
    for rule in copies.select(copypasta=several | many, repeated=~first):
        masks[rule.name] = np.zeros(len(people), np.bool_)
        masks[rule.name][rows.to_numpy()] = rule.to_numpy()
    return masks


def clusters(long: Long) -> NDArray[np.int64]:
    """For each text the number of the first that it is a copy of; itself where it is new."""
    texts = long.rows.select("copy", row=pl.int_range(pl.len()))
    first = texts.select(pl.col("row").first().over("copy"))["row"]
    labels: NDArray[np.int64] = first.to_numpy()
    news = np.flatnonzero(labels == np.arange(len(labels)))
    signed = texts[news].join(long.signs, on="copy", how="left", maintain_order="left")
    near = news[_near(signed["sign"].to_numpy().reshape(-1, BINS))]
    moved: NDArray[np.int64] = np.arange(len(labels))
    moved[news] = near
    return moved[labels]


def signatures(texts: pl.Series) -> NDArray[np.uint16]:
    """The least hash of a piece in each bin: an array of (texts, 32)."""
    signs = np.full((len(texts), BINS), EMPTY)
    sizes = texts.str.len_chars().to_numpy().astype(np.int64)
    ends = sizes.cumsum()
    start = 0
    while start < len(texts):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BLOCK, side="right")))
        _sign(texts[start:stop], sizes[start:stop], signs[start:stop])
        start = stop
    return signs


def _sign(texts: pl.Series, sizes: NDArray[np.int64], signs: NDArray[np.uint16]) -> None:
    """Enter the signatures of a block of texts."""
    joined = "".join(texts.to_list())
    codes = np.frombuffer(joined.encode("utf-32-le"), np.uint32)
    said = _alphanumeric()[np.minimum(codes, _LAST)]
    codes = codes[said]
    count = len(codes) - PIECE + 1
    if count < 1:
        return
    texts_of = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[said]
    hashes = codes[:count].copy()
    for offset in range(1, PIECE):
        hashes *= np.uint32(0x01000193)
        hashes ^= codes[offset : offset + count]
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        hashes ^= hashes >> np.uint32(shift)
        hashes *= np.uint32(factor)
    hashes ^= hashes >> np.uint32(16)
    bins = texts_of[:count] * np.int64(BINS) + (hashes & np.uint32(BINS - 1))
    values = (hashes >> np.uint32(16)).astype(np.uint16)
    inside = texts_of[:count] == texts_of[PIECE - 1 :]  # no piece goes on in the next text
    np.minimum.at(signs.reshape(-1), bins[inside], values[inside])


_LAST = 0xFFFF
"""Beyond it every character counts."""


@cache
def _alphanumeric() -> NDArray[np.bool_]:
    return np.array([chr(code).isalnum() for code in range(_LAST)] + [True])


def _near(signs: NDArray[np.uint16]) -> NDArray[np.int64]:
    """For each signature the number of the first that it is near to, straight or by others."""
    bands = np.ascontiguousarray(signs).view(np.uint64)
    links: list[NDArray[np.int64]] = []
    for band in bands.T:
        _, first, of = np.unique(band, return_index=True, return_inverse=True)
        pairs = np.stack([first[of], np.arange(len(band))], axis=1)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        filled = (signs[pairs[:, 0]] != EMPTY) | (signs[pairs[:, 1]] != EMPTY)
        equal = (signs[pairs[:, 0]] == signs[pairs[:, 1]]) & filled
        some = filled.sum(axis=1)
        links.append(pairs[(equal.sum(axis=1) >= SIMILAR * some) & (some > 0)])
    pairs = np.concatenate(links) if links else np.empty((0, 2), np.int64)
    labels = np.arange(len(signs))
    while True:
        new = labels.copy()
        np.minimum.at(new, pairs[:, 1], labels[pairs[:, 0]])
        np.minimum.at(new, pairs[:, 0], labels[pairs[:, 1]])
        new = new[new]
        if np.array_equal(new, labels):
            return labels
        labels = new
