"""Shared by the tests of training: samples that can be learned, a base in a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tests.chats import walks
from tests.small_model import make
from tokenizers import decoders, pre_tokenizers
from typer.testing import CliRunner

from myna.artifacts import TrainingPlan
from myna.cli import app
from myna.config import Settings, Train, override
from myna.training.data import Samples
from myna.training.distributed import make_accelerator
from myna.training.loop import TrainingJob, run
from myna.training.progress import TrainingCallbacks
from myna.workspace import Workspace, create

SETTINGS = Train(
    num_train_epochs=4, batch_tokens=64, learning_rate=1e-2, lora_r=4, lora_alpha=8, previews=1,
    validations=0, tensorboard=False,
)  # fmt: skip
EACH_STEP = SETTINGS.model_copy(update={"checkpoint_every": "0.0001s"})
"""Saves a checkpoint after each step, which takes longer than the step."""


def samples(count: int = 12) -> Samples:
    """Texts in which each token is the one before plus one, their second half trained."""
    ids = [[(start * 7 + i) % 97 for i in range(16 + start % 3)] for start in range(count)]
    return Samples(ids, [[i >= 8 for i in range(len(tokens))] for tokens in ids])


SAMPLES = samples()


def train(
    model: Any,
    data: Samples,
    validation: Samples,
    settings: Train,
    work: Path,
    callbacks: TrainingCallbacks | None = None,
) -> TrainingPlan:
    """Train `model` in place, without a memory estimate."""
    accelerator, callbacks = make_accelerator(), callbacks or TrainingCallbacks()
    job = TrainingJob(model, data, validation, settings, work, accelerator, callbacks)
    return run(job).plan


def losses(work: Path) -> list[float]:
    """The loss of each step in a training's log."""
    return [json.loads(line)["loss"] for line in (work / "log.jsonl").read_text().splitlines()]


def make_base(folder: Path) -> Path:
    """A tiny Llama with random weights and a tokenizer of bytes, as a folder on disk."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_ = tokenizers.Tokenizer(
        tokenizers.models.BPE({**{c: i for i, c in enumerate(letters)}, "</s>": 256}, [])
    )
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    bytes_.add_special_tokens(["</s>"])
    model = make(
        257, hidden_size=64, intermediate_size=128, max_position_embeddings=512,
        bos_token_id=None, eos_token_id=256,
    )  # fmt: skip
    model.save_pretrained(folder)
    bytes_.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}))
    return folder


def workspace_of(
    root: Path, base: Path, said: list[dict[str, str]] | None = None, changes: Sequence[str] = ()
) -> Workspace:
    """A workspace in which these chats are imported and prepared for a base."""
    if not root.exists():
        settings = override(
            Settings(base=str(base)),
            ["samples.max_length=128", "train.batch_tokens=512", "train.num_train_epochs=1",
             "train.learning_rate=0.02", "train.previews=0", "train.lora_r=4",
             "train.validations=2", "chat.max_new_tokens=12", "chat.max_redraws=1", *changes],
        )  # fmt: skip
        create(root, settings)
    export = root.parent / "walks.jsonl"
    export.write_text(
        "".join(json.dumps(m) + "\n" for m in said or walks(120, ("Ana", "Ben"))), "utf-8"
    )
    for line in (["import", str(export), "--consent", "clone"], ["prepare"]):
        done = CliRunner().invoke(app, ["-C", str(root), *line], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    return Workspace(root)
