"""Training data: samples with loss masks, of everybody or one person, and their batches."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from myna.rendering.encode import loss_mask


@dataclass(frozen=True)
class Samples:
    """Token ids and loss masks of samples (see `myna.rendering.encode.loss_mask`)."""

    ids: Sequence[Sequence[int]]
    loss_masks: Sequence[Sequence[bool]]

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

    Samples without a training target are left out.
    """
    ids, masks = [], []
    for tokens, spans in table.select("ids", "target_spans").iter_rows():
        targets = [span for span in spans if person in (None, span["person"])]
        mask = loss_mask(len(tokens), targets)
        if any(mask):
            ids.append(tokens)
            masks.append(mask)
    return Samples(ids, masks)


def sample_hashes(samples: Samples) -> list[str]:
    """A short hash of each sample's tokens and loss mask, to know those already trained on."""
    return [
        hashlib.blake2b(bytes(str((list(i), list(mask))), "ascii"), digest_size=8).hexdigest()
        for i, mask in zip(samples.ids, samples.loss_masks, strict=True)
    ]


def select_unseen(samples: Samples, seen: set[str], seed: int) -> tuple[Samples, int]:
    """The unseen samples with as many seen ones, drawn at random, and the number of unseen ones.

    Seen samples are replayed so that the adapter does not forget them.
    """
    hashes = sample_hashes(samples)
    new = [i for i, each in enumerate(hashes) if each not in seen]
    old = [i for i, each in enumerate(hashes) if each in seen]
    chosen = sorted(new + random.Random(seed).sample(old, min(len(new), len(old))))
    return (
        Samples([samples.ids[i] for i in chosen], [samples.loss_masks[i] for i in chosen]),
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

    def tokens(self, step: int) -> int:
        """Number of tokens of a step, without padding."""
        return sum(self.lengths[i] for i in self.batch(step))

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
