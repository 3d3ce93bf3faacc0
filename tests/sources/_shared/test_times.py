"""Times in the forms that exports have them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.sources._shared.times import UTC_TIME as UTC_
from myna.sources._shared.times import detect_day_first, in_datetime_range, parse_times

MOMENT = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)


def one(text: str | None, days_first: bool = True) -> tuple[datetime | None, bool]:
    row: tuple[datetime | None, bool] = parse_times([text], days_first).row(0)
    return row


@pytest.mark.parametrize(
    "text",
    [
        "2020-01-02T03:04:05+00:00",
        "2020-01-02T03:04:05Z",
        "2020-01-02 03:04:05 UTC",
        "2020-01-02 05:34:05+0230",
        "2020-01-02T05:04:05.000+02",
        "2020-01-01T20:04:05.0000000-07:00",
        "Thu, 2 Jan 2020 03:04:05 +0000",
        "Thursday, January 2, 2020 at 3:04:05 AM UTC",
        "1577934245",
        "1577934245.0",
        "1577934245000",
        "1577934245000000",
        "1577934245000000000",
        "1.577934245e9",
        " 1577934245 ",
    ],
)
def test_a_moment_in_any_form_that_names_its_zone(text: str) -> None:
    assert one(text) == (MOMENT, False)


@pytest.mark.parametrize(
    "text",
    [
        "2020-01-02 03:04:05",
        "2020-01-02T03:04:05.000000",
        "2020/1/2, 3:04:05",
        "02.01.2020 03:04:05",
        "2/1/20, 3:04:05 AM",
        "2/1/20, 3:04:05\u202fa.m.",
        "02-Jan-20 03:04:05",
        "2 January 2020 03:04:05",
        "Jan 2, 2020 at 3:04:05 am",
    ],
)
def test_without_a_zone_utc_is_assumed_and_said(text: str) -> None:
    assert one(text) == (MOMENT, True)


def test_a_date_is_its_midnight_and_noon_is_not() -> None:
    assert one("2020-01-02") == (datetime(2020, 1, 2, tzinfo=UTC), True)
    assert one("1660-01-01") == (datetime(1660, 1, 1, tzinfo=UTC), True)
    assert one("2/1/2020 12:30 AM") == (datetime(2020, 1, 2, 0, 30, tzinfo=UTC), True)
    assert one("2/1/2020 12:30 PM") == (datetime(2020, 1, 2, 12, 30, tzinfo=UTC), True)


def test_the_order_of_day_and_month_is_as_told() -> None:
    assert one("3/4/2020", True) == (datetime(2020, 4, 3, tzinfo=UTC), True)
    assert one("3/4/2020", False) == (datetime(2020, 3, 4, tzinfo=UTC), True)


def test_fractions_are_kept_to_the_microsecond() -> None:
    expected = MOMENT + timedelta(microseconds=123456)
    for text in (
        "2020-01-02T03:04:05.1234567Z",
        "2020-01-02 03:04:05,123456 UTC",
        "1577934245.123456",
        "1577934245123456",
        "1577934245123456789",
    ):
        assert one(text) == (expected, False)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "soon",
        "-",
        "\x00",
        "10:00",
        "2020-02-30",
        "2020-01-02 25:00",
        "31/31/2020",
        "Smarch 13, 2020",
        "12:30 2020-01-02 x",
        "1e400",
        "9" * 40,
    ],
)
def test_what_is_no_time_is_null(text: str | None) -> None:
    assert one(text) == (None, False)


def test_forms_may_be_mixed() -> None:
    mixed = ["2020-01-02T03:04:05Z", None, "1577934245", "02.01.2020 03:04:05", "soon"]
    table = parse_times(mixed)
    assert table["sent_at"].to_list() == [MOMENT, None, MOMENT, MOMENT, None]
    assert table["zone_assumed"].to_list() == [False, False, False, True, False]
    assert parse_times([]).is_empty()


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["1/2/20", "13/2/20"], (True, True)),
        (["1/2/20", "2/13/20"], (False, True)),
        (["28.1.20", "1.2.20"], (True, True)),
        (["1/2/20", "2/2/20", "3/2/20", "1/3/20"], (True, True)),
        (["2/1/20", "2/2/20", "2/3/20", "3/1/20"], (False, True)),
        (["2/1/20", "2/2/20", "2/4/20"], (False, True)),
        (["1/2/20"], (True, False)),
        (["2020-01-02", "1577934245", ""], (True, True)),
        ([], (True, True)),
    ],
)
def test_day_or_month_first_is_seen_from_the_whole(
    times: list[str], expected: tuple[bool, bool]
) -> None:
    assert detect_day_first(times) == expected


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


moments = st.integers(-14_700_000_000_000_000, 14_800_000_000_000_000).map(
    lambda micro: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micro)
)


@given(moment=st.builds(datetime.astimezone, moments, zones))
@settings(max_examples=200)
def test_iso_times_come_back(moment: datetime) -> None:
    naive = moment.replace(tzinfo=None)
    forms = [moment.isoformat(), moment.isoformat(" "), naive.isoformat()]
    expected = [moment, moment, naive.replace(tzinfo=UTC)]
    table = parse_times(forms)
    assert table["sent_at"].to_list() == expected
    assert table["zone_assumed"].to_list() == [False, False, True]


@pytest.mark.parametrize("text", ["0000-01-01T00:00:00+00:00", "+12345-01-01T00:00:00Z"])
def test_years_that_no_datetime_can_say_are_no_times(text: str) -> None:
    assert parse_times([text, "2020-01-01T00:00:00Z"])["sent_at"].to_list() == [
        None,
        datetime(2020, 1, 1, tzinfo=UTC),
    ]


def test_nor_are_such_numbers() -> None:
    last, first = 253_402_300_799, -62_135_596_800
    moments = pl.Series([first - 1, first, last, last + 1]) * 1_000_000
    said = pl.select(in_datetime_range(pl.lit(moments.cast(UTC_)))).to_series()
    assert said.is_null().to_list() == [True, False, False, True]
