"""Prepared messages, made by hand: what `myna prepare` leaves for an export to read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from tests.metadata import prepared_info

from myna import config, people, workspace
from myna.people import People, Person
from myna.workspace import Workspace

Row = tuple[str, str] | tuple[str, str, dict[str, Any]]

START = datetime(2024, 5, 1, 18, tzinfo=UTC)


def messages(*rows: Row, personas: Sequence[str] = ("Ana",)) -> pl.DataFrame:
    """Messages of (person, text), and what else is not as it is by default."""
    found = []
    for number, (person, text, *more) in enumerate(rows):
        plain = {
            "source": "test",
            "channel_id": "/tea",
            "thread": None,
            "space": "",
            "channel": "tea",
            "id": str(number),
            "person": person,
            "sent_at": START + timedelta(minutes=number),
            "conversation": 0,
            "split": "train",
            "trained": person in personas,
            "text": text,
        }
        found.append({**plain, **(more[0] if more else {})})
    strings = dict.fromkeys(("source", "channel_id", "thread", "space", "channel"), pl.String)
    return pl.DataFrame(found, schema_overrides=strings, infer_schema_length=None)


def numbered(*rows: Row, personas: Sequence[str] = ("Ana",)) -> pl.DataFrame:
    """The same with the rows' numbers, as `dialogues` takes them."""
    return messages(*rows, personas=personas).with_row_index("row")


def make(
    folder: Path, frame: pl.DataFrame, *, personas: Sequence[str] = ("Ana",), me: str = ""
) -> Workspace:
    """A workspace in which these messages are prepared."""
    space = workspace.create(folder)
    known = tuple(
        Person(name, (f"test:{name}",), "clone" if name in personas else "context")
        for name in frame["person"].unique(maintain_order=True)
    )
    people.save(space.people_file, People(known, "context", me))
    prepared = space.prepared
    prepared.mkdir()
    frame.write_parquet(prepared / "messages.parquet")
    prepared_info(personas=list(personas)).save(prepared)
    workspace.write_manifest(
        prepared,
        inputs=workspace.prepare_inputs(space),
        settings=workspace.prepare_settings(config.Settings()),
    )
    return space


FRIENDS = messages(
    ("Ben", "tea?"),
    ("Ana", "always"),
    ("Ana", "now?"),
    ("Cy", "me too"),
    ("Ben", "at 10:30"),
    ("Ana", "ok"),
    ("Ben", "bye"),
    ("Ana", "lol", {"trained": False, "conversation": 1}),
    ("Ben", "so, the lake", {"conversation": 1}),
    ("Ana", "yes, the lake", {"conversation": 1}),
    ("Ben", "rain?", {"conversation": 2}),
    ("Cy", "rain", {"conversation": 2}),
    ("Ben", "soup?", {"conversation": 3, "split": "validation"}),
    ("Ana", "soup", {"conversation": 3, "split": "validation"}),
    ("Ben", "secret?", {"conversation": 4, "split": "test"}),
    ("Ana", "only reported on", {"conversation": 4, "split": "test"}),
)
"""Three friends, of whom Ana may be cloned; what she says of lol is context only."""
