"""The splits: `train`, then `validation`, then `test`, by time and per channel.

Nothing of validation or test reaches training, memory or prompts; test is only ever reported
on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import polars as pl

from myna.config import Split

SPLITS = ("train", "validation", "test")
"""In the order of their times."""

CHANNEL = ("source", "channel_id")
MAX_MESSAGES = 10_000
"""Messages of a conversation."""
SNAP = 0.02
"""A border moves to a conversation's begin at most this share of a channel away."""
MAX_TEST_SHARE = 0.2
STEP = 0.02
BITS = 24
"""Of a hash, by which most runs are told apart."""
SHINGLE = 5
"""Words of the pieces that near-duplicates are found by."""
OVERLAP = 0.8
RUNS: dict[str, type[pl.DataType]] = {"row": pl.UInt32, "run": pl.UInt64}
MULTIPLIER = 6364136223846793005
"""Odd, so that hashes of words in another order differ (Knuth's MMIX generator has it)."""


def hold_out(
    messages: pl.DataFrame, settings: Split, channel: Sequence[str] = CHANNEL
) -> pl.DataFrame:
    """The messages with `split`; a conversation that a border cuts becomes two, not `whole`.

    So does one of more than 10,000 messages: memory stays flat where a channel never rests.

    `messages` is the frame of `sessions.split`, with `trained`. The test share grows, to 0.2
    at most, while that brings a regular to `min_replies` messages in it; someone with
    fewer than five times as many in all is no regular, and costs the others nothing.

    Args:
        messages: in the order of their conversations.
        settings: the shares.
        channel: the columns that tell channels apart.
    """
    ranked = (
        messages.select(*channel, "time", "conversation", "trained", "person")
        .with_row_index("row")
        .sort(*channel, "time", nulls_last=False, maintain_order=True)
    )
    ranked = ranked.with_columns(
        at=pl.int_range(pl.len()).over(channel) / pl.len().over(channel),
        begins=pl.int_range(pl.len()).over("conversation") == 0,
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
    parts = (
        ranked.select("row", "at", *channel)
        .join(borders, on=channel, how="left")
        .select("row", split=split)
        .sort("row")["split"]
    )
    piece = pl.int_range(pl.len()).over("conversation") // MAX_MESSAGES
    cut = messages.with_columns(parts, piece=piece.cast(pl.UInt32))
    pieces = pl.struct("split", "piece").n_unique().over("conversation")
    number = pl.struct("conversation", "split", "piece").rle_id().cast(pl.Int64)
    return cut.with_columns(whole=pieces == 1, conversation=number).drop("piece")


def _test_share(ranked: pl.DataFrame, settings: Split) -> float:
    share = settings.test
    trained = ranked.filter(pl.col("trained"))
    if share == 0 or trained.is_empty():
        return share

    def replies(within: float) -> dict[str, int]:
        late = trained.filter(pl.col("at") >= 1 - within)
        return dict(late.group_by("person").len().iter_rows())

    regulars = {p for p, n in replies(1).items() if n >= settings.min_replies / MAX_TEST_SHARE}
    reachable = {p for p in regulars if replies(MAX_TEST_SHARE).get(p, 0) >= settings.min_replies}
    while share + STEP <= MAX_TEST_SHARE and any(
        replies(share).get(p, 0) < settings.min_replies for p in reachable
    ):
        share += STEP
    return share


def _border(at: float) -> pl.Expr:
    begins = pl.col("at").filter(pl.col("begins"))
    nearest = begins.sort_by((begins - at).abs()).first()
    return pl.when((nearest - at).abs() <= SNAP).then(nearest).otherwise(pl.lit(at))


def near_duplicates(parts: Callable[[], Iterable[pl.DataFrame]]) -> pl.Series:
    """The rows of held-out messages that nearly stand in train.

    A message counts when it is long and 80 % of its runs of five words also occur in
    messages of train. Short ones ("Roger.") are a voice, not a leak.

    Args:
        parts: the `runs` of messages some at a time, and `held_out` of each: null for a
            short one. It is called twice.
    """
    held = [part.filter("held_out").select("row", "run").unique() for part in parts()]
    wanted = pl.concat([pl.DataFrame(schema=RUNS), *held])
    hashes = np.unique(wanted["run"].to_numpy())
    # Most runs are told apart by a few bits of theirs.
    likely = np.zeros(1 << BITS, np.bool_)
    shift = np.uint64(64 - BITS)
    likely[hashes >> shift] = True
    known = np.zeros(len(hashes), np.bool_)
    for part in parts() if len(hashes) else ():
        said = part.filter(~pl.col("held_out"))["run"].to_numpy()
        said = said[likely[said >> shift]]
        at = np.minimum(np.searchsorted(hashes, said), len(hashes) - 1)
        known[at[hashes[at] == said]] = True
    met = known[np.searchsorted(hashes, wanted["run"].to_numpy())]
    shares = wanted.select("row", met=pl.Series(met)).group_by("row").agg(pl.col("met").mean())
    return shares.filter(pl.col("met") >= OVERLAP)["row"].sort()


def is_long(texts: pl.Series) -> pl.Series:
    """Which texts have 8 words or more."""
    return texts.str.count_matches(" ", literal=True) >= 7


def runs(texts: pl.Series) -> pl.DataFrame:
    """The runs of five words in texts, hashed: row and run."""
    words = texts.str.to_lowercase().str.extract_all(r"\w+")
    counts = words.list.len().fill_null(0).to_numpy().astype(np.int64)
    row = np.repeat(np.arange(len(texts), dtype=np.uint32), counts)
    hashes = words.filter(pl.Series(counts > 0)).explode().hash().to_numpy()
    total = max(0, len(hashes) - SHINGLE + 1)
    run = np.zeros(total, dtype=np.uint64)
    for place in range(SHINGLE):
        run = run * np.uint64(MULTIPLIER) + hashes[place : place + total]
    whole = row[:total] == row[len(row) - total :]
    return pl.DataFrame({"row": row[:total][whole], "run": run[whole]}, schema=RUNS)
