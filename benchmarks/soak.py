"""Run `myna serve` and the Discord bot for a long time, with clients that leave and kills.

python benchmarks/soak.py [WORKSPACE] [--adapter group] [--engine auto] [--minutes 60]

WORKSPACE has a trained adapter; without one, the demo is trained for a moment. The server and
the bot are processes of their own; Discord is simcord's (tests/bots/bridge.py), and the bot's
engine repeats what it hears. For the first two thirds of the time nothing is killed, and the
memory of both is watched; then they are killed (-9) and stopped (-15) every few seconds. Prints
a JSON line for each of

    memory            MB of each process at the end of the first tenth of the calm time and at
                      its end (medians), and the growth: 0.05 is 5 %
    rooms             messages that the server took, of these lost, and doubled
    discord           the same for the bot: what Eve said, and what the clones said
    answers           responses by kind; status 500 and above are faults
    tracebacks        in the logs, which are in build/soak/

The exit status is 1 if memory grew by 5 %, or there is a loss, a double, a fault or a traceback.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.bots import bridge as discord  # noqa: E402
from tests.bots.test_discord_killed import open_room  # noqa: E402

from myna.choices import DEFAULT_ADAPTER  # noqa: E402
from myna.rooms.store import RoomStore  # noqa: E402
from myna.workspace import Workspace  # noqa: E402

CALM_SHARE = 2 / 3
"""The share of the time without kills."""
KILL_SECONDS = (4.0, 20.0)
"""Least and most seconds between two kills of a process."""
MEMORY_SECONDS = 2.0
MAX_GROWTH = 0.05
HISTORY = 50
"""Messages of a client's room, after which it takes another room."""


MODELS: list[str] = []
"""The server's models, once it runs."""


@dataclass
class Account:
    """The events that clients were told, by all threads."""

    answers: Counter[str] = field(default_factory=Counter)
    taken: dict[str, dict[int, str]] = field(default_factory=dict)
    """Of each room: the texts of messages that the server says it has, by id."""
    keys: dict[str, list[str]] = field(default_factory=dict)
    """Of each room: keys of human messages that were taken."""


