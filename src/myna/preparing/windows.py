"""Windows: a conversation cut so that each piece fits the context.

Each trained turn is a target in one window; a window begins with turns of the one
before, as untrained context. Nothing is skipped: a turn that is longer than a window is
cut at its messages, then at blanks.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import polars as pl

from myna.preparing.conversation_lines import numbered
from myna.rendering import render, render_batch
from myna.rendering.spec import TRANSCRIPT, Markup

Count = Callable[[Sequence[str]], list[int]]
"""Token counts of texts."""

SLACK = 8
"""Tokens left free: counts of pieces may differ a little from the count of the whole."""

FEWEST, MOST = 2, 10
"""Turns of a random window."""


class Window(NamedTuple):
    """Turns for one sample: those from `begin` are shown, those from `start` to `end` are its own.

    `start` of one is `end` of the one before: what is shown again is context. `led` says that
    `begin` is earlier than it would be, so that somebody else's turn comes first.
    """

    begin: int
    start: int
    end: int
    led: bool = False


def cut(
    sizes: Sequence[int],
    room: int,
    overlap: int,
    *,
    answers: Sequence[bool] = (),
    chance: random.Random | None = None,
) -> Iterator[Window]:
    """The windows of a conversation.

    Args:
        sizes: tokens of each turn, none more than `room`.
        room: most tokens of a window.
        overlap: most tokens of context repeated from before it.
        answers: the turns before which a window shows another one, if that fits.
        chance: draws windows of `FEWEST` to `MOST` turns; None for as many as fit.
    """
    before = [0, *accumulate(sizes)]
    start = 0
    while start < len(sizes):
        spare = min(0 if chance else overlap, room - sizes[start])
        natural = begin = bisect_left(before, before[start] - spare, 0, start)
        opens = begin < len(answers) and answers[begin]
        if opens and begin and before[start + 1] - before[begin - 1] <= room:
            begin -= 1
        most = chance.randint(FEWEST, MOST) if chance else len(sizes)
        end = min(bisect_right(before, before[begin] + room) - 1, begin + most)
        end = max(end, start + 1)
        yield Window(begin, start, end, begin < natural)
        start = end


def turns(
    lines: pl.DataFrame, markup: Markup = TRANSCRIPT, persona: str | None = None
) -> pl.DataFrame:
    """The turns of lines `with_written`: turn, conversation, person, own, text, lines, step.

    `text` is what is said, with the names that stand around it; `step` is the kind of what
    else goes before it, from the role of the turn before in the conversation to its own.
    """
    opens = lines["turn"].diff().fill_null(1) != 0
    role = render_batch.roles(lines["person"], markup, persona)
    cue = pl.lit("")
    for number, name in enumerate(("other", "own")):
        step = markup.between.get(f"other>{name}", ())
        mark = next((mark for mark in step if mark.named), None)
        if mark is not None:
            named = pl.col("person") + mark.text
            cue = pl.when(opens & pl.Series(role == number)).then(named).otherwise(cue)
    found = (
        lines.select(
            "turn", "conversation", "person", text=cue + pl.col("written"), own=pl.Series(role == 1)
        )
        .group_by("turn", maintain_order=True)
        .agg(
            pl.first("conversation", "person", "own"),
            pl.col("text").str.join() + "\n",
            lines=pl.len(),
        )
    )
    roles = pl.when("own").then(pl.lit("own")).otherwise(pl.lit("other"))
    return found.with_columns(
        step=pl.format("{}>{}", roles.shift(1).over("conversation").fill_null("start"), roles)
    )


def fitting(lines: pl.DataFrame, known: pl.DataFrame, count: Count) -> pl.DataFrame:
    """The lines, with each turn that is too long cut into several, whose lines lack `written`.

    `known` is what `turns` says of them, with tokens as `size` and most of them as `room`.
    """
    long = dict(known.filter(pl.col("size") > pl.col("room")).select("turn", "room").iter_rows())
    if not long:
        return lines
    rows = lines.with_columns(piece=pl.lit(0, pl.Int32)).with_row_index("place")
    is_long = pl.col("turn").is_in(list(long))
    cut_up = []
    for (turn,), own in rows.filter(is_long).group_by("turn", maintain_order=True):
        fixed = count([f"{own['person'][0]}: \n"])[0]
        cut_up += list(_pieces(own.to_dicts(), count, long[turn], fixed))
    pieces = pl.DataFrame(cut_up, schema=rows.schema)
    joined = pl.concat([rows.filter(~is_long), pieces]).sort("place", maintain_order=True)
    return numbered(joined).drop("place", "piece")


def _pieces(
    own: list[dict[str, Any]], count: Count, room: int, fixed: int
) -> Iterator[dict[str, Any]]:
    """The lines of a long turn, in pieces of it that fit; all but the last do not end it."""
    done: list[dict[str, Any]] = []
    used, piece = fixed, 0
    for line in own:
        texts = _cut_text(line["text"], count, room - fixed)
        for place, text in enumerate(texts, 1):
            size = _size(text, count)
            if used > fixed and used + size > room:
                piece += 1
                used = fixed
            used += size
            message = line["message"] if place == len(texts) else None
            done.append({**line, "text": text, "written": None, "message": message, "piece": piece})
    for line in done:
        yield {**line, "ends": line["ends"] and line["piece"] == piece}


def _size(text: str, count: Count) -> int:
    """The tokens of a message, at the begin of its turn or further down, whichever are more."""
    return max(count([" " + text, "\n" + render.escape(text)]))


def _cut_text(text: str, count: Count, room: int) -> list[str]:
    """A message in as few pieces as fit, cut at blanks (or anywhere, where there are none)."""
    pieces: list[str] = []
    for half in _halves(text, count, room):
        if pieces and _size(pieces[-1] + half, count) <= room:
            pieces[-1] += half
        else:
            pieces.append(half)
    return [text for piece in pieces if (text := piece.strip())]


def _halves(text: str, count: Count, room: int) -> Iterator[str]:
    if len(text) < 2 or _size(text, count) <= room:
        yield text
        return
    at = halfway(text)
    yield from _halves(text[:at], count, room)
    yield from _halves(text[at:], count, room)


def halfway(text: str) -> int:
    """Where a long text is cut in two: behind a blank before its middle, if there is one."""
    middle = len(text) // 2
    blank = max(text.rfind(sign, middle // 2, middle) for sign in " \n")
    return blank + 1 if blank > 0 else middle
