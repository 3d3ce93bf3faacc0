"""Training speed in tokens a second, beside other trainers on the same samples.

python benchmarks/training.py [--workspace FOLDER] [--trl-python PYTHON] [--factory-python PYTHON]
    [--rounds 5] [--threads 2] [--gpu [--tiny]]

Contenders, all with LoRA of rank 16 on every linear layer of SmolLM2-135M, all given two
samples a step, in the same order, with the same learning rate:

    myna       as `myna train` computes a step
    myna-lean  the same with gradient checkpointing
    peft       peft and transformers, as in their guides: padded batches, all logits
    trl        TRL's SFTTrainer with its defaults, bfloat16 among them
    trl-fp32   the same in float32, for a processor that only emulates bfloat16
    factory    LLaMA-Factory's trainer with its defaults

Each runs in its own process and they take turns, a step each, so that other load on the
machine affects all alike. A contender that is not installed is reported as missing.
The samples are those of a prepared workspace, or of Apollo 11's transcript. `peak` is the
share of this machine's own matrix-product rate, measured between the rounds, counting four
floating-point operations for each parameter and token.

With --gpu: a model of Mistral-7B's shape with random weights, in 4 bits, at 2,048 tokens;
the highest memory, and the hours that 200,000 messages take in ten epochs. --tiny makes
that a small model on whatever there is, to try it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CONTENDERS = ("myna", "myna-lean", "peft", "trl", "trl-fp32", "factory")
MESSAGES, EPOCHS = 200_000, 10
"""The job of the GPU estimate."""
TOKENS_PER_MESSAGE = 20
"""In a group chat, with names and repeated context."""


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Print a table, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--trl-python", default=sys.executable)
    parser.add_argument("--factory-python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    wanted = parser.parse_args(arguments)
    pythons = {"trl": wanted.trl_python, "factory": wanted.factory_python}
    with tempfile.TemporaryDirectory() as folder:
        job = _job(wanted, Path(folder))
        Path(folder, "job.json").write_text(json.dumps(job))
        running, missing = [], {}
        for name in wanted.only:
            python = pythons.get(name.partition("-")[0], sys.executable)
            contender = Contender(name, python, Path(folder), wanted)
            if contender.error:
                missing[name] = contender.error
            else:
                running.append(contender)
        rates = _take_turns(running, wanted)
    result = _result(running, missing, rates, wanted)
    _table(result)
    print(json.dumps(result))
    return result


class Contender:
    """A trainer in its own process that does a step at a time."""

    def __init__(self, name: str, python: str, folder: Path, wanted: argparse.Namespace) -> None:
        self.name = name
        self.steps: list[dict[str, float]] = []
        environment = os.environ | {
            "OMP_NUM_THREADS": str(wanted.threads),
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
        }
        self._log = (folder / f"{name}.log").open("w+")
        self._process = subprocess.Popen(
            [python, str(HERE / "training_contenders.py"), name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        # Its first step is the warm-up.
        self.about = self._answer()
        self.error = self.about.get("error")

    def step(self) -> None:
        """Do a step."""
        assert self._process.stdin is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise SystemExit(f"{self.name}: {answer['error']}")
        self.steps.append(answer)

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)  # type: ignore[no-any-return]
        self._process.wait()
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()] or ["no output"]
        return {"error": lines[-1][:200]}


def _job(wanted: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The job of all contenders: base, samples, and number of samples in a step."""
    steps = wanted.rounds + 2
    if wanted.gpu:
        length = 64 if wanted.tiny else 2048
        ids = [[(7 * i + n) % 1000 + 3 for i in range(length)] for n in range(steps)]
        masks = [[i > 0 for i in range(length)]] * steps
        return {"ids": ids, "loss_masks": masks, "batch": 1, "base": None, "tiny": wanted.tiny}
    from myna.models.bases import DEFAULT_BASE, find_base
    from myna.preparing.prepare import read_samples
    from myna.training.data import BatchSampler, samples_from_table

    samples = samples_from_table(read_samples(_workspace(wanted.workspace, folder), "train"))
    sampler = BatchSampler(samples.lengths(), 1024, 0)
    order = [i for step in range(sampler.steps(1)) for i in sampler.batch(step)][: 2 * steps]
    base = find_base(DEFAULT_BASE, weights=True).folder
    ids, masks = [samples.ids[i] for i in order], [samples.loss_masks[i] for i in order]
    return {"ids": ids, "loss_masks": masks, "batch": 2, "base": str(base), "tiny": False}


