"""Learning curves: the fit, the answer, and small adapters that are thrown away."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from tests.cli.conftest import run

from myna.artifacts import AdapterInfo
from myna.evaluation import curve, curve_page
from myna.evaluation.curve import SHARES, Forecast, answer, forecast, predict, small_trainings
from myna.evaluation.measure import Estimate
from myna.training.data import share_of
from myna.workspace import Workspace

ALL = np.array([*SHARES, 1.0])


def points(losses: list[float], noise: float = 0.0) -> list[np.ndarray]:
    """Thirty conversations of a hundred characters each at these losses."""
    rng = np.random.default_rng(1)
    hardness = 1 + 0.2 * rng.standard_normal(30)
    return [
        np.stack([100 * loss * hardness * (1 + noise * rng.standard_normal(30)), np.full(30, 100)])
        .T for loss in losses
    ]  # fmt: skip


@pytest.mark.parametrize(("offset", "scale", "exponent"), [(1.5, 0.4, 0.3), (2.0, 0.2, 0.6)])
def test_a_power_law_is_found_again(offset: float, scale: float, exponent: float) -> None:
    losses = offset + scale * ALL**-exponent
    wanted = offset + scale * 2**-exponent
    assert predict(ALL, losses, 2) == pytest.approx(wanted, rel=0.004)


def test_one_training_that_went_wrong_does_not_turn_the_curve() -> None:
    losses = 1.5 + 0.4 * ALL**-0.3
    losses[1] += 0.3
    assert predict(ALL, losses, 2) == pytest.approx(1.5 + 0.4 * 2**-0.3, rel=0.06)
    assert math.isnan(predict(ALL, np.array([2, 1.9, math.nan, 1.8]), 2))


def test_a_forecast_is_checked_on_the_size_that_it_has_not_seen() -> None:
    law = [1.5 + 0.4 * share**-0.3 for share in ALL]
    good = forecast(points(law, 0.01))
    assert abs(good.missed) < 0.01
    assert good.ahead.low < good.ahead.value < good.ahead.high < 0
    bent = forecast(points([*law[:3], law[3] + 0.2], 0.01))
    assert bent.missed < -0.05
    assert bent.ahead.high - bent.ahead.low > good.ahead.high - good.ahead.low


@pytest.mark.parametrize(
    ("chats", "minutes", "missed", "said"),
    [
        (-0.05, -0.02, 0.0, "more chats"),
        (-0.02, -0.05, 0.0, "more minutes"),
        (-0.004, -0.002, 0.0, "a larger base"),
        (-0.05, -0.02, 0.09, "unclear: the same fit missed a known figure by 9.0%"),
        (math.nan, -0.02, 0.0, "unclear: too few figures"),
    ],
)
def test_the_answer(chats: float, minutes: float, missed: float, said: str) -> None:
    def given(value: float) -> Forecast:
        return Forecast([], Estimate(value, value - 0.01, value + 0.001), missed)

    assert answer({"chats": given(chats), "minutes": given(minutes)}).startswith(said)
    unsure = Forecast([], Estimate(-0.02, -0.05, 0.01), 0.0)
    assert answer({"chats": unsure, "minutes": given(-0.01)}) == "more chats, perhaps"


def test_a_larger_share_of_the_data_holds_the_smaller_one() -> None:
    spans = [[{"start": 1, "end": 2 + n % 5}] for n in range(64)]
    table = pl.DataFrame({"number": range(64), "target_spans": spans})
    parts = [share_of(table, share, seed=1) for share in ALL]
    for smaller, larger in pairwise(parts):
        assert set(smaller["number"]) < set(larger["number"])
    trained = [sum(s["end"] - s["start"] for [s] in part["target_spans"]) for part in parts]
    assert [count / trained[-1] for count in trained] == pytest.approx(ALL, abs=0.03)


def test_small_trainings_differ_in_one_thing(clones: Workspace) -> None:
    info = AdapterInfo.load(clones, "group")
    made = {name: (s, v) for name, s, v in small_trainings(clones.settings(), info)}
    assert len(made) == 6
    epochs = info.training.plan.epochs
    settings, variation = made["chats-0.25"]
    assert (settings.train.num_train_epochs, variation.share) == (pytest.approx(epochs), 0.25)
    settings, variation = made["minutes-0.25"]
    assert (settings.train.num_train_epochs, variation.share) == (pytest.approx(epochs / 4), 1)


def test_a_curve_of_small_adapters_goes_on_where_it_was_stopped(
    own_clones: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    real = curve.train

    def stop_at_the_third(*arguments: object, **options: object) -> object:
        if len(trained) == 2 and "again" not in trained:
            trained.append("again")
            raise KeyboardInterrupt
        trained.append(str(arguments[2]))
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(curve, "train", stop_at_the_third)
    command = ["evaluate", "--curve", "--items", "12"]
    stopped = run(own_clones.root, command)
    assert stopped.status != 0
    assert "small adapters, about 1 min of training" in stopped.err
    done = run(own_clones.root, command)
    assert done.status == 0, done.err
    assert "everyone: " in done.out
    trained.remove("again")
    assert len(trained) == len(set(trained)) == 6  # none was trained twice
    left = {path.name for path in own_clones.reports.iterdir()}
    assert left == {"group.curve.json", "group.curve.html", "prepare.html"}
    assert {path.name for path in (own_clones.root / "adapters").iterdir()} == {"group", "short"}
    found = run(own_clones.root, [*command, "--json"]).json()
    assert set(found["people"]) == {"", "Ana", "Ben"}
    losses = found["people"][""]["minutes"]["losses"]
    assert losses[0] > losses[-1]
    assert len(trained) == 6  # read again


def test_a_stale_adapter_is_refused(own_clones: Workspace) -> None:
    done = run(own_clones.root, ["evaluate", "--curve", "--adapter", "short"])
    assert done.status != 0
    assert "adapter 'short' is stale" in done.err


def test_the_picture_has_a_line_for_everyone_and_escapes_their_names() -> None:
    ahead = {"value": -0.02, "low": -0.04, "high": 0.01}
    known = {"losses": [1.6, 1.5, 1.45, 1.42], "ahead": ahead, "missed": 0.003}
    unknown = {"losses": [None, 1.5, 1.45, 1.42], "ahead": dict.fromkeys(ahead), "missed": None}
    data = {
        "adapter": "group", "shares": [0.125, 0.25, 0.5, 1.0],
        "people": {"": {"chats": known, "minutes": known},
                   "<Ana>": {"chats": known, "minutes": unknown}},
        "answers": {"": "more chats", "<Ana>": "unclear: too few figures"},
    }  # fmt: skip
    text = curve_page.page(data, curve.AHEAD)
    assert text.count('<polyline class="line everyone"') == 2
    assert text.count('<polyline class="line"') == 2
    assert text.count('<polyline class="line ahead"') == 1  # what is not known is not drawn
    assert text.count('<line class="spread"') == 3
    assert "<Ana>" not in text
    assert "&lt;Ana&gt;" in text
    assert "more chats" in text
    assert "nan" not in text
