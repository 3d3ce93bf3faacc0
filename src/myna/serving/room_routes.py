"""The room API: `/api/rooms`, which every front end uses and holds nothing beside.

A front end reads a room (`GET /api/rooms/{room}/messages`), watches it from that moment on
(`GET /api/rooms/{room}/events?after=LAST`), and asks for what should happen; whatever comes
of it, by this client or another, is an event. A field that is unknown here is an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from myna.rooms.registry import LiveReply, LiveRoom
from myna.rooms.store import MAX_ID_CHARS, MAX_MESSAGE_CHARS, Message
from myna.serving.background import EVENTS, PING, EventStream, Made, Work, alive, sse
from myna.serving.errors import ApiError, Json
from myna.serving.openai_chat import Served
from myna.serving.watched_rooms import Floor, Floors, shown

MOST_PEOPLE = 100
MOST_TURNS = 50


def _in_a_path(text: str) -> str:
    if not text.isprintable() or not text.strip(". ") or "/" in text:
        raise ValueError("use printable characters without /, and not dots alone")
    return text


_Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS), AfterValidator(_in_a_path)]
"""What paths name: clients resolve `.` and `..`, and servers take `/` for the next part."""
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_People = Annotated[list[_Name], Field(max_length=MOST_PEOPLE)]
_Audience = Literal["owner"] | _People | None


class _Sent(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class NewRoom(_Sent):
    """A room to be made."""

    id: _Id
    humans: _People = []
    personas: _People | None = None
    audience: _Audience = None
    """Who can read the room: "owner", or people by name; null: unknown."""


class Changes(_Sent):
    """What is to be otherwise in a room."""

    chat: dict[str, Any] | None = None
    """Settings of `[chat]` for this room alone; null goes back to the clone's."""
    notes: dict[str, Any] | None = None
    """What a front end wants to keep with the room."""
    audience: _Audience = None


class Who(_Sent):
    """Somebody."""

    name: _Name


class Said(_Sent):
    """A message."""

    person: _Name | None = None
    text: str = Field(max_length=MAX_MESSAGE_CHARS)
    key: _Id | None = None
    to: _People = []


class NewText(_Sent):
    """Other words."""

    text: str = Field(max_length=MAX_MESSAGE_CHARS)


class Speak(_Sent):
    """A turn that is asked for."""

    person: _Name | None = None
    among: _People | None = None
    opening: str = Field("", max_length=MAX_MESSAGE_CHARS)


class Play(_Sent):
    """Turns that are asked for."""

    turns: int = Field(6, ge=1, le=MOST_TURNS)
    among: _People | None = None
    until_human: bool = False


router = APIRouter(prefix="/api", tags=["Rooms"])
"""The paths below `/api`; they need `app.state.room_api`."""


@dataclass(frozen=True)
class RoomApi:
    """The parts of a server that the room API works on."""

    served: Served
    floors: Floors
    work: Work
    trusted: bool
    """Whether clients may tell who can read a room, and so what may be recalled."""


def _api(request: Request) -> RoomApi:
    api: RoomApi = request.app.state.room_api
    return api


Api = Annotated[RoomApi, Depends(_api)]
RoomId = Annotated[str, Path(min_length=1, max_length=MAX_ID_CHARS)]
MessageId = Annotated[str, Path(min_length=1, max_length=MAX_ID_CHARS + len("key:"))]


def _floor(room: RoomId, api: Api) -> Floor:
    return api.floors.find(room)


OfRoom = Annotated[Floor, Depends(_floor)]
"""The room of the path, as watched.

Raises:
    ApiError: it is not there.
"""


def _message(message: MessageId, floor: OfRoom, api: Api) -> int | str:
    known: int | str = message.removeprefix("key:")
    if known == message:
        digits = message.isascii() and message.isdecimal() and len(message) < 19
        known = int(message) if digits else ""
    if api.floors.rooms.store.find(floor.room.id, known) is None:
        raise ApiError(404, "there is no such message", code="message_not_found")
    return known


OfMessage = Annotated[int | str, Depends(_message)]
"""The message of the path, by its id or the key that it has elsewhere.

Raises:
    ApiError: it is not there.
"""


def _check_audience(api: RoomApi, audience: object) -> None:
    if audience is not None and not api.trusted:
        raise ApiError(
            403,
            "audience: only a server on this machine alone believes its clients who can "
            "read a room",
            param="audience",
            code="audience_not_trusted",
        )


@router.get("/personas")
def personas(api: Api) -> Response:
    """Who can be talked to."""
    return Json({"personas": api.served.clone.personas, "me": api.served.me})


@router.get("/rooms")
def list_rooms(api: Api) -> Response:
    """The ids of all rooms."""
    return Json({"rooms": api.floors.rooms.ids()})


@router.post("/rooms", status_code=201)
def create(new: NewRoom, api: Api) -> Response:
    """Make a room; one that is there already is resumed as it was left."""
    _check_audience(api, new.audience)
    floor = api.floors.open(new.id, new.humans, new.personas, new.audience)
    return Json(floor.described(), 201)


@router.get("/rooms/{room}")
def read(floor: OfRoom) -> Response:
    """Who is here, who speaks, what is set."""
    return Json(floor.described())


@router.patch("/rooms/{room}")
def change(floor: OfRoom, new: Changes, api: Api) -> Response:
    """Change how personas speak here, what a front end notes, who can read it."""
    _check_audience(api, new.audience)
    floor.room.configure(new.chat, new.notes)
    if new.audience is not None:
        floor.room.set_audience(new.audience)
    return _changed(floor)


@router.delete("/rooms/{room}")
def drop(room: RoomId, api: Api) -> Response:
    """Erase a room with all that was said in it."""
    api.floors.drop(room)
    return Json({"dropped": room})


