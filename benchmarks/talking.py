"""How soon a reply begins in a warm room, and how fast it goes on, against llama.cpp itself.

python benchmarks/talking.py FOLDER [--adapter group] [--rounds 15] [--tokens 64]

FOLDER is a workspace with a trained adapter, such as `apollo-11` of `make demo`. Both run
the same files with as many threads, in turns, each opened anew: llama.cpp's figure is its
own timing of its server's only slot, asked without myna. Beside them, in the same turns,
the base in its own 4 bits with the adapter beside it, which is what large bases get.
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
from myna.engines.engine import Sampling
from myna.engines.llamacpp import LlamaCpp, model_files
from myna.models.adapter_gguf import gguf_adapter
from myna.models.bases import find_base_of
from myna.persona.clone import open_clone

NEW = 50
"""Tokens of a prompt that a warm room has not seen."""
CONTEXT = 2560
UNHEARD = """ Somebody left the gate open again, and I would like to know who it was this
time, because the goats were in the beans before breakfast and ate what was left of them.
Zoe: It was the wind, ask anyone who was awake.
Cy:"""


def bare_server(model: Path | None, adapter: Path | None) -> Any:
    """llama.cpp's server as it comes, with one slot."""
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
    """Tokens/s by llama.cpp's own clock."""
    answer = server.handle_completions(
        {"prompt": list(prompt), "n_predict": tokens, "ignore_eos": True, "temperature": 0.8}
    )
    return float(answer["timings"]["predicted_per_second"])


def our_rate(engine: LlamaCpp, prompt: Sequence[int], tokens: int) -> tuple[float, float]:
    """Seconds to the first piece, and tokens/s of what follows."""
    begun = time.perf_counter()
    stream = engine.stream(prompt, Sampling(seed=1, max_new_tokens=tokens))
    times = [time.perf_counter() for piece in stream if piece]
    return times[0] - begun, (len(times) - 1) / (times[-1] - times[0])


def first_words(clone: Any, room: Any, text: str) -> float:
    """Seconds from a human's message to the first words of the answer, all of myna between."""
    begun = time.perf_counter()
    room.say("Me", text)
    for _ in clone.speak(room, room.members[0]):
        return time.perf_counter() - begun
    return time.perf_counter() - begun


def told(name: str, values: Sequence[float], unit: str) -> None:
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
    asked = parser.parse_args()
    space = workspace.find(asked.folder)
    folder = space.adapter(asked.adapter)
    clone = open_clone(space, asked.adapter, space.settings(), seed=1)
    base = find_base_of(asked.adapter, AdapterInfo.load(space, asked.adapter), weights=False)
    assert isinstance(clone.engine, LlamaCpp), "this measures llama.cpp"
    files = model_files(base, folder)
    beside = gguf_adapter(folder, base)
    builder = clone.prompt_builder(["Me"])
    first_words(clone, builder, "Hello, can you hear me up there?")
    words = "Roger. We see the lights of the city below us now, and the sea behind it."
    whole = [1000 * first_words(clone, builder, words) for _ in range(3 * asked.rounds)]
    clone.close()

    said = clone.tokenizer.encode(" Roger, we copy you on the ground. Over.\nCapCom:" * 200).ids
    prompt = said[:400]
    # Nothing that the engine may have said itself, and so knows already.
    longer = prompt + clone.tokenizer.encode(UNHEARD).ids[:NEW]
    assert len(longer) == len(prompt) + NEW
    first, ours, theirs = [], [], []
    first_beside, ours_beside = [], []
    for _ in range(asked.rounds):
        # One at a time: threads of an engine that waits spin, and take the other's cores.
        server = bare_server(*files)
        bare_rate(server, prompt, 1)
        theirs.append(bare_rate(server, prompt, asked.tokens))
        del server
        for adapter, firsts, rates in (
            (folder, first, ours),
            (beside, first_beside, ours_beside),
        ):
            engine = LlamaCpp(base, adapter, CONTEXT)
            our_rate(engine, prompt, 2)
            rates.append(our_rate(engine, prompt, asked.tokens)[1])
            firsts.append(1000 * our_rate(engine, longer, 2)[0])
            engine.close()

    print(f"{os.process_cpu_count() if hasattr(os, 'process_cpu_count') else os.cpu_count()} cores")
    told(f"first token, warm, {NEW} new prompt tokens", first, "ms")
    told("first words of an answer in a room, from the message on", whole, "ms")
    told("a reply's tokens/s", ours, "tokens/s")
    told("llama.cpp's own", theirs, "tokens/s")
    ratio = [one / other for one, other in zip(ours, theirs, strict=True)]
    told("share", [100 * value for value in ratio], "%")
    told("first token with the adapter beside the base", first_beside, "ms")
    told("a reply's tokens/s so", ours_beside, "tokens/s")


if __name__ == "__main__":
    main()
