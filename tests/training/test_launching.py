"""Configs for accelerate, as accelerate itself reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file

from myna.config import Train
from myna.errors import SettingsError
from myna.training.launching import KINDS, config_text


@pytest.mark.parametrize("kind", KINDS)
def test_accelerate_reads_what_is_written(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"{kind}.yaml"
    path.write_text(config_text(kind, Train()))
    found: Any = load_config_from_file(str(path))
    assert found.distributed_type.value == kind.upper()
    assert found.num_processes == 2
    assert found.mixed_precision == "no"


def test_only_fsdp_splits_a_base_in_four_bits() -> None:
    with pytest.raises(SettingsError, match="DeepSpeed splits no 4-bit weights"):
        config_text("deepspeed", Train(method="qlora"))
    written = yaml.safe_load(config_text("fsdp", Train(method="qlora")))
    assert written["fsdp_config"]["fsdp_cpu_ram_efficient_loading"] is False
