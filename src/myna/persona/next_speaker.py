"""The next speaker of a chat: the model's own probabilities of the names, corrected.

The model alone silences whoever it does not expect, so each candidate's log-odds are a sum of
a few numbers (`FEATURES`), weighted by a conditional logistic regression (McFadden 1974) on
turns of the validation split. Without those the model alone decides.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import groupby

import numpy as np
import numpy.typing as npt
import polars as pl

from myna.artifacts import PromptFormat, SpeakerWeights, TurnTaking
from myna.conversations.name_mentions import named_people
from myna.engines.engine import Engine
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.persona.scenes import Scene, conversation_turns
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import most_active

Floats = npt.NDArray[np.float64]

MAX_OBSERVED = 80
"""Most turns that weights are fitted to."""
RUN_TURNS = 25
"""Most turns in a row of one conversation among these: their prompts share a beginning."""
CONTEXT_TURNS = 6
"""Turns before the first of a run."""
MIN_OBSERVED = 30
"""Fewer turns than these tell too little: the model alone decides."""
RIDGE = 1.0
"""Strength with which the weights are held to their defaults: as one turn each would."""
MIN_PROBABILITY = 1e-9


def probabilities(
    engine: Engine,
    builder: PromptBuilder,
    among: Sequence[str],
    turn_taking: TurnTaking | None = None,
) -> dict[str, float]:
    """The probability of each of these people to speak next; sums to 1, and none is 0.

    Where the model names nobody (another rendering, or an engine without probabilities), the
    weights without a model count. If there are none: `probabilities_by_silence`, or with such
    an engine everybody equally.
    """
    knows = turn_taking or TurnTaking()
    if builder.spec.predicts_next_speaker and "next_probs" in engine.can:
        model = model_probabilities(engine, builder, among)
        if knows.with_model == SpeakerWeights():
            return model
        return _combined(knows.with_model, features(builder.messages, among, knows.shares, model))
    if knows.without_model is not None:
        rows = features(builder.messages, among, knows.shares, None)
        return _combined(knows.without_model, rows)
    if not builder.spec.predicts_next_speaker:
        return probabilities_by_silence(builder, among)
    return {person: 1 / len(among) for person in among}


def model_probabilities(
    engine: Engine, builder: PromptBuilder, among: Sequence[str]
) -> dict[str, float]:
    """The model's own probabilities of these names; sums to 1.

    Walks the tokens of the names as a tree: a name's probability is the product over
    its tokens, and once one name is left the rest of it needs no more requests. A token that
    is not among those that the engine gives has an equal share of what these leave.
    """
    prompt = builder.prompt_before_name()
    names = {person: tuple(builder.name_ids(person)) for person in among}
    weights = _walk(engine, prompt, (), names, builder.tokenizer.size)
    total = sum(weights.values())
    return {person: weights[person] / total for person in among}


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
    engine: Engine,
    prompt: list[int],
    path: tuple[int, ...],
    names: dict[str, tuple[int, ...]],
    vocabulary: int,
) -> dict[str, float]:
    """The probability of the rest of each name, by person; all names begin with `path`."""
    if len(names) == 1:
        return dict.fromkeys(names, 1.0)
    following = {ids[len(path)] for ids in names.values()}
    if len(following) == 1:  # nothing to tell apart here
        return _walk(engine, prompt, (*path, *following), names, vocabulary)
    next_probs = engine.next_probs([*prompt, *path])
    left = (1 - sum(next_probs.values())) / max(vocabulary - len(next_probs), 1)
    floor = max(min([left, *next_probs.values()]), MIN_PROBABILITY)
    found: dict[str, float] = {}
    for token in following:
        below = {person: ids for person, ids in names.items() if ids[len(path)] == token}
        rest = _walk(engine, prompt, (*path, token), below, vocabulary)
        for person, probability in rest.items():
            found[person] = max(next_probs.get(token, 0.0), floor) * probability
    return found


def sample(probabilities: dict[str, float], rng: random.Random) -> str:
    """One of the people, drawn by their probabilities."""
    return rng.choices(list(probabilities), weights=list(probabilities.values()))[0]


FEATURES = ("model", "share", "silence", "addressed", "before_last")
"""The numbers of each candidate, as in `SpeakerWeights`."""


def features(
    messages: Sequence[PromptMessage],
    among: Sequence[str],
    shares: Mapping[str, float],
    model: Mapping[str, float] | None,
) -> dict[str, list[float]]:
    """The `FEATURES` of each candidate after these messages, whose texts may be whole turns.

    Logarithms of the model's probability, of their share of all turns (strangers: the mean of
    the others) and of the turns since they last spoke; and 1 if the last message is addressed
    to them, 1 if they spoke before last. Without a model its number is 0.
    """
    speakers = [person for person, _ in groupby(messages, key=lambda message: message.person)]
    last_at = {person: i for i, person in enumerate(speakers)}
    silence = {person: len(speakers) - last_at.get(person, -1) for person in among}
    addressed = named_people(messages[-1].text, among, addressed=True) if messages else []
    known = [math.log(shares[person]) for person in among if shares.get(person)]
    usual = sum(known) / len(known) if known else 0.0
    return {
        person: [
            math.log(max(model[person], MIN_PROBABILITY)) if model else 0.0,
            math.log(shares[person]) if shares.get(person) else usual,
            math.log(silence[person]),
            float(person in addressed),
            float(silence[person] == 2),
        ]
        for person in among
    }


def _combined(weights: SpeakerWeights, rows: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The probabilities of candidates by their features."""
    found = softmax(np.array(list(rows.values())) @ np.array(astuple(weights)))
    return dict(zip(rows, found.tolist(), strict=True))


