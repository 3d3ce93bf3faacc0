"""Bits per character of people's real turns.

The negative log2-likelihood of the text of target spans (without names and end-of-turn
tokens) divided by its characters, for base and clone on the same samples, so with the same
context and rendering. Lower is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch

from myna.rendering.encode import loss_mask
from myna.training.data import BatchSampler
from myna.training.loss import token_losses

BATCH_TOKENS = 2048
RESAMPLES = 1000


@dataclass(frozen=True)
class Likelihood:
    """The total bits and characters of some replies."""

    bits: float
    characters: int
    replies: int

    @property
    def bits_per_character(self) -> float:
        """The metric; nan without replies."""
        return self.bits / self.characters if self.characters else math.nan


@dataclass(frozen=True)
class Comparison:
    """Base and clone on the same replies, of one person or (None) of all."""

    person: str | None
    base: Likelihood
    clone: Likelihood

    @property
    def change(self) -> float:
        """Relative change of bits per character; negative is better."""
        return self.clone.bits_per_character / self.base.bits_per_character - 1


def reply_bits(
    model: Any,
    samples: pl.DataFrame,
    *,
    adapter: bool,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> pl.DataFrame:
    """The bits of every reply in `samples`: (sample, person, characters, bits).

    `adapter=False` measures the base of a model with an adapter. `progress` is called with the
    number of samples done and of all.
    """
    device = next(model.parameters()).device
    ids, spans = samples["ids"].to_list(), samples["target_spans"].to_list()
    schedule = BatchSampler([len(i) for i in ids], BATCH_TOKENS, seed=0)
    rows: list[tuple[int, str, int, float]] = []
    done = 0
    disabled = None if adapter or not hasattr(model, "disable_adapter") else model.disable_adapter()
    model.eval()
    with torch.inference_mode(), disabled or nullcontext():
        for batch in schedule.epoch(0):
            masks = [loss_mask(len(ids[i]), spans[i], words_only=True) for i in batch]
            losses = token_losses(model, [ids[i] for i in batch], masks, device)
            # The bits before each target of the batch, and after the last.
            sums = np.append(0, (losses.double() / math.log(2)).cumsum(0).cpu())
            before = 0
            for i, mask in zip(batch, masks, strict=True):
                targets = before + np.append(0, np.cumsum(mask, dtype=int))  # by token
                before = int(targets[-1])
                for span in spans[i]:
                    start, end = targets[span["words_start"]], targets[span["words_end"]]
                    bits = float(sums[end] - sums[start])
                    rows.append((i, span["person"], span["characters"], bits))
            done += len(batch)
            progress(done, len(ids))
    schema = {"sample": pl.Int64, "person": pl.String, "characters": pl.Int64, "bits": pl.Float64}
    return pl.DataFrame(rows, schema, orient="row").sort("sample", maintain_order=True)


def compare(base: pl.DataFrame, clone: pl.DataFrame) -> list[Comparison]:
    """Compare all replies together, then each person's, those with most characters first."""
    people = clone.group_by("person").agg(pl.col("characters").sum())
    ordered: list[str | None] = [
        None,
        *people.sort("characters", "person", descending=[True, False])["person"],
    ]

    def of(frame: pl.DataFrame, person: str | None) -> Likelihood:
        own = frame if person is None else frame.filter(pl.col("person") == person)
        return Likelihood(float(own["bits"].sum()), int(own["characters"].sum()), own.height)

    return [Comparison(person, of(base, person), of(clone, person)) for person in ordered]


def confidence_interval(base: pl.DataFrame, clone: pl.DataFrame) -> tuple[float, float]:
    """The 95 % confidence interval of the relative change over all replies.

    A percentile bootstrap (Efron & Tibshirani 1993, ch. 13) over samples, as the replies of
    one sample share their context.
    """
    sums = (
        base.group_by("sample")
        .agg(pl.col("bits").sum())
        .join(clone.group_by("sample").agg(pl.col("bits").sum().alias("clone")), on="sample")
        .sort("sample")
    )
    pairs = torch.tensor(sums.select("bits", "clone").to_numpy().copy())
    draws = torch.randint(
        len(pairs), (RESAMPLES, len(pairs)), generator=torch.Generator().manual_seed(0)
    )
    totals = pairs[draws].sum(1)
    changes = totals[:, 1] / totals[:, 0] - 1
    low, high = torch.quantile(changes, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
