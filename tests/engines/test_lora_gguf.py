"""A peft adapter in llama.cpp is the same model as in transformers.

The measure is how far apart two engines' log-probabilities are, on average over the fifty
tokens that the first thinks most probable. llama.cpp rounds the embedded base
to 4 bits and computes in 8: that alone is 0.05 to 0.15.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from tests.engines.conftest import CONTEXT, distance

from myna.engines.engine import Engine
from myna.engines.llamacpp import LlamaCpp
from myna.engines.open_engine import open_engine
from myna.errors import EngineError, ModelError
from myna.models import adapter_gguf, lora
from myna.models.adapter_gguf import gguf_adapter
from myna.models.bases import Base

pytestmark = pytest.mark.model


def test_the_bases_are_the_same_model(
    llamacpp: Engine, transformers: Engine, prompt: list[int]
) -> None:
    """This also holds our config.json and converted weights against the GGUF file."""
    assert distance(llamacpp.next_probs(prompt), transformers.next_probs(prompt, 5000)) < 0.15


def test_the_adapter_is_the_same_and_only_with_its_rows_in_llamacpps_order(
    base: Base,
    adapter: Path,
    reference: dict[int, float],
    llamacpp: Engine,
    prompt: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beside = LlamaCpp(base, gguf_adapter(adapter, base), CONTEXT)
    assert distance(beside.next_probs(prompt), reference) < 0.25
    beside.close()
    assert distance(llamacpp.next_probs(prompt), reference) > 0.5, "strong enough to tell"

    shutil.copytree(adapter, tmp_path / "unordered", ignore=shutil.ignore_patterns("*.gguf"))
    monkeypatch.setattr(lora, "_to_llamacpp_rows", lambda values, *_: values)
    unordered = LlamaCpp(base, gguf_adapter(tmp_path / "unordered", base), CONTEXT)
    assert distance(unordered.next_probs(prompt), reference) > 0.5
    unordered.close()


def test_a_large_base_keeps_its_weights_and_gets_the_adapter_beside_them(
    base: Base, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(adapter, tmp_path / "a", ignore=shutil.ignore_patterns("*.gguf"))
    monkeypatch.setattr(adapter_gguf, "MAX_MERGED_BYTES", 0)
    open_engine("llama.cpp", base, tmp_path / "a", context=CONTEXT).close()
    assert [path.name for path in (tmp_path / "a").glob("*.gguf")] == ["adapter.gguf"]


def test_every_adapted_weight_is_in_the_file(adapter: Path, base: Base) -> None:
    from gguf import GGUFReader

    tensors = {t.name: tuple(t.shape) for t in GGUFReader(gguf_adapter(adapter, base)).tensors}
    assert len(tensors) == 30 * 7 * 2
    assert tensors["blk.29.attn_k.weight.lora_a"] == (576, 4)  # GGUF: fastest first
    assert tensors["blk.29.attn_k.weight.lora_b"] == (4, 192)


def test_it_is_converted_once_for_each_training(adapter: Path, base: Base, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder, ignore=shutil.ignore_patterns("*.gguf"))
    path = gguf_adapter(folder, base)
    made = path.stat().st_mtime_ns
    assert gguf_adapter(folder, base).stat().st_mtime_ns == made
    weights = folder / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert gguf_adapter(folder, base).stat().st_mtime_ns > made, "trained further: made again"
    assert not list(folder.glob(".parts-*"))


def test_adapters_saved_in_16_bits_are_read(adapter: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    key = "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"
    exact = load_file(adapter / "adapter_model.safetensors")[key]
    for dtype in (torch.bfloat16, torch.float16):
        path = adapter.parent / "half.safetensors"
        save_file({key: exact.to(dtype)}, path)
        read = torch.from_numpy(lora._read_safetensors(path)[key])
        assert torch.equal(read, exact.to(dtype).float())


@pytest.fixture
def copied(adapter: Path, tmp_path: Path) -> Path:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(adapter / name, tmp_path)
    return tmp_path


def test_what_llamacpp_cannot_run_is_refused(copied: Path, base: Base) -> None:
    config = json.loads((copied / "adapter_config.json").read_text())
    (copied / "adapter_config.json").write_text(json.dumps(config | {"lora_bias": True}))
    with pytest.raises(EngineError, match='uses lora_bias: use engine = "transformers"'):
        gguf_adapter(copied, base)


def test_doras_lengths_have_no_place_beside_a_base(
    copied: Path, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = lora.read_adapter(copied, base)
    read.magnitudes["blk.0.attn_q.weight"] = read.b["blk.0.attn_q.weight"][:, 0]
    monkeypatch.setattr(lora, "read_adapter", lambda *_: read)
    with pytest.raises(EngineError, match='uses DoRA: use engine = "transformers"'):
        gguf_adapter(copied, base)


def test_half_a_pair_is_a_damaged_adapter(copied: Path, base: Base) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copied / "adapter_model.safetensors")
    del weights["base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"]
    save_file(weights, copied / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="is damaged: train the adapter again"):
        gguf_adapter(copied, base)


def test_another_architecture_is_refused(copied: Path, base: Base, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "gpt_neox"}')
    with pytest.raises(EngineError, match=r"'gpt_neox'\) .* only those of llama and mistral"):
        gguf_adapter(copied, dataclasses.replace(base, folder=other))


def test_a_damaged_adapter_is_one_clear_line(copied: Path, base: Base) -> None:
    weights = copied / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="is damaged: train the adapter again"):
        gguf_adapter(copied, base)
    weights.unlink()
    with pytest.raises(ModelError, match=r"cannot read .*safetensors: No such file"):
        gguf_adapter(copied, base)
