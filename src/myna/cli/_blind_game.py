"""The blind game of `myna evaluate --blind` in the terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from myna import people
from myna.artifacts import check_is_clone
from myna.cli._terminal import console, note, print_json
from myna.errors import WorkspaceError
from myna.messages import normalize_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from myna.evaluation.blind import Answer, Card, Deck
    from myna.workspace import Workspace

OWNER = "Me"
"""The player who owns the chats; others see only people who agreed to that."""
CARDS = 20
"""Cards of one game."""
SHOWN_TURNS = 5
"""Turns before a reply that are shown."""


def has_deck(workspace: Workspace, name: str) -> bool:
    """True if the adapter has a deck of its present weights.

    Raises:
        WorkspaceError: it has canaries, so it never speaks.
    """
    from myna.evaluation import blind

    check_is_clone(workspace, name)
    return blind.has_deck(workspace, name)


def run(workspace: Workspace, name: str, player: str, *, private: bool, as_json: bool) -> None:
    """Let the owner review the deck of a measured adapter, then play it, and print the results.

    Args:
        workspace: with the adapter's deck.
        name: of the adapter.
        player: who plays.
        private: chats of two people may be in the game.
        as_json: only print the results, as one JSON document.

    Raises:
        WorkspaceError: there is no deck, or no card that may be shown.
    """
    from myna.evaluation import blind
    from myna.evaluation.report import measure_data

    player = people.sanitize_name(player)
    deck = blind.load_deck(workspace, name, "owner" if as_json or player == OWNER else "group")
    if not as_json:
        screen = console()
        deck = _review(workspace, name, deck, screen, private=private)
        _play(workspace, name, deck, screen, player)
    answers = blind.load_answers(workspace, name, deck)
    if as_json:
        print_json(measure_data(blind.measure_answers(answers)))
    elif answers:
        _print_results(answers)


def _review(workspace: Workspace, name: str, deck: Deck, screen: Console, *, private: bool) -> Deck:
    """Let the owner leave cards out; a choice is kept, so only new cards are asked about."""
    from myna.evaluation import blind

    cards = blind.to_review(deck, private=private)
    if not cards:
        return deck
    note(f"{len(cards)} new cards. Whoever plays will see these texts; look through them first.")
    for number, card in enumerate(cards, 1):
        screen.print(f"── {number} ──", style="bold")
        _print_card(screen, card, card.replies(""))
    line = _read_line("Numbers that may not be shown, such as 3 7-9 (Enter: all may): ")
    if line is None:
        raise WorkspaceError("the deck was not reviewed, so nothing is played")
    hidden = [cards[i - 1] for i in numbers(line) if 0 < i <= len(cards)]
    deck = blind.reviewed(deck, cards, hidden)
    blind.save_deck(workspace, name, deck)
    note(f"{len(cards) - len(hidden)} cards may be shown, {len(hidden)} may not.")
    return deck


def numbers(line: str) -> list[int]:
    """The numbers in a line such as "3 7-9"."""
    found: list[int] = []
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", line):
        found += range(int(first), min(int(last or first), int(first) + 10_000) + 1)
    return found


def _play(workspace: Workspace, name: str, deck: Deck, screen: Console, player: str) -> None:
    from myna.evaluation import blind

    if not any(card.is_shown for card in deck.cards):
        raise WorkspaceError(
            "no card may be shown: chats of two people need --private, others more --items"
        )
    cards = blind.cards_for(deck, blind.load_answers(workspace, name, deck), player, CARDS)
    if not cards:
        note(f"{player} has answered every card: measure more --items, or let somebody else play")
        return
    note(f"{player}, which reply is real? Type a or b; q ends the game.")
    for number, card in enumerate(cards, 1):
        screen.print(f"── {number} of {len(cards)} ──", style="bold")
        _print_card(screen, card, card.replies(player))
        letter = _read_letter()
        if letter == "q":
            return
        answer = blind.answered(deck, card, player, letter)
        blind.add_answer(workspace, name, answer)
        screen.print("right" if answer.is_right else "no, that was the clone", style="bold")


def _print_card(screen: Console, card: Card, replies: tuple[str, str]) -> None:
    for person, text in card.before[-SHOWN_TURNS:]:
        screen.print(f"{people.sanitize_name(person)}: {_tidy(text)}", style="dim")
    for letter, text in zip("ab", replies, strict=True):
        screen.print(f"{letter}) {people.sanitize_name(card.person)}: ", style="bold", end="")
        screen.print(_tidy(text))


def _tidy(text: str) -> str:
    """A text for the terminal: without control characters, further lines indented."""
    return normalize_text(text).replace("\n", "\n   ")


def _read_letter() -> str:
    while (line := _read_line("a, b or q: ")) is not None:
        if (letter := line.strip().lower()) in ("a", "b", "q"):
            return letter
    return "q"


def _read_line(prompt: str) -> str | None:
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt):
        return None


def _print_results(answers: Sequence[Answer]) -> None:
    """Print how often the clone was taken for the real person: of everybody, by person, player."""
    from rich.table import Table
    from rich.text import Text

    from myna.evaluation import blind
    from myna.evaluation.report import written

    measure = blind.measure_answers(answers)
    table = Table(title=f"{measure.title} (50 %: cannot be told apart)", title_justify="left")
    for column in ("", "answers", "taken for real (95 % interval)"):
        table.add_column(column, justify="left" if not column else "right")
    rows = [("everyone", measure.clone)]
    rows += [(person, own["clone"]) for person, own in measure.people.items()]
    rows += [(f"player {player}", own) for player, own in measure.references.items()]
    for label, estimate in rows:
        table.add_row(Text(label), str(estimate.items), written(estimate, measure.unit))
    console().print(table)
    for line in measure.notes:
        console().print(line, style="dim")
