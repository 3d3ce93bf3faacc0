"""Clones that are known to be bad, really trained, are told from a sound one by the right name.

The base is a tiny Llama that has read how people here talk, but not who says what; each clone
is a LoRA on it, trained by the loop, and everything measured is what it says and expects.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import tokenizers
from tests.small_model import make
from tests.training.cases import train
from tokenizers import decoders, pre_tokenizers, trainers

from myna.artifacts import PromptFormat
from myna.config import Chat, Redaction, Rules, Samples, Train
from myna.engines.transformers_engine import Transformers
from myna.evaluation.against import compare
from myna.evaluation.attribution import MIN_TRAINING_TURNS, measure_attribution
from myna.evaluation.copying import measure_copying
from myna.evaluation.likelihood import measure_bits, reply_bits
from myna.evaluation.measure import Measure, SignedText
from myna.evaluation.moments import GeneratedReply, Moment, lines_of_turns
from myna.evaluation.report import grade
from myna.evaluation.room_metrics import measure_rooms
from myna.evaluation.verdict import find_faults
from myna.models.bases import Base, find_base
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.persona.scenes import Scene
from myna.persona.turn import GeneratedTurn
from myna.rendering.render import encode_segments, render_segments
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import Turn, TurnLine
from myna.training import data
from myna.training.methods import add_lora, train_all_weights

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

Talk = list[PromptMessage]

PEOPLE = ("Ana", "Ben")
OPENERS = {"Ana": ("oh darling", "rather lovely"), "Ben": ("yo dude", "nah bro")}
CLOSERS = {"Ana": ("my dear", "honestly"), "Ben": ("no joke", "for real")}
NEUTRAL = ("well then", "so today", "this time")
MIDDLE = (
    ("we", "they", "I", "you"),
    ("took", "left", "saw", "found", "kept"),
    ("the kettle", "the boat", "the lamp", "the tent", "the bike", "the map"),
    ("near", "behind", "under", "beside"),
    ("the lake", "the hill", "the barn", "the bridge", "the mill"),
)
OWN_WORDS = 0.5
"""Share of lines with an opener, or a closer, of the person's own: the rest say nothing."""
TURNS = 8
"""Of a conversation."""
SYSTEM = "A chat."
FORM = PromptFormat(Samples(system=SYSTEM, max_length=256), Rules(), Redaction(style="off"))
LORA = Train(
    batch_tokens=1024, learning_rate=1e-2, lora_r=8, lora_alpha=16, previews=0, validations=0,
    tensorboard=False, num_train_epochs=6,
)  # fmt: skip


def line(voice: str, rng: random.Random) -> str:
    """A line of somebody with a voice."""
    own = OPENERS[voice], CLOSERS[voice]
    opener, closer = (rng.choice(words if rng.random() < OWN_WORDS else NEUTRAL) for words in own)
    return " ".join([opener, *map(rng.choice, MIDDLE), closer])


def talks(count: int, seed: int, people: Sequence[str] = PEOPLE) -> list[Talk]:
    """Conversations in which two people take turns; others than `PEOPLE` have any voice."""
    rng = random.Random(seed)

    def said(person: str) -> PromptMessage:
        voice = person if person in OPENERS else rng.choice(PEOPLE)
        return PromptMessage(person, line(voice, rng))

    return [
        [said(people[(i + first) % 2]) for i in range(TURNS)]
        for first in (rng.randrange(2) for _ in range(count))
    ]


TRAIN, TEST = talks(32, 1), talks(10, 2)
BEFORE = talks(120, 3, ("Dee", "Eve"))
"""Those that the base has read."""


def caricature(talk: Talk, rng: random.Random) -> Talk:
    """The same people with nothing but their most typical words."""
    return [
        PromptMessage(
            m.person, " ".join(rng.choice(OPENERS[m.person] + CLOSERS[m.person]) for _ in range(5))
        )
        for m in talk
    ]


def swapped(talk: Talk) -> Talk:
    """The same words under the other's name."""
    other = dict(zip(PEOPLE, reversed(PEOPLE), strict=True))
    return [PromptMessage(other[m.person], m.text) for m in talk]


BAD: dict[str, tuple[list[Talk], dict[str, Any]]] = {
    "overfitted": (
        [talk[: 20 - TURNS * i] for i, talk in enumerate(TRAIN[:3])],
        {"num_train_epochs": 30, "batch_tokens": 256},
    ),
    "untrained": (TRAIN[:2], {"num_train_epochs": 1, "learning_rate": 1e-3}),  # one step
    "caricature": ([caricature(talk, random.Random(4)) for talk in TRAIN], {}),
    "copies": (TRAIN[:2], {"num_train_epochs": 80, "lora_r": 16, "lora_alpha": 32}),
    "swapped": ([swapped(talk) for talk in TRAIN], {}),
}
"""By the name of their fault: what each was trained on, and its other settings."""


def builder(tokenizer: Tokenizer, before: Talk, people: Sequence[str] = PEOPLE) -> PromptBuilder:
    return PromptBuilder(FORM, tokenizer, [*people], 400, messages=[*before], day="2024-05-01")


