"""The room API: `/api/rooms`, which every front end uses and holds nothing beside.

A front end reads a room (`GET /api/rooms/{room}/messages`), watches it from that moment on
(`GET /api/rooms/{room}/events?after=LAST`), and asks for what should happen; whatever comes
of it, by this client or another, is an event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from myna.persona.histories import LONGEST_ID, Message
from myna.persona.rooms import LiveRoom, Reply
from myna.serving import room_requests as sent
from myna.serving.errors import ApiError, Json
from myna.serving.floors import Floor, Floors, shown
from myna.serving.served import Served
from myna.serving.sse import EVENTS, PING, EventStream, alive, sse
from myna.serving.working import Made, Work

RoomId = Annotated[str, Path(min_length=1, max_length=LONGEST_ID)]
MessageId = Annotated[str, Path(min_length=1, max_length=LONGEST_ID + len("key:"))]


def router(served: Served, floors: Floors, work: Work, *, trusted: bool) -> APIRouter:
    """The paths below `/api`.

    `trusted` says that clients may tell who can read a room, and so what may be recalled.
    """
    api = APIRouter(prefix="/api", tags=["Rooms"])
    rooms = floors.rooms

    def check_audience(audience: object) -> None:
        if audience is not None and not trusted:
            raise ApiError(
                403,
                "audience: only a server on this machine alone believes its clients who can "
                "read a room",
                param="audience",
                code="audience_not_trusted",
            )

    def known_by(room: str, message: str) -> int | str:
        """A message's id, or the key that it has elsewhere."""
        known: int | str = message.removeprefix("key:")
        if known == message:
            digits = message.isascii() and message.isdecimal() and len(message) < 19
            known = int(message) if digits else ""
        if rooms.histories.find(room, known) is None:
            raise ApiError(404, "there is no such message", code="message_not_found")
        return known

    @api.get("/personas")
    def personas() -> Response:
        """Who can be talked to."""
        return Json({"personas": served.clone.personas, "me": served.me})

    @api.get("/rooms")
    def listed() -> Response:
        """The ids of all rooms."""
        return Json({"rooms": rooms.ids()})

    @api.post("/rooms", status_code=201)
    def create(new: sent.NewRoom) -> Response:
        """Make a room; one that is there already is resumed as it was left."""
        check_audience(new.audience)
        floor = floors.open(new.id, new.humans, new.personas, new.audience)
        return Json(floor.described(), 201)

    @api.get("/rooms/{room}")
    def read(room: RoomId) -> Response:
        """Who is here, who speaks, what is set."""
        return Json(floors.find(room).described())

    @api.patch("/rooms/{room}")
    def change(room: RoomId, new: sent.Changes) -> Response:
        """Change how personas speak here, what a front end notes, who can read it."""
        check_audience(new.audience)
        floor = floors.find(room)
        floor.room.configure(new.chat, new.notes)
        if new.audience is not None:
            floor.room.heard_by(new.audience)
        floor.board.publish("room", room=floor.described())
        return Json(floor.described())

    @api.delete("/rooms/{room}")
    def drop(room: RoomId) -> Response:
        """Erase a room with all that was said in it."""
        floors.drop(room)
        return Json({"dropped": room})

    @api.get("/rooms/{room}/messages")
    def messages(room: RoomId, last: Annotated[int, Query(ge=1, le=10_000)] = 200) -> Response:
        """The newest messages, what is being said, and the event to watch from."""
        floor = floors.find(room)
        after = floor.board.last  # before the rest: what comes twice does no harm
        return Json({
            "messages": [shown(m) for m in floor.room.messages(last)],
            "speaking": floor.saying,
            "last_event": after,
        })  # fmt: skip

    @api.post("/rooms/{room}/join")
    def join(room: RoomId, who: sent.Who) -> Response:
        """A human comes in; a persona of that name falls silent."""
        return _came(floors.find(room), lambda live: live.join(who.name))

    @api.post("/rooms/{room}/leave")
    def leave(room: RoomId, who: sent.Who) -> Response:
        """A human goes."""
        return _came(floors.find(room), lambda live: live.leave(who.name))

    @api.post("/rooms/{room}/summon")
    def summon(room: RoomId, who: sent.Who) -> Response:
        """A persona comes in."""
        return _came(floors.find(room), lambda live: live.summon(who.name))

    @api.post("/rooms/{room}/dismiss")
    def dismiss(room: RoomId, who: sent.Who) -> Response:
        """A persona goes."""
        return _came(floors.find(room), lambda live: live.dismiss(who.name))

    @api.post("/rooms/{room}/say", status_code=201)
    def say(room: RoomId, said: sent.Said) -> Response:
        """A human says something; nobody answers yet."""
        floor = floors.find(room)
        before = floor.room.members
        message = floor.room.say(said.person or served.me, said.text, key=said.key, to=said.to)
        if floor.room.members != before:
            floor.board.publish("room", room=floor.described())
        if message is None:
            return Json({"message": None}, 200)
        floor.board.publish("message", message=shown(message))
        return Json({"message": shown(message)}, 201)

    @api.patch("/rooms/{room}/messages/{message}")
    def edit(room: RoomId, message: MessageId, new: sent.NewText) -> Response:
        """Give a message other words; it is known by its id, or as `key:KEY`."""
        floor = floors.find(room)
        edited = shown(floor.room.edit(known_by(room, message), new.text))
        floor.board.publish("edited", message=edited)
        return Json({"message": edited})

    @api.delete("/rooms/{room}/messages/{message}")
    def delete(room: RoomId, message: MessageId) -> Response:
        """Erase a message."""
        floor = floors.find(room)
        gone = floor.room.delete(known_by(room, message))
        floor.board.publish("deleted", id=gone.id)
        return Json({"deleted": gone.id})

    @api.post("/rooms/{room}/forget")
    def forget(room: RoomId) -> Response:
        """The personas forget what was said; nothing is erased."""
        floor = floors.find(room)
        floor.room.forget()
        floor.board.publish("forgotten")
        return Json({"forgotten": True})

    @api.post("/rooms/{room}/stop")
    def stop(room: RoomId) -> Response:
        """Whoever speaks stops; what was complete stays."""
        return Json({"stopped": floors.find(room).stop()})

    @api.get("/rooms/{room}/chances")
    async def chances(
        request: Request, room: RoomId, among: Annotated[list[str] | None, Query()] = None
    ) -> Response:
        """How likely each is to speak next, by the model."""
        floor = await run_in_threadpool(floors.find, room)

        def make(_: Callable[[], bool]) -> Iterator[dict[str, float]]:
            yield floor.room.chances(among)

        [found] = await work.whole(request, make)
        return Json({"chances": found})

    @api.post("/rooms/{room}/speak")
    async def speak(request: Request, room: RoomId, asked: sent.Speak) -> Response:
        """A persona's next turn; answers when it is complete. A client that goes stops it."""
        floor = await run_in_threadpool(floors.find, room)

        def begin(live: LiveRoom) -> Reply:
            return live.speak(asked.person, among=asked.among, opening=asked.opening)

        return await _turns(request, floor, lambda gone: floor.turn(begin, gone))

    @api.post("/rooms/{room}/retry")
    async def retry(request: Request, room: RoomId) -> Response:
        """The last turn of a persona is erased and said anew."""
        floor = await run_in_threadpool(floors.find, room)
        return await _turns(request, floor, floor.again)

    @api.post("/rooms/{room}/play")
    async def play(request: Request, room: RoomId, asked: sent.Play) -> Response:
        """Personas talk among themselves, or until the model expects a human to speak."""
        floor = await run_in_threadpool(floors.find, room)

        def make(gone: Callable[[], bool]) -> Iterator[Message]:
            return floor.play(asked.turns, asked.among, gone, until_human=asked.until_human)

        return await _turns(request, floor, make)

    async def _turns(request: Request, floor: Floor, make: Made[Message]) -> Response:
        said = await work.whole(request, make)

        def read_ahead(_: Callable[[], bool]) -> Iterator[None]:
            floor.room.read_ahead(work.closing.is_set)
            yield

        with suppress(ApiError):  # the server shuts down
            work.begin(read_ahead)
        return Json({"messages": [shown(m) for m in said]})

    @api.get("/rooms/{room}/events", responses=EVENTS, response_class=StreamingResponse)
    async def events(
        room: RoomId,
        after: str | None = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """What happens in the room, as server-sent events.

        speaking, piece, message, silent while a persona speaks; message, edited, deleted,
        forgotten, room for what people do; reset where events were missed for good.
        """
        floor = await run_in_threadpool(floors.find, room)
        watched = floor.board.watch(last_event_id or after, work.closing)
        return EventStream(_stream(watched))

    return api


async def _stream(watched: AsyncIterator[Any]) -> AsyncIterator[str]:
    try:
        yield PING  # the connection stands
        async for event in alive(watched):
            yield PING if event is None else sse(event.data, event=event.kind, id=event.id)
    finally:
        await watched.aclose()  # type: ignore[attr-defined]  # it is a generator


def _came(floor: Floor, act: Callable[[LiveRoom], None]) -> Response:
    act(floor.room)
    floor.board.publish("room", room=floor.described())
    return Json(floor.described())
