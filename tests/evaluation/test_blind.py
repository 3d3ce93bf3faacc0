"""The blind game: the owner's review, cards for a player, results that add up."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.conftest import run

from myna.cli._blind_game import numbers
from myna.errors import ConsentError
from myna.evaluation import blind
from myna.evaluation.blind import Answer, Card, Deck
from myna.workspace import Workspace


def card(number: int, person: str = "Ana", **changes: object) -> Card:
    before = [("Ben", f"who is coming {number}")]
    made = Card(f"{number:016}", person, number, before, "me", "soup", is_private=False)
    return replace(made, **changes)  # type: ignore[arg-type]


def answer(number: int, *, right: bool, player: str = "Tom", person: str = "Ana") -> Answer:
    return Answer(player, f"{number:016}", person, number, right, "weights", "2024-05-01")


def test_which_letter_is_real_is_no_pattern_and_the_same_each_time() -> None:
    cards = [card(n) for n in range(40)]
    firsts = [c.replies("Tom")[0] == c.real for c in cards]
    assert 8 < sum(firsts) < 32
    for one in cards:
        a, b = one.replies("Tom")
        assert {a, b} == {"me", "soup"}
        assert one.is_right("Tom", "a") == (a == one.real)
        assert one.is_right("Tom", "b") == (b == one.real)
    assert any(c.replies("Tom") != c.replies("Una") for c in cards)


def test_private_cards_are_reviewed_only_if_asked_for() -> None:
    deck = Deck("weights", [card(1), card(2, is_private=True), card(3, is_shown=False)])
    assert [c.conversation for c in blind.to_review(deck, private=False)] == [1]
    assert [c.conversation for c in blind.to_review(deck, private=True)] == [1, 2]


def test_only_cards_that_the_owner_saw_and_allows_are_played() -> None:
    deck = Deck("weights", [card(n, "Ana" if n % 3 else "Ben") for n in range(6)])
    assert blind.cards_for(deck, [], "Tom", 9) == []
    deck = blind.reviewed(deck, deck.cards[:5], hidden=deck.cards[:1])
    dealt = blind.cards_for(deck, [answer(4, right=True)], "Tom", 9)
    assert sorted(c.conversation for c in dealt) == [1, 2, 3]
    assert {c.person for c in dealt[:2]} == {"Ana", "Ben"}  # in turn
    assert len(blind.cards_for(deck, [answer(4, right=True)], "Una", 9)) == 4


def test_results_add_up_over_players() -> None:
    answers = [answer(n, right=n % 4 != 0) for n in range(20)]
    answers += [answer(n, right=False, player="Una", person="Ben") for n in range(20)]
    measure = blind.measure_answers(answers)
    assert measure.clone.value == pytest.approx(25 / 40)
    assert measure.people["Ana"]["clone"].value == pytest.approx(0.25)
    assert measure.references["Una"].value == 1
    assert measure.people["Ana"]["clone"].low < 0.25 < measure.people["Ana"]["clone"].high


def test_numbers_and_ranges() -> None:
    assert numbers("3 7-9, 12") == [3, 7, 8, 9, 12]
    assert numbers("") == []


def test_a_game(measured: Workspace, tmp_path: Path) -> None:
    shutil.copytree(measured.root, tmp_path / "friends")
    space = Workspace(tmp_path / "friends")

    def play(typed: str, *options: str) -> str:
        done = run(space.root, ["evaluate", "--blind", *options], typed)
        assert done.status == 0, done.err
        return done.out + done.err

    refused = run(space.root, ["evaluate", "--blind"], "a\n")
    assert refused.status != 0
    assert "no card may be shown" in refused.err  # a chat of two people

    deck = blind.load_deck(space, "group")
    said = [("Ben", "clear\x1b[2J \x1b]0;title\x07all [bold]x[/bold]")]
    cards = [replace(c, before=said, is_private=False) for c in deck.cards[:4]]
    blind.save_deck(space, "group", replace(deck, cards=cards))
    first = play("1 4\nx\na\nq\n", "--player", "Tom")
    assert "2 cards may be shown, 2 may not" in first
    assert "clear[2J ]0;titleall [bold]x[/bold]" in first
    assert not set("\x1b\x07") & set(first)
    second = play("b\n", "--player", "Tom")  # the other card, then the end of input
    assert "may not be shown" not in second
    third = play("a\nb\n", "--player", "Una")
    assert "player Tom" in third
    results = run(space.root, ["evaluate", "--blind", "--json"]).json()
    assert results["clone"]["items"] == 4
    assert results["references"]["Una"]["items"] == 2


def test_who_may_not_be_cloned_any_more_is_in_no_game(measured: Workspace, tmp_path: Path) -> None:
    shutil.copytree(measured.root, tmp_path / "friends")
    space = Workspace(tmp_path / "friends")
    assert {c.person for c in blind.load_deck(space, "group").cards} == {"Ana", "Ben"}
    text = space.people_file.read_text("utf-8")
    space.people_file.write_text(
        text.replace('\nconsent = "clone"', '\nconsent = "no"', 1), "utf-8"
    )
    with pytest.raises(ConsentError):
        blind.load_deck(space, "group")
