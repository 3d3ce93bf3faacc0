"""Samples as training takes them, and the part of them that belongs to one person."""

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
        """Tokens of each."""
        return [len(tokens) for tokens in self.ids]

    def targets(self) -> list[int]:
        """Training targets of each."""
        return list(map(sum, self.loss_masks))

    def trained(self) -> int:
        """Tokens that are training targets."""
        return sum(self.targets())


def of(table: pl.DataFrame, person: str | None = None) -> Samples:
    """The samples of a prepared table; with `person`, only what trains that one.

    Samples in which nothing is trained are left out.
    """
    ids, masks = [], []
    for tokens, spans in table.select("ids", "target_spans").iter_rows():
        own = [span for span in spans if person in (None, span["person"])]
        mask = loss_mask(len(tokens), own)
        if any(mask):
            ids.append(tokens)
            masks.append(mask)
    return Samples(ids, masks)


def fingerprints(samples: Samples) -> list[str]:
    """A short hash of each sample's tokens and loss mask: tells what was seen already."""
    return [
        hashlib.blake2b(bytes(str((list(i), list(mask))), "ascii"), digest_size=8).hexdigest()
        for i, mask in zip(samples.ids, samples.loss_masks, strict=True)
    ]


def unseen(samples: Samples, seen: set[str], seed: int) -> tuple[Samples, int]:
    """The samples that are new, with as many of the known ones, and how many are new.

    Known ones come along, drawn by chance, so that the old is not forgotten for the new.
    """
    hashes = fingerprints(samples)
    new = [i for i, one in enumerate(hashes) if one not in seen]
    known = [i for i, one in enumerate(hashes) if one in seen]
    chosen = sorted(new + random.Random(seed).sample(known, min(len(new), len(known))))
    return (
        Samples([samples.ids[i] for i in chosen], [samples.loss_masks[i] for i in chosen]),
        len(new),
    )


POOL = 16
"""Batches' worth of shuffled samples that are sorted by length together."""


@dataclass
class Schedule:
    """The batches of a run, as indices into the samples.

    `batch_tokens` bounds the tokens of a batch, padding included; a sample that alone is
    longer makes a batch of its own.
    """

    lengths: Sequence[int]
    batch_tokens: int
    seed: int
    _epochs: list[list[list[int]]] = field(default_factory=list, repr=False)

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of an epoch (from 0); each sample is in one of them."""
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
        """The steps that this many epochs take; at least 1."""
        whole = sum(len(self.epoch(number)) for number in range(int(epochs)))
        part = epochs - int(epochs)
        return max(1, whole + (round(part * len(self.epoch(int(epochs)))) if part else 0))

    def tokens(self, step: int) -> int:
        """The tokens of a step, padding aside."""
        return sum(self.lengths[i] for i in self.batch(step))

    def padded(self, step: int) -> int:
        """The tokens of a step as it is computed, padding included."""
        batch = self.batch(step)
        return len(batch) * max(self.lengths[i] for i in batch)

    def _shuffled(self, epoch: int) -> list[list[int]]:
        order = list(range(len(self.lengths)))
        chance = random.Random(f"{self.seed} {epoch}")
        chance.shuffle(order)
        mean = sum(self.lengths) / len(self.lengths)
        pool = max(1, int(POOL * self.batch_tokens / mean))
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
        chance.shuffle(batches)
        return batches
