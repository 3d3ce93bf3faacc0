"""Results of an evaluation: estimates with intervals, and what each of them means.

Every metric returns a `Measure`; the table in the terminal, the JSON file and the page are
views of the same objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

import numpy as np

RESAMPLES = 1000
MIN_ITEMS = 30
"""Fewer items than this are reported with a note that says so."""

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `items` is the number of replies, lines or rooms."""

    value: float
    low: float = math.nan
    high: float = math.nan
    items: int = 0


@dataclass(frozen=True)
class Item:
    """A reply, line or room that a figure is taken of.

    The figure of some items is the sum of their values over the sum of their weights, so two
    adapters can be compared on the same ones.

    Attributes:
        person: the persona; empty where it is of several.
        conversation: the cluster of the bootstrap.
        value: part of the numerator, such as bits, or 1.0 for a reply that is recognised.
        weight: part of the denominator, such as characters.
    """

    person: str
    conversation: int
    value: float
    weight: float = 1.0


@dataclass(frozen=True)
class Measure:
    """One figure about a clone beside its floor and its ceiling.

    Attributes:
        name: key in the JSON report.
        title: heading on the screen and the page.
        better: "higher", "lower", or "real" where nearest to the real text is best.
        clone: the figure of the clone.
        floor: the same figure of the base model or of chance.
        ceiling: the same figure of real text.
        people: for each person figures by their names, such as "clone" and "ceiling".
        definition: how it is computed, with the source of the formula.
        unit: "share" (printed as per cent), "bits", "count" or "score".
        references: further figures beside it, by their names.
        floor_name: the name of the floor.
        notes: what limits it, such as too few items.
        items: what `clone` is taken of, in an order that every adapter shares; none where a
            figure is no mean.
        section: the part of the report that it stands in.
        is_detail: only on the page, not on the terminal's screen.
    """

    name: str
    title: str
    better: Literal["higher", "lower", "real"]
    clone: Estimate
    definition: str
    floor: Estimate | None = None
    ceiling: Estimate | None = None
    people: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    unit: Literal["share", "bits", "count", "score"] = "share"
    references: dict[str, Estimate] = field(default_factory=dict)
    floor_name: str = "base model"
    notes: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    section: Literal["likelihood", "voice", "style", "rooms", "privacy"] = "voice"
    is_detail: bool = False


class Signed(Protocol):
    """A turn with the person it is said to be by, and the number of its conversation."""

    @property
    def person(self) -> str:
        """The author, or the persona who spoke."""

    @property
    def text(self) -> str:
        """The turn's messages, a line each."""

    @property
    def conversation(self) -> int:
        """The cluster of the bootstrap."""


@dataclass(frozen=True)
class SignedText:
    """A real turn; see `Signed`."""

    person: str
    text: str
    conversation: int


@dataclass(frozen=True)
class Size:
    """The extent of an evaluation."""

    items: int = 120
    """Replies, drawn evenly over the personas; the base answers half as many."""
    rooms: int = 10
    turns: int = 20
    """Turns of a room."""
    full: bool = False
    """Also the metrics that take long."""


def bootstrap(
    items: Sequence[Entry],
    clusters: Sequence[object],
    statistic: Callable[[Sequence[Entry]], float],
    resamples: int = RESAMPLES,
    *,
    is_distance: bool = False,
) -> Estimate:
    """A statistic of items with its 95 % interval, resampling whole clusters.

    A percentile bootstrap (Efron & Tibshirani 1993, ch. 13). Replies of one conversation
    share their context, so conversations are drawn, with a fixed seed.

    Args:
        items: what the statistic is taken of.
        clusters: the conversation of each item.
        statistic: a figure of some items; NaN where it cannot be taken.
        resamples: number of draws.
        is_distance: the statistic is the distance of two samples. Each resampling adds
            to it, so the interval is moved back by what the draws are above it on average.
    """
    if not items:
        return Estimate(math.nan)
    members: dict[object, list[Entry]] = {}
    for item, cluster in zip(items, clusters, strict=True):
        members.setdefault(cluster, []).append(item)
    groups = list(members.values())
    rng = np.random.default_rng(0)
    draws = [
        statistic([item for i in rng.integers(len(groups), size=len(groups)) for item in groups[i]])
        for _ in range(resamples if len(groups) > 1 else 0)
    ]
    known = [draw for draw in draws if not math.isnan(draw)]
    low, high = np.quantile(known, (0.025, 0.975)) if known else (math.nan, math.nan)
    value = float(statistic(items))
    if is_distance and known:
        excess = mean(known) - value
        low, high = max(low - excess, 0.0), max(high - excess, value)
    return Estimate(value, float(low), float(high), len(items))


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; NaN of nothing."""
    return sum(values) / len(values) if values else math.nan


def items_of(turns: Sequence[Signed], values: Sequence[float]) -> tuple[Item, ...]:
    """An item of each turn, with its part of a mean."""
    return tuple(
        Item(turn.person, turn.conversation, float(value))
        for turn, value in zip(turns, values, strict=True)
    )


def few_items_note(what: str, items: int) -> tuple[str, ...]:
    """A note where a figure rests on too few items, else none."""
    return (f"{what}: only {items} items, so read it with care",) if items < MIN_ITEMS else ()
