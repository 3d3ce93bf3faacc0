"""Assistant leak: does the base's trained politeness shine through a person's voice?

The phrases are learned by contrast: word n-grams that the base's replies have far more often
than the real chat, from one half of its replies, and counted on the other half.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from myna.evaluation.measure import (
    Estimate,
    Measure,
    Signed,
    bootstrap,
    few_items_note,
    items_of,
    mean,
)

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence

PHRASE_WORDS = range(2, 6)
MIN_RATIO = 20.0
"""Least ratio of a phrase's share of the base's replies to its share of real texts."""
MIN_REPLIES = 3
"""Replies of the base that a phrase must stand in."""
KNOWN_PHRASES = (
    "great idea", "great question", "how can i help", "i'm here to help", "happy to help",
    "let me know if", "as an ai", "i'm sorry to hear", "sounds like a", "here are some",
    "feel free to", "it's important to", "i hope this helps", "is there anything else",
)  # fmt: skip
"""Phrases of assistants in any chat; each is dropped where the real chat has it."""
_LIST = re.compile(r"(?m)^\s*(?:[-*•]|\d+\.)\s+\S.*\n\s*(?:[-*•]|\d+\.)\s")


def learn_phrases(base: Iterable[str], real: Sequence[str]) -> set[str]:
    """Phrases of assistants: those of the base's replies that real text hardly has.

    Args:
        base: replies of the base to moments of a chat.
        real: texts of the chat.
    """
    base = list(base)
    ours, theirs = Counter[str](), Counter[str]()
    for counter, texts in ((ours, base), (theirs, real)):
        for text in texts:
            counter.update(_phrases(text))
    floor = 0.5 / max(len(real), 1)
    learned = {
        phrase
        for phrase, count in ours.items()
        if count >= MIN_REPLIES
        and (count / max(len(base), 1)) / max(theirs[phrase] / max(len(real), 1), floor)
        >= MIN_RATIO
    }
    return learned | {phrase for phrase in KNOWN_PHRASES if not theirs[phrase]}


def sounds_like_assistant(text: str, phrases: set[str]) -> bool:
    """True where a text has one of the phrases, or a list of points."""
    return bool(_LIST.search(text)) or any(phrase in phrases for phrase in _phrases(text))


def measure(evidence: Evidence) -> list[Measure]:
    """Assistant leak: the clone's replies beside the base's and real turns."""
    real = [*evidence.train, *evidence.real]
    return [measure_leak(evidence.replies, evidence.base_replies, real)]


def measure_leak(
    clone: Sequence[Signed], base: Sequence[Signed], real: Sequence[Signed]
) -> Measure:
    """Share of replies that sound like an assistant: clone, base and real text.

    The phrases are learned on every other reply of the base and every other real text; base
    and real text are measured on the rest.
    """
    phrases = learn_phrases([turn.text for turn in base[::2]], [turn.text for turn in real[::2]])

    def flags(turns: Sequence[Signed]) -> list[float]:
        return [float(sounds_like_assistant(turn.text, phrases)) for turn in turns]

    def share(turns: Sequence[Signed]) -> Estimate:
        return bootstrap(flags(turns), [turn.conversation for turn in turns], mean)

    people = sorted({turn.person for turn in clone})
    return Measure(
        "assistant_leak",
        "Sounds like an assistant",
        "lower",
        share(clone),
        f"share of replies with one of {len(phrases)} phrases that the base's replies have at "
        f"least {MIN_RATIO:.0f} times as often as real text, or with a list of points",
        floor=share(base[1::2]),
        ceiling=share(real[1::2]),
        people={
            person: {"clone": share([turn for turn in clone if turn.person == person])}
            for person in people
        },
        notes=few_items_note("replies of the clone", len(clone)),
        items=items_of(clone, flags(clone)),
    )


def _phrases(text: str) -> set[str]:
    words = re.findall(r"[\w']+", text.lower().replace("’", "'"))
    return {" ".join(words[i : i + n]) for n in PHRASE_WORDS for i in range(len(words) - n + 1)}
