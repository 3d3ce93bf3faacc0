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

COMMAND_PREFIX = r"^([!?/$%&+\-~=.,*^#|]{1,2}|[A-Za-z]{1,3}[!?/$%&+~=.\-])[A-Za-z]"
"""A sign or two, or letters and a sign, right before a word."""

NEXT = 3
"""Messages behind a command among which its answer is looked for."""
SOON = timedelta(minutes=1)
TIMES = 3
SHARE = 0.5
"""A prefix is one if it was answered so often, and so much of the time."""

_KNOWN = rf"^(?:[!?/$.]|[a-z]!)(?i:{'|'.join(KNOWN.split())})(?: [^\n]{{0,150}})?$"


def command_prefix(texts: pl.Series) -> pl.Series:
    """What a text begins with if that may be a bot's prefix, or null."""
    return texts.str.extract(COMMAND_PREFIX).str.to_lowercase()


def is_known_command(texts: pl.Series) -> pl.Series:
    """Which texts are a command that many bots have, such as `!play x`."""
    return texts.str.contains(_KNOWN)


def is_answered_by_bot(messages: pl.DataFrame) -> pl.Series:
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


ROWS = (
    *("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    *("qwertzuiopü", "asdfghjklöä", "yxcvbnm"),
    *("azertyuiop", "qsdfghjklm", "wxcvbn"),
    *("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
    "1234567890",
)
MIN_MASH_CHARS = 6
"""Letters of a message that may be mash."""
MOST_ELSE = 0.2
"""Share of its letters that are in no run."""


def _runs() -> str:
    """Three neighbours or more, in either direction, the longest first."""
    runs = {
        way[start:end]
        for row in ROWS
        for way in (row, row[::-1])
        for start in range(len(way))
        for end in range(start + 3, len(way) + 1)
    }
    return "|".join(sorted(runs, key=lambda run: (-len(run), run)))


ONE_WORD = r"^\S+$"


def is_keyboard_mash(texts: pl.Series) -> pl.Series:
    """Which texts are mash, of those that are one word."""
    lower = texts.str.to_lowercase()
    letters = lower.str.count_matches(r"\p{L}")
    left = lower.str.replace_all(_runs(), "").str.count_matches(r"\p{L}")
    return (letters >= MIN_MASH_CHARS) & (left <= MOST_ELSE * letters)


LINES = 5
"""Lines of a paste without a fence."""

"""Share of its lines that a machine wrote."""
SIGNS = 0.12
"""Share of brackets, quotes and the like in a paste that is one line."""

_FENCED = r"(?s)```.*?(?:```|$)"
_MACHINE = (
    r"(?m)^[ \t]*(?:"
    r"\[?\d{4}-\d\d-\d\d[T ]|\[?\d\d:\d\d:\d\d|\[ *\d+\.\d+\]"  # times
    r"|(?:at|File|in|from) \S+[(\":,].*|Traceback|Caused by|\S+(?:Error|Exception)\b"
    r"|\[?(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|E|W)[\]:]"
    r"|(?:import|from|def|class|return|public|private|static|const|let|var|if|for|while|#include"
    r"|function|fn|sudo|SELECT|INSERT)\b.*[;:{}()]"
    r"|[{}<>#$/]|//|[\w.\-]+ *[=:] *\S"
    r"|\S*0x[0-9a-fA-F]+|[^\n]*[;{}\\>] *$"
    r")"
)
_SIGN = r"[{}\[\]()=<>/\\\"|_;$#]"


def is_paste(texts: pl.Series, long: int) -> pl.Series:
    """Which texts are pastes, of those with `long` characters or more.

    `long` characters stand in a fence of ```; or half of the lines, five at least, are
    as machines write them; or it is one block of signs.
    """
    chars = texts.str.len_chars()
    unfenced = texts.str.replace_all(_FENCED, "")
    fenced = chars - unfenced.str.len_chars() >= long
    lines = texts.str.count_matches(r"\n") + 1
    machine = texts.str.count_matches(_MACHINE)
    signs = texts.str.replace_all(r"https?://\S+", "").str.count_matches(_SIGN)
    logs = (lines >= LINES) & (machine >= SHARE * lines) & (signs >= 0.02 * chars)
    return fenced | logs | (signs >= SIGNS * chars)


MARKED = r"^>"
_NAME = r"(?:@\S+|\p{Lu}[\w.'\-]*(?: \p{Lu}[\w.'\-]*){0,3})"
ATTRIBUTED = (
    r"^[\"“”«„‘「『][^\"“”«»「」『』]{8,}[\"“”»‘’」』],?\s*[-–—~―]\s*"
    + _NAME
    + r",?(?: \(?\d{2,4}\)?)?$"
)
"""Words in quotes, and whose they are: as channels of quotes have them."""

MIN_QUOTATION_CHARS = 8


def quoted_words(texts: pl.Series) -> pl.Series:
    """What a text repeats where each of its lines begins with >, and null elsewhere."""
    words = texts.str.replace_all(r"(?m)^[> ]+", "").str.strip_chars()
    every = texts.str.contains(MARKED) & ~texts.str.contains(r"(?m)^[^>\n]")
    return pl.select(
        pl.when(every & (words.str.len_chars() >= MIN_QUOTATION_CHARS)).then(words)
    ).to_series()


def is_attributed(texts: pl.Series) -> pl.Series:
    """Which texts are words in quotes with a name behind."""
    return texts.str.contains(ATTRIBUTED)


def repeats_quoted(messages: pl.DataFrame) -> pl.Series:
    """Which messages repeat what somebody else said; stories told in such lines do not.

    Args:
        messages: with person, said (a number of the text) and quotes (that of what it
            repeats, or null).
    """
    quotes = messages.filter(pl.col("quotes").is_not_null())
    if quotes.is_empty():
        return pl.repeat(False, messages.height, dtype=pl.Boolean, eager=True)
    words = messages.filter(pl.col("said").is_in(quotes["quotes"].unique().implode()))
    said = words.group_by("said").agg(first=pl.col("person").min(), last=pl.col("person").max())
    known = messages.select("person", "quotes").join(
        said, left_on="quotes", right_on="said", how="left", maintain_order="left"
    )
    others = (pl.col("first") != pl.col("person")) | (pl.col("last") != pl.col("person"))
    return known.select(others.fill_null(False)).to_series()
