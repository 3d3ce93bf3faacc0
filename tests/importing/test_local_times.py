"""Times without a zone: the order of the file, and the zone that the user names."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from tests.importing.test_double_exports import NAME, SAID, as_json, as_text
from tests.sample_tables import messages

from myna import people, workspace
from myna.config import Conversations, Settings, parse
from myna.errors import SettingsError
from myna.importing.discover import discover_chats
from myna.importing.import_files import import_files
from myna.messages import in_zone
from myna.preparing import prepare as prepare_
from myna.rendering.tokenizer import Tokenizer
from myna.workspace import Workspace

Bring = Callable[..., Workspace]


@pytest.fixture
def bring(tmp_path: Path) -> Bring:
    """Import files by name and text."""

    def bring_in(files: dict[str, str], zone: str | None = None) -> Workspace:
        space = workspace.create(tmp_path / "w")
        for name, text in files.items():
            (tmp_path / name).write_text(text, "utf-8")
            found = discover_chats([tmp_path / name])
            for result in import_files(space, found.chats, consent="clone", zone=zone):
                assert not result.trouble
        return space

    return bring_in


def kept(space: Workspace, tokenizer: Tokenizer, *zones: str) -> tuple[list[str], list[str]]:
    """The texts in the order of the samples, and the notes of the ledger."""
    folder = space.root / "out"
    folder.mkdir()
    settings = Settings(conversations=Conversations(zones=list(zones)))
    done = prepare_.prepare(
        space.message_files(), people.load(space.people_file), settings, tokenizer, folder
    )
    return pl.read_parquet(folder / "messages.parquet")["text"].to_list(), done.ledger.notes


def whatsapp(*times: str) -> str:
    return "".join(f"{time} - {'AB'[i % 2]}: line {i}\n" for i, time in enumerate(times))


@pytest.mark.parametrize(
    "times",
    [
        ("27/10/2019, 02:30", "27/10/2019, 02:05", "27/10/2019, 02:06", "27/10/2019, 03:01"),
        ("03/11/2024, 01:59", "03/11/2024, 01:00", "03/11/2024, 01:30"),
        ("05/05/2024, 22:10", "05/05/2024, 14:20", "05/05/2024, 14:25"),
        ("05/05/2024, 00:10", "04/05/2024, 19:20", "04/05/2024, 19:25"),
        ("05/05/2024, 10:10", "05/05/2024, 10:09", "05/05/2024, 10:11"),
    ],
)
def test_a_small_step_backwards_keeps_the_order_of_the_file(
    times: tuple[str, ...], bring: Bring, tokenizer: Tokenizer
) -> None:
    space = bring({"WhatsApp Chat with B.txt": whatsapp(*times)})
    assert kept(space, tokenizer)[0] == [f"line {i}" for i in range(len(times))]


def test_a_big_step_is_a_file_that_is_not_in_order(bring: Bring, tokenizer: Tokenizer) -> None:
    text = whatsapp("07/05/2024, 10:00", "05/05/2024, 10:00", "05/05/2024, 10:01")
    assert kept(bring({"chat.txt": text}), tokenizer)[0] == ["line 1", "line 2", "line 0"]


def test_times_that_are_known_decide(bring: Bring, tokenizer: Tokenizer) -> None:
    rows = [("10:30:00", "b"), ("10:05:00", "a")]
    text = "".join(
        json.dumps({"author": x.upper(), "text": x, "time": f"2024-05-05T{t}Z"}) + "\n"
        for t, x in rows
    )
    assert kept(bring({"chat.jsonl": text}), tokenizer)[0] == ["a", "b"]


NIGHT = ("27/10/2019, 01:59", "27/10/2019, 02:30", "27/10/2019, 02:05", "27/10/2019, 03:01")


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("Europe/Berlin", [23, 0, 1, 2]), ("America/New_York", [5, 6, 6, 7]), ("UTC", [1, 2, 2, 3])],
)
def test_the_zone_of_an_import(zone: str, hours: list[int], bring: Bring) -> None:
    table = messages(bring({"chat.txt": whatsapp(*NIGHT)}, zone))
    assert table["sent_at"].dt.hour().to_list() == hours
    assert not table["zone_assumed"].any()


def test_the_hour_that_the_clock_skips_is_read(bring: Bring) -> None:
    times = ("31/03/2019, 01:59", "31/03/2019, 02:30", "31/03/2019, 03:00")
    table = messages(bring({"chat.txt": whatsapp(*times)}, "Europe/Berlin"))
    assert table["sent_at"].dt.strftime("%H:%M").to_list() == ["00:59", "01:30", "01:00"]


def test_a_zone_is_of_one_source_or_of_all() -> None:
    table = pl.DataFrame(
        {"source": ["a", "b"], "sent_at": [datetime(2024, 1, 1, 12, tzinfo=UTC)] * 2}
    ).with_columns(
        pl.lit(True).alias("zone_assumed"),
        *(pl.lit("x").alias(name) for name in ("channel_id", "thread", "export")),
    )
    assert in_zone(table, "Asia/Tokyo", "b")["sent_at"].dt.hour().to_list() == [12, 3]
    assert in_zone(table, "Asia/Tokyo")["sent_at"].dt.hour().to_list() == [3, 3]


@pytest.mark.parametrize("zone", ["Berlin", "whatsapp=Mars/Base", "GMT+25"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(SettingsError, match="is no time zone: write it as Europe/Berlin"):
        parse(f'[conversations]\nzones = ["{zone}"]\n', "myna.toml")


def test_another_export_of_the_chat_tells_the_zone(bring: Bring, tokenizer: Tokenizer) -> None:
    files = {f"{NAME}.json": as_json(), f"{NAME}.txt": as_text(hours=1)}
    texts, notes = kept(bring(files), tokenizer)
    assert len(texts) == len(SAID)
    assert 'zones = ["discord=Etc/GMT-1"]' in notes[0]
