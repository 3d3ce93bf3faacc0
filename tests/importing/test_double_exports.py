"""One chat in several exports, and several chats that look like one, from files to a ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.chats import cleaned
from tests.sample_tables import messages

from myna import people, workspace
from myna.cleaning.ledger import Ledger
from myna.importing.discover import discover_chats
from myna.importing.import_files import import_files

SAID = [
    ("moss", "10:00:05", "who has the long ladder?"),
    ("fern", "10:00:41", "me"),
    ("moss", "10:02:10", "bring it at nine"),
    ("moss", "10:02:30", "ok?"),
    ("moss", "10:02:50", "ok?"),
    ("fern", "10:03:00", "nine is early"),
]
IDS = {"moss": "91", "fern": "92"}
RULE = "=" * 62
NAME = "Shed - Text - roof [700]"


def as_json(said: Any = SAID) -> str:
    rows = [
        {
            "id": str(1206000000000000000 + number),
            "type": "Default",
            "timestamp": f"2024-03-01T{time}.120+00:00",
            "timestampEdited": None,
            "isPinned": False,
            "content": text,
            "author": {"id": IDS[author], "name": author, "nickname": author.title()},
        }
        for number, (author, time, text) in enumerate(said)
    ]
    channel = {"id": "700", "type": "GuildTextChat", "category": "Text", "name": "roof"}
    guild = {"id": "800", "name": "Shed"}
    return json.dumps(
        {"guild": guild, "channel": channel, "messages": rows, "messageCount": len(rows)}, indent=2
    )


def as_csv(said: Any = SAID) -> str:
    rows = [f'"{IDS[a]}","{a}","2024-03-01T{t}.1200000+00:00","{x}","",""' for a, t, x in said]
    return "\n".join(["AuthorID,Author,Date,Content,Attachments,Reactions", *rows, ""])


def as_text(said: Any = SAID, hours: int = 0) -> str:
    blocks = "".join(
        f"[3/1/2024 {int(t[:2]) + hours}:{t[3:5]} AM] {a}\n{x}\n\n" for a, t, x in said
    )
    head = f"{RULE}\nGuild: Shed\nChannel: Text / roof\n{RULE}\n\n"
    return f"{head}{blocks}{RULE}\nExported {len(said)} message(s)\n{RULE}\n"


def as_android(said: Any = SAID) -> str:
    return "".join(f"01/03/2024, {t[:5]} - {a}: {x}\n" for a, t, x in said)


def as_iphone(said: Any = SAID) -> str:
    return "".join(f"[01.03.24, {t}] {a}: {x}\n" for a, t, x in said)


Result = tuple[pl.DataFrame, Ledger]


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Result]:
    """Import files, in the order given, in one command or each by itself; what then stays."""

    def run(files: dict[str, str], *, together: bool = True) -> Result:
        space = workspace.create(tmp_path / "w")
        paths = []
        for name, text in files.items():
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            paths.append(path)
        for group in [paths] if together else [[path] for path in paths]:
            found = discover_chats(group)
            assert not found.problems
            for result in import_files(space, found.chats, consent="clone"):
                assert not result.trouble
        ledger = Ledger()
        kept = cleaned(messages(space), ledger, people=people.load(space.people_file))
        return kept, ledger

    return run


TEXTS = [text for _, _, text in SAID]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "files",
    [
        {f"{NAME}.csv": as_csv(), f"{NAME}.json": as_json()},
        {f"{NAME}.txt": as_text(), f"{NAME}.csv": as_csv(), f"{NAME}.json": as_json()},
        {"any name.json": as_json(), "roof.txt": as_text()},
        {f"{NAME}.txt": as_text(hours=1), f"{NAME}.json": as_json()},
        {"roof.json": as_json(), f"{NAME}.csv": as_csv(SAID[2:])},
        {f"{NAME}.csv": as_csv(SAID[:4]), f"{NAME}.json": as_json(SAID)},
        {
            "WhatsApp Chat with fern.txt": as_android(),
            "WhatsApp Chat - fern/_chat.txt": as_iphone(),
        },
    ],
)
def test_a_message_in_two_exports_counts_once_and_the_ledger_says_so(
    files: dict[str, str], together: bool, prepared
) -> None:
    kept, ledger = prepared(files, together=together)
    assert sorted(kept["text"]) == sorted(TEXTS)
    assert kept["person"].n_unique() == 2
    [row] = [row for row in ledger.rows if row.rule == "duplicate"]
    assert row.messages == ledger.messages - len(SAID)


def test_the_better_export_wins(prepared) -> None:
    kept, _ = prepared({f"{NAME}.txt": as_text(), f"{NAME}.json": as_json()})
    assert not kept["id"].is_null().any()
    assert kept["sent_at"].dt.second().to_list() == [5, 41, 10, 30, 50, 0]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("make", [as_text, as_android])
def test_equal_words_at_the_border_of_two_parts_are_two_messages(make, together, prepared) -> None:
    first, second = SAID[:4], SAID[4:]
    kept, _ = prepared({"fern.txt": make(first), "fern (1).txt": make(second)}, together=together)
    assert sorted(kept["text"]) == sorted(TEXTS)


def test_parts_in_the_other_order_are_the_same(prepared) -> None:
    kept, _ = prepared({"2.txt": as_text(SAID[4:]), "1.txt": as_text(SAID[:4])}, together=False)
    assert sorted(kept["text"]) == sorted(TEXTS)


def test_the_parts_and_the_whole_are_one_chat(prepared) -> None:
    kept, _ = prepared(
        {"1.txt": as_text(SAID[:4]), "2.txt": as_text(SAID[4:]), "3.txt": as_text()},
        together=False,
    )
    assert sorted(kept["text"]) == sorted(TEXTS)


@pytest.mark.parametrize(
    "files",
    [
        # Two channels of one name with other ids; a greeting in both.
        {"a.json": as_json(), "b.json": as_json().replace('"700"', '"701"').replace("206", "207")},
        # Two channels of one name of two servers.
        {f"{NAME}.txt": as_text(), "other.txt": as_text(SAID[:1] + [("fern", "11:30:00", "no")] * 5)
            .replace("Guild: Shed", "Guild: Barn")},
    ],
)  # fmt: skip
def test_channels_that_only_look_alike_are_not_one(files: dict[str, str], prepared) -> None:
    kept, ledger = prepared(files)
    assert kept.height == ledger.messages


def test_folders_of_numbered_files_are_chats(prepared) -> None:
    kept, _ = prepared(
        {
            "roof/1.csv": as_csv(SAID[:3]),
            "roof/2.csv": as_csv(SAID[3:]),
            "cellar/1.csv": as_csv(SAID[:2]),
        }
    )
    assert dict(kept.group_by("channel").len().iter_rows()) == {"roof": 6, "cellar": 2}