@dataclass
class Program:
    """A server that is started again whenever it ends."""

    command: list[str]
    log: Path
    url: str = ""
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            )  # fmt: skip
        assert self.process.stdout is not None
        told = ""
        while not told.endswith("}\n"):
            line = self.process.stdout.readline()
            assert line, f"the server did not start: see {self.log}"
            told += line
        self.url = json.loads(told)["url"]

    def end(self, how: int) -> int:
        """Send a signal and wait; return the exit status."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(how)
        status = self.process.wait(60)
        self.process.stdout.close()
        return status


class Client(threading.Thread):
    """One client: chats, rooms, streams that it leaves, requests that are refused."""

    def __init__(self, number: int, server: Program, account: Account, stop: threading.Event,
                 seed: int) -> None:  # fmt: skip
        super().__init__(daemon=True)
        self.number, self.server, self.account, self.stop = number, server, account, stop
        self.random = random.Random(f"{seed} {number}")
        self.said = 0

    @property
    def room(self) -> str:
        """Its room of now."""
        return f"soak-{self.number}-{self.said // HISTORY}"

    def run(self) -> None:
        """Do one thing after the other."""
        doing = (self.chat, self.leave, self.talk, self.talk, self.follow, self.nonsense)
        while not self.stop.is_set():
            with httpx.Client(base_url=self.server.url, timeout=120, trust_env=False) as http:
                try:
                    for _ in range(self.random.randint(1, 4)):
                        self.random.choice(doing)(http)
                except httpx.HTTPError as error:  # it was killed
                    self.account.answers[type(error).__name__] += 1
                    self.stop.wait(0.3)

    def noted(self, response: httpx.Response, what: str) -> bool:
        """Count a response; True if it is good."""
        self.account.answers[f"{what} {response.status_code}"] += 1
        return response.status_code < 300

    def _chat(self) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.random.choice(MODELS), "stream": True}
        text = f"Number {self.random.randrange(1000)}: {'and so on ' * self.random.randrange(30)}"
        return body | {"messages": [{"role": "user", "content": text}], "max_tokens": 40}

    def chat(self, http: httpx.Client) -> None:
        """Stream a chat to its end."""
        with http.stream("POST", "/v1/chat/completions", json=self._chat()) as response:
            self.noted(response, "chat")
            last = [line for line in response.iter_lines() if line]
        if response.status_code == 200 and last[-1] != "data: [DONE]":
            self.account.answers["chat without an end"] += 1

    def leave(self, http: httpx.Client) -> None:
        """Leave in the middle of a stream."""
        pieces = self.random.randrange(6)
        with http.stream("POST", "/v1/chat/completions", json=self._chat()) as response:
            self.noted(response, "left chat")
            for number, _ in enumerate(response.iter_lines()):
                if number >= pieces:
                    break

    def talk(self, http: httpx.Client) -> None:
        """Say something in a room, until it is taken, and let a persona answer or leave."""
        room, key = self.room, f"k{self.number}-{self.said}"
        text = f"message {key}"
        self.said += 1
        while not self.stop.is_set():
            try:
                made = http.post("/api/rooms", json={"id": room, "humans": [f"P{self.number}"]})
                body = {"person": f"P{self.number}", "text": text, "key": key}
                said = http.post(f"/api/rooms/{room}/say", json=body) if made.is_success else made
                if self.noted(said, "say"):
                    break
            except httpx.HTTPError as error:
                self.account.answers[type(error).__name__] += 1
            self.stop.wait(0.3)
            http = httpx.Client(base_url=self.server.url, timeout=120, trust_env=False)
        else:
            return
        self.account.keys.setdefault(room, []).append(text)
        self._take(room, [said.json()["message"]])
        chance = self.random.random()
        if chance < 0.5:
            spoken = http.post(f"/api/rooms/{room}/speak", json={})
            if self.noted(spoken, "speak"):
                self._take(room, spoken.json()["messages"])
        elif chance < 0.8:
            with suppress(httpx.TimeoutException):
                wait = httpx.Timeout(60, read=self.random.uniform(0.05, 1))
                http.post(f"/api/rooms/{room}/speak", json={}, timeout=wait)

    def _take(self, room: str, messages: list[dict[str, Any] | None]) -> None:
        taken = self.account.taken.setdefault(room, {})
        for message in filter(None, messages):
            taken[message["id"]] = message["text"]

    def follow(self, http: httpx.Client) -> None:
        """Follow a room's events for a moment, and close them."""
        if not self.noted(http.post("/api/rooms", json={"id": self.room}), "room"):
            return
        lines = self.random.randrange(1, 8)
        wait = httpx.Timeout(60, read=self.random.uniform(0.2, 2))
        with (
            suppress(httpx.ReadTimeout),
            http.stream("GET", f"/api/rooms/{self.room}/events", timeout=wait) as response,
        ):
            self.noted(response, "events")
            for number, _ in enumerate(response.iter_lines()):
                if number >= lines:
                    break

    def nonsense(self, http: httpx.Client) -> None:
        """Ask what is refused."""
        body = self.random.choice(
            [b"{", b'{"model": 3}', b'{"model":"nobody","messages":[]}', b"\xff" * 9, b"x" * 10**6]
        )
        headers = {"Content-Type": "application/json"}
        self.noted(http.post("/v1/chat/completions", content=body, headers=headers), "nonsense")


def watch(pids: Any, stop: threading.Event, memory: dict[str, list[float]]) -> None:
    """Write down the memory of processes, by name, every few seconds until `stop`."""
    while not stop.wait(MEMORY_SECONDS):
        for name, pid in pids().items():
            with suppress(psutil.Error):
                memory.setdefault(name, []).append(psutil.Process(pid).memory_info().rss / 1e6)


