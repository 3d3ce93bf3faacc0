"""The config for accelerate, as accelerate itself reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file

from myna.config import Train
from myna.errors import SettingsError, TrainingError
from myna.training.distributed import accelerate_config, make_accelerator


def test_accelerate_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "fsdp.yaml"
    path.write_text(accelerate_config("fsdp", Train()))
    found: Any = load_config_from_file(str(path))
    assert found.distributed_type.value == "FSDP"
    assert found.num_processes == 2
    assert found.mixed_precision == "no"


def test_each_process_makes_a_base_in_four_bits_itself() -> None:
    written = yaml.safe_load(accelerate_config("fsdp", Train(method="qlora")))
    assert written["fsdp_config"]["fsdp_cpu_ram_efficient_loading"] is False


def test_deepspeed_is_refused_with_what_to_use_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"DeepSpeed takes .* use `myna train --write-config"):
        accelerate_config("deepspeed", Train())
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(TrainingError, match=r"DeepSpeed takes .* use `myna train --write-config"):
        make_accelerator()


def test_any_other_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="--write-config ddp: choose fsdp"):
        accelerate_config("ddp", Train())
