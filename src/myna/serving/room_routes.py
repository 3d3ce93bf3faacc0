"""The room API: `/api/rooms`, through which front ends do everything that they do in a room.

A front end reads a room (`GET /api/rooms/{room}/messages`), follows its events from there on
(`GET /api/rooms/{room}/events?after=LAST`), and sends requests; every change that a client
makes is an event for all. Unknown fields are errors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from myna.errors import EditConflictError
from myna.people import CLONE_MARK
from myna.rooms.store import MAX_ID_CHARS, MAX_MESSAGE_CHARS
from myna.serving import background
from myna.serving.background import StreamRunner
from myna.serving.conductor import Conductors
from myna.serving.errors import ApiError, JsonResponse
from myna.serving.openai_chat import ServedModels
from myna.serving.watched_rooms import WatchedRoom, WatchedRooms, message_json

MAX_MEMBERS = 100


def _check_path_segment(text: str) -> str:
    if not text.isprintable() or not text.strip(". ") or "/" in text:
        raise ValueError("use printable characters without /, and not dots alone")
    return text


_Id = Annotated[
    str, Field(min_length=1, max_length=MAX_ID_CHARS), AfterValidator(_check_path_segment)
]
"""An id that is one segment of a URL's path: clients resolve `.` and `..` there."""
Name = Annotated[str, Field(min_length=1, max_length=200)]
People = Annotated[list[Name], Field(max_length=MAX_MEMBERS)]
_Audience = Literal["owner"] | People | None


class RequestBody(BaseModel):
    """A JSON object of a request, with strict types and without unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class NewRoom(RequestBody):
    """A new room."""

    id: _Id
    humans: People = []
    personas: People | None = None
    audience: _Audience = None
    """Readers of the room: "owner", or people by name; null: unknown."""


class RoomChanges(RequestBody):
    """Changed settings of a room."""

    chat: dict[str, Any] | None = None
    """Settings of `[chat]` for this room alone; null restores the clone's."""
    notes: dict[str, Any] | None = None
    """Data that a front end keeps with the room."""
    title: str | None = Field(None, max_length=1000)
    """The room's name; "" for none."""
    era: str | None = None
    """The day in the system line, such as 2019-03; "" for today."""
    audience: _Audience = None


class MemberName(RequestBody):
    """The name of a human or a persona."""

    name: Name


class NewMessage(RequestBody):
    """A message of a human; `key` is its id elsewhere, `to` the personas addressed.

    `reply_to` is the id of the message that it quotes.
    """

    person: Name | None = None
    text: str = Field(max_length=MAX_MESSAGE_CHARS)
    key: _Id | None = None
    to: People = []
    reply_to: int | None = None


class Beginning(RequestBody):
    """The topic of a real moment; "" for any."""

    topic: str = Field("", max_length=200)


class BranchName(RequestBody):
    """The id of a room to be."""

    id: _Id


class EditedText(RequestBody):
    """The new text of a message."""

    text: str = Field(max_length=MAX_MESSAGE_CHARS)


router = APIRouter(prefix="/api", tags=["Rooms"])
"""The paths below `/api`; they need `app.state.room_api`."""


@dataclass(frozen=True)
class RoomServices:
    """The parts of a server that the room API uses."""

    models: ServedModels
    rooms: WatchedRooms
    streams: StreamRunner
    conductors: Conductors
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
    return JsonResponse({
        "personas": speakers,
        "shown_as": clones,
        "me": models.default_author,
        "may_set_audience": services.trusts_audience,
    })  # fmt: skip


@router.get("/rooms")
def list_rooms(services: Services) -> Response:
    """List all rooms with their last messages, the one with the newest first."""
    return JsonResponse({"rooms": services.rooms.summaries()})


@router.get("/search")
def search_messages(
    services: Services,
    q: Annotated[str, Query(max_length=200)],
    room: Annotated[str | None, Query(max_length=MAX_ID_CHARS)] = None,
) -> Response:
    """Find the newest messages with all words of `q`, in one room or in all."""
    found = services.rooms.registry.store.search(q, room)
    return JsonResponse({"messages": [{**message_json(m), "room": m.room} for m in found]})


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
    if new.title is not None:
        watched.room.rename(new.title)
    if new.era is not None:
        watched.room.set_era(new.era or None)
    if new.audience is not None:
        watched.room.set_audience(new.audience)
    return JsonResponse(watched.publish_room())


