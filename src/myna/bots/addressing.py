"""Whom a message is for: by the names in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

SHORTEST = 2
"""Characters of the shortest part of a name that calls somebody."""

_ALL = re.compile(
    r"\A\W*(?:(?:hi|hey|hello|ok|so|well)\W+)?"
    r"(?:all|everyone|everybody|guys|folks|y'all|you all)\b|@(?:everyone|here|all)\b",
    re.IGNORECASE,
)


def named(text: str, personas: Sequence[str]) -> list[str]:
    """The personas whom a text names, in the order in which it does.

    A name counts whole, or by any word of it that no other persona has.
    """
    words: dict[str, set[str]] = {}
    for person in personas:
        whole = person.casefold()
        for part in {whole, *re.findall(r"\w+", whole)}:
            if len(part) >= SHORTEST:
                words.setdefault(part, set()).add(person)
    found: dict[str, int] = {}
    folded = text.casefold()
    for part in sorted(words, key=len, reverse=True):
        if len(words[part]) > 1:
            continue
        match = re.search(rf"(?<!\w){re.escape(part)}(?!\w)", folded)
        if match:
            [person] = words[part]
            found[person] = min(match.start(), found.get(person, match.start()))
    return sorted(found, key=found.__getitem__)


def to_all(text: str) -> bool:
    """Whether a text speaks to everyone in the room."""
    return _ALL.search(text) is not None
