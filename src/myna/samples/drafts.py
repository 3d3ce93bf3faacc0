"""Drafts: the windows of conversations, rendered, before they have tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import polars as pl

from myna.config import Samples
from myna.errors import SettingsError
from myna.samples import rendering, windows
from myna.samples.lines import MOST_NAMED, lines
from myna.samples.rendered import render
from myna.samples.tokenizer import Tokenizer
from myna.samples.windows import SLACK, cut

BATCH = 50_000
"""Messages whose conversations are rendered at a time, or a few more."""


@dataclass
class Drafts:
    """Samples before they have tokens.

    `samples` has part, conversation, space, channel and ends (whether the conversation does)
    of each; `segments` theirs (see `rendered.render`); `messages` the rows of the messages
    that they train.
    """

    samples: pl.DataFrame
    segments: pl.DataFrame
    messages: list[int]


def drafts(kept: pl.DataFrame, settings: Samples, tokenizer: Tokenizer) -> Iterator[Drafts]:
    """The drafts of all conversations in which something is trained, some at a time.

    Raises:
        SettingsError: a system line and a name leave no room for words.
    """
    said = lines(kept)
    said = said.filter(pl.col("trained").any().over("conversation"))
    places = kept.group_by("conversation", maintain_order=True).agg(
        pl.first("part", "space", "channel", "whole")
    )
    sizes = said.group_by("conversation", maintain_order=True).agg(lines=pl.len())
    batch = (sizes["lines"].cum_sum() - 1) // BATCH
    for (_,), some in sizes.group_by(batch, maintain_order=True):
        first, last = some["conversation"][0], some["conversation"][-1]
        yield _drafts(
            said.filter(pl.col("conversation").is_between(first, last)), places, settings, tokenizer
        )


def _drafts(
    said: pl.DataFrame, places: pl.DataFrame, settings: Samples, tokenizer: Tokenizer
) -> Drafts:
    known = _headers(said, places, settings, tokenizer)
    rooms = known.select("conversation", room=pl.col("room") - SLACK)
    turns = windows.turns(said).join(rooms, on="conversation", maintain_order="left")
    fitting = windows.fitting(said, turns, tokenizer.count)
    if fitting is not said:
        said = fitting
        turns = windows.turns(said).join(rooms, on="conversation", maintain_order="left")
    turns = turns.with_columns(size=pl.Series(tokenizer.count(turns["text"].to_list())))
    cuts = _windows(said, turns, settings.overlap_tokens).join(
        known, on="conversation", maintain_order="left"
    )
    rendered = render(said, cuts)
    ends = pl.col("whole") & pl.col("next_person").is_null()
    samples = cuts.select("part", "conversation", "space", "channel", ends=ends)
    return Drafts(samples, rendered.segments, rendered.messages)


def _windows(said: pl.DataFrame, turns: pl.DataFrame, overlap: int) -> pl.DataFrame:
    """The windows in which something is trained, as `render` takes them."""
    trained = said.group_by("turn", maintain_order=True).agg(pl.col("trained").any())["trained"]
    grouped = turns.with_columns(trained=trained).group_by("conversation", maintain_order=True)
    columns = ("size", pl.first("room"), "person", "lines", "trained")
    found: list[tuple[int, int, int, int, str | None]] = []
    line = 0
    for conversation, sizes, room, people, lengths, marks in grouped.agg(*columns).iter_rows():
        at = list(accumulate(lengths, initial=line))
        following = [*people, None]
        found += [
            (conversation, at[begin], at[start], at[end], following[end])
            for begin, start, end in cut(sizes, room, overlap)
            if any(marks[start:end])
        ]
        line = at[-1]
    numbers = dict.fromkeys(("conversation", "begin", "start", "end"), pl.Int64)
    return pl.DataFrame(found, schema={**numbers, "next_person": pl.String}, orient="row")


def _headers(
    said: pl.DataFrame, places: pl.DataFrame, settings: Samples, tokenizer: Tokenizer
) -> pl.DataFrame:
    """The conversations of lines, with the system line and the tokens that it leaves to turns.

    It takes a quarter of a sample at most: of many people, those who speak most are named.
    """
    speakers = said.group_by("conversation", "person", maintain_order=True).agg(said=pl.len())
    names = speakers["person"].unique(maintain_order=True)
    cues = tokenizer.count(["\n" + rendering.cue(name) for name in names])
    known = (
        speakers.join(pl.DataFrame({"person": names, "cue": cues}), on="person")
        .sort("conversation", "said", descending=[False, True], maintain_order=True)
        .group_by("conversation", maintain_order=True)
        .agg(pl.col("person").head(MOST_NAMED), pl.max("cue"))
        .join(places, on="conversation", maintain_order="left")
    )

    @cache
    def header(space: str, channel: str, people: tuple[str, ...]) -> tuple[str, int]:
        line = rendering.system_line(settings.system, space=space, channel=channel, people=people)
        size = tokenizer.count([line])[0]
        is_short = size <= settings.max_tokens // 4 or len(people) == 1
        return (line, size) if is_short else header(space, channel, people[:-1])

    found = []
    for space, channel, people, cue in known.select(
        "space", "channel", "person", "cue"
    ).iter_rows():
        line, size = header(space, channel, tuple(people))
        room = settings.max_tokens - len(tokenizer.bos) - 1 - size - cue
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
