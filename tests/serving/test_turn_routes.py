"""Turns through the room API: versions, continued, suggested, played, and answered at once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest
from tests.serving.conftest import Serving, eventually
from tests.serving.test_room_routes import Body, Room, until

from myna.serving import conductor
from myna.serving.conductor import reading_seconds

AT_ONCE = {"Prefer": "respond-async"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(conductor, "MAX_READING_SECONDS", 0.02)


@pytest.fixture
def room(serving: Serving, request: pytest.FixtureRequest) -> Iterator[Room]:
    made = Room(serving, request.node.name[:100])
    made.post("/api/rooms", id=made.name, humans=["Zoe"], personas=["Ana", "Ben"])
    yield made
    made.http.put(f"{made.path}/playing", json={"on": False})
    made.http.close()


def put(room: Room, path: str, **body: object) -> Body:
    answer = room.http.put(f"{room.path}/{path}", json=body)
    assert answer.status_code == 200, answer.text
    found: Body = answer.json()
    return found


def test_every_version_of_a_turn_is_listed_and_one_is_chosen(room: Room) -> None:
    room.do("say", person="Zoe", text="soup?")
    [message] = room.do("speak", person="Ana")["messages"]
    room.serving.engine.says = lambda _: " never\n"
    room.do("retry", turn=message["turn"])
    history = room.http.get(f"{room.path}/messages").json()
    turn = str(message["turn"])
    assert history["versions"] == {turn: [1, 2]}
    listed = room.http.get(f"{room.path}/turns/{turn}/versions").json()["versions"]
    assert [v["messages"][0]["text"] for v in listed] == ["ok", "never"]
    after = room.last_event()
    put(room, f"turns/{turn}/version", version=1)
    assert room.said() == [("Zoe", "soup?"), ("Ana", "ok")]
    with room.events(after) as events:
        data = until(events, "turn")[-1]["data"]
    assert data["versions"] == [1, 2]
    assert [m["text"] for m in data["messages"]] == ["ok"]
    wrong = room.http.put(f"{room.path}/turns/{turn}/version", json={"version": 7})
    assert wrong.status_code == 400


def test_a_version_that_fails_leaves_the_one_before(room: Room) -> None:
    room.do("speak", person="Ana")
    room.serving.engine.go.clear()
    after = room.last_event()
    room.http.post(f"{room.path}/retry", headers=AT_ONCE)
    with room.events(after) as events:
        assert until(events, "turn")[-1]["data"]["messages"] == []
        room.do("stop")
        room.serving.engine.go.set()
        until(events, "silent")
        assert until(events, "turn")[-1]["data"]["messages"][0]["text"] == "ok"
    assert room.said() == [("Ana", "ok")]


def test_a_turn_goes_on_where_it_ends(room: Room) -> None:
    room.do("speak", person="Ana")
    after = room.last_event()
    room.serving.engine.says = lambda _: ", then\nmore\n"
    room.do("continue")
    assert room.said() == [("Ana", "ok, then"), ("Ana", "more")]
    with room.events(after) as events:
        told = until(events, "silent")
    assert [e["event"] for e in told if e["event"] != "piece"] == [
        "speaking", "edited", "message", "silent"
    ]  # fmt: skip
    edited = next(e for e in told if e["event"] == "edited")["data"]["message"]
    assert told[0]["data"]["continues"] == edited["id"]


def test_a_clone_of_ones_own_suggests_and_nothing_is_stored(room: Room) -> None:
    room.do("join", name="Cy")
    room.do("say", person="Zoe", text="soup?")
    assert room.do("suggest", name="Cy") == {"text": "ok"}
    assert room.said() == [("Zoe", "soup?")]
    refused = room.http.post(f"{room.path}/suggest", json={"name": "Zoe"})
    assert refused.status_code == 400
    assert "is no persona" in refused.json()["error"]["message"]


def test_the_second_of_two_tabs_that_edit_is_told_what_is_there_now(room: Room) -> None:
    message = room.do("say", person="Zoe", text="soup?")["message"]
    path, seen = f"{room.path}/messages/{message['id']}", {"If-Match": '"0"'}
    first = room.http.patch(path, json={"text": "tea?"}, headers=seen)
    assert first.json()["message"]["revision"] == 1
    second = room.http.patch(path, json={"text": "beer?"}, headers=seen)
    assert second.status_code == 409
    assert second.json()["error"]["code"] == "edit_conflict"
    assert second.json()["current"]["text"] == "tea?"
    newer = {"If-Match": '"1"'}
    assert room.http.patch(path, json={"text": "beer?"}, headers=newer).status_code == 200
    bad = room.http.patch(path, json={"text": "x"}, headers={"If-Match": "what"})
    assert bad.status_code == 400


def test_a_message_quotes_another(room: Room) -> None:
    [said] = room.do("speak", person="Ana")["messages"]
    answer = room.do("say", person="Zoe", text="really?", reply_to=said["id"])["message"]
    assert (answer["reply_to"], answer["to"]) == (said["id"], ["Ana"])
    gone = room.http.post(f"{room.path}/say", json={"text": "x", "reply_to": 10**6})
    assert gone.status_code == 400


def test_a_room_is_copied_up_to_a_message_and_both_go_on(room: Room) -> None:
    [said] = room.do("speak", person="Ana")["messages"]
    quote = room.do("say", person="Zoe", text="really?", reply_to=said["id"])["message"]
    room.do("say", person="Zoe", text="hm")
    new = {"id": f"{room.name} too"}
    path = f"{room.path}/messages/{quote['id']}/branch"
    branched = room.post(path, **new)
    assert branched["members"] == ["Ana", "Ben", "Zoe"]
    copied = room.http.get(f"/api/rooms/{new['id']}/messages").json()["messages"]
    assert [m["text"] for m in copied] == ["ok", "really?"]
    assert copied[1]["reply_to"] == copied[0]["id"] != said["id"]
    room.http.post(f"/api/rooms/{new['id']}/speak", json={"person": "Ben"})
    assert room.serving.engine.prompts[-1].endswith("\nAna: ok\nZoe: really?\nBen:")
    assert [text for _, text in room.said()] == ["ok", "really?", "hm"]
    assert room.http.post(path, json=new).status_code == 400
    room.http.delete(f"/api/rooms/{new['id']}")


def test_rooms_are_listed_with_titles_and_last_lines_and_searched(room: Room) -> None:
    room.http.patch(room.path, json={"title": " Soup\nand more "})
    room.do("say", person="Zoe", text="SOUPÇON")
    [found] = [r for r in room.http.get("/api/rooms").json()["rooms"] if r["id"] == room.name]
    assert (found["title"], found["messages"], found["last"]["text"]) == (
        "Soup and more", 1, "SOUPÇON"
    )  # fmt: skip
    [hit] = room.http.get("/api/search", params={"q": "soupç"}).json()["messages"]
    assert (hit["room"], hit["person"]) == (room.name, "Zoe")
    within = {"q": "soupç", "room": "another"}
    assert room.http.get("/api/search", params=within).json() == {"messages": []}


def test_older_messages_come_page_by_page(room: Room) -> None:
    said = [room.do("say", person="Zoe", text=str(n))["message"]["id"] for n in range(5)]
    newest = room.http.get(f"{room.path}/messages", params={"last": 2}).json()
    assert [m["text"] for m in newest["messages"]] == ["3", "4"]
    assert newest["has_older"]
    page = {"last": 3, "before": said[3]}
    older = room.http.get(f"{room.path}/messages", params=page).json()
    assert [m["text"] for m in older["messages"]] == ["0", "1", "2"]
    assert not older["has_older"]


def test_a_transcript_marks_every_clone(room: Room) -> None:
    room.do("say", person="Zoe", text="soup?")
    room.do("speak", person="Ana")
    text = room.http.get(f"{room.path}/transcript").text
    assert text.startswith("Made with myna.")
    assert text.endswith("\nZoe: soup?\nAna (clone): ok\n")


def test_a_verb_answers_at_once_and_the_events_tell(room: Room) -> None:
    room.serving.engine.go.clear()
    after = room.last_event()
    for _ in range(2):  # the second one waits for the first
        answer = room.http.post(f"{room.path}/speak", json={}, headers=AT_ONCE)
        assert answer.status_code == 202
        assert answer.headers["preference-applied"] == "respond-async"
    room.serving.engine.go.set()
    with room.events(after) as events:
        speakers = [until(events, "silent")[0]["data"]["person"] for _ in range(2)]
    assert sorted(speakers) == ["Ana", "Ben"]


def test_a_verb_that_cannot_be_done_says_so_at_once_or_as_an_event(room: Room) -> None:
    assert room.http.post(f"{room.path}/retry", headers=AT_ONCE).status_code == 400
    assert room.http.post(f"{room.path}/continue", headers=AT_ONCE).status_code == 400
    after = room.last_event()
    room.http.post(f"{room.path}/speak", json={"person": "Eve"}, headers=AT_ONCE)
    with room.events(after) as events:
        failed = until(events, "failed")[-1]["data"]
    assert failed["code"] == "unknown_person"


def test_ten_clients_are_told_the_same_in_the_same_order(room: Room) -> None:
    after = room.last_event()
    told: list[list[str]] = []

    def follow() -> None:
        with room.events(after) as events:
            told.append([str(e) for e in until(events, "dropped")])

    clients = [threading.Thread(target=follow) for _ in range(10)]
    for client in clients:
        client.start()
    put(room, "playing", on=True, turns=3)
    for number in range(5):
        room.do("say", person="Zoe", text=f"{number}")
    eventually(lambda: not room.http.get(room.path).json()["playing"]["is_on"])
    room.http.delete(room.path)
    for client in clients:
        client.join(20)
    assert len(told) == 10
    assert all(one == told[0] for one in told)
    assert sum("'message'" in event for event in told[0]) == 8


class TestPlay:
    def test_personas_talk_until_somebody_pauses(self, room: Room) -> None:
        with room.events() as events:
            assert put(room, "playing", on=True, speed=2)["playing"] == {
                "is_on": True, "speed": 2, "among": None, "turns": None
            }  # fmt: skip
            for _ in range(3):
                until(events, "silent")
            put(room, "playing", on=False)
            count = len(room.said())
            assert count >= 3
            people = [person for person, _ in room.said()]
            assert all(a != b for a, b in itertools.pairwise(people))
        eventually(lambda: room.http.get(room.path).json()["speaking"] is None)
        assert len(room.said()) <= count + 1

    def test_it_ends_after_the_turns_that_were_asked_for(self, room: Room) -> None:
        with room.events() as events:
            put(room, "playing", on=True, turns=2)
            for _ in range(2):
                until(events, "silent")
            eventually(lambda: not room.http.get(room.path).json()["playing"]["is_on"])
        assert len(room.said()) == 2

    def test_it_waits_while_a_human_types(
        self, room: Room, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with room.events() as events:
            room.do("typing", name="Zoe")
            put(room, "playing", on=True)
            assert [e["event"] for e in until(events, "room")] == ["typing", "room"]
            with pytest.raises(AssertionError):
                eventually(room.said, seconds=0.3)
            room.do("say", person="Zoe", text="Ben, soup?")
            until(events, "silent")
        assert room.said()[:2] == [("Zoe", "Ben, soup?"), ("Ben", "ok")]

    def test_it_pauses_when_nobody_looks(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(conductor, "ALONE_SECONDS", 0.1)
        put(room, "playing", on=True)
        eventually(lambda: not room.http.get(room.path).json()["playing"]["is_on"])
        assert room.said() == []

    def test_a_stopped_turn_is_a_pause(self, room: Room) -> None:
        room.serving.engine.go.clear()
        with room.events() as events:
            put(room, "playing", on=True)
            until(events, "speaking")
            room.do("stop")
            room.serving.engine.go.set()
            eventually(lambda: not room.http.get(room.path).json()["playing"]["is_on"])

    def test_it_says_why_it_cannot_go_on(self, room: Room) -> None:
        room.do("dismiss", name="Ben")
        with room.events() as events:
            put(room, "playing", on=True)
            failed = until(events, "failed")[-1]["data"]
        assert "nobody else is here to answer" in failed["message"]
        eventually(lambda: not room.http.get(room.path).json()["playing"]["is_on"])

    def test_readers_have_time_for_long_messages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(conductor, "MAX_READING_SECONDS", 5.0)
        assert reading_seconds("", 1) == 0.5
        assert reading_seconds("x" * 50, 2) == 1.0
        assert reading_seconds("x" * 5000, 1) == 5.0
