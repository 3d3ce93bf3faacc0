"""Audit samples for faults that training would stumble over, and count how people write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from statistics import median
from typing import Any

import polars as pl

from myna.artifacts import SpeakingHabits
from myna.conversations.line_repeats import is_short, said_again
from myna.rendering.encode import trained_tokens


@dataclass(frozen=True)
class Audit:
    """Numbers of samples, lengths in tokens; `fatal` has a line for each kind of fault.

    `replies` are target spans. The `unended` ones have no trained end: the turn goes on in
    another sample, or with a message that is context.
    """

    samples: int
    tokens: int
    trained: int
    replies: int
    unended: int
    shortest: int
    median: int
    longest: int
    fatal: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def audit(
    samples: pl.DataFrame, *, max_length: int, bos_ids: Collection[int], control: Collection[int]
) -> Audit:
    """Audit samples.

    Args:
        samples: as prepared.
        max_length: most tokens of a sample.
        bos_ids: the tokens that the base wants before any text.
        control: the base's control tokens, which stand only where the rendering puts them,
            and at the beginning and end of a sample.
    """
    sizes = samples["ids"].list.len()
    trained = samples.select(trained_tokens()).to_series()
    spans = samples["target_spans"].explode().drop_nulls().struct.unnest()
    inside = pl.col("ids").list.slice(len(bos_ids), pl.col("ids").list.len() - len(bos_ids) - 1)
    is_control = pl.element().is_in(list(control))
    expected = pl.col("segments").list.eval(pl.element().struct["control"]).list.sum()
    inner = samples.select(
        pl.when(expected > 0)
        .then(pl.col("ids").list.eval(is_control).list.sum() != expected)
        .otherwise(inside.list.eval(is_control).list.any())
    ).to_series()
    doubled = samples.select(
        pl.col("ids").list.slice(len(bos_ids), max(1, len(bos_ids))) == list(bos_ids)
    ).to_series()
    last = pl.col("target_spans").list.eval(pl.element().struct["end"]).list.max()
    outside = samples.select(last > pl.col("ids").list.len()).to_series().fill_null(False)
    faults = {
        "have nothing that is trained": trained == 0,
        f"are longer than {max_length} tokens": sizes > max_length,
        "have a control token within their text": inner,
        "have a doubled BOS": doubled if bos_ids else pl.Series([], dtype=pl.Boolean),
        "have target spans that go beyond their tokens": outside,
    }
    return Audit(
        samples=samples.height,
        tokens=int(sizes.sum()),
        trained=int(trained.sum()),
        replies=spans.height,
        unended=spans.filter(pl.col("words_end") == pl.col("end")).height,
        shortest=min(sizes, default=0),
        median=int(median(sizes)) if samples.height else 0,
        longest=max(sizes, default=0),
        fatal=[
            f"{is_faulty.sum():,} samples {fault}, the first is {is_faulty.arg_true()[0]}"
            for fault, is_faulty in faults.items()
            if is_faulty.any()
        ],
    )


LENGTH_BINS = (2, 5, 10, 20, 40, 80, 160, 320)
"""Characters that bins of message lengths begin behind; the first begins at 0."""
MAX_TURN_MESSAGES = 8
"""Messages of a turn, from which on all are in one bin."""


@dataclass(frozen=True)
class Habits:
    """Counts of one person's messages by length and hour, and turns by their messages.

    Attributes:
        person: name.
        messages: their number.
        lengths: messages of each length (see `LENGTH_BINS`).
        turns: turns of 1, 2, … messages; the last are all longer ones.
        hours: messages of each hour of the day, in UTC; all 0 if the times are unknown.
        words: those that set the person apart from the others, the most telling first.
    """

    person: str
    messages: int
    lengths: tuple[int, ...]
    turns: tuple[int, ...]
    hours: tuple[int, ...]
    words: tuple[str, ...] = ()


def habits(
    kept: pl.DataFrame,
    persons: Sequence[str],
    chosen: Sequence[str],
    words: Mapping[str, tuple[str, ...]] | None = None,
) -> list[Habits]:
    """The habits of people, in the order of `chosen`.

    Args:
        kept: messages in order, with person (a number), conversation, characters, sent_at.
        persons: names by their numbers.
        chosen: names of those to count.
        words: of people, as `typical_words` returns them.
    """
    turns = (
        kept.select("person", turn=pl.struct("conversation", "person").rle_id())
        .group_by("turn")
        .agg(pl.first("person"), size=pl.len())
    )
    length = pl.sum_horizontal(pl.col("characters") > edge for edge in LENGTH_BINS)
    lengths = _histogram(kept, length, len(LENGTH_BINS) + 1)
    sizes = _histogram(turns, pl.col("size").clip(1, MAX_TURN_MESSAGES) - 1, MAX_TURN_MESSAGES)
    timed = kept.filter(pl.col("sent_at").is_not_null())
    hours = _histogram(timed, pl.col("sent_at").dt.hour(), 24)
    numbers = [(name, persons.index(name)) for name in chosen]
    return [
        Habits(
            name,
            sum(lengths[i]),
            lengths[i],
            sizes[i],
            hours.get(i, (0,) * 24),
            (words or {}).get(name, ()),
        )
        for name, i in numbers
    ]


MIN_WORD_COUNT = 3
"""Uses of a word from which it is more than chance."""
TYPICAL_WORDS = 16
_WORD = r"[\p{L}\p{N}][\p{L}\p{N}'’_-]+|\p{Extended_Pictographic}"
_PLACEHOLDER = r"\[[a-z-]+\]|https?://\S+|@\S+"
"""Placeholders of personal data, links and mentions: nobody's words."""


