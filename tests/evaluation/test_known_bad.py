"""Clones that are known to be bad, really trained, are told from a sound one by the right name.

The base is a tiny Llama that has read how people here talk, but knows none of them; each clone
is a LoRA on it, trained by the loop, and measured by what it expects people to say.
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
from myna.config import Redaction, Rules, Samples, Train
from myna.evaluation.against import compare
from myna.evaluation.identification import Scored, measure_names
from myna.evaluation.likelihood import measure_bits, reply_bits
from myna.evaluation.measure import Measure
from myna.evaluation.moments import Moment
from myna.evaluation.verdict import find_faults
from myna.models.bases import Base, find_base
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.persona.scenes import Scene
from myna.rendering.render import encode_segments, render_segments
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import Turn, TurnLine
from myna.training import data
from myna.training.methods import add_lora, train_all_weights

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
SYSTEM = "A chat."
FORM = PromptFormat(Samples(system=SYSTEM, max_length=256), Rules(), Redaction(style="off"))
LORA = Train(
    batch_tokens=512, learning_rate=1e-2, lora_r=8, lora_alpha=16, previews=0, validations=0,
    tensorboard=False, num_train_epochs=6,
)  # fmt: skip


def line(voice: str, rng: random.Random) -> str:
    """A line of somebody with a voice."""
    own = OPENERS[voice], CLOSERS[voice]
    opener, closer = (rng.choice(words if rng.random() < OWN_WORDS else NEUTRAL) for words in own)
    return " ".join([opener, *map(rng.choice, MIDDLE), closer])


def talks(count: int, seed: int, people: Sequence[str] = PEOPLE) -> list[Talk]:
    """Conversations of two turns, by two people; everyone has a voice of `PEOPLE`, by turns."""
    rng = random.Random(seed)
    return [
        [PromptMessage(p, line(PEOPLE[people.index(p) % 2], rng)) for p in rng.sample(people, 2)]
        for _ in range(count)
    ]


TRAIN, TEST = talks(128, 1), talks(40, 2)
BEFORE = talks(480, 3, ("Dee", "Eve", "Flo", "Gus"))
"""Those that the base has read: of others, who talk in the same two ways."""


def swapped(talk: Talk) -> Talk:
    """The same words under the other's name."""
    other = dict(zip(PEOPLE, reversed(PEOPLE), strict=True))
    return [PromptMessage(other[m.person], m.text) for m in talk]


BAD: dict[str, tuple[list[Talk], dict[str, Any]]] = {
    "untrained": (TRAIN[:2], {"num_train_epochs": 1, "learning_rate": 1e-3}),  # one step
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
    ]
    return data.Samples([ids for ids, _ in encoded], [mask for _, mask in encoded])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A base that can talk like these people, but knows none of them."""
    folder = tmp_path_factory.mktemp("known-bad") / "base"
    (folder / "work").mkdir(parents=True)
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
        self.moments = [
            Moment(Scene("", "", [*PEOPLE], talk[:1], talk[1:]), number)
            for number, talk in enumerate(TEST)
        ]
        self.known: dict[str, list[Measure]] = {}

    def measures(self, name: str) -> list[Measure]:
        """The figures of a clone: "sound", or one of `BAD`."""
        if name not in self.known:
            some, changes = BAD.get(name, (TRAIN, {}))
            settings = LORA.model_copy(update=changes)
            model = add_lora(copy.deepcopy(self.model), settings)
            chosen = samples(some, self.tokenizer)
            (self.work / name).mkdir()
            train(model, chosen, data.Samples([], []), settings, self.work / name)
            self.known[name] = self._measured(model)
        return self.known[name]

    def _measured(self, model: Any) -> list[Measure]:
        conversations = pl.Series([moment.conversation for moment in self.moments])
        own = [self._bits(model, adapter=adapter) for adapter in (False, True)]
        as_each = {name: self._bits(model, adapter=True, name=name) for name in PEOPLE}
        scored = [
            Scored(
                m.person,
                m.conversation,
                len(m.reply.text),
                {name: table["bits"][i] for name, table in as_each.items()},
                rank=1,
            )
            for i, m in enumerate(self.moments)
        ]
        return [*measure_bits(*own, conversations), *measure_names(scored, scored, PEOPLE)]

    def _bits(self, model: Any, *, adapter: bool, name: str = "") -> pl.DataFrame:
        """Bits of the real replies, under another name than the author's if wanted."""
        table = data.reply_table(
            (builder(self.tokenizer, m.scene.before), name or m.person, m.reply.text)
            for m in self.moments
        )
        return reply_bits(model, table, adapter=adapter)


@pytest.fixture(scope="module")
def judge(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    return Judge(base, tmp_path_factory.mktemp("clones"))


def test_a_sound_clone_has_no_fault(judge: Judge) -> None:
    assert find_faults(judge.measures("sound")) == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_clone_is_called_by_the_name_of_its_fault(judge: Judge, name: str) -> None:
    assert name in [fault.name for fault in find_faults(judge.measures(name))]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_clone_is_ranked_below_the_sound_one(judge: Judge, name: str) -> None:
    differences, _ = compare(("draw", judge.measures(name)), ("draw", judge.measures("sound")))
    better = {difference.measure.name: difference.better for difference in differences}
    assert better["bits_per_character"] == "other"
    assert name != "swapped" or better["true_name"] == "other"
