"""Find messages that stand in two exports of one chat under two keys.

One channel as JSON, CSV and TXT, or one chat from an Android and from an iPhone: the same
message has other ids, perhaps other accounts, and times that are rounded or of another zone.
It is the same if channel, author and words are, and the time is to the coarser of both.

Two exports are of one chat only if what they have in common shows it: most messages of the
time that both cover. So neither the last minute of one part and the first of the next, nor a
greeting in two channels of one name, makes a message the copy of another. The better export
wins: the one with the platform's ids, then replies, then seconds, then zones.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

import polars as pl

MIN_SHARE = 0.5
"""Of the messages in the time that two exports of one chat cover, so many are in both."""

ZONE_MINUTES = 15
"""All time zones are multiples of it from UTC."""

MAX_ZONE_MINUTES = 26 * 60

MIN_ELSEWHERE = 3
"""Common messages of two exports that name other servers or groups."""

PLACE = dict.fromkeys(("source", "channel_id", "thread", "space", "channel"), pl.String)
"""The columns that tell a place: those of a thread, and its names."""


def said_expr() -> pl.Expr:
    """A polars expression: a hash of who said what, whichever export says it."""
    name = pl.coalesce("handle", "author").str.replace(r"#\d{4}$", "").str.to_lowercase()
    words = pl.col("text").str.replace_all(r"\s+", " ").str.strip_chars()
    files = pl.col("attachments").list.eval(pl.element().struct["name"]).list.join("|")
    shown = pl.when(words == "").then(pl.concat_str(pl.lit("\0"), files)).otherwise(words)
    return pl.struct(name.alias("name"), shown.alias("words")).hash()


class _Stretch(NamedTuple):
    """The messages of one place in one export: rows [start, end) of the sorted table."""

    start: int
    end: int
    export: int
    thread: int
    first: int  # microseconds
    last: int
    has_ids: bool
    has_zone: bool
    has_seconds: bool
    replies: int

    @property
    def rank(self) -> tuple[bool, bool, bool, bool, int]:
        """The better export has the higher rank."""
        is_answered = self.replies > 0
        return self.has_ids, is_answered, self.has_seconds, self.has_zone, self.end - self.start


class Copies(NamedTuple):
    """A mask of the messages that are copies, and notes on the zones of their exports."""

    mask: pl.Series
    notes: list[str]


def find_copies(rows: pl.DataFrame, places: pl.DataFrame) -> Copies:
    """Find the messages that a better export of the same chat has, too.

    Args:
        rows: thread (a number), export, said, made_id, zone_assumed, sent_at, reply_to.
        places: `PLACE` by the number of the thread.
    """
    none = pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
    if rows["export"].n_unique() < 2 or not rows["made_id"].any():
        return Copies(none, [])
    table = rows.select(
        *("thread", "export", "said"),
        row=pl.int_range(pl.len()),
        time=pl.col("sent_at").to_physical(),
        made="made_id",
        assumed="zone_assumed",
        replied=pl.col("reply_to").is_not_null(),
    ).filter(pl.col("time").is_not_null())
    table = table.sort("thread", "export", "time", maintain_order=True)
    copies: set[int] = set()
    shifts: Counter[tuple[str, int]] = Counter()
    spaces = places["space"].fill_null("").to_list()
    for group in _groups(_stretches(table), places):
        for first, second in _pairs(group):
            better, worse = sorted((first, second), key=lambda one: one.rank, reverse=True)
            elsewhere = len({spaces[first.thread], spaces[second.thread]} - {""}) > 1
            common, shift = _common(table, better, worse, copies, elsewhere)
            copies.update(common)
            if common and shift and better.has_zone:
                shifts[places["source"][worse.thread], shift] += len(common)
    mask = none.scatter(sorted(copies), True) if copies else none
    return Copies(mask, [_zone_note(source, shift) for (source, shift), _ in shifts.most_common(3)])


def _zone_note(source: str, shift: int) -> str:
    """A note on an export of local times, of which another tells the zone; shift in microseconds.

    Zones named Etc/GMT-1 are an hour ahead of UTC.
    """
    hours = shift / 3_600_000_000
    side = "ahead of" if hours > 0 else "behind"
    guess = f'such as zones = ["{source}=Etc/GMT{-hours:+.0f}"]' if hours % 1 == 0 else "zones"
    return (
        f"an export of {source} has local times, {abs(hours):g} hours {side} UTC, as another one "
        f"of the same chat shows: set {guess} in [conversations], or the name of your zone"
    )


def _stretches(table: pl.DataFrame) -> list[_Stretch]:
    minute = 60_000_000
    found = (
        table.with_row_index("at")
        .group_by("thread", "export", maintain_order=True)
        .agg(
            pl.col("at").first().alias("start"),
            (pl.col("at").last() + 1).alias("end"),
            pl.col("time").min().alias("first"),
            pl.col("time").max().alias("last"),
            (~pl.col("made")).all().alias("has_ids"),
            (~pl.col("assumed")).all().alias("has_zone"),
            (pl.col("time") % minute != 0).any().alias("has_seconds"),
            pl.col("replied").sum().alias("replies"),
        )
    )
    return [_Stretch(**one) for one in found.iter_rows(named=True)]


def _groups(stretches: list[_Stretch], places: pl.DataFrame) -> list[list[_Stretch]]:
    """Stretches whose places may be the same: by id, or by name where the id is only a name."""
    groups: dict[tuple[str, str], list[_Stretch]] = defaultdict(list)
    ids, named = _place_keys(places)
    for stretch in stretches:
        groups[named[stretch.thread]].append(stretch)
    found: list[list[_Stretch]] = []
    for group in groups.values():
        by_id: dict[str | None, list[_Stretch]] = defaultdict(list)
        for stretch in group:
            by_id[ids[stretch.thread]].append(stretch)
        nameless = by_id.pop(None, [])
        if len(by_id) == 1 or not by_id:
            found.append([*nameless, *(one for same in by_id.values() for one in same)])
        else:  # several places have this name: which is meant is unknown
            found += [*by_id.values(), nameless]
    by_id_alone: dict[tuple[str, str], list[_Stretch]] = defaultdict(list)
    sources = places["source"].to_list()
    for stretch in stretches:
        if key := ids[stretch.thread]:
            by_id_alone[sources[stretch.thread], key].append(stretch)
    found += by_id_alone.values()  # a channel that was renamed
    return [group for group in found if len({one.export for one in group}) > 1]


def _place_keys(places: pl.DataFrame) -> tuple[list[str | None], list[tuple[str, str]]]:
    """For each thread its id (None if it is only made of names), and its source and name."""
    ids: list[str | None] = []
    names: list[tuple[str, str]] = []
    for source, channel_id, thread, space, channel in places.select(list(PLACE)).iter_rows():
        name, _, bracket = (thread or "").rpartition(" [")
        is_named_only = channel_id in (f"{space}/{channel}", f"/{channel}", channel)
        own = bracket.removesuffix("]") if name else None if is_named_only else channel_id
        ids.append(own)
        names.append((source, (name or thread or channel or "").casefold()))
    return ids, names


def _pairs(group: list[_Stretch]) -> list[tuple[_Stretch, _Stretch]]:
    """Pairs of exports that cover a common time, and whose ids do not decide by themselves."""
    slack = MAX_ZONE_MINUTES * 60_000_000
    ordered = sorted(group, key=lambda one: one.first)
    pairs = []
    open_: list[_Stretch] = []
    for stretch in ordered:
        open_ = [one for one in open_ if one.last + slack >= stretch.first]
        pairs += [
            (one, stretch)
            for one in open_
            if one.export != stretch.export and not (one.has_ids and stretch.has_ids)
        ]
        open_.append(stretch)
    return pairs


def _common(
    table: pl.DataFrame, better: _Stretch, worse: _Stretch, known: set[int], elsewhere: bool
) -> tuple[list[int], int]:
    """The rows of the worse export that the better one has too, and how its clock differs."""
    left = table[better.start : better.end].filter(~pl.col("row").is_in(list(known)))
    right = table[worse.start : worse.end].filter(~pl.col("row").is_in(list(known)))
    unit = 1_000_000 if better.has_seconds and worse.has_seconds else 60_000_000
    shift = _shift(left, right) if not (better.has_zone and worse.has_zone) else 0
    if shift is None:
        return [], 0
    left = _numbered(left.with_columns(pl.col("time") + shift), unit)
    right = _numbered(right, unit)
    both = left.join(right, on=["said", "unit", "turn"], how="inner")
    begin = max(left["unit"].min() or 0, right["unit"].min() or 0)
    end = min(left["unit"].max() or 0, right["unit"].max() or 0)
    inside = [side.filter(pl.col("unit").is_between(begin, end)).height for side in (left, right)]
    ends = (left["unit"].max(), right["unit"].min()), (right["unit"].max(), left["unit"].min())
    has_parts = not (better.has_ids or worse.has_ids)
    is_one = left["unit"].n_unique() == right["unit"].n_unique() == 1
    is_border = begin == end and has_parts and not is_one and (begin, begin) in ends
    least = max(MIN_ELSEWHERE, MIN_SHARE * min(left.height, right.height)) if elsewhere else 1
    if is_border or both.height < max(least, MIN_SHARE * min(inside)):
        return [], 0
    return both["row_right"].to_list(), shift


def _shift(left: pl.DataFrame, right: pl.DataFrame) -> int | None:
    """The time to add to the first export's times, in microseconds: a difference of zones."""
    pairs = left.select("said", "time").unique("said", keep="none").join(
        right.select("said", "time").unique("said", keep="none"), on="said"
    )  # fmt: skip
    if pairs.is_empty():
        return 0
    zone = ZONE_MINUTES * 60_000_000
    steps = pairs.select(
        step=((pl.col("time_right") - pl.col("time")) / zone).round().cast(pl.Int64)
    )["step"]
    counts = steps.value_counts(sort=True)
    best = int(counts["step"][0])
    if abs(best) * ZONE_MINUTES > MAX_ZONE_MINUTES:
        return None
    zero = steps.eq(0).sum()
    return 0 if zero >= counts["count"][0] else best * zone


def _numbered(side: pl.DataFrame, unit: int) -> pl.DataFrame:
    """The messages with their time in units, and a number for each of several equal ones."""
    return side.with_columns(unit=pl.col("time") // unit).with_columns(
        turn=pl.int_range(pl.len()).over("said", "unit")
    )
