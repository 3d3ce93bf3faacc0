"""Messages that only quote."""

from __future__ import annotations

import polars as pl
import pytest

from myna.cleaning.quotations import attributed, quoted, repeats

SAID = [("Ben", "we should all go"), ("Ana", "my own words"), ("Ben", "two\nlines here")]


def quotes(text: str) -> bool:
    talk = pl.DataFrame([*SAID, ("Ana", text)], schema=["person", "text"], orient="row")
    said = talk.with_columns(said=talk["text"].hash(), quotes=quoted(talk["text"]).hash())
    repeated = repeats(
        said.with_columns(pl.when(quoted(talk["text"]).is_not_null()).then("quotes"))
    )
    return bool(repeated[-1] or attributed(talk["text"])[-1])


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
