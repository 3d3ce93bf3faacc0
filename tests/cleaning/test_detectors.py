"""Detectors of bot commands, keyboard mash, pastes and quotations."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from tests.chats import table

from myna.cleaning.detectors import (
    ONE_WORD,
    command_prefix,
    is_answered_by_bot,
    is_attributed_quotation,
    is_keyboard_mash,
    is_known_command,
    is_paste,
    quoted_text,
    quotes_others,
)


def asked(rows: list[dict[str, Any]]) -> list[str]:
    frame = table(rows).with_columns(thread="channel_id")
    answered_ = is_answered_by_bot(frame.with_columns(command_prefix=command_prefix(frame["text"])))
    return frame.filter(is_known_command(frame["text"]) | answered_)["text"].to_list()


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


def mash(text: str) -> bool:
    texts = pl.Series([text])
    return bool((texts.str.contains(ONE_WORD) & is_keyboard_mash(texts))[0])


@pytest.mark.parametrize(
    "text", ["asdfghjkl", "qwertyuiop", "ASDFASDF", "lkjhgfdsa", "hjkhjk", "zxcvbnm,.", "фывапролд"]
)
def test_a_run_along_a_row_of_keys(text: str) -> None:
    assert mash(text)


@pytest.mark.parametrize(
    "text",
    [
        "ajsksksk",
        "property",
        "were",
        "qwerty is a layout",
        "asdf",
        "",
        "aaaaaa",
        "123456",
        "skdjfhg",
        "привет",
    ],
)
def test_laughing_words_and_numbers_are_none(text: str) -> None:
    assert not mash(text)


CODE = """
def pour(cups):
    for cup in cups:
        if cup.empty():
            cup.fill(tea)
    return cups;
"""
LOG = "\n".join(f"2024-05-01 12:00:{n:02} ERROR kettle.boil: dry={n} [main]" for n in range(9))
TRACE = """Traceback (most recent call last):
  File "/srv/tea/kettle.py", line 12, in <module>
    boil(water=None)
  File "/srv/tea/kettle.py", line 7, in boil
    raise ValueError("no water in the kettle")
ValueError: no water in the kettle"""
JSON = '{"cups": [' + ", ".join(f'{{"id": {n}, "full": false}}' for n in range(12)) + "]}"
STORY = "So we went to the market (again), and it rained; nobody minded. Then we had tea.\n" * 6
LIST = "\n".join(
    f"- {word} for the picnic" for word in ("bread", "cheese", "tea", "jam", "figs", "cake")
)


@pytest.mark.parametrize("text", [f"look\n```{CODE * 3}```", LOG, TRACE, JSON])
def test_what_a_machine_wrote(text: str) -> None:
    assert is_paste(pl.Series([text]), 200).to_list() == [True]


@pytest.mark.parametrize(
    "text", [STORY, STORY.replace("\n", " "), LIST, f"`x = 1` {STORY}", "x" * 500]
)
def test_what_a_person_wrote(text: str) -> None:
    assert is_paste(pl.Series([text]), 200).to_list() == [False]


def test_a_short_fence_in_a_long_text_is_talk() -> None:
    assert is_paste(pl.Series([f"{STORY} ```{CODE}```"]), 400).to_list() == [False]


SAID = [("Ben", "we should all go"), ("Ana", "my own words"), ("Ben", "two\nlines here")]


def quotes(text: str) -> bool:
    talk = pl.DataFrame([*SAID, ("Ana", text)], schema=["person", "text"], orient="row")
    quoted = quoted_text(talk["text"])
    repeated = quotes_others(
        talk.with_columns(
            text_hash=talk["text"].hash(),
            quoted_hash=pl.when(quoted.is_not_null()).then(quoted.hash()),
        )
    )
    return bool(repeated[-1] or is_attributed_quotation(talk["text"])[-1])


@pytest.mark.parametrize(
    "text",
    [
        *("> we should all go", ">we should all go", "> two\n> lines here"),
        *("“I never said that” - Ben Bell", '"the tea is cold, always" — Ana, 2019'),
    ],
)
def test_somebody_elses_words(text: str) -> None:
    assert quotes(text)


@pytest.mark.parametrize(
    "text",
    [
        *("> be me\n> at the market", "> we should all go\nyes!", "> my own words", ">:("),
        *('"the tea is cold" - is it really?', '"tea" - Ana', "we should all go"),
    ],
)
def test_own_words(text: str) -> None:
    assert not quotes(text)
