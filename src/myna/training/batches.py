"""Which samples make the batch of a step: a pure function of (seed, step).

Samples of similar length share a batch, so that little is padded, and the batches come
in a shuffled order, so that the length says nothing about when a sample is seen.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

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
