"""Samples as training takes them, and the part of them that belongs to one person."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Samples:
    """Token ids and labels of samples, as `prepare` made them; a label above 0 is trained."""

    ids: Sequence[Sequence[int]]
    labels: Sequence[Sequence[int]]

    def lengths(self) -> list[int]:
        """Tokens of each."""
        return [len(tokens) for tokens in self.ids]

    def targets(self) -> list[int]:
        """Training targets of each: labelled tokens that have one before them."""
        return [sum(mark > 0 for mark in marks[1:]) for marks in self.labels]

    def trained(self) -> int:
        """Tokens that are training targets."""
        return sum(self.targets())


def of(table: pl.DataFrame, person: str | None = None) -> Samples:
    """The samples of a prepared table; with `person`, only what trains that one.

    To a reply belongs what ends it, up to the next label-free token or reply. Samples in
    which the person says nothing are left out.
    """
    if person is None:
        return Samples(table["ids"].to_list(), table["labels"].to_list())
    ids, labels = [], []
    for row in table.select("ids", "labels", "replies").iter_rows(named=True):
        marks = _of_person(row["labels"], row["replies"], person)
        if any(marks):
            ids.append(row["ids"])
            labels.append(marks)
    return Samples(ids, labels)


def _of_person(labels: list[int], replies: list[dict[str, Any]], person: str) -> list[int]:
    marks = [0] * len(labels)
    begins = [*sorted(reply["start"] for reply in replies), len(labels)]
    for reply in replies:
        if reply["person"] == person:
            border = next(begin for begin in begins if begin > reply["start"])
            for i in range(reply["start"], border):
                if not labels[i]:
                    break
                marks[i] = labels[i]
    return marks


def fingerprints(samples: Samples) -> list[str]:
    """A short hash of each sample's tokens and labels: tells what was seen already."""
    return [
        hashlib.blake2b(bytes(str((list(i), list(marks))), "ascii"), digest_size=8).hexdigest()
        for i, marks in zip(samples.ids, samples.labels, strict=True)
    ]


def unseen(samples: Samples, seen: set[str], seed: int) -> tuple[Samples, int]:
    """The samples that are new, with as many of the known ones, and how many are new.

    Known ones come along, drawn by chance, so that the old is not forgotten for the new.
    """
    marks = fingerprints(samples)
    new = [i for i, mark in enumerate(marks) if mark not in seen]
    known = [i for i, mark in enumerate(marks) if mark in seen]
    chosen = sorted(new + random.Random(seed).sample(known, min(len(new), len(known))))
    return (
        Samples([samples.ids[i] for i in chosen], [samples.labels[i] for i in chosen]),
        len(new),
    )
