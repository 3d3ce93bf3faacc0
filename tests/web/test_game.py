"""The game: the owner's deck, the door, rounds that all see at once, and what a guest may not."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from tests.serving.conftest import KEYED, Starter
from tests.web.conftest import PHONE, Browsing, Home, pages_of, serious, web_options
from tests.web.workspaces import FRIENDS, HOSTILE

from myna import people
from myna.errors import MynaError, RoomError, WorkspaceError
from myna.evaluation import blind
from myna.people import consent
from myna.web import game, game_cards
from myna.web.game import Game, Guess
from myna.workspace import Workspace


def show_all(space: Workspace) -> None:
    """Let the owner look through the deck."""
    deck = blind.load_deck(space, "group")
    blind.save_deck(space, "group", blind.reviewed(deck, deck.cards, []))


@pytest.fixture
def space(home: Home) -> Workspace:
    show_all(home.space)
    return home.space


def admitted(one: Game, *names: str) -> list[game.Player]:
    for name in names:
        one.join(one.code, name)
        one.admit(one.players[-1].id, name)
    return one.players


class TestTheDeck:
    def test_before_the_owner_has_looked_there_is_no_game(self, home: Home) -> None:
        with pytest.raises(WorkspaceError, match="look through the deck first"):
            Game(home.space, "group", 5, private=False)

    def test_private_chats_are_left_out_unless_chosen(self, space: Workspace) -> None:
        plain = game_cards.playable(space, "group", ["Ana"], "group", private=False)
        everything = game_cards.playable(space, "group", ["Ana"], "group", private=True)
        assert (len(plain.cards), len(everything.cards)) == (7, 8)

    def test_who_was_not_in_a_chat_sees_nothing_of_it(self, space: Workspace) -> None:
        one = Game(space, "group", 5, private=False)
        one.join(one.code, "Tom")
        with pytest.raises(RoomError, match="no card is of a chat that Tom wrote in"):
            one.admit(one.players[0].id, "Tom")
        assert one.view(one.players[0])["round"] is None

    def test_whoever_withdraws_is_gone_at_once(self, space: Workspace) -> None:
        one = Game(space, "group", 5, private=False)
        admitted(one, "Ana")
        everyone = people.load(space.people_file)
        people.save(space.people_file, consent.set_consent(everyone, "Ben", "no"))
        with pytest.raises(MynaError, match="Ben"):
            one.next_round()

    def test_other_samples_need_a_new_deck(self, space: Workspace) -> None:
        report = space.reports / "group.json"
        text = report.read_text("utf-8")
        report.write_text(text.replace('"prepared samples": "', '"prepared samples": "0'), "utf-8")
        with pytest.raises(WorkspaceError, match="measure the adapter again"):
            Game(space, "group", 5, private=False)


class TestTheDoor:
    def test_ten_wrong_codes_close_it(self, space: Workspace) -> None:
        one = Game(space, "group", 5, private=False)
        assert len(one.code) == game.CODE_LENGTH
        for _ in range(game.MAX_WRONG_CODES):
            with pytest.raises(RoomError, match="not the code"):
                one.join("nope", "Eve")
        with pytest.raises(RoomError, match="admits nobody else"):
            one.join(one.code, "Ana")

    def test_the_code_may_be_typed_as_people_do(self, space: Workspace) -> None:
        one = Game(space, "group", 5, private=False)
        secret = one.join(f" {one.code[:3].lower()} {one.code[3:]}", HOSTILE)
        player = one.find(secret)
        assert player
        assert (player.claimed, player.state) == (HOSTILE, "waiting")
        assert one.find("x") is None
        assert secret not in repr(one.players)


class TestRounds:
    def test_answers_leave_when_all_have_guessed(self, space: Workspace) -> None:
        one = Game(space, "group", 3, private=False)
        ana, ben, cy = admitted(one, *FRIENDS)
        one.next_round()
        assert one.round
        card = one.round.card
        guessers = [p for p in (ana, ben, cy) if p.person not in (card.person, card.before[-1][0])]
        assert len(guessers) == 1
        [guesser] = guessers
        others = [p for p in (ana, ben, cy) if p is not guesser]
        before = one.view(guesser)["round"]
        assert "answer" not in before
        assert set(before["replies"]) == {card.real, card.clone}
        assert (before["plays"], one.view(others[0])["round"]["plays"]) == (True, False)
        with pytest.raises(RoomError, match="sit this round out"):
            one.guess(others[0], 1, Guess("a", card.person))
        letter = "a" if card.is_right(guesser.name, "a") else "b"
        one.guess(guesser, 1, Guess(letter, card.person))
        after = one.view(guesser)["round"]
        assert after["answer"] == {"letter": letter, "who": card.person}
        [row] = [row for row in one.view(guesser)["table"] if row["rounds"]]
        assert (row["right"], row["who"]) == (1, 1)
        deck = blind.load_deck(space, "group")
        [answer] = blind.load_answers(space, "group", deck)
        assert (answer.player, answer.is_right, answer.who) == (guesser.name, True, card.person)
        with pytest.raises(RoomError, match="is over"):
            one.guess(guesser, 1, Guess("a", card.person))

    def test_a_card_is_never_dealt_twice_and_the_game_ends(self, space: Workspace) -> None:
        one = Game(space, "group", 50, private=False)
        one.join_owner("Ana")
        seen = []
        while not one.is_over:
            one.next_round()
            if one.round:
                seen.append(one.round.card.key)
                one.reveal()
        assert len(seen) == len(set(seen)) == 2  # of the others Ana wrote one of the lines

    def test_nobody_is_dealt_nothing(self, space: Workspace) -> None:
        one = Game(space, "group", 5, private=False)
        with pytest.raises(RoomError, match="nobody plays yet"):
            one.next_round()


def test_results_have_intervals_and_a_line_for_guessing_by_length(space: Workspace) -> None:
    deck = blind.load_deck(space, "group")
    answers = [
        replace(blind.answered(deck, card, "Tom", "a", "Ana"), is_right=number % 2 == 0)
        for number, card in enumerate(deck.cards)
    ]
    found = game_cards.results(answers, deck.cards)
    [row] = found["players"]
    assert (row["right"]["part"], row["right"]["whole"]) == (4, 8)
    assert row["right"]["low"] == pytest.approx(0.215, abs=0.002)  # Wilson, by hand
    assert row["right"]["high"] == pytest.approx(0.785, abs=0.002)
    assert found["longer"]["part"] == 0  # the clone's are longer
    assert game_cards.share(0, 0)["value"] is None


def test_two_browsers_play(at_home: Browsing, home: Home) -> None:
    owner = at_home.open("/game")
    owner.get_by_text("0 of 7 cards may be shown; 7 are not looked through yet").wait_for()
    owner.get_by_role("button", name="Look through the cards").click()
    first = owner.locator(".deck article").first
    first.get_by_label("may be shown").uncheck()
    assert serious(owner) == []
    owner.get_by_role("button", name="Keep this choice").click()
    owner.get_by_text("6 of 7 cards may be shown").wait_for()
    owner.get_by_label("I play as well").uncheck()
    owner.get_by_label("Rounds").fill("2")
    owner.get_by_role("button", name="Open the game").click()
    shown = owner.locator("#code").filter(has_text=re.compile(r"^\w{6}$"))
    code = shown.text_content() or ""

    guest = at_home.open("/join", viewport=PHONE)
    assert guest.get_by_role("navigation").count() == 0
    guest.get_by_label("Code").fill("wrong")
    guest.get_by_label("Your name").fill("Cy")
    at_home.allow("status of 403")
    guest.get_by_role("button", name="Join").click()
    guest.get_by_role("alert").filter(has_text="not the code").wait_for()
    guest.get_by_label("Code").fill(code)
    guest.get_by_role("button", name="Join").click()
    guest.get_by_text("The owner lets you in").wait_for()
    owner.get_by_role("button", name="Let in").click()
    guest.get_by_text("You are in.").wait_for()
    owner.get_by_role("button", name="Begin").click()
    guest.get_by_text("Round 1 of 2").wait_for()
    assert serious(guest) == []
    assert guest.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert guest.locator(".was-real").count() == 0
    guest.get_by_role("group", name="Replies").get_by_role("button").first.click()
    guest.get_by_role("group", name="People").get_by_role("button", name="Ana").click()
    guest.locator(".was-real").wait_for()
    guest.reload()  # a phone that slept comes back to the same round
    guest.get_by_text("Round 1 of 2").wait_for()
    owner.get_by_role("button", name="Next round").click()
    guest.get_by_text("Round 2 of 2").wait_for()
    owner.get_by_role("button", name="Show the answer now").click()
    owner.get_by_role("button", name="Show the end").click()
    guest.get_by_text("That was the game").wait_for()
    assert guest.locator("main img").count() == 0
    owner.get_by_role("button", name="End the game").click()
    guest.get_by_label("Code").wait_for()


def test_a_guest_opens_the_game_and_nothing_else(
    house: Workspace, start: Starter, home: Home
) -> None:
    start.add_pages = pages_of(home.space.root)
    show_all(home.space)
    serving = start(web_options(key=KEYED, listens_on_loopback=False))
    owner = {"Authorization": f"Bearer {KEYED}"}
    with serving.http(headers=owner) as http:
        opened: dict[str, Any] = http.post("/api/game/open", json={"rounds": 2}).json()
    with serving.http() as guest:
        assert guest.post("/api/guest/join", json={"code": "x", "name": "Ana"}).status_code == 403
        joined = guest.post("/api/guest/join", json={"code": opened["code"], "name": "Ana"})
        assert joined.status_code == 201
        assert "HttpOnly" in joined.headers["set-cookie"]
        assert "samesite=strict" in joined.headers["set-cookie"].lower()
        assert guest.get("/api/guest/game").json()["you"]["state"] == "waiting"
        for path in ("/", "/data", "/training", "/report", "/game", "/start", "/reports/group",
                     "/api/rooms", "/api/data", "/api/data/people", "/api/game", "/api/game/deck",
                     "/api/training", "/api/reports", "/api/jobs", "/v1/models",
                     "/metrics"):  # fmt: skip
            assert guest.get(path).status_code == 401, path
        for path in ("/api/game/next", "/api/game/admit", "/api/data/prepare", "/api/start/open"):
            assert guest.post(path, json={}).status_code == 401, path
        assert guest.get("/join").status_code == 200
    with serving.http(headers=owner) as http:
        [player] = http.get("/api/game").json()["game"]["players"]
        http.post("/api/game/admit", json={"player": player["id"], "person": "Ana"})
        http.post("/api/game/close", json={})
    with serving.http() as guest:
        assert guest.get("/api/guest/game").status_code == 404
        assert guest.get("/api/guest/joined").json() == {"joined": False}
