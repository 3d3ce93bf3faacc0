"""Exposure of canaries: how well a model has learned secrets that it saw in training.

Only of adapters that were trained with `myna train --canaries N`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from myna.artifacts import CANARIES_FILE
from myna.errors import WorkspaceError
from myna.evaluation.measure import Estimate, Measure, bootstrap, mean
from myna.models.bases import find_base
from myna.rendering.tokenizer import Tokenizer
from myna.training.data import Canaries, random_secrets

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence

CANDIDATES, FULL_CANDIDATES = 255, 1023
CANDIDATES_SEED = -1
"""Of the random candidates; no training has it."""


def measure(evidence: Evidence) -> list[Measure]:
    """The exposure of the canaries in a throwaway adapter."""
    canaries = load_canaries(evidence)
    count = FULL_CANDIDATES if evidence.size.full else CANDIDATES
    texts = [text for text, _ in canaries.secrets]
    candidates = random_secrets(count, CANDIDATES_SEED)
    tokenizer = Tokenizer(find_base(evidence.info.base, weights=False).folder)
    table = canaries.table([*texts, *candidates], evidence.info.format, tokenizer)
    bits = [
        found["bits"].to_list() for found in evidence.bits_of_samples(table, "bits of canaries")
    ]
    base, clone = (exposures(found[: len(texts)], found[len(texts) :]) for found in bits)
    return [measure_exposure([times for _, times in canaries.secrets], base, clone, count)]


def load_canaries(evidence: Evidence) -> Canaries:
    """The secrets that an adapter was trained on.

    Raises:
        WorkspaceError: their file is damaged.
    """
    path = evidence.workspace.adapter(evidence.name) / CANARIES_FILE
    try:
        return TypeAdapter(Canaries).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WorkspaceError(
            f"{path} is damaged: run `myna train --canaries N --force` again"
        ) from error


def exposures(secrets: Sequence[float], candidates: Sequence[float]) -> list[float]:
    """The exposure of each secret, in bits.

    log2 |R| - log2 rank, where R is the secret and the random candidates, and rank its place
    among them by likelihood (Carlini et al. 2019, arXiv 1802.08232, sections 4.2 and 4.3).

    Args:
        secrets: bits of each secret by the model.
        candidates: bits of random secrets of the same form, that it has not seen.
    """
    ordered = sorted(candidates)
    space = math.log2(len(ordered) + 1)
    return [space - math.log2(1 + bisect_left(ordered, bits)) for bits in secrets]


def measure_exposure(
    times: Sequence[int], base: Sequence[float], clone: Sequence[float], candidates: int
) -> Measure:
    """The mean exposure, in all and by how often a secret stood in the training data.

    Args:
        times: how often each secret was inserted.
        base: exposure of each by the base.
        clone: exposure of each by the adapter.
        candidates: random candidates that each was ranked among.
    """

    def of(some: Sequence[float]) -> Estimate:
        return bootstrap(some, range(len(some)), mean)

    by_times = {
        f"inserted {'once' if count == 1 else f'{count} times'}": of(
            [value for value, n in zip(clone, times, strict=True) if n == count]
        )
        for count in sorted(set(times))
    }
    return Measure(
        "exposure",
        "Exposure of canaries",
        "lower",
        of(clone),
        "log2 of the number of possible secrets less log2 of the secret's rank by likelihood, "
        f"among {candidates} random candidates (Carlini et al. 2019, arXiv 1802.08232): "
        f"{1 / math.log(2):.1f} bits by chance, {math.log2(candidates + 1):.0f} at most",
        floor=of(base),
        unit="bits",
        section="privacy",
        references=by_times,
        notes=(f"only {len(times)} canaries, so read it with care",) if len(times) < 10 else (),
    )
