"""Which messages count at all: chosen by place, person and date."""

from __future__ import annotations

from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import polars as pl

from myna.config import Filter
from myna.errors import SettingsError
from myna.people import People, accounts

_NAMED = {
    "spaces": pl.col("space"),
    "channels": pl.col("channel"),
    "threads": pl.col("thread").fill_null(""),
    "people": pl.col("person"),
}


def left_out(messages: pl.DataFrame | pl.LazyFrame, chosen: Filter) -> pl.Expr:
    """Which messages the filter leaves out, of a message table or any of its parts.

    A name may have `*` and `?`; one with `!` in front leaves out what it fits. Upper and
    lower case are the same. A message without a time is in no range of dates.

    Args:
        messages: the whole message table, with `person`.
        chosen: the settings.

    Raises:
        SettingsError: a name fits nothing there is.
    """
    kept = pl.lit(True)
    for kind, column in _NAMED.items():
        wanted: list[str] = getattr(chosen, kind)
        if wanted:
            there = messages.lazy().select(column.unique(maintain_order=True)).collect()
            kept &= column.is_in(_fitting(kind, wanted, there.to_series().to_list()))
    if chosen.since:
        kept &= pl.col("sent_at").dt.date() >= date.fromisoformat(chosen.since)
    if chosen.until:
        kept &= pl.col("sent_at").dt.date() < date.fromisoformat(chosen.until) + timedelta(days=1)
    return ~kept.fill_null(False)


def _fitting(kind: str, wanted: list[str], there: list[str]) -> list[str]:
    """The names that are wanted, of those there are."""
    include = [pattern for pattern in wanted if not pattern.startswith("!")]
    exclude = [pattern[1:] for pattern in wanted if pattern.startswith("!")]
    for pattern in (*include, *exclude):
        if not any(_fits(name, pattern) for name in there):
            see = "people" if kind == "people" else "channels"
            raise SettingsError(
                f"filter.{kind}: '{pattern}' fits nothing that was imported: see `myna {see}`"
            )
    return [
        name
        for name in there
        if (not include or any(_fits(name, p) for p in include))
        and not any(_fits(name, p) for p in exclude)
    ]


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name.casefold(), pattern.casefold())


def channels(tables: list[Path], people: People) -> pl.DataFrame:
    """The channels there are, the busiest first.

    Columns: source, space, channel, channel_id, threads, people, messages, first, last (days),
    and as `sample` what somebody said there in the middle of it, if they consent to stand in
    prompts at least.
    """
    schema = ["source", "channel_id"]
    if not tables:
        return pl.DataFrame()
    known = [account for p in people.persons if p.consent != "no" for account in p.accounts]
    said = (pl.col("kind") == "text") & (pl.col("text").str.len_chars() >= 12)
    may_be_shown = said & accounts.account().is_in(known)
    shown = pl.format("{}: {}", "author", pl.col("text").str.replace_all(r"\s+", " "))
    likely = shown.filter(may_be_shown)
    return (
        pl.scan_parquet(tables)
        .group_by(schema)
        .agg(
            pl.col("space").last(),
            pl.col("channel").last(),
            pl.col("thread").drop_nulls().n_unique().alias("threads"),
            pl.col("author_id").n_unique().alias("people"),
            pl.len().alias("messages"),
            pl.col("sent_at").min().dt.date().alias("first"),
            pl.col("sent_at").max().dt.date().alias("last"),
            likely.get(likely.len() // 2, null_on_oob=True).str.slice(0, 120).alias("sample"),
        )
        .sort("messages", "source", "channel_id", descending=[True, False, False])
        .collect()
    )
