"""What the tests of training share: samples that can be learned, a base in a folder."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import tokenizers
import torch
from tokenizers import decoders, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from myna.cli import app
from myna.config import Settings, Train, override
from myna.training.samples import Samples
from myna.workspace import Workspace, create

SETTINGS = Train(
    epochs=4, batch_tokens=64, lr=1e-2, rank=4, alpha=8, checkpoint_every="0.0001s", previews=1,
    checks=0, tensorboard=False,
)  # fmt: skip


def samples(count: int = 12) -> Samples:
    """Texts in which each token is the one before plus one, their second half labelled."""
    ids = [[(start * 7 + i) % 97 for i in range(16 + start % 3)] for start in range(count)]
    return Samples(ids, [[0] * 8 + [1] * (len(tokens) - 9) + [2] for tokens in ids])


SAMPLES = samples()


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
    torch.manual_seed(1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=257, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
            bos_token_id=None, eos_token_id=256,
        )
    )  # fmt: skip
    with torch.no_grad():
        model.lm_head.weight.mul_(20)  # a fresh one is too weak to tell any token from another
    model.save_pretrained(folder)
    bytes_.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}))
    return folder


def walks(messages: int = 120) -> list[dict[str, str]]:
    """Two friends planning walks, a message a minute, with a night after every 30."""
    chance = random.Random(5)
    said, minute = [], 0
    for number in range(messages):
        minute += 1 if number % 30 else 600
        author = chance.choice(("Ana", "Ben"))
        text = f"{chance.choice(('I brought', 'no', 'look at'))} {chance.choice(('soup', 'rain'))}"
        stamp = f"2024-05-{1 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00Z"
        said.append(
            {"id": str(number), "channel": "walks", "author": author, "text": text,
             "timestamp": stamp}
        )  # fmt: skip
    return said


def workspace_of(
    root: Path, base: Path, said: list[dict[str, str]] | None = None, changes: Sequence[str] = ()
) -> Workspace:
    """A workspace in which these chats are imported and prepared for a base."""
    if not root.exists():
        settings = override(
            Settings(base=str(base)),
            ["samples.max_tokens=128", "train.batch_tokens=512", "train.epochs=1",
             "train.lr=0.02", "train.previews=0", "train.rank=4", "train.checks=2", *changes],
        )  # fmt: skip
        create(root, settings)
    export = root.parent / "walks.jsonl"
    export.write_text("".join(json.dumps(m) + "\n" for m in said or walks()), "utf-8")
    for line in (["import", str(export), "--consent", "clone"], ["prepare"]):
        done = CliRunner().invoke(app, ["-C", str(root), *line], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    return Workspace(root)
