"""Names that must not be read: of people without consent, or with a pseudonym.

Wherever they stand, in mentions or in the open, the same stand-in takes their place: the
pseudonym, or else "Person 1", "Person 2", … in the order of people.toml. Names typed in
the open are found as whole words with their capitals, so a nickname that is an everyday
word may stay where it is not a mention; so does a slip of the pen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import polars as pl

from myna.messages import SCHEMA
from myna.people import People, Person
from myna.people.accounts import account

SHORTEST = 3
"""Characters of a name that is looked for in the open."""


def hide(messages: pl.DataFrame, people: People) -> pl.DataFrame:
    """The messages with stand-ins for names that must not be read.

    Args:
        messages: the message table; `mentions` of texts that change become empty.
        people: whose names to hide, and whose pseudonyms to take.
    """
    stand_ins = _stand_ins(people)
    if not stand_ins:
        return messages
    names = _known_names(messages, people, stand_ins)
    owners = {a: stand_ins[p] for p in people.persons if p in stand_ins for a in p.accounts}
    if not owners and not names:
        return messages
    rows = messages.with_row_index("row")
    hidden_ids = sorted({a.partition(":")[2] for a in owners})
    mentioned = (
        pl.col("mentions").list.eval(pl.element().struct["author_id"].is_in(hidden_ids)).list.any()
    )
    named = pl.col("text").str.contains_any(list(names)) if names else pl.lit(False)
    met = rows.filter(mentioned | named).select("row", "source", "text", "mentions")
    pattern = _whole_words(names)
    changed: list[tuple[int, str, list[Any]]] = []
    for row, source, text, spans in met.iter_rows():
        mine = [(owners.get(f"{source}:{span['author_id']}"), span) for span in spans]
        changed.append((row, _hidden(text, mine, pattern, names), []))
    schema = {"row": pl.UInt32, "text": SCHEMA["text"], "mentions": SCHEMA["mentions"]}
    update = pl.DataFrame(changed, schema=schema, orient="row")
    return rows.update(update, on="row").drop("row")


def _stand_ins(people: People) -> dict[Person, str]:
    """Whose names are hidden, and what stands in for them."""
    found: dict[Person, str] = {}
    taken = {person.shown for person in people.persons}
    number = 0
    for person in people.persons:
        if person.is_bot:
            continue
        if person.pseudonym:
            found[person] = person.pseudonym
        elif person.consent == "no":
            number += 1
            while f"Person {number}" in taken:
                number += 1
            found[person] = f"Person {number}"
    return found


def _known_names(
    messages: pl.DataFrame, people: People, stand_ins: dict[Person, str]
) -> dict[str, str]:
    """The stand-in for each name that one of those who are hidden was known by.

    A name that is also one of somebody who is not hidden stays.
    """
    shown = messages.select("author", "handle", account=account()).unique()
    by_account: dict[str, set[str]] = {}
    for author, handle, name in shown.iter_rows():
        by_account.setdefault(name, set()).update(n for n in (author, handle) if n)
    names: dict[str, str] = {}
    others: set[str] = set(stand_ins.values())
    for person in people.persons:
        own = {person.name}.union(*(by_account.get(a, set()) for a in person.accounts))
        own |= {name.split()[0] for name in own if " " in name.strip()}
        if person in stand_ins:
            names |= dict.fromkeys(filter(_can_be_found, own), stand_ins[person])
        else:
            others |= own
    return {name: stand_in for name, stand_in in sorted(names.items()) if name not in others}


def _can_be_found(name: str) -> bool:
    """Whether finding the name in a text is likely to be finding the person."""
    return len(name) >= SHORTEST and any(c.isalnum() for c in name)


def _whole_words(names: Iterable[str]) -> re.Pattern[str]:
    """The names as whole words, the longest first."""
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def _hidden(
    text: str,
    spans: list[tuple[str | None, dict[str, Any]]],
    pattern: re.Pattern[str],
    names: dict[str, str],
) -> str:
    """A text with stand-ins: for mentions where they stand, for names between them."""
    parts: list[str] = []
    end = 0
    for stand_in, span in spans:
        if stand_in is not None and span["start"] >= end:
            parts += [_open(text[end : span["start"]], pattern, names), f"@{stand_in}"]
            end = span["end"]
    return "".join([*parts, _open(text[end:], pattern, names)])


def _open(text: str, pattern: re.Pattern[str], names: dict[str, str]) -> str:
    """A text with stand-ins for the names in it."""
    return pattern.sub(lambda name: names[name[0]], text) if names else text
