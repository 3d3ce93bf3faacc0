"""Two adapters side by side: the paired differences of their figures on the same items.

An item of one adapter stands beside the same item of the other: the same real reply, the same
moment, the same opening of a room. Conversations are resampled with both items in them, so
that what makes a moment hard for both cancels out.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from myna.artifacts import AdapterInfo
from myna.errors import WorkspaceError
from myna.evaluation.measure import RESAMPLES, Estimate, Item, Measure
from myna.evaluation.report import measures_of
from myna.leftovers import write_bytes
from myna.workspace import Workspace, find, read_json

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence

Sums = npt.NDArray[np.float64]
_ITEM = {"person": pl.String, "conversation": pl.Int64, "value": pl.Float64, "weight": pl.Float64}


@dataclass(frozen=True)
class Difference:
    """A figure of two adapters, and the paired difference.

    Attributes:
        measure: this adapter's measure.
        other: the figure of the other adapter.
        difference: this adapter's less the other's; where nearest to real text is best, of
            their distances from real text.
        people: the same difference for each person.
    """

    measure: Measure
    other: Estimate
    difference: Estimate
    people: dict[str, Estimate] = field(default_factory=dict)

    @property
    def is_distance(self) -> bool:
        """True where distances from real text are compared."""
        ceiling = self.measure.ceiling
        return bool(self.measure.better == "real" and ceiling and not math.isnan(ceiling.value))

    @property
    def better(self) -> str:
        """The adapter that is surely better: "this", "other", or "" where chance may be it."""
        low, high = self.difference.low, self.difference.high
        if not (low > 0 or high < 0):
            return ""
        return "this" if (low > 0) == (self.measure.better == "higher") else "other"

    def plain(self) -> dict[str, Any]:
        """The difference as JSON data."""
        return {
            "name": self.measure.name,
            "title": self.measure.title,
            "this": asdict(self.measure.clone),
            "other": asdict(self.other),
            "difference": asdict(self.difference),
            "people": {person: asdict(found) for person, found in self.people.items()},
            "better": self.better,
        }


def find_other(workspace: Workspace, given: str) -> tuple[Workspace, str]:
    """The workspace and the adapter that NAME or PATH:NAME means.

    Raises:
        WorkspaceError: there is no workspace at that path, or no such adapter in it.
    """
    path, _, name = given.rpartition(":")
    other = find(Path(path)) if path else workspace
    AdapterInfo.load(other, name)
    return other, name


def draw_fingerprint(evidence: Evidence) -> str:
    """A hash of all moments that were drawn: equal for the same chats and the same draw."""
    drawn = [
        [moment.person, *(turn.text for turn in moment.scene.before), moment.reply.text]
        for moment in (*evidence.moments, *evidence.openings)
    ]
    return hashlib.sha256(json.dumps(drawn).encode()).hexdigest()


def items_path(workspace: Workspace, name: str) -> Path:
    """The file with the items of a report's measures."""
    return workspace.reports / f"{name}.items.parquet"


def save_items(path: Path, measures: Sequence[Measure]) -> None:
    """Write the items of measures: columns measure, person, conversation, value, weight."""
    rows = [
        (measure.name, item.person, item.conversation, item.value, item.weight)
        for measure in measures
        for item in measure.items
    ]
    table = pl.DataFrame(rows, {"measure": pl.String, **_ITEM}, orient="row")
    file = io.BytesIO()
    table.write_parquet(file)
    write_bytes(path, file.getvalue())


def load_measures(workspace: Workspace, name: str) -> tuple[str, list[Measure]]:
    """The fingerprint of a report's draw, and its measures with their items.

    Raises:
        WorkspaceError: there is no report, or its items are missing.
    """
    report = read_json(workspace.reports / f"{name}.json")
    path = items_path(workspace, name)
    if report is None or not path.exists():
        raise WorkspaceError(
            f"adapter '{name}' of {workspace.root} has no figures to compare: delete "
            f"{workspace.reports / name}.json and run `myna evaluate --adapter {name}` there"
        )
    table = pl.read_parquet(path)
    items: dict[str, list[Item]] = {}
    for measure, *entry in table.iter_rows():
        items.setdefault(measure, []).append(Item(*entry))
    return report["draw"], [
        replace(measure, items=tuple(items.get(measure.name, ())))
        for measure in measures_of(report)
    ]


