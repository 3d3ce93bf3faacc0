"""Everyday exports of every platform: whose messages they are, whose words, and their state."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.sample_tables import messages

from myna import people, workspace
from myna.importing.discover import Discovery, discover_chats
from myna.importing.import_files import ImportResult, import_files
from myna.people import Person
from myna.workspace import Workspace

Bring = Callable[..., tuple[pl.DataFrame, list[ImportResult], Discovery]]


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return workspace.create(tmp_path / "friends")


@pytest.fixture
def bring(space: Workspace, tmp_path: Path) -> Bring:
    """Write files by their names, import their folder, and return all that is stored."""

    def bring_in(**files: str) -> tuple[pl.DataFrame, list[ImportResult], Discovery]:
        folder = tmp_path / "export"
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        found = discover_chats([folder])
        done = list(import_files(space, found.chats, consent="clone"))
        return messages(space) if space.message_files() else pl.DataFrame(), done, found

    return bring_in


def meta(*said: tuple[str, str], title: str = "Tea House") -> dict[str, str]:
    """Messenger's JSON, newest first."""
    rows = [
        {"sender_name": who, "timestamp_ms": 1714560000000 + 60_000 * n, "content": text}
        for n, (who, text) in enumerate(said)
    ]
    chat = {
        "participants": [{"name": who} for who in dict.fromkeys(who for who, _ in said)],
        "messages": rows[::-1],
        "title": title,
        "thread_path": "inbox/teahouse_7",
    }
    return {"your_facebook_activity/messages/inbox/teahouse_7/message_1.json": json.dumps(chat)}


def discord(*authors: dict[str, Any], text: str = "hello there") -> dict[str, str]:
    rows = [
        {
            "id": str(1206000000000000000 + number),
            "type": "Default",
            "timestamp": f"2024-03-01T10:0{number}:00.120+00:00",
            "content": text,
            "author": author,
        }
        for number, author in enumerate(authors)
    ]
    chat = {
        "guild": {"id": "800", "name": "Shed"},
        "channel": {"id": "700", "type": "GuildTextChat", "name": "roof"},
        "messages": rows,
        "messageCount": len(rows),
    }
    return {"roof.json": json.dumps(chat)}


def telegram(*rows: dict[str, Any]) -> dict[str, str]:
    chat = {"name": "Tea", "type": "private_group", "id": 7, "messages": [*rows]}
    return {"result.json": json.dumps(chat)}


def by_name(space: Workspace) -> dict[str, Person]:
    return {person.name: person for person in people.load(space.people_file).persons}


class TestWhoseMessages:
    """A placeholder, and a key that several share, is nobody."""

    @pytest.mark.parametrize(
        "name",
        [
            *("Utilisateur de Facebook", "Usuario de Instagram", "Instagram-Nutzerin"),
            *("Użytkownik Facebooka", "Пользователь Facebook", "Facebook 用户"),
        ],
    )
    def test_an_account_that_is_gone_has_no_clone(
        self, name: str, space: Workspace, bring: Bring
    ) -> None:
        bring(**meta(("Ada", "tea?"), (name, "gladly")))
        known = by_name(space)
        assert (known["Ada"].consent, known[name].consent) == ("clone", "context")

    def test_nor_has_one_that_was_deleted(self, space: Workspace, bring: Bring) -> None:
        gone = {"id": "456226577798135808", "name": "Deleted User", "nickname": "Deleted User"}
        bring(**discord({"id": "31", "name": "ada", "nickname": "Ada"}, gone))
        assert {p.consent for n, p in by_name(space).items() if "eleted" in n} == {"context"}

    def test_nor_one_whose_name_the_export_no_longer_has(
        self, space: Workspace, bring: Bring
    ) -> None:
        row = {"type": "message", "date": "2024-03-01T09:00:00", "date_unixtime": "1709283600"}
        ada = {**row, "id": 1, "from": "Ada", "from_id": "user31", "text": "tea?"}
        bring(**telegram(ada, {**row, "id": 2, "from": None, "from_id": "user9", "text": "yes"}))
        known = by_name(space)
        assert known.pop("Ada").consent == "clone"
        assert [p.consent for p in known.values()] == ["context"]

    def test_a_webhook_is_as_many_as_it_has_names_and_none_is_cloned(
        self, space: Workspace, bring: Bring
    ) -> None:
        hook = {"id": "990", "discriminator": "0000", "isBot": True}
        bring(**discord(*({**hook, "name": name} for name in ("Queen", "Knave", "Queen"))))
        known = by_name(space)
        assert set(known) == {"Queen", "Knave"}
        assert all(person.is_bot and person.consent == "no" for person in known.values())

    def test_a_nick_with_lines_under_it_is_the_same_person(
        self, space: Workspace, bring: Bring
    ) -> None:
        said = ("<moss> tea?", "<fern> yes", "<moss_> back", "<moss__> so", "<moss> ok")
        log = "".join(f"[10:0{n}:00] {line}\n" for n, line in enumerate(said))
        bring(**{"#shed.log": log})
        assert set(by_name(space)) == {"moss", "fern"}


