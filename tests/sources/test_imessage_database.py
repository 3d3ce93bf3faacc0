"""Apple's message database. The fixtures, which are binary, are what the SQL here makes."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import ChatFile, load_source
from myna.sources.imessage_database import _Row, body_text

FIXTURES = Path(__file__).parent / "fixtures" / "imessage_database"


def body(text: str) -> bytes:
    """An attributedBody with that text, as Messages writes it."""
    data = text.encode()
    mark, width = (b"", 1) if len(data) < 0x80 else (b"\x81", 2)
    if len(data) > 0xFFFF:
        mark, width = b"\x82", 4
    count = mark + len(data).to_bytes(width, "little")
    return (
        b"\x04\x0bstreamtyped\x81\xe8\x03\x84\x01@\x84\x84\x84\x12NSAttributedString\0\x84\x84"
        b"\x08NSObject\0\x85\x92\x84\x84\x84\x08NSString\x01\x94\x84\x01+"
        + count
        + data
        + b"\x86\x84\x02iI\x01\x05\x92\x84\x84\x84\x0cNSDictionary\0"
    )


TABLES = """
CREATE TABLE handle (ROWID INTEGER PRIMARY KEY, id TEXT);
CREATE TABLE chat (ROWID INTEGER PRIMARY KEY, guid TEXT, chat_identifier TEXT, display_name TEXT);
CREATE TABLE chat_message_join (chat_id INTEGER, message_id INTEGER);
CREATE TABLE message (ROWID INTEGER PRIMARY KEY, guid TEXT, text TEXT, handle_id INTEGER,
  date INTEGER, is_from_me INTEGER, item_type INTEGER, group_title TEXT{new});
INSERT INTO handle VALUES (1, '+15550100'), (2, 'bo@tea.example');
INSERT INTO chat VALUES (1, 'iMessage;+;chat77', 'chat77', 'Tea House');
INSERT INTO chat VALUES (2, 'iMessage;-;+15550100', '+15550100', '');
INSERT INTO chat VALUES (3, 'SMS;-;+15550100', '+15550100', NULL);
"""
NEW = """, attributedBody BLOB, group_action_type INTEGER, other_handle INTEGER,
  associated_message_guid TEXT, associated_message_type INTEGER, balloon_bundle_id TEXT,
  thread_originator_guid TEXT, date_edited INTEGER, date_retracted INTEGER"""
FILES = """
CREATE TABLE attachment (ROWID INTEGER PRIMARY KEY, filename TEXT, mime_type TEXT,
  transfer_name TEXT, is_sticker INTEGER);
CREATE TABLE message_attachment_join (message_id INTEGER, attachment_id INTEGER);
INSERT INTO attachment VALUES
  (1, '~/Library/Messages/Attachments/1/IMG_1.HEIC', 'image/heic', 'IMG_1.HEIC', 0),
  (2, '~/Library/Messages/Attachments/2/Audio Message.caf', 'audio/x-caf', NULL, 0),
  (3, '~/Library/Messages/StickerCache/3/cup.heic', 'image/heic', 'cup.heic', 1),
  (4, '~/Library/Messages/Attachments/4/5F.pluginPayloadAttachment', NULL, NULL, 0),
  (5, '~/Library/Messages/Attachments/5/steam', 'video/quicktime', 'steam', 0);
INSERT INTO message_attachment_join VALUES (5, 2), (3, 1), (9, 3), (10, 4), (3, 5);
"""
SECOND = 1_000_000_000
MAY = 736_257_600  # 1 May 2024, in seconds since 2001

MESSAGES: list[dict[str, object]] = [
    {"attributedBody": body("who wants tea? 🍵"), "handle_id": 1},
    {"attributedBody": body("me\nplease"), "is_from_me": 1, "thread_originator_guid": "G1"},
    {"attributedBody": body("\ufffcthe kettle\ufffc steams "), "handle_id": 2},
    {"text": "Loved “me”", "handle_id": 1, "associated_message_type": 2000,
     "associated_message_guid": "p:0/G2"},
    {"text": "\ufffc", "is_from_me": 1},
    {"item_type": 2, "group_title": "Tea House", "handle_id": 2},
    {"item_type": 1, "group_action_type": 0, "other_handle": 1, "is_from_me": 1},
    {"attributedBody": body("oolong"), "handle_id": 1, "date_edited": 9 * SECOND},
    {"handle_id": 2, "associated_message_type": 1000, "associated_message_guid": "p:0/G1"},
    {"text": "https://tea.example", "handle_id": 1, "balloon_bundle_id": "com.apple.messages.URLB"
     "alloonProvider"},
    {"handle_id": 1, "date_edited": 9 * SECOND},
    {"handle_id": 1, "balloon_bundle_id": "com.apple.messages.MSM:0:com.tea.game"},
    {"text": "in no chat", "handle_id": 1},
    {"attributedBody": b"streamtyped, but in a way that nobody knows", "handle_id": 2},
    {"text": "from nobody", "handle_id": 0, "date": 0},
    {"text": "oops", "is_from_me": 1, "date_retracted": 9 * SECOND},
]  # fmt: skip


def build(path: Path, new: bool) -> None:
    """Make the fixture chat.db, or sms.db as it would be on an old system."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript("PRAGMA page_size = 512;" + TABLES.format(new=NEW if new else ""))
        for number, message in enumerate(MESSAGES if new else MESSAGES[4:6], 1):
            values = {"date": (MAY + number) * (SECOND if new else 1), "is_from_me": 0, **message}
            values |= {"ROWID": number, "guid": f"G{number}", **({} if new else {"text": "old"})}
            columns = ", ".join(values)
            marks = ", ".join("?" * len(values))
            statement = f"INSERT INTO message ({columns}) VALUES ({marks})"  # noqa: S608
            database.execute(statement, list(values.values()))
            if message.get("text") != "in no chat":
                place = (2 if number == 15 else 1, number)
                database.execute("INSERT INTO chat_message_join VALUES (?, ?)", place)
        if new:
            database.executescript(FILES)
            database.execute("INSERT INTO chat_message_join VALUES (3, 15)")
        database.commit()


