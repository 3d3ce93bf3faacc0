"""Style: do a clone's replies look like the person's turns, whatever they say?

For each feature the mean of clone, base and real text, and the distance between clone and
real text beside the distance between two halves of the real text: the person's own spread.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from myna.evaluation.measure import MIN_ITEMS, Estimate, Item, Measure, Signed, bootstrap, mean
from myna.evaluation.style_features import VOCABULARY, Feature, Spelling, Values, features

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence

MIN_HALF = 4
"""Turns of a half of a person's real text; fewer give no distance."""
RESAMPLES = 200
"""Bootstrap draws of a distance, of which there are many."""
GAPS = 3


class Turn(NamedTuple):
    """The values of a feature in a turn; `group` is clone, base, or a real half (a or b)."""

    person: str
    group: str
    conversation: int
    values: Values


@dataclass(frozen=True)
class Gap:
    """A feature in which a clone is far from a person.

    Attributes:
        feature: its title.
        clone: mean of the clone's replies, for people; "" of the choice of words.
        real: the same of the person's turns.
        distance: between the two; `own` is that between the person's two halves.
        remedy: what changes it.
    """

    feature: str
    clone: str
    real: str
    distance: float
    own: float
    remedy: str


def measure(evidence: Evidence) -> list[Measure]:
    """The style of the clone's replies and the base's, beside real turns of the test split."""
    spelling = spelling_of(evidence)
    return measure_style(evidence.real, evidence.replies, evidence.base_replies, spelling)


def spelling_of(evidence: Evidence) -> Spelling:
    """The spelling of the train split, beside the words that the base has tokens for."""
    tokenizer = evidence.tokenizer
    return Spelling(
        (turn.text for turn in evidence.all_train),
        lambda word: any(
            len(tokenizer.encode(f" {form}").ids) == 1 for form in (word, word.capitalize())
        ),
    )


def measure_style(
    real: Sequence[Signed], clone: Sequence[Signed], base: Sequence[Signed], spelling: Spelling
) -> list[Measure]:
    """Means and distances of every feature, and the mean distance.

    Args:
        real: turns of the test split.
        clone: replies of the clone.
        base: replies of the base.
        spelling: of the chat.
    """
    people = sorted({turn.person for turn in clone} & {turn.person for turn in real})
    if not people:
        return []
    halves = _halves([turn for turn in real if turn.person in people])
    means, distances = [], []
    for feature in (*features(spelling), VOCABULARY):
        turns = [
            Turn(turn.person, group, turn.conversation, feature.figures(turn.text))
            for group, some in (("clone", clone), ("base", base), *halves.items())
            for turn in some
            if turn.person in people
        ]
        if feature is not VOCABULARY:
            means.append(_means(feature, turns, people))
        distances.append(_distances(feature, turns, people))
    return [_overall(distances), *means, *distances]


def _halves(real: Sequence[Signed]) -> dict[str, list[Signed]]:
    """Each person's real turns in two halves, by conversation where that comes out even."""
    halves: dict[str, list[Signed]] = {"a": [], "b": []}
    for person in sorted({turn.person for turn in real}):
        own = [turn for turn in real if turn.person == person]
        numbers = {c: i for i, c in enumerate(dict.fromkeys(turn.conversation for turn in own))}
        even = [turn for turn in own if numbers[turn.conversation] % 2 == 0]
        odd = [turn for turn in own if numbers[turn.conversation] % 2]
        if min(len(even), len(odd)) < len(own) / 3:
            even, odd = own[::2], own[1::2]
        halves["a"] += even
        halves["b"] += odd
    return halves


