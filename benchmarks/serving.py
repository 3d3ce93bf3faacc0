"""How soon `myna serve` is ready, how soon a reply begins, and what many clients at once get.

python benchmarks/serving.py [WORKSPACE] [--adapter group] [--clients 16] [--seconds 60]

WORKSPACE has a trained adapter; without one, the demo is trained for a moment. Every figure
comes over real HTTP from a server process of its own:

    ready     from the start of the process to the first 200 of /healthz
    first     from a request to the first words of its reply, in a warm room to which one
              message of about 30 tokens was added
    load      so many clients, each of which asks again as soon as it is answered, streamed:
              errors, tokens of each client, the server's memory before and after
    bound     more clients than may wait: all are answered, or told 429 with Retry-After
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil

from myna.choices import DEFAULT_ADAPTER

RUNS = 5
MEMORY_EVERY_S = 5
ROOM = "benchmark"
NEWS = [
    "We are just going over the hill now and you can see for miles and miles from up here.",
    "Somebody left the gate open again, and I would like to know who it was this time.",
    "It looks as if the weather will hold until the evening, if we are lucky for once.",
    "I counted them twice and there are two more than there were when we set out today.",
]


@contextmanager
def served(workspace: Path, name: str, *options: str) -> Iterator[tuple[str, float, Any]]:
    """A server's URL, how long it took to be ready, and its process."""
    program = str(Path(sys.executable).with_name("myna"))
    command = [program, "-C", str(workspace), "serve", "--port", "0", "--json", "--adapter", name]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--rate", "1000000", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        report = ""
        while not report.endswith("}\n"):
            line = process.stdout.readline()
            assert line, "the server did not start: try `myna serve` by hand"
            report += line
        url = json.loads(report)["url"]
        httpx.get(f"{url}/healthz", trust_env=False).raise_for_status()
        yield url, time.perf_counter() - begun, psutil.Process(process.pid)
    finally:
        process.terminate()
        assert process.wait(30) == 0, "the server did not end well"


