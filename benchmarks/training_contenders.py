"""The trainers that training.py compares, each in its own process.

python benchmarks/training_contenders.py NAME FOLDER

FOLDER has job.json. A contender does one step to warm up, describes itself in a JSON line,
and then does a step for each line that it reads, timed from that line to the end of the
optimiser's step. Nothing of myna is imported for those that are not myna: they may live
in a Python without it.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

RANK, ALPHA, RATE = 16, 32, 1e-3
SHAPE = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
}
"""Mistral-7B's."""
TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1024,
}


class Turns:
    """Steps that wait for their turn and report their time."""

    def __init__(self, job: dict[str, Any], about: str) -> None:
        size = job["batch"]
        self.batches = [range(i, i + size) for i in range(0, len(job["ids"]) - size + 1, size)]
        self.parameters = 0
        self._tokens = [sum(len(job["ids"][i]) for i in batch) for batch in self.batches]
        self._about, self._done, self._begun = about, 0, 0.0

    def begin(self) -> None:
        """Wait for the turn."""
        if self._done and not sys.stdin.readline():
            sys.exit()
        _wait()
        self._begun = time.perf_counter()

    def end(self, loss: float | None) -> None:
        """Report the step, with the loss if known."""
        _wait()
        seconds = time.perf_counter() - self._begun
        if self._done:
            answer = {
                "tokens": self._tokens[self._done],
                "seconds": seconds,
                "loss": loss,
                "memory": _memory(),
            }
        else:
            answer = {"with": self._about, "parameters": self.parameters}
        self._done += 1
        print(json.dumps(answer), flush=True)

    def __iter__(self) -> Iterator[range]:
        for batch in self.batches:
            self.begin()
            yield batch