def growth(megabytes: list[float]) -> dict[str, float]:
    """Medians after the first tenth and at the end, and the growth between them."""
    tenth = max(1, len(megabytes) // 10)
    before = statistics.median(megabytes[tenth : 2 * tenth])
    after = statistics.median(megabytes[-tenth:])
    return {"before": round(before, 1), "after": round(after, 1),
            "growth": round(after / before - 1, 4)}  # fmt: skip


class Chaos(threading.Thread):
    """Ends the server every few seconds, and starts it again."""

    def __init__(self, server: Program, stop: threading.Event, seed: int) -> None:
        super().__init__(daemon=True)
        self.server, self.stop = server, stop
        self.random = random.Random(seed)
        self.ends: Counter[str] = Counter()

    def run(self) -> None:
        """End it and start it again."""
        while not self.stop.wait(self.random.uniform(*KILL_SECONDS)):
            how = self.random.choice([signal.SIGKILL, signal.SIGTERM])
            status = self.server.end(how)
            self.ends[f"{how.name} {status}"] += 1
            self.server.start()


async def soak_discord(folder: Path, seconds: float, pids: dict[str, int], seed: int,
                       calm_over: threading.Event) -> dict[str, Any]:  # fmt: skip
    """Let Eve talk to a clone in a simulated channel whose bot is killed; return the account."""
    choose = random.Random(seed)
    kills = said = 0
    async with discord.bridged() as (bridge, address):
        open_room(folder, bridge.channel)
        end = time.monotonic() + seconds
        log = folder / "bot.log"
        while time.monotonic() < end:
            async with discord.process(log, "alone.py", folder, address, "0.01") as bot:
                bridge.sockets.clear()
                discord.begin(bot)
                pids["bot"] = bot.pid
                await discord.until("connected", lambda: bridge.sockets, seconds=60)
                lives = choose.uniform(*KILL_SECONDS)
                killed_at = time.monotonic() + lives
                while time.monotonic() < end:
                    if calm_over.is_set() and time.monotonic() > killed_at:
                        break
                    bridge.say(f"ana, number {said}")
                    said += 1
                    await asyncio.sleep(choose.uniform(0.1, 3))
                    if not calm_over.is_set():
                        killed_at = time.monotonic() + lives
                pids.pop("bot", None)
                if time.monotonic() < end:
                    bot.kill()
                    await bot.wait()
                    kills += 1
                    for _ in range(choose.randrange(3)):  # while nobody listens
                        bridge.say(f"ana, number {said}")
                        said += 1
                    continue
                before = -1
                while len(bridge.said()) != before:  # until all is answered
                    before = len(bridge.said())
                    await asyncio.sleep(5)
        with closing(RoomStore(Workspace(folder / "friends").rooms_file)) as store:
            room = list(store.messages(f"discord:{bridge.channel}"))
    heard = Counter(message.text for message in room if not message.by_clone)
    made = Counter(message.text for message in room if message.by_clone)
    there = Counter(bridge.said())  # a clone may well say the same twice
    asked = {f"ana, number {number}" for number in range(said)}
    return {
        "said_by_eve": said,
        "said_by_clones": there.total(),
        "kills": kills,
        "lost": len(asked - heard.keys()) + (made - there).total(),
        "doubled": sum(count - 1 for count in heard.values()) + (there - made).total(),
    }


def check_rooms(url: str, account: Account) -> dict[str, int]:
    """Compare the rooms with what their clients were told."""
    lost = doubled = messages = 0
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as http:
        for room, texts in account.keys.items():
            found = http.get(f"/api/rooms/{room}/messages", params={"last": 10_000})
            there = found.raise_for_status().json()["messages"]
            by_text = Counter(m["text"] for m in there if not m["by_clone"])
            by_id = {m["id"]: m["text"] for m in there}
            messages += len(there)
            lost += sum(text not in by_text for text in texts)
            taken = account.taken.get(room, {})
            lost += sum(by_id.get(number) != text for number, text in taken.items())
            doubled += sum(count - 1 for count in by_text.values()) + len(there) - len(by_id)
    return {"rooms": len(account.keys), "messages": messages, "lost": lost, "doubled": doubled}


def main() -> int:
    """Soak, and print each result as a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workspace", type=Path, nargs="?", default=Path("build", "serving"))
    parser.add_argument("--adapter", default=DEFAULT_ADAPTER)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--engine", default="auto", help="as chat.engine in myna.toml")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(json.dumps({"seed": arguments.seed}), flush=True)
    folder = ROOT / "build" / "soak" / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    myna = [sys.executable, "-m", "myna"]
    if not (arguments.workspace / "adapters" / arguments.adapter).is_dir():
        demo = [*myna, "demo", str(arguments.workspace), "--budget", "30s"]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
    command = [*myna, "-C", str(arguments.workspace), "serve", "--port", "0", "--json",
               "--rate", "1000000", "--adapter", arguments.adapter,
               "--set", f"chat.engine={arguments.engine}"]  # fmt: skip
    server = Program(command, folder / "server.log")
    server.start()
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        MODELS.extend(m["id"] for m in http.get("/v1/models").json()["data"])
    result = soak(server, folder, arguments)
    for name, value in result.items():
        print(json.dumps({name: value}), flush=True)
    return faults(result)


def soak(server: Program, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The results of all parts, by name."""
    seconds = 60 * arguments.minutes
    stop, calm_over = threading.Event(), threading.Event()
    account, memory, bot = Account(), dict[str, list[float]](), dict[str, int]()
    clients = [
        Client(number, server, account, stop, arguments.seed) for number in range(arguments.clients)
    ]
    server_pid = server.process.pid if server.process else 0
    threads: list[threading.Thread] = [
        *clients,
        threading.Thread(
            target=watch, args=(lambda: bot | {"server": server_pid}, calm_over, memory)
        ),
    ]
    chats: dict[str, Any] = {}

    def talk_on_discord() -> None:
        chats.update(asyncio.run(soak_discord(folder, seconds, bot, arguments.seed, calm_over)))

    threads.append(threading.Thread(target=talk_on_discord))
    for thread in threads:
        thread.start()
    time.sleep(seconds * CALM_SHARE)
    calm_over.set()
    chaos = Chaos(server, stop, arguments.seed)
    chaos.start()
    time.sleep(seconds * (1 - CALM_SHARE))
    stop.set()
    for thread in [*threads, chaos]:
        thread.join(300)
    rooms = check_rooms(server.url, account)
    chaos.ends[f"last SIGTERM {server.end(signal.SIGTERM)}"] += 1
    logs = "".join(path.read_text("utf-8", "replace") for path in folder.glob("*.log"))
    return {
        "memory": {name: growth(values) for name, values in memory.items()},
        "rooms": rooms,
        "discord": chats,
        "ends": dict(chaos.ends),
        "answers": dict(sorted(account.answers.items())),
        "tracebacks": logs.count("Traceback (most recent call last)"),
        "log": str(folder),
    }


def faults(result: dict[str, Any]) -> int:
    """The exit status of a result: 1 if anything is wrong in it."""
    bad = [part["growth"] > MAX_GROWTH for part in result["memory"].values()]
    for part in ("rooms", "discord"):
        bad += [result[part].get(what, 1) > 0 for what in ("lost", "doubled")]
    # A server that is being stopped says 503.
    bad += [bool(re.search(r" 50[0124]$|without an end", name)) for name in result["answers"]]
    bad += [name.startswith("SIGTERM") and not name.endswith(" 0") for name in result["ends"]]
    return int(any(bad) or result["tracebacks"] > 0)


if __name__ == "__main__":
    sys.exit(main())
