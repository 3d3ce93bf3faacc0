"""The game "who said it?": one at a time, in rounds that all players see at once.

A round shows a moment and two replies to it, one real and one of the clone, and asks which is
real and who said it. The answers leave the server when everybody has guessed. Cards and
answers are those of `myna evaluate --blind`, and results add up with it.

A card is dealt only if the owner looked at it and shows it, if every player wrote in the chat
that it is of, and if its persona may be cloned now: the deck is read again before each round.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from myna import people as people_
from myna.errors import RoomError, WorkspaceError
from myna.evaluation import blind
from myna.evaluation.blind import Card, Deck
from myna.people import Scope
from myna.web.game_cards import members_by_conversation, playable
from myna.workspace import Workspace

CODE_SIGNS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
CODE_LENGTH = 6
MAX_WRONG_CODES = 10
"""Wrong tries after which a game admits nobody else."""
MAX_PLAYERS = 20
GAME_SECONDS = 24 * 3600
OWNER = "Me"
"""The owner's name in the answers, as `myna evaluate --blind` has it."""
SHOWN_TURNS = 5
"""Turns before the replies."""

PlayerState = Literal["waiting", "playing", "refused"]


@dataclass
class Player:
    """Somebody who joined: `person` is the one in the chats whom the owner says they are."""

    id: str
    claimed: str
    token: str
    """The hash of the cookie."""
    person: str = ""
    state: PlayerState = "waiting"
    is_owner: bool = False

    @property
    def name(self) -> str:
        """The name in the answers and on the table."""
        return OWNER if self.is_owner else self.person


@dataclass(frozen=True)
class Guess:
    """A player's choice: the reply that is real, and the persona."""

    letter: str
    who: str


@dataclass
class Round:
    """A card that is played."""

    card: Card
    choices: list[str]
    """Personas of the chat: one of them said it."""
    guesses: dict[str, Guess] = field(default_factory=dict)
    """By the player's id."""
    is_revealed: bool = False


