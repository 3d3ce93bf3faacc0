"""The base with the adapter merged into its weights: a plain model in safetensors."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from myna.config import Sampling
from myna.export.clone_export import REPETITION_SETTINGS, CloneExportReport, ExportedClone
from myna.export.prompt_templates import as_json, jinja_template
from myna.models.bases import Base, find_base
from myna.models.gguf_file import quiet
from myna.models.loading import load_adapter, load_base
from myna.people import clone_notice
from myna.rendering.tokenizer import Tokenizer
from myna.workspace import write_text

TOKEN_FILES = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
    "generation_config.json",
)  # fmt: skip
MAX_SHARD_SIZE = "5GB"
PROBE = "Hello there, how are you?"


def write(clone: ExportedClone, new: Path, path: Path, report: CloneExportReport) -> None:
    """Write the export into the folder `new`, which will be at `path`; fill in the report.

    Raises:
        ExportError: there is an adapter for each persona.
    """
    adapter = clone.only_adapter()
    base = find_base(clone.base.name, weights=True, report=clone.report)
    clone.report(f"merging '{adapter.name}' into {base.name}")
    tokenizer = Tokenizer(base.folder)
    ids = [*tokenizer.bos_ids, *tokenizer.encode(PROBE).ids]
    scale = clone.chat.adapter_scale
    model = load_adapter(load_base(base, dtype=_dtype(base), device="cpu"), adapter, scale)
    before = _logprobs(model, ids)
    with quiet():
        model = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
        model.save_pretrained(new, max_shard_size=MAX_SHARD_SIZE)
    for name in TOKEN_FILES:
        if (base.folder / name).is_file():
            shutil.copyfile(base.folder / name, new / name)
    first = clone.voices[0]
    notice = clone_notice(list(clone.people))
    write_text(new / "README.md", f"---\ntags: [clone, myna]\n---\n\n# A clone\n\n{notice}\n")
    own = clone.sampling(first)
    write_text(new / "chat_template.jinja", jinja_template(first))
    _remove_chat_template(new / "tokenizer_config.json")
    _write_sampling(new / "generation_config.json", own)
    dtype = model.dtype
    del model
    clone.report("loading it back")
    merged = Base(str(path), new, None, base.context, True, "")
    after = _logprobs(load_base(merged, dtype=dtype, device="cpu"), ids)
    difference = float((before - after).abs().max())
    report.checked = (
        f"transformers loads it, and its log-probabilities are those of the adapter on its base "
        f"within {difference:.1g}"
    )
    report.how = [
        "A folder as transformers saves it. vLLM and text-generation-webui take it as it is:",
        "",
        f"  vllm serve {shlex.quote(str(path))}",
        "",
        f"Its chat template speaks as {first.persona}, and the user for {first.user}; requests",
        f'need "stop": {as_json(first.stops())}',
        f'"presence_penalty": {own.presence_penalty}, "frequency_penalty": {own.frequency_penalty},'
        f' "max_tokens": {own.max_new_tokens};',
        "the other sampling parameters are in generation_config.json, which vLLM reads.",
        "",
        "To make a GGUF file of the model, for LM Studio and others:",
        "",
        f"  python convert_hf_to_gguf.py {shlex.quote(str(path))}    (of llama.cpp)",
    ]
    report.lacks += clone.not_carried(
        "generation_config.json", [name for name in REPETITION_SETTINGS if name != "dry_multiplier"]
    )


def _write_sampling(file: Path, sampling: Sampling) -> None:
    """Make these the default parameters of generation in transformers and vLLM."""
    settings = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    settings |= {
        "do_sample": sampling.temperature > 0,
        "temperature": sampling.temperature or 1.0,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
    }
    write_text(file, json.dumps(settings, indent=1) + "\n")


def _dtype(base: Base) -> Any:
    """The torch dtype of the base's stored weights."""
    import torch

    config = json.loads((base.folder / "config.json").read_text("utf-8"))
    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    return getattr(torch, str(name), torch.float32)


def _logprobs(model: Any, ids: list[int]) -> Any:
    """Log-probabilities after each of `ids`: (tokens, vocabulary), float32."""
    import torch

    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)


def _remove_chat_template(file: Path) -> None:
    """Remove the base's own chat template from its tokenizer config: ours is a separate file."""
    if file.is_file():
        settings = json.loads(file.read_text("utf-8"))
        if settings.pop("chat_template", None) is not None:
            write_text(file, json.dumps(settings, indent=1, ensure_ascii=False) + "\n")
