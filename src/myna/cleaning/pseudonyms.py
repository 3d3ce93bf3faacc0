"""Names that must not be read: of people without consent, or with a pseudonym.

Wherever they stand, in mentions or in the open, the same stand-in takes their place: the
pseudonym, or else "Person 1", "Person 2", … in the order of people.toml. Names typed in
the open are found as whole words with their capitals, so a nickname that is an everyday
word may stay where it is not a mention; so does a slip of the pen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from myna.messages import Rewritten, rewritten
from myna.people import People, Person
from myna.people.accounts import account_expr

SHORTEST = 3
"""Characters of a name that is looked for in the open."""


@dataclass(frozen=True)
class Hidden:
    """What must not be read, and what stands in for it: by account, and by name."""

    accounts: dict[str, str]
    names: dict[str, str]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The names as whole words, the longest first."""
        longest_first = sorted(self.names, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def hidden(messages: pl.DataFrame | pl.LazyFrame, people: People) -> Hidden | None:
    """Whom to hide in a message table, and each name they were known by; None for nobody."""
    stand_ins = _stand_ins(people)
    if not stand_ins:
        return None
    shown = messages.lazy().select("author", "handle", account=account_expr()).unique().collect()
    names = _known_names(shown, people, stand_ins)
    owners = {a: stand_ins[p] for p in people.persons if p in stand_ins for a in p.accounts}
    return Hidden(owners, names) if owners or names else None


def hide(messages: pl.DataFrame, hidden: Hidden | None) -> pl.DataFrame:
    """The messages with stand-ins for names that must not be read.

    Mentions point to where the names, or what stands in for them, stand then.

    Args:
        messages: the message table, or some of it.
        hidden: whom to hide.
    """
    if hidden is None:
        return messages
    rows = messages.with_row_index("row")
    ids = sorted({a.partition(":")[2] for a in hidden.accounts})
    mentioned = pl.col("mentions").list.eval(pl.element().struct["author_id"].is_in(ids)).list.any()
    is_named = pl.col("text").str.contains_any(list(hidden.names))
    named = is_named if hidden.names else pl.lit(False)
    met = rows.filter(mentioned | named).select("row", "source", "text", "mentions")
    changed: list[Rewritten] = []
    for row, source, text, spans in met.iter_rows():
        mine = [(hidden.accounts.get(f"{source}:{span['author_id']}"), span) for span in spans]
        changed.append((row, *_hidden(text, mine, hidden)))
    return rewritten(messages, changed)


def _stand_ins(people: People) -> dict[Person, str]:
    """Whose names are hidden, and what stands in for them."""
    found: dict[Person, str] = {}
    taken = {person.display_name for person in people.persons}
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
    shown: pl.DataFrame, people: People, stand_ins: dict[Person, str]
) -> dict[str, str]:
    """The stand-in for each name that one of those who are hidden was known by.

    A name that is also one of somebody who is not hidden stays.
    """
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


def _hidden(
    text: str, spans: list[tuple[str | None, dict[str, Any]]], hidden: Hidden
) -> tuple[str, list[dict[str, Any]]]:
    """A text with stand-ins, for mentions where they stand and for names between them.

    With it the mentions, where they stand then.
    """
    sure: list[tuple[int, int, str]] = []
    for stand_in, span in sorted(spans, key=lambda item: int(item[1]["start"])):
        end = sure[-1][1] if sure else 0
        if stand_in is not None and end <= span["start"] < span["end"] <= len(text):
            sure.append((span["start"], span["end"], f"@{stand_in}"))
    instead: list[tuple[int, int, str]] = []
    end = 0
    for own in (*sure, (len(text), len(text), "")):
        instead += [(end + m[0], end + m[1], m[2]) for m in _open(text[end : own[0]], hidden)]
        instead.append(own)
        end = own[1]
    parts: list[str] = []
    end = length = 0
    edges: list[tuple[int, int, int, int]] = []
    for start, stop, new in instead:
        parts += [text[end:start], new]
        begin = length + start - end
        length = begin + len(new)
        edges.append((start, stop, begin, length))
        end = stop
    moved = [
        span | {"start": _moved(span["start"], edges, 2), "end": _moved(span["end"], edges, 3)}
        for _, span in spans
    ]
    return "".join(parts), moved


def _moved(place: int, edges: list[tuple[int, int, int, int]], side: int) -> int:
    """Where a place of the text is now; one inside of what was replaced goes to its edge."""
    before = (0, 0, 0, 0)
    for edge in edges:
        if place < edge[0] or (place == edge[0] and side == 3):
            break
        if place < edge[1] or (place == edge[1] and side == 3):
            return edge[side]
        before = edge
    return before[3] + place - before[1]


def _open(text: str, hidden: Hidden) -> Iterator[tuple[int, int, str]]:
    """Where names stand in a text, and the stand-ins for them."""
    for name in hidden.pattern.finditer(text) if hidden.names else ():
        yield name.start(), name.end(), hidden.names[name[0]]
