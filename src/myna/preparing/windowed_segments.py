"""Drafts: the windows of conversations, rendered, before they have tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import accumulate
from string import Formatter

import polars as pl

from myna.config import Samples
from myna.errors import SettingsError
from myna.preparing import windows
from myna.preparing.conversation_lines import lines
from myna.preparing.windows import SLACK, cut
from myna.rendering import render
from myna.rendering.render import MOST_NAMED
from myna.rendering.render_batch import render_batch, roles, with_written
from myna.rendering.spec import Mark, Markup
from myna.rendering.tokenizer import Tokenizer

BATCH = 50_000
"""Messages whose conversations are rendered at a time, or a few more."""


@dataclass
class Drafts:
    """Samples before they have tokens.

    `samples` has part, conversation, space, channel and ends (whether the conversation does)
    of each; `segments` theirs (see `render_batch`); `messages` the rows of the messages
    that they train. `led` counts those that begin earlier than they would, so that they do
    not begin with the persona's own turn, and `opened` those that begin so all the same.
    """

    samples: pl.DataFrame
    segments: pl.DataFrame
    messages: list[int]
    led: int = 0
    opened: int = 0


@dataclass(frozen=True)
class View:
    """How samples are written: by which markup, in whose view, for whom the system line is.

    Attributes:
        settings: of samples.
        tokenizer: the base's.
        markup: of the rendering.
        persona: whose samples they are, where each persona has their own.
        name: the persona whom the system line names.
        costs: tokens of what goes from one turn to the next, names and their newline aside.
    """

    settings: Samples
    tokenizer: Tokenizer
    markup: Markup
    persona: str | None = None
    name: str = ""
    costs: dict[str, int] = field(default_factory=dict)


def drafts(
    kept: pl.DataFrame,
    settings: Samples,
    tokenizer: Tokenizer,
    markup: Markup,
    personas: Sequence[str] = (),
    brought: pl.DataFrame | None = None,
) -> Iterator[Drafts]:
    """The drafts of all conversations in which something is trained, some at a time.

    Args:
        kept: the messages of whole conversations.
        settings: of samples.
        tokenizer: the base's.
        markup: of the rendering.
        personas: all who are trained, where these are not all messages there are.
        brought: what replies bring along (see `lines.lines`).

    Raises:
        SettingsError: a system line and a name leave no room for words, or it names the
            persona where there is not one but several.
    """
    said = lines(kept, brought)
    places = kept.group_by("conversation", maintain_order=True).agg(
        pl.first("split", "space", "channel", "whole"),
        platform=pl.first("source"),
        date=pl.col("sent_at").drop_nulls().first().dt.strftime("%Y-%m-%d").fill_null(""),
    )
    speaking = said.filter("trained")["person"].unique(maintain_order=True).to_list()
    costs = {step: _cost(marks, tokenizer) for step, marks in markup.between.items()}
    only = _only(personas or speaking, settings, markup)
    view = View(settings, tokenizer, markup, None, only, costs)
    views = [replace(view, persona=one, name=one) for one in speaking]
    for one in views if markup.per_persona else [view]:
        is_own = pl.col("person") == one.persona if markup.per_persona else True
        seen = said.with_columns(pl.col("trained") & is_own)
        seen = seen.filter(pl.col("trained").any().over("conversation"))
        sizes = seen.group_by("conversation", maintain_order=True).agg(lines=pl.len())
        batch = (sizes["lines"].cum_sum() - 1) // BATCH
        for (_,), some in sizes.group_by(batch, maintain_order=True):
            first, last = some["conversation"][0], some["conversation"][-1]
            within = pl.col("conversation").is_between(first, last)
            yield _drafts(seen.filter(within), places, one)


def _only(personas: Sequence[str], settings: Samples, markup: Markup) -> str:
    """The persona whom system lines name where one sample has room for all of them."""
    named = {name for line in settings.system_lines for _, name, *_ in Formatter().parse(line)}
    if "name" in named and not markup.per_persona and len(personas) > 1:
        raise SettingsError(
            f"samples.system has {{name}}, and a sample of {markup.style} has {len(personas)} "
            'personas: use {people} there, or rendering = "chat"'
        )
    if "name" not in named and markup.style == "chat" and len(personas) > 1:
        raise SettingsError(
            f"samples.system has no {{name}}, so nothing says whom of {len(personas)} personas "
            "the assistant speaks for: put it there"
        )
    return personas[0] if personas else ""


def _cost(marks: Sequence[Mark], tokenizer: Tokenizer) -> int:
    """The tokens of marks; a name, and a newline by itself, are counted with turns."""
    texts = [m.text for m in marks if not m.control and not m.named and m.text != "\n"]
    return sum(m.control for m in marks) + sum(tokenizer.count(texts))


def _drafts(said: pl.DataFrame, places: pl.DataFrame, view: View) -> Drafts:
    known = _headers(said, places, view)
    # Where a turn must not come first, the one before it has room, too.
    share = 2 if view.markup.per_persona else 1
    most = (pl.col("room") - SLACK - max(view.costs.values())) // share
    rooms = known.select("conversation", room=most)
    said, turns = _fitting(said, rooms, view)
    costs = turns["step"].replace_strict(view.costs, return_dtype=pl.Int64)
    cuts = _windows(said, turns.with_columns(pl.col("size") + costs), known, view)
    rendered = render_batch(said, cuts, view.markup, view.persona)
    ends = pl.col("whole") & pl.col("next_person").is_null() & view.markup.bare
    samples = cuts.select("split", "conversation", "space", "channel", ends=ends)
    opened = roles(said["person"].gather(cuts["begin"]), view.markup, view.persona).sum()
    return Drafts(
        samples, rendered.segments, rendered.messages, int(cuts["led"].sum()), int(opened)
    )


def _fitting(
    said: pl.DataFrame, rooms: pl.DataFrame, view: View
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines in turns that fit, and the turns, with tokens as `size`; each counted once."""

    def turns_of(lines: pl.DataFrame) -> pl.DataFrame:
        turns = windows.turns(lines, view.markup, view.persona)
        return turns.join(rooms, on="conversation", maintain_order="left")

    said = with_written(said, view.markup, view.persona)
    turns = turns_of(said)
    turns = turns.with_columns(size=_counted(turns["text"], view.tokenizer))
    fitting = windows.fitting(said, turns, view.tokenizer.count)
    if fitting is said:
        return said, turns
    is_cut = fitting.group_by("turn", maintain_order=True).agg(pl.col("written").is_null().any())
    said = with_written(fitting, view.markup, view.persona)
    cut_up = turns_of(said)
    new, old = is_cut["written"].arg_true(), (~is_cut["written"]).arg_true()
    sizes = pl.Series([0], dtype=pl.Int64).new_from_index(0, cut_up.height)
    sizes = sizes.scatter(old, turns.filter(pl.col("size") <= pl.col("room"))["size"])
    sizes = sizes.scatter(new, _counted(cut_up["text"].gather(new), view.tokenizer))
    return said, cut_up.with_columns(size=sizes)


