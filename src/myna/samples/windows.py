"""Windows: a conversation cut so that each piece fits the context.

Each trained turn is a target in one window; a window begins with turns of the one
before, as untrained context. Nothing is skipped: a turn that is longer than a window is
cut at its messages, then at blanks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from myna.samples.rendering import escape, transcript
from myna.samples.turns import Part, Turn

Count = Callable[[Sequence[str]], list[int]]
"""Token counts of texts."""

SLACK = 8
"""Tokens left free: counts of pieces may differ a little from the count of the whole."""


@dataclass(frozen=True)
class Window:
    """Turns for one sample, and who speaks after it (None: the conversation ends)."""

    turns: tuple[Turn, ...]
    next_person: str | None


def cut(turns: Sequence[Turn], count: Count, *, room: int, overlap: int) -> Iterator[Window]:
    """The windows of a conversation, of at most `room` tokens, header left aside.

    `overlap` is the most tokens of context repeated from before a window. Windows in
    which nothing is trained are left out.
    """
    room -= SLACK
    pieces = _fitting(turns, count, room)
    sizes = _sizes(pieces, count)
    start = 0
    while start < len(pieces):
        begin, used = start, sizes[start]
        while (
            begin and used + sizes[begin - 1] <= room and _sum(sizes, begin - 1, start) <= overlap
        ):
            begin -= 1
            used += sizes[begin]
        end = start + 1
        while end < len(pieces) and used + sizes[end] <= room:
            used += sizes[end]
            end += 1
        if any(turn.trained for turn in pieces[start:end]):
            context = [turn.as_context() for turn in pieces[begin:start]]
            following = pieces[end].person if end < len(pieces) else None
            yield Window((*context, *pieces[start:end]), following)
        start = end


def _sum(sizes: Sequence[int], start: int, end: int) -> int:
    return sum(sizes[start:end])


def _sizes(turns: Sequence[Turn], count: Count) -> list[int]:
    rendered = [transcript("", [turn], next_person=None) for turn in turns]
    return count(["".join(segment.text for segment in segments) for segments in rendered])


def _fitting(turns: Sequence[Turn], count: Count, room: int) -> list[Turn]:
    """The turns, those longer than `room` cut into several of the same person."""
    fitting: list[Turn] = []
    for turn, size in zip(turns, _sizes(turns, count), strict=True):
        if size <= room:
            fitting.append(turn)
            continue
        groups: list[list[Part]] = [[]]
        used = fixed = _sizes([Turn(turn.person, (Part(""),))], count)[0]
        for part in turn.parts:
            for piece in _pieces(part, count, room - fixed):
                size = _size(piece.text, count)
                if groups[-1] and used + size > room:
                    groups.append([])
                    used = fixed
                groups[-1].append(piece)
                used += size
        fitting += [Turn(turn.person, tuple(group), ends=False) for group in groups[:-1]]
        fitting.append(Turn(turn.person, tuple(groups[-1]), turn.ends))
    return fitting


def _size(text: str, count: Count) -> int:
    """The tokens of a message, at the begin of its turn or further down, whichever are more."""
    return max(count([" " + text, "\n" + escape(text)]))


def _pieces(part: Part, count: Count, room: int) -> list[Part]:
    """A message in as few pieces as fit, cut at blanks (or anywhere, where there are none)."""
    pieces: list[str] = []
    for half in _halves(part.text, count, room):
        if pieces and _size(pieces[-1] + half, count) <= room:
            pieces[-1] += half
        else:
            pieces.append(half)
    texts = [text for piece in pieces if (text := piece.strip())]
    heads = [replace(part, text=text, message=None) for text in texts[:-1]]
    return [*heads, replace(part, text=texts[-1])]


def _halves(text: str, count: Count, room: int) -> Iterator[str]:
    if len(text) < 2 or _size(text, count) <= room:
        yield text
        return
    middle = len(text) // 2
    blank = max(text.rfind(sign, middle // 2, middle) for sign in " \n")
    at = blank + 1 if blank > 0 else middle
    yield from _halves(text[:at], count, room)
    yield from _halves(text[at:], count, room)