class Game:
    """One open game; every method may be called from any thread.

    `version` grows with each change, so that pages know when to look again.
    """

    def __init__(self, workspace: Workspace, adapter: str, rounds: int, *, private: bool) -> None:
        """Open a game.

        Raises:
            WorkspaceError: there is no deck, or no card of it may be shown.
        """
        self.workspace = workspace
        self.adapter = adapter
        self.rounds = rounds
        self.private = private
        self.code = "".join(secrets.choice(CODE_SIGNS) for _ in range(CODE_LENGTH))
        self.version = 0
        self.players: list[Player] = []
        self.round: Round | None = None
        self.number = 0
        self.is_over = False
        self._played: list[Card] = []
        self._scores: Counter[tuple[str, str]] = Counter()
        self._wrong_codes = 0
        self._ends_at = time.monotonic() + GAME_SECONDS
        self._lock = threading.RLock()
        if not self._deck().cards:
            raise WorkspaceError(
                "no card may be shown: look through the deck first; chats of two people are "
                "left out unless you choose them"
            )

    @property
    def admits(self) -> bool:
        """True while the code is good."""
        return self._wrong_codes < MAX_WRONG_CODES and time.monotonic() < self._ends_at

    def join(self, code: str, claimed: str) -> str:
        """Let somebody ask to play; return the secret of their cookie.

        Raises:
            RoomError: a wrong code, one too many of them, or too many players.
        """
        with self._lock:
            if not self.admits:
                raise RoomError("this game admits nobody else: ask its owner to open a new one")
            plain = "".join(code.split()).upper()
            if not hmac.compare_digest(plain.encode("utf-8", "replace"), self.code.encode()):
                self._wrong_codes += 1
                raise RoomError("that is not the code of the game: look at the owner's screen")
            if len(self.players) >= MAX_PLAYERS:
                raise RoomError(f"{MAX_PLAYERS} people have joined already")
            secret = secrets.token_urlsafe(24)
            name = people_.sanitize_name(claimed)
            self.players.append(Player(secrets.token_hex(4), name, _hash(secret)))
            self._changed()
            return secret

    def join_owner(self, person: str) -> None:
        """Let the owner play as well."""
        with self._lock:
            if not any(player.is_owner for player in self.players):
                self._check_cards([*self._playing_people(), person])
                owner = Player("owner", OWNER, "", person, "playing", is_owner=True)
                self.players.insert(0, owner)
                self._changed()

    def find(self, secret: str) -> Player | None:
        """The player of a cookie."""
        digest = _hash(secret)
        with self._lock:
            return next(
                (p for p in self.players if p.token and hmac.compare_digest(p.token, digest)), None
            )

    def admit(self, player_id: str, person: str) -> None:
        """Say who a player is; from then on only moments of chats that they wrote in are dealt.

        Raises:
            RoomError: no such player, or no card would be left.
        """
        with self._lock:
            player = self._player(player_id)
            if any(p.person == person and p is not player for p in self.players):
                raise RoomError(f"{person} plays already")
            self._check_cards([*self._playing_people(), person])
            player.person, player.state = person, "playing"
            self._changed()

    def refuse(self, player_id: str) -> None:
        """Send a player away."""
        with self._lock:
            self._player(player_id).state = "refused"
            self._reveal_if_all_guessed()
            self._changed()

    def next_round(self) -> None:
        """Deal the next card, or end the game after its last round."""
        with self._lock:
            if self.round is not None and not self.round.is_revealed:
                raise RoomError("not everybody has guessed: wait, or show the answer first")
            if not any(p.state == "playing" for p in self.players):
                raise RoomError("nobody plays yet: admit somebody, or play yourself")
            card = self._deal() if self.number < self.rounds else None
            if card is None:
                self.is_over, self.round = True, None
            else:
                self.number += 1
                self._played.append(card)
                self.round = Round(card, self._choices(card))
                self._reveal_if_all_guessed()
            self._changed()

    def guess(self, player: Player, number: int, guess: Guess) -> None:
        """Take a player's guess; the first one counts.

        Raises:
            RoomError: the round is over, or the player sits it out.
        """
        with self._lock:
            now = self.round
            if now is None or now.is_revealed or number != self.number:
                raise RoomError("this round is over")
            if player not in self._guessers():
                raise RoomError("you sit this round out: you wrote this, or were answered")
            if guess.letter not in ("a", "b") or (now.choices and guess.who not in now.choices):
                raise RoomError("choose a reply, and a person")
            if player.id not in now.guesses:
                now.guesses[player.id] = guess
                self._reveal_if_all_guessed()
                self._changed()

    def reveal(self) -> None:
        """Show the answer, also if somebody has not guessed."""
        with self._lock:
            if self.round is not None and not self.round.is_revealed:
                self._reveal()
                self._changed()

    def _reveal_if_all_guessed(self) -> None:
        now = self.round
        if now is None or now.is_revealed:
            return
        if all(player.id in now.guesses for player in self._guessers()):
            self._reveal()

    def _reveal(self) -> None:
        assert self.round is not None  # noqa: S101  # by its callers
        now, deck = self.round, self._deck()
        now.is_revealed = True
        for player in self.players:
            if (guess := now.guesses.get(player.id)) is not None:
                answer = blind.answered(deck, now.card, player.name, guess.letter, guess.who)
                blind.add_answer(self.workspace, self.adapter, answer)
                self._scores[player.id, "rounds"] += 1
                self._scores[player.id, "right"] += answer.is_right
                self._scores[player.id, "who"] += guess.who == now.card.person

    def _guessers(self) -> list[Player]:
        """The players of this round."""
        return [] if self.round is None else self._guessers_of(self.round.card)

    def _guessers_of(self, card: Card) -> list[Player]:
        """The players of a card: not whoever wrote the reply, nor whom it answers."""
        knows = {card.person, *(person for person, _ in card.before[-1:])}
        return [p for p in self.players if p.state == "playing" and p.person not in knows]

    def _player(self, player_id: str) -> Player:
        for player in self.players:
            if player.id == player_id:
                return player
        raise RoomError("this player is gone")

    def _playing_people(self) -> list[str]:
        return [player.person for player in self.players if player.state == "playing"]

    def _check_cards(self, players: Sequence[str]) -> None:
        if not self._deck(players).cards:
            last = players[-1]
            raise RoomError(
                f"no card is of a chat that {last} wrote in, together with all other players"
            )

    def _deck(self, players: Sequence[str] | None = None) -> Deck:
        """The cards that may be dealt to these players, by default to those who play."""
        named = self._playing_people() if players is None else list(players)
        scope: Scope = "owner" if all(p.is_owner for p in self.players) else "group"
        return playable(self.workspace, self.adapter, named, scope, private=self.private)

    def _deal(self) -> Card | None:
        """A card that no player has seen, and at least one can guess; the personas in turn."""
        deck = self._deck()
        answers = blind.load_answers(self.workspace, self.adapter, deck)
        names = {player.name for player in self.players if player.state == "playing"}
        known = {card.key for card in self._played}
        known |= {answer.card for answer in answers if answer.player in names}
        counts = Counter(card.person for card in self._played)
        left = [c for c in deck.cards if c.key not in known and self._guessers_of(c)]
        if not left:
            return None
        fewest = min(counts[card.person] for card in left)
        return secrets.choice([card for card in left if counts[card.person] == fewest])

    def _choices(self, card: Card) -> list[str]:
        """The personas of the card's chat, if there is a choice."""
        members = members_by_conversation(self.workspace).get(card.conversation, frozenset())
        personas = {c.person for c in self._deck().cards} & (members | {card.person})
        return sorted(personas) if len(personas) > 1 else []

    def _changed(self) -> None:
        self.version += 1

    def view(self, player: Player | None) -> dict[str, Any]:
        """The game as a player sees it, or with None the owner's screen."""
        with self._lock:
            shown: dict[str, Any] = {
                "version": self.version,
                "number": self.number,
                "rounds": self.rounds,
                "is_over": self.is_over,
                "round": self._round_view(player),
                "table": self._table() if player is None or player.state == "playing" else [],
            }
            if player is not None:
                return {**shown, "you": {"name": player.claimed, "state": player.state}}
            return {
                **shown,
                "code": self.code if self.admits else None,
                "adapter": self.adapter,
                "players": [
                    {"id": p.id, "claimed": p.claimed, "person": p.person, "state": p.state,
                     "is_owner": p.is_owner}
                    for p in self.players
                ],
            }  # fmt: skip

    def _round_view(self, player: Player | None) -> dict[str, Any] | None:
        now = self.round
        if now is None or (player is not None and player.state != "playing"):
            return None
        guessers = self._guessers()
        name = player.name if player else ""
        view: dict[str, Any] = {
            "number": self.number,
            "before": [list(turn) for turn in now.card.before[-SHOWN_TURNS:]],
            "replies": list(now.card.replies(name)),
            "choices": now.choices,
            "is_revealed": now.is_revealed,
            "waiting": [p.claimed for p in guessers if p.id not in now.guesses],
            "plays": player in guessers,
            "is_player": player is not None,
            "guess": None,
        }
        guess = now.guesses.get(player.id) if player else None
        if guess:
            view["guess"] = {"letter": guess.letter, "who": guess.who}
        if now.is_revealed:
            view["answer"] = {
                "letter": "a" if now.card.is_right(name, "a") else "b",
                "who": now.card.person,
            }
        return view

    def _table(self) -> list[dict[str, Any]]:
        """The players with their points, the best first: one for the reply, one for the person."""
        rows = [
            {
                "player": player.claimed,
                **{key: self._scores[player.id, key] for key in ("rounds", "right", "who")},
            }
            for player in self.players
            if player.state == "playing"
        ]
        return sorted(rows, key=lambda row: -(row["right"] + row["who"]))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
