"""Windows: a conversation split so that each piece fits the context.

Each trained turn is a target in one window; a window begins with turns of the one before, as
context. Nothing is skipped: a turn that is longer than a window is split at its messages,
then at blanks. It is made of the lines of conversations: their messages as samples show them.

A late reply brings along the message that it answers; a page of a journal or an essay has a
line in front, `[JOURNAL] 2020-01-31` or `[ESSAY] prompt`. Neither is trained.

    conversation   number
    person         the author
    text           with its attachments behind it, as short tokens such as `[image]`
    trained        True for a training target
    message        row of the message; null for context that is brought along, and for all
                   but the last piece of a very long message
    turn           number: the consecutive lines of one person, or a piece of a very long turn
    ends           False in all but the last piece of a very long turn
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import polars as pl

from myna.conversations import sessions
from myna.rendering.render_batch import role_numbers
from myna.rendering.spec import TRANSCRIPT, RenderingSpec
from myna.rendering.turns import entry_line, escape

Count = Callable[[Sequence[str]], list[int]]
"""Token counts of texts."""

SLACK_TOKENS = 8
"""Tokens left free: counts of pieces may differ a little from the count of the whole."""

MIN_RANDOM_TURNS, MAX_RANDOM_TURNS = 2, 10


class Window(NamedTuple):
    """The turns [begin, end) of one sample: up to `start` they are repeated as context.

    `start` of one is `end` of the one before. `extended` is True if `begin` is earlier than
    the overlap asks for, so that somebody else's turn comes first.
    """

    begin: int
    start: int
    end: int
    extended: bool = False


def split_into_windows(
    sizes: Sequence[int],
    budget: int,
    overlap: int,
    *,
    not_first: Sequence[bool] = (),
    rng: random.Random | None = None,
) -> Iterator[Window]:
    """The windows of a conversation.

    Args:
        sizes: tokens of each turn, none more than `budget`.
        budget: most tokens of a window.
        overlap: most tokens of context repeated from before it.
        not_first: True for turns that do not come first in a window if another one fits.
        rng: draws windows of random numbers of turns; None for as many turns as fit.
    """
    before = [0, *accumulate(sizes)]
    start = 0
    while start < len(sizes):
        spare = min(0 if rng else overlap, budget - sizes[start])
        natural = begin = bisect_left(before, before[start] - spare, 0, start)
        extend = begin < len(not_first) and not_first[begin]
        if extend and begin and before[start + 1] - before[begin - 1] <= budget:
            begin -= 1
        max_turns = rng.randint(MIN_RANDOM_TURNS, MAX_RANDOM_TURNS) if rng else len(sizes)
        end = min(bisect_right(before, before[begin] + budget) - 1, begin + max_turns)
        end = max(end, start + 1)
        yield Window(begin, start, end, begin < natural)
        start = end


def turn_table(
    lines: pl.DataFrame, spec: RenderingSpec = TRANSCRIPT, persona: str | None = None
) -> pl.DataFrame:
    """The turns of lines `with_rendered_text`.

    Columns: turn, conversation, person, own, text (with the name before it), lines (their
    number) and step ("role>role", from the turn before in the conversation to this one).
    """
    opens = lines["turn"].diff().fill_null(1) != 0
    role = role_numbers(lines["person"], spec, persona)
    name = pl.lit("")
    for number, step in enumerate(("other>other", "other>own")):
        delimiter = next((one for one in spec.between.get(step, ()) if one.named), None)
        if delimiter is not None:
            named = pl.col("person") + delimiter.text
            name = pl.when(opens & pl.Series(role == number)).then(named).otherwise(name)
    text, own = name + pl.col("rendered"), pl.Series(role == 1)
    turns = (
        lines.select("turn", "conversation", "person", text=text, own=own)
        .group_by("turn", maintain_order=True)
        .agg(
            pl.first("conversation", "person", "own"),
            pl.col("text").str.join() + "\n",
            lines=pl.len(),
        )
    )
    roles = pl.when("own").then(pl.lit("own")).otherwise(pl.lit("other"))
    return turns.with_columns(
        step=pl.format("{}>{}", roles.shift(1).over("conversation").fill_null("start"), roles)
    )


def split_long_turns(lines: pl.DataFrame, turns: pl.DataFrame, count: Count) -> pl.DataFrame:
    """The lines, with each turn that is too long split; the lines of those lack `rendered`.

    `turns` is their `turn_table`, with tokens as `size` and most of them as `budget`.
    """
    long = turns.filter(pl.col("size") > pl.col("budget")).select("turn", "budget")
    budgets = dict(long.iter_rows())
    if not budgets:
        return lines
    rows = lines.with_columns(piece=pl.lit(0, pl.Int32)).with_row_index("row")
    is_long = pl.col("turn").is_in(list(budgets))
    pieces = []
    for (turn,), own in rows.filter(is_long).group_by("turn", maintain_order=True):
        overhead = count([f"{own['person'][0]}: \n"])[0]
        pieces += list(_split_turn(own.to_dicts(), count, budgets[turn], overhead))
    split = pl.DataFrame(pieces, schema=rows.schema)
    joined = pl.concat([rows.filter(~is_long), split]).sort("row", maintain_order=True)
    return with_turns(joined).drop("row", "piece")


def _split_turn(
    lines: list[dict[str, Any]], count: Count, budget: int, overhead: int
) -> Iterator[dict[str, Any]]:
    """The lines of a long turn, in pieces of it that fit; all but the last do not end it."""
    split: list[dict[str, Any]] = []
    used, piece = overhead, 0
    for line in lines:
        texts = _split_text(line["text"], count, budget - overhead)
        for number, text in enumerate(texts, 1):
            size = _size(text, count)
            if used > overhead and used + size > budget:
                piece += 1
                used = overhead
            used += size
            message = line["message"] if number == len(texts) else None
            new = {"text": text, "rendered": None, "message": message, "piece": piece}
            split.append({**line, **new})
    for line in split:
        yield {**line, "ends": line["ends"] and line["piece"] == piece}


def _size(text: str, count: Count) -> int:
    """The tokens of a message, at the beginning of its turn or further down: the larger count."""
    return max(count([" " + text, "\n" + escape(text)]))


def _split_text(text: str, count: Count, budget: int) -> list[str]:
    """A message in as few pieces as fit, split at blanks, or anywhere if there are none."""
    pieces: list[str] = []
    for half in _halves(text, count, budget):
        if pieces and _size(pieces[-1] + half, count) <= budget:
            pieces[-1] += half
        else:
            pieces.append(half)
    return [text for piece in pieces if (text := piece.strip())]


def _halves(text: str, count: Count, budget: int) -> Iterator[str]:
    if len(text) < 2 or _size(text, count) <= budget:
        yield text
        return
    at = middle_blank(text)
    yield from _halves(text[:at], count, budget)
    yield from _halves(text[at:], count, budget)


def middle_blank(text: str) -> int:
    """The index to split a long text at: behind a blank before its middle, if there is one."""
    middle = len(text) // 2
    blank = max(text.rfind(sign, middle // 2, middle) for sign in " \n")
    return blank + 1 if blank > 0 else middle


def text_with_attachments() -> pl.Expr:
    """A message's text with its attachments behind it, as short tokens such as `[image]`."""
    kind = pl.element().struct.field("kind")
    tokens = pl.col("attachments").list.eval("[" + kind + "]").list.join(" ")
    joined = pl.concat_str(pl.col("text"), tokens, separator=" ").str.strip_chars()
    return pl.when(pl.col("attachments").list.len() > 0).then(joined).otherwise("text")