def _means(feature: Feature, turns: Sequence[Turn], people: Sequence[str]) -> Measure:
    """The mean of a feature, over people of each person's."""

    def of(groups: tuple[str, ...], who: Sequence[str]) -> Estimate:
        some = [turn for turn in turns if turn.group in groups and turn.person in who]
        joined = _joined(some)
        clusters = [turn.conversation for turn in joined]
        estimate = bootstrap(joined, clusters, _mean_over_people, RESAMPLES)
        return replace(estimate, items=len(some))

    real = ("a", "b")
    return Measure(
        feature.name,
        feature.title,
        "real",
        of(("clone",), people),
        f"{feature.definition}; everyone: mean over people",
        floor=_known(of(("base",), people)),
        ceiling=of(real, people),
        people={
            person: {"clone": of(("clone",), [person]), "ceiling": of(real, [person])}
            for person in people
        },
        unit=feature.unit,
        section="style",
        is_detail=feature.name not in ("message_length", "messages_per_turn"),
        items=_items([turn for turn in turns if turn.group == "clone"]),
    )


def _items(turns: Sequence[Turn]) -> tuple[Item, ...]:
    """An item of each reply; everybody's replies together weigh the same."""
    counts = Counter[str]()
    for turn in turns:
        counts[turn.person] += len(turn.values)
    return tuple(
        Item(turn.person, turn.conversation, sum(turn.values) / n, len(turn.values) / n)
        for turn in turns
        for n in (max(counts[turn.person], 1),)
    )


def _distances(feature: Feature, turns: Sequence[Turn], people: Sequence[str]) -> Measure:
    """The distances of a feature from real text: clone, base, and real half to real half."""

    def of(group: str, who: Sequence[str]) -> Estimate:
        return _distance(feature, turns, group, who)

    formula = (
        "the Jensen-Shannon distance (Endres & Schindelin 2003) of equally many words"
        if feature is VOCABULARY
        else "the Wasserstein-1 distance in standard deviations of both together"
    )
    counts = Counter(turn.person for turn in turns if turn.group == "clone")
    few = [person for person in people if counts[person] < MIN_ITEMS]
    note = f"fewer than {MIN_ITEMS} replies of {', '.join(few)}: read their style with care"
    return Measure(
        f"{feature.name}_distance",
        f"{feature.title}: distance",
        "lower",
        of("clone", people),
        f"{feature.definition}: {formula}, mean of the distances from two halves of a person's "
        "real turns; real text: from half to half, with equally many turns; everyone: mean over "
        "people",
        floor=_known(of("base", people)),
        ceiling=of("halves", people),
        people={
            person: {"clone": of("clone", [person]), "ceiling": of("halves", [person])}
            for person in people
        },
        unit="score",
        notes=(note,) if few else (),
        section="style",
        is_detail=True,
    )


def _distance(
    feature: Feature, turns: Sequence[Turn], group: str, people: Sequence[str]
) -> Estimate:
    """The mean over people of the distance of a group from their halves, or between those.

    Of each person equally many turns of the group and of both halves count.
    """
    chosen: list[Turn] = []
    compared = "clone" if group == "halves" else group
    for person in people:
        parts = [
            [turn for turn in turns if turn.person == person and turn.group == part]
            for part in (compared, "a", "b")
        ]
        size = min(map(len, parts))
        if size >= MIN_HALF:
            chosen += [turn for part in parts for turn in _spread(part, size)]

    def statistic(some: Sequence[Turn]) -> float:
        values: dict[tuple[str, str], Values] = {}
        for turn in some:
            values.setdefault((turn.person, turn.group), []).extend(turn.values)
        found = []
        for person in people:
            a, b = values.get((person, "a"), []), values.get((person, "b"), [])
            own = values.get((person, compared), [])
            pairs = [(a, b)] if group == "halves" else [(own, a), (own, b)]
            found.append(mean([feature.distance(one, other) for one, other in pairs]))
        return mean([distance for distance in found if not math.isnan(distance)])

    items = sum(turn.group == compared for turn in chosen)
    if len({value for turn in chosen for value in turn.values}) == 1:
        return Estimate(0.0, 0.0, 0.0, items)  # such as a chat without any emoji
    joined = _joined(chosen)
    clusters = [(turn.person, turn.conversation) for turn in joined]
    estimate = bootstrap(joined, clusters, statistic, RESAMPLES, is_distance=True)
    return replace(estimate, items=items)


