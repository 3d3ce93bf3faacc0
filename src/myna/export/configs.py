"""Configs and commands for other trainers.

The hyperparameters are those of the two projects that myna comes from: a QLoRA of
Mistral-7B over ten epochs, as in Axolotl's own example, for a friend group, and a LoRA
over two for one person's segments. Axolotl no longer has `type: sharegpt`;
`chat_template` with field mappings reads the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from myna.export.formats import Format

AXOLOTL = "axolotl.yml"
LLAMA_FACTORY = "llama-factory.yaml"
DATASET_INFO = "dataset_info.json"
IMAGE = "axolotlai/axolotl:main-latest"

_BASE = "mistralai/Mistral-7B-v0.1"

_CHAT = {
    "type": "chat_template",
    "field_messages": "conversations",
    "message_property_mappings": {"role": "from", "content": "value"},
    "roles_to_train": ["assistant"],
    "train_on_eos": "turn",
}

_LORA = {
    "lora_r": 32,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "lora_target_linear": True,
}

_TRAINING = {
    "lr_scheduler": "cosine",
    "learning_rate": 0.0002,
    "warmup_steps": 10,
    "weight_decay": 0.0,
    "bf16": "auto",
    "gradient_checkpointing": True,
    "attn_implementation": "flash_attention_2",
    "train_on_inputs": False,
    "logging_steps": 1,
    "loss_watchdog_threshold": 5.0,
    "loss_watchdog_patience": 3,
}


def files(format_: Format, splits: Sequence[str], sequence_len: int) -> dict[str, str]:
    """The text of each config of a format, by its file name.

    Args:
        format_: of the data.
        splits: the data files' names, `train` and `eval`.
        sequence_len: at least the bytes of each dialogue, so that nothing is truncated.
    """
    texts: dict[str, str] = {}
    if format_.name in ("sharegpt", "segments", "input-output"):
        texts[AXOLOTL] = yaml(axolotl(format_, splits, sequence_len))
    if format_.name in ("sharegpt", "alpaca"):
        texts[DATASET_INFO] = json.dumps(dataset_info(format_, splits), indent=1) + "\n"
        texts[LLAMA_FACTORY] = yaml(llama_factory(format_, splits, sequence_len))
    return texts


def axolotl(format_: Format, splits: Sequence[str], sequence_len: int) -> dict[str, Any]:
    """The config of the first project for ShareGPT, of the second for segments."""
    is_chat = format_.name == "sharegpt"
    dataset = _CHAT if is_chat else {"type": "input_output"}

    def data(split: str) -> list[dict[str, Any]]:
        file = f"{split}.{format_.file}"
        # datasets calls the only split of a file `train`.
        return [{"path": file, "ds_type": "json", "split": "train", **dataset}]

    return {
        "base_model": _BASE,
        "model_type": "MistralForCausalLM",
        "tokenizer_type": "LlamaTokenizer",
        **({"chat_template": "mistral_v1"} if is_chat else {}),
        "load_in_8bit": not is_chat,
        "load_in_4bit": is_chat,
        "datasets": data("train"),
        **({"test_datasets": data("eval")} if "eval" in splits else {}),
        "val_set_size": 0.0,
        "dataset_prepared_path": "last_run_prepared",
        "output_dir": "./qlora-out" if is_chat else "./lora-out",
        "sequence_len": sequence_len,
        "excess_length_strategy": "raise",
        "sample_packing": True,
        "eval_sample_packing": False,
        "pad_to_sequence_len": True,
        "adapter": "qlora" if is_chat else "lora",
        **_LORA,
        "gradient_accumulation_steps": 4 if is_chat else 8,
        "micro_batch_size": 2 if is_chat else 1,
        "num_epochs": 10 if is_chat else 2,
        "optimizer": "adamw_bnb_8bit" if is_chat else "adamw_torch",
        **_TRAINING,
        **({"evals_per_epoch": 1} if "eval" in splits else {}),
        "saves_per_epoch": 1,
        "special_tokens": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    }


def dataset_info(format_: Format, splits: Sequence[str]) -> dict[str, Any]:
    """LLaMA-Factory's description of the data files; tags left out would be unset there."""
    if format_.name == "sharegpt":
        shape: dict[str, Any] = {
            "formatting": "sharegpt",
            "columns": {"messages": "conversations"},
            "tags": {
                "role_tag": "from",
                "content_tag": "value",
                "user_tag": "human",
                "assistant_tag": "gpt",
                "system_tag": "system",
            },
        }
    else:
        columns = {"prompt": "instruction", "query": "input", "response": "output"}
        columns |= {"system": "system", "history": "history"}
        shape = {"formatting": "alpaca", "columns": columns}
    return {f"myna_{split}": {"file_name": f"{split}.{format_.file}", **shape} for split in splits}


def llama_factory(format_: Format, splits: Sequence[str], sequence_len: int) -> dict[str, Any]:
    """The first project's config, for LLaMA-Factory."""
    evaluation = {
        "eval_dataset": "myna_eval",
        "eval_strategy": "epoch",
        "per_device_eval_batch_size": 1,
    }
    return {
        "model_name_or_path": _BASE,
        "quantization_bit": 4,
        "quantization_method": "bnb",
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": 32,
        "lora_alpha": 16,
        "lora_dropout": 0.05,
        "lora_target": "all",
        "dataset_dir": ".",
        "dataset": "myna_train",
        "template": "mistral",
        "cutoff_len": sequence_len,
        # Each answer has a row of its own: trained in others' history, it would count again.
        "mask_history": format_.name == "alpaca",
        "output_dir": "./qlora-out",
        "save_strategy": "epoch",
        "logging_steps": 1,
        "report_to": "none",
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "num_train_epochs": 10,
        "learning_rate": 0.0002,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 10,
        "optim": "adamw_bnb_8bit",
        "bf16": True,
        **(evaluation if "eval" in splits else {}),
    }


def commands(names: Sequence[str]) -> str:
    """The shell commands to train with the configs among `names`."""
    lines: list[str] = []
    if AXOLOTL in names:
        lines += [
            "Train with Axolotl, in its container (or without the first three lines, where",
            "it is installed):",
            "",
            "  docker run --gpus all --rm -it --ipc=host \\",
            '    -v "$PWD":/workspace/data -v ~/.cache/huggingface:/root/.cache/huggingface \\',
            f"    -w /workspace/data {IMAGE} \\",
            f"    axolotl train {AXOLOTL}",
            "",
            f"`axolotl preprocess {AXOLOTL} --debug` in its place shows each token and whether it",
            f"is trained; `axolotl merge-lora {AXOLOTL}` merges the adapter into its base.",
            "",
        ]
    if LLAMA_FACTORY in names:
        lines += [
            "Train with LLaMA-Factory:",
            "",
            f"  llamafactory-cli train {LLAMA_FACTORY}",
            "",
        ]
    return "\n".join(lines)


def yaml(data: Mapping[str, Any]) -> str:
    """YAML of tables, lists and JSON's scalars."""
    return "\n".join(_lines(data)) + "\n"


def _lines(table: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += [f"{key}:", *(f"  {line}" for line in _lines(value))]
        elif isinstance(value, list) and isinstance(value[0], Mapping):
            lines.append(f"{key}:")
            for entry in value:
                first, *rest = _lines(entry)
                lines += [f"  - {first}", *(f"    {line}" for line in rest)]
        else:
            lines.append(f"{key}: {json.dumps(value)}")
    return lines
