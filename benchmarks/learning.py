"""Learning from equal compute: the ablation of the recipe "laptop".

python benchmarks/learning.py VARIANT… [--chats apollo11 apollo13] [--tokens 34000] [--seeds 0]
    [--split validation] [--folder build/learning] [--list]

Each variant trains the built-in base on each chat until it has used the floating-point
operations of so many tokens of the variant `before` (the recipe as it was at 567ea3a), and is
measured in bits per character. Operations are counted, not timed: products with weights
forwards and backwards, those of LoRA, attention, the output layer on trained tokens, and what
a start reads before its first step. Results go to results.jsonl in the folder, and what is
there is not computed again; the last thing printed is the table of all of them. With --names
so many real replies are put under each person's name in turn, and the share that is likeliest
under the true one is kept as well (`true_name`).

Chats: `apollo11` is the demo's. Another name is a folder in --folder with a prepared workspace
(`myna new`, `myna import`, `myna prepare`).
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import torch

from myna import apollo11, workspace
from myna.artifacts import PreparedInfo
from myna.cli import prepare
from myna.engines.transformers_engine import Transformers
from myna.evaluation.identification import score_moment
from myna.evaluation.likelihood import reply_bits
from myna.evaluation.moments import draw_moments, find_moments
from myna.models.bases import DEFAULT_BASE, find_base
from myna.preparing.prepare import read_samples
from myna.rendering.tokenizer import Tokenizer
from myna.training import checkpoints, distributed, methods
from myna.training.data import BatchSampler, Samples, samples_from_table
from myna.training.gradient_step import GradientAccumulator
from myna.training.loss import collate, token_losses
from myna.workspace import Workspace

ROW_NORM = 1 / math.sqrt(3)
"""Norm of the rows of A as peft draws them."""
START_SAMPLES = 2
"""Samples that a start from data reads."""


@dataclass(frozen=True)
class Variant:
    """A way to train; the defaults are the recipe as it was at 567ea3a."""

    rate: float = 1e-3
    warmup: float = 0.05
    """Share of the compute."""
    decay: float = 0.0
    """Share of the compute in which the rate falls to 0 on a line; 0: a cosine all the way."""
    power: float = 1.0
    """The falling rate is (1 - share of the decay) to this power."""
    ratio: float = 1.0
    """LoRA+: the rate of B over that of A."""
    betas: tuple[float, float] = (0.9, 0.99)
    rank: int = 16
    alpha: float = 32.0
    rslora: bool = False
    batch: int = 1024
    grow: float = 1.0
    """The batch of the last third over that of the first, growing in between by steps."""
    order: str = "random"
    """random; dense: most trained tokens first; recent: the newest third last."""
    lowest: int = 0
    """The lowest layer with LoRA."""
    start: str = "random"
    """A: random; inputs: their main directions; gradient: those of the weights' gradient."""
    muon: bool = False
    """Orthogonalised momentum instead of AdamW."""
    average: float = 0.0
    """Share of the compute at the end over which A and B are averaged."""
    clip: float = 1.0


BEFORE = Variant()
VARIANTS: dict[str, Variant] = {"before": BEFORE}


def _add(name: str, base: str, **changes: Any) -> None:
    VARIANTS[name] = replace(VARIANTS[base], **changes)


_add("linear", "before", rate=2e-3, warmup=0.03, decay=1.0)
_add("linear-1e-3", "linear", rate=1e-3)
_add("linear-4e-3", "linear", rate=4e-3)
_add("half-decay", "linear", decay=0.5)
_add("small", "linear", batch=512)
_add("plus4", "linear", rate=1e-3, ratio=4.0)
_add("plus16", "linear", rate=5e-4, ratio=16.0)
_add("dense", "linear", order="dense")
_add("recent", "linear", order="recent")
_add("inputs", "linear", start="inputs")
_add("gradient", "linear", start="gradient")
_add("upper20", "linear", lowest=10)
_add("muon", "linear", muon=True)
_add("average", "linear", average=0.2)
_add("rank8", "linear", rank=8, alpha=16.0)
_add("rank32", "linear", rank=32, alpha=64.0)
_add("rslora", "linear", rate=5e-4, rslora=True)


