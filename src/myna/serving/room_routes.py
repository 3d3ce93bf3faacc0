"""The room API: `/api/rooms`, through which front ends do everything that they do in a room.

A front end reads a room (`GET /api/rooms/{room}/messages`), follows its events from there on
(`GET /api/rooms/{room}/events?after=LAST`), and sends requests; every change that a client
makes is an event for all. Unknown fields are errors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from myna.people import CLONE_MARK
from myna.rooms.registry import LiveReply, LiveRoom
from myna.rooms.store import MAX_ID_CHARS, MAX_MESSAGE_CHARS, Message
from myna.serving import background
from myna.serving.background import StreamFactory, StreamRunner
from myna.serving.errors import ApiError, JsonResponse
from myna.serving.openai_chat import ServedModels
from myna.serving.watched_rooms import WatchedRoom, WatchedRooms, message_json

MAX_MEMBERS = 100
MAX_TURNS = 50


def _check_path_segment(text: str) -> str:
    if not text.isprintable() or not text.strip(". ") or "/" in text:
        raise ValueError("use printable characters without /, and not dots alone")
    return text


_Id = Annotated[
    str, Field(min_length=1, max_length=MAX_ID_CHARS), AfterValidator(_check_path_segment)
]
"""An id that is one segment of a URL's path: clients resolve `.` and `..` there."""
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_People = Annotated[list[_Name], Field(max_length=MAX_MEMBERS)]
_Audience = Literal["owner"] | _People | None


class RequestBody(BaseModel):
    """A JSON object of a request, with strict types and without unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class NewRoom(RequestBody):
    """A new room."""

    id: _Id
    humans: _People = []
    personas: _People | None = None
    audience: _Audience = None
    """Readers of the room: "owner", or people by name; null: unknown."""


class RoomChanges(RequestBody):
    """Changed settings of a room."""

    chat: dict[str, Any] | None = None
    """Settings of `[chat]` for this room alone; null restores the clone's."""
    notes: dict[str, Any] | None = None
    """Data that a front end keeps with the room."""
    audience: _Audience = None


class MemberName(RequestBody):
    """The name of a human or a persona."""

    name: _Name


class NewMessage(RequestBody):
    """A message of a human; `key` is its id elsewhere, `to` the personas addressed."""

    person: _Name | None = None
    text: str = Field(max_length=MAX_MESSAGE_CHARS)
    key: _Id | None = None
    to: _People = []


class EditedText(RequestBody):
    """The new text of a message."""

    text: str = Field(max_length=MAX_MESSAGE_CHARS)


class SpeakRequest(RequestBody):
    """A request for one turn: of `person`, or of one of `among`, beginning with `opening`."""

    person: _Name | None = None
    among: _People | None = None
    opening: str = Field("", max_length=MAX_MESSAGE_CHARS)


class PlayRequest(RequestBody):
    """A request for several turns, at most until a human is likely to speak next."""

    turns: int = Field(6, ge=1, le=MAX_TURNS)
    among: _People | None = None
    until_human: bool = False


router = APIRouter(prefix="/api", tags=["Rooms"])
"""The paths below `/api`; they need `app.state.room_api`."""


@dataclass(frozen=True)
class RoomServices:
    """The parts of a server that the room API uses."""

    models: ServedModels
    rooms: WatchedRooms
    streams: StreamRunner
    trusts_audience: bool
    """True if clients may set the audience of a room, and so what memory may recall."""


def _services(request: Request) -> RoomServices:
    services: RoomServices = request.app.state.room_api
    return services


Services = Annotated[RoomServices, Depends(_services)]
RoomId = Annotated[str, Path(min_length=1, max_length=MAX_ID_CHARS)]
MessageId = Annotated[str, Path(min_length=1, max_length=MAX_ID_CHARS + len("key:"))]


def _watched_room(room: RoomId, services: Services) -> WatchedRoom:
    return services.rooms.find(room)


RoomParam = Annotated[WatchedRoom, Depends(_watched_room)]
"""The room of the path; ApiError (404) if there is none."""


