"""Parse times in the formats of exports, to UTC."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl

from myna.sources._shared.dates_in_words import parse_in_words

UTC_TIME = pl.Datetime("us", "UTC")

# "26-Jun-19 06:26 PM", "2020-01-02T03:04:05.678+05:30", "Mon, 2 Jan 2006 15:04:05 -0700".
# The date is everything before the time of day; the zone may be absent.
_PARTS = (
    r"^\s*(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?"
    r"(?<date>[^:]*?)[\s,]*(?:at\s+)?T?"
    r"(?:(?<hour>\d{1,2}):(?<minute>\d\d)(?::(?<second>\d\d)(?:[.,](?<fraction>\d+))?)?"
    r"\s*(?:(?<half>[AaPp])\.?\s?[Mm]\b\.?)?"
    r"\s*(?<zone>Z|z|(?:UTC|GMT)?(?:(?<sign>[+-])(?<hours>\d\d):?(?<minutes>\d\d)?)?))?\s*$"
)
_NUMBER = r"^\s*[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?\s*$"
_NUMERIC_DATE = re.compile(r"\s*(\d{1,2})[./-]\s?(\d{1,2})[./-]\s?(\d{4}|\d\d)\b")
_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}


def parse_times(values: Iterable[str | None], day_first: bool = True) -> pl.DataFrame:
    """Parse times in any usual format: columns ``sent_at`` and ``zone_assumed``.

    ISO 8601, numbers since 1970 (seconds, or by their size milli-, micro- or nanoseconds),
    and dates in words or figures with or without a time of day. A time without a zone is
    taken for UTC and marked ``zone_assumed``; a number is UTC. Dates in the words of any
    language, in other figures, and of the Buddhist or Persian calendar are read by
    `dates_in_words`. An unknown format gives null.

    Args:
        values: one text or None for each message.
        day_first: True if 3/4/2020 is the third of April, not the fourth of March.
    """
    frame = pl.DataFrame({"text": values}, schema={"text": pl.String})
    iso = pl.col("text").str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    frame = frame.with_columns(sent_at=_of_our_calendar(iso), zone_assumed=pl.lit(False))
    if frame["sent_at"].null_count() == frame["text"].null_count():
        return frame.drop("text")
    parts = frame.select(
        "sent_at", _since_1970().alias("number"), pl.col("text").str.extract_groups(_PARTS)
    ).unnest("text")
    parts = parts.with_columns(
        pl.col("date").str.replace_all(r"[,./\s-]+", "/").str.strip_chars("/").str.splitn("/", 3)
    ).unnest("date")
    parts = parts.with_columns(month_0=_month("field_0"), month_1=_month("field_1"))
    written = _of_our_calendar(_date(day_first) + _time_of_day() - _zone())
    read = parts.with_columns(written=written).select(
        sent_at=in_datetime_range(pl.coalesce("sent_at", "number", "written")),
        zone_assumed=pl.coalesce("sent_at", "number").is_null()
        & pl.col("written").is_not_null()
        & (pl.col("zone").fill_null("") == ""),
    )
    return _with_words(frame["text"], read, day_first)


def _of_our_calendar(time: pl.Expr) -> pl.Expr:
    """The time, or null if its year is of another calendar, or Python cannot represent it."""
    year = time.dt.year()
    return pl.when(year.is_between(1, 1378) | year.is_between(1501, 2442)).then(time)


def _with_words(texts: pl.Series, read: pl.DataFrame, day_first: bool) -> pl.DataFrame:
    """Read the times that are still unread one by one, each text once."""
    unread = read["sent_at"].is_null() & texts.is_not_null() & texts.str.contains(r"\d")
    if not unread.any():
        return read
    known = {text: parse_in_words(text[:200], day_first) for text in texts.filter(unread).unique()}
    found = [known.get(text) if text else None for text in texts.to_list()]
    moments = pl.Series([one and one[0] for one in found], dtype=UTC_TIME)
    assumed = pl.Series([bool(one and not one[1]) for one in found], dtype=pl.Boolean)
    return read.with_columns(
        sent_at=pl.coalesce("sent_at", pl.when(unread).then(moments)),
        zone_assumed=pl.when(unread & moments.is_not_null())
        .then(assumed)
        .otherwise("zone_assumed"),
    )


EARLIEST_YEARS = {
    "discord": 2015,
    "whatsapp": 2009,
    "telegram": 2013,
    "signal": 2010,
    "slack": 2009,
    "messenger": 2004,
    "instagram": 2010,
    "google_chat": 2005,
    "imessage": 2007,
    "irc": 1988,
    "generic": 1900,
}
"""The years in which platforms began, by source: an earlier time cannot be."""

EARLIEST_YEAR = 2000


def possible_times(times: pl.Series, source: str) -> pl.Series:
    """A mask of the times that a platform can have: since it began, and not a year from now."""
    if source == "journal":
        return pl.repeat(True, len(times), dtype=pl.Boolean, eager=True)
    begin = datetime(EARLIEST_YEARS.get(source, EARLIEST_YEAR), 1, 1, tzinfo=UTC)
    end = datetime.now(UTC) + timedelta(days=366)
    return (times >= begin) & (times <= end)


def detect_day_first(times: Iterable[str]) -> tuple[bool, bool]:
    """True if dates in figures have the day before the month; and True if that is certain.

    A field above 12 is a day. Otherwise, the reading in which dates run backwards less
    often is taken, then the one in which days change more often than months.
    """
    fields = [match.groups() for time in times if (match := _NUMERIC_DATE.match(time))]
    dates = [(int(first), int(second), int(year)) for first, second, year in fields]
    if any(first > 12 for first, _, _ in dates):
        return True, True
    if any(second > 12 for _, second, _ in dates):
        return False, True
    firsts, seconds = [first for first, _, _ in dates], [second for _, second, _ in dates]
    by_day = (_turns([(year, second, first) for first, second, year in dates]), _changes(seconds))
    by_month = (_turns([(year, first, second) for first, second, year in dates]), _changes(firsts))
    return by_day <= by_month, by_day != by_month or not dates


def _turns(dates: list[tuple[int, int, int]]) -> int:
    """The number of steps that run against the direction of most."""
    later = sum(a < b for a, b in pairwise(dates))
    earlier = sum(a > b for a, b in pairwise(dates))
    return min(later, earlier)


def _changes(field: list[int]) -> int:
    """The number of changes of a field of the date."""
    return sum(a != b for a, b in pairwise(field))


# The commonest forms, which `parse_times` reads as well; its start takes as long as hundreds.
_ISO = re.compile(
    r"((?:19[7-9]|20[0-6])\d-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)"
)
_FIGURES = re.compile(
    r"(\d{1,2})[./-](\d{1,2})[./-]((?:19[7-9]|20[0-6])\d) (\d{1,2}):(\d\d)(?:\s([AP])M)?"
)


def is_newest_first(times: Sequence[str], day_first: bool) -> bool:
    """True if of the times that can be read the first is later than the last."""
    if len(times) < 2:
        return False
    ends = [_common_time(time, day_first) for time in (times[0], times[-1])]
    if ends[0] and ends[1]:
        return ends[0] > ends[1]
    read = parse_times(times, day_first)["sent_at"].drop_nulls()
    return len(read) > 1 and bool(read[0] > read[-1])


def _common_time(text: str, day_first: bool) -> datetime | None:
    """A time in one of the commonest forms; None for any other."""
    try:
        if match := _ISO.fullmatch(text):
            micro = int((match[2] or "0")[:6].ljust(6, "0"))
            return datetime.fromisoformat(match[1] + match[3]).replace(microsecond=micro)
        if match := _FIGURES.fullmatch(text):
            first, second, year, hour, minute = map(int, match.groups()[:5])
            day, month = (first, second) if day_first else (second, first)
            if match[6]:
                hour = hour % 12 + 12 * (match[6] == "P") if 1 <= hour <= 12 else 24
            return datetime(year, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        pass
    return None


def in_datetime_range(time: pl.Expr) -> pl.Expr:
    """The time, or null if Python's datetime cannot represent its year."""
    return pl.when(time.dt.year().is_between(1, 9999)).then(time)


