r"""The one representation, one sample at a time: the reference of what is rendered and trained.

    segments  A chat.\n │Ben:│ tea?  │\n │Ana:│ yes│\nplease │\n │Ben:
    label     0         │0   │0      │0  │0   │1   │1        │2  │2
    person              │    │       │   │    │Ana │Ana      │Ana│Ana
    ids       49 11743 …│… 42│7188 47│198│… 42│9805│198 38984│198│… 42
                                               ├─ words ────┤
                                               ├─ target span of Ana ───┤
    loss                │    │       │   │    │yes │yes yes  │yes│yes yes

`segments` makes the first three lines of turns, `tokens.encode` the ids, and the target spans
of segments that a person is trained with; `tokens.loss_mask` reads the last line from those.
`rendered.render` does for millions what `segments` does for one.

Who speaks next is trained with the words before: so a model learns to stop. What stands
between turns is a rendering's own: `myna.rendering.spec`. A prompt is the same text up to
where somebody's words begin, so what a model sees at chat time is what it was trained on.
One speaker can never write another's line: where a turn begins with a name, a line within
one that looks like the beginning of another gets a blank in front (`escape`), and lines
read back lose it (`unescape`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from myna.people import MAX_NAME_CHARS
from myna.rendering.spec import Markup

CONTEXT, REPLY, END = 0, 1, 2
"""Labels: not trained; the words of a reply; what ends it. Trained is whatever is not 0."""

LOOKS_LIKE_TURN = re.compile(rf"[^\s:][^:\n]{{0,{MAX_NAME_CHARS}}}:(?=\s|\Z)")
"""The beginning of a line that would be read as somebody's turn."""

_MAY_BE = re.compile(rf"(?: *[^\s:][^:\n]{{0,{MAX_NAME_CHARS}}}:?| *)\Z")

_ESCAPE = re.compile(rf"(?m)^(?= *{LOOKS_LIKE_TURN.pattern.replace(chr(92) + 'Z', '$')})")


@dataclass(frozen=True)
class Segment:
    """A piece of a sample's text and its label; a control token is one by itself.

    `person`: whose words it is trained with; None for what is not trained.
    """

    text: str
    label: int = CONTEXT
    control: bool = False
    person: str | None = None


def system_line(
    template: str,
    *,
    people: Sequence[str],
    space: str = "",
    channel: str = "",
    name: str = "",
    date: str = "",
    platform: str = "",
) -> str:
    """What every sample and prompt begins with: always one line.

    `people` are those present, `name` is the persona's.
    """
    listed = ", ".join(sorted(people))
    text = template.format(
        people=listed, space=space, channel=channel, name=name, date=date, platform=platform
    )
    return " ".join(text.split())


def escape(text: str) -> str:
    """A message after the first of its turn, unable to look like somebody's turn."""
    return _ESCAPE.sub(" ", text)


def unescape(text: str) -> str:
    """The message that `escape` was given."""
    return re.sub(r"(?m)^ (?= *" + LOOKS_LIKE_TURN.pattern.replace(r"\Z", "$") + ")", "", text)


def may_be_turn(start: str) -> bool:
    """Whether a line that begins so may still turn out to look like somebody's turn."""
    return _MAY_BE.match(start) is not None


def escape_turn(texts: Sequence[str]) -> list[str]:
    """The messages of a turn, escaped: the very first line stands behind its own name."""
    first, newline, rest = texts[0].partition("\n")
    return [first + newline + escape(rest), *map(escape, texts[1:])]


def escape_lines(texts: pl.Series, opens: pl.Series) -> pl.Series:
    """Many messages, escaped as in `escape_turn`; `opens` says which open their turn."""
    may_be = texts.str.contains(":", literal=True) & (
        ~opens | texts.str.contains("\n", literal=True)
    )
    rows = may_be.arg_true()
    escaped = [
        escape_turn([text])[0] if is_first else escape(text)
        for text, is_first in zip(texts.gather(rows), opens.gather(rows), strict=True)
    ]
    return texts.scatter(rows, escaped)


