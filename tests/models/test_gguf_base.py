"""A GGUF file as a base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.small_model import make
from transformers import LlamaForCausalLM

from myna.errors import ModelError
from myna.models.bases import Base, find_base
from myna.models.gguf_file import read_metadata
from myna.models.loading import load_base
from myna.rendering.tokenizer import Tokenizer


def header(path: Path, architecture: str) -> Path:
    """A GGUF file that holds nothing but the name of its architecture."""
    import gguf

    writer = gguf.GGUFWriter(str(path), architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def cut(real: Path, vocabulary: int) -> dict[str, list[Any]]:
    """The beginning of a file's vocabulary, with the merges that make it."""
    read = read_metadata(real)
    tokens, kinds, merges = (
        read[f"tokenizer.ggml.{name}"] for name in ("tokens", "token_type", "merges")
    )
    merged = vocabulary - (len(tokens) - len(merges))
    return {
        "tokens": tokens[:vocabulary], "types": kinds[:vocabulary], "merges": merges[:merged]
    }  # fmt: skip


def llama(path: Path, words: dict[str, list[Any]]) -> LlamaForCausalLM:
    """A tiny Llama in a GGUF file, its matrices in 4 bits; returned as they are in it."""
    import gguf

    model = make(
        len(words["tokens"]), hidden_size=64, intermediate_size=96, max_position_embeddings=512,
        rope_theta=100000, rms_norm_eps=1e-5, tie_word_embeddings=True,
    )  # fmt: skip
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(2)
    writer.add_context_length(512)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(100000)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(words["tokens"]))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(words["tokens"])
    writer.add_token_types(words["types"])
    writer.add_token_merges(words["merges"])
    writer.add_eos_token_id(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    kind = gguf.GGMLQuantizationType.Q4_1
    for name, weight in model.named_parameters():
        named = names.get_name(name, try_suffixes=(".weight",))
        if weight.ndim == 1:
            writer.add_tensor(named, weight.numpy())
            continue
        packed = gguf.quantize(weight.numpy(), kind)
        weight.copy_(torch.from_numpy(gguf.dequantize(packed, kind)))
        # llama.cpp has the rows of q and k in another order.
        heads = {"q_proj": 4, "k_proj": 2}.get(name.split(".")[-2])
        if heads:
            packed = packed.reshape(heads, 2, -1, packed.shape[1]).swapaxes(1, 2)
            packed = packed.reshape(-1, packed.shape[-1])
        writer.add_tensor(named, packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYNA_CACHE", str(tmp_path / "cache"))


@pytest.mark.model
def test_a_file_gives_the_model_and_the_tokenizer_that_are_in_it(
    base: Base, tmp_path: Path
) -> None:
    assert base.gguf is not None
    file = tmp_path / "bird.gguf"
    inside = llama(file, cut(base.gguf, 1000)).eval()
    found = find_base(str(file), weights=True)
    assert found.gguf == file.resolve()
    assert found.context == 512
    ours, theirs = Tokenizer(found.folder), Tokenizer(base.folder)
    text = " in 1202 on<|im_end|> it"
    assert ours.encode(text).ids == theirs.encode(text).ids
    assert ours.eos_id == theirs.eos_id
    ids = ours.encode("Roger, 1202 naïve 🙂\n").ids
    assert ours.decode(ids) == "Roger, 1202 naïve 🙂\n"
    with torch.inference_mode():
        one, other = (
            model(input_ids=torch.tensor([ids])).logits
            for model in (load_base(found, dtype=torch.float32, device="cpu"), inside)
        )
    torch.testing.assert_close(one, other)
    made = (found.folder / "model.safetensors").stat().st_mtime_ns
    assert find_base(str(file), weights=True).fingerprint == found.fingerprint
    assert (found.folder / "model.safetensors").stat().st_mtime_ns == made


def test_an_unknown_architecture_is_one_clear_line(tmp_path: Path) -> None:
    file = header(tmp_path / "bird.gguf", "birdsong")
    with pytest.raises(ModelError, match="of the architecture 'birdsong', which transformers"):
        find_base(str(file), weights=True)
    assert not list((tmp_path / "cache").rglob("config.json"))


def test_a_file_that_is_no_gguf_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "bird.gguf").write_text("no such thing")
    with pytest.raises(ModelError, match=r"bird\.gguf is (not a GGUF file|damaged)"):
        find_base(str(tmp_path / "bird.gguf"), weights=False)