@router.delete("/rooms/{room}")
async def delete_room(room: RoomId, services: Services) -> Response:
    """Erase a room with all its messages."""
    await run_in_threadpool(services.rooms.drop, room)
    services.conductors.drop(room)
    return JsonResponse({"dropped": room})


@router.get("/rooms/{room}/messages")
def list_messages(
    watched: RoomParam,
    last: Annotated[int, Query(ge=1, le=10_000)] = 200,
    before: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """Get the newest messages, or those before one; where a live reply is, and what follows.

    `versions` are the versions of each turn that has several, `last_event` is the event from
    which to follow the room.
    """
    after = watched.events.last_id  # first: an event that comes twice does no harm
    messages = watched.room.messages(last + 1, before)
    return JsonResponse({
        "messages": [message_json(m) for m in messages[-last:]],
        "has_older": len(messages) > last,
        "versions": watched.room.version_numbers(),
        "speaking": watched.speaking,
        "last_event": after,
    })  # fmt: skip


@router.get("/rooms/{room}/transcript", response_class=PlainTextResponse)
def get_transcript(watched: RoomParam) -> Response:
    """Get all messages as text, each clone's marked as such."""
    return PlainTextResponse(watched.room.transcript())


@router.post("/rooms/{room}/begin")
def begin_room(watched: RoomParam, body: Beginning) -> Response:
    """Begin an empty room with a real moment of the chats, or with one about a topic.

    No messages come back where there is none, or the room is not empty.
    """
    begun = [message_json(m) for m in watched.room.begin(body.topic)]
    for message in begun:
        watched.events.publish("message", message=message)
    return JsonResponse({"messages": begun})


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
async def post_message(watched: RoomParam, new: NewMessage, services: Services) -> Response:
    """Post a message of a human; personas reply only while the room plays."""
    before = watched.room.members
    author = new.person or services.models.default_author
    message = await run_in_threadpool(
        watched.room.say, author, new.text, key=new.key, to=new.to, reply_to=new.reply_to
    )
    services.conductors.of(watched).heard(author)
    if watched.room.members != before:
        watched.publish_room()
    if message is None:
        return JsonResponse({"message": None}, 200)
    watched.events.publish("message", message=message_json(message))
    return JsonResponse({"message": message_json(message)}, 201)


@router.patch("/rooms/{room}/messages/{message}")
def edit_message(
    watched: RoomParam,
    message: MessageParam,
    new: EditedText,
    if_match: Annotated[str | None, Header(pattern=r'^"?\d{1,9}"?$')] = None,
) -> Response:
    """Change the text of a message, given by its id or as `key:KEY`.

    With `If-Match`, only if that is its newest `revision`: else 409, with the message as it is
    now as `current`.
    """
    revision = None if if_match is None else int(if_match.strip('"'))
    try:
        edited = message_json(watched.room.edit(message, new.text, revision))
    except EditConflictError as error:
        details = {"current": message_json(error.newest)}
        raise ApiError(409, str(error), code="edit_conflict", details=details) from error
    watched.events.publish("edited", message=edited)
    return JsonResponse({"message": edited})


@router.delete("/rooms/{room}/messages/{message}")
def delete_message(watched: RoomParam, message: MessageParam) -> Response:
    """Erase a message."""
    erased = watched.room.delete(message)
    watched.events.publish("deleted", id=erased.id)
    return JsonResponse({"deleted": erased.id})


@router.post("/rooms/{room}/messages/{message}/branch", status_code=201)
def branch_room(
    watched: RoomParam, message: MessageParam, new: BranchName, services: Services
) -> Response:
    """Copy a room up to a message into a new one, which goes on by itself."""
    branched = services.rooms.registry.branch(watched.room.id, message, new.id)
    return JsonResponse(services.rooms.find(branched.id).as_json(), 201)


@router.post("/rooms/{room}/forget")
def forget_context(watched: RoomParam) -> Response:
    """Begin a new context for the personas; no message is erased."""
    watched.room.forget()
    watched.events.publish("forgotten")
    return JsonResponse({"forgotten": True})


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

    While a persona speaks: speaking, piece, message, silent, or failed; turn: another version
    of a turn is shown. For actions of humans: message, edited, deleted, forgotten, room, typing,
    dropped. After missed events: reset (read the history again).
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