def _since_1970() -> pl.Expr:
    """Times given as numbers: seconds below 1e11 (year 5138), then milli-, micro-, nanoseconds."""
    text = pl.col("text").str.strip_chars()
    whole = text.cast(pl.Int64, strict=False)
    number = pl.when(text.str.contains(_NUMBER)).then(text.cast(pl.Float64, strict=False))
    micro = (
        pl.when(number.abs() < 1e11)
        .then((number * 1e6).round())
        .when(number.abs() < 1e14)
        .then((number * 1e3).round())
        .when(number.abs() < 1e17)
        .then(pl.coalesce(whole, number.round()))
        .when(number.abs() < 1e20)
        .then(pl.coalesce(whole // 1000, (number / 1000).round()))
    )
    return micro.cast(pl.Int64, strict=False).cast(UTC_TIME)


def _date(day_first: bool) -> pl.Expr:
    """Midnight of the date: year first, month in words, or figures in the given order."""
    first, second, third = (pl.col(f"field_{n}") for n in range(3))
    month = pl.coalesce("month_0", "month_1")
    year_first = first.str.len_chars() == 4
    month_first = pl.col("month_0").is_not_null() | (month.is_null() & pl.lit(not day_first))
    written = pl.when(year_first).then(first).otherwise(third)
    year = written.cast(pl.Int32, strict=False)
    century = pl.when(written.str.len_chars() > 2).then(0).otherwise(1900)
    century = century + pl.when((century > 0) & (year < 70)).then(100).otherwise(0)
    figure = pl.when(month_first & ~year_first).then(first).otherwise(second)
    day = pl.when(year_first).then(third).when(month_first).then(second).otherwise(first)
    date = pl.format(
        "{}-{}-{}", year + century, pl.coalesce(month, figure.cast(pl.Int8, strict=False)), day
    )
    return date.str.to_date("%Y-%m-%d", strict=False).cast(UTC_TIME)


def _month(field: str) -> pl.Expr:
    """A month's number from its English name, or null."""
    return pl.col(field).str.slice(0, 3).str.to_lowercase().replace_strict(_MONTHS, default=None)


def _time_of_day() -> pl.Expr:
    """The duration since midnight; zero for a date without a time of day."""
    hour = pl.col("hour").cast(pl.Int64)
    afternoon = pl.col("half").str.to_lowercase() == "p"
    hour = pl.when(pl.col("half").is_null()).then(hour).otherwise(hour % 12 + 12 * afternoon)
    minute, second = pl.col("minute").cast(pl.Int64), pl.col("second").cast(pl.Int64)
    micro = pl.col("fraction").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64)
    given = [part.fill_null(0) for part in (hour, minute, second, micro)]
    is_valid = (given[0] < 24) & (given[1] < 60) & (given[2] < 61)
    seconds = (given[0] * 60 + given[1]) * 60 + given[2]
    return pl.when(is_valid).then(pl.duration(seconds=seconds, microseconds=given[3]))


def _zone() -> pl.Expr:
    """The zone's offset from UTC."""
    minutes = pl.col("hours").cast(pl.Int64).fill_null(0) * 60
    minutes += pl.col("minutes").cast(pl.Int64).fill_null(0)
    sign = pl.when(pl.col("sign") == "-").then(-1).otherwise(1)
    return pl.duration(minutes=minutes * sign)
