"""The pages and APIs of the game: the owner's below `/api/game`, a guest's below `/api/guest`.

A guest has a cookie that opens the game and nothing else: no room, no data, no prompt.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Cookie
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from myna import people as people_
from myna.artifacts import AdapterInfo, check_is_clone
from myna.choices import DEFAULT_ADAPTER
from myna.errors import MynaError
from myna.evaluation import blind
from myna.serving.errors import ApiError, JsonResponse
from myna.serving.room_routes import RequestBody
from myna.serving.watched_rooms import Event
from myna.web import game, game_cards, jobs, shell
from myna.web.commands import OwnerRoute, Space, event_stream
from myna.web.game import Game, Guess, Player

POLL_SECONDS = 0.2
COOKIE = "myna_game"
GUEST_PREFIXES = ("/join", "/api/guest/")
"""Beginnings of the paths that guests may use: each checks the guest's cookie itself."""

router = APIRouter(prefix="/api/game", tags=["Game"], route_class=OwnerRoute)
"""The owner's paths."""
guest_router = APIRouter(prefix="/api/guest", tags=["Game"], route_class=OwnerRoute)
"""The guests' paths."""
page = APIRouter(include_in_schema=False)
"""The owner's page, and the guests'."""


class NewGame(RequestBody):
    """A game to open."""

    adapter: str = Field(DEFAULT_ADAPTER, min_length=1, max_length=100)
    rounds: int = Field(10, ge=1, le=200)
    private: bool = False


class ReviewedDeck(RequestBody):
    """Keys of cards that the owner has looked at: to be shown, and not."""

    adapter: str = Field(DEFAULT_ADAPTER, min_length=1, max_length=100)
    shown: list[str] = Field(max_length=100_000)
    hidden: list[str] = Field(max_length=100_000)


class PlayerChange(RequestBody):
    """A player, and the person whom the owner says they are."""

    player: str = Field(max_length=20)
    person: str = Field("", max_length=200)


class NewGuess(RequestBody):
    """A guess in a round."""

    round: int
    letter: str = Field(max_length=1)
    who: str = Field("", max_length=200)


class JoinRequest(RequestBody):
    """A guest at the door."""

    code: str = Field(max_length=40)
    name: str = Field(min_length=1, max_length=200)


@page.get("/game")
async def game_page(request: Request) -> Response:
    """Show the owner's side of the game."""
    return shell.render(request, "game.html")


@page.get("/join")
async def join_page(request: Request) -> Response:
    """Show a guest's side of the game."""
    return shell.render(request, "join.html")


def _open_game(request: Request) -> Game | None:
    found: Game | None = getattr(request.app.state, "game", None)
    return found


def _game(request: Request) -> Game:
    found = _open_game(request)
    if found is None:
        raise ApiError(404, "no game is open", code="no_game")
    return found


@router.get("")
def get_game(request: Request, space: Space) -> Response:
    """Get the adapters with decks, the people, and the open game as its owner sees it."""
    everyone = people_.load(space.people_file)
    adapters = []
    for path in sorted((space.root / "adapters").glob("[!.]*/adapter.json")):
        name = path.parent.name
        try:
            check_is_clone(space, name)
            adapters.append({
                "adapter": name,
                "personas": AdapterInfo.load(space, name).personas,
                "has_deck": blind.has_deck(space, name),
            })  # fmt: skip
        except MynaError:
            continue
    open_game = _open_game(request)
    busy = jobs.running(space)
    return JsonResponse({
        "adapters": adapters,
        "default": DEFAULT_ADAPTER,
        "people": [p.display_name for p in everyone.persons if not p.is_bot and p.consent != "no"],
        "me": next((p.display_name for p in everyone.persons if p.name == everyone.me), ""),
        "address": _address(request),
        "game": open_game.view(None) if open_game else None,
        "job": busy.to_json() if busy else None,
    })  # fmt: skip


