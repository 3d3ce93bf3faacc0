"""Behind paths: folders, links, archives in archives, and what is no chat."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from myna.errors import SourceError
from myna.importing.discover import Discovery, discover_chats

CHAT = b'{"author": "ada", "text": "tea?"}\n'


def packed(files: dict[str, bytes], **options: int) -> bytes:
    """A zip archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def names(found: Discovery) -> list[str]:
    return [file.name for file, _ in found.chats]


class TestFolders:
    def test_are_searched_through_and_hidden_files_left_out(self, tmp_path: Path) -> None:
        for name in ("b.jsonl", "a/c.jsonl", "a/.x.jsonl", ".git/d.jsonl"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(CHAT)
        assert names(discover_chats([tmp_path])) == ["b.jsonl", "c.jsonl"]

    def test_what_is_no_chat_is_counted_by_its_ending(self, tmp_path: Path) -> None:
        for name in ("a.JPG", "b.jpg", "c", "chat.jsonl"):
            (tmp_path / name).write_bytes(CHAT if "chat" in name else b"\xff\xd8\0")
        (tmp_path / "nothing.txt").touch()
        found = discover_chats([tmp_path])
        assert names(found) == ["chat.jsonl"]
        assert found.others == {".jpg": 2, "without ending": 1, "empty": 1}
        assert found.problems == []

    def test_workspaces_are_left_out(self, tmp_path: Path) -> None:
        for name in ("chat.jsonl", "friends/myna.toml", "friends/messages/x.jsonl"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(CHAT)
        assert names(discover_chats([tmp_path])) == ["chat.jsonl"]

    def test_links_in_a_circle_are_told_of_and_cost_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "chat.jsonl").write_bytes(CHAT)
        (tmp_path / "again").symlink_to(tmp_path)
        (tmp_path / "one").symlink_to(tmp_path / "two")
        (tmp_path / "two").symlink_to(tmp_path / "one")
        found = discover_chats([tmp_path])
        assert names(found) == ["chat.jsonl"]
        assert [t.partition(" is ")[2] for t in found.problems] == [
            "a link to a folder: not followed",
            "a link that leads nowhere: left out",
            "a link that leads nowhere: left out",
        ]

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
    def test_what_may_not_be_read_is_told_of(self, tmp_path: Path) -> None:
        (tmp_path / "chat.jsonl").write_bytes(CHAT)
        (tmp_path / "secret.jsonl").write_bytes(CHAT)
        (tmp_path / "secret.jsonl").chmod(0)
        found = discover_chats([tmp_path])
        assert names(found) == ["chat.jsonl"]
        assert "secret.jsonl: Permission denied" in found.problems[0]


class TestPaths:
    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"absent does not exist: check the path"):
            discover_chats([tmp_path / "absent"])

    def test_one_that_is_a_link_to_nowhere(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        with pytest.raises(SourceError, match="loop is a link that leads nowhere"):
            discover_chats([tmp_path / "loop"])

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none")
    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SourceError, match="is neither a file nor a folder"):
            discover_chats([tmp_path / "pipe"])
        assert discover_chats([tmp_path]).chats == []

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"Rar!\x1a\x07\0", "a RAR archive: unpack it first"),
            (b"7z\xbc\xaf\x27\x1c\0", "a 7z archive: unpack it first"),
            (b"\x1f\x8b\x08\0", "packed with gzip: unpack it first"),
            (b"\xff\xd8\xff", "not a chat export that myna knows: see `myna import --list`"),
            (b"", "the file is empty: export it again"),
        ],
    )
    def test_one_that_is_no_chat(self, tmp_path: Path, data: bytes, said: str) -> None:
        (tmp_path / "thing").write_bytes(data)
        [trouble] = discover_chats([tmp_path / "thing"]).problems
        assert said in trouble
        assert str(tmp_path / "thing") in trouble

    def test_said_to_be_of_a_source_nothing_is_guessed(self, tmp_path: Path) -> None:
        (tmp_path / "thing").write_bytes(b"?")
        [(_, recognised)] = discover_chats([tmp_path / "thing"], "telegram").chats
        assert (recognised.source, recognised.reason) == ("telegram", "by --source")