@router.get("/rooms/{room}/messages")
def messages(floor: OfRoom, last: Annotated[int, Query(ge=1, le=10_000)] = 200) -> Response:
    """The newest messages, what is being said, and the event to watch from."""
    after = floor.board.last  # before the rest: what comes twice does no harm
    return Json({
        "messages": [shown(m) for m in floor.room.messages(last)],
        "speaking": floor.saying,
        "last_event": after,
    })  # fmt: skip


@router.post("/rooms/{room}/join")
def join(floor: OfRoom, who: Who) -> Response:
    """A human comes in; a persona of that name falls silent."""
    floor.room.join(who.name)
    return _changed(floor)


@router.post("/rooms/{room}/leave")
def leave(floor: OfRoom, who: Who) -> Response:
    """A human goes."""
    floor.room.leave(who.name)
    return _changed(floor)


@router.post("/rooms/{room}/summon")
def summon(floor: OfRoom, who: Who) -> Response:
    """A persona comes in."""
    floor.room.summon(who.name)
    return _changed(floor)


@router.post("/rooms/{room}/dismiss")
def dismiss(floor: OfRoom, who: Who) -> Response:
    """A persona goes."""
    floor.room.dismiss(who.name)
    return _changed(floor)


def _changed(floor: Floor) -> Response:
    """Tell everyone who watches what a room is now; it, as the answer."""
    floor.board.publish("room", room=floor.described())
    return Json(floor.described())


@router.post("/rooms/{room}/say", status_code=201)
def say(floor: OfRoom, said: Said, api: Api) -> Response:
    """A human says something; nobody answers yet."""
    before = floor.room.members
    message = floor.room.say(said.person or api.served.me, said.text, key=said.key, to=said.to)
    if floor.room.members != before:
        floor.board.publish("room", room=floor.described())
    if message is None:
        return Json({"message": None}, 200)
    floor.board.publish("message", message=shown(message))
    return Json({"message": shown(message)}, 201)


@router.patch("/rooms/{room}/messages/{message}")
def edit(floor: OfRoom, message: OfMessage, new: NewText) -> Response:
    """Give a message other words; it is known by its id, or as `key:KEY`."""
    edited = shown(floor.room.edit(message, new.text))
    floor.board.publish("edited", message=edited)
    return Json({"message": edited})


@router.delete("/rooms/{room}/messages/{message}")
def delete(floor: OfRoom, message: OfMessage) -> Response:
    """Erase a message."""
    erased = floor.room.delete(message)
    floor.board.publish("deleted", id=erased.id)
    return Json({"deleted": erased.id})


@router.post("/rooms/{room}/forget")
def forget(floor: OfRoom) -> Response:
    """The personas forget what was said; nothing is erased."""
    floor.room.forget()
    floor.board.publish("forgotten")
    return Json({"forgotten": True})


@router.post("/rooms/{room}/stop")
def stop(floor: OfRoom) -> Response:
    """Whoever speaks stops; what was complete stays."""
    return Json({"stopped": floor.stop()})


@router.get("/rooms/{room}/chances")
async def chances(
    request: Request, floor: OfRoom, api: Api, among: Annotated[list[str] | None, Query()] = None
) -> Response:
    """How likely each is to speak next, by the model."""

    def make(_: Callable[[], bool]) -> Iterator[dict[str, float]]:
        yield floor.room.speaker_probabilities(among)

    [found] = await api.work.whole(request, make)
    return Json({"chances": found})


@router.post("/rooms/{room}/speak")
async def speak(request: Request, floor: OfRoom, asked: Speak, api: Api) -> Response:
    """A persona's next turn; answers when it is complete. A client that goes stops it."""

    def begin(live: LiveRoom) -> LiveReply:
        return live.speak(asked.person, among=asked.among, opening=asked.opening)

    return await _turns(request, floor, api.work, lambda gone: floor.turn(begin, gone))


@router.post("/rooms/{room}/retry")
async def retry(request: Request, floor: OfRoom, api: Api) -> Response:
    """The last turn of a persona is erased and said anew."""
    return await _turns(request, floor, api.work, floor.again)


@router.post("/rooms/{room}/play")
async def play(request: Request, floor: OfRoom, asked: Play, api: Api) -> Response:
    """Personas talk among themselves, or until the model expects a human to speak."""

    def make(gone: Callable[[], bool]) -> Iterator[Message]:
        return floor.play(asked.turns, asked.among, gone, until_human=asked.until_human)

    return await _turns(request, floor, api.work, make)


async def _turns(request: Request, floor: Floor, work: Work, make: Made[Message]) -> Response:
    """Turns of personas; once they are said, the engine reads what came meanwhile."""
    said = await work.whole(request, make)

    def read_ahead(_: Callable[[], bool]) -> Iterator[None]:
        floor.room.read_ahead(work.closing.is_set)
        yield

    with suppress(ApiError):  # the server shuts down
        work.begin(read_ahead)
    return Json({"messages": [shown(m) for m in said]})


@router.get("/rooms/{room}/events", responses=EVENTS, response_class=StreamingResponse)
async def events(
    floor: OfRoom,
    api: Api,
    after: str | None = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """What happens in the room, as server-sent events.

    speaking, piece, message, silent while a persona speaks; message, edited, deleted,
    forgotten, room for what people do; reset where events were missed for good.
    """
    watched = floor.board.watch(last_event_id or after, api.work.closing)
    return EventStream(_stream(watched))


async def _stream(watched: AsyncIterator[Any]) -> AsyncIterator[str]:
    try:
        yield PING  # the connection stands
        async for event in alive(watched):
            yield PING if event is None else sse(event.data, event=event.kind, id=event.id)
    finally:
        await watched.aclose()  # type: ignore[attr-defined]  # it is a generator
