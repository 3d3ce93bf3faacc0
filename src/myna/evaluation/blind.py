"""The blind game: which of two replies to a moment is the real one?

    reports/NAME.deck.json       Deck: a card for each moment that the evaluation drew
    reports/NAME.answers.jsonl   Answer: one line for each guess of each player

Both are plain data, so a page can play the same deck and add to the same answers. The owner
reviews a deck before anybody plays it; chats of two people are left out unless asked for.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from pydantic import TypeAdapter, ValidationError

from myna import stages
from myna.artifacts import AdapterInfo
from myna.errors import WorkspaceError
from myna.evaluation.measure import Estimate, Measure, bootstrap, few_items_note, mean
from myna.people import Scope
from myna.people.consent_checker import ConsentChecker
from myna.persona.prompt import prompt_message
from myna.workspace import Workspace, write_json

if TYPE_CHECKING:
    from myna.evaluation.evidence import Evidence

PRIVATE_PEOPLE = 2
"""A chat of at most so many people is private."""


@dataclass(frozen=True)
class Card:
    """A moment with its two replies.

    Attributes:
        key: a hash of the texts; the same for the same card of a later deck.
        person: the persona who replies.
        conversation: its number in the prepared messages.
        before: the turns before, as (person, text).
        real: the reply that was really sent.
        clone: the reply of the clone.
        is_private: True where it is of a chat of two people.
        is_shown: the owner's choice; None before.
    """

    key: str
    person: str
    conversation: int
    before: list[tuple[str, str]]
    real: str
    clone: str
    is_private: bool
    is_shown: bool | None = None

    def replies(self, player: str) -> tuple[str, str]:
        """Replies a and b, in an order that is the same whenever this player sees the card."""
        both = self.real, self.clone
        return both if self._is_real_first(player) else both[::-1]

    def is_right(self, player: str, letter: str) -> bool:
        """True where the player's choice, "a" or "b", is the real reply."""
        return (letter == "a") == self._is_real_first(player)

    def _is_real_first(self, player: str) -> bool:
        return random.Random(f"{self.key} {player}").random() < 0.5


@dataclass(frozen=True)
class Deck:
    """The cards of an adapter; `adapter` is the fingerprint of its weights."""

    adapter: str
    cards: list[Card]


@dataclass(frozen=True)
class Answer:
    """A guess; `adapter` is the deck's, and `at` an ISO time in UTC.

    `who` is the persona that the player took it for; empty where nobody asked.
    """

    player: str
    card: str
    person: str
    conversation: int
    is_right: bool
    adapter: str
    at: str
    who: str = ""


def make_deck(evidence: Evidence) -> Deck:
    """The deck of an evaluation's moments; moments without two different replies are left out.

    The clone's replies are cleaned and redacted as the real ones are.
    """
    crowds = people_by_conversation(evidence.messages)
    cards = []
    for moment, reply in zip(evidence.moments, evidence.replies, strict=True):
        real = moment.reply.text
        clone = prompt_message(evidence.info.format, reply.person, reply.text).text
        if not clone or _plain(clone) == _plain(real):
            continue
        before = [(turn.person, turn.text) for turn in moment.scene.before]
        texts = json.dumps([before, moment.person, real, clone])
        key = hashlib.sha256(texts.encode()).hexdigest()[:16]
        is_private = len(crowds[moment.conversation]) <= PRIVATE_PEOPLE
        cards.append(Card(key, moment.person, moment.conversation, before, real, clone, is_private))
    return Deck(_adapter(evidence.workspace, evidence.name), cards)


def people_by_conversation(messages: pl.DataFrame) -> dict[int, frozenset[str]]:
    """For each conversation of the test split, everybody who wrote in its chat.

    Args:
        messages: as prepared, of all splits.
    """
    chat = ["source", "space", "channel"]
    sizes = messages.group_by(chat).agg(people=pl.col("person").unique())
    tested = messages.filter(pl.col("split") == "test").select("conversation", *chat).unique()
    joined = tested.join(sizes, on=chat, nulls_equal=True).select("conversation", "people")
    return {number: frozenset(people) for number, people in joined.iter_rows()}


def save_deck(workspace: Workspace, name: str, deck: Deck) -> None:
    """Write the deck of an adapter; choices that the owner made about the same cards stay."""
    path = _deck_path(workspace, name)
    chosen = {card.key: card.is_shown for card in _read_deck(path).cards} if path.exists() else {}
    cards = [
        card if card.is_shown is not None else replace(card, is_shown=chosen.get(card.key))
        for card in deck.cards
    ]
    write_json(path, asdict(replace(deck, cards=cards)))


def has_deck(workspace: Workspace, name: str) -> bool:
    """True if there is a deck of the adapter's present weights."""
    path = _deck_path(workspace, name)
    return path.exists() and _read_deck(path).adapter == _adapter(workspace, name)