def typical_words(messages: pl.LazyFrame, persons: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The words and emoji that set people apart from everybody else, the most telling first.

    Ranked by the log-odds of a use against the others' uses, over its standard error (Monroe,
    Colaresi and Quinn 2008, "Fightin' Words", with half a use added everywhere).

    Args:
        messages: prepared ones in order, with split, person and text; the latest are counted.
        persons: names of those whose words are returned.
    """
    train = messages.filter(pl.col("split") == "train").select("person", "text")
    word = pl.col("text").str.to_lowercase().str.replace_all(_PLACEHOLDER, " ")
    counts = (
        train.tail(COUNTED_MESSAGES)
        .select("person", word=word.str.extract_all(_WORD))
        .explode("word")
        .drop_nulls()
        .group_by("person", "word")
        .len("own")
        .with_columns(everyone=pl.sum("own").over("word"), said=pl.sum("own").over("person"))
        .with_columns(others=pl.col("everyone") - pl.col("own"), all=pl.sum("own"))
        .with_columns(unsaid=pl.col("all") - pl.col("said") - pl.col("others"))
    )
    own, others = pl.col("own") + 0.5, pl.col("others") + 0.5
    odds = (own / (pl.col("said") - pl.col("own") + 0.5)).log() - (
        others / (pl.col("unsaid") + 0.5)
    ).log()
    ranked = (
        counts.filter(pl.col("own") >= MIN_WORD_COUNT, pl.col("person").is_in(list(persons)))
        .with_columns(score=odds / (1 / own + 1 / others).sqrt())
        .filter(pl.col("score") > 0)
        .sort("person", "score", "word", descending=[False, True, False])
        .group_by("person", maintain_order=True)
        .agg(pl.col("word").head(TYPICAL_WORDS))
        .collect()
    )
    return {person: tuple(words) for person, words in ranked.iter_rows()}


COUNTED_MESSAGES = 20_000
"""The latest messages that repeats are counted in: comparing them all takes long."""


def speaking_habits(messages: pl.LazyFrame, persons: Sequence[str]) -> dict[str, SpeakingHabits]:
    """The shares of repeats, and the lengths of turns, of people in the train split.

    Args:
        messages: prepared messages in order, with split, conversation, person and text.
        persons: names of those to count.
    """
    columns = ("conversation", "person", "text")
    train = messages.filter(pl.col("split") == "train").select(columns).tail(COUNTED_MESSAGES)
    said: dict[tuple[str, bool], list[bool]] = {}
    lines_of: dict[str, list[int]] = {}
    rooms: dict[int, list[tuple[int, str, str]]] = {}
    for conversation, person, text in train.collect().iter_rows():
        room = rooms.setdefault(conversation, [])
        room += [(conversation, person, line) for line in text.split("\n") if line]
    lines = [line for room in rooms.values() for line in room]
    repeats = said_again([text for _, _, text in lines], [room for room, _, _ in lines])
    for (_, person, text), repeat in zip(lines, repeats, strict=True):
        said.setdefault((person, is_short(text)), []).append(repeat)
    for (_, person), own in groupby(lines, key=lambda line: line[:2]):
        lines_of.setdefault(person, []).append(len(list(own)))

    def share(person: str, *, short: bool) -> float:
        flags = said.get((person, short), [])
        return sum(flags) / len(flags) if flags else 0.0

    habits = {}
    for person in persons:
        sizes = sorted(lines_of.get(person, [1]))
        habits[person] = SpeakingHabits(
            sum(sizes),
            share(person, short=True),
            share(person, short=False),
            max_lines=sizes[min(len(sizes) - 1, len(sizes) * 99 // 100)],
        )
    return habits


def _histogram(rows: pl.DataFrame, bin_: pl.Expr, bins: int) -> dict[int, tuple[int, ...]]:
    """The number of rows in each bin, for each person."""
    histograms: dict[int, list[int]] = {}
    counts = rows.group_by("person", bin=bin_.cast(pl.Int64)).len()
    for person, i, count in counts.iter_rows():
        histograms.setdefault(person, [0] * bins)[i] = count
    return {person: tuple(values) for person, values in histograms.items()}
