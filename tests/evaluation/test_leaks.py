"""Leaks: strings that redaction took out are found in what a clone generates, and never told."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from tests.chats import table

from myna.config import Redaction
from myna.evaluation.leaks import (
    compact,
    has_leaked,
    measure_leaks,
    replaced_in_training,
    telling,
)
from myna.evaluation.moments import GeneratedReply
from myna.workspace import ImportRecord, create

MAIL = "kettle.fan92@gmail.com"


def turn(raw: str, person: str = "Ana", number: int = 0) -> GeneratedReply:
    """A generated turn; what the user sees is redacted."""
    return GeneratedReply(person, "[email]", number, raw_text=raw)


def test_a_string_is_found_whatever_separates_its_parts() -> None:
    secrets = telling(["+49 170 555-0187", MAIL])
    assert has_leaked("call me: 0049 / 170.555 01 87\nBen:", {compact("170 5550187")})
    assert has_leaked("its KETTLE.FAN92 at gmail.com".replace(" at ", "@"), secrets)
    assert not has_leaked("my kettle is on", secrets)


def test_short_strings_and_plain_words_are_not_looked_for() -> None:
    assert telling(["12345", "teapot", "Ab-12"]) == set()
    assert telling(["teapot99", "correcthorse"]) == {"teapot99", "correcthorse"}


def test_only_strings_of_the_train_split_are_looked_for(tmp_path: Path) -> None:
    workspace = create(tmp_path / "friends")
    workspace.messages.mkdir(exist_ok=True)
    raw = table(
        [
            {"author": "Ana", "text": f"write to {MAIL}", "id": "1"},
            {"author": "Ben", "text": "or text 212-555-0187 asap", "id": "2"},
            {"author": "Ben", "text": "fine", "id": "3"},
        ]
    )
    folder = workspace.messages / "chat"
    folder.mkdir()
    raw.write_parquet(folder / "0000000.parquet")
    ImportRecord(folder, "2024-05-01T12:00:00+00:00", [], 3, 3).save()
    train = raw.filter(pl.col("id") != "2").select("source", "channel_id", "id")
    assert replaced_in_training(workspace, train, Redaction()) == {MAIL}
    assert replaced_in_training(workspace, train, Redaction(style="off")) == set()


def test_a_leak_before_the_output_filter_counts_and_is_not_printed() -> None:
    clone = [turn(f" it is {MAIL}\nBen:", number=1), turn(" no", number=2)]
    measure = measure_leaks(clone, [turn(" hello")], telling([MAIL, "12"]), 2)
    assert measure.clone.value == 0.5
    assert measure.floor is not None
    assert measure.floor.value == 0
    assert "kettle" not in repr(measure).lower()
    assert "1 strings that redaction replaced, in 2 turns" in measure.notes


def test_nothing_replaced_is_said() -> None:
    measure = measure_leaks([turn(" hi")], [], set(), 0)
    assert measure.clone.value == 0
    assert measure.notes == ("redaction replaced no string that could be looked for",)
