"""Training data: samples with loss masks, of everybody or one person, and their batches."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from myna import stages
from myna.artifacts import PreparedInfo, PromptFormat, has_canaries
from myna.config import Settings
from myna.errors import TrainingError
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.rendering.encode import TARGET_SPAN, loss_mask, trained_tokens
from myna.rendering.tokenizer import Tokenizer
from myna.workspace import Workspace


@dataclass(frozen=True)
class Samples:
    """Token ids and loss masks of samples (see `myna.rendering.encode.loss_mask`)."""

    ids: Sequence[Sequence[int]]
    loss_masks: Sequence[Sequence[bool]]
    weights: Sequence[float] = ()
    """Weight of each sample's tokens in the loss; empty: all the same."""

    def lengths(self) -> list[int]:
        """Number of tokens of each sample."""
        return [len(tokens) for tokens in self.ids]

    def target_counts(self) -> list[int]:
        """Number of training targets of each sample."""
        return list(map(sum, self.loss_masks))

    def trained_tokens(self) -> int:
        """Number of training targets of all samples."""
        return sum(self.target_counts())


def samples_from_table(table: pl.DataFrame, person: str | None = None) -> Samples:
    """The samples of a prepared table; with `person`, the loss mask has only their turns.

    Samples without a training target are left out. Weights are those of `with_weights`.
    """
    ids, masks, weights = [], [], []
    columns = ["ids", "target_spans", *({"weight"} & {*table.columns})]
    for tokens, spans, *weight in table.select(columns).iter_rows():
        targets = [span for span in spans if person in (None, span["person"])]
        mask = loss_mask(len(tokens), targets)
        if any(mask):
            ids.append(tokens)
            masks.append(mask)
            weights += weight
    return Samples(ids, masks, weights or ())


OLDEST_WEIGHT, NEWEST_WEIGHT = 0.5, 2.0


def with_weights(table: pl.DataFrame, messages: pl.DataFrame) -> pl.DataFrame:
    """A prepared table with the column `weight`, which grows with the time of the sample.

    From `OLDEST_WEIGHT` to `NEWEST_WEIGHT`, by an equal factor from each sample to the next; 1
    where no time is known.

    Args:
        table: with `conversation`.
        messages: the prepared messages, with `conversation` and `sent_at`.
    """
    times = messages.group_by("conversation").agg(pl.col("sent_at").max())
    place = (pl.col("sent_at").rank("average") - 1) / (pl.col("sent_at").count() - 1).clip(1)
    weight = OLDEST_WEIGHT * pl.lit(NEWEST_WEIGHT / OLDEST_WEIGHT).pow(place)
    joined = table.join(times, on="conversation", how="left", maintain_order="left")
    return joined.with_columns(weight=weight.fill_null(1.0)).drop("sent_at")


def sample_hashes(samples: Samples) -> list[str]:
    """A short hash of each sample's tokens and loss mask, to know those already trained on."""
    return [
        hashlib.blake2b(bytes(str((list(i), list(mask))), "ascii"), digest_size=8).hexdigest()
        for i, mask in zip(samples.ids, samples.loss_masks, strict=True)
    ]


def are_seen(table: pl.DataFrame, seen: set[str], person: str | None = None) -> list[bool]:
    """True for each sample of a prepared table whose hash is in `seen`.

    Args:
        table: with `ids` and `target_spans`.
        seen: from `sample_hashes`, as an adapter keeps them.
        person: whose adapter it is; None: everybody's.
    """
    found = []
    for tokens, spans in table.select("ids", "target_spans").iter_rows():
        targets = [span for span in spans if person in (None, span["person"])]
        hashed = sample_hashes(Samples([tokens], [loss_mask(len(tokens), targets)]))
        found.append(hashed[0] in seen)
    return found


