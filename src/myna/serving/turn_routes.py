"""The room API's paths for the turns of personas: said, said anew, continued, suggested, played.

`speak`, `retry`, `continue` and `play` answer when their turns are complete, and a client that
disconnects stops them. With `Prefer: respond-async` (RFC 7240) they answer 202 at once: the
room's events tell the rest, and a failure is the event `failed`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from myna.errors import EngineError
from myna.rooms.registry import LiveReply, LiveRoom
from myna.rooms.store import MAX_MESSAGE_CHARS, Message
from myna.serving.background import (
    EVENT_STREAM,
    EventStream,
    RunningStream,
    StreamFactory,
    server_sent_event,
)
from myna.serving.errors import ApiError, JsonResponse, error_body, to_api_error
from myna.serving.room_routes import (
    MemberName,
    Name,
    People,
    RequestBody,
    RoomParam,
    RoomServices,
    Services,
)
from myna.serving.watched_rooms import Playing, WatchedRoom, message_json

MAX_TURNS = 50
MAX_PROMPT_CHARS = 1_000_000
MIN_SPEED, MAX_SPEED = 0.1, 10.0

router = APIRouter(prefix="/api/rooms/{room}", tags=["Rooms"])
"""The paths of a room's turns; they need `app.state.room_api`."""


class SpeakRequest(RequestBody):
    """A request for one turn: of `person`, or of one of `among`, beginning with `opening`."""

    person: Name | None = None
    among: People | None = None
    opening: str = Field("", max_length=MAX_MESSAGE_CHARS)


class PlayRequest(RequestBody):
    """A request for several turns, at most until a human is likely to speak next."""

    turns: int = Field(6, ge=1, le=MAX_TURNS)
    among: People | None = None
    until_human: bool = False


class TurnChoice(RequestBody):
    """A turn by its number; null: the last one of a persona."""

    turn: int | None = None


class VersionChoice(RequestBody):
    """The number of a version."""

    version: int


class RawPrompt(RequestBody):
    """A prompt as the model sees it, and the persona who continues it."""

    person: Name
    text: str = Field(max_length=MAX_PROMPT_CHARS)


class PlayingState(RequestBody):
    """A state of play: `speed` 1 leaves time to read; `turns` of null go on until a pause."""

    on: bool
    speed: float = Field(1.0, ge=MIN_SPEED, le=MAX_SPEED)
    among: People | None = None
    turns: int | None = Field(None, ge=1)


Prefer = Annotated[str | None, Header()]
TurnNumber = Annotated[int, Path(ge=1)]


@router.post("/stop")
def stop_reply(watched: RoomParam) -> Response:
    """Stop the live reply; its complete messages stay."""
    return JsonResponse({"stopped": watched.stop()})