def segments(
    markup: Markup,
    header: str,
    turns: Sequence[Turn],
    *,
    persona: str | None = None,
    next_person: str | None = None,
) -> list[Segment]:
    """The segments of turns below a header.

    Args:
        markup: of the rendering.
        header: the system line, with what it ends with.
        turns: in order.
        persona: whose sample it is, where each persona has their own.
        next_person: who speaks behind the last turn: all up to their words comes, too. None
            where nobody does.
    """
    found = [Segment(mark.text, CONTEXT, mark.control) for mark in markup.opening]
    found.append(Segment(header))
    role, ended = "start", None  # of the turn before, and who is trained to end it so
    for turn in turns:
        before, role = role, markup.role(turn.person, persona)
        texts = [part.text for part in turn.parts]
        texts = escape_turn(texts) if role in markup.escaped else texts
        opened = turn.person if turn.parts[0].trained else None
        found += _between(markup, f"{before}>{role}", turn.person, ended=ended, opened=opened)
        for place, (part, text) in enumerate(zip(turn.parts, texts, strict=True)):
            lead = markup.lead(role) if place == 0 else "\n"
            if part.trained:
                found.append(Segment(lead + text, REPLY, person=turn.person))
            else:
                found.append(Segment(lead + text))
        ended = turn.person if turn.parts[-1].trained and turn.ends else None
    after = "end" if next_person is None else markup.role(next_person, persona)
    found += _between(markup, f"{role}>{after}", next_person or "", ended=ended, opened=None)
    return found


def _between(
    markup: Markup, step: str, name: str, *, ended: str | None, opened: str | None
) -> list[Segment]:
    """What goes from one turn to the next.

    `ended` and `opened` are who is trained to end and to open their turn so.
    """
    found = []
    for mark in markup.between[step]:
        text = (markup.called(name) if mark.named else "") + mark.text
        person = {"ends": ended, "opens": opened}.get(mark.trained)
        found.append(Segment(text, CONTEXT if person is None else END, mark.control, person))
    return found


@dataclass(frozen=True)
class Part:
    """One message of a turn (or a piece of a very long one)."""

    text: str
    trained: bool = False
    message: int | None = None
    """Row of the message that this is the last piece of; None for context brought along."""


@dataclass(frozen=True)
class Turn:
    """What one person says until somebody else speaks.

    `ends` is False for all but the last piece of a turn that is longer than a window.
    """

    person: str
    parts: tuple[Part, ...]
    ends: bool = True


def merge(lines: Iterable[tuple[str, Part]]) -> list[Turn]:
    """Turns from (person, part) in order."""
    turns: list[Turn] = []
    gathered: list[Part] = []
    speaker = ""
    for person, part in lines:
        if gathered and person != speaker:
            turns.append(Turn(speaker, tuple(gathered)))
            gathered = []
        speaker = person
        gathered.append(part)
    if gathered:
        turns.append(Turn(speaker, tuple(gathered)))
    return turns


ESSAY, JOURNAL = "[ESSAY]", "[JOURNAL]"


MOST_NAMED = 16
"""Most people that a system line names: those who speak most."""


def loudest(speakers: Iterable[str]) -> list[str]:
    """The people that a system line names, given who said each message."""
    return [person for person, _ in Counter(speakers).most_common(MOST_NAMED)]


def entry_line(prompt: str | None = None, day: str | None = None) -> str:
    """What an entry is asked for with: by its prompt, or else by its day."""
    prompt = " ".join((prompt or "").split())
    return f"{ESSAY} {prompt}" if prompt else f"{JOURNAL} {day or ''}".strip()


def entry_line_of(text: str) -> str:
    """The line that the entry in a turn was asked for with; "" where it is no entry."""
    line = text.partition("\n")[0]
    return line if line.startswith((f"{ESSAY} ", JOURNAL)) else ""
