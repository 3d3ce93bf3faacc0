"""The first look at a WhatsApp export: the format of its lines, its line ends, its group."""

from __future__ import annotations

import re
from itertools import groupby
from typing import NamedTuple

import polars as pl

from myna.sources import ChatFile, Tally
from myna.sources._shared import whatsapp_formats as forms
from myna.sources._shared.text import head_lines, read_blocks
from myna.sources._shared.whatsapp_lines import (
    DATE_ORDERS,
    DateOrder,
    LineFormat,
    detect_date_order,
    detect_line_format,
    parse_lines,
)
from myna.sources._shared.whatsapp_words import OMITTED_MEDIA

MAX_DATES = 100_000
"""Changes of the date from which the order of its fields is detected."""

# In `<Media omitted>`, after a mark, or in the name of a file.
_TORN = re.compile(
    r"(?:^|\s)[\u200e\u200f]?<(?:[^\W\d][^<>]*|[\u200e\u200f][^<>]*)?$|[\u200e\u200f]$"
    r"|^\u200e?(?:IMG|VID|PTT|AUD|STK|DOC|GIF)-[\w.-]*(?: \([^()]*)?$"
)


class Survey(NamedTuple):
    """The format of a file's lines and dates.

    Where messages end with CR LF, as iOS writes them, a line that ends with LF alone goes on.
    """

    form: LineFormat
    order: DateOrder
    has_returns: bool


def survey_file(file: ChatFile, tally: Tally) -> Survey | None:
    """Detect the line format and the date order; None for a file without messages.

    Only as many dates are read as it takes.
    """
    form, dates, order, is_clear = None, list[str](), None, True
    has_returns = None
    for block in read_blocks(file, Tally(), keep_returns=b"\n" in file.head):
        raw = split_lines(block)
        lines = raw.str.strip_suffix("\r")
        form = form or detect_line_format(lines)
        if form is None:
            continue
        heads = parse_lines(lines, form)
        if has_returns is None:
            ends = raw.str.ends_with("\r")
            before = ends.shift(1).filter(heads["begins"]).drop_nulls().extend(ends.tail(1))
            has_returns = bool(ends.any()) and before.sum() * 2 >= len(before)
        dates += [text for text, _ in groupby(heads.filter("begins")["date"])]
        order, is_clear, is_certain = detect_date_order(dates)
        if is_certain or len(dates) > MAX_DATES:
            break
    if form is None or order is None:
        return None
    if not is_clear:
        example = forms.normalize(dates[0])
        tally.notes.append(f"dates such as {example} were read with the {DATE_ORDERS[order]} first")
    return Survey(form, order, bool(has_returns))


def split_lines(block: str) -> pl.Series:
    """The lines of a block, which ends in a line end."""
    return pl.Series([block[:-1]]).str.split("\n").explode()


def parse_text(text: str, survey: Survey) -> pl.DataFrame:
    """Parse the lines of a text that begins behind the end of a line."""
    lines = split_lines(text)
    if not survey.has_returns:
        return parse_lines(lines, survey.form)
    ends = lines.str.ends_with("\r")
    parsed = parse_lines(lines.str.strip_suffix("\r"), survey.form)
    return parsed.with_columns(pl.col("begins") & ends.shift(1, fill_value=True), raw=lines)


_YOU = (
    "You ",
    "You're ",
    "Du ",
    "Vous ",
    "Tu ",
    "Hai ",
    "Sei ",
    "Você ",
    "Je ",
    "Вы ",
    "Ahora eres ",
)


def group_name(file: ChatFile, form: LineFormat, channel: str) -> str | None:
    """The group's name, if the app writes notices under it; None for a chat of two.

    All that stands under it in the first lines are notices: they begin with somebody's name or
    with "You", and the first speaks of encryption.
    """
    heads = parse_lines(pl.Series(head_lines(file, 1_000), dtype=pl.String), form).filter("begins")
    names, bodies = (column.to_list() for column in name_and_body(heads["rest"]))
    said = [(forms.normalize(name), text) for name, text in zip(names, bodies, strict=True) if name]
    authors = {name for name, _ in said}
    first = next((name for name, text in said[:20] if _is_first_notice(text)), None)
    group = first or channel
    if len(authors) < 3:
        return None
    typed = [text for name, text in said if name == group and not text.startswith("\u200e")]
    beginnings = (*(f"{name} " for name in authors), *_YOU)
    is_group = all(
        _is_first_notice(text) or forms.normalize(text).startswith(beginnings) for text in typed
    )
    marked = [text for name, text in said if name == group and text.startswith("\u200e")]
    has_media = any(forms.phrase_key(text) in OMITTED_MEDIA or "<" in text for text in marked)
    return group if first and typed and is_group and not has_media else None


def _is_first_notice(text: str) -> bool:
    return forms.normalize(text).startswith(forms.NOTICE_BEGINNINGS)


def is_whole_line(file: ChatFile, form: LineFormat, line: str) -> bool | None:
    """False for a last line that breaks off before its text."""
    parsed = parse_lines(pl.Series([line]), form)
    heads = parse_lines(pl.Series(head_lines(file), dtype=pl.String), form).filter("begins")
    if not parsed["begins"][0]:
        example = f"{heads['line'][0].removesuffix(heads['rest'][0])}a: " if heads.height else ""
        longer = pl.Series([line + example[i:] for i in range(len(example))], dtype=pl.String)
        return False if len(line) < 60 and parse_lines(longer, form)["begins"].any() else None
    name, body = name_and_body(parsed["rest"])
    if name[0] is not None:
        return False if not forms.strip_marks(body[0]).strip() or _TORN.search(body[0]) else None
    names = name_and_body(heads["rest"])[0].drop_nulls()
    return False if names.str.starts_with(parsed["rest"][0]).any() else None


def name_and_body(rest: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The author, null for notices, and the first line of the text."""
    parts = rest.str.splitn(": ", 2).struct.unnest()
    # A message without text may have lost the blank at its end.
    empty = parts["field_1"].is_null() & rest.str.ends_with(":")
    name = pl.when(empty).then(rest.str.strip_suffix(":")).when(parts["field_1"].is_not_null())
    body = parts["field_1"].fill_null("")
    return pl.select(name.then(parts["field_0"])).to_series(), body
