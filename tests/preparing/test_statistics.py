"""The audit of samples."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from myna.artifacts import SpeakingHabits
from myna.preparing.build_samples import SAMPLE_SCHEMA
from myna.preparing.html_reports import samples_page
from myna.preparing.statistics import Audit, audit, speaking_habits


def span(start: int, end: int, words_end: int, characters: int = 2) -> dict[str, Any]:
    """A target span that begins with its words."""
    places = {"start": start, "end": end, "words_start": start, "words_end": words_end}
    return {"person": "Ana", **places, "characters": characters}


SOUND: dict[str, Any] = {
    "split": "train",
    "conversation": 0,
    "space": "",
    "channel": "tea",
    "segments": [
        {"text": "Ana:", "kind": 0, "control": False},
        {"text": " <b>hi</b>", "kind": 1, "control": False},
        {"text": "\n", "kind": 2, "control": False},
    ],
    "ids": [9, 20, 21, 22, 8],
    "target_spans": [span(2, 5, words_end=3, characters=9)],
}


def audited(*changes: dict[str, Any]) -> Audit:
    rows = [{**SOUND, **change} for change in changes]
    samples = pl.DataFrame(rows, schema=SAMPLE_SCHEMA)
    return audit(samples, max_length=6, bos_ids=[9], control=[8, 9])


def test_sound_samples() -> None:
    longer = {"ids": [9, 20, 21, 21, 22, 8], "target_spans": [span(2, 6, 4)]}
    assert audited({}, {}, longer) == Audit(
        samples=3, tokens=16, trained=10, replies=3, unended=0,
        shortest=5, median=5, longest=6, fatal=[],
    )  # fmt: skip


def test_no_samples() -> None:
    assert audited().samples == 0
    assert audited().fatal == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"target_spans": []}, "have nothing that is trained"),
        ({"ids": [9, *[20] * 6]}, "are longer than 6 tokens"),
        ({"ids": [9, 20, 8, 22, 8]}, "have a control token within their text"),
        ({"ids": [9, 9, 21, 22, 8]}, "have a doubled BOS"),
        ({"target_spans": [span(2, 6, 3)]}, "have target spans that go beyond their tokens"),
    ],
)
def test_what_must_not_be(change: dict[str, Any], what: str) -> None:
    assert f"1 samples {what}, the first is 1" in audited({}, change).fatal


MARKED: dict[str, Any] = {
    "segments": [
        {"text": "<s>", "kind": 0, "control": True},
        {"text": "hi", "kind": 1, "control": False},
        {"text": "</s>", "kind": 2, "control": True},
    ],
    "ids": [9, 20, 8],
    "target_spans": [span(1, 3, 2)],
}


def test_control_tokens_stand_where_the_rendering_puts_them() -> None:
    assert audited(MARKED).fatal == []
    typed = {**MARKED, "ids": [9, 8, 8]}
    assert audited(MARKED, typed).fatal == [
        "1 samples have a control token within their text, the first is 1"
    ]


def test_the_page_frames_control_tokens() -> None:
    written = samples_page("tea", audited(MARKED), [{**SOUND, **MARKED, "number": 0}])
    assert '<span class="end control">&lt;/s&gt;</span>' in written


def test_a_reply_at_the_end_of_a_sample_is_ended_by_nothing() -> None:
    cut = {"ids": [9, 20, 21], "target_spans": [span(2, 3, 3)]}
    assert audited({}, cut).unended == 1


def test_the_page_escapes_what_was_said() -> None:
    written = samples_page("<tea>", audited({}), [{**SOUND, "number": 7}])
    assert '<span class="reply"> &lt;b&gt;hi&lt;/b&gt;</span>' in written
    assert "<title>&lt;tea&gt;</title>" in written
    assert "7 · tea · 5 tokens, 3 trained" in written
    assert "<script" not in written
    assert "default-src 'none'" in written


def test_habits_of_speaking_count_repeats_by_anybody_and_lines_of_turns() -> None:
    said = [
        ("Ana", "Roger."), ("Ben", "Roger."), ("Ana", "soup is on the table"), ("Ana", "and bread"),
        ("Ben", "soup is on the table?"), ("Ana", "Roger."), ("Ben", "thank you"),
    ]  # fmt: skip
    rows = {"conversation": 1, "split": "train"}
    table = pl.LazyFrame([{**rows, "person": person, "text": text} for person, text in said])
    others = table.with_columns(split=pl.lit("test"))
    found = speaking_habits(pl.concat([table, others]), ["Ana", "Ben", "Cy"])
    assert found["Ana"] == SpeakingHabits(4, short_repeats=1 / 3, long_repeats=0.0, max_lines=2)
    assert found["Ben"] == SpeakingHabits(3, short_repeats=1 / 2, long_repeats=1.0, max_lines=1)
    assert found["Cy"].messages == 1
