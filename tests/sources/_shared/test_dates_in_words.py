"""Dates in the words, figures and calendars of many languages."""

# ruff: noqa: E501

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myna.sources._shared.dates_in_words import parse_in_words

NIGHT = datetime(2016, 11, 3, 23, 59, 50, tzinfo=UTC)
DAY = datetime(2024, 3, 1, 10, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "Thursday, November 3, 2016 at 11:59:50 PM UTC", "Donnerstag, 3. November 2016 um 23:59:50 UTC",
        "jeudi 3 novembre 2016 à 23:59:50 UTC", "jueves, 3 de noviembre de 2016, 23:59:50 UTC",
        "giovedì 3 novembre 2016 alle ore 23:59:50 UTC", "quinta-feira, 3 de novembro de 2016 às 23:59:50 UTC",
        "donderdag 3 november 2016 om 23:59:50 UTC", "torsdag den 3. november 2016 kl. 23.59.50 UTC",
        "torstai 3. marraskuuta 2016 klo 23.59.50 UTC", "2016. november 3., csütörtök 23:59:50 UTC",
        "czwartek, 3 listopada 2016 23:59:50 UTC", "čtvrtek 3. listopadu 2016 23:59:50 UTC",
        "joi, 3 noiembrie 2016, 23:59:50 UTC", "четверг, 3 ноября 2016 г. в 23:59:50 UTC",
        "четвер, 3 листопада 2016 р. о 23:59:50 UTC", "Πέμπτη 3 Νοεμβρίου 2016, 11:59:50 μ.μ. UTC",
        "3 Kasım 2016 Perşembe 23:59:50 UTC", "2016年11月3日木曜日 23:59:50 UTC",
        "2016년 11월 3일 목요일 오후 11시 59분 50초 UTC", "2016年11月3日星期四 UTC 下午11:59:50",
        "Thứ Năm, ngày 3 tháng 11 năm 2016 23:59:50 UTC", "วันพฤหัสบดีที่ 3 พฤศจิกายน พ.ศ. 2559 23:59:50 UTC",
        "יום חמישי, 3 בנובמבר 2016 23:59:50 UTC", "الخميس، 3 نوفمبر 2016 11:59:50 م UTC",
        "Kamis, 3 November 2016 23.59.50 UTC", "2016 m. lapkričio 3 d., ketvirtadienis 23:59:50 UTC",
    ],
)  # fmt: skip
def test_takeouts_dates(text: str) -> None:
    assert parse_in_words(text) == (NIGHT, True)
    assert parse_in_words(text.replace("UTC", "GMT+02:00")) == (
        NIGHT.replace(hour=21), True
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "1.03.2024 г. 10:05", "01-03-2024 10.05", "1/3/2024 10:05 π.μ.", "1.3.2024 10.05",
        "2024-03-01 10 h 05", "2024-03-01 오전 10:05", "1/3/2567 10:05", "2024/3/1 上午 10:05",
        "01.03.2024 10:05", "٠١/٠٣/٢٠٢٤ ١٠:٠٥", "۱۴۰۲/۱۲/۱۱ ۱۰:۰۵", "令和6年3月1日 10:05",
    ],
)  # fmt: skip
def test_short_dates_of_any_culture(text: str) -> None:
    assert parse_in_words(text) == (DAY, False)


@pytest.mark.parametrize(
    "text",
    [
        *("", "tea", "13:05", "at 10:05 of 2024", "1/3/1445 10:05", "31/2/2024 10:00", "x" * 200),
        *("Thursday, 3 May 99999999999999999999 10:05", "3 آبان 99999999999999999999 10:05"),
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert parse_in_words(text) is None


@pytest.mark.parametrize(
    ("persian", "ours"),
    [
        ("1399/12/30", (2021, 3, 20)), ("1400/01/01", (2021, 3, 21)), ("1403/01/01", (2024, 3, 20)),
        ("1395/08/13", (2016, 11, 3)), ("1402/10/11", (2024, 1, 1)), ("1404/06/31", (2025, 9, 22)),
    ],
)  # fmt: skip
def test_the_persian_calendar(persian: str, ours: tuple[int, int, int]) -> None:
    found = parse_in_words(f"{persian} 00:00")
    assert found is not None
    assert (found[0].year, found[0].month, found[0].day) == ours
