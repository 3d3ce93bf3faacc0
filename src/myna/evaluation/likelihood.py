"""Bits per character of people's real turns.

The negative log2-likelihood of the text of target spans (without names and end-of-turn
tokens) divided by its characters, for base and clone on the same samples, so with the same
context and rendering. Lower is better.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch

from myna.evaluation.measure import Estimate, Item, Measure, few_items_note
from myna.rendering.encode import loss_mask
from myna.training.data import BatchSampler
from myna.training.loss import token_losses

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence

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


def draw_samples(samples: pl.DataFrame, items: int, seed: int = 0) -> pl.DataFrame:
    """Samples with about so many replies, evenly over the people; the same for the same seed.

    Args:
        samples: of one split, with `target_spans`.
        items: replies in all; who has fewer than their share gives all of theirs.
        seed: of the draw.
    """
    people = {s["person"] for spans in samples["target_spans"].to_list() for s in spans}
    quota = max(1, items // max(len(people), 1))
    counts: dict[str, int] = dict.fromkeys(people, 0)
    order = list(range(samples.height))
    random.Random(seed).shuffle(order)
    chosen = []
    for number in order:
        speakers = [span["person"] for span in samples["target_spans"][number]]
        if any(counts[person] < quota for person in speakers):
            chosen.append(number)
            for person in speakers:
                counts[person] += 1
    return samples[sorted(chosen)]


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


def measure(evidence: Evidence) -> list[Measure]:
    """Bits per character of the test split's replies, and how far the clone lowers them."""
    return measure_bits(*evidence.bits, evidence.test_samples["conversation"])


def measure_bits(
    base: pl.DataFrame, clone: pl.DataFrame, conversations: pl.Series
) -> list[Measure]:
    """Bits per character, and the relative change from base to clone.

    Args:
        base: bits of the replies by the base, as `reply_bits` gives them.
        clone: the same by the clone, in the same order.
        conversations: of each sample.
    """
    rows = compare(base, clone)
    low, high = confidence_interval(base, clone)
    overall = rows[0]
    people = {str(row.person): row for row in rows[1:]}
    notes = few_items_note("real replies", overall.clone.replies)

    replies = [
        (person, int(conversations[sample]), characters, bits)
        for sample, person, characters, bits in clone.select(
            "sample", "person", "characters", "bits"
        ).iter_rows()
    ]
    items = tuple(Item(person, number, bits, size) for person, number, size, bits in replies)
    changes = tuple(
        Item(person, number, bits - before, before)
        for (person, number, _, bits), before in zip(replies, base["bits"], strict=True)
    )

    def bits(likelihood: Likelihood) -> Estimate:
        return Estimate(likelihood.bits_per_character, items=likelihood.replies)

    return [
        Measure(
            "bits_per_character",
            "Bits per character",
            "lower",
            bits(overall.clone),
            "how surprised the model is by what people really said: negative log2-likelihood of "
            "the words of their turns, divided by their characters",
            floor=bits(overall.base),
            people={
                person: {"clone": bits(row.clone), "floor": bits(row.base)}
                for person, row in people.items()
            },
            unit="bits",
            notes=notes,
            items=items,
            section="likelihood",
        ),
        Measure(
            "bits_change",
            "Change against the base",
            "lower",
            Estimate(overall.change, low, high, overall.clone.replies),
            "relative change from base to clone on the same replies, with the paired interval "
            "over samples",
            floor=Estimate(0.0),
            people={
                person: {"clone": Estimate(row.change, items=row.clone.replies)}
                for person, row in people.items()
            },
            notes=notes,
            items=changes,
            section="likelihood",
        ),
    ]
