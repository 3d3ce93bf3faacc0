"""Trackers log numbers, and never a word of a chat."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from myna.config import Train
from myna.errors import TrainingError
from myna.training.progress import TENSORBOARD_FOLDER, StepMetrics, Trackers

NOW = StepMetrics(3, 10, 2.5, 1e-3, 640, 99.0, 7.0, validation_loss=2.4, peak_share=0.5)
NUMBERS = {
    "loss": 2.5, "learning_rate": 1e-3, "tokens": 640, "tokens_per_second": 99.0,
    "validation_loss": 2.4, "peak_share": 0.5,
}  # fmt: skip


def written(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every number in a folder of TensorBoard's events."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("events.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):  # length (8), its checksum (4), the event, its checksum (4)
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
            at += 16 + length
    return found


def test_tensorboard_gets_each_steps_numbers(tmp_path: Path) -> None:
    trackers = Trackers(Train(), tmp_path, 0, lambda _: None)
    trackers.log(NOW)
    trackers.close()
    found = written(tmp_path / TENSORBOARD_FOLDER)
    assert {key: values[0][0] for key, values in found.items()} == dict.fromkeys(NUMBERS, 3)
    assert {key: values[0][1] for key, values in found.items()} == pytest.approx(NUMBERS)


def test_without_tensorboard_it_is_said_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    said: list[str] = []
    trackers = Trackers(Train(), tmp_path, 0, said.append)
    trackers.log(NOW)
    trackers.close()
    assert len(said) == 1
    assert "pip install tensorboardX" in said[0]


def test_tensorboard_can_be_switched_off(tmp_path: Path) -> None:
    trackers = Trackers(Train(tensorboard=False), tmp_path, 0, lambda _: None)
    trackers.log(NOW)
    trackers.close()
    assert not list(tmp_path.iterdir())


class TestWandb:
    SETTINGS = Train(wandb="birds", tensorboard=False)

    @pytest.fixture
    def sent(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """Whatever a stand-in for the wandb package is given."""
        sent: list[Any] = []

        def init(**options: Any) -> Any:
            sent.append(options)
            return SimpleNamespace(
                log=lambda numbers, step: sent.append((step, numbers)),
                finish=lambda: sent.append("finished"),
            )

        stand_in = SimpleNamespace(init=init, Settings=lambda **options: options)
        monkeypatch.setitem(sys.modules, "wandb", stand_in)
        monkeypatch.setenv("WANDB_API_KEY", "key")
        return sent

    def test_it_gets_the_numbers_and_the_settings_of_training(
        self, sent: list[Any], tmp_path: Path
    ) -> None:
        trackers = Trackers(self.SETTINGS, tmp_path, 0, lambda _: None)
        trackers.log(NOW)
        trackers.close()
        begun, logged, finished = sent
        assert begun["project"] == "birds"
        assert begun["config"] == self.SETTINGS.model_dump()
        assert begun["settings"]["console"] == "off"  # sample replies are printed there
        assert begun["settings"]["save_code"] is False
        assert logged == (3, NUMBERS)
        assert finished == "finished"

    def test_without_a_key_it_is_refused(
        self, sent: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("WANDB_API_KEY")
        with pytest.raises(TrainingError, match=r'train\.wandb = "birds" needs an API key'):
            Trackers(self.SETTINGS, tmp_path, 0, lambda _: None)

    def test_without_the_package_it_is_refused(
        self, sent: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "wandb", None)
        with pytest.raises(TrainingError, match="pip install wandb"):
            Trackers(self.SETTINGS, tmp_path, 0, lambda _: None)
