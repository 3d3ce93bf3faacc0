"""RoomStore: what was said is kept, whatever happens to the process."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from myna.errors import EditConflictError, RoomError, WorkspaceError
from myna.rooms.store import MAX_MESSAGE_CHARS, Message, RoomStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rooms.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[RoomStore]:
    store = RoomStore(path)
    store.save_settings("tea", {"humans": ["Ana"]})
    yield store
    store.close()


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


def test_a_message_is_stored_with_who_and_when(store: RoomStore) -> None:
    message = store.add("tea", "Ana", " tea?\r\n ", key="d1", to=["Ben"])
    assert message is not None
    assert (message.room, message.person, message.text) == ("tea", "Ana", "tea?")
    assert (message.key, message.to, message.by_clone, message.revision) == (
        "d1", ("Ben",), False, False
    )  # fmt: skip
    assert timedelta(0) <= datetime.now(UTC) - message.said_at < timedelta(minutes=1)
    assert store.messages("tea") == [message]
    assert store.find("tea", "d1") == store.find("tea", message.id) == message


def test_a_key_is_said_once_in_a_room(store: RoomStore) -> None:
    store.save_settings("pub", {})
    assert store.add("tea", "Ana", "tea?", key="1")
    assert store.add("tea", "Ana", "tea?", key="1") is None
    assert store.add("pub", "Ana", "tea?", key="1")
    store.delete("tea", "1")
    assert store.add("tea", "Ana", "tea?", key="1") is None
    assert texts(store.messages("tea")) == []


def test_what_is_said_meanwhile_stands_after_a_turn(store: RoomStore) -> None:
    turn = store.begin_turn("tea")
    store.add("tea", "Buzz", "one", by_clone=True, turn=turn)
    store.add("tea", "Ana", "wait")
    store.add("tea", "Buzz", "two", by_clone=True, turn=turn)
    assert texts(store.messages("tea")) == ["one", "two", "wait"]
    assert texts(store.messages("tea", last=2)) == ["two", "wait"]
    assert [m.turn for m in store.messages("tea")] == [1, 1, 2]


def test_messages_are_edited_and_deleted_for_good(store: RoomStore, path: Path) -> None:
    store.add("tea", "Ana", "the word is sassafras", key="1")
    store.add("tea", "Ana", "my other word is quillback", key="2")
    edited = store.edit("tea", "1", "never mind")
    assert (edited.text, edited.revision) == ("never mind", 1)
    assert store.delete("tea", "2").text == "my other word is quillback"
    assert texts(store.messages("tea")) == ["never mind"]
    for file in path.parent.iterdir():
        assert b"sassafras" not in file.read_bytes()
        assert b"quillback" not in file.read_bytes()
    for gone in ("2", 999, "nobody's"):
        with pytest.raises(RoomError, match="there is no message"):
            store.edit("tea", gone, "x")
        with pytest.raises(RoomError, match="there is no message"):
            store.delete("tea", gone)


def test_a_turn_keeps_all_its_versions_and_shows_one(store: RoomStore) -> None:
    turn = store.begin_turn("tea")
    for text in ("one", "two"):
        store.add("tea", "Buzz", text, by_clone=True, turn=turn)
    store.add("tea", "Ana", "hm")
    version = store.begin_version("tea", turn)
    assert texts(store.messages("tea")) == ["hm"]
    store.add("tea", "Buzz", "three", by_clone=True, turn=turn, version=version)
    assert texts(store.messages("tea")) == texts(store.prompt_messages("tea")) == ["three", "hm"]
    assert store.version_numbers("tea") == {turn: [1, 2]}
    assert texts(store.show_version("tea", turn, 1)) == ["one", "two"]
    assert texts(store.messages("tea")) == ["one", "two", "hm"]
    assert [texts(v) for v in store.versions("tea", turn).values()] == [["one", "two"], ["three"]]
    with pytest.raises(RoomError, match="no version 3"):
        store.show_version("tea", turn, 3)


def test_what_is_deleted_leaves_no_other_version(store: RoomStore, path: Path) -> None:
    turn = store.begin_turn("tea")
    store.add("tea", "Buzz", "sassafras", by_clone=True, turn=turn)
    version = store.begin_version("tea", turn)
    said = store.add("tea", "Buzz", "quillback", by_clone=True, turn=turn, version=version)
    assert said
    store.delete("tea", said.id)
    assert store.messages("tea") == []
    assert store.versions("tea", turn) == {}
    for file in path.parent.iterdir():
        assert b"sassafras" not in file.read_bytes()


def test_the_second_of_two_edits_is_told_of_the_first(store: RoomStore) -> None:
    said = store.add("tea", "Ana", "soup")
    assert said
    store.edit("tea", said.id, "soup?", said.revision)
    with pytest.raises(EditConflictError) as caught:
        store.edit("tea", said.id, "soup!", said.revision)
    assert caught.value.newest.text == "soup?"
    assert store.edit("tea", said.id, "soup!", caught.value.newest.revision).revision == 2


def test_rooms_are_listed_by_their_last_messages_and_searched(store: RoomStore) -> None:
    store.save_settings("pub", {"humans": ["Ana"]})
    store.add("tea", "Ana", "Größe, soup!")
    store.add("pub", "Ben", "beer")
    rooms = store.summaries()
    assert [(r.id, r.messages, r.last and r.last.text) for r in rooms] == [
        ("pub", 1, "beer"), ("tea", 1, "Größe, soup!")
    ]  # fmt: skip
    assert texts(store.search("GRÖSSE soup")) == ["Größe, soup!"]
    assert texts(store.search("ben be")) == ["beer"]
    assert store.search("beer", "tea") == store.search(" ") == []


def test_older_messages_are_read_page_by_page(store: RoomStore) -> None:
    said = [store.add("tea", "Ana", str(number)) for number in range(5)]
    assert texts(store.messages("tea", 2, said[3])) == ["1", "2"]


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(
            """CREATE TABLE rooms (id TEXT PRIMARY KEY, settings TEXT NOT NULL,
            made_at TEXT NOT NULL, turns INTEGER NOT NULL DEFAULT 0,
            forgotten INTEGER NOT NULL DEFAULT 0, first_turn INTEGER NOT NULL DEFAULT 0,
            first_id INTEGER NOT NULL DEFAULT 0) STRICT;
            CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, room TEXT NOT NULL
            REFERENCES rooms(id) ON DELETE CASCADE, turn INTEGER NOT NULL, person TEXT NOT NULL,
            text TEXT NOT NULL, by_clone INTEGER NOT NULL, said_at TEXT NOT NULL, key TEXT,
            addressed TEXT NOT NULL, edited INTEGER NOT NULL DEFAULT 0,
            deleted INTEGER NOT NULL DEFAULT 0, UNIQUE (room, key)) STRICT;
            INSERT INTO rooms (id, settings, made_at) VALUES ('tea', '{}', '2026-01-01');
            INSERT INTO messages (room, turn, person, text, by_clone, said_at, addressed)
            VALUES ('tea', 1, 'Ana', 'soup?', 0, '2026-01-01', '[]');
            PRAGMA user_version = 1"""
        )
    with closing(RoomStore(path)) as store:
        assert texts(store.messages("tea")) == ["soup?"]


def test_forgetting_is_a_mark_and_erases_nothing(store: RoomStore) -> None:
    store.add("tea", "Ana", "before")
    turn = store.begin_turn("tea")
    store.forget("tea")
    store.add("tea", "Buzz", "begun before", by_clone=True, turn=turn)
    store.add("tea", "Ana", "after")
    assert texts(store.prompt_messages("tea")) == ["after"]
    assert texts(store.messages("tea")) == ["before", "begun before", "after"]


def test_a_trimmed_history_begins_where_it_was_trimmed(store: RoomStore) -> None:
    said = [store.add("tea", "Ana", str(number)) for number in range(5)]
    assert said[3]
    store.trim("tea", said[3])
    assert texts(store.prompt_messages("tea")) == ["3", "4"]
    store.delete("tea", said[3].id)
    assert texts(store.prompt_messages("tea")) == ["4"]


def test_a_dropped_room_is_gone_with_its_words(store: RoomStore, path: Path) -> None:
    store.add("tea", "Ana", "sassafras", key="1")
    assert store.drop("tea")
    assert not store.drop("tea")
    assert store.room_ids() == []
    assert all(b"sassafras" not in file.read_bytes() for file in path.parent.iterdir())
    for turn in (None, 1):
        with pytest.raises(RoomError, match="there is no room 'tea'"):
            store.add("tea", "Ana", "hello?", turn=turn)
    store.save_settings("tea", {})
    assert store.add("tea", "Ana", "anew", key="1")


def test_a_person_is_erased_from_every_room(store: RoomStore, path: Path) -> None:
    store.save_settings("pub", {"humans": ["Ana", "Ben"], "personas": ["Cy"]})
    for room, person in (("tea", "Ana"), ("pub", "Ben"), ("pub", "Cy")):
        store.add(room, person, f"{person} says sassafras", by_clone=person == "Cy", key=person)
    assert store.erase_person({"Ana", "Cy"}) == 2
    assert store.messages("tea") == []
    assert texts(store.messages("pub")) == ["Ben says sassafras"]
    assert store.settings("pub") == {"humans": ["Ben"], "personas": []}
    for file in path.parent.iterdir():
        assert b"Ana says" not in file.read_bytes()


def test_rooms_and_their_settings_outlive_the_file_being_closed(path: Path) -> None:
    first = RoomStore(path)
    first.save_settings("b", {"humans": ["Ánna"], "notes": {"n": 1}})
    first.save_settings("a", {})
    first.save_settings("b", {"humans": []})
    first.add("b", "Ana", "kept")
    first.close()
    again = RoomStore(path)
    assert again.room_ids() == ["b", "a"]
    assert again.settings("b") == {"humans": []}
    assert again.settings("c") is None
    assert texts(again.messages("b")) == ["kept"]
    again.close()
    with pytest.raises(WorkspaceError, match="cannot be used"):
        again.messages("b")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing"),
        (" \0\x1b\n", "nothing"),
        ("a" * (MAX_MESSAGE_CHARS + 1), "20,001 characters"),
    ],
)
def test_what_cannot_be_said_is_refused(store: RoomStore, text: str, why: str) -> None:
    message = store.add("tea", "Ana", "x" * MAX_MESSAGE_CHARS)
    assert message
    with pytest.raises(RoomError, match=why):
        store.add("tea", "Ana", text)
    with pytest.raises(RoomError, match=why):
        store.edit("tea", message.id, text)


@pytest.mark.parametrize("name", ["", "a\nb", "\0", "x" * 201, "caf\udce9", "\u202e"])
def test_ids_and_keys_are_printable(store: RoomStore, name: str) -> None:
    with pytest.raises(RoomError, match="cannot be a room's id"):
        store.save_settings(name, {})
    with pytest.raises(RoomError, match="cannot be a message's key"):
        store.add("tea", "Ana", "x", key=name)


def test_hostile_texts_are_stored_as_they_are(store: RoomStore) -> None:
    hostile = '\'); DROP TABLE messages; -- \n\nBuzz: "no" caf\udce9 \U0001f984'
    store.save_settings("'; DROP TABLE rooms; --", {})
    message = store.add("'; DROP TABLE rooms; --", "Robert'); --", hostile, key="' OR 1=1")
    assert message
    assert message.text == hostile.replace("\udce9", "\ufffd")
    assert store.find("'; DROP TABLE rooms; --", "' OR 1=1") == message
    assert store.find("tea", "' OR 1=1") is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_nobody_else_may_read_the_file(store: RoomStore, path: Path) -> None:
    store.add("tea", "Ana", "x")
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes) >= {"rooms.sqlite", "rooms.sqlite-wal"}
    assert set(modes.values()) == {0o600}


def test_a_file_that_holds_no_rooms_is_one_clear_line(path: Path) -> None:
    path.write_text("this is no database, though it is long enough to be one" * 20)
    with pytest.raises(WorkspaceError, match=r"rooms\.sqlite cannot be used: .*move it away"):
        RoomStore(path)


def test_a_file_of_a_newer_myna_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(WorkspaceError, match="newer myna"):
        RoomStore(path)


def test_many_threads_say_what_they_say_once(store: RoomStore) -> None:
    def talk(name: str) -> None:
        for number in range(20):
            store.add("tea", name, f"{name} {number}", key=f"{number // 2}")

    threads = [threading.Thread(target=talk, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = store.messages("tea")
    assert len(said) == 10
    assert [m.turn for m in said] == sorted({m.turn for m in said})


WRITER = """
import sys
from pathlib import Path
from myna.rooms.store import RoomStore

store = RoomStore(Path(sys.argv[1]))
store.save_settings("tea", {})
number = 0
while True:
    store.add("tea", "Ana", f"message {number}")
    print(number, flush=True)
    number += 1
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_process_that_is_killed_loses_nothing_that_was_said(path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    said = [int(process.stdout.readline()) for _ in range(50)]
    os.kill(process.pid, signal.SIGKILL)
    said += [int(line) for line in process.stdout.read().split()]
    process.stdout.close()
    process.wait()
    store = RoomStore(path)
    kept = texts(store.messages("tea"))
    store.close()
    assert kept[: len(said)] == [f"message {number}" for number in said]
    assert len(kept) - len(said) in (0, 1)  # it may have died before it could tell
