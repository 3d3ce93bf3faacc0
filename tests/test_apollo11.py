"""The transcript of Apollo 11: typing errors are corrected, notes and noises left out."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna import apollo11
from myna.apollo11 import Transmission, parse_transcript, repair_times, to_json_lines


def parsed(transcript: str) -> list[tuple[int, str, str]]:
    return [(each.second, each.speaker, each.text) for each in parse_transcript(transcript)]


class TestHeads:
    def test_text_follows_below(self) -> None:
        excerpt = (
            "# From a transcript\n\n"
            "00 00 00 04 CDR\n"
            "Roger. Clock.\n"
            "\n"
            "04 06 45 58 CDR (TRANQ)\n"
            "Houston, Tranquility Base here.\n"
            "THE EAGLE HAS LANDED.\n"
        )
        assert list(parse_transcript(excerpt)) == [
            Transmission(4, "CDR", "Roger. Clock."),
            Transmission(369958, "CDR", "Houston, Tranquility Base here. THE EAGLE HAS LANDED."),
        ]

    @pytest.mark.parametrize(
        ("head", "second", "speaker"),
        [
            ("00 O0 08 19 CC", 499, "CC"),
            ("00 00 19 O1 CC", 1141, "CC"),
            ("00 02 37 4l CC", 9461, "CC"),
            ("02 ll 24 34 CC", 213874, "CC"),
            ("Oh 10 12 55 CC", 382375, "CC"),
            ("0k 02 40 43 CDR", 355243, "CDR"),
            ("00 02 53 0,7 CC", 10387, "CC"),
            ("07 13 57 5 CDR", 655025, "CDR"),
            ("04 15 56 ?? CDR (TRANQ)", 402960, "CDR"),
            ("04 13 26 59 LMP (EVA)", 394019, "LMP"),
            ("04 06 43 10 LMP (EAGLE)", 369790, "LMP"),
            ("04 00 42 54 CMP/LMP", 348174, "CMP/LMP"),
            ("08 03 17 00 SWIM 1", 703020, "SWIM 1"),
            ("04 14 18 12 PRESIDENT NIX0N", 397092, "PRESIDENT NIXON"),
        ],
    )
    def test_typing_errors_and_suffixes(self, head: str, second: int, speaker: str) -> None:
        assert parsed(f"{head}\nRoger.\n") == [(second, speaker, "Roger.")]

    def test_text_may_follow_the_speaker(self) -> None:
        assert parsed("00 00 43 13 CT TAN LOS.\n03 05 35 00 CDF It never was\nour plan.\n") == [
            (2593, "CT", "TAN LOS."),
            (279300, "CDF", "It never was our plan."),
        ]


class TestText:
    def test_a_countdown_is_not_a_head_line(self) -> None:
        excerpt = (
            "05 04 04 42 LMP (EAGLE)\n9, 8, 7, 6, 5, abort stage, engine arm ascent, proceed.\n"
        )
        [(_, _, text)] = parsed(excerpt)
        assert text == "9, 8, 7, 6, 5, abort stage, engine arm ascent, proceed."
        assert parsed("04 07 39 30 CC\n5, 4, 3, 2, 1.\n")[0][2] == "5, 4, 3, 2, 1."

    @pytest.mark.parametrize(
        "excerpt",
        [
            "03 04 02 -- BEGIN LUNAR REV 1\n",
            "00 00 00 04 CDR\n...\n",
            "00 00 00 04 CDR\n\n",
            '06 14 01 00 (Music: "Music Out of the Moon")\nand on it goes\n',
            "words of nobody\n",
            "",
        ],
    )
    def test_notes_noises_and_unintelligible_transmissions_are_left_out(self, excerpt: str) -> None:
        assert parsed(excerpt) == []

    def test_a_note_does_not_end_a_transmission(self) -> None:
        excerpt = "03 04 01 58 CC\nSee you on\n03 04 02 -- BEGIN LUNAR REV 1\nthe other side.\n"
        assert parsed(excerpt)[-1][2] == "See you on the other side."


class TestTimes:
    def test_times_out_of_order_get_the_last_correct_one(self) -> None:
        assert repair_times([10, 20, 2000, 30, 40, 5, 50]) == [10, 20, 20, 30, 40, 40, 50]
        assert repair_times([2000, 10, 20]) == [10, 10, 20]
        assert repair_times([]) == []

    @given(st.lists(st.integers(0, 99)))
    def test_times_never_decrease_and_correct_ones_stay(self, seconds: list[int]) -> None:
        times = repair_times(seconds)
        assert len(times) == len(seconds)
        assert all(a <= b for a, b in pairwise(times))
        assert repair_times(sorted(seconds)) == sorted(seconds)
        assert repair_times(times) == times


def test_the_export_is_a_chat_of_people_with_times() -> None:
    excerpt = (
        "04 06 46 04 CC\nRoger, Tranquility.\n"
        "04 06 46 16 LMP (TRANQ)\nThank you.\n"
        "04 06 46 06 CMP (COLUMBIA)\nFantastic.\n"
    )
    rows = [json.loads(line) for line in to_json_lines(excerpt).splitlines()]
    assert [row["author"] for row in rows] == ["CapCom", "Buzz Aldrin", "Michael Collins"]
    assert [row["text"] for row in rows] == ["Roger, Tranquility.", "Thank you.", "Fantastic."]
    assert [row["id"] for row in rows] == ["0", "1", "2"]
    times = [datetime.fromisoformat(row["timestamp"]) for row in rows]
    assert times[0] == apollo11.LIFT_OFF.replace(day=20, hour=20, minute=18, second=4)
    assert times == sorted(times)


def test_a_noise_is_no_transmission() -> None:
    assert not [*apollo11.parse_transcript("06 14 01 00 SC\n(Sound of train)\n")]