@dataclass(frozen=True)
class Chat:
    """A chat to learn from: samples in the order of time, and what is measured."""

    name: str
    samples: Samples
    measured: pl.DataFrame
    base: Path


def operations(model: Any, variant: Variant, lengths: int, squares: int, targets: int) -> float:
    """Floating-point operations of a forward and a backward pass.

    Args:
        model: with LoRA.
        variant: the way it is trained.
        lengths: tokens of all samples.
        squares: the sum of their squared lengths.
        targets: trained tokens.
    """
    config = model.config
    layers = config.num_hidden_layers
    body = sum(
        p.numel()
        for name, p in model.named_parameters()
        if p.ndim == 2 and "lora_" not in name and "embed" not in name and "lm_head" not in name
    )
    lora = sum(p.numel() for p in model.parameters() if p.requires_grad)
    head = config.vocab_size * config.hidden_size
    trained = 1 - variant.lowest / layers
    # Causal attention: two products of half the square forwards, twice as many backwards.
    attention = 2 * squares * config.hidden_size * layers
    return float(
        lengths * (2 * body * (1 + trained) + 6 * lora)
        + 4 * head * targets
        + attention * (1 + 2 * trained)
    )


def rate_factor(progress: float, variant: Variant) -> float:
    """The share of the peak rate at this share of the compute."""
    if progress < variant.warmup:
        return min(1.0, (progress + 0.01) / variant.warmup)
    if not variant.decay:
        through = (progress - variant.warmup) / (1 - variant.warmup)
        return 0.5 * (1 + math.cos(math.pi * through))
    return float(min(1.0, max(0.0, 1 - progress) / variant.decay) ** variant.power)


class Order:
    """The batches of a variant, epoch after epoch."""

    def __init__(self, samples: Samples, variant: Variant, seed: int, needed: int) -> None:
        """`needed`: about the tokens that the run will see."""
        self._samples, self._variant, self._seed = samples, variant, seed
        self.lengths = samples.lengths()
        self._targets = samples.target_counts()
        self._needed = needed

    def batches(self, tokens: Callable[[], int]) -> Any:
        """Batches of at most `tokens()` tokens each."""
        sampler = BatchSampler(self.lengths, self._variant.batch, self._seed)
        if self._variant.order == "random" and self._variant.grow == 1:
            yield from (sampler.batch(step) for step in count())
        rng = random.Random(f"{self._seed} order")
        for _ in count():
            batch: list[int] = []
            for i in self._epoch(rng):
                if batch and sum(self.lengths[j] for j in [*batch, i]) > tokens():
                    yield batch
                    batch = []
                batch.append(i)
            yield batch

    def _epoch(self, rng: random.Random) -> list[int]:
        order = list(range(len(self.lengths)))
        rng.shuffle(order)
        if self._variant.order == "random" or self._needed > 0.7 * sum(self.lengths):
            return order
        if self._variant.order == "recent":  # as if time ended with the run
            half = self._needed // 2
            newest, total = set(), 0
            for i in reversed(range(len(order))):
                total += self.lengths[i]
                if total > half:
                    break
                newest.add(i)
            older, total = [], 0
            for i in order:
                if i not in newest and total < half:
                    older.append(i)
                    total += self.lengths[i]
            return [*older, *(i for i in order if i in newest)]
        density = [t / n for t, n in zip(self._targets, self.lengths, strict=True)]
        ranked, total, chosen = sorted(order, key=lambda i: -density[i]), 0, set()
        for i in ranked:
            total += self.lengths[i]
            chosen.add(i)
            if total > 1.1 * self._needed:
                break
        return [i for i in order if i in chosen]


class Muon:
    """Nesterov momentum, orthogonalised by Newton-Schulz in float32 (Jordan et al. 2024)."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        self.param_groups = groups
        self._momenta: dict[Any, torch.Tensor] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Update all parameters, those of a shape at once."""
        for group in self.param_groups:
            shapes: dict[Any, list[Any]] = {}
            for p in group["params"]:
                shapes.setdefault(p.shape, []).append(p)
            for shape, params in shapes.items():
                grads = torch.stack([p.grad.float() for p in params])
                held = self._momenta.setdefault((id(group), shape), torch.zeros_like(grads))
                held.lerp_(grads, 0.1)
                update = _orthogonal(grads.lerp(held, 0.9))
                update *= 0.2 * math.sqrt(max(shape))  # as large as one of Adam
                for p, each in zip(params, update, strict=True):
                    p.add_(each.to(p.dtype), alpha=-group["lr"])

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None