def _address(request: Request) -> str | None:
    """The address that a friend's browser can open; None if only this machine can connect."""
    if request.app.state.pages.access.listens_on_loopback:
        return None
    host, port = request.url.hostname or "", request.url.port
    if host in ("localhost", "127.0.0.1", "::1"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing; it tells this machine's address
            host = probe.getsockname()[0]
    return f"http://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}/join"


@router.get("/deck")
def get_deck(space: Space, adapter: str = DEFAULT_ADAPTER, private: bool = False) -> Response:
    """Get the cards for the owner to look through, both replies as a player would see them."""
    deck = blind.load_deck(space, adapter)
    return JsonResponse({
        "cards": [
            {"key": c.key, "person": c.person, "before": c.before[-game.SHOWN_TURNS:],
             "replies": c.replies(""), "is_private": c.is_private, "is_shown": c.is_shown}
            for c in deck.cards
            if private or not c.is_private
        ],
        "private": sum(c.is_private for c in deck.cards),
    })  # fmt: skip


@router.post("/deck")
def review_deck(choice: ReviewedDeck, space: Space) -> Response:
    """Keep the owner's choice of cards."""
    deck = blind.load_deck(space, choice.adapter)
    seen = {*choice.shown, *choice.hidden}
    cards = [card for card in deck.cards if card.key in seen]
    hidden = [card for card in cards if card.key in set(choice.hidden)]
    blind.save_deck(space, choice.adapter, blind.reviewed(deck, cards, hidden))
    return JsonResponse({"shown": len(cards) - len(hidden), "hidden": len(hidden)})


@router.post("/open", status_code=201)
def open_game(new: NewGame, request: Request, space: Space) -> Response:
    """Open a game; one that was open ends."""
    request.app.state.game = Game(space, new.adapter, new.rounds, private=new.private)
    return JsonResponse(_game(request).view(None), 201)


@router.post("/close")
def close_game(request: Request) -> Response:
    """End the game: its code opens nothing any more."""
    request.app.state.game = None
    return JsonResponse({"closed": True})


@router.post("/admit")
def admit(who: PlayerChange, request: Request) -> Response:
    """Admit a player as a person of the chats."""
    return _changed(request, lambda g: g.admit(who.player, who.person))


@router.post("/refuse")
def refuse(who: PlayerChange, request: Request) -> Response:
    """Send a player away."""
    return _changed(request, lambda g: g.refuse(who.player))


@router.post("/play")
def play_too(request: Request, space: Space) -> Response:
    """Let the owner play as well."""
    everyone = people_.load(space.people_file)
    if not everyone.me:
        raise ApiError(409, "say first who you are in the chats, on the page Data", code="refused")
    me = people_.find_person(everyone, everyone.me).display_name
    return _changed(request, lambda g: g.join_owner(me))


@router.post("/next")
def next_round(request: Request) -> Response:
    """Deal the next card."""
    return _changed(request, Game.next_round)


@router.post("/reveal")
def reveal(request: Request) -> Response:
    """Show the answer, also if somebody has not guessed."""
    return _changed(request, Game.reveal)


@router.post("/guess")
def guess_as_owner(new: NewGuess, request: Request) -> Response:
    """Guess as the owner."""
    found = _game(request)
    owner = next((player for player in found.players if player.is_owner), None)
    if owner is None:
        raise ApiError(409, "you do not play: choose to play first", code="refused")
    found.guess(owner, new.round, Guess(new.letter, new.who))
    return JsonResponse(_owner_view(found))


def _changed(request: Request, change: Callable[[Game], None]) -> Response:
    found = _game(request)
    change(found)
    return JsonResponse(_owner_view(found))


def _owner_view(found: Game) -> dict[str, Any]:
    """The owner's screen, with the owner's own round where they play."""
    view = found.view(None)
    owner = next((player for player in found.players if player.is_owner), None)
    return {**view, "round": found.view(owner)["round"] if owner else view["round"]}


@router.get("/events")
async def follow_game(request: Request) -> Response:
    """Follow the open game: `game` with the whole view after each change, `closed`."""
    found = _game(request)
    return event_stream(_game_events(request, found, lambda: _owner_view(found)))


@router.get("/results")
def get_results(space: Space, adapter: str = DEFAULT_ADAPTER) -> Response:
    """Get the table of all players over all games, with intervals."""
    deck = blind.load_deck(space, adapter)
    return JsonResponse(game_cards.results(blind.load_answers(space, adapter, deck), deck.cards))


async def _game_events(
    request: Request, found: Game, view: Callable[[], dict[str, Any]]
) -> AsyncIterator[Event]:
    version = -1
    closing = request.app.state.streams.closing
    while not closing.is_set():
        if _open_game(request) is not found:
            yield Event("", "closed", {})
            return
        if found.version != version:
            version = found.version
            yield Event("", "game", await asyncio.to_thread(view))
        await asyncio.sleep(POLL_SECONDS)


Secret = Annotated[str, Cookie(alias=COOKIE, max_length=100)]


def _guest(request: Request, secret: str) -> tuple[Game, Player]:
    """The game and player of a guest's cookie.

    Raises:
        ApiError: no such game or player (404), as if there was nothing.
    """
    found = _game(request)
    player = found.find(secret)
    if player is None:
        raise ApiError(404, "join the game first", code="not_joined")
    return found, player


@guest_router.post("/join", status_code=201)
def join(new: JoinRequest, request: Request) -> Response:
    """Ask to play, with the game's code; the owner admits."""
    found = _game(request)
    try:
        secret = found.join(new.code, new.name)
    except MynaError as error:
        raise ApiError(403, str(error), code="refused") from error
    response = JsonResponse({"joined": True}, 201)
    response.set_cookie(COOKIE, secret, max_age=game.GAME_SECONDS, httponly=True, samesite="strict")
    return response


@guest_router.get("/joined")
def has_joined(request: Request, secret: Secret = "") -> Response:
    """Tell if the guest's cookie is of the game that is open."""
    found = _open_game(request)
    return JsonResponse({"joined": found is not None and found.find(secret) is not None})


@guest_router.get("/game")
def get_guest_view(request: Request, secret: Secret = "") -> Response:
    """Get the game as this guest sees it."""
    found, player = _guest(request, secret)
    return JsonResponse(found.view(player))


@guest_router.post("/guess")
def guess(new: NewGuess, request: Request, secret: Secret = "") -> Response:
    """Guess."""
    found, player = _guest(request, secret)
    found.guess(player, new.round, Guess(new.letter, new.who))
    return JsonResponse(found.view(player))


@guest_router.get("/events")
async def follow_as_guest(request: Request, secret: Secret = "") -> Response:
    """Follow the game as this guest sees it."""
    found, player = _guest(request, secret)
    return event_stream(_game_events(request, found, lambda: found.view(player)))
