"""A budget holds: by a clock that is told how long everything takes, never a real one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import pytest
import torch
from tests.training.cases import SETTINGS, samples

from myna.artifacts import TrainingResult
from myna.config import Train
from myna.errors import TrainingError
from myna.training import checkpoints
from myna.training.data import Samples
from myna.training.distributed import make_accelerator
from myna.training.loop import TrainingJob, run
from myna.training.methods import add_lora
from myna.training.progress import StepMetrics, TrainingCallbacks
from myna.training.schedule import FINISH_SHARE, Clock

BUDGET = 180.0
TRAINED_SECONDS, READ_SECONDS = 1.0, 0.35
"""Of one sample, forwards and backwards or only forwards, on the quiet machine."""


@dataclass
class Machine:
    """A machine whose speed changes: `slow(second)` is what everything then takes times."""

    slow: Callable[[float], float]
    second: float = 0.0

    def work(self, seconds: float) -> None:
        self.second += seconds * self.slow(self.second)

    def now(self) -> float:
        return self.second


class Texts(Sequence[Sequence[int]]):
    """Token ids of samples; a pass over one, drawn or in order, takes the machine some time."""

    def __init__(
        self, ids: Sequence[Sequence[int]], machine: Machine, *, drawn: float = 0, read: float = 0
    ) -> None:
        self._ids, self._machine, self._drawn, self._read = ids, machine, drawn, read
        self._is_measured = False
        """The first time only the lengths are read."""

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, i: int) -> Sequence[int]: ...

    @overload
    def __getitem__(self, i: slice) -> Sequence[Sequence[int]]: ...

    def __getitem__(self, i: Any) -> Any:
        self._machine.work(self._drawn)
        return self._ids[i]

    def __iter__(self) -> Iterator[Sequence[int]]:
        seconds, self._is_measured = self._read * self._is_measured, True
        for tokens in self._ids:
            self._machine.work(seconds)
            yield tokens


MANY = samples(400)
FEW = samples(15)
STEPS = Train(
    **SETTINGS.model_dump()
    | {"num_train_epochs": 3, "batch_tokens": 128, "validations": 3, "previews": 3, "patience": 0}
)


class Budgeted:
    """Trainings by a simulated clock, in one folder."""

    def __init__(self, small_model: Callable[[], Any], work: Path) -> None:
        self._small_model, self.work = small_model, work
        self.metrics: list[StepMetrics] = []
        work.mkdir(exist_ok=True)

    def run(
        self,
        machine: Machine,
        *,
        startup: float = 10.0,
        preview: float = 3.0,
        stop_after: int = 0,
        settings: Train = STEPS,
        data: Samples = MANY,
        budget: float | None = BUDGET,
    ) -> tuple[TrainingResult, Any]:
        """Train; raises TrainingError when it is stopped."""
        clock = Clock(budget, started=machine.now(), now=machine.now)
        machine.work(startup)
        texts = Texts(data.ids, machine, drawn=TRAINED_SECONDS)
        read = Texts(FEW.ids, machine, read=READ_SECONDS)

        def step(now: StepMetrics) -> None:
            self.metrics.append(now)
            if now.step == stop_after:
                raise KeyboardInterrupt

        def look(_model: Any, _step: int) -> list[tuple[str, str, str]]:
            machine.work(preview)
            return []

        model = add_lora(self._small_model(), settings)
        callbacks = TrainingCallbacks(on_step=step, on_preview=look)
        job = TrainingJob(
            model, Samples(texts, data.loss_masks), Samples(read, FEW.loss_masks),
            settings, self.work, make_accelerator(), callbacks, clock,
        )  # fmt: skip
        return run(job), model

    @property
    def rates(self) -> list[float]:
        lines = (self.work / "log.jsonl").read_text().splitlines()
        return [json.loads(line)["learning_rate"] for line in lines]


@pytest.fixture
def budgeted(small_model: Callable[[], Any], tmp_path: Path) -> Callable[[str], Budgeted]:
    return lambda name: Budgeted(small_model, tmp_path / name)


STEADY: Callable[[float], float] = lambda _: 1.0  # noqa: E731
MACHINES: dict[str, Callable[[float], float]] = {
    "steady": STEADY,
    "slower from a third on": lambda second: 3.0 if second > 60 else 1.0,
    "faster from a third on": lambda second: 1.0 if second > 60 else 3.0,
    "another program comes and goes": lambda second: 3.0 if int(second / 25) % 2 else 1.0,
    "slower at the end": lambda second: 3.0 if second > 160 else 1.0,
    "slow in the first steps": lambda second: 3.0 if second < 25 else 1.0,
}


@pytest.mark.parametrize("slow", MACHINES.values(), ids=MACHINES)
def test_a_budget_holds_on_a_machine_whose_speed_changes(
    budgeted: Callable[[str], Budgeted], slow: Callable[[float], float]
) -> None:
    machine, one = Machine(slow), budgeted("one")
    result, _ = one.run(machine)
    finish = FINISH_SHARE * BUDGET
    assert machine.now() + finish == pytest.approx(BUDGET, rel=0.05)
    assert result.plan.seconds == pytest.approx(machine.now(), rel=0.05)
    # The rate rose, and fell to nearly nothing in time.
    assert max(one.rates) > 0.7 * STEPS.learning_rate
    assert one.rates[-1] < 0.2 * STEPS.learning_rate
    assert one.metrics[-1].step == one.metrics[-1].steps
    assert one.metrics[-1].validation_loss is not None or slow is not STEADY


def test_a_stopped_run_keeps_its_budget_and_its_rates(
    budgeted: Callable[[str], Budgeted],
) -> None:
    machine, one = Machine(STEADY), budgeted("one")
    always = STEPS.model_copy(update={"checkpoint_every": "1s"})
    with pytest.raises(TrainingError, match="resumes from the last checkpoint"):
        one.run(machine, stop_after=7, settings=always)
    before = one.rates
    stopped_at = machine.now()
    machine.second += 1000  # nobody was at the keyboard
    one.run(machine, settings=always)
    spent = machine.now() - 1000
    assert spent == pytest.approx(BUDGET, rel=0.1)
    assert one.rates[:7] == before
    assert stopped_at < spent
    assert one.rates[-1] < 0.2 * STEPS.learning_rate


def test_steps_that_are_repeated_are_the_same_whatever_the_clock_says(
    budgeted: Callable[[str], Budgeted],
) -> None:
    """The second process is three times as slow, and repeats what no checkpoint holds."""
    whole, broken = budgeted("whole"), budgeted("broken")
    never = STEPS.model_copy(update={"checkpoint_every": "1h"})
    _, model = whole.run(Machine(STEADY), settings=never)
    with pytest.raises(TrainingError):
        broken.run(Machine(STEADY), stop_after=len(whole.rates), settings=never)
    assert not list((broken.work / "checkpoints").glob("step-*"))
    _, resumed = broken.run(Machine(lambda _: 3.0), settings=never)
    assert broken.rates == whole.rates
    trained = checkpoints.trainable_parameters(resumed)
    for name, value in checkpoints.trainable_parameters(model).items():
        torch.testing.assert_close(trained[name], value)


def test_a_schedule_that_a_kill_cut_off_is_read_to_there(
    budgeted: Callable[[str], Budgeted],
) -> None:
    one = budgeted("one")
    with pytest.raises(TrainingError):
        one.run(Machine(STEADY), stop_after=5)
    path = one.work / "schedule.jsonl"
    path.write_text(path.read_text()[:-20])
    one.run(Machine(STEADY))
    assert one.metrics[-1].step == one.metrics[-1].steps


def test_where_the_epochs_fit_the_budget_does_not_count(
    budgeted: Callable[[str], Budgeted],
) -> None:
    timed, free = budgeted("timed"), budgeted("free")
    settings = STEPS.model_copy(update={"num_train_epochs": 0.1})
    plan = timed.run(Machine(STEADY), settings=settings, budget=3600.0)[0].plan
    assert plan.steps == free.run(Machine(STEADY), settings=settings, budget=None)[0].plan.steps
    assert "0.1 epochs" in plan.reason
    assert timed.rates == free.rates


def test_a_slow_machine_says_that_its_steps_were_too_few(
    budgeted: Callable[[str], Budgeted],
) -> None:
    result, _ = budgeted("one").run(Machine(lambda _: 4.0))
    assert result.plan.steps < 30
    assert result.shortfall.startswith(f"only {result.plan.steps} steps")
    assert "--budget" in result.shortfall


def test_nothing_is_computed_before_the_first_step(budgeted: Callable[[str], Budgeted]) -> None:
    machine, one = Machine(STEADY), budgeted("one")
    with pytest.raises(TrainingError):
        one.run(machine, stop_after=1)
    first = json.loads((one.work / "schedule.jsonl").read_text().splitlines()[0])
    assert machine.now() == pytest.approx(10 + first["samples"] * TRAINED_SECONDS)
