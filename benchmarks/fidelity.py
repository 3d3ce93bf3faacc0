"""Four ways to a clone of the same people on the same base: which one is nearest to them?

python benchmarks/fidelity.py [--chat FILE] [--tokens 34000] [--seeds 1] [--items 120] [--rooms 10]

    prompt      the base as it is, with a description of the person and past exchanges
    pairs       the partner's last turn and the person's, in the base's chat template
    sharegpt    conversations of human and gpt in that template, without overlap
    myna        as `myna train` does it

The chat is Apollo 11's unless another is given, with the same cleaning and splits for all. One
adapter has all people; the three ways that train have the same LoRA, loop and batches, and the
learning rate of three that gives the fewest bits per character on the validation split
(`--pilot 0.3` chooses it by trainings of 0.3 of the tokens). Two tables: as many tokens
processed, and as many tokens trained, as myna's. Bits per character of the same test replies,
replies and rooms with the same settings, 95 % intervals by conversation. A run that was stopped
goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import fidelity_table
from fidelity_ways import WAYS, Chat
from myna import apollo11, config, people, workspace
from myna.artifacts import TurnTaking
from myna.cli import prepare
from myna.engines.open_engine import open_engine
from myna.engines.transformers_engine import Transformers
from myna.evaluation.likelihood import reply_bits
from myna.evaluation.moments import (
    Moment,
    draw_moments,
    draw_openings,
    lines_of_turns,
    speak_turn,
)
from myna.importing.discover import discover_chats
from myna.importing.import_files import import_files
from myna.models.loading import load_adapter, load_base
from myna.people.consent_checker import ConsentChecker, Trained, TrainedPerson
from myna.persona.clone import Clone
from myna.persona.next_speaker import fit_turn_taking
from myna.persona.prompt import PromptMessage
from myna.training import methods
from myna.training.data import BatchSampler, Samples, reply_table
from myna.training.distributed import make_accelerator
from myna.training.kernels.install import install_kernels
from myna.training.loop import TrainingJob
from myna.training.loop import run as train
from myna.training.progress import TrainingCallbacks
from myna.workspace import Workspace, read_json, write_json

RATES = (1 / 3, 1.0, 3.0)
"""Learning rates that are tried, over that of the settings."""


@dataclass(frozen=True)
class Training:
    """A training of a way.

    Attributes:
        way: one of `WAYS`.
        rate: the learning rate.
        seed: of the LoRA and of the order.
        epochs: passes over the samples.
    """

    way: str
    rate: float
    seed: int
    epochs: float

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.way}-{self.epochs:.4f}-{self.rate:.2g}-{self.seed}"


def amounts(samples: Samples, settings: config.Train, epochs: float) -> tuple[int, int]:
    """Tokens processed and tokens trained in so many epochs, as the loop's batches come."""
    sampler = BatchSampler(samples.lengths(), settings.batch_tokens, settings.seed)
    drawn = [i for step in range(sampler.steps(epochs)) for i in sampler.batch(step)]
    lengths, targets = samples.lengths(), samples.target_counts()
    return sum(lengths[i] for i in drawn), sum(targets[i] for i in drawn)


def folder_of(chat: Chat, name: str) -> Path:
    """The folder of what was made of a training, for this size."""
    size = chat.size
    return chat.space.root / f"ways-{size.items}-{size.rooms}-{size.turns}" / name


