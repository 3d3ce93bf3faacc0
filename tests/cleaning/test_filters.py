"""Which messages are chosen, and what there is to choose from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.chats import everyone, table

from myna.cleaning import filters
from myna.config import Filter
from myna.errors import SettingsError
from myna.people import accounts

ROWS = [
    {"author": "Ana", "text": "hello everyone there", "channel": "General", "at": 0},
    {"author": "Ben", "text": "one", "channel": "bots", "at": 60 * 24},
    {"author": "Ana", "text": "two", "channel": "bots-too", "thread": "help [7]", "at": None},
    {"author": "Cy", "text": "three", "channel": "general", "at": 60 * 24 * 9},
]


def chosen(**wanted: Any) -> list[str]:
    frame = table(ROWS)
    frame = accounts.assign(frame, everyone(frame))
    return frame.filter(~filters.left_out(frame, Filter(**wanted)))["text"].to_list()


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        ({}, ["hello everyone there", "one", "two", "three"]),
        ({"channels": ["general"]}, ["hello everyone there", "three"]),
        ({"channels": ["!bots*"]}, ["hello everyone there", "three"]),
        ({"channels": ["bots*", "!bots"]}, ["two"]),
        ({"people": ["ana", "Cy"]}, ["hello everyone there", "two", "three"]),
        ({"people": ["!ana"]}, ["one", "three"]),
        ({"threads": ["help*"]}, ["two"]),
        ({"since": "2024-05-02"}, ["one", "three"]),
        ({"until": "2024-05-02"}, ["hello everyone there", "one"]),
        ({"since": "2024-05-02", "until": "2024-05-02"}, ["one"]),
        ({"channels": ["general"], "people": ["Cy"]}, ["three"]),
    ],
)
def test_places_people_and_days(wanted: dict[str, Any], texts: list[str]) -> None:
    assert chosen(**wanted) == texts


@pytest.mark.parametrize("wanted", [{"channels": ["genral"]}, {"channels": ["!bot"]}])
def test_a_name_that_fits_nothing_is_a_slip(wanted: dict[str, Any]) -> None:
    name = wanted["channels"][0].removeprefix("!")
    said = f"filter.channels: '{name}' fits nothing that was imported: see `myna channels`"
    with pytest.raises(SettingsError, match=re.escape(said)):
        chosen(**wanted)


def test_channels_with_counts_and_what_somebody_said_who_may_be_shown(tmp_path: Path) -> None:
    frame = table(ROWS)
    frame.write_parquet(tmp_path / "t.parquet")
    found = filters.channels([tmp_path / "t.parquet"], everyone(frame, Cy="no"))
    assert found.select("channel", "messages", "people", "threads", "sample").rows() == [
        ("General", 1, 1, 0, "Ana: hello everyone there"),
        ("bots", 1, 1, 0, None),
        ("bots-too", 1, 1, 1, None),
        ("general", 1, 1, 0, None),
    ]
    nobody = filters.channels([tmp_path / "t.parquet"], everyone(frame, Ana="no"))
    assert nobody["sample"].is_null().all()
    assert filters.channels([], everyone(frame)).is_empty()


def test_a_day_that_is_none_is_refused() -> None:
    for day in ("yesterday", "2024-13-01", "1.5.2024"):
        with pytest.raises(ValueError, match="since"):
            Filter(since=day)


def test_times_are_kept_as_they_are() -> None:
    assert table(ROWS)["sent_at"].dtype == pl.Datetime("us", "UTC")
