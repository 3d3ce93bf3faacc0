"""The room API, over real HTTP."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import pytest
from tests.serving.conftest import KEYED, Serving, Starter, eventually

from myna.rooms.store import RoomStore
from myna.serving import watched_rooms
from myna.serving.access_control import AccessRules
from myna.serving.server import ServerOptions

Body = dict[str, Any]


@pytest.fixture(autouse=True)
def followed_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_rooms, "POLL_SECONDS", 0.05)


@pytest.fixture
def room(serving: Serving, request: pytest.FixtureRequest) -> Iterator[Room]:
    made = Room(serving, request.node.name[:100])
    made.post("/api/rooms", id=made.name, humans=["Zoe"], personas=["Ana", "Ben"])
    yield made
    made.http.close()


class Room:
    """A room, and a client that sits in it."""

    def __init__(self, serving: Serving, name: str) -> None:
        self.serving, self.name = serving, name
        self.http = serving.http()
        self.path = f"/api/rooms/{quote(name, safe='')}"

    def post(self, path: str, **body: Any) -> Body:
        answer = self.http.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        found: Body = answer.json()
        return found

    def do(self, act: str, **body: Any) -> Body:
        return self.post(f"{self.path}/{act}", **body)

    def said(self) -> list[tuple[str, str]]:
        history = self.http.get(f"{self.path}/messages").json()
        return [(m["person"], m["text"]) for m in history["messages"]]

    def last_event(self) -> str:
        found: str = self.http.get(self.path).json()["last_event"]
        return found

    @contextmanager
    def events(self, after: str | None = None, **headers: str) -> Iterator[Iterator[Body]]:
        """The room's events, as they come."""
        after_ = {"after": after} if after else {}
        path = f"{self.path}/events"
        with (
            self.serving.http() as http,
            http.stream("GET", path, params=after_, headers=headers) as got,
        ):
            assert got.headers["content-type"].startswith("text/event-stream")
            yield parsed(got.iter_lines())


def parsed(lines: Iterator[str]) -> Iterator[Body]:
    event: Body = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if not line and event:
            yield event
            event = {}
        elif name in ("event", "id"):
            event[name] = value
        elif name == "data":
            event["data"] = json.loads(value)


def until(events: Iterator[Body], kind: str) -> list[Body]:
    """The events up to one of a kind."""
    seen = []
    for event in events:
        seen.append(event)
        if event["event"] == kind:
            return seen
    raise AssertionError(f"no {kind}: {seen}")


def test_a_room_is_made_and_listed_and_erased(room: Room) -> None:
    found = room.http.get(room.path).json()
    assert found["id"] == room.name
    assert found["members"] == ["Ana", "Ben", "Zoe"]
    assert (found["personas"], found["humans"]) == (["Ana", "Ben"], ["Zoe"])
    assert found["speaking"] is None
    assert room.name in [r["id"] for r in room.http.get("/api/rooms").json()["rooms"]]
    assert room.http.delete(room.path).json() == {"dropped": room.name}
    assert room.name not in [r["id"] for r in room.http.get("/api/rooms").json()["rooms"]]
    assert room.http.get(room.path).status_code == 404


