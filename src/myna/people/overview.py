"""Everyone with message counts, and suggestions for merges."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from myna.people import Consent, People, Person
from myna.people.accounts import account_expr


@dataclass(frozen=True)
class PersonSummary:
    """One person's row of `myna people`; `platforms` counts the accounts on each."""

    person: str
    shown: str
    is_me: bool
    is_bot: bool
    consent: Consent
    accounts: tuple[str, ...]
    platforms: dict[str, int]
    messages: int
    words: int
    first: date | None
    last: date | None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class MergeSuggestion:
    """Two persons who may be one human, and the reason."""

    first: str
    second: str
    because: str


def _scan(tables: list[Path]) -> pl.LazyFrame:
    messages = pl.scan_parquet(tables).filter(pl.col("kind") != "system")
    return messages.with_columns(account=account_expr())


def summarize_persons(people: People, tables: list[Path]) -> list[PersonSummary]:
    """One summary for each person, most messages first.

    Args:
        people: of the workspace.
        tables: its message tables. A message that is in two exports counts twice.
    """
    by_account: dict[str, tuple[Any, ...]] = {}
    if tables:
        counted = (
            _scan(tables)
            .group_by("account")
            .agg(
                pl.len(),
                pl.col("text").str.count_matches(r"\S+").sum(),
                pl.col("sent_at").min().dt.date().alias("first"),
                pl.col("sent_at").max().dt.date().alias("last"),
            )
            .collect(engine="streaming")
        )
        by_account = {account: rest for account, *rest in counted.iter_rows()}  # type: ignore[misc]
    summaries = [_summarize(people, person, by_account) for person in people.persons]
    return sorted(summaries, key=lambda summary: -summary.messages)


def _summarize(
    people: People, person: Person, by_account: dict[str, tuple[Any, ...]]
) -> PersonSummary:
    own = [by_account[account] for account in person.accounts if account in by_account]
    days = [day for _, _, first, last in own for day in (first, last) if day]
    return PersonSummary(
        person=person.name,
        shown=person.display_name,
        is_me=person.name == people.me,
        is_bot=person.is_bot,
        consent=person.consent,
        accounts=person.accounts,
        platforms=dict(Counter(name.partition(":")[0] for name in person.accounts)),
        messages=sum(count for count, *_ in own),
        words=sum(words for _, words, *_ in own),
        first=min(days, default=None),
        last=max(days, default=None),
    )


def suggest_merges(people: People, tables: list[Path]) -> list[MergeSuggestion]:
    """Pairs of persons with accounts of the same name or handle.

    Names are compared without case, accents, spaces and punctuation. These are only
    suggestions, because two friends may have the same name.
    """
    if not tables:
        return []
    owners = {a: p.name for p in people.persons for a in p.accounts if not p.is_bot}
    named = _scan(tables).select("account", "author", "handle").unique().collect()
    bearers: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for account, author, handle in named.sort("account").iter_rows():
        if account in owners:
            for kind, name in _comparable_names(author, handle):
                bearers[name].add((owners[account], kind))
    reasons: dict[tuple[str, str], str] = {}
    for same_name in bearers.values():
        kinds = dict(sorted(same_name))
        for pair in combinations(sorted(kinds), 2):
            both_names = all(kinds[person] == "name" for person in pair)
            reasons.setdefault(pair, "the same name" if both_names else "the same handle")
    return [MergeSuggestion(*pair, because) for pair, because in reasons.items()]


MIN_BOT_MESSAGES = 20
MIN_TEMPLATE_SHARE = 0.7
"""Of a bot's messages so many are of a few templates, or pass on what others say."""

_RELAYED = r"^(?:<[^<>\n]{1,40}>|\[[^\[\]\n]{1,40}\]|\*\*[^*\n]{1,40}\*\*:?|[^\s:]{1,32}:) \S"


def suggest_bots(people: People, tables: list[Path]) -> list[tuple[str, str]]:
    """Persons who write as bots do, by name, each with the reason; only suggestions.

    A bridge passes on what many others say, a tip bot fills in a few templates.
    """
    if not tables:
        return []
    owners = {a: p.name for p in people.persons for a in p.accounts if not p.is_bot}
    text = pl.col("text")
    template = (
        text.str.replace_all(r"@\S+|https?://\S+", "@")
        .str.replace_all(r"\d+", "0")
        .str.replace_all(r"[\"“*`].*?[\"”*`]", "*")
        .str.slice(0, 60)
    )
    said = _scan(tables).filter(pl.col("kind") == "text", text.str.len_chars() > 12)
    counted = (
        said.with_columns(template=template, relayed=text.str.extract(r"^(\S+) "))
        .group_by("account")
        .agg(
            pl.len().alias("messages"),
            pl.col("template")
            .value_counts(sort=True)
            .struct.field("count")
            .head(3)
            .sum()
            .alias("top"),
            text.str.contains(_RELAYED).sum().alias("relays"),
            pl.col("relayed").filter(text.str.contains(_RELAYED)).n_unique().alias("speakers"),
        )
        .filter(pl.col("messages") >= MIN_BOT_MESSAGES)
        .sort("messages", descending=True)
        .collect(engine="streaming")
    )
    found: dict[str, str] = {}
    for account, messages, top, relays, speakers in counted.iter_rows():
        if account not in owners:
            continue
        if relays >= MIN_TEMPLATE_SHARE * messages and speakers > 2:
            found.setdefault(owners[account], f"passes on what {speakers:,} others say")
        elif top >= MIN_TEMPLATE_SHARE * messages:
            found.setdefault(owners[account], "most messages fill in the same few templates")
    return list(found.items())


def _comparable_names(author: str | None, handle: str | None) -> Iterator[tuple[str, str]]:
    """The names of an account without case, accents, spaces and punctuation."""
    for kind, name in (("name", author), ("handle", handle)):
        plain = unicodedata.normalize("NFKD", name or "").casefold()
        plain = re.sub(r"[^\w]|_", "", "".join(c for c in plain if not unicodedata.combining(c)))
        if len(plain) >= 3:  # shorter ones are alike by chance
            yield kind, plain