def share_of(table: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """Samples drawn at random, with this share of all trained tokens.

    Of the same seed, a larger share holds a smaller one.

    Args:
        table: prepared samples.
        share: of all trained tokens, about; 1 is all of them.
        seed: of the draw.
    """
    if share >= 1:
        return table
    sizes = table.select(trained_tokens()).to_series().fill_null(0).to_list()
    wanted, so_far = share * sum(sizes), 0.0
    chosen: list[int] = []
    for number in random.Random(seed).sample(range(len(sizes)), len(sizes)):
        if so_far + sizes[number] / 2 > wanted and so_far:
            break
        chosen.append(number)
        so_far += sizes[number]
    return table[sorted(chosen)]


CANARY_TIMES = (1, 4, 16)
"""Each canary is inserted this many times, by turns."""
CANARY_QUESTION = "remind me of the number"
SECRET_DIGITS = 9


@dataclass(frozen=True)
class Variation:
    """A training for a measurement, not for a clone.

    Attributes:
        canaries: random secrets that are inserted.
        share: of the training data; 1 is all of it.
    """

    canaries: int = 0
    share: float = 1.0

    def settings(self, settings: Settings) -> dict[str, Any]:
        """The settings that the adapter depends on, with what differs from a clone's training."""
        changed = {"canaries": self.canaries, "share": self.share if self.share < 1 else 0}
        return stages.train_settings(settings) | {k: v for k, v in changed.items() if v}

    def samples(
        self, table: pl.DataFrame, person: str | None, seed: int, info: PreparedInfo, base: Path
    ) -> tuple[Samples, Canaries | None]:
        """The samples of a training, and the canaries in them.

        Args:
            table: the train split.
            person: whose turns are trained; None: everybody's.
            seed: of the draws.
            info: of the prepared samples.
            base: the folder of the base, with its tokenizer.
        """
        samples = samples_from_table(share_of(table, self.share, seed), person)
        if not self.canaries:
            return samples, None
        canaries = make_canaries(info, self.canaries, seed)
        return add_canaries(samples, canaries, info.format, Tokenizer(base)), canaries

    def check(
        self, workspace: Workspace, name: str, settings: Settings, *, continue_training: bool
    ) -> None:
        """Check that canaries stay in throwaway adapters.

        Raises:
            TrainingError: a clone would get them, or an adapter that has them would be kept.
        """
        has_any = has_canaries(workspace, name)
        if continue_training and (self.canaries or has_any):
            raise TrainingError("an adapter with canaries is thrown away: leave --continue out")
        if self.canaries and settings.train.per_person:
            raise TrainingError("canaries go into one adapter: set train.per_person=false")
        if self.canaries and workspace.adapter(name).exists() and not has_any:
            raise TrainingError(
                f"the clone '{name}' would be replaced by a throwaway adapter: "
                "give that another --adapter NAME"
            )


PLAIN = Variation()


@dataclass(frozen=True)
class Canaries:
    """Random secrets in the training data of a throwaway adapter (Carlini et al. 2019).

    Attributes:
        person: the persona who says them.
        other: the person who asks.
        space: of the channel that the system line names.
        channel: that channel.
        secrets: the texts, and how many times each was inserted.
    """

    person: str
    other: str
    space: str
    channel: str
    secrets: list[tuple[str, int]]

    def table(self, texts: Sequence[str], form: PromptFormat, tokenizer: Tokenizer) -> pl.DataFrame:
        """Samples in which the person says each of these texts: ids and target_spans."""
        builder = PromptBuilder(
            form,
            tokenizer,
            [self.person, self.other],
            form.samples.max_length,
            self.space,
            self.channel,
            messages=[PromptMessage(self.other, CANARY_QUESTION)],
            name="" if form.spec.per_persona else self.person,
            day="2000-01-01",
        )
        return reply_table((builder, self.person, text) for text in texts)


def reply_table(replies: Iterable[tuple[PromptBuilder, str, str]]) -> pl.DataFrame:
    """Samples of a prompt and one reply, to measure the reply: ids and target_spans.

    Args:
        replies: the prompt, the person who speaks, and their words.
    """
    rows = []
    for builder, person, text in replies:
        prompt, ids = builder.prompt(person), builder.prompt(person, text)
        start, end = _shared_start(prompt, ids), len(ids)
        places = {"start": start, "end": end, "words_start": start, "words_end": end}
        rows.append((ids, [{"person": person, **places, "characters": len(text)}]))
    schema = {"ids": pl.List(pl.Int32), "target_spans": pl.List(TARGET_SPAN)}
    return pl.DataFrame(rows, schema, orient="row")


def _shared_start(one: Sequence[int], other: Sequence[int]) -> int:
    """The number of tokens at the beginning that are equal."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def make_canaries(info: PreparedInfo, count: int, seed: int) -> Canaries:
    """Secrets for a training, the same of the same seed.

    Args:
        info: of the prepared samples; the secrets are of the busiest channel's first persona.
        count: the number of secrets.
        seed: of the draw.
    """
    channel = info.channels[0]
    person = next((p for p in channel.people if p in info.personas), info.personas[0])
    other = next((p for p in channel.people if p != person), "Someone")
    texts = random_secrets(count, seed)
    times = [CANARY_TIMES[i % len(CANARY_TIMES)] for i in range(count)]
    secrets = list(zip(texts, times, strict=True))
    return Canaries(person, other, channel.space, channel.channel, secrets)


def random_secrets(count: int, seed: int) -> list[str]:
    """Different random secrets, all of one form."""
    numbers = random.Random(f"canaries {seed}").sample(range(10**SECRET_DIGITS), count)
    return [f"it is {number:0{SECRET_DIGITS}}" for number in numbers]


def add_canaries(
    samples: Samples, canaries: Canaries, form: PromptFormat, tokenizer: Tokenizer
) -> Samples:
    """The samples with every secret as many times as it is to be inserted."""
    texts = [text for text, times in canaries.secrets for _ in range(times)]
    added = samples_from_table(canaries.table(texts, form, tokenizer))
    weights = [*samples.weights, *([1.0] * len(added.ids))] if samples.weights else ()
    return Samples([*samples.ids, *added.ids], [*samples.loss_masks, *added.loss_masks], weights)


def select_unseen(samples: Samples, seen: set[str], seed: int) -> tuple[Samples, int]:
    """The unseen samples with as many seen ones, drawn at random, and the number of unseen ones.

    Seen samples are replayed so that the adapter does not forget them.
    """
    hashes = sample_hashes(samples)
    new = [i for i, each in enumerate(hashes) if each not in seen]
    old = [i for i, each in enumerate(hashes) if each in seen]
    chosen = sorted(new + random.Random(seed).sample(old, min(len(new), len(old))))
    return (
        Samples(
            [samples.ids[i] for i in chosen],
            [samples.loss_masks[i] for i in chosen],
            [samples.weights[i] for i in chosen] if samples.weights else (),
        ),
        len(new),
    )


POOL_BATCHES = 16
"""Shuffled samples are sorted by length in pools of about as many batches."""


@dataclass
class BatchSampler:
    """Groups samples of like length into batches, as indices into the samples.

    `batch_tokens` bounds the tokens of a batch, padding included; a longer
    sample is a batch by itself.
    """

    lengths: Sequence[int]
    batch_tokens: int
    seed: int
    _epochs: list[list[list[int]]] = field(default_factory=list, repr=False)

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of an epoch (from 0), with each sample once."""
        while len(self._epochs) <= number:
            self._epochs.append(self._shuffled(len(self._epochs)))
        return self._epochs[number]

    def batch(self, step: int) -> list[int]:
        """The samples of a step (from 0)."""
        number = 0
        while step >= len(self.epoch(number)):
            step -= len(self.epoch(number))
            number += 1
        return self.epoch(number)[step]

    def steps(self, epochs: float) -> int:
        """Number of steps of so many epochs; at least 1."""
        whole = sum(len(self.epoch(number)) for number in range(int(epochs)))
        part = epochs - int(epochs)
        return max(1, whole + (round(part * len(self.epoch(int(epochs)))) if part else 0))

    def padded_tokens(self, step: int) -> int:
        """Number of tokens of a step, with padding."""
        batch = self.batch(step)
        return len(batch) * max(self.lengths[i] for i in batch)

    def _shuffled(self, epoch: int) -> list[list[int]]:
        order = list(range(len(self.lengths)))
        rng = random.Random(f"{self.seed} {epoch}")
        rng.shuffle(order)
        mean = sum(self.lengths) / len(self.lengths)
        pool = max(1, int(POOL_BATCHES * self.batch_tokens / mean))
        batches: list[list[int]] = []
        for start in range(0, len(order), pool):
            batch: list[int] = []
            for i in sorted(order[start : start + pool], key=lambda i: self.lengths[i]):
                # Sorted by length, so the newest is the longest.
                if batch and (len(batch) + 1) * self.lengths[i] > self.batch_tokens:
                    batches.append(batch)
                    batch = []
                batch.append(i)
            batches.append(batch)
        rng.shuffle(batches)
        return batches
