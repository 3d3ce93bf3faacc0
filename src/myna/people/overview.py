"""Everyone with what they wrote, and who may be the same human twice."""

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
from myna.people.accounts import account


@dataclass(frozen=True)
class Line:
    """One person's line of the table; `platforms` has the accounts on each."""

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
class Suggestion:
    """Two persons who may be one human, and why."""

    first: str
    second: str
    because: str


def _messages(tables: list[Path]) -> pl.LazyFrame:
    return (
        pl.scan_parquet(tables).filter(pl.col("kind") != "system").with_columns(account=account())
    )


def lines(people: People, tables: list[Path]) -> list[Line]:
    """Everyone, whoever wrote most first.

    Args:
        people: of the workspace.
        tables: its message tables. Messages are counted as they were imported; those that
            stand in two exports, twice.
    """
    found: dict[str, tuple[Any, ...]] = {}
    if tables:
        counted = (
            _messages(tables)
            .group_by("account")
            .agg(
                pl.len(),
                pl.col("text").str.count_matches(r"\S+").sum(),
                pl.col("sent_at").min().dt.date().alias("first"),
                pl.col("sent_at").max().dt.date().alias("last"),
            )
            .collect(engine="streaming")
        )
        found = {name: rest for name, *rest in counted.iter_rows()}  # type: ignore[misc]
    table = [_line(people, person, found) for person in people.persons]
    return sorted(table, key=lambda line: -line.messages)


def _line(people: People, person: Person, found: dict[str, tuple[Any, ...]]) -> Line:
    own = [found[name] for name in person.accounts if name in found]
    days = [day for _, _, first, last in own for day in (first, last) if day]
    return Line(
        person=person.name,
        shown=person.shown,
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


def suggestions(people: People, tables: list[Path]) -> list[Suggestion]:
    """Pairs of persons with a name or a handle in common, in different accounts.

    Names are compared without case, accents, blanks and signs. Nothing is merged by
    itself: two friends may have the same name.
    """
    if not tables:
        return []
    owners = {name: p.name for p in people.persons for name in p.accounts if not p.is_bot}
    named = _messages(tables).select("account", "author", "handle").unique().collect()
    known_as: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for name, author, handle in named.sort("account").iter_rows():
        if name in owners:
            for kind, shown in _names(author, handle):
                known_as[shown].add((owners[name], kind))
    found: dict[tuple[str, str], str] = {}
    for bearers in known_as.values():
        kinds = dict(sorted(bearers))
        for first, second in combinations(sorted(kinds), 2):
            same = "the same name" if kinds[first] == kinds[second] == "name" else "the same handle"
            found.setdefault((first, second), same)
    return [Suggestion(first, second, because) for (first, second), because in found.items()]


def _names(author: str | None, handle: str | None) -> Iterator[tuple[str, str]]:
    """The names of an account, made comparable."""
    for kind, name in (("name", author), ("handle", handle)):
        plain = unicodedata.normalize("NFKD", name or "").casefold()
        plain = re.sub(r"[^\w]|_", "", "".join(c for c in plain if not unicodedata.combining(c)))
        if len(plain) >= 3:  # shorter ones are alike by chance
            yield kind, plain
