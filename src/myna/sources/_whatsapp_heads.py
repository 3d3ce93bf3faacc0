"""How WhatsApp's export writes the beginning of a message: its forms, dates and times."""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise
from typing import NamedTuple

import polars as pl

from myna.sources import _whatsapp_forms as forms

EARLIEST = 2009
"""The year of WhatsApp's first version."""

# Rust's regular expressions, which take linear time. None of them holds a nested group that
# can match the same characters in two ways.
_FIGURE = "[0-9٠-٩۰-۹०-९০-৯]"
_MARKS = f"[{forms.MARKS}]*"
_BLANK = "[ \u00a0\u202f\u2009]"
_BETWEEN = f"[\u200e\u200f]?[-./年月]{_BLANK}?[\u200e\u200f]?"
_DATE = (
    rf"(?<date>[HR]?{_FIGURE}{{1,4}}{_BETWEEN}{_FIGURE}{{1,2}}{_BETWEEN}[HR]?{_FIGURE}{{1,4}}"
    rf"(?:\.|日| ?г\.?| BE)?)"
)
_WORD = "[^0-9٠-٩۰-۹०-९০-৯ \u00a0\u202f\u2009\\[\\]:/,،-]+"
_BEFORE = f"(?<before>{_WORD}){_BLANK}?"
_CLOCK = (
    rf"(?<hour>{_FIGURE}{{1,2}})[:.](?<minute>{_FIGURE}{{2}})(?:[:.](?<second>{_FIGURE}{{2}}))?"
)
_AFTER = f"{_BLANK}?(?<after>{_WORD}(?:{_BLANK}{_WORD}){{0,3}})"
_COMMA = f"{_MARKS}[,،]?{_BLANK}*{_MARKS}"
WORDS = "words"
_TIMES = {
    "24 hours": _CLOCK,
    "a word before": f"{_BEFORE}{_CLOCK}",
    "a word behind": f"{_CLOCK}{_AFTER}",
    WORDS: f"(?:{_BEFORE})?{_CLOCK}(?:{_AFTER})?",
}


class Form(NamedTuple):
    """How a file writes the beginning of a message."""

    layout: str
    hours: str


FORMS = {
    Form(layout, hours): f"^{_MARKS}{begin}{first}{_COMMA}{second}{end}(?<rest>.*)$"
    for hours, time in _TIMES.items()
    for layout, begin, first, second, end in (
        ("dash", "", _DATE, time, f"{_BLANK}[-–]{_BLANK}"),
        ("brackets", rf"\[{_MARKS}", _DATE, time, rf"\]{_BLANK}?"),
        ("dash, time first", "", time, _DATE, f"{_BLANK}[-–]{_BLANK}"),
        ("brackets, time first", rf"\[{_MARKS}", time, _DATE, rf"\]{_BLANK}?"),
        ("colon", "", _DATE, time, f":{_BLANK}"),
    )
}
"""The beginnings of a message. A file has one of them throughout, so that a line of another
form is a text that somebody copied."""

SAMPLE = 2_000
"""Lines that tell a file's form."""

Order = tuple[int, int, int]
"""Where year, month and day stand in a date."""

ORDERS: dict[Order, str] = {(2, 1, 0): "day", (2, 0, 1): "month", (0, 1, 2): "year"}
"""The orders that there are, the likeliest first, and what then stands first."""


def found_form(lines: pl.Series) -> Form | None:
    """The form (of FORMS) that most of the first lines have; None where no line has any."""
    for some in (lines.head(SAMPLE), lines.slice(SAMPLE)):
        likely = [
            form
            for form, pattern in FORMS.items()
            if form.hours == WORDS and some.str.contains(pattern).any()
        ]
        if likely and (layout := _commonest(some, likely)):
            return _commonest(some, [form for form in FORMS if form.layout == layout.layout])
    return None


def _commonest(lines: pl.Series, forms: list[Form]) -> Form | None:
    """The form that most of the lines have, the first of several; None where none has any."""
    counts = {form: int(lines_by(lines, form)["begins"].sum()) for form in forms}
    best = max(forms, key=lambda form: counts[form])
    return best if counts[best] else None