def _message_id(message: MessageId, watched: RoomParam, services: Services) -> int | str:
    id_or_key: int | str = message.removeprefix("key:")
    if id_or_key == message:
        is_number = message.isascii() and message.isdecimal() and len(message) < 19
        id_or_key = int(message) if is_number else ""
    if services.rooms.registry.store.find(watched.room.id, id_or_key) is None:
        raise ApiError(404, "there is no such message", code="message_not_found")
    return id_or_key


MessageParam = Annotated[int | str, Depends(_message_id)]
"""The message of the path, by its id or as `key:KEY`; ApiError (404) if there is none."""


def _check_audience(services: RoomServices, audience: object) -> None:
    if audience is not None and not services.trusts_audience:
        raise ApiError(
            403,
            "audience: clients may set it only on a server that listens on 127.0.0.1: leave it out",
            param="audience",
            code="audience_not_trusted",
        )


@router.get("/personas")
def list_personas(services: Services) -> Response:
    """List the personas, and the default author of messages."""
    models = services.models
    speakers = models.clone.speakers()
    clones = {person: person + CLONE_MARK for person in speakers}
    return JsonResponse({"personas": speakers, "shown_as": clones, "me": models.default_author})


@router.get("/rooms")
def list_rooms(services: Services) -> Response:
    """List the ids of all rooms."""
    return JsonResponse({"rooms": services.rooms.registry.ids()})


@router.post("/rooms", status_code=201)
def create_room(new: NewRoom, services: Services) -> Response:
    """Create a room, or open an existing one as it was left."""
    _check_audience(services, new.audience)
    watched = services.rooms.open(new.id, new.humans, new.personas, new.audience)
    return JsonResponse(watched.as_json(), 201)


@router.get("/rooms/{room}")
def get_room(watched: RoomParam) -> Response:
    """Get a room: its members, the live reply if there is one, and its settings."""
    return JsonResponse(watched.as_json())


@router.patch("/rooms/{room}")
def update_room(watched: RoomParam, new: RoomChanges, services: Services) -> Response:
    """Change the settings of a room: `chat`, the front end's `notes`, `audience`."""
    _check_audience(services, new.audience)
    watched.room.configure(new.chat, new.notes)
    if new.audience is not None:
        watched.room.set_audience(new.audience)
    return JsonResponse(watched.publish_room())


@router.delete("/rooms/{room}")
def delete_room(room: RoomId, services: Services) -> Response:
    """Erase a room with all its messages."""
    services.rooms.drop(room)
    return JsonResponse({"dropped": room})


@router.get("/rooms/{room}/messages")
def list_messages(
    watched: RoomParam, last: Annotated[int, Query(ge=1, le=10_000)] = 200
) -> Response:
    """Get the newest messages, the live reply, and the event from which to follow the room."""
    after = watched.events.last_id  # first: an event that comes twice does no harm
    return JsonResponse({
        "messages": [message_json(m) for m in watched.room.messages(last)],
        "speaking": watched.speaking,
        "last_event": after,
    })  # fmt: skip


@router.post("/rooms/{room}/join")
def join_room(watched: RoomParam, member: MemberName) -> Response:
    """Add a human; a persona of the same name falls silent."""
    watched.room.join(member.name)
    return JsonResponse(watched.publish_room())


@router.post("/rooms/{room}/leave")
def leave_room(watched: RoomParam, member: MemberName) -> Response:
    """Remove a human."""
    watched.room.leave(member.name)
    return JsonResponse(watched.publish_room())


@router.post("/rooms/{room}/summon")
def summon_persona(watched: RoomParam, member: MemberName) -> Response:
    """Add a persona."""
    watched.room.summon(member.name)
    return JsonResponse(watched.publish_room())


@router.post("/rooms/{room}/dismiss")
def dismiss_persona(watched: RoomParam, member: MemberName) -> Response:
    """Remove a persona."""
    watched.room.dismiss(member.name)
    return JsonResponse(watched.publish_room())


@router.post("/rooms/{room}/say", status_code=201)
def post_message(watched: RoomParam, new: NewMessage, services: Services) -> Response:
    """Post a message of a human; personas do not reply by themselves."""
    before = watched.room.members
    author = new.person or services.models.default_author
    message = watched.room.say(author, new.text, key=new.key, to=new.to)
    if watched.room.members != before:
        watched.publish_room()
    if message is None:
        return JsonResponse({"message": None}, 200)
    watched.events.publish("message", message=message_json(message))
    return JsonResponse({"message": message_json(message)}, 201)