class TestArchives:
    def test_are_read_in_place(self, tmp_path: Path) -> None:
        path = tmp_path / "chats.zip"
        path.write_bytes(
            packed({"tea/chat.jsonl": CHAT, "tea/x.png": b"\x89PNG", ".h.jsonl": CHAT})
        )
        found = discover_chats([path])
        [(file, recognised)] = found.chats
        assert (file.name, file.folder_name, recognised.source) == (
            "chat.jsonl",
            "tea",
            "json_lines",
        )
        assert file.location == str(path / "tea" / "chat.jsonl")
        assert file.open().read() == CHAT
        assert found.others == {".png": 1}
        assert sorted(p.name for p in tmp_path.iterdir()) == ["chats.zip"]

    def test_the_archive_names_what_stands_in_no_folder_of_it(self, tmp_path: Path) -> None:
        path = tmp_path / "Tea.zip"
        path.write_bytes(packed({"chat.jsonl": CHAT}))
        [(file, _)] = discover_chats([path]).chats
        assert file.folder_name == "Tea"

    def test_archives_in_archives(self, tmp_path: Path) -> None:
        path = tmp_path / "all.zip"
        inner = packed({"chat.jsonl": CHAT})
        path.write_bytes(packed({"one.zip": inner, "b.jsonl": CHAT}))
        found = discover_chats([path])
        assert sorted(names(found)) == ["b.jsonl", "chat.jsonl"]
        assert all(file.open().read() == CHAT for file, _ in found.chats)

    def test_that_go_on_for_ever_are_given_up(self, tmp_path: Path) -> None:
        data = packed({"chat.jsonl": CHAT})
        for _ in range(6):
            data = packed({"in.zip": data, "chat.jsonl": CHAT})
        (tmp_path / "deep.zip").write_bytes(data)
        found = discover_chats([tmp_path / "deep.zip"])
        assert len(found.chats) == 3
        [trouble] = found.problems
        assert "lies too deep in other archives: unpack it yourself" in trouble

    @pytest.mark.parametrize("name", ["../../out.jsonl", "/etc/out.jsonl", "C:\\out.jsonl"])
    def test_no_name_leads_out(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / "in" / "chats.zip"
        path.parent.mkdir()
        path.write_bytes(packed({name: CHAT}))
        [(file, _)] = discover_chats([path]).chats
        assert file.open().read() == CHAT
        assert file.local_path is None
        assert file.location.startswith(str(path))
        assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]

    def test_a_bomb_is_left_unread(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("myna.sources._shared.files.MAX_UNCHECKED_BYTES", 1000)
        (tmp_path / "bomb.zip").write_bytes(packed({"a.jsonl": b" " * 10**6, "b.jsonl": CHAT}))
        found = discover_chats([tmp_path / "bomb.zip"])
        assert names(found) == ["b.jsonl"]
        assert "would unpack from" in found.problems[0]
        assert "a.jsonl" in found.problems[0]

    def test_a_password_is_told_of(self, tmp_path: Path) -> None:
        data = bytearray(packed({"a.jsonl": CHAT}))
        for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            data[data.index(header) + flags] |= 1
        (tmp_path / "locked.zip").write_bytes(bytes(data))
        [trouble] = discover_chats([tmp_path / "locked.zip"]).problems
        assert "has a password: unpack it yourself" in trouble

    def test_one_that_is_cut_off(self, tmp_path: Path) -> None:
        (tmp_path / "half.zip").write_bytes(packed({"a.jsonl": CHAT * 99})[:40])
        [trouble] = discover_chats([tmp_path / "half.zip"]).problems
        assert "half.zip" in trouble
        assert "fetch it again" in trouble

    def test_damage_in_one_member_costs_no_other(self, tmp_path: Path) -> None:
        lines = b"".join(b'{"author": "ada", "text": "%d"}\n' % n for n in range(20_000))
        data = bytearray(packed({"a.jsonl": lines, "b.jsonl": CHAT}))
        middle = data.index(b"b.jsonl") // 2
        data[middle : middle + 50] = bytes(50)
        (tmp_path / "chats.zip").write_bytes(bytes(data))
        found = discover_chats([tmp_path / "chats.zip"])
        assert names(found) == ["a.jsonl", "b.jsonl"]
        damaged, sound = (file for file, _ in found.chats)
        assert sound.open().read() == CHAT
        read = damaged.open().read()
        assert lines.startswith(read[:1000])
        assert len(read) < len(lines)
        assert "the archive is damaged" in damaged.notes[0]
