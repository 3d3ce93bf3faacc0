"""Commands for bots: known ones, and prefixes that bots answer to."""

from __future__ import annotations

from typing import Any

import pytest
from tests.chats import table

from myna.cleaning.commands import answered, known, prefix


def asked(rows: list[dict[str, Any]]) -> list[str]:
    frame = table(rows).with_columns(place="channel_id")
    answered_ = answered(frame.with_columns(prefix=prefix(frame["text"])))
    return frame.filter(known(frame["text"]) | answered_)["text"].to_list()


@pytest.mark.parametrize(
    "text", ["!play some song", "/roll 2d6", "?help", ".rank", "$daily", "m!skip"]
)
def test_commands_that_many_bots_have(text: str) -> None:
    assert asked([{"author": "Ana", "text": text}]) == [text]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "!",
            "!!!",
            "?what do you mean",
            "/s",
            "/me waves",
            "...and then",
            "-w FILE",
            "$5 please",
        ),
        *("!important", "play it", "i said !play", "/home/ana", ".help me\nwith this", "~fin~"),
    ],
)
def test_what_only_looks_like_one_is_none(text: str) -> None:
    assert asked([{"author": "Ana", "text": text}]) == []


def served(*texts: str, answered: bool = True, channel: str = "tea") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for text in texts:
        rows.append({"author": "Ana", "text": text, "channel": channel})
        if answered:
            rows.append({"author": "Beep", "text": "done", "bot": True, "channel": channel})
        rows += [{"author": "Ben", "text": f"so {n}", "channel": channel} for n in range(4)]
    return [{**row, "at": at / 60} for at, row in enumerate(rows)]


def test_a_prefix_is_found_where_a_bot_answers_it() -> None:
    orders = ["~brew green", "~brew black", "~stir"]
    assert asked(served(*orders)) == orders


def test_a_prefix_that_no_bot_answers_is_a_way_to_write() -> None:
    said = served("~so", "~well", "~yes", "~brew", answered=False)
    assert asked([*said, *served("hello")]) == []


def test_a_prefix_counts_in_its_own_channel_only() -> None:
    orders = ["~brew green", "~brew black", "~stir"]
    rows = [*served(*orders), *served("~brew", answered=False, channel="cellar")]
    numbered = [{**row, "id": number} for number, row in enumerate(rows)]
    assert asked(numbered) == orders


def test_an_answer_comes_within_a_minute() -> None:
    late = [{**row, "at": 60 * n} for n, row in enumerate(served("~a", "~b", "~c"))]
    assert asked(late) == []