def load_deck(workspace: Workspace, name: str, scope: Scope = "owner") -> Deck:
    """Read the deck of an adapter, without people who may not be cloned for that `scope`.

    Raises:
        ConsentError: nobody whom the adapter has learned from may be cloned for that.
        WorkspaceError: there is none, it is damaged, or it is of other weights.
    """
    if not has_deck(workspace, name):
        raise WorkspaceError(
            f"there is no deck of adapter '{name}' as it is now: delete "
            f"{workspace.reports / name}.json and run `myna evaluate --adapter {name}`"
        )
    deck = _read_deck(_deck_path(workspace, name))
    trained = AdapterInfo.load(workspace, name).trained(name)
    consents = ConsentChecker(workspace, trained, scope)
    consents.check_anybody()
    allowed = consents.speakers()
    return replace(deck, cards=[card for card in deck.cards if card.person in allowed])


def to_review(deck: Deck, *, private: bool) -> list[Card]:
    """The cards about which the owner has not yet chosen; private ones only with `private`."""
    return [c for c in deck.cards if c.is_shown is None and (private or not c.is_private)]


def reviewed(deck: Deck, seen: Iterable[Card], hidden: Iterable[Card]) -> Deck:
    """The deck with the owner's choice: cards that were seen are shown, but for hidden ones."""
    keys, left_out = {card.key for card in seen}, {card.key for card in hidden}
    cards = [
        replace(card, is_shown=card.key not in left_out) if card.key in keys else card
        for card in deck.cards
    ]
    return replace(deck, cards=cards)


def cards_for(deck: Deck, answers: Iterable[Answer], player: str, count: int) -> list[Card]:
    """Cards that a player has not answered yet, the personas in turn.

    Args:
        deck: only cards that the owner chose to show are taken.
        answers: of all players.
        player: the player's name.
        count: the most cards.
    """
    known = {answer.card for answer in answers if answer.player == player}
    by_person: dict[str, list[Card]] = {}
    for card in deck.cards:
        if card.is_shown and card.key not in known:
            by_person.setdefault(card.person, []).append(card)
    rng = random.Random(player)
    hands = [rng.sample(own, len(own)) for own in by_person.values()]
    return [card for deal in zip_longest(*hands) for card in deal if card][:count]


def answered(deck: Deck, card: Card, player: str, letter: str, who: str = "") -> Answer:
    """The answer that a player's choice, "a" or "b", is; `who` may have said it."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    right = card.is_right(player, letter)
    return Answer(player, card.key, card.person, card.conversation, right, deck.adapter, at, who)


def add_answer(workspace: Workspace, name: str, answer: Answer) -> None:
    """Keep an answer."""
    path = _answers_path(workspace, name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(answer), ensure_ascii=False) + "\n")


def load_answers(workspace: Workspace, name: str, deck: Deck) -> list[Answer]:
    """All players' answers about the adapter of this deck; a torn line is left out."""
    path = _answers_path(workspace, name)
    found = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            found.append(_ANSWER.validate_json(line))
        except ValidationError:
            continue
    return [answer for answer in found if answer.adapter == deck.adapter]


def measure_answers(answers: Sequence[Answer]) -> Measure:
    """The share of cards on which players took the clone's reply for the real one."""

    def fooled(some: Sequence[Answer]) -> Estimate:
        values = [float(not answer.is_right) for answer in some]
        return bootstrap(values, [answer.conversation for answer in some], mean)

    personas = sorted({answer.person for answer in answers})
    players = sorted({answer.player for answer in answers})
    return Measure(
        "blind",
        "Clone taken for the real person",
        "real",
        fooled(answers),
        "share of cards on which a player took the clone's reply for the real one; who cannot "
        "tell them apart is right half the time",
        ceiling=Estimate(0.5),
        people={
            person: {"clone": fooled([answer for answer in answers if answer.person == person])}
            for person in personas
        },
        references={
            player: fooled([answer for answer in answers if answer.player == player])
            for player in players
        },
        notes=few_items_note("answers", len(answers)),
    )


_DECK = TypeAdapter(Deck)
_ANSWER = TypeAdapter(Answer)


def _read_deck(path: Path) -> Deck:
    try:
        return _DECK.validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"{path} is damaged: delete it and evaluate again") from error


def _deck_path(workspace: Workspace, name: str) -> Path:
    return workspace.reports / f"{name}.deck.json"


def _answers_path(workspace: Workspace, name: str) -> Path:
    return workspace.reports / f"{name}.answers.jsonl"


def _adapter(workspace: Workspace, name: str) -> str:
    return stages.evaluate_inputs(workspace, name)[f"adapter {name}"]


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
