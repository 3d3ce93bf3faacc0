"""The splits: `train`, then `validation`, then `test`, by time and per channel.

Nothing of validation or test reaches training, memory or prompts; test is for reports only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import polars as pl

from myna.config import Split

SPLITS = ("train", "validation", "test")
"""In the order of time."""

CHANNEL = ("source", "channel_id")
MAX_MESSAGES = 10_000
"""Messages of a conversation; a longer one is cut."""
MAX_BORDER_SHIFT = 0.02
"""Share of a channel by which a border may move to the start of a conversation."""
MAX_TEST_SHARE = 0.2
TEST_SHARE_STEP = 0.02
HASH_BITS = 24
"""Bits of a hash that tell most shingles apart."""
SHINGLE_WORDS = 5
MIN_OVERLAP = 0.8
SHINGLES: dict[str, type[pl.DataType]] = {"row": pl.UInt32, "shingle": pl.UInt64}
MULTIPLIER = 6364136223846793005
"""An odd factor, so that the order of words counts (from Knuth's MMIX generator)."""


def assign_splits(
    messages: pl.DataFrame, settings: Split, channel: Sequence[str] = CHANNEL
) -> pl.DataFrame:
    """Add `split`; a conversation that a border cuts becomes two, not `whole`.

    So does one of more than 10,000 messages: memory stays flat whatever the channel.

    The test share grows, to 0.2 at most, until all regulars that can have `min_replies` messages
    in it do; a person with fewer than five times as many in all is no regular.

    Args:
        messages: the table of `sessions.split_conversations`, with `trained`.
        settings: the shares.
        channel: the columns that identify a channel.
    """
    ranked = (
        messages.select(*channel, "time", "conversation", "trained", "person")
        .with_row_index("row")
        .sort(*channel, "time", nulls_last=False, maintain_order=True)
    )
    ranked = ranked.with_columns(
        at=pl.int_range(pl.len()).over(channel) / pl.len().over(channel),
        starts=pl.int_range(pl.len()).over("conversation") == 0,
    )
    test = _test_share(ranked, settings)
    validation = round(1 - test - settings.validation, 9)  # 0.7, not 0.7000000000000001
    borders = ranked.group_by(channel).agg(
        _border(round(1 - test, 9)).alias("test_from"), _border(validation).alias("validation_from")
    )
    split = (
        pl.when((pl.col("at") >= pl.col("test_from")) & (test > 0))
        .then(pl.lit("test"))
        .when((pl.col("at") >= pl.col("validation_from")) & (settings.validation > 0))
        .then(pl.lit("validation"))
        .otherwise(pl.lit("train"))
    )
    split_of_row = (
        ranked.select("row", "at", *channel)
        .join(borders, on=channel, how="left")
        .select("row", split=split)
        .sort("row")["split"]
    )
    piece = pl.int_range(pl.len()).over("conversation") // MAX_MESSAGES
    cut = messages.with_columns(split_of_row, piece=piece.cast(pl.UInt32))
    pieces = pl.struct("split", "piece").n_unique().over("conversation")
    number = pl.struct("conversation", "split", "piece").rle_id().cast(pl.Int64)
    return cut.with_columns(whole=pieces == 1, conversation=number).drop("piece")


def _test_share(ranked: pl.DataFrame, settings: Split) -> float:
    share = settings.test
    trained = ranked.filter(pl.col("trained"))
    if share == 0 or trained.is_empty():
        return share

    def replies(newest_share: float) -> dict[str, int]:
        newest = trained.filter(pl.col("at") >= 1 - newest_share)
        return dict(newest.group_by("person").len().iter_rows())

    regulars = {p for p, n in replies(1).items() if n >= settings.min_replies / MAX_TEST_SHARE}
    reachable = {p for p in regulars if replies(MAX_TEST_SHARE).get(p, 0) >= settings.min_replies}
    while share + TEST_SHARE_STEP <= MAX_TEST_SHARE and any(
        replies(share).get(p, 0) < settings.min_replies for p in reachable
    ):
        share += TEST_SHARE_STEP
    return share


def _border(at: float) -> pl.Expr:
    starts = pl.col("at").filter(pl.col("starts"))
    nearest = starts.sort_by((starts - at).abs()).first()
    return pl.when((nearest - at).abs() <= MAX_BORDER_SHIFT).then(nearest).otherwise(pl.lit(at))


def find_leaks(batches: Callable[[], Iterable[pl.DataFrame]]) -> pl.Series:
    """Find the rows of held-out messages that are near-duplicates of messages in train.

    These are long messages with 80 % of their five-word shingles in train. Short ones
    ("Roger.") are a habit, not a leak.

    Args:
        batches: yields the `shingles` of some messages at a time, with `held_out`: null for
            a short message. It is called twice.
    """
    held_out = [batch.filter("held_out").select("row", "shingle").unique() for batch in batches()]
    candidates = pl.concat([pl.DataFrame(schema=SHINGLES), *held_out])
    hashes = np.unique(candidates["shingle"].to_numpy())
    # A few bits tell most shingles apart.
    is_likely = np.zeros(1 << HASH_BITS, np.bool_)
    shift = np.uint64(64 - HASH_BITS)
    is_likely[hashes >> shift] = True
    in_train = np.zeros(len(hashes), np.bool_)
    for batch in batches() if len(hashes) else ():
        trained = batch.filter(~pl.col("held_out"))["shingle"].to_numpy()
        trained = trained[is_likely[trained >> shift]]
        index = np.minimum(np.searchsorted(hashes, trained), len(hashes) - 1)
        in_train[index[hashes[index] == trained]] = True
    is_known = in_train[np.searchsorted(hashes, candidates["shingle"].to_numpy())]
    shares = (
        candidates.select("row", share=pl.Series(is_known)).group_by("row").agg(pl.mean("share"))
    )
    return shares.filter(pl.col("share") >= MIN_OVERLAP)["row"].sort()


def is_long(texts: pl.Series) -> pl.Series:
    """Detect texts of 8 words or more."""
    return texts.str.count_matches(" ", literal=True) >= 7


def shingles(texts: pl.Series) -> pl.DataFrame:
    """Hash each run of five words in texts: row and shingle."""
    words = texts.str.to_lowercase().str.extract_all(r"\w+")
    counts = words.list.len().fill_null(0).to_numpy().astype(np.int64)
    row = np.repeat(np.arange(len(texts), dtype=np.uint32), counts)
    hashes = words.filter(pl.Series(counts > 0)).explode().hash().to_numpy()
    total = max(0, len(hashes) - SHINGLE_WORDS + 1)
    hashed = np.zeros(total, dtype=np.uint64)
    for offset in range(SHINGLE_WORDS):
        hashed = hashed * np.uint64(MULTIPLIER) + hashes[offset : offset + total]
    whole = row[:total] == row[len(row) - total :]
    return pl.DataFrame({"row": row[:total][whole], "shingle": hashed[whole]}, schema=SHINGLES)
