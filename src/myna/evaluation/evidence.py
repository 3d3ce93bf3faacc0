"""The evidence that metrics look at: real messages, replies, rooms and likelihoods.

Each part is gathered when a metric first asks for it, and kept in a folder until the report
is written, so that a run that was stopped goes on where it was. A metric sees plain data and
need not know where it comes from.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from myna.artifacts import AdapterInfo
from myna.config import override
from myna.engines.open_engine import SERVER_ENGINES
from myna.errors import WorkspaceError
from myna.evaluation.likelihood import draw_samples, reply_bits
from myna.evaluation.measure import SignedText, Size
from myna.evaluation.moments import (
    GeneratedReply,
    Moment,
    Room,
    draw_moments,
    draw_openings,
    find_moments,
    generate_reply,
    generate_room,
    lines_of_turns,
    real_stretches,
    signed_turns,
)
from myna.models.loading import load_adapter, load_base
from myna.persona.clone import Clone, find_adapter_base, open_clone
from myna.preparing.prepare import read_samples
from myna.rendering.tokenizer import Tokenizer
from myna.training.data import are_seen
from myna.training.kernels.install import install_kernels
from myna.workspace import Workspace, read_json

Item = TypeVar("Item")
Progress = Callable[[str, int, int], None]
"""Called with the name of the work, the number of items done, and of all."""


class Evidence:
    """Real messages, replies, rooms and likelihoods of one adapter.

    Attributes:
        personas: the people who are cloned.
        size: how much is drawn.
        report: called with lines for the user.
    """

    def __init__(
        self,
        workspace: Workspace,
        name: str,
        size: Size,
        report: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self.workspace, self.name, self.size = workspace, name, size
        self.report, self.progress = report, progress
        self.info = AdapterInfo.load(workspace, name)
        self.settings = workspace.settings()
        self.personas = self.info.personas
        self.folder = workspace.reports / f".{name}.unfinished"
        self._open = ExitStack()

    def gather(
        self, what: str, items: Sequence[Item], make: Callable[[int, Item], Any]
    ) -> list[Any]:
        """Plain data made of each item; what an earlier run made is read instead.

        Args:
            what: name of the work, for people; also the name of its file.
            items: in a fixed order.
            make: gives JSON data of an item and its number.
        """
        path = self.folder / f"{what.replace(' ', '-')}.jsonl"
        made = _read_lines(path)[: len(items)]
        self.progress(what, len(made), len(items))
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a", encoding="utf-8") as file:
            for i in range(len(made), len(items)):
                made.append(make(i, items[i]))
                file.write(json.dumps(made[-1], ensure_ascii=False) + "\n")
                file.flush()
                self.progress(what, i + 1, len(items))
        return made

    def release(self) -> None:
        """Close the models that are open; the next metric that needs one opens it again."""
        self._open.close()
        for name in ("clone", "base", "scorer", "base_scorer"):
            self.__dict__.pop(name, None)
        gc.collect()

    @cached_property
    def messages(self) -> pl.DataFrame:
        """All prepared messages."""
        return pl.read_parquet(self.workspace.prepared / "messages.parquet")

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the base."""
        return Tokenizer(find_adapter_base(self.name, self.info, weights=False).folder)

    def split(self, name: str) -> pl.DataFrame:
        """The prepared messages of a split."""
        return self.messages.filter(pl.col("split") == name)

    @cached_property
    def train(self) -> list[SignedText]:
        """Real turns of personas that training may have seen."""
        return signed_turns(self.split("train"), self.personas)

    @cached_property
    def all_train(self) -> list[SignedText]:
        """Turns of everybody in the train split."""
        train = self.split("train")
        return signed_turns(train, train["person"].unique().to_list())

    @cached_property
    def real(self) -> list[SignedText]:
        """Real turns of personas in the test split."""
        return signed_turns(self.split("test"), self.personas)

    @cached_property
    def all_moments(self) -> list[Moment]:
        """Every moment of the test split."""
        return find_moments(self.split("test"), self.personas)

    @cached_property
    def moments(self) -> list[Moment]:
        """The moments that are answered, drawn evenly over the personas."""
        return draw_moments(self.all_moments, self.size.items)

    @cached_property
    def replies(self) -> list[GeneratedReply]:
        """The clone's answers to `moments`."""
        return self._answers("replies of the clone", lambda: self.clone, self.moments)

    @cached_property
    def base_moments(self) -> list[Moment]:
        """Every other moment: those that the base answers."""
        return self.moments[::2]

    @cached_property
    def base_replies(self) -> list[GeneratedReply]:
        """The base's answers to `base_moments`; none where a server runs the model."""
        if self.settings.chat.engine in SERVER_ENGINES:
            return []
        return self._answers("replies of the base", lambda: self.base, self.base_moments)

    def _answers(
        self, what: str, speaker: Callable[[], Clone], moments: Sequence[Moment]
    ) -> list[GeneratedReply]:
        def answer(i: int, moment: Moment) -> dict[str, Any]:
            return asdict(generate_reply(speaker(), moment, seed=i))

        return [GeneratedReply(**entry) for entry in self.gather(what, moments, answer)]

    @cached_property
    def openings(self) -> list[Moment]:
        """The moments that rooms are opened with."""
        return draw_openings(self.all_moments, self.size.rooms)

    @cached_property
    def room_turns(self) -> list[list[GeneratedReply]]:
        """The turns of rooms in which the clones talk among themselves."""

        def talk(i: int, opening: Moment) -> list[dict[str, Any]]:
            return [*map(asdict, generate_room(self.clone, opening, self.size.turns, seed=i))]

        rooms = self.gather("rooms", self.openings, talk)
        return [[GeneratedReply(**turn) for turn in room] for room in rooms]

    @cached_property
    def rooms(self) -> list[Room]:
        """The lines of `room_turns`."""
        return [*map(lines_of_turns, self.room_turns)]

    @cached_property
    def stretches(self) -> list[Room]:
        """Real lines beside `rooms`, one stretch as long as each."""
        return [*real_stretches(self.split("test"), [len(room) for room in self.rooms])]

    @cached_property
    def test_samples(self) -> pl.DataFrame:
        """The samples of the test split whose replies `bits` are of."""
        samples = read_samples(self.workspace, "test")
        return samples if self.size.full else draw_samples(samples, self.size.items)

    @cached_property
    def bits(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Bits of the test split's replies by base and by clone; see `reply_bits`."""
        return self.bits_of_samples(self.test_samples, "likelihood")

    @cached_property
    def train_samples(self) -> pl.DataFrame:
        """Samples that the adapter was trained on, with as many replies as `test_samples`.

        Raises:
            WorkspaceError: the samples are others than when it was trained.
        """
        samples = read_samples(self.workspace, "train")
        is_seen = pl.Series([False] * samples.height)
        for person, adapter in self.info.adapters.items() or [(None, self.name)]:
            seen = read_json(self.workspace.adapter(adapter) / "seen.json") or []
            is_seen |= pl.Series(are_seen(samples, set(seen), person))
        samples = samples.filter(is_seen)
        if samples.is_empty():
            raise WorkspaceError(
                f"none of the samples is one that adapter '{self.name}' was trained on: "
                "they were prepared again, so train again"
            )
        return draw_samples(samples, sum(map(len, self.test_samples["target_spans"])))

    @cached_property
    def train_bits(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Bits of the replies in `train_samples` by base and by clone."""
        return self.bits_of_samples(self.train_samples, "likelihood of training text")

    def clone_bits(self) -> pl.DataFrame:
        """Bits of the replies in `test_samples` by the clone alone."""
        return self._bits(self.test_samples, "likelihood", ("clone",))[0]

    def bits_of_samples(
        self, samples: pl.DataFrame, what: str
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Bits of the replies in samples by base and by clone; see `reply_bits`.

        Args:
            samples: with `ids` and `target_spans`.
            what: name of the work, for people.
        """
        base, clone = self._bits(samples, what, ("base", "clone"))
        return base, clone

    def _bits(self, samples: pl.DataFrame, what: str, kinds: Sequence[str]) -> list[pl.DataFrame]:
        """The bits of replies in samples by these kinds of model."""
        tables: dict[str, list[pl.DataFrame]] = {kind: [] for kind in kinds}
        for person, adapter in self.info.adapters.items() or [(None, self.name)]:
            for kind, found in self._bits_of(adapter, samples, what, kinds).items():
                own = found if person is None else found.filter(pl.col("person") == person)
                tables[kind].append(own)
        return [pl.concat(found) for found in tables.values()]

    def _bits_of(
        self, adapter: str, samples: pl.DataFrame, what: str, kinds: Sequence[str]
    ) -> dict[str, pl.DataFrame]:
        """The bits of replies by the base and by one adapter on it."""
        base = find_adapter_base(self.name, self.info, weights=True, report=self.report)
        plain = load_base(base)
        scale = self.settings.chat.adapter_scale
        model = load_adapter(plain, self.workspace.adapter(adapter), scale)
        install_kernels(model)
        # A model whose every weight was trained has no adapter to disable.
        models = {"base": model if hasattr(model, "disable_adapter") else plain, "clone": model}

        def measured(kind: str) -> pl.DataFrame:
            return reply_bits(
                models[kind],
                samples,
                adapter=kind == "clone",
                progress=lambda done, total: self.progress(f"{what} of the {kind}", done, total),
            )

        return {kind: measured(kind) for kind in kinds}

    @cached_property
    def clone(self) -> Clone:
        """The clone in the engine that serves it."""
        return self._opened(self.settings.chat.engine)

    @cached_property
    def base(self) -> Clone:
        """The base with the clone's prompts, in the same engine."""
        return replace(self.clone.without_training(), habits=self.clone.habits)

    @cached_property
    def scorer(self) -> Clone:
        """The clone in transformers, for likelihoods."""
        return self._opened("transformers")

    @cached_property
    def base_scorer(self) -> Clone:
        """The base with the clone's prompts in transformers."""
        return replace(self.scorer.without_training(), habits=self.scorer.habits)

    def _opened(self, engine: str) -> Clone:
        settings = override(self.settings, [f"chat.engine={engine}", "chat.memory=false"])
        clone = open_clone(
            self.workspace, self.name, settings, scope="owner", seed=0, report=self.report
        )
        return self._open.enter_context(closing(clone))


def _read_lines(path: Path) -> list[Any]:
    """The JSON lines of a file; a torn last one is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    whole = lines[:-1]
    if lines[-1]:
        path.write_bytes(b"".join(line + b"\n" for line in whole))
    return [json.loads(line) for line in whole]
