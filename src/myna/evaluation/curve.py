"""A learning curve: would more chats help, more minutes of training, or a larger base?

Small adapters are trained on an eighth, a quarter and half of the data, and on all of it for
as much of the time; they are measured on the test split and thrown away. A power law with an
offset is fitted to their bits per character (Hestness et al. 2017, arXiv 1712.00409;
Hoffmann et al. 2022, arXiv 2203.15556) and checked on the adapter itself, which the check has
not seen.

    reports/NAME.curve.json    Curve
    reports/NAME.curve.html    its picture
    reports/.NAME.curve/       only while it is made: adapters, and the points so far
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from myna import stages
from myna import workspace as workspace_
from myna.artifacts import AdapterInfo, check_is_clone
from myna.config import Settings, updated
from myna.errors import WorkspaceError
from myna.evaluation import curve_page
from myna.evaluation.evidence import Evidence, Progress
from myna.evaluation.measure import Estimate, Size
from myna.training.data import Variation
from myna.training.progress import TrainingCallbacks
from myna.training.run import run as train
from myna.workspace import Workspace

Floats = npt.NDArray[np.float64]
Axis = Literal["chats", "minutes"]
AXES: tuple[Axis, ...] = ("chats", "minutes")
SHARES = (0.125, 0.25, 0.5)
"""Shares that small adapters are trained on; the clone itself is the share 1."""
AHEAD = 2.0
"""The prediction is for so many times the data or the minutes."""
MIN_GAIN = 0.01
"""A smaller relative change than this is no help."""
RESAMPLES = 200
EVERYONE = ""

_EXPONENTS = np.geomspace(0.05, 2, 40)
_USUAL_EXPONENT = 0.3
_NOISE = 0.005
"""Bits per character by which trainings differ by chance; larger residuals count less."""


@dataclass(frozen=True)
class Forecast:
    """The fit of one person's curve along one axis.

    Attributes:
        losses: bits per character at each of `SHARES`, then of the clone.
        ahead: relative change of bits per character with `AHEAD` times as much, with its 95 %
            interval: test conversations resampled, widened by `missed`.
        missed: relative error of the clone's own figure, predicted from the smaller ones.
    """

    losses: list[float]
    ahead: Estimate
    missed: float


@dataclass(frozen=True)
class Curve:
    """The learning curves of an adapter.

    Attributes:
        adapter: its name.
        seconds: the duration of the clone's training; NaN if unknown.
        people: forecasts by person and axis; `EVERYONE` is all replies together.
        base: bits per character of the base, by person.
    """

    adapter: str
    seconds: float
    people: dict[str, dict[Axis, Forecast]]
    base: dict[str, float]

    def plain(self) -> dict[str, Any]:
        """The curve as JSON data, with the answer for each person."""
        answers = {person: answer(forecasts) for person, forecasts in self.people.items()}
        return {**asdict(self), "shares": [*SHARES, 1.0], "answers": answers}


@dataclass(frozen=True)
class _Throwaway(Workspace):
    """A workspace whose adapters and reports lie in a hidden folder."""

    hidden: Path

    @property
    def reports(self) -> Path:
        return self.hidden

    def adapter(self, name: str) -> Path:
        return self.hidden / super().adapter(name).name


def answer(forecasts: dict[Axis, Forecast]) -> str:
    """The advice that the forecasts of one person give."""
    gains = {axis: -forecast.ahead.value for axis, forecast in forecasts.items()}
    if any(math.isnan(gain) for gain in gains.values()):
        return "unclear: too few figures"
    best = max(AXES, key=lambda axis: gains[axis])
    if gains[best] < MIN_GAIN:
        return "a larger base: neither more chats nor more minutes would help much"
    forecast = forecasts[best]
    if abs(forecast.missed) > gains[best]:
        return f"unclear: the same fit missed a known figure by {abs(forecast.missed):.1%}"
    sure = "" if forecast.ahead.high < 0 else ", perhaps"
    return f"more {best}{sure}"


def small_trainings(
    settings: Settings, info: AdapterInfo
) -> Iterator[tuple[str, Settings, Variation]]:
    """The names, settings and variations of the small adapters.

    Args:
        settings: of the clone's training.
        info: of the clone.
    """
    epochs = info.training.plan.epochs
    quiet = {"budget": "", "previews": 0, "tensorboard": False, "wandb": ""}
    for share in SHARES:
        for axis in AXES:
            wanted = epochs if axis == "chats" else epochs * share
            changed = updated(settings, "train", {**quiet, "num_train_epochs": wanted})
            variation = Variation(share=share if axis == "chats" else 1.0)
            yield f"{axis}-{share:g}", changed, variation


def expected_seconds(info: AdapterInfo) -> float:
    """The time that the small trainings take, as the clone's was measured; NaN if it was not."""
    return training_seconds(info) * len(AXES) * sum(SHARES)


