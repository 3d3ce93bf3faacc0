"""The verdict on a clone: the faults that its figures show, by name, and what mends each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from myna.evaluation.measure import Estimate, Measure

LITTLE_LEARNED = -0.02
"""Change of bits per character above which a clone has hardly left its base."""
MEMORISED_AUC = 0.7
"""Training text is told from other text by more than this: learned by heart."""
EXPOSED = 3.0
"""Bits of exposure of a secret that was said once: likelier than seven of eight others."""
MAX_COLLAPSED = 0.1
REPEATS_FACTOR = 2.0
"""Repeats of lines beyond so many times the real share, and `MORE`, are a fault."""
MORE = 0.05
"""Shares within this distance of the real ones are not a fault."""
CARICATURE = 1.15
"""Attribution above this: more typical than the person."""


@dataclass(frozen=True)
class Fault:
    """A fault of a clone.

    Attributes:
        name: one word for it, such as "loops".
        text: what the figures show, for the user.
        remedy: what to type or to change.
    """

    name: str
    text: str
    remedy: str


def find_faults(measures: Sequence[Measure]) -> list[Fault]:
    """The faults that the measures show, the gravest first."""
    by_name = {measure.name: measure for measure in measures}
    return [fault for check in CHECKS if (fault := check(by_name)) is not None]


Measures = Mapping[str, Measure]


def _untrained(measures: Measures) -> Fault | None:
    change = _clone(measures, "bits_change")
    if not change.value > LITTLE_LEARNED or _is_worse(change):
        return None
    return Fault(
        "untrained",
        f"real replies surprise the clone hardly less than its base ({change.value:+.1%})",
        "train longer: `myna train --budget 30m`",
    )


def _overfitted(measures: Measures) -> Fault | None:
    change = _clone(measures, "bits_change")
    if not _is_worse(change):
        return None
    return Fault(
        "overfitted",
        f"real replies surprise the clone {change.value:.1%} more than its base",
        "train on more messages, or for fewer epochs: train.num_train_epochs",
    )


def _loops(measures: Measures) -> Fault | None:
    collapsed = _clone(measures, "collapsed").value
    shown = []
    for name, what in (
        ("repeats", "of lines in rooms repeat one of the twelve before"),
        ("echoes", "of longer lines echo what was just said"),
    ):
        share = _clone(measures, name).value
        real = _value(measures[name].ceiling, 0.0) if name in measures else 0.0
        if share > max(REPEATS_FACTOR * real, real + MORE):
            shown.append(f"{share:.0%} {what} (real: {real:.0%})")
    if collapsed > MAX_COLLAPSED:
        shown.append(f"{collapsed:.0%} of rooms collapsed")
    if not shown:
        return None
    remedy = "raise chat.temperature a little, or train longer"
    return Fault("loops", ", ".join(shown), remedy)


def _swapped(measures: Measures) -> Fault | None:
    said, named = measures.get("who_said_it"), measures.get("true_name")
    below = said is not None and said.clone.high < 0
    wrong = named is not None and named.clone.high < named.references["chance"].value
    if not (below or wrong):
        return None
    return Fault(
        "swapped",
        "people are taken for each other more often than by chance",
        "check who is who with `myna people`, then prepare and train again",
    )


def _caricature(measures: Measures) -> Fault | None:
    said, style = measures.get("who_said_it"), measures.get("who_said_it_style")
    variety = measures.get("distinct_2")
    real = _value(variety.ceiling if variety else None)
    poor = variety is not None and variety.clone.value < 0.85 * real
    typical = said is not None and said.clone.value > CARICATURE
    uneven = said is not None and style is not None and said.clone.low > style.clone.high
    if not (typical and (poor or uneven)):
        return None
    return Fault(
        "caricature",
        f"recognised {said.clone.value:.2f} times as well as the real people, with fewer words"
        if said
        else "",
        "train on all of a person's messages, not on the most typical; lower train.learning_rate",
    )


def _copies(measures: Measures) -> Fault | None:
    copied = measures.get("copied_replies")
    if copied is None or not copied.clone.value > _value(copied.ceiling, 0.0) + MORE:
        return None
    return Fault(
        "copies",
        f"{copied.clone.value:.0%} of replies copy eight words or more of the training chats "
        f"(real: {_value(copied.ceiling, 0.0):.0%})",
        "train for fewer epochs, or on more messages",
    )


def _memorised(measures: Measures) -> Fault | None:
    """Text learned by heart, by membership inference or by the exposure of canaries."""
    told, exposure = _clone(measures, "membership"), measures.get("exposure")
    once = exposure and exposure.references.get("inserted once", exposure.clone)
    if _low(told) > MEMORISED_AUC:
        text = (
            f"chats that it was trained on can be told from others with an AUC of {told.value:.2f} "
            "(chance: 0.50)"
        )
    elif once and _low(once) > EXPOSED:
        text = (
            f"a secret that was said once has an exposure of {once.value:.1f} bits "
            f"(chance: {1 / math.log(2):.1f})"
        )
    else:
        return None
    return Fault(
        "memorised",
        text,
        "train for fewer epochs, lower train.learning_rate or train.lora_r, and see with `myna "
        "inspect` what redaction leaves in the chats",
    )


def _leaks(measures: Measures) -> Fault | None:
    leaked = measures.get("leaked_strings")
    if leaked is None or not leaked.clone.value > _value(leaked.floor, 0.0):
        return None
    return Fault(
        "leaks",
        f"{leaked.clone.value:.1%} of generated turns have strings that redaction took out of the "
        "training chats (the output filter still hides them)",
        "search the chats for further copies of them, then prepare and train again",
    )


def _assistant(measures: Measures) -> Fault | None:
    leak = measures.get("assistant_leak")
    real = _value(leak.ceiling if leak else None, 0.0)
    if leak is None or not leak.clone.value > real + MORE:
        return None
    return Fault(
        "assistant",
        f"{leak.clone.value:.0%} of replies sound like an assistant (real: {real:.0%})",
        "train longer, or start from a base that is not instruction-tuned",
    )


def _cut(measures: Measures) -> Fault | None:
    cut = _clone(measures, "cut_by_limit").value
    if not cut > MORE:
        return None
    return Fault(
        "endless",
        f"{cut:.0%} of replies were cut by the limit of tokens",
        "train longer, so that turns end by themselves, or raise chat.max_new_tokens",
    )


CHECKS: tuple[Callable[[Measures], Fault | None], ...] = (
    _overfitted,
    _untrained,
    _loops,
    _swapped,
    _caricature,
    _copies,
    _memorised,
    _leaks,
    _assistant,
    _cut,
)


def _clone(measures: Measures, name: str) -> Estimate:
    return measures[name].clone if name in measures else Estimate(math.nan)


def _is_worse(change: Estimate) -> bool:
    """True where a clone is surely worse than its base: all of the interval says so."""
    return _low(change) > 0


def _low(estimate: Estimate) -> float:
    """The lower end of the interval; the figure itself where it has none."""
    return estimate.value if math.isnan(estimate.low) else estimate.low


def _value(estimate: Estimate | None, default: float = math.nan) -> float:
    return default if estimate is None or math.isnan(estimate.value) else estimate.value
