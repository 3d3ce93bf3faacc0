"""Latency and throughput of `myna serve`: start, first words of a reply, many clients.

python benchmarks/serving.py [WORKSPACE] [--adapter group] [--clients 16] [--seconds 60]

WORKSPACE has a trained adapter; without one, the demo is trained for a moment. Every figure
comes over real HTTP from a server process of its own:

    ready_s           from the start of the process to the first 200 of /healthz
    first_words_s     from a request to the first words of its reply, in a warm room with one
                      new message of about 30 tokens
    load, memory_mb   many clients with one streamed request after the other: errors, tokens
                      of each client, the server's memory over time
    past_the_bound    more clients than may wait: a reply, or 429 with Retry-After, for each
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
MEMORY_INTERVAL_SECONDS = 5
ROOM = "benchmark"
NEWS = [
    "We are just going over the hill now and you can see for miles and miles from up here.",
    "Somebody left the gate open again, and I would like to know who it was this time.",
    "It looks as if the weather will hold until the evening, if we are lucky for once.",
    "I counted them twice and there are two more than there were when we set out today.",
]


@contextmanager
def running_server(workspace: Path, name: str, *options: str) -> Iterator[tuple[str, float, Any]]:
    """A server's URL, the seconds until it was ready, and its process."""
    program = str(Path(sys.executable).with_name("myna"))
    command = [program, "-C", str(workspace), "serve", "--port", "0", "--json", "--adapter", name]
    started = time.perf_counter()
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
        yield url, time.perf_counter() - started, psutil.Process(process.pid)
    finally:
        process.terminate()
        assert process.wait(30) == 0, "the server ended with an error"


def chunks(client: httpx.Client, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of a streamed response."""
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.status_code != 200:
            response.read()
            response.raise_for_status()
        for line in response.iter_lines():
            if line.startswith("data: {"):
                yield json.loads(line.removeprefix("data: "))


def first_words(url: str, persona: str) -> list[float]:
    """Seconds from a message in a room to the first words of the reply.

    The first reply, in a room that is not warm yet, is not counted.
    """
    seconds = []
    with (
        httpx.Client(base_url=url, timeout=120, trust_env=False) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        client.post("/api/rooms", json={"id": ROOM, "personas": [persona], "humans": ["Zoe"]})
        with client.stream("GET", f"/api/rooms/{ROOM}/events") as events:
            lines = events.iter_lines()
            for number in range(4 * RUNS + 1):
                message = {"person": "Zoe", "text": NEWS[number % len(NEWS)]}
                started = time.perf_counter()
                pool.submit(_say_and_ask, url, message)
                kind, at = _wait_for(lines, ("piece", "silent"))
                if kind == "piece":  # else the turn was empty
                    if number:
                        seconds.append(at - started)
                    _wait_for(lines, ("silent",))
        client.delete(f"/api/rooms/{ROOM}")
    return seconds


def _say_and_ask(url: str, message: dict[str, str]) -> None:
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        client.post(f"/api/rooms/{ROOM}/say", json=message).raise_for_status()
        client.post(f"/api/rooms/{ROOM}/speak", json={}).raise_for_status()


def _wait_for(lines: Iterator[str], kinds: tuple[str, ...]) -> tuple[str, float]:
    """The kind and the time of the first event of one of these kinds."""
    for line in lines:
        kind = line.removeprefix("event: ")
        if kind != line and kind in kinds:
            return kind, time.perf_counter()
    raise RuntimeError("the events ended")


def load(url: str, models: list[str], clients: int, seconds: float) -> dict[str, Any]:
    """Replies, tokens and errors of clients that send requests without a pause."""
    deadline = time.monotonic() + seconds
    tokens, replies, errors = Counter[int](), Counter[int](), Counter[str]()
    waits: list[float] = []

    def client(number: int) -> None:
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as http:
            turn = 0
            while time.monotonic() < deadline:
                messages = [{"role": "user", "content": f"{NEWS[turn % 4]} ({number}, {turn})"}]
                body = {"model": models[number % len(models)], "messages": messages,
                        "stream": True, "stream_options": {"include_usage": True}}  # fmt: skip
                started, has_words, usage = time.perf_counter(), False, None
                try:
                    for chunk in chunks(http, body):
                        if "error" in chunk:
                            errors[chunk["error"]["message"]] += 1
                        for choice in chunk.get("choices", ()):
                            if choice["delta"].get("content") and not has_words:
                                has_words = True
                                waits.append(time.perf_counter() - started)
                        usage = chunk.get("usage", usage)
                except httpx.HTTPError as error:
                    errors[type(error).__name__] += 1
                    time.sleep(1)
                    continue
                tokens[number] += usage["completion_tokens"] if usage else 0
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
    megabytes = []
    while True:
        megabytes.append(round(process.memory_info().rss / 1e6, 1))
        if stop.wait(MEMORY_INTERVAL_SECONDS):
            return megabytes


def past_the_bound(url: str, model: str, clients: int) -> dict[str, int]:
    """The number of responses to `clients` requests at once, by status."""

    def ask(_: int) -> str:
        body = {"model": model, "messages": [{"role": "user", "content": NEWS[0]}]}
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
            response = client.post("/v1/chat/completions", json=body)
        clear = response.status_code != 429 or int(response.headers["retry-after"]) > 0
        return str(response.status_code) if clear else "429 without Retry-After"

    with ThreadPoolExecutor(clients) as pool:
        return dict(Counter(pool.map(ask, range(clients))))


def main() -> None:
    """Measure, and print each result as a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path, nargs="?", default=Path("build", "serving"))
    parser.add_argument("--adapter", default=DEFAULT_ADAPTER)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    workspace, name = arguments.workspace, arguments.adapter
    if not (workspace / "adapters" / name).is_dir():
        program = Path(sys.executable).with_name("myna")
        demo = [str(program), "demo", str(workspace), "--budget", "30s"]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
    ready = []
    for _ in range(RUNS):
        with running_server(workspace, name) as (_, seconds, _process):
            ready.append(seconds)
    report("ready_s", spread(ready))
    with running_server(workspace, name) as (url, _, process):
        models = [m["id"] for m in httpx.get(f"{url}/v1/models", trust_env=False).json()["data"]]
        personas = models[:-2]
        report("first_words_s", spread(first_words(url, personas[0])))
        load(url, personas, arguments.clients, min(5, arguments.seconds))  # a warm-up
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            megabytes = pool.submit(memory, process, stop)
            report("load", load(url, personas, arguments.clients, arguments.seconds))
            stop.set()
            report("memory_mb", megabytes.result())
    with running_server(workspace, name, "--waiting", "4") as (url, _, _process):
        report("past_the_bound", past_the_bound(url, personas[0], 24))


def report(name: str, result: Any) -> None:
    """Print a result as a JSON line at once."""
    print(json.dumps({name: result}), flush=True)


def spread(seconds: list[float]) -> dict[str, float]:
    """The least, the median and the most."""
    of = {"least": min(seconds), "median": statistics.median(seconds), "most": max(seconds)}
    return {name: round(value, 3) for name, value in of.items()}


if __name__ == "__main__":
    main()