class TestWhoseWords:
    """The platform's words, and quoted ones, are nobody's."""

    @pytest.mark.parametrize(
        "notice",
        [
            *("Ada sent an attachment.", "Ada a envoyé une pièce jointe."),
            *("Ada hat einen Anhang gesendet.", "Ada wysłała załącznik.", "Ada envió un archivo."),
        ],
    )
    def test_a_notice_under_a_name_is_no_text(self, notice: str, bring: Bring) -> None:
        table, _, _ = bring(**meta(("Bo", "what is it?"), ("Ada", notice), ("Bo", "ah")))
        texts = table.filter(pl.col("kind") == "text")["text"].to_list()
        assert {text for text in texts if text} == {"what is it?", "ah"}

    @pytest.mark.parametrize("mark", ["edited", "bearbeitet", "modifié", "editado", "edytowano"])
    def test_the_mark_of_an_edit_is_left_out(self, mark: str, bring: Bring) -> None:
        files = meta(("Ada", "at nine"), ("Ada", f"at ten ({mark})"), ("Bo", "fine"))
        text = next(iter(files.values()))
        path = "your_instagram_activity/messages/inbox/teahouse_7/message_1.json"
        table, _, _ = bring(**{path: text})
        assert f"({mark})" not in " ".join(table["text"])
        assert table.filter(pl.col("text") == "at ten")["edited"].to_list() == [True]

    def test_a_chat_quoted_in_a_message_is_part_of_it(self, space: Workspace, bring: Bring) -> None:
        lines = [
            "03/05/2024, 18:01 - Ada: look what he wrote:\n03/05/2024, 17:00 - Zed: no tea for me",
            "03/05/2024, 18:02 - Bo: oh",
            "03/05/2024, 18:03 - Ada: yes",
            "",
        ]
        table, _, _ = bring(**{"WhatsApp Chat with Bo.txt": "\r\n".join(lines)})
        assert table.height == 3
        assert set(by_name(space)) == {"Ada", "Bo"}
        assert "Zed: no tea" in table["text"][0]

    @pytest.mark.parametrize(
        "words",
        ["<Media omessi>", "<Medien ausgeschlossen>", "<Médias omis>", "<Multimedia omitido>"],
    )
    def test_what_stands_for_media_is_an_attachment(self, words: str, bring: Bring) -> None:
        said = ((1, "Ada", "ecco"), (2, "Ada", words), (3, "Bo", "bello"))
        text = "".join(f"13/05/24, 18:0{n} - {who}: {what}\n" for n, who, what in said)
        table, _, _ = bring(**{"Chat WhatsApp con Bo.txt": text})
        assert table["text"].to_list() == ["ecco", "", "bello"]
        assert table["attachments"].list.len().to_list() == [0, 1, 0]

    def test_notices_of_a_group_under_its_own_name(self, space: Workspace, bring: Bring) -> None:
        text = (
            "[13.05.24, 18:00:00] Garten: \u200eNachrichten und Anrufe sind Ende-zu-Ende-"
            "verschlüsselt.\n[13.05.24, 18:00:01] Garten: \u200eBo hat dich hinzugefügt\n"
            "[13.05.24, 18:01:00] Ada: hallo\n[13.05.24, 18:02:00] Bo: na\n"
        )
        table, _, _ = bring(**{"WhatsApp Chat - Garten/_chat.txt": text})
        assert set(by_name(space)) == {"Ada", "Bo"}
        assert table["kind"].to_list() == ["system", "system", "text", "text"]


class TestState:
    """A whole export of nothing is whole; what is missing, doubled or no chat is told."""

    @pytest.mark.parametrize(
        "files",
        [
            {"roof.csv": "AuthorID,Author,Date,Content,Attachments,Reactions\n"},
            telegram(),
            discord(),
            meta(title="Tea"),
            {"messages/c700000000000001001/messages.json": "[]"},
        ],
        ids=["csv", "telegram", "discord", "messenger", "package"],
    )
    def test_an_empty_chat_is_whole(self, files: dict[str, str], bring: Bring) -> None:
        table, [done], _ = bring(**files)
        assert (table.height, done.trouble) == (0, None)
        assert "the export holds no messages" in done.notes

    def test_copies_of_a_file_are_told_and_count_once(self, bring: Bring) -> None:
        [text] = discord({"id": "31", "name": "ada"}).values()
        table, done, _ = bring(**{f"{n}/roof.json": text for n in range(4)})
        assert table.height == 1
        assert sum(bool(one.copy_of) for one in done) == 3

    def test_a_page_that_shows_sample_chats_is_none(self, bring: Bring) -> None:
        sample = "03/05/2024, 18:01 - Ada: tea?\n03/05/2024, 18:02 - Bo: yes\n"
        text = f"# Reading chats\n\n```\n{sample}```\n"
        table, done, found = bring(**{"README.md": text, "docs/format.txt": f"{text}{text}"})
        assert (table.height, done) == (0, [])
        assert any("sample chats" in line for line in [*found.notes, *found.problems])

    def test_a_folder_without_its_messages_is_told(self, bring: Bring) -> None:
        info = json.dumps({"members": [{"name": "Ada", "email": "ada@tea.example"}]})
        _, done, found = bring(**{"Google Chat/Groups/DM k6/group_info.json": info})
        assert done == []
        assert any("messages are missing" in line for line in found.notes)

    def test_an_export_without_a_text_says_so(self, bring: Bring) -> None:
        _, [done], _ = bring(**discord({"id": "31", "name": "ada"}, text=""))
        assert any("none of its messages has a text" in note for note in done.notes)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux alone")
def test_a_file_whose_name_is_no_text(space: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    [text] = discord({"id": "31", "name": "ada"}).values()
    (folder / os.fsdecode(b"th\xe9.json")).write_text(text, "utf-8")
    (folder / os.fsdecode(b"th\xe9.jsonl")).write_text('{"author": "Bo", "text": "tea"}', "utf-8")
    for path in (folder, tmp_path / os.fsdecode(b"caf\xe9")):
        done = list(import_files(space, discover_chats([path]).chats, consent="clone"))
        assert all(one.trouble is None for one in done)
    assert set(messages(space)["channel"]) == {"roof", "th\ufffd"}
