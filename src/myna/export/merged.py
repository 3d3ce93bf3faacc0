"""The base with the adapter merged into it: a model like any other, in safetensors."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from myna.export.clone_export import NO_ESCAPES, ONE_USER, Trained, Written
from myna.export.prompt_templates import jinja
from myna.models.bases import Base, find_base
from myna.models.libraries import quiet
from myna.models.loading import load_adapter, load_base
from myna.workspace import write_text

TOKEN_FILES = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
    "generation_config.json",
)  # fmt: skip
LARGEST_SHARD = "5GB"
PROBE = "Hello there, how are you?"


def write(trained: Trained, new: Path, path: Path, done: Written) -> None:
    """Write it into the folder `new`, which will be at `path`; what was done goes to `done`.

    Raises:
        ExportError: it cannot be had of what is trained.
    """
    adapter = trained.only_adapter()
    base = find_base(trained.base.name, weights=True, report=trained.say)
    trained.say(f"merging '{adapter.name}' into {base.name}")
    ids = _probe(base)
    model = load_adapter(load_base(base, dtype=_dtype(base), device="cpu"), adapter)
    before = _logprobs(model, ids)
    with quiet():
        model = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
        model.save_pretrained(new, max_shard_size=LARGEST_SHARD)
    for name in TOKEN_FILES:
        if (base.folder / name).is_file():
            shutil.copyfile(base.folder / name, new / name)
    first = trained.voices[0]
    write_text(new / "chat_template.jinja", jinja(first))
    _forget_template(new / "tokenizer_config.json")
    dtype = model.dtype
    del model
    trained.say("loading it back")
    merged = Base(str(path), new, None, base.context, True, "")
    after = _logprobs(load_base(merged, dtype=dtype, device="cpu"), ids)
    off = float((before - after).abs().max())
    done.checked = (
        f"transformers loads it, and its log-probabilities are those of the adapter on its base "
        f"within {off:.1g}"
    )
    done.how = [
        "A folder of the transformers kind. vLLM and text-generation-webui take it as it is:",
        "",
        f"  vllm serve {shlex.quote(str(path))}",
        "",
        f"Its chat template speaks as {first.persona}, and the user for {first.user}; requests",
        f'need "stop": {json.dumps(first.stops(), ensure_ascii=False)}',
        "",
        "For a GGUF file of it all, for LM Studio and others:",
        "",
        f"  python convert_hf_to_gguf.py {shlex.quote(str(path))}    (of llama.cpp)",
    ]
    done.lacks = [NO_ESCAPES, ONE_USER]


def _dtype(base: Base) -> Any:
    """The number format that the base's weights are stored in."""
    import torch

    config = json.loads((base.folder / "config.json").read_text("utf-8"))
    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    return getattr(torch, str(name), torch.float32)


def _probe(base: Base) -> list[int]:
    from myna.rendering.tokenizer import Tokenizer

    tokenizer = Tokenizer(base.folder)
    return [*tokenizer.bos_ids, *tokenizer.encode(PROBE).ids]


def _logprobs(model: Any, ids: list[int]) -> Any:
    """Log-probabilities after each of `ids`: (tokens, vocabulary), float32."""
    import torch

    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)


def _forget_template(file: Path) -> None:
    """Take the base's own chat template out of its settings: ours is a file beside them."""
    if file.is_file():
        settings = json.loads(file.read_text("utf-8"))
        if settings.pop("chat_template", None) is not None:
            write_text(file, json.dumps(settings, indent=1, ensure_ascii=False) + "\n")