def lines(kept: pl.DataFrame, quoted: pl.DataFrame | None = None) -> pl.DataFrame:
    """The lines of conversations of cleaned, split messages, in order.

    Args:
        kept: the messages.
        quoted: the messages of other conversations that these reply to: row (of the reply),
            target (a number), person and text; None to look for them among `kept`.
    """
    own = kept.with_row_index("message").select(
        "conversation", "person", "trained", "message", text=text_with_attachments()
    )
    if quoted is None:
        targets = own.select("person", "text", target="message")
        answers = sessions.find_reply_targets(kept).sort("row")
        quoted = answers.join(targets, on="target", maintain_order="left")
    quoted = quoted.join(
        own.select("conversation", row="message"), on="row", maintain_order="left"
    ).unique(["conversation", "target"], keep="first", maintain_order=True)
    entries = kept.with_row_index("row").filter(pl.col("kind") == "entry")
    days = entries["sent_at"].dt.strftime("%Y-%m-%d")
    prompts = entries.select("row", "conversation", "person").with_columns(
        pl.Series("text", map(entry_line, entries["thread"], days), pl.String)
    )
    if quoted.height or prompts.height:
        context = [
            before.select(
                "conversation",
                "person",
                pl.lit(False).alias("trained"),
                pl.lit(None, pl.UInt32).alias("message"),
                "text",
                at="row",
            )
            for before in (quoted, prompts)
        ]
        # A message stands right behind its context.
        own = (
            pl.concat([*context, own.with_columns(at="message")])
            .sort("at", maintain_order=True)
            .drop("at")
        )
    return with_turns(own.with_columns(ends=pl.lit(True), piece=pl.lit(0, pl.Int32))).drop("piece")


def with_turns(lines: pl.DataFrame) -> pl.DataFrame:
    """Number the turns of lines: another person, conversation or piece begins a new one."""
    turn = pl.struct("conversation", "person", "piece")
    return lines.with_columns(turn=(turn != turn.shift(1)).fill_null(False).cum_sum())
