"""Detectors of bot commands, keyboard mash, pastes and quotations, on columns of texts."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

BOT_COMMANDS = (
    "play p skip queue np nowplaying stop pause resume shuffle loop volume join leave disconnect "
    "lyrics help commands ping prefix invite avatar userinfo serverinfo whois info rank level "
    "levels leaderboard lb top daily weekly work beg rob crime balance bal deposit dep withdraw "
    "give pay slots gamble coinflip blackjack roll dice flip choose 8ball hug kiss slap pat meme "
    "cat dog gif weather remind remindme reminder timer poll ban unban kick mute unmute warn warns "
    "purge clear prune slowmode lock unlock role roles giveaway snipe afk translate tr wiki urban "
    "define google yt youtube image img calc ship marry divorce inventory inv shop buy sell use "
    "fish hunt catch pokemon trade w wa wg hg ma mm mmi im tu ti ops seen tell karma op deop voice"
)
"""Names of commands that many bots have."""

COMMAND_PREFIX = r"^([!?/$%&+\-~=.,*^#|]{1,2}|[A-Za-z]{1,3}[!?/$%&+~=.\-])[A-Za-z]"
"""One or two symbols, or letters and a symbol, right before a word."""

MAX_ANSWER_MESSAGES = 3
"""Messages after a command that may be its answer."""
MAX_ANSWER_TIME = timedelta(minutes=1)
MIN_ANSWERS = 3
MIN_ANSWER_SHARE = 0.5
"""A prefix is a bot's if it was answered so often, in such a share of its messages."""

_KNOWN = rf"^(?:[!?/$.]|[a-z]!)(?i:{'|'.join(BOT_COMMANDS.split())})(?: [^\n]{{0,150}})?$"


def command_prefix(texts: pl.Series) -> pl.Series:
    """Return the start of each text if it may be a bot's prefix, or null."""
    return texts.str.extract(COMMAND_PREFIX).str.to_lowercase()


def is_known_command(texts: pl.Series) -> pl.Series:
    """Detect commands that many bots have, such as `!play x`."""
    return texts.str.contains(_KNOWN)


def is_answered_by_bot(messages: pl.DataFrame) -> pl.Series:
    """Detect messages that begin with a prefix that bots answer in that thread.

    Args:
        messages: with thread, is_bot, sent_at and command_prefix, ordered by thread.
    """
    rows = messages.select(
        *("thread", "is_bot", "sent_at", "command_prefix"),
        row=pl.int_range(pl.len(), dtype=pl.UInt32),
    )
    with_bots = rows.filter("is_bot")["thread"].unique()
    mask = pl.repeat(False, messages.height, dtype=pl.Boolean, eager=True)
    if with_bots.is_empty():
        return mask
    answers = [pl.col("is_bot").shift(-n) & _is_soon(n) for n in range(1, MAX_ANSWER_MESSAGES + 1)]
    commands = (
        rows.lazy()
        .filter(pl.col("thread").is_in(with_bots.implode()))
        .with_columns(answered=pl.any_horizontal(answers).fill_null(False).over("thread"))
        .with_columns(usual=pl.col("answered").filter(~pl.col("is_bot")).mean().over("thread"))
        .filter(pl.col("command_prefix").is_not_null() & ~pl.col("is_bot"))
        .with_columns(
            times=pl.col("answered").sum().over("thread", "command_prefix"),
            share=pl.col("answered").mean().over("thread", "command_prefix"),
        )
        .filter(
            pl.col("times") >= MIN_ANSWERS,
            pl.col("share")
            >= pl.max_horizontal(pl.lit(MIN_ANSWER_SHARE), 1.5 * pl.col("usual")).clip(0, 0.9),
        )
        .select("row")
        .collect()["row"]
    )
    return mask.scatter(commands, True)


def _is_soon(n: int) -> pl.Expr:
    apart = pl.col("sent_at").shift(-n) - pl.col("sent_at")
    return apart.is_null() | (apart <= MAX_ANSWER_TIME)


