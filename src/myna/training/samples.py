"""Samples as training takes them, and the part of them that belongs to one person."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from myna.samples.tokens import loss_mask


@dataclass(frozen=True)
class Samples:
    """Token ids and loss masks of samples (see `myna.samples.tokens.loss_mask`)."""

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