@router.patch("/rooms/{room}/messages/{message}")
def edit_message(watched: RoomParam, message: MessageParam, new: EditedText) -> Response:
    """Change the text of a message, given by its id or as `key:KEY`."""
    edited = message_json(watched.room.edit(message, new.text))
    watched.events.publish("edited", message=edited)
    return JsonResponse({"message": edited})


@router.delete("/rooms/{room}/messages/{message}")
def delete_message(watched: RoomParam, message: MessageParam) -> Response:
    """Erase a message."""
    erased = watched.room.delete(message)
    watched.events.publish("deleted", id=erased.id)
    return JsonResponse({"deleted": erased.id})


@router.post("/rooms/{room}/forget")
def forget_context(watched: RoomParam) -> Response:
    """Begin a new context for the personas; no message is erased."""
    watched.room.forget()
    watched.events.publish("forgotten")
    return JsonResponse({"forgotten": True})


@router.post("/rooms/{room}/stop")
def stop_reply(watched: RoomParam) -> Response:
    """Stop the live reply; its complete messages stay."""
    return JsonResponse({"stopped": watched.stop()})


@router.get("/rooms/{room}/chances")
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


@router.post("/rooms/{room}/speak")
async def generate_turn(
    request: Request, watched: RoomParam, body: SpeakRequest, services: Services
) -> Response:
    """Generate a persona's turn, and return it when it is complete; disconnecting stops it."""

    def start(room: LiveRoom) -> LiveReply:
        return room.speak(body.person, among=body.among, opening=body.opening)

    def create(is_cancelled: Callable[[], bool]) -> Iterator[Message]:
        return watched.stream_turn(start, is_cancelled)

    return await _run_turns(request, watched, services.streams, create)


@router.post("/rooms/{room}/retry")
async def regenerate_turn(request: Request, watched: RoomParam, services: Services) -> Response:
    """Erase the last turn of a persona, and regenerate it."""
    return await _run_turns(request, watched, services.streams, watched.regenerate)


@router.post("/rooms/{room}/play")
async def generate_turns(
    request: Request, watched: RoomParam, body: PlayRequest, services: Services
) -> Response:
    """Let personas talk among themselves, or only until a human is likely to speak next."""

    def create(is_cancelled: Callable[[], bool]) -> Iterator[Message]:
        return watched.play(body.turns, body.among, is_cancelled, until_human=body.until_human)

    return await _run_turns(request, watched, services.streams, create)


async def _run_turns(
    request: Request, watched: WatchedRoom, streams: StreamRunner, create: StreamFactory[Message]
) -> Response:
    """Run turns of personas; afterwards the engine reads the new messages in advance."""
    messages = await streams.collect(request, create)

    def read_ahead(_: Callable[[], bool]) -> Iterator[None]:
        watched.room.read_ahead(streams.closing.is_set)
        yield

    with suppress(ApiError):  # the server is shutting down
        streams.start(read_ahead)
    return JsonResponse({"messages": [message_json(m) for m in messages]})


@router.get(
    "/rooms/{room}/events", responses=background.EVENT_STREAM, response_class=StreamingResponse
)
async def stream_events(
    watched: RoomParam,
    services: Services,
    after: str | None = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Follow the room's events, as server-sent events.

    While a persona speaks: speaking, piece, message, silent. For actions of humans: message,
    edited, deleted, forgotten, room, dropped. After missed events: reset (read the history
    again).
    """
    events = watched.events.subscribe(last_event_id or after, services.streams.closing)
    return background.EventStream(_event_stream(events))


async def _event_stream(events: AsyncIterator[Any]) -> AsyncIterator[str]:
    try:
        yield background.PING  # the response begins at once
        async with aclosing(background.with_pings(events)) as pinged:
            async for event in pinged:
                if event is None:
                    yield background.PING
                else:
                    yield background.server_sent_event(event.data, event=event.kind, id=event.id)
    finally:
        await events.aclose()  # type: ignore[attr-defined]  # it is a generator
