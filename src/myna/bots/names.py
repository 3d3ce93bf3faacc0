"""Names of humans in a room, and of clones before others."""

from __future__ import annotations

import re
from collections.abc import Collection

from myna.people import NAME_LENGTH, plain_name

MARK = " (clone)"
"""Stands behind every clone's name, always: nobody takes a clone for the human."""
MAX_WEBHOOK_NAME_CHARS = 80
"""Characters of a webhook's name on Discord ("Create Webhook", developer reference)."""
_HUMAN = " (human)"
_FORBIDDEN = re.compile(r"(?i)(cl)yde|(disc)ord")
"""Words that a webhook's name may not have (the same page)."""


def shown(person: str) -> str:
    """The display name of a clone: always marked as one."""
    name = _FORBIDDEN.sub(lambda word: f"{word[1] or word[2]}…", plain_name(person))
    return name[: MAX_WEBHOOK_NAME_CHARS - len(MARK)].strip() + MARK


def in_room(name: str, taken: Collection[str], personas: Collection[str]) -> str:
    """A name for a human in a room that is nobody else's, and no persona's.

    Args:
        name: what they are called, by themselves: anything.
        taken: the names of the other humans there.
        personas: all who can be there; a human of the same name is marked as one.
    """
    plain = plain_name(name)
    clones = {person.casefold() for person in personas}
    ending = _HUMAN if plain.casefold() in clones else ""
    others = {other.casefold() for other in taken} | clones
    number = 1
    while True:
        chosen = plain[: NAME_LENGTH - len(ending)].strip() + ending
        if chosen.casefold() not in others:
            return chosen
        number += 1
        ending = (_HUMAN if _HUMAN in ending else "") + f" {number}"