KEYBOARD_ROWS = (
    *("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    *("qwertzuiopü", "asdfghjklöä", "yxcvbnm"),
    *("azertyuiop", "qsdfghjklm", "wxcvbn"),
    *("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
    "1234567890",
)
MIN_MASH_CHARS = 6
"""Letters of keyboard mash, at least."""
MAX_OTHER_SHARE = 0.2
"""Share of letters outside of runs, at most."""


def _keyboard_runs() -> str:
    """Return a pattern of three or more neighbouring keys, in either direction."""
    runs = {
        keys[start:end]
        for row in KEYBOARD_ROWS
        for keys in (row, row[::-1])
        for start in range(len(keys))
        for end in range(start + 3, len(keys) + 1)
    }
    return "|".join(sorted(runs, key=lambda run: (-len(run), run)))


ONE_WORD = r"^\S+$"


def is_keyboard_mash(texts: pl.Series) -> pl.Series:
    """Detect keyboard mash, among texts of one word."""
    lower = texts.str.to_lowercase()
    letters = lower.str.count_matches(r"\p{L}")
    others = lower.str.replace_all(_keyboard_runs(), "").str.count_matches(r"\p{L}")
    return (letters >= MIN_MASH_CHARS) & (others <= MAX_OTHER_SHARE * letters)


MIN_PASTE_LINES = 5
"""Lines of a paste without a code fence, at least."""
MIN_MACHINE_SHARE = 0.5
"""Share of such lines that look like a log or code."""
MIN_SYMBOL_SHARE = 0.12
"""Share of brackets, quotes and the like in a paste of one line."""

_FENCED = r"(?s)```.*?(?:```|$)"
_MACHINE_LINE = (
    r"(?m)^[ \t]*(?:"
    r"\[?\d{4}-\d\d-\d\d[T ]|\[?\d\d:\d\d:\d\d|\[ *\d+\.\d+\]"  # times
    r"|(?:at|File|in|from) \S+[(\":,].*|Traceback|Caused by|\S+(?:Error|Exception)\b"
    r"|\[?(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|E|W)[\]:]"
    r"|(?:import|from|def|class|return|public|private|static|const|let|var|if|for|while|#include"
    r"|function|fn|sudo|SELECT|INSERT)\b.*[;:{}()]|[{}<>#$/]|//|[\w.\-]+ *[=:] *\S"
    r"|\S*0x[0-9a-fA-F]+|[^\n]*[;{}\\>] *$)"
)
_SYMBOL = r"[{}\[\]()=<>/\\\"|_;$#]"


def is_paste(texts: pl.Series, long: int) -> pl.Series:
    """Detect pastes of code or logs, among texts with `long` characters or more.

    In a paste, `long` characters are in ``` fences; or half of the lines, five at least, look
    like a log or code; or symbols are dense.
    """
    chars = texts.str.len_chars()
    unfenced = texts.str.replace_all(_FENCED, "")
    fenced = chars - unfenced.str.len_chars() >= long
    lines = texts.str.count_matches(r"\n") + 1
    machine_lines = texts.str.count_matches(_MACHINE_LINE)
    symbols = texts.str.replace_all(r"https?://\S+", "").str.count_matches(_SYMBOL)
    logs = (
        (lines >= MIN_PASTE_LINES)
        & (machine_lines >= MIN_MACHINE_SHARE * lines)
        & (symbols >= 0.02 * chars)
    )
    return fenced | logs | (symbols >= MIN_SYMBOL_SHARE * chars)


QUOTE_MARK = r"^>"
_AUTHOR = r"(?:@\S+|\p{Lu}[\w.'\-]*(?: \p{Lu}[\w.'\-]*){0,3})"
ATTRIBUTED = (
    r"^[\"“”«„‘「『][^\"“”«»「」『』]{8,}[\"“”»‘’」』],?\s*[-–—~―]\s*"
    + _AUTHOR
    + r",?(?: \(?\d{2,4}\)?)?$"
)
"""A text in quotation marks and its author, as in channels of quotations."""

MIN_QUOTATION_CHARS = 8


def quoted_text(texts: pl.Series) -> pl.Series:
    """Return the quoted text where each line begins with >; null elsewhere."""
    words = texts.str.replace_all(r"(?m)^[> ]+", "").str.strip_chars()
    every = texts.str.contains(QUOTE_MARK) & ~texts.str.contains(r"(?m)^[^>\n]")
    return pl.select(
        pl.when(every & (words.str.len_chars() >= MIN_QUOTATION_CHARS)).then(words)
    ).to_series()


def is_attributed_quotation(texts: pl.Series) -> pl.Series:
    """Detect texts in quotation marks with a name behind."""
    return texts.str.contains(ATTRIBUTED)


def quotes_others(messages: pl.DataFrame) -> pl.Series:
    """Detect quotations of somebody else's message; stories told behind > are none.

    Args:
        messages: with person, text_hash and quoted_hash (or null).
    """
    quotations = messages.filter(pl.col("quoted_hash").is_not_null())
    if quotations.is_empty():
        return pl.repeat(False, messages.height, dtype=pl.Boolean, eager=True)
    hashes = quotations["quoted_hash"].unique().implode()
    authors = (
        messages.filter(pl.col("text_hash").is_in(hashes))
        .group_by(quoted_hash="text_hash")
        .agg(first=pl.col("person").min(), last=pl.col("person").max())
    )
    quoted = messages.select("person", "quoted_hash").join(
        authors, on="quoted_hash", how="left", maintain_order="left"
    )
    by_others = (pl.col("first") != pl.col("person")) | (pl.col("last") != pl.col("person"))
    return quoted.select(by_others.fill_null(False)).to_series()