def _orthogonal(x: torch.Tensor) -> torch.Tensor:
    """The nearest matrices with orthonormal rows or columns, [n, rows, columns]."""
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x


def start_from_data(model: Any, chat: Chat, kind: str, seed: int) -> tuple[int, int, int]:
    """Turn A towards main directions of data; return the size of what was read."""
    layers = {n: m for n, m in model.named_modules() if hasattr(m, "lora_A")}
    inputs: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
    gradients: dict[str, torch.Tensor] = {}
    handles = []

    def keep(name: str) -> Any:
        def hook(_module: Any, given: Any, output: torch.Tensor) -> None:
            x = given[0].detach()[0, 1:].float()  # the first token is unlike all others
            if kind == "inputs":
                inputs[name].append(x)
            elif output.requires_grad:
                output.register_hook(lambda g: _add_gradient(name, g[0, 1:].float(), x))

        return hook

    def _add_gradient(name: str, g: torch.Tensor, x: torch.Tensor) -> None:
        product = g.T @ x
        gradients[name] = gradients[name] + product if name in gradients else product

    for name, layer in layers.items():
        handles.append(layer.register_forward_hook(keep(name)))
    chosen = random.Random(f"{seed} start").sample(range(len(chat.samples.ids)), START_SAMPLES)
    device = torch.device("cpu")
    for i in chosen:
        ids, mask = [chat.samples.ids[i]], [chat.samples.loss_masks[i]]
        if kind == "inputs":
            with torch.no_grad():
                padded, _ = collate(ids, mask, device)
                model.get_base_model().model(input_ids=padded)
        else:
            token_losses(model, ids, mask, device).mean().backward()
    for handle in handles:
        handle.remove()
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        for name, layer in layers.items():
            weight = layer.lora_A["default"].weight
            if kind == "inputs":
                x = torch.cat(inputs[name])
                matrix = x - x.mean(0)
            elif name in gradients:
                matrix = gradients[name]
            else:
                continue
            _, _, v = torch.svd_lowrank(matrix, q=weight.shape[0] + 8, niter=2)
            weight.copy_(v.T[: weight.shape[0]] * ROW_NORM)
    read = [len(chat.samples.ids[i]) for i in chosen]
    targets = sum(sum(chat.samples.loss_masks[i]) for i in chosen)
    return sum(read), sum(n * n for n in read), targets


def make_model(variant: Variant, chat: Chat, seed: int) -> tuple[Any, float]:
    """The base with LoRA and its kernels, and the operations that its start took."""
    from peft import LoraConfig, get_peft_model

    base = find_base(DEFAULT_BASE, weights=True)
    settings = Workspace(chat.base).settings().train
    settings = settings.model_copy(update={"seed": seed})
    model, _ = methods.load_for_training(base, settings, torch.device("cpu"))
    methods.set_seed(seed)
    targets: Any = "all-linear"
    if variant.lowest:
        targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(
        r=variant.rank,
        lora_alpha=variant.alpha,  # type: ignore[arg-type]
        use_rslora=variant.rslora,
        target_modules=targets,
        layers_to_transform=[*range(variant.lowest, 30)] if variant.lowest else None,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, config).eval()
    spent = 0.0
    if variant.start != "random":
        read = start_from_data(model, chat, variant.start, seed)
        spent = operations(model, variant, *read) * (0.4 if variant.start == "inputs" else 1.4)
    methods.add_kernels(model, "lora", split=False)
    return model, spent


def make_optimizer(model: Any, variant: Variant) -> Any:
    """The optimiser; B's rate is `ratio` times A's."""
    parameters = checkpoints.trainable_parameters(model)
    groups = [
        {"params": [p for n, p in parameters.items() if "lora_A" in n], "scale": 1.0},
        {"params": [p for n, p in parameters.items() if "lora_B" in n], "scale": variant.ratio},
    ]
    for group in groups:
        group["lr"] = variant.rate
    if variant.muon:
        return Muon(groups)
    return torch.optim.AdamW(groups, betas=variant.betas, weight_decay=0.0)


