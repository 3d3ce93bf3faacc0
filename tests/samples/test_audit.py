"""The audit of samples."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from myna.samples.audit import Audit, audit
from myna.samples.page import page
from myna.samples.prepare import SAMPLE_SCHEMA

SOUND: dict[str, Any] = {
    "part": "train",
    "conversation": 0,
    "space": "",
    "channel": "tea",
    "segments": [
        {"text": "Ana:", "label": 0, "control": False},
        {"text": " <b>hi</b>", "label": 1, "control": False},
        {"text": "\n", "label": 2, "control": False},
    ],
    "ids": [9, 20, 21, 22, 8],
    "labels": [0, 0, 1, 2, 2],
    "replies": [{"person": "Ana", "start": 2, "end": 3, "characters": 9}],
}


def audited(*changes: dict[str, Any]) -> Audit:
    rows = [{**SOUND, **change} for change in changes]
    samples = pl.DataFrame(rows, schema=SAMPLE_SCHEMA)
    return audit(samples, most_tokens=6, opening=[9], control=[8, 9])


def test_sound_samples() -> None:
    longer = {"ids": [9, 20, 21, 21, 22, 8], "labels": [0, 0, 1, 1, 2, 2]}
    assert audited({}, {}, longer) == Audit(
        samples=3, tokens=16, trained=10, replies=3, unended=1,
        shortest=5, median=5, longest=6, fatal=[],
    )  # fmt: skip


def test_no_samples() -> None:
    assert audited().samples == 0
    assert audited().fatal == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"labels": [0] * 5, "replies": []}, "have nothing that is trained"),
        ({"ids": [9, *[20] * 6], "labels": [1] * 7}, "are longer than 6 tokens"),
        ({"ids": [9, 20, 8, 22, 8]}, "have a control token within their text"),
        ({"ids": [9, 9, 21, 22, 8]}, "begin twice"),
        ({"labels": [0, 0, 1, 2]}, "have not one label for each token"),
    ],
)
def test_what_must_not_be(change: dict[str, Any], what: str) -> None:
    assert f"1 samples {what}, the first is 1" in audited({}, change).fatal


MARKED: dict[str, Any] = {
    "segments": [
        {"text": "<s>", "label": 0, "control": True},
        {"text": "hi", "label": 1, "control": False},
        {"text": "</s>", "label": 2, "control": True},
    ],
    "ids": [9, 20, 8],
    "labels": [0, 1, 2],
    "replies": [{"person": "Ana", "start": 1, "end": 2, "characters": 2}],
}


def test_control_tokens_stand_where_the_rendering_puts_them() -> None:
    assert audited(MARKED).fatal == []
    typed = {**MARKED, "ids": [9, 8, 8]}
    assert audited(MARKED, typed).fatal == [
        "1 samples have a control token within their text, the first is 1"
    ]


def test_the_page_frames_control_tokens() -> None:
    written = page("tea", audited(MARKED), [{**SOUND, **MARKED, "number": 0}])
    assert '<span class="end control">&lt;/s&gt;</span>' in written


def test_a_reply_at_the_end_of_a_sample_is_ended_by_nothing() -> None:
    cut = {"ids": [9, 20, 21], "labels": [0, 0, 1]}
    assert audited({}, cut).unended == 1


def test_the_page_escapes_what_was_said() -> None:
    written = page("<tea>", audited({}), [{**SOUND, "number": 7}])
    assert '<span class="reply"> &lt;b&gt;hi&lt;/b&gt;</span>' in written
    assert "<title>&lt;tea&gt;</title>" in written
    assert "7 · tea · 5 tokens, 3 trained" in written
    assert "<script" not in written
    assert "default-src 'none'" in written
