"""How somebody writes, in a few sentences with figures, from their messages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from statistics import median

FAVOURITES = 8
LEAST_USES = 5
"""How often a word is said before it can be a favourite."""

_WORD = re.compile(r"[^\W\d_]{3,}(?:['’][^\W\d_]+)?")
_EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")


def described(own: Sequence[str], others: Sequence[str], names: Sequence[str]) -> list[str]:
    """Sentences on how `own` messages are written, without their subject.

    `others` are other people's, to tell what is special; `names` are nobody's favourites.
    """
    words = sorted(len(text.split()) for text in own)
    typical = round(median(words)) if words else 0
    long = words[int(0.9 * (len(words) - 1))] if words else 0
    found = [f"Writes messages of {_count(typical, 'word')}, at times of {long} or more."]
    if own:
        found += _habits(own)
    best = favourites(own, others, names)
    if best:
        found.append(f"Says more than others do: {', '.join(best)}.")
    emoji = [
        sign for sign, uses in Counter(_EMOJI.findall(" ".join(own))).most_common(3) if uses > 1
    ]
    found.append(f"Likes {' '.join(emoji)}." if emoji else "Uses no emoji.")
    return found


def _habits(own: Sequence[str]) -> list[str]:
    letters = [text for text in own if any(c.isalpha() for c in text)]
    lower = _share([next(c for c in text if c.isalpha()).islower() for text in letters])
    stops = _share([text.rstrip()[-1:] in (".", "!", "?", "…") for text in own])
    asks = _share(["?" in text for text in own])
    found = []
    if lower > 0.6:
        found.append("Begins in lower case.")
    elif lower < 0.2:
        found.append("Begins with a capital letter.")
    if stops > 0.6:
        found.append("Ends sentences with full stops.")
    elif stops < 0.3:
        found.append("Leaves full stops out.")
    if asks > 0.25:
        found.append("Asks a lot.")
    return found


def favourites(own: Sequence[str], others: Sequence[str], names: Sequence[str]) -> list[str]:
    """The words that somebody says at least twice as often as others do, most special first.

    What nobody else ever says may be private, and is left out; so are names.
    """
    called = set(_words(names))
    mine, theirs = (Counter(_words(texts)) for texts in (own, others))
    total, rest = max(mine.total(), 1), max(theirs.total(), 1)
    special = {
        word: (uses / total) / (theirs[word] / rest)
        for word, uses in mine.items()
        if uses >= LEAST_USES and theirs[word] and word not in called
    }
    best = sorted((word for word in special if special[word] > 2), key=lambda w: -special[w])
    return best[:FAVOURITES]


def _words(texts: Sequence[str]) -> list[str]:
    return [word for text in texts for word in _WORD.findall(text.lower())]


def _share(marks: Sequence[bool]) -> float:
    return sum(marks) / max(len(marks), 1)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