@router.get("/chances")
async def next_speaker_probabilities(
    request: Request,
    watched: RoomParam,
    services: Services,
    among: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """Get the model's probability of each person to speak next."""

    def create(_: Callable[[], bool]) -> Iterator[dict[str, float]]:
        yield watched.room.speaker_probabilities(among)

    [probabilities] = await services.streams.collect(request, create)
    return JsonResponse({"chances": probabilities})


@router.post("/speak")
async def generate_turn(
    request: Request,
    watched: RoomParam,
    body: SpeakRequest,
    services: Services,
    prefer: Prefer = None,
) -> Response:
    """Generate a persona's turn."""
    start = partial(LiveRoom.speak, person=body.person, among=body.among, opening=body.opening)
    return await _run_turns(request, watched, services, partial(watched.stream_turn, start), prefer)


@router.post("/retry")
async def regenerate_turn(
    request: Request,
    watched: RoomParam,
    services: Services,
    body: TurnChoice | None = None,
    prefer: Prefer = None,
) -> Response:
    """Say a turn of a persona anew; the version before is kept."""
    return await _change_turn(request, watched, services, LiveRoom.regenerate, body, prefer)


@router.post("/continue")
async def continue_turn(
    request: Request,
    watched: RoomParam,
    services: Services,
    body: TurnChoice | None = None,
    prefer: Prefer = None,
) -> Response:
    """Let a persona go on with a turn where it ends."""
    return await _change_turn(request, watched, services, LiveRoom.go_on, body, prefer)


@router.get("/turns/{turn}/versions")
def list_versions(watched: RoomParam, turn: TurnNumber) -> Response:
    """List the versions of a turn, each with its messages."""
    versions = watched.room.versions(turn)
    listed = [
        {"version": version, "messages": [message_json(m) for m in messages]}
        for version, messages in sorted(versions.items())
    ]
    return JsonResponse({"versions": listed})


@router.put("/turns/{turn}/version")
def choose_version(watched: RoomParam, turn: TurnNumber, body: VersionChoice) -> Response:
    """Show a version of a turn in place of another, to all and in prompts."""
    shown = watched.room.show_version(turn, body.version)
    watched.publish_turn(turn, shown)
    return JsonResponse({"messages": [message_json(m) for m in shown]})


@router.post("/suggest")
async def suggest_message(
    request: Request, watched: RoomParam, member: MemberName, services: Services
) -> Response:
    """Draw what a human's own clone would say; nothing of it is sent or stored."""

    def create(is_cancelled: Callable[[], bool]) -> Iterator[str]:
        return watched.room.suggest(member.name, is_cancelled)

    pieces = await services.streams.collect(request, create)
    return JsonResponse({"text": "".join(pieces).strip()})


@router.post("/compare")
async def compare_turn(
    request: Request, watched: RoomParam, services: Services, body: TurnChoice | None = None
) -> Response:
    """Draw a turn as the base model alone and as the clone would say it; nothing is stored."""

    def create(is_cancelled: Callable[[], bool]) -> Iterator[str]:
        return watched.room.compare(body.turn if body else None, is_cancelled)

    base, clone = await services.streams.collect(request, create)
    return JsonResponse({"base": base, "clone": clone})


@router.get("/prompt")
def get_prompt(watched: RoomParam, person: str) -> Response:
    """Get the exact text after which a persona would speak now, control tokens as written."""
    return JsonResponse({"person": person, "text": watched.room.prompt_text(person)})


@router.post("/prompt", responses=EVENT_STREAM, response_class=StreamingResponse)
async def continue_prompt(
    watched: RoomParam, body: RawPrompt, services: Services
) -> StreamingResponse:
    """Continue a prompt that was edited by hand as a persona's turn; nothing is stored.

    Answers with server-sent events: `piece` with text, at the end `end`, or `failed`. A prompt
    that does not end on somebody else's message is refused.
    """
    await run_in_threadpool(watched.room.raw_prompt_ids, body.person, body.text)

    def create(is_cancelled: Callable[[], bool]) -> Iterator[str]:
        return watched.room.continue_prompt(body.person, body.text, is_cancelled)

    return EventStream(_piece_events(services.streams.start(create)))


@router.post("/prompt/tokens")
async def get_prompt_tokens(
    request: Request, watched: RoomParam, body: RawPrompt, services: Services
) -> Response:
    """Get the tokens of a prompt that was edited by hand, and the most probable next ones."""
    ids = await run_in_threadpool(watched.room.raw_prompt_ids, body.person, body.text)
    decode = services.models.clone.tokenizer.decode

    def create(_: Callable[[], bool]) -> Iterator[list[tuple[str, float]]]:
        yield watched.room.next_tokens(body.person, body.text)

    next_: list[tuple[str, float]] | None = None
    with suppress(EngineError):  # it has no probabilities
        [next_] = await services.streams.collect(request, create)
    return JsonResponse({"tokens": [[number, decode([number])] for number in ids], "next": next_})


async def _piece_events(pieces: RunningStream[str]) -> AsyncIterator[str]:
    try:
        async for piece in pieces:
            if piece:
                yield server_sent_event({"text": piece}, event="piece")
        yield server_sent_event({}, event="end")
    except Exception as error:  # the status is sent already
        yield server_sent_event(error_body(to_api_error(error)), event="failed")
    finally:
        pieces.stop()


@router.post("/play")
async def generate_turns(
    request: Request,
    watched: RoomParam,
    body: PlayRequest,
    services: Services,
    prefer: Prefer = None,
) -> Response:
    """Let personas talk for some turns, or only until a human is likely to speak next."""

    def create(is_cancelled: Callable[[], bool]) -> Iterator[Message]:
        return watched.play(body.turns, body.among, is_cancelled, until_human=body.until_human)

    return await _run_turns(request, watched, services, create, prefer)


@router.put("/playing")
async def set_playing(watched: RoomParam, body: PlayingState, services: Services) -> Response:
    """Let personas talk by themselves at a speed that can be followed, or pause.

    They wait while a human types, and pause when nobody follows the room's events any more.
    """
    among = None if body.among is None else tuple(body.among)
    services.conductors.of(watched).play(Playing(body.on, body.speed, among, body.turns))
    return JsonResponse(watched.as_json())


@router.post("/typing")
async def report_typing(watched: RoomParam, member: MemberName, services: Services) -> Response:
    """Say that a human types: play waits for them, some seconds."""
    services.conductors.of(watched).seen_typing(member.name)
    return JsonResponse({"typing": member.name})


async def _change_turn(
    request: Request,
    watched: WatchedRoom,
    services: RoomServices,
    change: Callable[[LiveRoom, int | None], LiveReply],
    body: TurnChoice | None,
    prefer: str | None,
) -> Response:
    turn = body.turn if body else None
    await run_in_threadpool(watched.room.persona_turn, turn)  # tells what is wrong at once
    create = partial(watched.stream_turn, lambda room: change(room, turn))
    return await _run_turns(request, watched, services, create, prefer)


async def _run_turns(
    request: Request,
    watched: WatchedRoom,
    services: RoomServices,
    create: StreamFactory[Message],
    prefer: str | None,
) -> Response:
    """Run turns of personas; afterwards the engine reads the new messages in advance."""
    if "respond-async" in (prefer or "").casefold():
        services.conductors.of(watched).submit(create)
        return JsonResponse(
            {"accepted": True}, 202, headers={"Preference-Applied": "respond-async"}
        )
    streams = services.streams
    messages = await streams.collect(request, create)

    def read_ahead(_: Callable[[], bool]) -> Iterator[None]:
        watched.room.read_ahead(streams.closing.is_set)
        yield

    with suppress(ApiError):  # the server is shutting down
        streams.start(read_ahead)
    return JsonResponse({"messages": [message_json(m) for m in messages]})
