"""A real server on a free port, over an engine that says what a test tells it to."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import tokenizers
from fastapi import FastAPI
from openai import OpenAI
from tests.consents import agreed
from tests.metadata import prompt_format
from tokenizers import decoders, models, pre_tokenizers

from myna import config
from myna.artifacts import Channel
from myna.config import Sampling
from myna.engines.engine import Engine
from myna.engines.queueing import Queue
from myna.persona.clone import Clone
from myna.rendering.tokenizer import Tokenizer
from myna.rooms.registry import Rooms
from myna.rooms.store import RoomStore
from myna.serving import server
from myna.serving.access_control import RequestLimits
from myna.serving.openai_chat import ServedModels
from myna.serving.server import ServerOptions, create_app

PERSONAS = ["Ana", "Ben", "Cy"]
KEYED = "a-key-of-many-letters"


class Scripted:
    """An engine that goes on from a prompt as `says` tells, letter by letter.

    It holds before each letter until `go` is set, and writes down what it was asked.
    """

    name = "scripted"
    can = frozenset({"stream", "next_probs"})

    def __init__(self, tokenizer: Tokenizer, context: int = 400, slots: int = 2) -> None:
        self.tokenizer = tokenizer
        self.context = context
        self.slots = slots
        self.says: Callable[[str], str] = lambda _: " ok\n"
        self.likely: dict[str, float] = {}
        """Probabilities of the next letters; all others get a little."""
        self.go = threading.Event()
        self.go.set()
        self.held_from = 0
        """The letter before which it first holds."""
        self.prompts: list[str] = []
        self.sampled: list[Sampling] = []
        self.running = 0
        self.letters = 0
        self.closed = False

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        assert 0 < len(prompt) < self.context, len(prompt)
        text = self.tokenizer.decode(prompt)
        self.prompts.append(text)
        self.sampled.append(sampling)
        self.running += 1
        try:
            for number, letter in enumerate(self.says(text)):
                if number == sampling.max_new_tokens:
                    return "length"
                while number >= self.held_from and not self.go.wait(0.02):
                    yield ""
                self.letters += 1
                yield letter
        finally:
            self.running -= 1
        return "stop"

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        assert 0 < len(prompt) < self.context, len(prompt)
        chances = dict.fromkeys(range(256), 1e-6)
        for letter, chance in self.likely.items():
            chances[self.tokenizer.encode(letter).ids[0]] = chance
        best = sorted(chances.items(), key=lambda entry: -entry[1])
        return dict(best[:top])

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="session")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tokenizer for which each byte is a token, and `<|im_end|>` a control token."""
    return make_letters(tmp_path_factory.mktemp("letters"))


def make_letters(folder: Path) -> Tokenizer:
    """The tokenizer of `letters`, with its files in a folder."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = tokenizers.Tokenizer(models.BPE({sign: n for n, sign in enumerate(alphabet)}, []))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    model.decoder = decoders.ByteLevel()
    model.add_special_tokens(["<|im_end|>"])
    model.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"eos_token_id": 256}))
    return Tokenizer(folder)


@dataclass
class Serving:
    """A server that runs, and what it serves."""

    url: str
    engine: Scripted
    queue: Queue
    process: server.Server
    rooms: Rooms
    engines: dict[str, Scripted] = field(default_factory=dict)
    """Of the personas, where each has an adapter; `engine` is then the first of them."""
    clients: ExitStack = field(default_factory=ExitStack)
    """Closed when the test is over."""

    def client(self, key: str = "none", **options: Any) -> OpenAI:
        """The official client, which tries once."""
        options = {"max_retries": 0, "timeout": 120, **options}
        client = OpenAI(base_url=f"{self.url}/v1", api_key=key, **options)
        return self.clients.enter_context(client)

    def http(self, **options: Any) -> httpx.Client:
        """Plain HTTP."""
        return httpx.Client(base_url=self.url, timeout=120, trust_env=False, **options)

    def ask(self, **fields: Any) -> httpx.Response:
        """A chat of one message, with other fields as given."""
        body = {"model": "Ana", "messages": [{"role": "user", "content": "hi"}], **fields}
        with self.http() as http:
            return http.post("/v1/chat/completions", json=body)


@dataclass
class Starter:
    """Starts servers for a test, and stops them after it."""

    tokenizer: Tokenizer
    folder: Path
    add_pages: Callable[[FastAPI, ServerOptions], None] = lambda *_: None
    """Adds the pages, in the tests of these."""
    personas: Sequence[str] = tuple(PERSONAS)
    running: list[tuple[Serving, threading.Thread]] = field(default_factory=list)

    def __call__(
        self,
        options: ServerOptions | None = None,
        *,
        waiting: int = 8,
        slots: int = 2,
        context: int = 400,
        again: bool = False,
        engine: Engine | None = None,
        per_person: bool = False,
    ) -> Serving:
        """Start one; `again` over the rooms of the one before."""
        own = {
            person: Scripted(self.tokenizer, context, slots)
            for person in (self.personas if per_person else ())
        }
        scripted = next(iter(own.values()), None) or Scripted(self.tokenizer, context, slots)
        clone = Clone(
            engine=engine or scripted,
            engines=dict(own),
            tokenizer=self.tokenizer,
            personas=[*self.personas],
            consents=agreed(self.folder, self.personas, own_adapters=per_person),
            format=prompt_format(max_length=context),
            channels=[Channel("", "tea", [*self.personas])],
            chat=config.Chat(max_new_tokens=60),
            rng=random.Random(1),
        )
        queue = Queue(slots, waiting)
        number = len(self.running) - again
        rooms = Rooms(clone, RoomStore(self.folder / f"rooms-{number}.sqlite"), queue)
        options = options or ServerOptions()
        app = create_app(ServedModels(clone, queue, "group", "Me"), rooms, options)
        self.add_pages(app, options)
        listening = server.bind("127.0.0.1", 0)
        ready = threading.Event()
        process = server.Server(app, options.shutdown_seconds, ready.set)
        thread = threading.Thread(target=process.run, args=([listening],))
        thread.start()
        assert ready.wait(20)
        serving = Serving(server.url_of(listening), scripted, queue, process, rooms, own)
        self.running.append((serving, thread))
        return serving

    def stop(self, serving: Serving) -> None:
        """Shut one down, as SIGTERM does."""
        serving.process.should_exit = True
        next(thread for one, thread in self.running if one is serving).join(20)

    def end(self) -> None:
        """Shut all down."""
        for serving, thread in self.running:
            for engine in (serving.engine, *serving.engines.values()):
                engine.go.set()
            serving.clients.close()
            serving.process.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def start(letters: Tokenizer, tmp_path: Path) -> Iterator[Starter]:
    """Starts servers with options of a test's own."""
    starter = Starter(letters, tmp_path)
    yield starter
    starter.end()


@pytest.fixture(scope="module")
def shared(letters: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server for a module's tests."""
    starter = Starter(letters, tmp_path_factory.mktemp("rooms"))
    limits = RequestLimits(requests_per_minute=1_000_000)  # a quick machine sends many
    yield starter(ServerOptions(limits=limits))
    starter.end()


@pytest.fixture
def serving(shared: Serving) -> Serving:
    """The module's server, its engine as new."""
    engine = shared.engine
    engine.says, engine.likely, engine.letters = (lambda _: " ok\n"), {}, 0
    engine.prompts.clear()
    engine.sampled.clear()
    engine.go.set()
    return shared


def eventually(holds: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.01)