def _overall(distances: Sequence[Measure]) -> Measure:
    """The mean of all features' distances."""

    def over(estimates: Iterable[Estimate | None]) -> Estimate:
        known = [e for e in estimates if e is not None and not math.isnan(e.value)]
        return Estimate(
            mean([e.value for e in known]), items=min((e.items for e in known), default=0)
        )

    first = distances[0]
    return Measure(
        "style_distance",
        "Distance in style",
        "lower",
        over(measure.clone for measure in distances),
        f"mean of the distances of {len(distances)} features of style",
        floor=_known(over(measure.floor for measure in distances)),
        ceiling=over(measure.ceiling for measure in distances),
        people={
            person: {key: over(m.people[person][key] for m in distances) for key in own}
            for person, own in first.people.items()
        },
        unit="score",
        notes=first.notes,
        section="style",
    )


def largest_gaps(measures: Sequence[Measure]) -> dict[str, list[Gap]]:
    """Each person's largest gaps, the largest first; of people without one an empty list.

    A gap is a distance whose interval lies above the distance of the person's two halves,
    in a feature whose real mean lies outside the interval of the clone's mean.
    """
    by_name = {measure.name: measure for measure in measures}
    known = [*features(Spelling([], lambda _: True)), VOCABULARY]
    people = by_name["style_distance"].people if "style_distance" in by_name else {}
    found: dict[str, list[Gap]] = {}
    for person in people:
        distances = {f.name: by_name[f"{f.name}_distance"].people[person] for f in known}
        gaps = [
            _gap(feature, person, by_name)
            for feature in known
            if distances[feature.name]["clone"].low > distances[feature.name]["ceiling"].value
            and _differs(by_name.get(feature.name), person)
        ]
        found[person] = sorted(gaps, key=lambda gap: gap.own - gap.distance)[:GAPS]
    return found


def _differs(means: Measure | None, person: str) -> bool:
    """True where the real mean lies outside the clone's interval, or a feature has no mean."""
    if means is None:
        return True
    clone, real = (means.people[person][key] for key in ("clone", "ceiling"))
    return not clone.low <= real.value <= clone.high


def _gap(feature: Feature, person: str, by_name: Mapping[str, Measure]) -> Gap:
    distance = by_name[f"{feature.name}_distance"].people[person]
    means = by_name[feature.name].people[person] if feature.name in by_name else None
    clone, real = ("", "")
    remedy = feature.lower
    if means is not None:
        clone, real = (plain(means[key].value, feature) for key in ("clone", "ceiling"))
        if means["clone"].value < means["ceiling"].value:
            remedy = feature.higher
    return Gap(
        feature.title,
        clone,
        real,
        distance["clone"].value,
        distance["ceiling"].value,
        remedy.format(name=person, real=real),
    )


def plain(value: float, feature: Feature) -> str:
    """A mean for people: shares as per cent, counts with as many digits as tell something."""
    if feature.unit == "share":
        return f"{value:.0%}" if value >= 0.1 else f"{value:.1%}"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _joined(turns: Sequence[Turn]) -> list[Turn]:
    """The turns of a person, group and conversation as one, which resampling draws at once."""
    values: dict[tuple[str, str, int], Values] = {}
    for turn in turns:
        values.setdefault((turn.person, turn.group, turn.conversation), []).extend(turn.values)
    return [Turn(*key, own) for key, own in values.items()]


def _mean_over_people(turns: Sequence[Turn]) -> float:
    values: dict[str, Values] = {}
    for turn in turns:
        values.setdefault(turn.person, []).extend(turn.values)
    return mean([mean(own) for own in values.values() if own])


def _spread(turns: Sequence[Turn], size: int) -> list[Turn]:
    """So many turns, evenly spread."""
    return [turns[int(i)] for i in np.linspace(0, len(turns) - 1, size)]


def _known(estimate: Estimate) -> Estimate | None:
    return None if math.isnan(estimate.value) else estimate
