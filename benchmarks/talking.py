"""Latency and speed of replies in a warm room, against llama.cpp itself.

python benchmarks/talking.py FOLDER [--adapter group] [--rounds 15] [--tokens 64]

FOLDER is a workspace with a trained adapter, such as `apollo-11` of `make demo`. Both run
the same files with as many threads, in turns, each opened again: llama.cpp's figure is its
own timing of its server's only slot. In the same turns, the base in 4 bits with a separate
adapter, as for large bases.
Medians, and the middle half.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from myna import workspace
from myna.artifacts import AdapterInfo
from myna.choices import DEFAULT_ADAPTER
from myna.config import Sampling
from myna.engines.llamacpp import LlamaCpp, model_files
from myna.models.adapter_gguf import gguf_adapter
from myna.persona.clone import find_adapter_base, open_clone

NEW = 50
"""New prompt tokens in a warm room."""
CONTEXT = 2560
NEW_TEXT = """ Somebody left the gate open again, and I would like to know who it was this
time, because the goats were in the beans before breakfast and ate what was left of them.
Zoe: It was the wind, ask anyone who was awake.
Cy:"""


def bare_server(model: Path | None, adapter: Path | None) -> Any:
    """llama.cpp's own server, with one slot."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(model)
    settings.n_ctx, settings.n_parallel = CONTEXT, 1
    settings.warmup, settings.verbosity, settings.port = False, 0, 0
    if adapter is not None:
        lora = xllamacpp.CommonAdapterLoraInfo()
        lora.path, lora.scale = str(adapter), 1.0
        settings.lora_adapters = [lora]
    return xllamacpp.Server(settings)


def bare_rate(server: Any, prompt: Sequence[int], tokens: int) -> float:
    """Tokens/s by llama.cpp's own timing."""
    answer = server.handle_completions(
        {"prompt": list(prompt), "n_predict": tokens, "ignore_eos": True, "temperature": 0.8}
    )
    return float(answer["timings"]["predicted_per_second"])


def our_rate(engine: LlamaCpp, prompt: Sequence[int], tokens: int) -> tuple[float, float]:
    """Seconds to the first piece, and tokens/s after it."""
    start = time.perf_counter()
    stream = engine.stream(prompt, Sampling(seed=1, max_new_tokens=tokens))
    times = [time.perf_counter() for piece in stream if piece]
    return times[0] - start, (len(times) - 1) / (times[-1] - times[0])


def seconds_to_first_words(clone: Any, room: Any, text: str) -> float:
    """Seconds from a human's message to the first words of the reply, through all of myna."""
    start = time.perf_counter()
    room.say("Me", text)
    for _ in clone.speak(room, room.members[0]):
        return time.perf_counter() - start
    return time.perf_counter() - start


def print_figure(name: str, values: Sequence[float], unit: str) -> None:
    """Print a figure's median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    print(f"{name}: {middle:,.1f} {unit} ({low:,.1f} to {high:,.1f})", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("apollo-11"))
    parser.add_argument("--adapter", default=DEFAULT_ADAPTER)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    space = workspace.find(args.folder)
    folder = space.adapter(args.adapter)
    clone = open_clone(space, args.adapter, space.settings(), scope="owner", seed=1)
    base = find_adapter_base(args.adapter, AdapterInfo.load(space, args.adapter), weights=False)
    assert isinstance(clone.engine, LlamaCpp), "this measures llama.cpp"
    files = model_files(base, folder)
    beside = gguf_adapter(folder, base)
    builder = clone.prompt_builder(["Me"])
    seconds_to_first_words(clone, builder, "Hello, can you hear me up there?")
    words = "Roger. We see the lights of the city below us now, and the sea behind it."
    whole = [1000 * seconds_to_first_words(clone, builder, words) for _ in range(3 * args.rounds)]
    clone.close()

    ids = clone.tokenizer.encode(" Roger, we copy you on the ground. Over.\nCapCom:" * 200).ids
    prompt = ids[:400]
    # Text that the engine cannot have generated, and so cached, itself.
    longer = prompt + clone.tokenizer.encode(NEW_TEXT).ids[:NEW]
    assert len(longer) == len(prompt) + NEW
    first, ours, theirs = [], [], []
    first_beside, ours_beside = [], []
    for _ in range(args.rounds):
        # One at a time: the threads of a waiting engine spin, and take the other's cores.
        server = bare_server(*files)
        bare_rate(server, prompt, 1)
        theirs.append(bare_rate(server, prompt, args.tokens))
        del server
        for adapter, firsts, rates in (
            (folder, first, ours),
            (beside, first_beside, ours_beside),
        ):
            engine = LlamaCpp(base, adapter, CONTEXT)
            our_rate(engine, prompt, 2)
            rates.append(our_rate(engine, prompt, args.tokens)[1])
            firsts.append(1000 * our_rate(engine, longer, 2)[0])
            engine.close()

    print(f"{os.process_cpu_count() if hasattr(os, 'process_cpu_count') else os.cpu_count()} cores")
    print_figure(f"first token, warm, {NEW} new prompt tokens", first, "ms")
    print_figure("first words of an answer in a room, from the message on", whole, "ms")
    print_figure("a reply's tokens/s", ours, "tokens/s")
    print_figure("llama.cpp's own", theirs, "tokens/s")
    ratio = [one / other for one, other in zip(ours, theirs, strict=True)]
    print_figure("share", [100 * value for value in ratio], "%")
    print_figure("first token with the adapter beside the base", first_beside, "ms")
    print_figure("a reply's tokens/s so", ours_beside, "tokens/s")


if __name__ == "__main__":
    main()