@pytest.mark.parametrize("name", ["chat.db", "sms.db"])
def test_the_fixtures_are_what_this_file_makes(name: str, tmp_path: Path) -> None:
    build(tmp_path / name, new=name == "chat.db")
    with (
        closing(sqlite3.connect(FIXTURES / name)) as committed,
        closing(sqlite3.connect(tmp_path / name)) as made,
    ):
        assert list(committed.iterdump()) == list(made.iterdump())


def test_messages_of_a_new_system(read, fixture_file) -> None:
    table, tally = read("imessage_database", fixture_file("imessage_database/chat.db"))
    rows = table.select("id", "author", "kind", "text", "reply_to").rows()
    ada, bo = "+15550100", "bo@tea.example"
    assert rows == [
        ("G1", ada, "text", "who wants tea? 🍵", None),
        ("G2", "Me", "text", "me\nplease", "G1"),
        ("G3", bo, "text", "the kettle\nsteams", None),
        ("G5", "Me", "text", "", None),
        ("G6", bo, "system", "named the conversation Tea House", None),
        ("G7", "Me", "system", "added +15550100 to the conversation", None),
        ("G8", ada, "text", "oolong", None),
        ("G9", bo, "text", "", "G1"),
        ("G10", ada, "text", "https://tea.example", None),
        ("G11", ada, "deleted", "", None),
        ("G12", ada, "system", "", None),
        ("G15", "Unknown", "text", "from nobody", None),
        ("G16", "Me", "deleted", "", None),
    ]
    assert tally.me == "me"
    assert tally.skipped == {"in no chat": 1, "text in an unknown form": 1}
    assert tally.examples["in no chat"] == "message 13"
    assert not tally.notes


def test_times_places_accounts_and_edits(read, fixture_file) -> None:
    table, _ = read("imessage_database", fixture_file("imessage_database/chat.db"))
    assert table["source"].unique().to_list() == ["imessage"]
    assert table["sent_at"][0] == datetime(2024, 5, 1, 12, 0, 1, tzinfo=UTC)
    assert table["sent_at"][-2] is None
    assert not table["zone_assumed"].any()
    assert table.select("channel", "channel_id").row(0) == ("Tea House", "iMessage;+;chat77")
    assert table.select("channel", "channel_id").row(-2) == ("+15550100", "iMessage;-;+15550100")
    assert table["author_id"][:2].to_list() == ["+15550100", "me"]
    assert table.filter(table["edited"])["text"].to_list() == ["oolong"]


def test_attachments_but_those_of_link_previews(read, fixture_file) -> None:
    table, _ = read("imessage_database", fixture_file("imessage_database/chat.db"))
    files = {
        row["id"]: [tuple(file.values()) for file in row["attachments"]]
        for row in table.iter_rows(named=True)
        if row["attachments"]
    }
    assert files == {
        "G3": [("image", "IMG_1.HEIC"), ("video", "steam")],
        "G5": [("voice", "Audio Message.caf")],
        "G9": [("sticker", "cup.heic")],
    }


def test_an_old_system_has_seconds_and_fewer_columns_and_tables(read, fixture_file) -> None:
    table, tally = read("imessage_database", fixture_file("imessage_database/sms.db"))
    assert table.select("author", "kind", "text").rows() == [
        ("Me", "text", "old"),
        ("bo@tea.example", "system", "named the conversation Tea House"),
    ]
    assert table["sent_at"][0] == datetime(2024, 5, 1, 12, 0, 1, tzinfo=UTC)
    assert tally.notes == ["not all attachments could be read: no such table: "
                           "message_attachment_join"]  # fmt: skip