def carry_out(chat: Chat, training: Training) -> dict[str, Any]:
    """Train an adapter and measure it on the validation split, unless that is done."""
    folder = folder_of(chat, training.name)
    if (done := read_json(folder / "trained.json")) is not None:
        return dict(done)
    print(f"training {training.name}", file=sys.stderr, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    changes = [f"train.num_train_epochs={training.epochs}", f"train.seed={training.seed}"]
    changes += [f"train.learning_rate={training.rate}", "train.previews=0", "train.patience=0"]
    changes += ["train.validations=0", "train.tensorboard=false"]
    settings = config.override(chat.settings, changes).train
    accelerator = make_accelerator()
    model, _ = methods.load_for_training(chat.base, settings, accelerator.device)
    model = methods.add_lora(model, settings)
    methods.add_kernels(model, settings.method, split=False)
    samples = chat.samples(training.way)
    # No validation of its own: every rate gives its last weights.
    job = TrainingJob(
        model, samples, Samples([], []), settings, folder, accelerator, TrainingCallbacks()
    )
    train(job)
    methods.save_trained(model, chat.base, settings, folder / "adapter")
    processed, trained = amounts(samples, settings, training.epochs)
    validation = bits_of_replies(chat, training.way, model, "validation")
    measured = {"processed": processed, "trained": trained, "validation": validation}
    write_json(folder / "trained.json", measured)
    return measured


def tested(chat: Chat, way: str, folder: Path) -> dict[str, Any]:
    """Measure an adapter, or the base where there is none, on the test split, unless it is done.

    Returns the bits of each reply, and the weights of turn-taking that myna fits.
    """
    if (done := read_json(folder / "tested.json")) is not None:
        return dict(done)
    print(f"likelihood of {folder.name}", file=sys.stderr, flush=True)
    model = load_base(chat.base)
    if way != "prompt":
        model = load_adapter(model, folder / "adapter")
    install_kernels(model)
    taking = TurnTaking()
    if way == "myna":
        engine = Transformers(chat.base, None, chat.base.context, model=model)
        form, validation = chat.format(way), chat.split("validation")
        taking = fit_turn_taking(engine, form, chat.tokenizer, validation)
    test = bits_of_replies(chat, way, model, "test")
    measured = {"test": test, "turn_taking": asdict(taking)}
    write_json(folder / "tested.json", measured)
    return measured


def bits_of_replies(chat: Chat, way: str, model: Any, split: str) -> list[tuple[float, int, int]]:
    """Bits, characters and conversation of drawn replies: half as many of validation."""
    clone = clone_of(chat, way, Transformers(chat.base, None, chat.base.context, model=model))
    items = chat.size.items if split == "test" else chat.size.items // 2
    moments = draw_moments(chat.moments(split), items)
    table = reply_table(
        (chat.builder(way, clone, moment.scene), moment.person, moment.reply.text)
        for moment in moments
    )
    bits = reply_bits(model, table, adapter=True)["bits"].to_list()
    return [
        (b, len(moment.reply.text), moment.conversation)
        for b, moment in zip(bits, moments, strict=True)
    ]


def clone_of(chat: Chat, way: str, engine: Any, taking: TurnTaking | None = None) -> Clone:
    """A way in an engine, ready to talk; only myna's has its guard against repeats."""
    persons = people.load(chat.space.people_file).persons
    trained = {p.display_name: TrainedPerson.of(p) for p in persons}
    own = {name: trained[name] for name in chat.info.personas}
    return Clone(
        engine=engine,
        tokenizer=chat.tokenizer,
        personas=chat.info.personas,
        consents=ConsentChecker(chat.space, Trained(way, own), "owner"),
        format=chat.format(way),
        channels=chat.info.channels,
        chat=chat.settings.chat,
        rng=random.Random(0),
        habits=chat.info.habits if way == "myna" else {},
        turn_taking=taking or TurnTaking(),
    )


def spoken(chat: Chat, way: str, folder: Path, taking: dict[str, Any]) -> dict[str, Any]:
    """The replies and rooms of a way, unless they are there."""
    if (done := read_json(folder / "spoken.json")) is not None:
        return dict(done)
    print(f"replies and rooms of {folder.name}", file=sys.stderr, flush=True)
    adapter = folder / "adapter"
    engine = open_engine(
        chat.settings.chat.engine, chat.base, adapter if adapter.exists() else None, context=4096
    )
    clone = clone_of(chat, way, engine, TypeAdapter(TurnTaking).validate_python(taking))
    moments = chat.moments("test")
    try:
        replies = []
        for i, moment in enumerate(draw_moments(moments, chat.size.items)):
            prompt = chat.builder(way, clone, moment.scene)
            speaker = replace(clone, rng=random.Random(i))
            replies.append(speak_turn(speaker, prompt, moment.person, moment.conversation))
        openings = draw_openings(moments, chat.size.rooms)
        rooms = [room(chat, way, clone, opening, i) for i, opening in enumerate(openings)]
    finally:
        clone.close()
    made = {"replies": [asdict(reply) for reply in replies], "rooms": rooms}
    write_json(folder / "spoken.json", made)
    return made


def room(
    chat: Chat, way: str, clone: Clone, opening: Moment, seed: int
) -> Sequence[tuple[str, str]]:
    """The lines of a room that begins with a moment."""
    speaker = replace(clone, rng=random.Random(seed))
    history, said = [*opening.scene.before], []
    among = [person for person in opening.scene.people if person in clone.personas]
    for _ in range(chat.size.turns):
        scene = replace(opening.scene, before=history, after=[PromptMessage(among[0], "")])
        plain = scene.prompt_builder(clone.format, clone.tokenizer, clone.engine.context)
        person = speaker.next_speaker(plain, among)
        prompt = chat.builder(way, clone, replace(scene, after=[PromptMessage(person, "")]))
        said.append(speak_turn(speaker, prompt, person, opening.conversation))
        if said[-1].text:
            history = [*history, PromptMessage(person, said[-1].text)]
    return lines_of_turns(said)


def result(chat: Chat, way: str, folder: Path) -> dict[str, Any]:
    """All that a way gave: bits, replies and rooms."""
    measured = tested(chat, way, folder)
    return {**measured, **spoken(chat, way, folder, measured["turn_taking"])}


def best(chat: Chat, way: str, seed: int, epochs: float) -> dict[str, Any]:
    """The result of the training with the rate that is best on validation."""

    def loss(training: Training) -> float:
        rows = carry_out(chat, training)["validation"]
        return float(sum(row[0] for row in rows) / sum(row[1] for row in rows))

    usual = chat.settings.train.learning_rate
    tried = [Training(way, usual * r, seed, epochs * chat.size.pilot) for r in RATES]
    chosen = replace(min(tried, key=loss), epochs=epochs)
    trained = carry_out(chat, chosen)
    return {**trained, **result(chat, way, folder_of(chat, chosen.name)), "rate": chosen.rate}


def measure(chat: Chat) -> dict[str, list[fidelity_table.Result]]:
    """The results of every way for both tables."""
    sizes = {way: chat.samples(way) for way in WAYS}
    wanted = chat.size.tokens
    own = wanted / sum(sizes["myna"].lengths())
    trained = amounts(sizes["myna"], chat.settings.train, own)[1]
    epochs = {
        "processed": {way: wanted / sum(sizes[way].lengths()) for way in WAYS},
        "trained": {way: trained / sizes[way].trained_tokens() for way in WAYS} | {"myna": own},
    }
    untrained = {"processed": 0, "trained": 0}
    prompted = {**untrained, **result(chat, "prompt", folder_of(chat, "prompt"))}
    return {
        table: [
            fidelity_table.Result("prompt", [prompted]),
            *(
                fidelity_table.Result(
                    way, [best(chat, way, seed, passes[way]) for seed in range(chat.size.seeds)]
                )
                for way in WAYS
            ),
        ]
        for table, passes in epochs.items()
    }


def main() -> None:
    """Measure all ways and print two tables in Markdown, and their data as a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chat", type=Path, help="an export; without it Apollo 11")
    for name, default in (("tokens", 34_000), ("seeds", 1), ("items", 120), ("rooms", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--turns", type=int, default=20, help="of a room")
    parser.add_argument("--pilot", type=float, default=1.0, help="share that rates are tried on")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    size = parser.parse_args()
    folder = size.folder or Path("build", "fidelity", size.chat.stem if size.chat else "apollo-11")
    if not (folder / "myna.toml").exists():
        workspace.create(folder)
    space = Workspace(folder.resolve())
    if size.chat is None:
        apollo11.import_transcript(space)
    elif not space.message_files():
        for _ in import_files(space, discover_chats([size.chat]).chats, consent="clone"):
            pass
    settings = config.override(space.settings(), size.set)
    prepare.prepare_if_stale(space, settings)
    chat = Chat(space, settings, size)
    tables = measure(chat)
    turns = fidelity_table.RealTurns.of(chat.split("train"), chat.split("test"), chat.info.personas)
    for table, results in tables.items():
        print(f"\nas many tokens {table}\n\n{fidelity_table.markdown(results, turns)}")
    print(json.dumps({name: fidelity_table.plain(rows, turns) for name, rows in tables.items()}))


if __name__ == "__main__":
    main()