def train(variant: Variant, chat: Chat, seed: int, limit: float) -> tuple[Any, dict[str, Any]]:
    """Train until the operations are used; return the model and what happened."""
    model, spent = make_model(variant, chat, seed)
    optimizer = make_optimizer(model, variant)
    accelerator = distributed.make_accelerator()
    gradients = GradientAccumulator(model, chat.samples, accelerator, 0, print)
    lengths, targets = chat.samples.lengths(), chat.samples.target_counts()
    mean = operations(
        model, variant, sum(lengths), sum(n * n for n in lengths), chat.samples.trained_tokens()
    ) / sum(lengths)
    order = Order(chat.samples, variant, seed, int((limit - spent) / mean))
    progress, steps, tokens, losses, clipped = spent / limit, 0, 0, [], 0
    average: dict[str, torch.Tensor] = {}
    averaged = 0

    def size() -> int:
        third = min(2, int(3 * progress))
        return round(variant.batch * variant.grow ** (third / 2))

    for batch in order.batches(size):
        n = [lengths[i] for i in batch]
        trained = sum(targets[i] for i in batch)
        cost = operations(model, variant, sum(n), sum(x * x for x in n), trained) / limit
        if progress + cost / 2 > 1:
            break
        factor = rate_factor(progress + cost / 2, variant)
        for group in optimizer.param_groups:
            group["lr"] = variant.rate * group["scale"] * factor
        losses.append(gradients.accumulate(batch))
        norm = accelerator.clip_grad_norm_(model.parameters(), variant.clip)
        clipped += float(norm) > variant.clip
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        progress, steps, tokens = progress + cost, steps + 1, tokens + sum(n)
        if variant.average and progress > 1 - variant.average:
            averaged += 1
            for name, p in checkpoints.trainable_parameters(model).items():
                held = average.setdefault(name, torch.zeros_like(p, dtype=torch.float32))
                held += (p.detach().float() - held) / averaged
    for name, p in checkpoints.trainable_parameters(model).items():
        if name in average:
            p.data.copy_(average[name])
    last = losses[-max(1, len(losses) // 5) :]
    told = {"steps": steps, "seen": tokens, "clipped": round(clipped / max(1, steps), 2)}
    return model, {**told, "loss": round(sum(last) / len(last), 4)}


def limit_of(chat: Chat, tokens: int) -> float:
    """The operations of so many tokens of `before`."""
    model, _ = make_model(BEFORE, chat, 0)
    lengths = chat.samples.lengths()
    all_ = operations(
        model, BEFORE, sum(lengths), sum(n * n for n in lengths), chat.samples.trained_tokens()
    )
    return all_ / sum(lengths) * tokens


def open_chat(name: str, wanted: argparse.Namespace) -> Chat:
    """The samples of a chat; Apollo 11's are made if they are not there."""
    path = (wanted.folder / name).resolve()
    if name == "apollo11" and not (path / "myna.toml").exists():
        workspace.create(path)
        apollo11.import_transcript(Workspace(path))
    space = Workspace(path)
    prepare.prepare_if_stale(space, space.settings())
    measured = read_samples(space, wanted.split)
    train_samples = samples_from_table(read_samples(space, "train"))
    return Chat(name, train_samples, measured[:: wanted.every], path)


def bits(model: Any, chat: Chat, *, adapter: bool) -> float:
    """Bits per character of the measured split."""
    table = reply_bits(model, chat.measured, adapter=adapter)
    return float(table["bits"].sum() / table["characters"].sum())


def true_name_share(model: Any, chat: Chat, split: str, items: int) -> float:
    """The share of real replies that are likeliest under the name of who said them."""
    space = Workspace(chat.base)
    info, base = PreparedInfo.load(space), find_base(DEFAULT_BASE, weights=False)
    engine = Transformers(base, None, base.context, model=model)
    clone: Any = SimpleNamespace(
        format=info.format,
        tokenizer=Tokenizer(base.folder),
        engine=engine,
        engine_for=lambda _: engine,
    )
    messages = pl.read_parquet(space.prepared / "messages.parquet")
    moments = find_moments(messages.filter(pl.col("split") == split), info.personas)
    moments = draw_moments(moments, items)
    names = sorted({moment.person for moment in moments})
    scored = [score_moment(clone, m, names, [m.reply.text]) for m in moments]
    return sum(s.is_own for s in scored) / len(scored)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute what is missing; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("variants", nargs="*", metavar="VARIANT")
    parser.add_argument("--chats", nargs="+", default=["apollo11", "apollo13"])
    parser.add_argument("--tokens", type=int, default=34_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--split", default="validation", choices=("validation", "test"))
    parser.add_argument("--folder", type=Path, default=Path("build", "learning"))
    parser.add_argument("--every", type=int, default=1, help="measure every Nth sample only")
    parser.add_argument("--names", type=int, default=0, help="replies put under each name")
    parser.add_argument("--list", action="store_true", help="the variants")
    wanted = parser.parse_args(arguments)
    if wanted.list:
        for name, variant in VARIANTS.items():
            changed = {k: v for k, v in asdict(variant).items() if v != getattr(BEFORE, k)}
            print(f"{name:14} {changed}")
        return
    results = Results(wanted.folder / "results.jsonl")
    chats = {name: open_chat(name, wanted) for name in wanted.chats}
    for seed in wanted.seeds:
        for name in wanted.variants:
            for chat in chats.values():
                key = {
                    "chat": chat.name, "variant": name, "tokens": wanted.tokens,
                    "seed": seed, "split": wanted.split, "every": wanted.every,
                    "is": asdict(VARIANTS[name]),
                }  # fmt: skip
                if not results.has(key):
                    results.add(key, _run(key, VARIANTS[name], chat, results, wanted.names))
    print("\n".join(results.table(wanted)))


def _run(
    key: dict[str, Any], variant: Variant, chat: Chat, results: Results, names: int
) -> dict[str, Any]:
    started = time.monotonic()
    model, told = train(variant, chat, key["seed"], limit_of(chat, key["tokens"]))
    trained_in = time.monotonic() - started
    base = {"chat": chat.name, "variant": "base", "split": key["split"], "every": key["every"]}
    if not results.has(base):
        results.add(base, {"bits": bits(model, chat, adapter=False)})
    floor = results.get(base)["bits"]
    found = bits(model, chat, adapter=True)
    row = {**told, "bits": found, "change": found / floor - 1, "seconds": round(trained_in)}
    if names:
        row["true_name"] = true_name_share(model, chat, key["split"], names)
    print(json.dumps({k: v for k, v in {**key, **row}.items() if k != "is"}), flush=True)
    return row


class Results:
    """The results so far, a JSON line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self._rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def has(self, key: dict[str, Any]) -> bool:
        """True if there is a result of this key."""
        plain = json.loads(json.dumps(key))
        return any(all(row.get(k) == v for k, v in plain.items()) for row in self._rows)

    def get(self, key: dict[str, Any]) -> dict[str, Any]:
        """The result of this key."""
        return next(r for r in self._rows if all(r.get(k) == v for k, v in key.items()))

    def add(self, key: dict[str, Any], row: dict[str, Any]) -> None:
        """Keep a result."""
        self._rows.append({**key, **row})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self._rows[-1]) + "\n")

    def table(self, wanted: argparse.Namespace) -> list[str]:
        """Lines: the mean change of each variant and chat, and its range over the seeds."""
        same = {"tokens": wanted.tokens, "split": wanted.split, "every": wanted.every}
        rows = [r for r in self._rows if all(r.get(k) == v for k, v in same.items())]
        lines = [f"change of bits per character: {same}"]
        for variant in dict.fromkeys(r["variant"] for r in rows):
            parts = []
            for chat in dict.fromkeys(r["chat"] for r in rows):
                own = [r for r in rows if (r["chat"], r["variant"]) == (chat, variant)]
                if own:
                    changes = [r["change"] for r in own]
                    spread = f" ({min(changes):.2%} to {max(changes):.2%})" if own[1:] else ""
                    parts.append(f"{chat} {sum(changes) / len(changes):+.2%}{spread}")
            lines.append(f"{variant:14} {'   '.join(parts)}")
        return lines


if __name__ == "__main__":
    main()