def compare(
    ours: tuple[str, Sequence[Measure]], theirs: tuple[str, Sequence[Measure]]
) -> tuple[list[Difference], list[str]]:
    """Every measure that both adapters have, and a line for each that cannot be compared.

    Args:
        ours: fingerprint of the draw, and measures, as `load_measures` gives them.
        theirs: the same of the other adapter.

    Raises:
        WorkspaceError: the adapters were measured on other chats, or on another draw of them.
    """
    if ours[0] != theirs[0]:
        raise WorkspaceError(
            "the two adapters were measured on other chats, other people or another draw: "
            "prepare the same chats with the same [split], and evaluate both with the same --items"
        )
    others = {measure.name: measure for measure in theirs[1]}
    differences, notes = [], []
    for measure in ours[1]:
        other = others.get(measure.name)
        if other is None or not (measure.items and other.items):
            continue
        if _keys(measure) != _keys(other):
            notes.append(f"{measure.title}: not the same items, so not compared")
            continue
        difference = _difference(measure, other)
        if math.isnan(difference.difference.value):
            notes.append(f"{measure.title}: this draw has nothing to compare it by")
        else:
            differences.append(difference)
    return differences, notes


def _keys(measure: Measure) -> list[tuple[str, int]]:
    return [(item.person, item.conversation) for item in measure.items]


def _difference(measure: Measure, other: Measure) -> Difference:
    def real(ceiling: Estimate | None) -> float:
        return ceiling.value if ceiling and measure.better == "real" else math.nan

    pairs = list(zip(measure.items, other.items, strict=True))
    people = sorted({one.person for one, _ in pairs} - {""})
    return Difference(
        measure,
        other.clone,
        paired_difference(pairs, real(measure.ceiling)),
        {
            person: paired_difference(
                [pair for pair in pairs if pair[0].person == person],
                real(measure.people.get(person, {}).get("ceiling", measure.ceiling)),
            )
            for person in people
        },
    )


def paired_difference(pairs: Sequence[tuple[Item, Item]], real: float = math.nan) -> Estimate:
    """The difference of the figures of paired items, with its 95 % interval.

    A percentile bootstrap over conversations (Efron & Tibshirani 1993, ch. 13), both items of
    a pair drawn together, with a fixed seed.

    Args:
        pairs: items of one adapter beside those of the other.
        real: the figure of real text, to compare distances from it; NaN: the figures.
    """
    if not pairs:
        return Estimate(math.nan)
    numbers: dict[int, int] = {}
    rows = np.array(
        [(one.value, one.weight, other.value, other.weight) for one, other in pairs],
        dtype=np.float64,
    )
    groups = [numbers.setdefault(one.conversation, len(numbers)) for one, _ in pairs]
    sums = np.zeros((len(numbers), 4))
    np.add.at(sums, groups, rows)
    rng = np.random.default_rng(0)
    value = float(_differences(sums.sum(0), real))
    if len(sums) < 2 or math.isnan(value):
        return Estimate(value, items=len(pairs))
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), RESAMPLES)
    low, high = np.nanquantile(_differences(drawn @ sums, real), (0.025, 0.975))
    return Estimate(value, float(low), float(high), len(pairs))


def _differences(sums: Sums, real: float) -> Sums:
    """Differences of figures from sums of value, weight, other value and other weight."""
    with np.errstate(invalid="ignore", divide="ignore"):
        one, other = sums[..., 0] / sums[..., 1], sums[..., 2] / sums[..., 3]
    if math.isnan(real):
        return np.asarray(one - other)
    return np.asarray(np.abs(one - real) - np.abs(other - real))