def training_seconds(info: AdapterInfo) -> float:
    """The duration of a clone's training; NaN if its speed was not measured."""
    plan = info.training.plan
    return plan.tokens / plan.tokens_per_second if plan.tokens_per_second else math.nan


def run(
    space: Workspace, name: str, size: Size, report: Callable[[str], None], progress: Progress
) -> dict[str, Any]:
    """Train the small adapters, and write the curve; returns its plain data.

    What a stopped run made is taken over.

    Raises:
        WorkspaceError: the adapter is missing or stale, or has canaries.
        TrainingError: a small training failed, or Ctrl-C.
    """
    settings, info = space.settings(), AdapterInfo.load(space, name)
    check_is_clone(space, name)
    manifest = _checked_manifest(space, name, settings, size)
    stored = workspace_.read_json(space.reports / f"{name}.curve.json")
    if stored and stored["manifest"] == manifest:
        report("nothing has changed since the last curve")
        return dict(stored)
    hidden = _Throwaway(space.root, space.reports / f".{name}.curve")
    if workspace_.read_json(hidden.hidden / "manifest.json") != manifest:
        shutil.rmtree(hidden.hidden, ignore_errors=True)
        workspace_.write_json(hidden.hidden / "manifest.json", manifest)
    evidence = Evidence(space, name, size, report, progress)
    conversations = evidence.test_samples["conversation"]
    base, clone = (sums_of(bits, conversations) for bits in evidence.bits)
    points: dict[str, pl.DataFrame] = {}
    trainings = list(small_trainings(settings, info))
    for number, (point, changed, variation) in enumerate(trainings, 1):
        path = hidden.hidden / f"{point}.parquet"
        if not path.exists():
            report(f"training {number} of {len(trainings)}: {point}")
            with workspace_.explain_disk_errors(hidden.hidden):
                train(hidden, changed, point, _steps_told(point, progress), variation=variation)
                bits = Evidence(hidden, point, size, report, progress).clone_bits()
                sums_of(bits, conversations).write_parquet(path)
            for folder in (point, *AdapterInfo.load(hidden, point).adapters.values()):
                shutil.rmtree(hidden.adapter(folder), ignore_errors=True)
        points[point] = pl.read_parquet(path)
    curve = fit(name, training_seconds(info), points, clone, base)
    data = {**curve.plain(), "manifest": manifest}
    with workspace_.explain_disk_errors(space.reports):
        workspace_.write_json(space.reports / f"{name}.curve.json", data)
        workspace_.write_text(space.reports / f"{name}.curve.html", curve_page.page(data, AHEAD))
    shutil.rmtree(hidden.hidden, ignore_errors=True)
    return data


def _steps_told(point: str, progress: Progress) -> TrainingCallbacks:
    return TrainingCallbacks(on_step=lambda now: progress(f"training {point}", now.step, now.steps))


def _checked_manifest(
    space: Workspace, name: str, settings: Settings, size: Size
) -> dict[str, Any]:
    """The inputs and settings of a curve.

    Raises:
        WorkspaceError: the adapter was trained on other samples or with other settings.
    """
    trained = workspace_.read_manifest(space.adapter(name))
    wanted = stages.train_settings(settings)
    reasons = ["it is damaged"]
    if trained is not None:
        reasons = workspace_.stale_reasons(trained, stages.train_inputs(space), wanted)
    if reasons:
        raise WorkspaceError(
            f"adapter '{name}' is stale ({reasons[0]}), and the small ones must be trained as it "
            f"was: run `myna train --adapter {name}` first"
        )
    return {"inputs": stages.evaluate_inputs(space, name), "settings": {**wanted, **asdict(size)}}


def sums_of(bits: pl.DataFrame, conversations: pl.Series) -> pl.DataFrame:
    """Bits and characters of each person in each conversation.

    Args:
        bits: of replies, as `likelihood.reply_bits` gives them.
        conversations: of each sample.
    """
    numbered = bits.with_columns(conversation=conversations.gather(bits["sample"]))
    return (
        numbered.group_by("person", "conversation")
        .agg(pl.col("bits").sum(), pl.col("characters").sum())
        .sort("person", "conversation")
    )