def test_on_disk_and_in_an_archive_are_the_same(read, fixture_file, memory_file) -> None:
    on_disk = fixture_file("imessage_database/chat.db")
    in_memory = memory_file(on_disk.path.read_bytes(), "chat.db")
    assert read("imessage_database", in_memory)[0].equals(read("imessage_database", on_disk)[0])


@pytest.fixture
def running(tmp_path: Path):
    """A database in use: its newest message is still in the log beside it."""
    with closing(sqlite3.connect(tmp_path / "chat.db")) as database:
        database.executescript("PRAGMA journal_mode = WAL;" + TABLES.format(new=""))
        add = "INSERT INTO message (guid, text, date) VALUES ('{0}', '{0}', 1)"
        database.executescript(f"{add.format('old')}; PRAGMA wal_checkpoint;")
        database.execute(add.format("new"))
        database.execute("INSERT INTO chat_message_join VALUES (1, 1), (1, 2)")
        database.commit()
        yield tmp_path


def test_the_newest_messages_are_in_the_log_beside_it(running, read) -> None:
    table, _ = read("imessage_database", ChatFile(running / "chat.db"))
    assert table["text"].to_list() == ["old", "new"]


def test_nothing_is_written_beside_a_database_without_a_log(running, tmp_path, read) -> None:
    (tmp_path / "copy").mkdir()
    copy = shutil.copy(running / "chat.db", tmp_path / "copy" / "chat.db")
    read("imessage_database", ChatFile(Path(copy)))
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["chat.db"]


def test_a_log_in_an_archive_is_told_of(running, read, memory_file) -> None:
    path = running / "chat.db"
    _, tally = read("imessage_database", memory_file(path.read_bytes(), str(path)))
    assert tally.notes[0] == "the newest messages, in chat.db-wal, are not read: unpack it"


def test_damage_in_the_midst_keeps_what_is_before_it(tmp_path: Path, read) -> None:
    path = tmp_path / "chat.db"
    build(path, new=True)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "WITH RECURSIVE n(i) AS (SELECT 17 UNION ALL SELECT i + 1 FROM n WHERE i < 400) "
            "INSERT INTO message (ROWID, guid, text, date) "
            "SELECT i, 'G' || i, printf('%0200d', i), 1 FROM n;"
            "INSERT INTO chat_message_join SELECT 1, ROWID FROM message WHERE ROWID > 16"
        )
    data = bytearray(path.read_bytes())
    place = data.index(b"%0200d" % 300) // 512 * 512
    data[place : place + 512] = b"\xff" * 512
    path.write_bytes(data)
    table, tally = read("imessage_database", ChatFile(path))
    assert 250 < table.height < 300
    assert tally.unread_bytes
    assert any("the database is damaged behind message 29" in note for note in tally.notes)


def test_other_databases_are_not_claimed(memory_file, tmp_path: Path) -> None:
    path = tmp_path / "signal.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE message (a); CREATE TABLE chat (b)")
    data = path.read_bytes()
    assert load_source("imessage_database").recognise(memory_file(data, "signal.db")) is None
    assert (
        load_source("imessage_database").recognise(memory_file(data, "chat.db")).confidence == 0.7
    )


def test_a_database_of_something_else_is_an_error(tmp_path: Path, read) -> None:
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE tea (a); CREATE VIEW message AS SELECT * FROM tea")
    with pytest.raises(SourceError, match="no table chat, chat_message_join, handle, message; "):
        read("imessage_database", ChatFile(path))


def test_no_database_at_all_is_an_error(read, memory_file) -> None:
    with pytest.raises(SourceError, match=r"chat\.db is not an SQLite database"):
        read("imessage_database", memory_file(b"tea", "chat.db"))


@pytest.mark.parametrize("value", [None, -1, 2**62, 1.5, "x", b"\xff"])
def test_any_value_may_have_any_type(value: object, tmp_path: Path, read) -> None:
    path = tmp_path / "chat.db"
    build(path, new=True)
    with closing(sqlite3.connect(path)) as database:
        for column in _Row._fields[2:]:
            statement = f"UPDATE message SET {column} = ? WHERE ROWID < 5"  # noqa: S608
            database.execute(statement, [value])
            database.commit()
            read("imessage_database", ChatFile(path))


@given(st.text() | st.sampled_from([127, 128, 32_768, 70_000]).map(lambda count: "ä" * count))
def test_a_body_of_any_text_and_length(text: str) -> None:
    assert body_text(body(text)) == text


@given(st.binary(max_size=40))
def test_a_damaged_body_is_none_or_text(data: bytes) -> None:
    assert isinstance(body_text(b"NSString\x01\x94\x84\x01+" + data), str | None)
    assert body_text(data) is None


def test_a_body_that_breaks_off_has_no_text() -> None:
    whole = body("oolong")
    end = whole.index(b"oolong") + len(b"oolong")
    assert {body_text(whole[:cut]) for cut in range(end)} == {None}
    assert body_text(whole[:end]) == "oolong"