def test_people_and_personas_come_and_go(room: Room) -> None:
    room.do("join", name="Max")
    room.do("summon", name="Cy")
    room.do("dismiss", name="Ben")
    assert room.do("leave", name="Zoe")["members"] == ["Ana", "Cy", "Max"]
    answer = room.http.post(f"{room.path}/summon", json={"name": "Dee"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unknown_person"


def test_what_is_said_is_kept_and_answered(room: Room) -> None:
    message = room.do("say", person="Zoe", text="soup?\nBen: no")["message"]
    assert (message["person"], message["text"]) == ("Zoe", "soup?\nBen: no")
    assert message["by_clone"] is False
    room.serving.engine.says = lambda _: " always\nwith bread\nZoe: ok\n"
    spoken = room.do("speak", person="Ana")["messages"]
    assert [m["text"] for m in spoken] == ["always", "with bread"]
    assert all(m["by_clone"] and m["turn"] == spoken[0]["turn"] for m in spoken)
    assert room.said() == [
        ("Zoe", "soup?\nBen: no"), ("Ana", "always"), ("Ana", "with bread")
    ]  # fmt: skip
    assert room.serving.engine.prompts[-1].endswith("Zoe: soup?\n Ben: no\nAna:")


def test_a_message_delivered_twice_is_said_once(room: Room) -> None:
    assert room.do("say", text="hi", key="k1")["message"]["person"] == "Me"
    assert room.do("say", text="hi", key="k1") == {"message": None}
    assert room.said() == [("Me", "hi")]


def test_who_speaks_is_drawn_by_the_models_chances(room: Room) -> None:
    room.do("say", person="Zoe", text="who is there?")
    room.serving.engine.likely = {"A": 0.25, "B": 0.75}
    chances = room.http.get(f"{room.path}/chances", params={"among": ["Ana", "Ben"]}).json()
    assert chances["chances"] == pytest.approx({"Ana": 0.25, "Ben": 0.75}, abs=0.01)
    room.serving.engine.likely = {"B": 1.0}
    assert room.do("speak")["messages"][0]["person"] == "Ben"


def test_personas_talk_among_themselves(room: Room) -> None:
    room.do("say", person="Zoe", text="talk!")
    spoken = room.do("play", turns=4)["messages"]
    people = [m["person"] for m in spoken]
    assert len(people) == 4
    assert {*people} == {"Ana", "Ben"}
    assert all(a != b for a, b in itertools.pairwise(people))


def test_they_talk_until_a_human_is_expected(room: Room) -> None:
    room.do("say", person="Zoe", text="hi")
    room.serving.engine.likely = {"Z": 1.0}
    assert len(room.do("play", turns=5, until_human=True)["messages"]) == 1


def test_an_answer_is_said_anew(room: Room) -> None:
    room.do("say", person="Zoe", text="soup?")
    room.do("speak", person="Ana")
    after = room.last_event()
    room.serving.engine.says = lambda _: " never\n"
    room.do("retry")
    assert room.said() == [("Zoe", "soup?"), ("Ana", "never")]
    with room.events(after) as events:
        kinds = [event["event"] for event in until(events, "silent")]
    assert kinds == ["speaking", "turn", "piece", "message", "silent"]


def test_messages_are_edited_and_deleted(room: Room) -> None:
    first = room.do("say", person="Zoe", text="soup?", key="k1")["message"]
    second = room.do("say", person="Zoe", text="tea?")["message"]
    after = room.last_event()
    edited = room.http.patch(f"{room.path}/messages/key:k1", json={"text": "stew?"}).json()
    assert edited["message"]["revision"] == 1
    room.http.delete(f"{room.path}/messages/{second['id']}")
    assert room.said() == [("Zoe", "stew?")]
    with room.events(after) as events:
        changed, gone = until(events, "deleted")
    assert changed["data"]["message"]["text"] == "stew?"
    assert changed["data"]["message"]["id"] == first["id"]
    assert gone["data"] == {"id": second["id"]}
    for message in ("999999", "key:none", "x", "-1", "9" * 50):
        answer = room.http.delete(f"{room.path}/messages/{message}")
        assert answer.status_code in (400, 404), message


def test_what_is_forgotten_is_shown_but_not_prompted(room: Room) -> None:
    room.do("say", person="Zoe", text="a secret")
    room.do("forget")
    room.do("say", person="Zoe", text="hello")
    room.do("speak", person="Ana")
    assert room.said()[0] == ("Zoe", "a secret")
    assert "secret" not in room.serving.engine.prompts[-1]


def test_settings_are_the_rooms_own(room: Room) -> None:
    found = room.http.patch(room.path, json={"chat": {"temperature": 0.1}, "notes": {"a": 1}})
    assert found.json()["settings"]["notes"] == {"a": 1}
    room.do("say", text="hi")
    room.do("speak", person="Ana")
    assert room.serving.engine.sampled[-1].temperature == 0.1
    for wrong in ({"chat": {"temperature": -1}}, {"chat": {"x": 1}}, {"colour": "red"}):
        assert room.http.patch(room.path, json=wrong).status_code == 400


class TestEvents:
    def test_everyone_hears_a_reply_as_it_comes(self, room: Room) -> None:
        room.serving.engine.says = lambda _: " one two\nthree four\nZoe: no\n"
        with room.events() as here, room.events() as there:
            room.do("say", person="Zoe", text="count")
            room.do("speak", person="Ana")
            seen, also = until(here, "silent"), until(there, "silent")
        assert seen == also
        assert [e["event"] for e in seen if e["event"] != "piece"] == [
            "message", "speaking", "message", "message", "silent"
        ]  # fmt: skip
        assert "".join(e["data"]["text"] for e in seen if e["event"] == "piece") == (
            "one two\nthree four"
        )
        assert seen[1]["data"]["person"] == "Ana"
        assert seen[-1]["data"]["reason"] == "stop"

    def test_a_lost_connection_is_resumed_where_it_broke(self, room: Room) -> None:
        with room.events() as events:
            room.do("say", person="Zoe", text="one")
            last = until(events, "message")[-1]["id"]
        room.do("say", person="Zoe", text="two")
        room.do("say", person="Zoe", text="three")
        with room.events(**{"Last-Event-ID": last}) as events:
            assert [next(events)["data"]["message"]["text"] for _ in range(2)] == ["two", "three"]

    @pytest.mark.parametrize("last", ["x", "feedbeef.0", "feedbeef.99999999999999999", "."])
    def test_where_events_are_gone_it_is_said_so(self, room: Room, last: str) -> None:
        with room.events(last) as events:
            reset = next(events)
            assert reset["event"] == "reset"
            room.do("say", person="Zoe", text="one")
            assert next(events)["event"] == "message"
        with room.events(reset["id"]) as events:
            assert next(events)["event"] == "message"

    def test_history_and_events_leave_no_gap(self, room: Room) -> None:
        room.do("say", person="Zoe", text="before")
        history = room.http.get(f"{room.path}/messages").json()
        room.do("say", person="Zoe", text="between")
        with room.events(history["last_event"]) as events:
            assert next(events)["data"]["message"]["text"] == "between"

    def test_who_comes_in_the_middle_of_a_reply_sees_what_was_said(self, room: Room) -> None:
        engine = room.serving.engine
        engine.says = lambda _: " one two three four\n"
        engine.go.clear()
        with ThreadPoolExecutor() as pool:
            spoken = pool.submit(room.do, "speak", person="Ana")
            eventually(lambda: room.http.get(room.path).json()["speaking"])
            history = room.http.get(f"{room.path}/messages").json()
            assert history["speaking"]["person"] == "Ana"
            engine.go.set()
            assert spoken.result()["messages"][0]["text"] == "one two three four"
        assert room.http.get(room.path).json()["speaking"] is None

    def test_what_another_process_does_is_told_too(self, room: Room) -> None:
        hers = room.do("say", person="Zoe", text="soup?")["message"]["id"]
        other = RoomStore(room.serving.rooms.store.path)
        with room.events(after=room.last_event()) as events:
            his = other.add(room.name, "Max", "hello")
            assert his
            assert until(events, "message")[-1]["data"]["message"]["text"] == "hello"
            other.edit(room.name, his.id, "hello!")
            assert until(events, "edited")[-1]["data"]["message"]["text"] == "hello!"
            other.delete(room.name, hers)
            assert until(events, "deleted")[-1]["data"] == {"id": hers}
            settings = other.settings(room.name) or {}
            other.save_settings(room.name, {**settings, "humans": ["Max"]})
            assert until(events, "room")[-1]["data"]["room"]["humans"] == ["Max"]
            room.do("speak", person="Ana")
            assert room.serving.engine.prompts[-1].endswith(": Ana, Ben, Max.\nMax: hello!\nAna:")
            other.drop(room.name)
            assert until(events, "dropped")
        assert room.http.get(room.path).status_code == 404
        other.close()

    def test_the_end_of_a_room_is_the_end_of_its_events(self, room: Room) -> None:
        with room.events() as events:
            room.http.delete(room.path)
            assert [event["event"] for event in events] == ["dropped"]

    def test_the_end_of_the_server_is_the_end_of_events(self, start: Starter) -> None:
        serving = start()
        room = Room(serving, "tea")
        room.post("/api/rooms", id="tea")
        with room.events() as events:
            threading.Thread(target=start.stop, args=(serving,)).start()
            assert list(events) == []
        room.http.close()


class TestSpeaking:
    def test_two_do_not_speak_at_once(self, room: Room) -> None:
        engine = room.serving.engine
        engine.go.clear()
        with ThreadPoolExecutor() as pool:
            first = pool.submit(room.do, "speak", person="Ana")
            eventually(lambda: engine.running)
            answer = room.http.post(f"{room.path}/speak", json={"person": "Ben"})
            assert answer.status_code == 409
            engine.go.set()
            assert first.result()["messages"][0]["person"] == "Ana"

    def test_whoever_speaks_can_be_stopped(self, room: Room) -> None:
        engine = room.serving.engine
        engine.says = lambda _: " one two\nthree four five\n"
        engine.go.clear()
        with ThreadPoolExecutor() as pool, room.events() as events:
            spoken = pool.submit(room.do, "play", turns=5)
            until(events, "speaking")
            assert room.do("stop") == {"stopped": True}
            engine.go.set()
            assert spoken.result()["messages"] == []
            assert until(events, "silent")[-1]["data"]["reason"] == "cancelled"
        assert room.do("stop") == {"stopped": False}

    def test_a_client_that_goes_stops_them(self, room: Room) -> None:
        engine = room.serving.engine
        engine.says = lambda _: " word" * 1000
        engine.go.clear()
        with pytest.raises(httpx.TimeoutException):
            room.http.post(f"{room.path}/play", json={"turns": 9}, timeout=0.5)
        engine.go.set()
        eventually(lambda: room.serving.queue.running == 0)
        eventually(lambda: room.http.get(room.path).json()["speaking"] is None)
        assert len(engine.prompts) == 1


def test_a_full_history_is_read_ahead_while_nobody_waits(room: Room) -> None:
    engine = room.serving.engine
    engine.says = lambda _: f" {'word ' * 10}\n"
    while len(engine.prompts) < 2 or len(engine.prompts[-1]) > len(engine.prompts[-2]):
        room.do("speak", person="Ana")
        room.do("say", person="Zoe", text="go on")
        eventually(lambda: room.serving.queue.running == 0)
    assert engine.sampled[-1].max_new_tokens == 1, "nothing is said, only read"

    @pytest.mark.parametrize("said", ["", " +49 30 1234", " fine\nAn"])
    def test_a_client_that_goes_while_words_are_held_back_stops_them(
        self, room: Room, said: str
    ) -> None:
        engine = room.serving.engine
        engine.says = lambda _: said + "."
        engine.held_from = len(said)
        engine.go.clear()
        with pytest.raises(httpx.TimeoutException):
            room.http.post(f"{room.path}/speak", json={"person": "Ana"}, timeout=0.5)
        eventually(lambda: room.serving.queue.running == engine.running == 0)
        assert room.said() == []


class TestBadInput:
    @pytest.mark.parametrize(
        ("act", "body"),
        [
            ("say", {}), ("say", {"text": 7}), ("say", {"text": "x" * 30_000}),
            ("say", {"text": "hi", "key": ""}), ("say", {"text": "hi", "colour": "red"}),
            ("play", {"turns": 0}), ("play", {"turns": 10**9}), ("play", {"turns": "2"}),
            ("speak", {"person": "Nobody"}), ("speak", {"among": ["Nobody"]}),
            ("join", {"name": ""}), ("join", []), ("speak", {"person": "Zoe"}),
        ],
    )  # fmt: skip
    def test_is_one_clear_error(self, room: Room, act: str, body: object) -> None:
        answer = room.http.post(f"{room.path}/{act}", json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"]
        assert room.said() == []

    @pytest.mark.parametrize(
        "name", ["", " ", ".", "..", "a/b", "a\nb", "a\u202eb", "x" * 201, 7, None]
    )
    def test_a_room_needs_a_name(self, serving: Serving, name: object) -> None:
        with serving.http() as http:
            assert http.post("/api/rooms", json={"id": name}).status_code == 400

    @pytest.mark.parametrize("name", ["🍵 tea?#%", "a.b", "%2e%2e", "a\\b", "x" * 200])
    def test_any_other_name_will_do(self, serving: Serving, name: str) -> None:
        room = Room(serving, name)
        room.post("/api/rooms", id=name)
        assert room.do("say", text="hi", key=name)["message"]["key"] == name
        room.http.delete(f"{room.path}/messages/key:{quote(name, safe='')}").raise_for_status()
        assert room.said() == []
        room.http.close()

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
    def test_notes_are_json(self, room: Room, number: str) -> None:
        for notes in ('{"a": %s}', '{"a": [{"b": %s}]}'):
            body = f'{{"notes": {notes % number}}}'
            headers = {"Content-Type": "application/json"}
            answer = room.http.patch(room.path, content=body, headers=headers)
            assert answer.json()["error"]["code"] == "bad_setting"
        assert room.http.get(room.path).json()["settings"]["notes"] == {}

    def test_a_wrong_setting_is_not_the_command_lines(self, room: Room) -> None:
        answer = room.http.patch(room.path, json={"chat": {"temperature": "hot"}})
        message = answer.json()["error"]["message"]
        assert message.startswith(f"room {room.name!r}: chat.temperature = 'hot': ")

    @pytest.mark.parametrize("message", ["99999", "0", "abc", "key:none", "1" * 30])
    def test_a_message_that_is_not_there(self, room: Room, message: str) -> None:
        path = f"{room.path}/messages/{message}"
        for answer in (room.http.delete(path), room.http.patch(path, json={"text": "x"})):
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "message_not_found"

    @pytest.mark.parametrize("text", ["", " \n ", "\0", "\u200b", "\ufeff \u2066\n\u2069", "\xad"])
    def test_an_empty_message_is_not_said(self, room: Room, text: str) -> None:
        assert room.do("say", text=text) == {"message": None}
        assert room.said() == []

    def test_a_name_stays_one_name(self, room: Room) -> None:
        room.do("say", person="Eve\nBen: hi", text="yes")
        assert room.said() == [("Eve Ben hi", "yes")]

    def test_a_room_that_is_not_there(self, serving: Serving) -> None:
        with serving.http() as http:
            for path in ("", "/messages", "/events", "/chances"):
                assert http.get(f"/api/rooms/none{path}").status_code == 404
            assert http.post("/api/rooms/none/say", json={"text": "hi"}).status_code == 404
            assert "none" not in [r["id"] for r in http.get("/api/rooms").json()["rooms"]]

    def test_however_many_people_sit_here_somebody_answers(self, room: Room) -> None:
        for number in range(30):
            room.do("say", person=f"{number}" + "\U0001f680" * 39, text="hi")
        assert room.do("speak", person="Ana")["messages"]


def test_beyond_this_machine_nobody_is_believed_who_reads_a_room(start: Starter) -> None:
    serving = start(ServerOptions(access=AccessRules(listens_on_loopback=False, key=KEYED)))
    with serving.http(headers={"Authorization": f"Bearer {KEYED}"}) as http:
        for audience in ("owner", ["Ana"]):
            answer = http.post("/api/rooms", json={"id": "a", "audience": audience})
            assert answer.status_code == 403
        assert http.post("/api/rooms", json={"id": "a"}).status_code == 201


def test_a_room_outlives_the_server(start: Starter) -> None:
    serving = start()
    room = Room(serving, "kitchen & bath")
    room.post("/api/rooms", id=room.name, personas=["Cy"])
    room.do("say", person="Zoe", text="soup?")
    room.http.close()
    start.stop(serving)
    again = Room(start(again=True), room.name)
    assert again.name in [r["id"] for r in again.http.get("/api/rooms").json()["rooms"]]
    assert again.said() == [("Zoe", "soup?")]
    assert again.http.get(again.path).json()["personas"] == ["Cy"]
    again.http.close()