def myna(job: dict[str, Any], *, lean: bool = False) -> None:
    """Steps as `myna train` computes them; `lean` with gradient checkpointing."""
    from myna.config import Train
    from myna.training import methods
    from myna.training.kernels.install import install_kernels
    from myna.training.loss import token_losses
    from myna.training.methods import add_lora

    base = _base(job, _best_dtype())
    turns = Turns(job, f"{base.dtype}".removeprefix("torch."))
    turns.parameters = _count(base)
    model = add_lora(base, Train(lora_r=RANK, lora_alpha=ALPHA))
    if lean:
        methods.enable_gradient_checkpointing(model)
    install_kernels(model)
    optimizer = torch.optim.AdamW(_trained(model), lr=RATE, betas=(0.9, 0.99), weight_decay=0)
    for batch in turns:
        losses = token_losses(
            model,
            [job["ids"][i] for i in batch],
            [job["loss_masks"][i] for i in batch],
            model.device,
        )
        loss = losses.mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(_trained(model), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        turns.end(loss.item())


def peft(job: dict[str, Any]) -> None:
    """A loop as peft's and transformers' guides write it: padded batches and their own loss."""
    from peft import get_peft_model

    base = _base(job, _best_dtype())
    turns = Turns(job, f"{base.dtype}".removeprefix("torch."))
    turns.parameters = _count(base)
    model = get_peft_model(base, _lora()).train()
    optimizer = torch.optim.AdamW(_trained(model), lr=RATE, weight_decay=0)
    for batch in turns:
        length = max(len(job["ids"][i]) for i in batch)
        ids = torch.zeros((len(batch), length), dtype=torch.long)
        labels, mask = ids - 100, ids.clone()
        for row, i in enumerate(batch):
            size = len(job["ids"][i])
            ids[row, :size] = torch.tensor(job["ids"][i])
            labels[row, :size] = torch.tensor(_targets(job, i))
            mask[row, :size] = 1
        given = {"input_ids": ids, "labels": labels, "attention_mask": mask}
        loss = model(**{name: value.to(model.device) for name, value in given.items()}).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(_trained(model), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        turns.end(loss.item())


def trl(job: dict[str, Any], *, fp32: bool = False) -> None:
    """TRL's SFTTrainer: all that is set here is the job, everything else as it comes.

    It takes bfloat16 by itself, also where the processor has to emulate that; with
    `fp32` it is told not to.
    """
    import trl as library
    from datasets import Dataset

    turns = Turns(job, f"trl {library.__version__}")

    with_labels = {"input_ids": job["ids"], "labels": [_targets(job, i) for i in _all(job)]}
    precision = {"bf16": False, "model_init_kwargs": {"dtype": "float32"}} if fp32 else {}
    arguments = library.SFTConfig(
        **precision,
        output_dir=sys.argv[2] + "/trl",
        per_device_train_batch_size=job["batch"],
        learning_rate=RATE,
        num_train_epochs=1,
        max_length=None,
        train_sampling_strategy="sequential",
        report_to="none",
        save_strategy="no",
        use_cpu=not torch.cuda.is_available(),
    )
    trainer = library.SFTTrainer(
        model=_base(job, _best_dtype()) if job["base"] is None else job["base"],
        args=arguments,
        train_dataset=Dataset.from_dict(with_labels),
        peft_config=_lora(),
        processing_class=_tokenizer(),
        callbacks=[_waiting(turns)],
    )
    turns.parameters = _count(trainer.model.get_base_model()) - sum(
        weight.numel() for weight in _trained(trainer.model)
    )
    trainer.train()


def factory(job: dict[str, Any]) -> None:
    """LLaMA-Factory's SFT with its own defaults, given tokens instead of a data set's texts."""
    from importlib.metadata import version

    from datasets import Dataset, DatasetDict
    from llamafactory.train.tuner import run_exp

    turns = Turns(job, f"llamafactory {version('llamafactory')}")
    turns.parameters = sum(weight.numel() for weight in _base(job, torch.float32).parameters())
    tokens = Path(sys.argv[2], "factory-samples")
    rows = {
        "input_ids": job["ids"],
        "attention_mask": [[1] * len(ids) for ids in job["ids"]],
        "labels": [_targets(job, i) for i in _all(job)],
    }
    DatasetDict({"train": Dataset.from_dict(rows)}).save_to_disk(tokens)
    run_exp(
        {
            "stage": "sft",
            "do_train": True,
            "model_name_or_path": job["base"],
            "template": "empty",
            "finetuning_type": "lora",
            "lora_rank": RANK,
            "lora_alpha": ALPHA,
            "lora_target": "all",
            "dataset": "job",  # a name it insists on; the tokens are what it reads
            "tokenized_path": str(tokens),
            "output_dir": sys.argv[2] + "/factory",
            "per_device_train_batch_size": job["batch"],
            "learning_rate": RATE,
            "num_train_epochs": 1,
            "disable_shuffling": True,
            "report_to": "none",
            "save_strategy": "no",
        },
        callbacks=[_waiting(turns)],
    )


def _waiting(turns: Turns) -> Any:
    """A callback of transformers' trainer that has each step wait for its turn."""
    from transformers import TrainerCallback

    class Wait(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            turns.begin()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            turns.end(None)

    return Wait()


def _lora() -> Any:
    from peft import LoraConfig

    return LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")


def _base(job: dict[str, Any], dtype: torch.dtype) -> Any:
    """SmolLM2, or Mistral-7B's shape with random weights, in 4 bits where that works."""
    import transformers

    if job["base"] is not None:
        model = transformers.AutoModelForCausalLM.from_pretrained(job["base"], dtype=dtype)
        return model.requires_grad_(False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        **(TINY if job["tiny"] else SHAPE), sliding_window=None, pad_token_id=0, dtype=dtype
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    with torch.device(device):
        model = transformers.MistralForCausalLM(config).requires_grad_(False)
    torch.set_default_dtype(before)
    _to_4_bits(model, dtype)
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return model


def _to_4_bits(model: Any, dtype: torch.dtype) -> None:
    """NF4 with double quantisation, of every linear layer but the output layer."""
    import bitsandbytes

    for module in list(model.modules()):
        for name, layer in list(module.named_children()):
            if type(layer) is torch.nn.Linear and name != "lm_head":
                packed = bitsandbytes.nn.Linear4bit(
                    layer.in_features,
                    layer.out_features,
                    bias=False,
                    compute_dtype=dtype,
                    quant_type="nf4",
                    device="meta",
                )
                packed.weight = bitsandbytes.nn.Params4bit(
                    layer.weight.data.cpu(),
                    requires_grad=False,
                    quant_type="nf4",
                    compress_statistics=True,
                    module=packed,
                )
                setattr(module, name, packed.to(layer.weight.device))
    model.is_loaded_in_4bit = True


def _tokenizer() -> Any:
    """One that TRL asks for and, given tokens, only takes the number of its padding from."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 2}, "<pad>"))
    special = {"pad_token": "<pad>", "eos_token": "<eos>"}
    return PreTrainedTokenizerFast(tokenizer_object=words, **special)


def _best_dtype() -> torch.dtype:
    """16 bits where the machine computes in them, for all alike."""
    if torch.cuda.is_available():
        return torch.bfloat16
    native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def _targets(job: dict[str, Any], i: int) -> list[int]:
    pairs = zip(job["ids"][i], job["loss_masks"][i], strict=True)
    return [token if is_target else -100 for token, is_target in pairs]


def _all(job: dict[str, Any]) -> range:
    return range(len(job["ids"]))


def _trained(model: Any) -> list[torch.nn.Parameter]:
    return [weight for weight in model.parameters() if weight.requires_grad]


def _count(model: Any) -> int:
    return sum(
        p.quant_state.shape.numel() if getattr(p, "quant_state", None) else p.numel()
        for p in model.parameters()
    )


def _memory() -> int:
    """The most bytes ever held."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    contenders = {
        "myna": myna,
        "myna-lean": lambda job: myna(job, lean=True),
        "peft": peft,
        "trl": trl,
        "trl-fp32": lambda job: trl(job, fp32=True),
        "factory": factory,
    }
    contenders[sys.argv[1]](json.loads(Path(sys.argv[2], "job.json").read_text()))