def fit(
    name: str,
    seconds: float,
    points: dict[str, pl.DataFrame],
    clone: pl.DataFrame,
    base: pl.DataFrame,
) -> Curve:
    """The curves of everybody and of each person.

    Args:
        name: of the adapter.
        seconds: the duration of its training.
        points: sums of each small adapter by its name, as `sums_of` gives them.
        clone: sums of the clone itself.
        base: sums of the base.
    """
    people = [EVERYONE, *clone["person"].unique().sort()]
    tables = {axis: [*(points[f"{axis}-{s:g}"] for s in SHARES), clone] for axis in AXES}
    found = {
        person: {
            axis: forecast([_by_conversation(table, person) for table in tables[axis]])
            for axis in AXES
        }
        for person in people
    }
    bits = {person: _loss(_by_conversation(base, person)) for person in people}
    return Curve(name, seconds, found, bits)


def _by_conversation(table: pl.DataFrame, person: str) -> Floats:
    """Bits and characters of a person in each conversation: [conversations, 2]."""
    own = table if person == EVERYONE else table.filter(pl.col("person") == person)
    sums = own.group_by("conversation").agg(pl.col("bits").sum(), pl.col("characters").sum())
    return sums.sort("conversation").select("bits", "characters").to_numpy().astype(np.float64)


def _loss(sums: Floats) -> float:
    bits, characters = sums.sum(0)
    return float(bits / characters) if characters else math.nan


def forecast(points: Sequence[Floats]) -> Forecast:
    """Fit a curve, and predict what `AHEAD` times as much would give.

    Args:
        points: for each of `SHARES`, then for the clone: bits and characters of the same
            conversations, [conversations, 2].
    """
    shares = np.array([*SHARES, 1.0])
    losses = [_loss(sums) for sums in points]
    predicted = predict(shares[:-1], np.array(losses[:-1]), 1.0)
    missed = predicted / losses[-1] - 1
    count = len(points[0])
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES if count > 1 else 0)
    draws = [
        _change(shares, np.array([_loss(n[:, None] * sums) for sums in points])) for n in drawn
    ]
    low, high = np.nanquantile(draws, (0.025, 0.975)) if draws else (math.nan, math.nan)
    return Forecast(
        losses,
        Estimate(
            _change(shares, np.array(losses)),
            float(low) - abs(missed),
            float(high) + abs(missed),
            count,
        ),
        missed,
    )


def _change(shares: Floats, losses: Floats) -> float:
    """Relative change from the share 1 to `AHEAD`, by the fit."""
    return predict(shares, losses, AHEAD) / predict(shares, losses, 1.0) - 1


def predict(shares: Floats, losses: Floats, share: float) -> float:
    """The loss at another share, by offset + scale * share ** -exponent.

    Fitted by a Huber loss of residuals over `_NOISE`, for each exponent of a grid by
    reweighted least squares; exponents far from the usual cost more, as three numbers of as
    many points fit anything. NaN where a loss is.

    Args:
        shares: of the data or the minutes, [points].
        losses: at these shares, [points].
        share: to predict at.
    """
    if not np.isfinite(losses).all():
        return math.nan
    powers = shares[None] ** -_EXPONENTS[:, None]  # [exponents, points]
    weights = np.ones_like(powers)
    for _ in range(8):
        total = weights.sum(1)
        x, y = (weights * powers).sum(1) / total, (weights * losses).sum(1) / total
        spread = (weights * (powers - x[:, None]) ** 2).sum(1)
        joint = (weights * (powers - x[:, None]) * (losses - y[:, None])).sum(1)
        scale = np.maximum(joint / spread, 0)  # more of it never hurts
        offset = np.maximum(y - scale * x, 0)
        residuals = (losses - offset[:, None] - scale[:, None] * powers) / _NOISE
        weights = 1 / np.maximum(np.abs(residuals), 1)
    size = np.abs(residuals)
    huber = np.where(size < 1, size**2 / 2, size - 0.5).sum(1)
    best = int(np.argmin(huber + np.log(_EXPONENTS / _USUAL_EXPONENT) ** 2 / 2))
    return float(offset[best] + scale[best] * share ** -_EXPONENTS[best])
