"""Cards that these players may see, and the table of all games."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from myna import stages
from myna.errors import WorkspaceError
from myna.evaluation import blind
from myna.evaluation.blind import Answer, Card, Deck
from myna.people import Scope
from myna.workspace import Workspace, read_json

Z = 1.96
"""The normal distribution's 97.5 % quantile."""


def playable(
    workspace: Workspace, adapter: str, players: Sequence[str], scope: Scope, *, private: bool
) -> Deck:
    """The deck of an adapter without cards that these people may not see.

    Raises:
        WorkspaceError: there is no deck, or it is of other samples than those prepared now.
        ConsentError: nobody may be cloned.
    """
    deck = blind.load_deck(workspace, adapter, scope)
    report = read_json(workspace.reports / f"{adapter}.json") or {"manifest": {"inputs": {}}}
    for name, fingerprint in stages.train_inputs(workspace).items():
        if report["manifest"]["inputs"].get(name) != fingerprint:
            raise WorkspaceError(
                "the samples have changed since the deck was made: measure the adapter again"
            )
    members = members_by_conversation(workspace)
    cards = [
        card
        for card in deck.cards
        if card.is_shown
        and (private or not card.is_private)
        and members.get(card.conversation, frozenset()).issuperset(players)
    ]
    return replace(deck, cards=cards)


def members_by_conversation(workspace: Workspace) -> dict[int, frozenset[str]]:
    """For each conversation of the test split, everybody who wrote in its chat."""
    columns = ["source", "space", "channel", "conversation", "split", "person"]
    path = workspace.prepared / "messages.parquet"
    return blind.people_by_conversation(pl.read_parquet(path, columns=columns))


def results(answers: Sequence[Answer], cards: Sequence[Card]) -> dict[str, Any]:
    """The table of all players over all games, with what one gets without reading.

    Shares have Wilson's 95 % interval (Wilson 1927). `longer` is the share that always taking
    the longer reply for the real one would get.
    """
    by_key = {card.key: card for card in cards}
    rows = []
    for player in sorted({answer.player for answer in answers}):
        own = [answer for answer in answers if answer.player == player]
        asked = [answer for answer in own if answer.who]
        rows.append({
            "player": player,
            "right": share(sum(answer.is_right for answer in own), len(own)),
            "who": share(sum(a.who == a.person for a in asked), len(asked)),
        })  # fmt: skip
    played = [by_key[key] for key in {answer.card for answer in answers} if key in by_key]
    longer = sum(len(card.real) > len(card.clone) for card in played)
    return {"players": rows, "longer": share(longer, len(played)), "answers": len(answers)}


def share(part: int, whole: int) -> dict[str, Any]:
    """A share with Wilson's 95 % interval; None of nothing."""
    if not whole:
        return {"part": 0, "whole": 0, "value": None, "low": None, "high": None}
    p, n = part / whole, whole
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    spread = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return {
        "part": part,
        "whole": whole,
        "value": p,
        "low": middle - spread,
        "high": middle + spread,
    }
