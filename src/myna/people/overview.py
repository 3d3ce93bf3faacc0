"""Everyone with message counts, and suggestions for merges."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from itertools import combinations, product
from pathlib import Path
from typing import Any

import polars as pl

from myna.people import UNNAMED_OWNER, Consent, People, Person
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
    """Two persons who may be one human, the reason, and the messages of each."""

    first: str
    second: str
    because: str
    messages: tuple[int, int] = (0, 0)


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


def account_names(tables: list[Path]) -> pl.DataFrame:
    """The names of accounts: (account, author, handle, messages), a row for each name."""
    if not tables:
        return pl.DataFrame(schema=["account", "author", "handle", "messages"])
    named = _scan(tables).group_by("account", "author", "handle").agg(messages=pl.len())
    return named.collect(engine="streaming").sort("account", "author", "handle")


def suggest_merges(
    people: People, names: pl.DataFrame, declined: Collection[tuple[str, str]] = ()
) -> list[MergeSuggestion]:
    """Pairs of persons who may be one human: the strongest reason and most messages first.

    Names are compared without case, accents, spaces and punctuation; a first name counts if
    only one full name on another platform begins with it. These are only suggestions, because
    two friends may have the same name. Persons whom other suggestions join make no pair.

    Args:
        people: of the workspace.
        names: as `account_names` returns them.
        declined: pairs of names that are known to be two humans.
    """
    owners = {a: p.name for p in people.persons for a in p.accounts if not p.is_bot}
    bearers: dict[str, set[tuple[str, str]]] = defaultdict(set)
    first_names: dict[str, list[set[tuple[str, str]]]] = defaultdict(lambda: [set(), set()])
    messages = Counter[str]()
    for account, author, handle, count in names.iter_rows():
        if account not in owners:
            continue
        person = owners[account]
        messages[person] += count
        for kind, name in _comparable_names(author, handle):
            bearers[name].add((person, kind))
        words = (author or "").split()
        for _, name in _comparable_names(words[0] if words else "", None):
            first_names[name][len(words) > 1].add((person, account.partition(":")[0]))
    reasons: dict[tuple[str, str], tuple[int, str]] = {}
    for same_name in bearers.values():
        kinds = dict(sorted(same_name))
        for pair in combinations(sorted(kinds), 2):
            both_names = all(kinds[person] == "name" for person in pair)
            because = "the same name" if both_names else "the same handle"
            reasons.setdefault(pair, (0, because))
    if people.me and people.me != UNNAMED_OWNER:
        for person in {name for name in owners.values() if re.fullmatch(r"Me( \d+)?", name)}:
            pair = (min(person, people.me), max(person, people.me))
            reasons.setdefault(pair, (1, f"{person} is whoever made an export"))
    for alone, full in first_names.values():
        for (first, platform), (whole, other) in product(alone, full):
            if len({name for name, _ in full}) == 1 and platform != other and first != whole:
                pair = (min(first, whole), max(first, whole))
                reasons.setdefault(pair, (2, "the same first name"))
    ranked = sorted(
        reasons.items(), key=lambda item: (item[1][0], -min(messages[p] for p in item[0]), item[0])
    )
    joined: dict[str, str] = {}
    found = []
    for pair, (_, because) in ranked:
        one, two = (_root(joined, person) for person in pair)
        if one == two or pair in declined or pair[::-1] in declined:
            continue
        joined[two] = one
        first, second = sorted(pair, key=lambda name: _keeps_name(name, people.me))
        counts = (messages[first], messages[second])
        found.append(MergeSuggestion(first, second, because, counts))
    return found


def _root(joined: Mapping[str, str], person: str) -> str:
    while person in joined:
        person = joined[person]
    return person


def _keeps_name(name: str, me: str) -> tuple[bool, bool, int, str]:
    """The order in which a name is kept in a merge: the owner's, then plain and full ones."""
    return name != me, re.search(r" \d+$", name) is not None, -len(name.split()), name


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
