"""Pseudonyms for the names of people without consent, and of people with a pseudonym.

In mentions and in plain text, one stand-in replaces each name: the pseudonym, or else
"Person 1", "Person 2", … in the order of people.toml. In plain text names match as whole
words with their capitals, so a nickname that is an everyday word may stay; so may a typo.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from myna.cleaning.personal_data.spans import replace_spans
from myna.messages import TextChange, replace_texts
from myna.people import People, Person
from myna.people.accounts import account_expr

MIN_NAME_CHARS = 3
"""Characters of a name that is replaced in plain text."""


@dataclass(frozen=True)
class HiddenNames:
    """The stand-ins for hidden people: by account, and by name."""

    accounts: dict[str, str]
    names: dict[str, str]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """A pattern of the names as whole words, the longest first."""
        longest_first = sorted(self.names, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def hidden_names(messages: pl.DataFrame | pl.LazyFrame, people: People) -> HiddenNames | None:
    """Collect the names to hide in a message table; None if there are none."""
    stand_ins = _stand_ins(people)
    if not stand_ins:
        return None
    seen = messages.lazy().select("author", "handle", account=account_expr()).unique().collect()
    names = _known_names(seen, people, stand_ins)
    owners = {a: stand_ins[p] for p in people.persons if p in stand_ins for a in p.accounts}
    return HiddenNames(owners, names) if owners or names else None


def replace_names(messages: pl.DataFrame, hidden: HiddenNames | None) -> pl.DataFrame:
    """Replace hidden names in messages; mentions point to the stand-ins then.

    Args:
        messages: the message table, or some of it.
        hidden: the names to hide.
    """
    if hidden is None:
        return messages
    rows = messages.with_row_index("row")
    ids = sorted({a.partition(":")[2] for a in hidden.accounts})
    is_mentioned = (
        pl.col("mentions").list.eval(pl.element().struct["author_id"].is_in(ids)).list.any()
    )
    names = list(hidden.names)
    is_named = pl.col("text").str.contains_any(names) if names else pl.lit(False)
    affected = rows.filter(is_mentioned | is_named).select("row", "source", "text", "mentions")
    changed: list[TextChange] = []
    for row, source, text, spans in affected.iter_rows():
        mine = [(hidden.accounts.get(f"{source}:{span['author_id']}"), span) for span in spans]
        changed.append((row, *_replace_in_text(text, mine, hidden)))
    return replace_texts(messages, changed)


def _stand_ins(people: People) -> dict[Person, str]:
    """Return the stand-in of each person to hide."""
    stand_ins: dict[Person, str] = {}
    taken = {person.display_name for person in people.persons}
    number = 0
    for person in people.persons:
        if person.is_bot:
            continue
        if person.pseudonym:
            stand_ins[person] = person.pseudonym
        elif person.consent == "no":
            number += 1
            while f"Person {number}" in taken:
                number += 1
            stand_ins[person] = f"Person {number}"
    return stand_ins


def _known_names(
    seen: pl.DataFrame, people: People, stand_ins: dict[Person, str]
) -> dict[str, str]:
    """Return the stand-in for each name of the hidden people, unless others have it too."""
    by_account: dict[str, set[str]] = {}
    for author, handle, name in seen.iter_rows():
        by_account.setdefault(name, set()).update(n for n in (author, handle) if n)
    names: dict[str, str] = {}
    others: set[str] = set(stand_ins.values())
    for person in people.persons:
        own = {person.name}.union(*(by_account.get(a, set()) for a in person.accounts))
        own |= {name.split()[0] for name in own if " " in name.strip()}
        if person in stand_ins:
            names |= dict.fromkeys(filter(_is_searchable, own), stand_ins[person])
        else:
            others |= own
    return {name: stand_in for name, stand_in in sorted(names.items()) if name not in others}


def _is_searchable(name: str) -> bool:
    """True if a match of the name in a text is likely to mean the person."""
    return len(name) >= MIN_NAME_CHARS and any(c.isalnum() for c in name)


def _replace_in_text(
    text: str, spans: list[tuple[str | None, dict[str, Any]]], hidden: HiddenNames
) -> tuple[str, list[dict[str, Any]]]:
    """Replace mentions in a text, and names between them; return it and the moved mentions."""
    mentions: list[tuple[int, int, str]] = []
    for stand_in, span in sorted(spans, key=lambda item: int(item[1]["start"])):
        end = mentions[-1][1] if mentions else 0
        if stand_in is not None and end <= span["start"] < span["end"] <= len(text):
            mentions.append((span["start"], span["end"], f"@{stand_in}"))
    replacements: list[tuple[int, int, str]] = []
    end = 0
    for own in (*mentions, (len(text), len(text), "")):
        replacements += [
            (end + m[0], end + m[1], m[2]) for m in _find_names(text[end : own[0]], hidden)
        ]
        replacements.append(own)
        end = own[1]
    return replace_spans(text, replacements, (span for _, span in spans))


def _find_names(text: str, hidden: HiddenNames) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and stand-in of each name in a text."""
    for name in hidden.pattern.finditer(text) if hidden.names else ():
        yield name.start(), name.end(), hidden.names[name[0]]