def chunks(client: httpx.Client, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pieces of a streamed answer."""
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            answer.read()
            answer.raise_for_status()
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                yield json.loads(line.removeprefix("data: "))


def first_words(url: str, persona: str) -> list[float]:
    """Seconds from what somebody says in a room to the first words of the reply.

    The first reply, which has no warm room, is not counted.
    """
    taken = []
    with (
        httpx.Client(base_url=url, timeout=120, trust_env=False) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        client.post("/api/rooms", json={"id": ROOM, "personas": [persona], "humans": ["Zoe"]})
        with client.stream("GET", f"/api/rooms/{ROOM}/events") as events:
            lines = events.iter_lines()
            for number in range(4 * RUNS + 1):
                said = {"person": "Zoe", "text": NEWS[number % len(NEWS)]}
                begun = time.perf_counter()
                pool.submit(_say_and_ask, url, said)
                kind, at = _until(lines, ("piece", "silent"))
                if kind == "piece":  # else they had nothing to say
                    if number:
                        taken.append(at - begun)
                    _until(lines, ("silent",))
        client.delete(f"/api/rooms/{ROOM}")
    return taken


def _say_and_ask(url: str, said: dict[str, str]) -> None:
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        client.post(f"/api/rooms/{ROOM}/say", json=said).raise_for_status()
        client.post(f"/api/rooms/{ROOM}/speak", json={}).raise_for_status()


def _until(lines: Iterator[str], kinds: tuple[str, ...]) -> tuple[str, float]:
    """Which of these events came, and when."""
    for line in lines:
        kind = line.removeprefix("event: ")
        if kind != line and kind in kinds:
            return kind, time.perf_counter()
    raise RuntimeError("the events ended")


def load(url: str, models: list[str], clients: int, seconds: float) -> dict[str, Any]:
    """What clients that ask without a pause get in a time."""
    until = time.monotonic() + seconds
    tokens, replies, errors = Counter[int](), Counter[int](), Counter[str]()
    waits: list[float] = []

    def client(number: int) -> None:
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as http:
            turn = 0
            while time.monotonic() < until:
                said = [{"role": "user", "content": f"{NEWS[turn % 4]} ({number}, {turn})"}]
                body = {"model": models[number % len(models)], "messages": said,
                        "stream": True, "stream_options": {"include_usage": True}}  # fmt: skip
                begun, heard, used = time.perf_counter(), False, None
                try:
                    for chunk in chunks(http, body):
                        if "error" in chunk:
                            errors[chunk["error"]["message"]] += 1
                        for choice in chunk.get("choices", ()):
                            if choice["delta"].get("content") and not heard:
                                heard = True
                                waits.append(time.perf_counter() - begun)
                        used = chunk.get("usage", used)
                except httpx.HTTPError as error:
                    errors[type(error).__name__] += 1
                    time.sleep(1)
                    continue
                tokens[number] += used["completion_tokens"] if used else 0
                replies[number] += 1
                turn += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    each = [tokens[number] for number in range(clients)]
    return {
        "errors": dict(errors),
        "replies": sum(replies.values()),
        "replies_least_most": [min(replies[n] for n in range(clients)), max(replies.values())],
        "tokens_least_most": [min(each), max(each)],
        "tokens_a_second": round(sum(each) / seconds, 1),
        "first_words_median_s": round(statistics.median(waits), 2) if waits else None,
    }


def memory(process: Any, stop: threading.Event) -> list[float]:
    """The server's memory in MB, every few seconds until `stop`."""
    found = []
    while True:
        found.append(round(process.memory_info().rss / 1e6, 1))
        if stop.wait(MEMORY_EVERY_S):
            return found


def past_the_bound(url: str, model: str, clients: int) -> dict[str, int]:
    """How many of so many requests at once get which status."""

    def ask(_: int) -> str:
        said = [{"role": "user", "content": NEWS[0]}]
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
            answer = client.post("/v1/chat/completions", json={"model": model, "messages": said})
        clear = answer.status_code != 429 or int(answer.headers["retry-after"]) > 0
        return str(answer.status_code) if clear else "429 without Retry-After"

    with ThreadPoolExecutor(clients) as pool:
        return dict(Counter(pool.map(ask, range(clients))))


def main() -> None:
    """Measure, and print each figure as a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path, nargs="?", default=Path("build", "serving"))
    parser.add_argument("--adapter", default=DEFAULT_ADAPTER)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60)
    wanted = parser.parse_args()
    place, name = wanted.workspace, wanted.adapter
    if not (place / "adapters" / name).is_dir():
        program = Path(sys.executable).with_name("myna")
        demo = [str(program), "demo", str(place), "--budget", "30s"]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
    ready = []
    for _ in range(RUNS):
        with served(place, name) as (_, seconds, _process):
            ready.append(seconds)
    told("ready_s", spread(ready))
    with served(place, name) as (url, _, process):
        models = [m["id"] for m in httpx.get(f"{url}/v1/models", trust_env=False).json()["data"]]
        personas = models[:-2]
        told("first_words_s", spread(first_words(url, personas[0])))
        load(url, personas, wanted.clients, min(5, wanted.seconds))  # everything is warm
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            grown = pool.submit(memory, process, stop)
            told("load", load(url, personas, wanted.clients, wanted.seconds))
            stop.set()
            told("memory_mb", grown.result())
    with served(place, name, "--waiting", "4") as (url, _, _process):
        told("past_the_bound", past_the_bound(url, personas[0], 24))


def told(what: str, found: Any) -> None:
    """Print a figure as a JSON line, as soon as it is there."""
    print(json.dumps({what: found}), flush=True)


def spread(seconds: list[float]) -> dict[str, float]:
    """The least, the median and the most."""
    of = {"least": min(seconds), "median": statistics.median(seconds), "most": max(seconds)}
    return {name: round(value, 3) for name, value in of.items()}


if __name__ == "__main__":
    main()
