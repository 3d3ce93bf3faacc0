"""Messages that are nothing but somebody else's words."""

from __future__ import annotations

import polars as pl

MARKED = r"^>"
_NAME = r"(?:@\S+|\p{Lu}[\w.'\-]*(?: \p{Lu}[\w.'\-]*){0,3})"
ATTRIBUTED = (
    r"^[\"“”«„‘「『][^\"“”«»「」『』]{8,}[\"“”»‘’」』],?\s*[-–—~―]\s*"
    + _NAME
    + r",?(?: \(?\d{2,4}\)?)?$"
)
"""Words in quotes, and whose they are: as channels of quotes have them."""

SHORTEST = 8


def quoted(texts: pl.Series) -> pl.Series:
    """What a text repeats where each of its lines begins with >, and null elsewhere."""
    words = texts.str.replace_all(r"(?m)^[> ]+", "").str.strip_chars()
    every = texts.str.contains(MARKED) & ~texts.str.contains(r"(?m)^[^>\n]")
    return pl.select(pl.when(every & (words.str.len_chars() >= SHORTEST)).then(words)).to_series()


def attributed(texts: pl.Series) -> pl.Series:
    """Which texts are words in quotes with a name behind."""
    return texts.str.contains(ATTRIBUTED)


def repeats(messages: pl.DataFrame) -> pl.Series:
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
