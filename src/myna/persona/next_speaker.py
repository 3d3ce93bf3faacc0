"""Who speaks next, from the model's own probabilities of the names."""

from __future__ import annotations

import random
from collections.abc import Sequence

from myna.conversations.name_mentions import named_people
from myna.engines.engine import Engine
from myna.persona.prompt import Room


def probabilities(engine: Engine, room: Room, among: Sequence[str]) -> dict[str, float]:
    """How likely each of these people is to speak next; sums to 1.

    Walks the tokens of the names as a tree: a name's probability is the product over
    its tokens, and where one name is left the rest of it needs no more asking. An engine
    that tells no probabilities finds everybody equally likely. Where the rendering never
    names who speaks next, see `by_silence`.
    """
    if not room.spec.predicts_next_speaker:
        return by_silence(room, among)
    if "next_probs" not in engine.can:
        return {person: 1 / len(among) for person in among}
    start = room.before_cue()
    cues = {person: tuple(room.cue_ids(person)) for person in among}
    chances = _walk(engine, start, (), cues)
    total = sum(chances.values())
    if total <= 0:
        return {person: 1 / len(among) for person in among}
    return {person: chances[person] / total for person in among}


def by_silence(room: Room, among: Sequence[str]) -> dict[str, float]:
    """Chances without a model: whom the last message is for, or else by how long they are silent.

    Somebody silent for n messages is n times as likely as who has just spoken.
    """
    called = named_people(room.lines[-1].text, among, addressed=True) if room.lines else []
    silent = dict.fromkeys(among, len(room.lines) + 1)
    for ago, line in zip(range(len(room.lines), 0, -1), room.lines, strict=True):
        if line.person in silent:
            silent[line.person] = ago
    weights = {person: silent[person] for person in called or among}
    return {person: weights.get(person, 0) / sum(weights.values()) for person in among}


def _walk(
    engine: Engine, start: list[int], path: tuple[int, ...], cues: dict[str, tuple[int, ...]]
) -> dict[str, float]:
    if len(cues) == 1:
        return dict.fromkeys(cues, 1.0)
    if len({cue[len(path)] for cue in cues.values()}) == 1:  # nothing to tell apart here
        shared = next(iter(cues.values()))[len(path)]
        return _walk(engine, start, (*path, shared), cues)
    ahead = engine.next_probs([*start, *path])
    chances: dict[str, float] = {}
    for token in {cue[len(path)] for cue in cues.values()}:
        below = {person: cue for person, cue in cues.items() if cue[len(path)] == token}
        weight = ahead.get(token, 0.0)
        for person, chance in _walk(engine, start, (*path, token), below).items():
            chances[person] = weight * chance
    return chances


def choose(chances: dict[str, float], chance: random.Random) -> str:
    """One of the people, drawn by their probabilities."""
    return chance.choices(list(chances), weights=list(chances.values()))[0]