def _workspace(given: Path | None, folder: Path) -> Any:
    """The given workspace, or a new one of Apollo 11, prepared."""
    from myna import apollo11, workspace
    from myna.cli import prepare
    from myna.workspace import Workspace

    if given is not None:
        return Workspace(given.resolve())
    workspace.create(folder / "apollo-11")
    space = Workspace(folder / "apollo-11")
    apollo11.import_transcript(space)
    prepare.prepare_if_stale(space, space.settings())
    return space


def _take_turns(running: list[Contender], wanted: argparse.Namespace) -> list[float]:
    """Run a step of each in every round; return the matrix-product rate of each round."""
    import torch

    from myna.models.loading import precision
    from myna.training.hardware import matmul_rate

    torch.set_num_threads(wanted.threads)
    device = torch.device("cuda" if wanted.gpu and torch.cuda.is_available() else "cpu")
    rates = []
    try:
        for number in range(wanted.rounds):
            rates.append(matmul_rate(device, precision(device)[0]))
            # Each comes first equally often.
            for i in range(len(running)):
                running[(number + i) % len(running)].step()
    finally:
        for contender in running:
            contender.end()
    return rates


def _result(
    running: list[Contender],
    missing: dict[str, str],
    rates: list[float],
    wanted: argparse.Namespace,
) -> dict[str, Any]:
    speeds = {c.name: [step["tokens"] / step["seconds"] for step in c.steps] for c in running}
    rate = statistics.median(rates)
    found: dict[str, Any] = {}
    for contender in running:
        own = speeds[contender.name]
        found[contender.name] = {
            "tokens_s": round(statistics.median(own), 1),
            "peak": round(statistics.median(own) * 4 * contender.about["parameters"] / rate, 3),
            "loss": [step["loss"] and round(step["loss"], 3) for step in contender.steps],
            "memory_gb": round(contender.steps[-1]["memory"] / 1e9, 2),
            "with": contender.about["with"],
        }
        if "myna" in speeds:
            ratios = [ours / theirs for ours, theirs in zip(speeds["myna"], own, strict=True)]
            found[contender.name]["myna_is_times"] = round(statistics.median(ratios), 2)
        if wanted.gpu:
            tokens = MESSAGES * EPOCHS * TOKENS_PER_MESSAGE
            found[contender.name]["hours"] = round(
                tokens / found[contender.name]["tokens_s"] / 3600, 1
            )
    return {
        "matmul_gflops": round(rate / 1e9, 1),
        "threads": wanted.threads,
        "contenders": found,
        "missing": missing,
    }


def _table(result: dict[str, Any]) -> None:
    print(f"matrix products: {result['matmul_gflops']} GFLOP/s on {result['threads']} threads")
    for name, row in result["contenders"].items():
        hours = f"{row['hours']:8.1f} h" if "hours" in row else ""
        print(
            f"{name:10} {row['tokens_s']:10.1f} tokens/s {row['peak']:7.1%} of the peak "
            f"{row['memory_gb']:7.2f} GB   myna is {row.get('myna_is_times', 1):.2f} times as fast"
            f"{hours}   {row['with']}"
        )
    for name, why in result["missing"].items():
        print(f"{name:10} left out: {why}")


if __name__ == "__main__":
    main()
