"""A small base and its adapter in one file: the same model, faster."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.engines.conftest import CONTEXT, distance

from myna.engines.engine import Engine
from myna.engines.open_engine import open_engine
from myna.errors import ModelError
from myna.models import adapter_gguf
from myna.models.adapter_gguf import merged_gguf
from myna.models.bases import Base
from myna.models.gguf_file import GgufHeader, read_header, read_metadata
from myna.models.lora import SOURCE_KEY, LoraWeights

pytestmark = pytest.mark.model

Q4_1, Q8_0 = 3, 8


@pytest.fixture(scope="session")
def gguf(base: Base) -> Path:
    assert base.gguf is not None
    return base.gguf


@pytest.fixture(scope="session")
def file(adapter: Path, base: Base, gguf: Path) -> Path:
    return merged_gguf(adapter, base, gguf)


def test_it_is_the_same_model_as_base_and_adapter_in_transformers(
    adapted: Engine, reference: dict[int, float], prompt: list[int]
) -> None:
    assert distance(adapted.next_probs(prompt), reference) < 0.15


def test_what_the_adapter_changes_has_8_bits_and_all_else_is_as_it_was(
    file: Path, gguf: Path
) -> None:
    before, after = read_header(gguf), read_header(file)
    old_content, new_content = content(gguf, before), content(file, after)
    assert [one.name for one in after.tensors] == [one.name for one in before.tensors]
    for old, new in zip(before.tensors, after.tensors, strict=True):
        assert new.shape == old.shape
        if old.kind == Q4_1:
            assert new.kind == Q8_0
        else:
            assert old_content[old.name] == new_content[new.name]
    told = read_metadata(file)
    assert len(told.pop(SOURCE_KEY)) == 64
    assert told == read_metadata(gguf)


def content(path: Path, head: GgufHeader) -> dict[str, bytes]:
    """Each tensor's bytes, up to the next one."""
    whole = path.read_bytes()
    ordered = sorted(head.tensors, key=lambda one: one.offset)
    ends = [one.offset for one in ordered[1:]] + [len(whole)]
    return {one.name: whole[one.offset : end] for one, end in zip(ordered, ends, strict=True)}


def test_it_is_made_once_for_each_training_and_base(
    adapter: Path, base: Base, gguf: Path, file: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    assert merged_gguf(adapter, base, gguf, said.append) == file
    assert said == []
    shutil.copytree(adapter, tmp_path / "a")
    weights = tmp_path / "a" / "adapter_model.safetensors"
    trained = bytearray(weights.read_bytes())
    trained[-1] ^= 1
    weights.write_bytes(trained)
    merged_gguf(tmp_path / "a", base, gguf, said.append)
    assert said == ["merging base and adapter for llama.cpp, once"]
    assert not list((tmp_path / "a").glob(".parts-*"))


def test_its_scale_is_merged_and_another_one_is_made_anew(
    adapter: Path, base: Base, llamacpp: Engine, prompt: list[int], tmp_path: Path
) -> None:
    copy = tmp_path / "a"
    shutil.copytree(adapter, copy, ignore=shutil.ignore_patterns("*.gguf"))
    scaled, twin = (
        open_engine(name, base, copy, context=CONTEXT, adapter_scale=1.5)
        for name in ("llama.cpp", "transformers")
    )
    expected = twin.next_probs(prompt, 5000)
    assert distance(scaled.next_probs(prompt), expected) < 0.2
    assert distance(llamacpp.next_probs(prompt), expected) > 0.3
    scaled.close()
    twin.close()
    said: list[str] = []
    assert base.gguf is not None
    merged_gguf(copy, base, base.gguf, said.append, 1.5)
    assert said == []
    merged_gguf(copy, base, base.gguf, said.append)
    assert said == ["merging base and adapter for llama.cpp, once"]


def test_dora_is_merged_as_peft_merges_it() -> None:
    import peft
    import torch

    torch.manual_seed(5)
    model = torch.nn.Sequential(torch.nn.Linear(32, 16, bias=False))
    weight = model[0].weight.detach().numpy().copy()
    config = peft.LoraConfig(r=4, lora_alpha=12, target_modules=["0"], use_dora=True)
    adapted = peft.get_peft_model(model, config)
    layer = adapted.base_model.model[0]
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    layer.lora_magnitude_vector["default"].weight.data *= torch.rand(16) + 0.5
    ours = LoraWeights(
        12.0,
        3.0,
        {"w": layer.lora_A["default"].weight.detach().numpy()},
        {"w": layer.lora_B["default"].weight.detach().numpy()},
        {"w": layer.lora_magnitude_vector["default"].weight.detach().numpy().copy()},
    )
    theirs = adapted.merge_and_unload()[0].weight.detach().numpy()
    np.testing.assert_allclose(adapter_gguf._merged_weight(weight, "w", ours), theirs, atol=1e-5)


def test_a_base_cut_short_is_one_clear_line(
    adapter: Path, base: Base, gguf: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "cut.gguf"
    copy.write_bytes(gguf.read_bytes()[:60_000_000])
    shutil.copytree(adapter, tmp_path / "a", ignore=shutil.ignore_patterns("*.gguf"))
    with pytest.raises(ModelError, match=r"cut\.gguf is damaged: \S+ is truncated"):
        merged_gguf(tmp_path / "a", base, copy)
    assert not (tmp_path / "a" / "merged.gguf").exists()
