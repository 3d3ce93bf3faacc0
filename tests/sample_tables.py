"""Preparing for the tests: tables in memory, prepared as those of a workspace are."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from myna.cleaning.ledger import Ledger
from myna.config import Settings
from myna.people import People
from myna.preparing import prepare as prepare_
from myna.rendering.spec import RenderingSpec
from myna.rendering.tokenizer import Tokenizer
from myna.workspace import Workspace


@dataclass
class Prepared:
    """The samples that `prepare` makes of a message table."""

    messages: pl.DataFrame
    samples: pl.DataFrame
    ledger: Ledger
    personas: list[str]
    spec: RenderingSpec


def prepare(
    frame: pl.DataFrame, people: People, settings: Settings, tokenizer: Tokenizer, batch: int = 1000
) -> Prepared:
    """Prepare a message table, `batch` messages at a time."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "table.parquet")
        frame.write_parquet(table)
        done = prepare_.prepare([table], people, settings, tokenizer, Path(folder), batch=batch)
        personas, spec = done.info.personas, done.info.format.spec
        made = (
            pl.read_parquet(Path(folder, f"{name}.parquet")) for name in ("messages", "samples")
        )
        return Prepared(*made, done.ledger, personas, spec)


def messages(space: Workspace) -> pl.DataFrame:
    """All messages of a workspace."""
    return pl.concat([pl.read_parquet(table) for table in space.message_files()])
