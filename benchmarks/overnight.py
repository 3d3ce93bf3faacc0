"""Tokens a second and memory of larger bases: what a night brings on this machine.

python benchmarks/overnight.py [--bases smollm2-135m HuggingFaceTB/SmolLM2-1.7B] [--steps 3]
    [--tokens 1024]

Random weights of the shape of each base (as in `myna doctor`), LoRA of rank 16 on every linear
layer, in the precision that this machine trains in, steps of so many tokens of which two thirds
are trained. Prints a line for each base: tokens/s (median of the steps but the first), its share
of the rate of matrix products measured in turns with the steps, and the highest memory of the
process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each base in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    smaller = ("smollm2-135m", "HuggingFaceTB/SmolLM2-360M-Instruct", "HuggingFaceTB/SmolLM2-1.7B")
    parser.add_argument("--bases", nargs="+", default=smaller)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=1024)
    wanted = parser.parse_args(arguments)
    if len(wanted.bases) == 1:
        print(json.dumps(measure(wanted.bases[0], wanted.steps, wanted.tokens)))
        return
    for base in wanted.bases:
        command = [sys.executable, __file__, "--bases", base]
        command += ["--steps", str(wanted.steps), "--tokens", str(wanted.tokens)]
        subprocess.run(command, check=False)


def measure(base: str, steps: int, tokens: int) -> dict[str, Any]:
    """Train a few steps on random tokens."""
    import torch
    import transformers

    from myna.config import Settings
    from myna.models.loading import precision
    from myna.training import checkpoints, distributed, hardware, methods
    from myna.training.data import Samples
    from myna.training.doctor import BASES, CONFIG_KEYS
    from myna.training.gradient_step import GradientAccumulator

    settings = Settings().train
    dtype, _ = precision(torch.device("cpu"))
    shape = dict(zip(CONFIG_KEYS, BASES[base], strict=True))
    torch.manual_seed(0)
    with torch.device("cpu"):
        torch.set_default_dtype(dtype)
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape))
        torch.set_default_dtype(torch.float32)
    parameters = model.num_parameters()
    model = methods.add_lora(model.requires_grad_(False), settings)
    methods.add_kernels(model, "lora", split=False)
    trained = checkpoints.trainable_parameters(model).values()
    device = torch.device("cpu")
    optimizer, _ = methods.make_optimizer(trained, settings, device, split=False)
    length = tokens // 2
    ids = torch.randint(0, shape["vocab_size"], (2, length)).tolist()
    samples = Samples(ids, [[i % 3 > 0 for i in range(length)]] * 2)
    accelerator = distributed.make_accelerator()
    gradients = GradientAccumulator(model, samples, accelerator, 0, print)
    speeds, rates = [], []
    for _ in range(steps + 1):
        rates.append(hardware.matmul_rate(device, dtype))
        started = time.monotonic()
        gradients.accumulate([0, 1])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        speeds.append(2 * length / (time.monotonic() - started))
    speed, rate = statistics.median(speeds[1:]), statistics.median(rates)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "base": base,
        "parameters": parameters,
        "precision": str(dtype).removeprefix("torch."),
        "tokens_s": round(speed, 1),
        "peak": round(4 * parameters * speed / rate, 3),
        "gflops": round(rate / 1e9),
        "memory_gb": round(peak / 1e9, 2),
        "night": int(8 * 3600 * speed),
    }


if __name__ == "__main__":
    main()