def lines_by(lines: pl.Series, form: Form) -> pl.DataFrame:
    """Lines as a form sees them.

    Returns:
        Columns line, begins (whether it is a message's first; the others are null where it
        is not), date, time (seconds since midnight, null where there is no such time) and
        rest (what stands behind them).
    """
    found = lines.str.extract_groups(FORMS[form]).struct.unnest()
    none = pl.lit(None, pl.String)
    found = found.with_columns(none.alias(w) for w in ("before", "after") if w not in found)
    halves = {
        word: forms.half(word)
        for side in ("before", "after")
        for word in found[side].unique().drop_nulls()
    }
    strange = [word for word, half in halves.items() if half is None]
    later = [word for word, half in halves.items() if half == "p"]
    timed = [word for word, half in halves.items() if half]
    found = found.with_columns(
        _number(found[part]).alias(part) for part in ("hour", "minute", "second")
    )
    hour = pl.col("hour")
    either = [pl.col(side).fill_null("") for side in ("before", "after")]
    is_half = pl.any_horizontal(side.is_in(timed) for side in either) & (hour <= 12)
    is_later = pl.any_horizontal(side.is_in(later) for side in either)
    hour = pl.when(is_half).then(hour % 12 + 12 * is_later).otherwise(hour)
    minute, second = pl.col("minute"), pl.col("second").fill_null(0)
    there_is = (hour < 24) & (minute < 60) & (second < 61)
    is_word = pl.any_horizontal(side.is_in(strange) for side in either)
    return found.select(
        line=lines,
        begins=pl.col("date").is_not_null() & ~is_word,
        date="date",
        time=pl.when(there_is).then((hour * 60 + minute) * 60 + second),
        rest="rest",
    )


def _number(figures: pl.Series) -> pl.Series:
    """The number that figures of any script say."""
    number = figures.cast(pl.Int64, strict=False)
    if number.null_count() == figures.null_count():
        return number
    known = {text: int(text) for text in figures.unique().drop_nulls()}
    return figures.replace_strict(known, default=None, return_dtype=pl.Int64)


def order_of(dates: list[str]) -> tuple[Order, bool, bool]:
    """Where year, month and day stand in dates, whether that is clear, and whether certain."""
    dated = [fields(text) for text in dates]
    american = any(re.match(r"[1-9]/\d{1,2}/\d\d$", text) for text in dates)
    readings = []
    for order in sorted(ORDERS, key=lambda order: american and ORDERS[order] != "month"):
        read = [day_of(numbers, order) for numbers in dated]
        known = [day for day in read if day is not None and day.year >= EARLIEST]
        turns = sum(a > b for a, b in pairwise(known))
        changes = sum(a.day != b.day for a, b in pairwise(known))
        readings.append(((len(read) - len(known), turns, -changes), order, read))
    best = min(readings, key=lambda reading: reading[0])
    others = [(score, read) for score, order, read in readings if order != best[1]]
    # Hardly any language has a year of two figures in front.
    rivals = [(score, read) for score, order, read in readings if order[1:] != (1, 2)]
    is_clear = all(score > best[0] or read == best[2] for score, read in rivals)
    return best[1], is_clear, all(score[0] > best[0][0] for score, _ in others)


def fields(text: str) -> tuple[int, int, int]:
    """A date's three numbers, in the order in which they stand, years of Japan's eras as ours."""
    first, second, third = [int(number) for number in re.findall(r"\d+", text)][:3]
    for era, before in (("H", 1988), ("R", 2018)):
        if text.startswith(era):
            first += before
        elif era in text:
            third += before
    return first, second, third


def day_of(fields: tuple[int, int, int], order: Order) -> date | None:
    """The date, or None where there is no such day."""
    year, month, day = (fields[place] for place in order)
    if year < 100:
        year += 2000
    if 2400 < year < 2700:  # of the Buddhist era
        year -= 543
    try:
        return date(year, month, day) if year >= 1970 else None
    except ValueError:
        return None
