"""The next speaker of a chat, by the model's own probabilities of the names."""

from __future__ import annotations

import random
from collections.abc import Sequence

from myna.conversations.name_mentions import named_people
from myna.engines.engine import Engine
from myna.persona.prompt import PromptBuilder


def probabilities(engine: Engine, builder: PromptBuilder, among: Sequence[str]) -> dict[str, float]:
    """The probability of each of these people to speak next; sums to 1.

    Walks the tokens of the names as a tree: a name's probability is the product over
    its tokens, and once one name is left the rest of it needs no more requests. An engine
    without probabilities finds everybody equally likely. Where the rendering never
    names who speaks next, see `probabilities_by_silence`.
    """
    if not builder.spec.predicts_next_speaker:
        return probabilities_by_silence(builder, among)
    uniform = {person: 1 / len(among) for person in among}
    if "next_probs" not in engine.can:
        return uniform
    prompt = builder.prompt_before_name()
    names = {person: tuple(builder.name_ids(person)) for person in among}
    weights = _walk(engine, prompt, (), names)
    total = sum(weights.values())
    return {person: weights[person] / total for person in among} if total > 0 else uniform


def probabilities_by_silence(builder: PromptBuilder, among: Sequence[str]) -> dict[str, float]:
    """Probabilities without a model: for whom the last message is, else by length of silence.

    Somebody silent for n messages is n times as likely as whoever has just spoken.
    """
    messages = builder.messages
    addressed = named_people(messages[-1].text, among, addressed=True) if messages else []
    silence = dict.fromkeys(among, len(messages) + 1)
    for ago, message in zip(range(len(messages), 0, -1), messages, strict=True):
        if message.person in silence:
            silence[message.person] = ago
    weights = {person: silence[person] for person in addressed or among}
    return {person: weights.get(person, 0) / sum(weights.values()) for person in among}


def _walk(
    engine: Engine, prompt: list[int], path: tuple[int, ...], names: dict[str, tuple[int, ...]]
) -> dict[str, float]:
    """The probability of the rest of each name, by person; all names begin with `path`."""
    if len(names) == 1:
        return dict.fromkeys(names, 1.0)
    following = {ids[len(path)] for ids in names.values()}
    if len(following) == 1:  # nothing to tell apart here
        return _walk(engine, prompt, (*path, *following), names)
    next_probs = engine.next_probs([*prompt, *path])
    found: dict[str, float] = {}
    for token in following:
        below = {person: ids for person, ids in names.items() if ids[len(path)] == token}
        for person, probability in _walk(engine, prompt, (*path, token), below).items():
            found[person] = next_probs.get(token, 0.0) * probability
    return found


def sample(probabilities: dict[str, float], rng: random.Random) -> str:
    """One of the people, drawn by their probabilities."""
    return rng.choices(list(probabilities), weights=list(probabilities.values()))[0]