def _counted(texts: pl.Series, tokenizer: Tokenizer) -> pl.Series:
    return pl.Series(tokenizer.count(texts.to_list()), dtype=pl.Int64)


def _windows(
    said: pl.DataFrame, turns: pl.DataFrame, known: pl.DataFrame, view: View
) -> pl.DataFrame:
    """The windows in which something is trained, as `render_batch` takes them."""
    settings, own_only = view.settings, view.markup.per_persona
    trained = said.group_by("turn", maintain_order=True).agg(pl.col("trained").any())["trained"]
    grouped = (
        turns.with_columns(trained=trained)
        .group_by("conversation", maintain_order=True)
        .agg("size", "person", "lines", "trained", "own")
        .join(known.select("conversation", "room"), on="conversation", maintain_order="left")
    )
    found: list[tuple[int, int, int, int, str | None, bool]] = []
    line = 0
    for conversation, sizes, people, lengths, marks, own, room in grouped.iter_rows():
        at = list(accumulate(lengths, initial=line))
        following = [*people, None]
        chance = None
        if settings.window == "random":
            chance = random.Random(f"{settings.seed} {conversation}")
        answers = own if own_only else marks if chance else ()
        room -= SLACK
        for begin, start, end, led in cut(
            sizes, room, settings.overlap_tokens, answers=answers, chance=chance
        ):
            if not any(marks[start:end]):
                continue
            while own_only and not marks[end - 1]:
                end -= 1  # what others say behind the last answer teaches nothing
            after = None if own_only else following[end]
            found.append((conversation, at[begin], at[start], at[end], after, led))
        line = at[-1]
    numbers = dict.fromkeys(("conversation", "begin", "start", "end"), pl.Int64)
    schema = {**numbers, "next_person": pl.String, "led": pl.Boolean}
    return pl.DataFrame(found, schema=schema, orient="row").join(
        known, on="conversation", maintain_order="left"
    )


def _headers(said: pl.DataFrame, places: pl.DataFrame, view: View) -> pl.DataFrame:
    """The conversations of lines, with the system line and the tokens that it leaves to turns.

    It takes a quarter of a sample at most: of many people, those who speak most are named.
    """
    settings, tokenizer, markup = view.settings, view.tokenizer, view.markup
    speakers = said.group_by("conversation", "person", maintain_order=True).agg(said=pl.len())
    names = speakers["person"].unique(maintain_order=True)
    cues = tokenizer.count([f"\n{name}:" for name in names])
    known = (
        speakers.join(pl.DataFrame({"person": names, "cue": cues}), on="person")
        .sort("conversation", "said", descending=[False, True], maintain_order=True)
        .group_by("conversation", maintain_order=True)
        .agg(pl.col("person").head(MOST_NAMED), pl.max("cue"))
        .join(places, on="conversation", maintain_order="left")
    )

    @cache
    def header(
        template: str, people: tuple[str, ...], space: str, channel: str, platform: str, date: str
    ) -> tuple[str, int]:
        line = render.system_line(
            template,
            people=people,
            space=space,
            channel=channel,
            name=view.name,
            date=date,
            platform=platform,
        )
        line += markup.header_end
        size = tokenizer.count([line])[0]
        if size <= settings.max_tokens // 4 or len(people) == 1:
            return line, size
        return header(template, people[:-1], space, channel, platform, date)

    around = len(tokenizer.bos) + 1 if markup.bare else _cost(markup.opening, tokenizer)
    starts = (cost for step, cost in view.costs.items() if step.startswith("start>"))
    finishes = (cost for step, cost in view.costs.items() if step.endswith(">end"))
    around += max(starts) + max(finishes)
    templates = settings.system_lines
    columns = ("conversation", "person", "cue", "space", "channel", "platform", "date")
    found = []
    for number, people, cue, *place in known.select(columns).iter_rows():
        template = random.Random(f"{settings.seed} {number}").choice(templates)
        line, size = header(template, tuple(people), *place)
        room = settings.max_tokens - around - size - cue
        if room - cue - SLACK < settings.max_tokens // 4:
            raise SettingsError(
                f"samples.max_tokens = {settings.max_tokens} leaves too little room beside a "
                f"system line of {size} tokens and a name of {cue}: raise the one or shorten "
                "the others"
            )
        found.append((line, room))
    schema = {"header": pl.String, "room": pl.Int64}
    return known.with_columns(pl.DataFrame(found, schema=schema, orient="row")).drop(
        "person", "cue"
    )
