"""Reports: one object as JSON, on one screen and as a page."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from rich.cells import cell_len

from myna.cli.evaluate import print_report
from myna.evaluation.measure import Estimate, Measure
from myna.evaluation.page import page
from myna.evaluation.report import (
    Example,
    Report,
    gathered_notes,
    grade,
    measures_of,
    number,
    written,
)

NOBODY = "<b>Zoë</b> & co"
"""A name that would be markup if it was not escaped."""


def measure(name: str, clone: float, floor: float = math.nan, **given: Any) -> Measure:
    real = given.pop("real", math.nan)
    spread = given.pop("spread", 0.01)
    return Measure(
        name,
        given.pop("title", name.replace("_", " ")),
        given.pop("better", "real"),
        Estimate(clone, clone - spread, clone + spread, 50),
        "how it is computed",
        floor=None if math.isnan(floor) else Estimate(floor, items=25),
        ceiling=None if math.isnan(real) else Estimate(real, items=80),
        **given,
    )


def full_report() -> Report:
    names = ["Ana", NOBODY]
    own = {name: Estimate(1.3) for name in names}
    bits = {name: {"clone": Estimate(1.3, items=20), "floor": Estimate(1.5)} for name in names}
    under = {f"as {name}": Estimate(1.2 + i / 10) for i, name in enumerate(names)}
    measures = [
        measure("bits_per_character", 1.3, 1.5, people=bits, unit="bits", section="likelihood"),
        measure(
            "bits_change", -0.12, 0.0, section="likelihood",
            people={name: {"clone": Estimate(-0.1)} for name in names},
        ),
        measure(
            "true_name", 0.7, 0.4, section="likelihood", references={"chance": Estimate(0.5)},
            people={name: {"clone": own[name], **under} for name in names},
            notes=("replies: only 20 items, so read it with care",),
        ),
        measure(
            "next_speaker", 1.23, 1.5, section="rooms", unit="bits", floor_name="frequency",
            references={"round-robin": Estimate(1.9)}, title="T" * 26, spread=0.12,
        ),
        measure("repeats", 0.6, real=0.05, section="rooms"),
        measure(
            "collapsed", math.nan, section="rooms",
            notes=("replies: only 20 items, so read it with care",),
        ),
        measure("copied_replies", 0.0, 0.0, real=0.02, section="privacy", better="lower"),
        measure("emoji_distance", 0.3, 0.5, real=0.2, section="style", is_detail=True),
    ]  # fmt: skip
    room = [("Ana", "toast?"), (NOBODY, "<script>alert(1)</script>"), ("Ana", "toast?")]
    example = Example("who wants <i>toast</i>?", NOBODY, "me", "not me")
    return Report("group", measures, ["speaker: this engine cannot score"], [example], [room])


def test_json_holds_every_figure_and_gives_the_measures_back() -> None:
    report = full_report()
    data = json.loads(json.dumps(report.plain(), allow_nan=False))
    back = measures_of(data)
    assert repr(back) == repr(report.measures)  # NaN equals nothing, itself included


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.1234, "share", "12%"), (0.0234, "share", "2.3%"), (0.0, "share", "0%"),
        (1.0, "share", "100%"), (-0.101, "share", "−10%"), (1.3456, "bits", "1.35"),
        (87.6, "count", "88"), (1.26, "count", "1.3"), (7.0, "count", "7"), (0.5, "score", "0.50"),
    ],
)  # fmt: skip
def test_numbers_have_two_or_three_digits(value: float, unit: str, shown: str) -> None:
    assert number(value, unit) == shown


def test_an_interval_has_as_many_digits_as_its_figure() -> None:
    assert written(Estimate(0.12, 0.08, 0.171), "share") == "12% (8–17)"
    assert written(Estimate(-0.1, -0.13, -0.068), "share") == "−10% (−13 to −7)"
    assert written(Estimate(1.2), "bits") == "1.20"
    assert written(None, "bits") == written(Estimate(math.nan), "bits") == "–"


@pytest.mark.parametrize(
    ("given", "mark"),
    [
        ({"clone": 0.9, "floor": 0.0, "real": 1.0}, "good"),
        ({"clone": 0.5, "floor": 0.0, "real": 1.0}, "fair"),
        ({"clone": 0.1, "floor": 0.0, "real": 1.0}, "poor"),
        ({"clone": 0.5, "floor": 0.0, "real": 1.0, "spread": 0.6}, ""),  # it may be either
        ({"clone": 0.5}, ""),
        ({"clone": 0.33, "real": 0.0}, "poor"),
        ({"clone": 0.33, "real": 0.0, "spread": 0.4}, ""),
        ({"clone": 0.0, "real": 0.04, "better": "lower"}, "good"),
        ({"clone": 7, "floor": 5, "real": 6, "better": "lower"}, "good"),  # the base says little
        ({"clone": 1.25, "floor": 0.0, "real": 1.0, "better": "higher"}, "good"),
        ({"clone": 2.0, "floor": 0.0, "real": 1.0, "better": "higher"}, "poor"),  # a caricature
    ],
)
def test_a_grade_is_the_way_from_the_base_to_real_text(given: dict[str, Any], mark: str) -> None:
    assert grade(measure("some", **given)) == mark


def test_notes_are_told_once() -> None:
    assert gathered_notes(full_report().measures) == [
        "replies: only 20 items, so read it with care (2 figures)"
    ]


def test_the_screen_is_80_columns_wide_and_tells_faults_last(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_report(full_report().plain())
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= 80
    text = "\n".join(lines)
    assert "emoji" not in text  # details are on the page
    assert "60% (59–61)" in text
    assert "T" * 26 + "  " in text
    assert "1.23 (1.11–1.35)  1.50 (frequency)" in text
    assert "…" not in text  # nothing is cut off
    assert "round-robin 1.90" in text
    assert "not measured: speaker: this engine cannot score" in text
    assert text.index("not measured") < text.index("loops: 60% of lines in rooms repeat")


def test_the_page_tells_faults_first_and_escapes_all_text() -> None:
    text = page(full_report())
    assert text.index("Loops") < text.index("Does it expect what they say?")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "<i>toast" not in text
    assert NOBODY not in text
    assert "collapsed" not in re.findall(r'class="name">([^<]*)<', text)  # nothing was measured
    assert "this engine cannot score" in text


def test_the_page_loads_nothing_and_its_tags_are_closed() -> None:
    text = page(full_report())
    assert not re.search(r"(?:src|href|url)\s*[=(]", text)
    for tag in ("section", "details", "article", "table", "div", "p", "span", "ul", "ol"):
        assert len(re.findall(rf"<{tag}[ >]", text)) == text.count(f"</{tag}>"), tag


def test_the_picture_of_names_frames_the_own_name_and_marks_the_best() -> None:
    text = page(full_report())
    assert 'class="own best" style="--heat:1.00" title="words of Ana under the name of Ana' in text
    assert text.count('class="own"') == 1  # the other's words fit Ana's name better
    assert 'style="--heat:0.00"' in text


def test_a_report_of_almost_nothing_is_a_page_too() -> None:
    text = page(Report("empty", []))
    assert "No fault found" in text
