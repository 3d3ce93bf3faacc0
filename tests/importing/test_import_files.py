"""Bringing exports in: nothing twice, nothing lost, all or nothing on a failure."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.chats import cleaned
from tests.sample_tables import messages

from myna import leftovers, people, workers, workspace
from myna.errors import SourceError, WorkspaceError
from myna.importing import import_files
from myna.importing.discover import discover_chats
from myna.importing.import_files import ImportResult
from myna.people import accounts, forgetting
from myna.sources import ChatFile
from myna.sources._shared import files, json_stream
from myna.workspace import Workspace


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return workspace.create(tmp_path / "friends")


@pytest.fixture
def bring(space: Workspace, tmp_path: Path) -> Any:
    """Write a file of JSON lines (or of the text given) and import it."""

    def bring_in(
        rows: list[dict[str, Any]] | str,
        name: str = "tea.jsonl",
        as_source: str | None = None,
        **options: Any,
    ) -> ImportResult:
        text = rows if isinstance(rows, str) else "".join(json.dumps(r) + "\n" for r in rows)
        path = tmp_path / name
        path.write_bytes(text.encode())
        file = ChatFile(path)
        found = discover_chats([path], as_source)
        if found.problems:
            raise SourceError(found.problems[0])
        [done] = import_files.import_files(space, found.chats, **{"consent": "clone", **options})
        assert done.file == file.location
        return done

    return bring_in


def row(number: int, text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"id": str(number), "channel": "tea", "author": "Ana", "text": text, **more}


def stays(space: Workspace) -> dict[str, str]:
    """The text of each message that prepare keeps."""
    known = people.load(space.people_file)
    kept = cleaned(messages(space), people=known)
    return dict(kept.select("id", "text").iter_rows())


class TestAgain:
    def test_the_same_file_adds_nothing(self, space: Workspace, bring: Any) -> None:
        first = bring([row(1), row(2)])
        assert (first.messages, first.stored, first.known) == (2, 2, 0)
        second = bring([row(1), row(2)])
        assert (second.messages, second.stored, second.known) == (2, 0, 2)
        assert messages(space).height == 2

    def test_a_file_that_has_grown_adds_what_is_new(self, space: Workspace, bring: Any) -> None:
        bring([row(1), row(2)])
        again = bring([row(1), row(2), row(3), row(4, author="Ben")])
        assert (again.messages, again.stored, again.known) == (4, 2, 2)
        assert messages(space)["id"].to_list() == ["1", "2", "3", "4"]
        assert [p.name for p in people.load(space.people_file).persons] == ["Ana", "Ben"]

    def test_an_edited_message_arrives_as_its_new_text(self, space: Workspace, bring: Any) -> None:
        bring([row(1, "helo"), row(2)])
        assert bring([row(1, "hello", edited=True), row(2)]).stored == 1
        assert stays(space) == {"1": "hello", "2": "hi"}

    def test_of_several_edits_the_one_imported_last_stays(
        self, space: Workspace, bring: Any
    ) -> None:
        for text in "abcdefgh":
            bring([row(1, text, edited=True)])
            assert stays(space) == {"1": text}

    def test_an_older_export_does_not_undo_an_edit(self, space: Workspace, bring: Any) -> None:
        bring([row(1, "hello", edited=True), row(2)])
        bring([row(1, "helo")], "older.jsonl")
        assert stays(space)["1"] == "hello"

    def test_choices_in_people_toml_stay(self, space: Workspace, bring: Any) -> None:
        bring([row(1)])
        text = space.people_file.read_text().replace('consent = "clone"', 'consent = "no"')
        space.people_file.write_text(text)
        bring([row(1), row(2)])
        assert people.load(space.people_file).persons[0].consent == "no"

    def test_people_who_were_deleted_from_people_toml_come_back(
        self, space: Workspace, bring: Any
    ) -> None:
        bring([row(1)])
        space.people_file.unlink()
        bring([row(1)], consent="context")
        assert people.load(space.people_file).persons[0].consent == "context"


class TestDamage:
    def test_a_truncated_export_gives_its_complete_messages(
        self, space: Workspace, bring: Any
    ) -> None:
        whole = "".join(json.dumps(row(n)) + "\n" for n in range(5))
        done = bring(whole[:-20])
        assert done.stored == 4
        assert done.unread_bytes == len(json.dumps(row(4))) + 1 - 20
        assert "the 4 complete messages are kept" in done.trouble
        assert bring(whole).stored == 1
        assert messages(space).height == 5

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "the file is empty: export it again"),
            ("just some words\nand more\n", "not a chat export that myna knows"),
            ("\x7fELF\0\0", "not a chat export that myna knows"),
            ('{"a": 1}\n', "not a chat export that myna knows"),
        ],
    )
    def test_what_is_no_chat_is_one_clear_line(
        self, space: Workspace, bring: Any, text: str, said: str
    ) -> None:
        with pytest.raises(SourceError, match=said) as caught:
            bring(text)
        assert "tea.jsonl" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_an_empty_file_is_empty_whatever_it_is_said_to_be(self, bring: Any) -> None:
        with pytest.raises(SourceError, match="the file is empty"):
            bring("", as_source="json_lines")

    def test_a_file_that_is_not_what_it_is_said_to_be(self, space: Workspace, bring: Any) -> None:
        done = bring('{"a": 1}\n', as_source="json_lines")
        assert "no lines with an author and a text" in done.trouble
        assert list(space.messages.glob("*")) == []
        assert not space.people_file.exists()
        assert space.message_files() == []

    def test_a_file_that_cannot_be_read_costs_no_other(
        self, space: Workspace, tmp_path: Path
    ) -> None:
        for number in (1, 2, 3):
            (tmp_path / f"{number}.jsonl").write_text(json.dumps(row(number)) + "\n")
        found = discover_chats([tmp_path / f"{number}.jsonl" for number in (1, 2, 3)])
        (tmp_path / "2.jsonl").unlink()
        done = list(import_files.import_files(space, found.chats, consent="clone"))
        assert [result.stored for result in done] == [1, 0, 1]
        assert "cannot read" in str(done[1].trouble)
        assert messages(space)["id"].to_list() == ["1", "3"]


class TestFailures:
    """Nothing of the file is stored, and what was there before is as it was."""

    @pytest.fixture
    def before(self, space: Workspace, bring: Any) -> list[dict[str, Any]]:
        bring([row(1)], "first.jsonl")
        return messages(space).to_dicts()

    def check(self, space: Workspace, before: list[dict[str, Any]], bring: Any) -> None:
        assert messages(space).to_dicts() == before
        assert not [f for f in space.messages.iterdir() if f.name.startswith(".")]
        bring([row(2, author="Ben")])
        assert messages(space)["id"].to_list() == ["1", "2"]

    @pytest.mark.parametrize("file", ["people.toml", ".json"])
    def test_a_disk_that_is_full(
        self,
        space: Workspace,
        before: list[dict[str, Any]],
        bring: Any,
        monkeypatch: pytest.MonkeyPatch,
        file: str,
    ) -> None:
        write = leftovers.write_bytes

        def no_room(path: Path, data: bytes) -> None:
            if path.name.endswith(file):
                raise OSError(errno.ENOSPC, "No space left on device")
            write(path, data)

        monkeypatch.setattr(leftovers, "write_bytes", no_room)
        with pytest.raises(WorkspaceError, match="the disk is full") as error:
            bring([row(2, author="Ben")])
        assert "\n" not in str(error.value)
        monkeypatch.undo()
        self.check(space, before, bring)

    def test_a_disk_that_is_full_while_messages_are_written(
        self,
        space: Workspace,
        before: list[dict[str, Any]],
        bring: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def no_room(*_: Any, **__: Any) -> None:
            said = "parquet: underlying IO error: No space left on device (os error 28)"
            raise pl.exceptions.ComputeError(said)

        monkeypatch.setattr(pl.LazyFrame, "sink_parquet", no_room)
        with pytest.raises(WorkspaceError, match="the disk is full"):
            bring([row(2, author="Ben")])
        monkeypatch.undo()
        self.check(space, before, bring)

    def test_a_kill_before_the_record_is_written(
        self, space: Workspace, before: list[dict[str, Any]], bring: Any
    ) -> None:
        bring([row(2, author="Ben")])
        *_, record = space.import_records()
        record.path.unlink()
        self.check(space, before, bring)


class TestTogether:
    """Small files of one source make one table; each keeps its own account."""

    @pytest.fixture
    def several(self, tmp_path: Path) -> Path:
        folder = tmp_path / "exports"
        folder.mkdir()
        for number in range(5):
            lines = [row(10 * number + n, author=f"A{number}") for n in range(number + 1)]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (folder / f"{number}.jsonl").write_text(text)
        return folder

    def test_one_table_and_a_result_for_each(self, space: Workspace, several: Path) -> None:
        done = list(
            import_files.import_files(space, discover_chats([several]).chats, consent="clone")
        )
        assert [result.stored for result in done] == [1, 2, 3, 4, 5]
        assert len(space.message_files()) == 1
        assert messages(space).height == 15
        again = list(
            import_files.import_files(space, discover_chats([several]).chats, consent="clone")
        )
        assert [(r.messages, r.stored, r.known) for r in again] == [(n, 0, n) for n in range(1, 6)]

    def test_a_new_file_among_known_ones(self, space: Workspace, several: Path) -> None:
        list(import_files.import_files(space, discover_chats([several]).chats, consent="clone"))
        (several / "9.jsonl").write_text(json.dumps(row(90, author="New")) + "\n")
        done = list(
            import_files.import_files(space, discover_chats([several]).chats, consent="clone")
        )
        assert [result.stored for result in done] == [0, 0, 0, 0, 0, 1]
        assert messages(space).height == 16

    def test_one_of_two_copies_is_stored(self, space: Workspace, several: Path) -> None:
        (several / "4 (1).jsonl").write_bytes((several / "4.jsonl").read_bytes())
        (several / "4b.jsonl").write_bytes((several / "4.jsonl").read_bytes().replace(b"hi", b"ha"))
        done = list(
            import_files.import_files(space, discover_chats([several]).chats, consent="clone")
        )
        kept = {Path(result.file).name: (result.stored, result.known) for result in done}
        assert sorted([kept["4.jsonl"], kept["4 (1).jsonl"]]) == [(0, 0), (5, 0)]
        assert kept["4b.jsonl"] == (5, 0)
        assert messages(space).height == 20

    def test_large_ones_stay_apart(
        self, space: Workspace, several: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "LARGE_BYTES", 300)
        list(import_files.import_files(space, discover_chats([several]).chats, consent="clone"))
        assert len(space.message_files()) > 1
        assert messages(space).height == 15

    def test_progress_ends_with_all_bytes(self, space: Workspace, several: Path) -> None:
        heard: list[int] = []
        found = discover_chats([several])
        progress = lambda done, _name: heard.append(done)  # noqa: E731
        list(import_files.import_files(space, found.chats, consent="clone", progress=progress))
        assert heard[-1] == sum(file.size for file, _ in found.chats)
        assert sorted(heard) == heard


class TestLarge:
    """A large file is stored by itself, as tables that other processes wrote."""

    @pytest.fixture(autouse=True)
    def all_are_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "LARGE_BYTES", 10)

    def test_the_record_has_its_hash_and_size(self, space: Workspace, bring: Any) -> None:
        done = bring([row(1), row(2)])
        written = Path(done.file).read_bytes()
        assert (done.sha256, done.bytes) == (hashlib.sha256(written).hexdigest(), len(written))

    def test_it_is_not_read_twice(
        self, space: Workspace, bring: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bring([row(1), row(2)])
        monkeypatch.setattr(import_files.sources, "read", None)
        again = bring([row(1), row(2)])
        assert (again.messages, again.stored, again.known) == (2, 0, 2)

    def test_another_one_of_the_same_size_is_read(self, space: Workspace, bring: Any) -> None:
        bring([row(1), row(2)])
        assert bring([row(1), row(3)]).stored == 1

    @pytest.fixture
    def chat(self, monkeypatch: pytest.MonkeyPatch) -> str:
        """A DiscordChatExporter document that two processes read in several pieces."""
        monkeypatch.setattr(json_stream, "BATCH_BYTES", 20_000)
        monkeypatch.setattr(json_stream, "CHUNK_BYTES", 2_000)
        monkeypatch.setattr(workers, "cores", lambda: 2)
        said = [
            {
                "id": str(n),
                "type": "Default",
                "timestamp": "2024-01-01T10:00:00+00:00",
                "content": f"cup {n} " * (n % 30),
                "author": {"id": str(n % 3), "name": "Ana"},
            }
            for n in range(1000, 1400)
        ]
        around = {"guild": {"id": "1", "name": "Tea"}, "channel": {"id": "2", "name": "pot"}}
        return json.dumps({**around, "messages": said, "messageCount": 400}, indent=2)

    def test_what_processes_read_stays_where_they_stored_it(
        self, space: Workspace, bring: Any, chat: str
    ) -> None:
        assert bring(chat, "chat.json").stored == 400
        assert len(space.message_files()) > 2
        assert messages(space)["id"].to_list() == [str(n) for n in range(1000, 1400)]
        assert len(people.load(space.people_file).persons) == 3

    def test_of_what_processes_read_only_news_are_stored(
        self, space: Workspace, bring: Any, chat: str
    ) -> None:
        bring(chat.replace('"cup 1201', '"pot 1201'), "chat.json")
        again = bring(chat, "chat.json")
        assert (again.messages, again.stored, again.known) == (400, 1, 399)
        assert messages(space).filter(pl.col("id") == "1201").height == 2

    def test_who_was_forgotten_stays_so_whatever_processes_read(
        self, space: Workspace, bring: Any, chat: str
    ) -> None:
        bring(chat, "chat.json")
        [person, *_] = people.load(space.people_file).persons
        gone = forgetting.forget_person(space, person)
        again = bring(chat + " ", "chat.json")
        assert (again.stored, again.forgotten) == (0, gone)
        assert messages(space).height == 400 - gone

    def test_what_fails_leaves_nothing(
        self, space: Workspace, bring: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(*_: Any) -> Any:
            raise RuntimeError("stopped")

        monkeypatch.setattr(accounts, "drop_forgotten", stop)
        with pytest.raises(Exception, match="stopped"):
            bring([row(1), row(2)])
        monkeypatch.undo()
        assert list(space.messages.glob("*")) == []
        assert bring([row(1), row(2)]).stored == 2


class TestForgotten:
    def test_who_was_forgotten_does_not_come_back(self, space: Workspace, bring: Any) -> None:
        bring([row(1), row(2, author="Ben")])
        person = people.find_person(people.load(space.people_file), "Ana")
        assert forgetting.forget_person(space, person) == 1
        done = bring([row(1), row(2, author="Ben"), row(3), row(4, author="Ben")])
        assert (done.messages, done.stored, done.known, done.forgotten) == (4, 1, 1, 2)
        assert messages(space)["author"].unique().to_list() == ["Ben"]
        assert [p.name for p in people.load(space.people_file).persons] == ["Ben"]


@pytest.mark.parametrize("name", ["名" * 80, "a b [1]/..", "...", "🚀" * 60])
def test_any_name_of_a_file_will_do(space: Workspace, bring: Any, name: str) -> None:
    done = bring([row(1)], name.replace("/", "-") + ".jsonl")
    assert done.stored == 1
    assert messages(space).height == 1


def test_the_record_says_what_became_of_all_that_was_in_the_file(
    space: Workspace, bring: Any
) -> None:
    damaged = json.dumps(row(1)) + "\n{not json\n" + json.dumps(row(2)) + "\n"
    done = bring(damaged)
    [record] = [json.loads(f.read_text()) for f in space.messages.glob("*/import.json")]
    assert record["counts"] == {"messages": 2, "stored": 2}
    [file] = record["files"]
    assert file["skipped"] == done.skipped == {"damaged line": 1}
    assert file["file"] == "tea.jsonl"


class TestManySmallFiles:
    """Their messages become tables together, and each file keeps its own account."""

    def test_each_file_has_its_own_times_ids_and_notes(
        self, space: Workspace, tmp_path: Path
    ) -> None:
        folder = tmp_path / "many"
        folder.mkdir()
        day, minute = "2024-05-06", "T07:09:00+00:00"
        times = {"a": day + minute, "b": "soon", "c": day + minute, "d": f"1900-01-01{minute}"}
        head = "AuthorID,Author,Date,Content,Attachments,Reactions\n"
        for name, time in times.items():
            rows = f'"1","Ana","{time}","hi","",""\n"2","Bo","{day}{minute}","ho {name}","",""\n'
            (folder / f"{name} [{ord(name)}].csv").write_text(head + rows, "utf-8")
        (folder / "e [5].csv").write_text(head, "utf-8")
        found = discover_chats([folder])
        done = {
            Path(result.file).stem[0]: result
            for result in import_files.import_files(space, found.chats, consent="clone")
        }
        assert [done[name].stored for name in "abcde"] == [2, 2, 2, 2, 0]
        assert {name for name, one in done.items() if one.notes} == set("bde")
        assert "the first: 'soon'" in done["b"].notes[0]
        assert "cannot be" in done["d"].notes[0]
        table = messages(space)
        assert table["text"].to_list()[::2] == ["hi"] * 4
        assert table["position"].to_list() == [0, 1] * 4
        assert table["export"].n_unique() == 4
        assert [str(time)[:10] for time in table["sent_at"]][::2] == [day, "None", day, "None"]

    def test_a_chat_in_parts_goes_on_counting_in_the_minute_between(
        self, space: Workspace, tmp_path: Path
    ) -> None:
        folder = tmp_path / "kitchen"
        folder.mkdir()
        row = "Ana,2024-05-06 07:{},hm\n"
        for part, minutes in enumerate((("08", "09", "09"), ("09", "10"), ("10", "10"))):
            rows = "".join(row.format(minute) for minute in minutes)
            (folder / f"{part + 1}.csv").write_text("author,time,text\n" + rows, "utf-8")
        found = discover_chats([folder])
        results = import_files.import_files(space, found.chats, consent="clone")
        assert sum(result.stored for result in results) == 7
        assert messages(space)["id"].n_unique() == 7
