"""A clone of four friends whose engine is a few lines of Python, for bots to talk with."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import tokenizers
from tests.consents import friend
from tests.metadata import prompt_format

from myna import config, people, workspace
from myna.artifacts import Channel
from myna.bots.front import Front
from myna.bots.host import Host
from myna.bots.outbox import Outbox
from myna.config import Sampling
from myna.engines.queueing import Queue
from myna.errors import EngineError
from myna.people import People, Person
from myna.people.consent_checker import ConsentChecker, Trained, TrainedPerson
from myna.persona.clone import Clone
from myna.rendering.tokenizer import Tokenizer
from myna.rooms.registry import Rooms
from myna.rooms.store import RoomStore
from myna.workspace import Workspace

TOKEN = "MTIz.c2Vj.cmV0LW9mLWEtdGVzdA"  # noqa: S105
API_VERSION = "/api/v10"
"""Of Discord's API, in the path of its addresses."""
FRIENDS = ["Ana Silva", "Ben Okoro", "Cy", "Dee"]


def letters(folder: Path) -> Tokenizer:
    """A tokenizer whose tokens are bytes."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    model = tokenizers.models.BPE({c: i for i, c in enumerate(alphabet)}, [])
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens(["<end>"])
    folder.mkdir(exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text('{"eos_token_id": 256}', "utf-8")
    return Tokenizer(folder)


class Echo:
    """An engine: whoever speaks repeats the last words in `lines` messages.

    Told `say TEXT`, they say just that. It counts its calls, and takes `seconds` for each.
    """

    name = "echo"
    can = frozenset({"stream", "next_probs"})
    context = 100_000

    def __init__(self, tokenizer: Tokenizer, *, lines: int = 1, seconds: float = 0) -> None:
        self.slots = 2
        self.saying = ""
        """The text of every turn; "" to repeat the last message."""
        self.failing = 0
        """Number of next calls that fail."""
        self.prompts: list[str] = []
        self.running = self.most_running = 0
        self._tokenizer = tokenizer
        self._lines = lines
        self._seconds = seconds
        self._lock = threading.Lock()

    def stream(self, prompt: Sequence[int], sampling: Sampling) -> Generator[str, None, str]:
        if self.failing:
            self.failing -= 1
            raise EngineError("the engine tripped")
        text = self._tokenizer.decode(list(prompt))
        with self._lock:
            self.prompts.append(text)
            self.running += 1
            self.most_running = max(self.running, self.most_running)
        try:
            words = re.sub(r"\A[\w ()]+: ", "", text.splitlines()[-2])
            told = re.match(r".*\bsay (.*)", words)
            for number in range(self._lines):
                time.sleep(self._seconds)
                said = self.saying or (told[1] if told else f"re {words}")
                yield f"{' ' if not number else ''}{said}{f' {number + 1}' if number else ''}\n"
            yield "Nobody:"
        finally:
            with self._lock:
                self.running -= 1
        return "stop"

    def next_probs(self, prompt: Sequence[int], top: int = 1000) -> dict[int, float]:
        return dict.fromkeys(range(256), 1 / 256)

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        raise NotImplementedError

    def close(self) -> None:
        pass


class World:
    """A workspace with a clone in it, and what a bot is made of."""

    def __init__(self, folder: Path, *, lines: int = 1, seconds: float = 0, **bot: object) -> None:
        self.space: Workspace = (
            Workspace(folder / "friends")
            if (folder / "friends").exists()
            else workspace.create(folder / "friends")
        )
        self.tokenizer = letters(folder / "letters")
        self.engine = Echo(self.tokenizer, lines=lines, seconds=seconds)
        self.settings = config.Bot.model_validate(
            {"typing_speed": 0, "chattiness": 0, "servers": ["*"]} | bot
        )
        if not self.space.people_file.exists():
            self.consent(dict.fromkeys(FRIENDS, "clone"))
        self.outboxes: list[Outbox] = []

    def consent(self, consents: dict[str, str], **accounts: str) -> None:
        """Write the consent of people; further accounts by the first word of a name."""
        persons = tuple(
            Person(name, (f"test:{name}", *filter(None, [accounts.get(name.split()[0])])), consent)  # type: ignore[arg-type]
            for name, consent in consents.items()
        )
        people.save(self.space.people_file, People(persons))

    def bot_parts(self, platform: str, seed: int = 1) -> tuple[Outbox, ConsentChecker, object]:
        """The parts that a front end gets: outbox, consents, and a factory of the host."""
        known = {p.name: p for p in people.load(self.space.people_file).persons}
        each = {name: TrainedPerson.of(known.get(name) or friend(name)) for name in FRIENDS}
        trained = Trained("group", each, has_own_adapters=True)
        consents = ConsentChecker(self.space, trained, "group")
        clone = Clone(
            engine=self.engine,
            tokenizer=self.tokenizer,
            personas=list(FRIENDS),
            consents=consents,
            format=prompt_format(max_length=4096),
            channels=[Channel("s", "tea", list(FRIENDS))],
            chat=config.Chat(),
            rng=random.Random(1),
        )
        self.store = RoomStore(self.space.rooms_file)
        self.rooms = Rooms(clone, self.store, Queue(self.engine.slots, 1000))
        outbox = Outbox(self.space.bots / f"{platform}.sqlite")
        self.outboxes.append(outbox)

        def make(front: Front) -> Host:
            self.host = Host(
                self.rooms,
                outbox,
                consents,
                self.settings,
                front,
                off_file=self.space.bots / "OFF",
                count_tokens=lambda text: len(self.tokenizer.encode(text).ids),
                slots=self.engine.slots,
                rng=random.Random(seed),
            )
            return self.host

        return outbox, consents, make

    def close(self) -> None:
        """Let go of the files."""
        for outbox in self.outboxes:
            outbox.close()
        self.store.close()
