"""Loading models with transformers and peft."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from myna.errors import ModelError
from myna.models.bases import Base
from myna.models.loading import load_adapter, load_base, precision

pytestmark = pytest.mark.model


def test_a_base_is_loaded_frozen_and_silently(
    base: Base, capfd: pytest.CaptureFixture[str]
) -> None:
    import torch

    model = load_base(base, dtype=torch.float32, device="cpu")
    assert model.num_parameters() == 134_515_008
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert model.dtype == torch.float32
    assert capfd.readouterr() == ("", "")


def test_the_precision_has_a_reason() -> None:
    dtype, reason = precision("cpu")
    assert reason.startswith(str(dtype).removeprefix("torch.") + ": ")


def test_damaged_weights_are_one_clear_line(base: Base, tmp_path: Path) -> None:
    for path in base.folder.glob("*.json"):
        shutil.copy(path, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0 no header here ")
    with pytest.raises(ModelError, match=f"cannot load {re.escape(str(tmp_path))}: ") as caught:
        load_base(dataclasses.replace(base, folder=tmp_path))
    assert "\n" not in str(caught.value)


def test_a_folder_without_an_adapter_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no adapter: adapter_config\.json is missing"):
        load_adapter(None, tmp_path)
