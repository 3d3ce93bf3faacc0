"""The tables of fidelity.py: figures of each way, with intervals by conversation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from myna.evaluation.against import paired_difference
from myna.evaluation.attribution import measure_attribution
from myna.evaluation.measure import Estimate, Item, Measure, SignedText, bootstrap
from myna.evaluation.moments import GeneratedReply, Room, real_stretches, signed_turns
from myna.evaluation.report import written
from myna.evaluation.room_metrics import measure_rooms

COLUMNS = (
    ("bits_per_character", "bits a character"),
    ("who_said_it", "who said it, letters"),
    ("who_said_it_style", "words"),
    ("repeats", "lines repeated"),
    ("collapsed", "rooms collapsed"),
    ("distinct_2", "different word pairs"),
    ("speaking_shares", "distance of turn shares"),
)


@dataclass(frozen=True)
class Result:
    """A way, with what each training seed gave: bits, replies, rooms, tokens."""

    way: str
    seeds: list[dict[str, Any]]


@dataclass(frozen=True)
class RealTurns:
    """The real turns and lines that the ways are measured against."""

    train: list[SignedText]
    test: list[SignedText]
    messages: pl.DataFrame

    @classmethod
    def of(cls, train: pl.DataFrame, test: pl.DataFrame, personas: Sequence[str]) -> RealTurns:
        """Of the prepared messages of two splits."""
        return cls(signed_turns(train, personas), signed_turns(test, personas), test)


def figures(result: Result, real: RealTurns) -> dict[str, Measure]:
    """Every measure of a way, over all seeds together."""
    replies = [GeneratedReply(**reply) for seed in result.seeds for reply in seed["replies"]]
    rooms: list[Room] = [
        [(person, text) for person, text in room] for seed in result.seeds for room in seed["rooms"]
    ]
    stretches = real_stretches(real.messages, [len(room) for room in rooms])
    measures = [
        bits(result),
        *measure_attribution(real.train, real.test, replies, []),
        *measure_rooms(rooms, stretches, real.test),
    ]
    return {measure.name: measure for measure in measures}


def items(result: Result) -> list[Item]:
    """The bits and characters of every test reply, seed after seed."""
    return [
        Item("", conversation, value, characters)
        for seed in result.seeds
        for value, characters, conversation in seed["test"]
    ]


def bits(result: Result) -> Measure:
    """Bits per character of the test replies."""
    own = items(result)

    def ratio(some: Sequence[Item]) -> float:
        return sum(item.value for item in some) / sum(item.weight for item in some)

    estimate = bootstrap(own, [item.conversation for item in own], ratio)
    return Measure("bits_per_character", "Bits per character", "lower", estimate, "", unit="bits")


def markdown(results: Sequence[Result], real: RealTurns) -> str:
    """A table with a row for each way, and one for real text."""
    head = ["", "tokens processed", "trained", "rate", *(title for _, title in COLUMNS)]
    head += ["bits against myna's"]
    rows = [head, ["---"] * len(head)]
    measured = [figures(result, real) for result in results]
    myna = next(result for result in results if result.way == "myna")
    for result, found in zip(results, measured, strict=True):
        cells = [written(found[n].clone, found[n].unit) if n in found else "–" for n, _ in COLUMNS]
        tokens = [f"{result.seeds[0][kind]:,}" for kind in ("processed", "trained")]
        rates = "/".join(f"{seed['rate']:.2g}" for seed in result.seeds if "rate" in seed)
        rows.append([result.way, *tokens, rates, *cells, against(result, myna)])
    real_cells = [
        written(measured[-1][n].ceiling, measured[-1][n].unit) if n in measured[-1] else "–"
        for n, _ in COLUMNS
    ]
    rows.append(["real text", "", "", "", *real_cells, ""])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def against(result: Result, myna: Result) -> str:
    """The difference of bits per character to myna's on the same replies, with its interval."""
    if result is myna:
        return spread(result)
    own, theirs = items(result), items(myna)
    own *= len(theirs) // len(own)  # the base has no seeds
    return written(paired_difference(list(zip(own, theirs, strict=True))), "bits", "+")


def spread(result: Result) -> str:
    """The standard deviation of bits per character over training seeds."""
    if len(result.seeds) < 2:
        return ""
    each = [bits(Result(result.way, [seed])).clone.value for seed in result.seeds]
    return f"± {statistics.stdev(each):.3f} over seeds"


def plain(results: Sequence[Result], real: RealTurns) -> dict[str, Any]:
    """The figures as JSON data."""

    def data(estimate: Estimate | None) -> dict[str, Any] | None:
        return None if estimate is None else asdict(estimate)

    return {
        result.way: {name: data(m.clone) for name, m in figures(result, real).items()}
        for result in results
    }
