"""Calibration: the sampling temperature at which each persona speaks most like the person.

Replies to moments of the validation split are drawn at several temperatures; the one whose
replies are nearest to the person's real turns in style (`myna.evaluation.style`) is kept with
the adapter. A person's own distance counts half and the mean of all personas half, as few
replies of one person say little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from myna.artifacts import AdapterInfo
from myna.config import PersonaSampling
from myna.errors import WorkspaceError
from myna.evaluation.evidence import Evidence, Progress
from myna.evaluation.measure import Size, mean
from myna.evaluation.moments import (
    GeneratedReply,
    Moment,
    draw_moments,
    find_moments,
    generate_reply,
    signed_turns,
)
from myna.evaluation.style import measure_style, spelling_of
from myna.persona.clone import Clone
from myna.workspace import Workspace

TEMPERATURES = (0.6, 0.75, 0.9, 1.05)
REPLIES = 30
"""Replies of each persona at each temperature."""


@dataclass(frozen=True)
class Calibration:
    """Distances in style at each temperature, and the temperature chosen, by persona."""

    distances: dict[str, dict[float, float]]
    chosen: dict[str, float]


def calibrate(
    workspace: Workspace,
    name: str,
    report: Callable[[str], None],
    progress: Progress,
    replies: int = REPLIES,
) -> Calibration:
    """Fit the temperature of each persona of the adapter `name`, and keep it with the adapter.

    `replies` of each persona are drawn at each temperature.

    Raises:
        WorkspaceError: no adapter of that name, or no validation split.
        ModelError: base or adapter cannot be loaded, or do not belong together.
        EngineError: the engine of the settings cannot run it.
    """
    evidence = Evidence(workspace, name, Size(), report, progress)
    validation = evidence.split("validation")
    moments = draw_moments(
        find_moments(validation, evidence.personas), replies * len(evidence.personas)
    )
    if not moments:
        raise WorkspaceError(
            "there is no validation split to fit to: raise split.validation and run `myna prepare`"
        )
    real = signed_turns(validation, evidence.personas)
    spelling = spelling_of(evidence)
    by_temperature: dict[float, dict[str, float]] = {}
    try:
        for temperature in TEMPERATURES:
            answers = _replies(evidence.clone, evidence, moments, temperature)
            overall, *_ = measure_style(real, answers, [], spelling)
            by_temperature[temperature] = {
                person: own["clone"].value for person, own in overall.people.items()
            }
    finally:
        evidence.release()
    made = choose(by_temperature)
    info = AdapterInfo.load(workspace, name)
    fitted = {person: PersonaSampling(temperature=t) for person, t in made.chosen.items()}
    replace(info, sampling=fitted).save(workspace.adapter(name))
    return made


def choose(by_temperature: Mapping[float, Mapping[str, float]]) -> Calibration:
    """The temperature of each person with the least distance, half of it everybody's.

    Args:
        by_temperature: distance in style of each person at each temperature.
    """
    people = sorted(set.intersection(*(set(own) for own in by_temperature.values())))
    everybody = {t: mean([own[p] for p in people]) for t, own in by_temperature.items()}
    distances = {p: {t: own[p] for t, own in by_temperature.items()} for p in people}
    chosen = {
        person: min(own, key=lambda t: own[t] + everybody[t]) for person, own in distances.items()
    }
    return Calibration(distances, chosen)


def _replies(
    clone: Clone, evidence: Evidence, moments: Sequence[Moment], temperature: float
) -> list[GeneratedReply]:
    at = replace(clone, chat=clone.chat.with_changes({"temperature": temperature}))

    def answer(i: int, moment: Moment) -> dict[str, Any]:
        return asdict(generate_reply(at, moment, seed=i))

    what = f"replies at temperature {temperature}"
    return [GeneratedReply(**entry) for entry in evidence.gather(what, moments, answer)]
