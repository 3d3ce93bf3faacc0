"""Commands that people type for bots."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

KNOWN = (
    "play p skip queue np nowplaying stop pause resume shuffle loop volume join leave disconnect "
    "lyrics help commands ping prefix invite avatar userinfo serverinfo whois info rank level "
    "levels leaderboard lb top daily weekly work beg rob crime balance bal deposit dep withdraw "
    "give pay slots gamble coinflip blackjack roll dice flip choose 8ball hug kiss slap pat meme "
    "cat dog gif weather remind remindme reminder timer poll ban unban kick mute unmute warn warns "
    "purge clear prune slowmode lock unlock role roles giveaway snipe afk translate tr wiki urban "
    "define google yt youtube image img calc ship marry divorce inventory inv shop buy sell use "
    "fish hunt catch pokemon trade w wa wg hg ma mm mmi im tu ti ops seen tell karma op deop voice"
)
"""Names of commands that bots of many servers have."""

PREFIX = r"^([!?/$%&+\-~=.,*^#|]{1,2}|[A-Za-z]{1,3}[!?/$%&+~=.\-])[A-Za-z]"
"""A sign or two, or letters and a sign, right before a word."""

NEXT = 3
"""Messages behind a command among which its answer is looked for."""
SOON = timedelta(minutes=1)
TIMES = 3
SHARE = 0.5
"""A prefix is one if it was answered so often, and so much of the time."""

_KNOWN = rf"^(?:[!?/$.]|[a-z]!)(?i:{'|'.join(KNOWN.split())})(?: [^\n]{{0,150}})?$"


def prefix(texts: pl.Series) -> pl.Series:
    """What a text begins with if that may be a bot's prefix, or null."""
    return texts.str.extract(PREFIX).str.to_lowercase()


def known(texts: pl.Series) -> pl.Series:
    """Which texts are a command that many bots have, such as `!play x`."""
    return texts.str.contains(_KNOWN)


def answered(messages: pl.DataFrame) -> pl.Series:
    """Which messages begin with a bot's prefix, as bots answered it in that place.

    Args:
        messages: with place, is_bot, sent_at and prefix, in the order of their places.
    """
    rows = messages.select(
        "place", "is_bot", "sent_at", "prefix", row=pl.int_range(pl.len(), dtype=pl.UInt32)
    )
    busy = rows.filter("is_bot")["place"].unique()
    none = pl.repeat(False, messages.height, dtype=pl.Boolean, eager=True)
    if busy.is_empty():
        return none
    later = [pl.col("is_bot").shift(-n) & _soon(n) for n in range(1, NEXT + 1)]
    asked = (
        rows.lazy()
        .filter(pl.col("place").is_in(busy.implode()))
        .with_columns(answered=pl.any_horizontal(later).fill_null(False).over("place"))
        .with_columns(usual=pl.col("answered").filter(~pl.col("is_bot")).mean().over("place"))
        .filter(pl.col("prefix").is_not_null() & ~pl.col("is_bot"))
        .with_columns(
            times=pl.col("answered").sum().over("place", "prefix"),
            share=pl.col("answered").mean().over("place", "prefix"),
        )
        .filter(
            pl.col("times") >= TIMES,
            pl.col("share") >= pl.max_horizontal(pl.lit(SHARE), 1.5 * pl.col("usual")).clip(0, 0.9),
        )
        .select("row")
        .collect()["row"]
    )
    return none.scatter(asked, True)


def _soon(n: int) -> pl.Expr:
    apart = pl.col("sent_at").shift(-n) - pl.col("sent_at")
    return apart.is_null() | (apart <= SOON)
