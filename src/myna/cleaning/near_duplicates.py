"""Copies of long texts: the same in letters and digits, or nearly the same.

MinHash finds near-duplicates: a text's shingles of five characters are hashed, and the least
hash of each of 32 bins is kept. The share of equal bins estimates the share of shingles that
two texts have in common. Only texts that agree in four bins of one of eight bands are compared,
each with the first of its band, so time grows with the number of texts, not of pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

SHINGLE_CHARS = 5
BINS = 32
MIN_SIMILARITY = 0.75
"""Share of equal bins of nearest-duplicates, at least."""
MAX_BLOCK_CHARS = 1 << 16
EMPTY_BIN = np.uint16(0xFFFF)
_SIGNATURE = pl.Array(pl.UInt16, BINS)

MIN_COPYPASTA_PEOPLE = 3
MIN_COPYPASTA_COPIES = 5

LINK = r"https?://\S+"


class LongTexts(NamedTuple):
    """The long texts among messages.

    `rows` has the message (row) and the hash of its text (copy), in order; `signatures` each
    of these hashes once, with the text's signature (sign).
    """

    rows: pl.DataFrame
    signatures: pl.DataFrame


def long_texts(texts: pl.Series, min_chars: int) -> LongTexts:
    """Select texts of `min_chars` characters or more, not counting links."""
    long = (texts.str.len_chars() >= min_chars).arg_true()
    plain = texts.gather(long).str.replace_all(LINK, "")
    is_long = plain.str.len_chars() >= min_chars
    plain = plain.filter(is_long)
    rows = pl.DataFrame({"row": long.filter(is_long).cast(pl.UInt32), "copy": plain.hash()})
    distinct = rows.with_columns(text=plain).unique("copy", keep="first", maintain_order=True)
    signed = pl.Series("sign", signatures(distinct["text"].str.to_lowercase()), _SIGNATURE)
    return LongTexts(rows, distinct.select("copy", signed))


def concatenate(tables: Iterable[tuple[int, LongTexts]]) -> LongTexts:
    """Concatenate the long texts of several tables, each given with its first row."""
    rows = [pl.DataFrame(schema={"row": pl.UInt32, "copy": pl.UInt64})]
    signed = [pl.DataFrame(schema={"copy": pl.UInt64, "sign": _SIGNATURE})]
    for first, table in tables:
        rows.append(table.rows.with_columns((pl.col("row") + first).cast(pl.UInt32)))
        signed.append(table.signatures)
    return LongTexts(pl.concat(rows), pl.concat(signed).unique("copy", keep="any"))


def find_copies(long: LongTexts, people: pl.Series) -> dict[str, NDArray[np.bool_]]:
    """Detect copies: masks named `copypasta` and `repeated`.

    A text of three people or more, or sent five times or more, is copypasta, everywhere: its
    author is unknown. Of other texts, the first is its author's and the next are repeated.

    Args:
        long: the long texts of the messages, in the order they were read.
        people: the author of each message.
    """
    rows = long.rows["row"]
    copies = pl.DataFrame({"person": people.gather(rows), "copy": clusters(long)})
    several = pl.col("person").n_unique().over("copy") >= MIN_COPYPASTA_PEOPLE
    many = pl.len().over("copy") >= MIN_COPYPASTA_COPIES
    first = pl.col("copy") == pl.int_range(pl.len())
    masks = {}
    for rule in copies.select(copypasta=several | many, repeated=~first):
        masks[rule.name] = np.zeros(len(people), np.bool_)
        masks[rule.name][rows.to_numpy()] = rule.to_numpy()
    return masks


def clusters(long: LongTexts) -> NDArray[np.int64]:
    """Return for each text the index of the first one that it copies; its own if it is new."""
    texts = long.rows.select("copy", row=pl.int_range(pl.len()))
    first = texts.select(pl.col("row").first().over("copy"))["row"]
    labels: NDArray[np.int64] = first.to_numpy()
    new = np.flatnonzero(labels == np.arange(len(labels)))
    signed = texts[new].join(long.signatures, on="copy", how="left", maintain_order="left")
    nearest = new[_first_neighbours(signed["sign"].to_numpy().reshape(-1, BINS))]
    roots: NDArray[np.int64] = np.arange(len(labels))
    roots[new] = nearest
    return roots[labels]


def signatures(texts: pl.Series) -> NDArray[np.uint16]:
    """Compute the least hash of a shingle in each bin: an array of (texts, 32)."""
    signs = np.full((len(texts), BINS), EMPTY_BIN)
    sizes = texts.str.len_chars().to_numpy().astype(np.int64)
    ends = sizes.cumsum()
    start = 0
    while start < len(texts):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + MAX_BLOCK_CHARS, side="right")))
        _add_signatures(texts[start:stop], sizes[start:stop], signs[start:stop])
        start = stop
    return signs


def _add_signatures(texts: pl.Series, sizes: NDArray[np.int64], signs: NDArray[np.uint16]) -> None:
    """Fill in the signatures of a block of texts."""
    joined = "".join(texts.to_list())
    codes = np.frombuffer(joined.encode("utf-32-le"), np.uint32)
    kept = _alphanumeric()[np.minimum(codes, _MAX_CODE_POINT)]
    codes = codes[kept]
    count = len(codes) - SHINGLE_CHARS + 1
    if count < 1:
        return
    texts_of = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[kept]
    hashes = codes[:count].copy()
    for offset in range(1, SHINGLE_CHARS):
        hashes *= np.uint32(0x01000193)
        hashes ^= codes[offset : offset + count]
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        hashes ^= hashes >> np.uint32(shift)
        hashes *= np.uint32(factor)
    hashes ^= hashes >> np.uint32(16)
    bins = texts_of[:count] * np.int64(BINS) + (hashes & np.uint32(BINS - 1))
    values = (hashes >> np.uint32(16)).astype(np.uint16)
    inside = texts_of[:count] == texts_of[SHINGLE_CHARS - 1 :]  # no shingle spans two texts
    np.minimum.at(signs.reshape(-1), bins[inside], values[inside])


_MAX_CODE_POINT = 0xFFFF
"""Characters beyond it all count as letters."""


@cache
def _alphanumeric() -> NDArray[np.bool_]:
    return np.array([chr(code).isalnum() for code in range(_MAX_CODE_POINT)] + [True])


def _first_neighbours(signs: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Return for each signature the index of the first one near it, directly or by others."""
    bands = np.ascontiguousarray(signs).view(np.uint64)
    near: list[NDArray[np.int64]] = []
    for band in bands.T:
        _, first, of = np.unique(band, return_index=True, return_inverse=True)
        pairs = np.stack([first[of], np.arange(len(band))], axis=1)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        filled = (signs[pairs[:, 0]] != EMPTY_BIN) | (signs[pairs[:, 1]] != EMPTY_BIN)
        equal = (signs[pairs[:, 0]] == signs[pairs[:, 1]]) & filled
        some = filled.sum(axis=1)
        near.append(pairs[(equal.sum(axis=1) >= MIN_SIMILARITY * some) & (some > 0)])
    pairs = np.concatenate(near) if near else np.empty((0, 2), np.int64)
    labels = np.arange(len(signs))
    while True:
        new = labels.copy()
        np.minimum.at(new, pairs[:, 1], labels[pairs[:, 0]])
        np.minimum.at(new, pairs[:, 0], labels[pairs[:, 1]])
        new = new[new]
        if np.array_equal(new, labels):
            return labels
        labels = new