def softmax(odds: Floats) -> Floats:
    """Probabilities (n,) of log-odds (n,)."""
    powers: Floats = np.exp(odds - odds.max())
    shares: Floats = powers / powers.sum()
    return shares


@dataclass(frozen=True)
class ObservedTurn:
    """A real choice of the next speaker.

    Attributes:
        rows: the features of the candidates, (candidates, features).
        chosen: the number of the one who spoke.
    """

    rows: Floats
    chosen: int


def fit(turns: Sequence[ObservedTurn], prior: SpeakerWeights) -> SpeakerWeights:
    """The weights under which the turns are likeliest, held to `prior` by `RIDGE`.

    Newton's method; the log-likelihood of a conditional logit is concave.
    """
    start = np.array(astuple(prior))
    weights = start.copy()
    for _ in range(30):
        gradient, curvature = RIDGE * (start - weights), RIDGE * np.eye(len(start))
        for turn in turns:
            p = softmax(turn.rows @ weights)
            mean = p @ turn.rows
            gradient += turn.rows[turn.chosen] - mean
            centred = turn.rows - mean
            curvature += centred.T @ (p[:, None] * centred)
        step = np.linalg.solve(curvature, gradient)
        # A long step may overshoot where the likelihood is flat.
        weights += step / max(1.0, float(np.abs(step).max()) / 2)
        if np.abs(step).max() < 1e-6:
            break
    return SpeakerWeights(*(round(float(weight), 4) for weight in weights))


def fit_turn_taking(
    engine: Engine,
    prompt_format: PromptFormat,
    tokenizer: Tokenizer,
    messages: pl.DataFrame,
    is_over: Callable[[], bool] = lambda: False,
) -> TurnTaking:
    """Fit the weights to turns of the validation split, and count shares in the train split.

    Args:
        engine: the trained model; where it gives no probabilities, only the weights without a
            model are fitted.
        prompt_format: of the samples that it was trained on.
        tokenizer: of its base.
        messages: the prepared messages of all splits.
        is_over: True once no more turns may be observed.
    """
    shares = speaking_shares(messages.filter(pl.col("split") == "train"))
    names_anybody = prompt_format.spec.predicts_next_speaker and "next_probs" in engine.can
    turns: list[ObservedTurn] = []
    for scene in observed_scenes(messages.filter(pl.col("split") == "validation")):
        builder = scene.prompt_builder(prompt_format, tokenizer, engine.context - 1)
        # The last turn first: each prompt is then the beginning of the one before, so that the
        # engine has it in its cache and reads every token once.
        for i, turn in reversed([*enumerate(scene.after)]):
            builder.messages = [*scene.before, *scene.after[:i]]
            among = [person for person in scene.people if person != builder.messages[-1].person]
            if is_over():
                break
            if turn.person in among and len(among) > 1:
                model = model_probabilities(engine, builder, among) if names_anybody else None
                rows = features(builder.messages, among, shares, model)
                chosen = among.index(turn.person)
                turns.append(ObservedTurn(np.array(list(rows.values())), chosen))
    turns = turns[:MAX_OBSERVED]
    if len(turns) < MIN_OBSERVED:
        return TurnTaking(shares)
    blind = [replace(turn, rows=turn.rows * [0, 1, 1, 1, 1]) for turn in turns]
    with_model = fit(turns, SpeakerWeights()) if names_anybody else SpeakerWeights()
    return TurnTaking(shares, with_model, fit(blind, SpeakerWeights(model=0.0)), len(turns))


def speaking_shares(messages: pl.DataFrame) -> dict[str, float]:
    """The share of each person in the turns of prepared messages, one added to each count."""
    counts = Counter(
        turn.person
        for _, rows in messages.group_by("conversation", maintain_order=True)
        for turn in conversation_turns(rows)
    )
    total = counts.total() + len(counts)
    return {person: round((count + 1) / total, 6) for person, count in counts.most_common()}


def observed_scenes(messages: pl.DataFrame) -> list[Scene]:
    """Stretches of conversations of three people or more, in all `MAX_OBSERVED` turns to come.

    They are drawn from the prepared messages of one split, the same ones each time.
    """
    scenes = []
    for _, rows in messages.group_by("conversation", maintain_order=True):
        turns = conversation_turns(rows)
        space, channel = rows.select("space", "channel").row(0)
        people = most_active(rows["person"])
        if len(people) > 2:
            for i in range(0, len(turns), CONTEXT_TURNS + RUN_TURNS):
                stretch = turns[i : i + CONTEXT_TURNS + RUN_TURNS]
                start = max(min(CONTEXT_TURNS, len(stretch) // 3), 1)
                scenes.append(Scene(space, channel, people, stretch[:start], stretch[start:]))
    random.Random(0).shuffle(scenes)
    drawn, count = [], 0
    for scene in scenes:
        if count < MAX_OBSERVED and scene.after:
            drawn.append(scene)
            count += len(scene.after)
    return drawn