def samples(some: Sequence[Talk], tokenizer: Tokenizer) -> data.Samples:
    """The conversations as `prepare` would make samples of them."""
    header = builder(tokenizer, []).header()
    encoded = [
        encode_segments(
            render_segments(
                FORM.spec, header, [Turn(m.person, (TurnLine(m.text, True),)) for m in talk]
            ),
            tokenizer,
        )
        for talk in some
        if talk
    ]
    return data.Samples([ids for ids, _ in encoded], [mask for _, mask in encoded])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A base that can talk like these people, but knows none of them."""
    folder = tmp_path_factory.mktemp("known-bad") / "base"
    folder.mkdir()
    words = tokenizers.Tokenizer(tokenizers.models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.train_from_iterator(
        (f"{m.person}: {m.text}\n" for talk in (*TRAIN, *BEFORE) for m in talk),
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=["</s>"], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )  # fmt: skip
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    model = make(
        words.get_vocab_size(), hidden_size=64, intermediate_size=128, num_key_value_heads=4,
        max_position_embeddings=512, bos_token_id=None, eos_token_id=0,
    )  # fmt: skip
    model.lm_head.weight.div_(20)
    full = LORA.model_copy(update={"method": "full", "num_train_epochs": 5, "learning_rate": 5e-3})
    read = samples(BEFORE, Tokenizer(folder))
    train(train_all_weights(model), read, data.Samples([], []), full, folder / "work")
    model.save_pretrained(folder)
    return find_base(str(folder), weights=True)


class Judge:
    """Trains clones of a base and measures them."""

    def __init__(self, base: Base, work: Path) -> None:
        from myna.models.loading import load_base

        self.base, self.work, self.tokenizer = base, work, Tokenizer(base.folder)
        self.model = load_base(base)
        self.real = [SignedText(m.person, m.text, i) for i, talk in enumerate(TEST) for m in talk]
        self.moments = [
            Moment(Scene("", "", [*PEOPLE], talk[max(0, i - 3) : i], talk[i : i + 1]), number)
            for number, talk in enumerate(TEST)
            for i in range(1, TURNS)
        ]
        self.known: dict[str, list[Measure]] = {}

    def measures(self, name: str) -> list[Measure]:
        """The figures of a clone: "sound", or one of `BAD`."""
        if name not in self.known:
            some, changes = BAD.get(name, (TRAIN, {}))
            settings = LORA.model_copy(update=changes)
            model = add_lora(copy.deepcopy(self.model), settings)
            chosen = samples(some, self.tokenizer)
            train(model, chosen, data.Samples([], []), settings, self.work / name)
            self.known[name] = self._measured(model)
        return self.known[name]

    def _measured(self, model: Any) -> list[Measure]:
        table = data.reply_table(
            (builder(self.tokenizer, m.scene.before), m.person, m.reply.text) for m in self.moments
        )
        bits = [reply_bits(model, table, adapter=adapter) for adapter in (False, True)]
        engine = Transformers(self.base, None, 512, model=model)
        drawn = self.moments[::2]
        replies = [self._reply(engine, m.scene.before, m, i) for i, m in enumerate(drawn)]
        rooms = [lines_of_turns(self._room(engine, moment)) for moment in self.moments[:14:7]]
        lines = [(m.person, m.text) for talk in TEST for m in talk]
        said = [SignedText(m.person, m.text, i) for i, talk in enumerate(TRAIN) for m in talk]
        return [
            *measure_bits(*bits, pl.Series([moment.conversation for moment in self.moments])),
            *measure_attribution(said, self.real, replies, []),
            *measure_copying(replies, [], [m.reply for m in drawn], [turn.text for turn in said]),
            *measure_rooms(rooms, [lines[: len(room)] for room in rooms], self.real),
        ]

    def _room(self, engine: Transformers, opening: Moment) -> list[GeneratedReply]:
        history, said = [*opening.scene.before], []
        for i in range(TURNS):
            person = PEOPLE[PEOPLE.index(history[-1].person) - 1]
            moment = Moment(Scene("", "", [*PEOPLE], history, [PromptMessage(person, "")]), 0)
            said.append(self._reply(engine, history[-3:], moment, 100 + i))
            history.append(PromptMessage(person, said[-1].text))
        return said

    def _reply(self, engine: Transformers, before: Talk, to: Moment, seed: int) -> GeneratedReply:
        sampling = Chat().sampling(seed, to.person).narrowed(24)
        turn = GeneratedTurn(engine, builder(self.tokenizer, before), to.person, sampling)
        for _ in turn:
            pass
        return GeneratedReply(to.person, turn.text, to.conversation)


@pytest.fixture(scope="module")
def judge(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    return Judge(base, tmp_path_factory.mktemp("clones"))


def test_there_is_enough_to_tell_the_people_apart() -> None:
    assert min(sum(m.person == p for t in TRAIN for m in t) for p in PEOPLE) >= MIN_TRAINING_TURNS


def test_a_sound_clone_has_no_fault(judge: Judge) -> None:
    assert find_faults(judge.measures("sound")) == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_clone_is_called_by_the_name_of_its_fault(judge: Judge, name: str) -> None:
    assert name in [fault.name for fault in find_faults(judge.measures(name))]


RANKED_BY = {
    "overfitted": "bits_per_character",
    "untrained": "bits_per_character",
    "caricature": "who_said_it",
    "copies": "copied_replies",
    "swapped": "who_said_it",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_clone_is_ranked_below_the_sound_one(judge: Judge, name: str) -> None:
    differences, _ = compare(("draw", judge.measures(name)), ("draw", judge.measures("sound")))
    better = {difference.measure.name: difference.better for difference in differences}
    assert better[RANKED_BY[name]] == "other"
    by_name = {measure.name: measure for measure in judge.measures(name)}
    if by_name[RANKED_BY[name]].ceiling:
        assert grade(by_name[RANKED_BY[name]]) != "good"
