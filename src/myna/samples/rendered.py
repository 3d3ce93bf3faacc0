"""Many windows at once, rendered to segments: what `rendering.segments` says of one.

A sample's segments, in order: what opens it, the header; for each turn what goes from the
one before to it, and a segment for each line; what goes from the last one to the end, or to
who speaks after the window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from myna.samples.markup import TRANSCRIPT, Mark, Markup, Role
from myna.samples.rendering import CONTEXT, END, REPLY, escape_lines

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_ROLES: tuple[Role, ...] = ("other", "own", "start", "end")
_OTHER, _OWN, _START, _END = range(4)


@dataclass
class Rendered:
    """Segments of many samples, one after the other.

    `segments` has the columns sample (number), text, label, control (whether it is a control
    token) and person (who says it, null for what nobody says). `messages` are the rows of the
    messages that are trained.
    """

    segments: pl.DataFrame
    messages: list[int]


def render(
    lines: pl.DataFrame,
    windows: pl.DataFrame,
    markup: Markup = TRANSCRIPT,
    persona: str | None = None,
) -> Rendered:
    """Render windows.

    Args:
        lines: as `lines.lines` has them.
        windows: columns header, begin, start, end (line numbers, see `windows.Window`) and
            next_person (who speaks after it, or null).
        markup: of the rendering.
        persona: whose samples they are, where each persona has their own.
    """
    begin, start, end = (
        windows[name].to_numpy().astype(np.int64) for name in ("begin", "start", "end")
    )
    lengths = end - begin
    sample = np.repeat(np.arange(len(begin)), lengths)
    line = np.arange(lengths.sum()) + np.repeat(begin - np.cumsum(lengths) + lengths, lengths)
    shown = lines[line]
    trained = shown["trained"].to_numpy() & (line >= start[sample])
    turn = shown["turn"].to_numpy()
    first, last = np.cumsum(lengths) - lengths, np.cumsum(lengths) - 1
    opens = np.diff(turn, prepend=-1) != 0
    opens[first] = True
    closes = np.append(opens[1:], True)
    ended = closes & trained & shown["ends"].to_numpy()
    role = roles(shown["person"], markup, persona)

    # What goes from turn to turn: before the line that opens one, and behind the last.
    before = np.roll(role, 1)
    before[first] = _START
    follows = np.roll(ended, 1)
    follows[first] = False
    opening = _Steps(before * 4 + role, opens, shown["person"], follows, trained)
    followed = windows["next_person"].is_not_null().to_numpy()
    after = np.where(followed, roles(windows["next_person"], markup, persona), _END)
    always = np.ones(len(begin), dtype=bool)
    closing = _Steps(role[last] * 4 + after, always, windows["next_person"], ended[last], ~always)

    # Where each segment goes.
    head = len(markup.opening) + 1
    counts = opening.counts(markup) + 1
    tail = closing.counts(markup)
    offset = np.cumsum(counts) - counts + head * (sample + 1) + (np.cumsum(tail) - tail)[sample]
    header_at = offset[first] - 1
    body_at = offset + counts - 1
    total = int(counts.sum() + tail.sum() + head * len(begin))

    pool = _Pool(total)
    for place, mark in enumerate(markup.opening):
        pool.put(header_at - len(markup.opening) + place, pl.Series([mark.text]), mark)
    pool.put(header_at, windows["header"])
    pool.put(body_at, _bodies(shown, opens, role, markup))
    pool.label[body_at] = np.where(trained, REPLY, CONTEXT)
    for steps, at in ((opening, offset), (closing, body_at[last] + 1)):
        for rows, place, mark in steps.marks(markup):
            pool.put(at[rows] + place, steps.texts(rows, mark, markup), mark)
            pool.label[at[rows] + place] = steps.labels(rows, mark)
    speaker = np.full(total, -1, dtype=np.int64)
    speaker[body_at] = np.arange(len(line))
    opened = np.zeros(total, dtype=np.int64)
    opened[header_at - len(markup.opening)] = 1
    segments = pl.DataFrame(
        {
            "sample": np.cumsum(opened) - 1,
            "text": pool.texts(),
            "label": pool.label,
            "control": pool.control,
            "person": shown["person"].gather(pl.Series(speaker).replace(-1, None)),
        }
    )
    messages = shown["message"].filter(pl.Series(trained)).drop_nulls().to_list()
    return Rendered(segments, messages)


def roles(people: pl.Series, markup: Markup, persona: str | None) -> Ints:
    """Whether each of these people is the persona whose samples they are: `_OWN` or `_OTHER`."""
    if not markup.per_persona or persona is None:
        return np.full(len(people), _OTHER, dtype=np.int64)
    return (people == persona).fill_null(False).to_numpy().astype(np.int64)


def words(texts: pl.Series, opens: pl.Series, role: Ints, markup: Markup) -> pl.Series:
    """Lines as they stand in samples: those that could look like a turn are escaped."""
    escaped = np.isin(role, [_ROLES.index(one) for one in markup.escaped])
    if escaped.all():
        return escape_lines(texts, opens)
    rows = pl.Series(np.flatnonzero(escaped))
    return texts.scatter(rows, escape_lines(texts.gather(rows), opens.gather(rows)))


def _bodies(shown: pl.DataFrame, opens: Bools, role: Ints, markup: Markup) -> pl.Series:
    """The lines' words, with what they begin with."""
    lead = np.where(opens, role, 2)
    leads = pl.Series([markup.other_lead, markup.own_lead, "\n"]).gather(pl.Series(lead))
    return leads + words(shown["text"], pl.Series(opens), role, markup)


@dataclass
class _Steps:
    """Steps from one turn to the next.

    Attributes:
        kind: from which role to which, as 4 x from + to.
        taken: whether there is a step here at all.
        people: who speaks behind it.
        ended: whether the end of the turn before is trained.
        opened: whether the beginning of the turn behind is.
    """

    kind: Ints
    taken: Bools
    people: pl.Series
    ended: Bools
    opened: Bools

    def counts(self, markup: Markup) -> Ints:
        """The number of segments of each step."""
        known = np.zeros(16, dtype=np.int64)
        for step, marks in markup.between.items():
            known[_kind(step)] = len(marks)
        return np.where(self.taken, known[self.kind], 0)

    def marks(self, markup: Markup) -> Iterator[tuple[Ints, int, Mark]]:
        """Each mark of each kind of step: (the steps that have it, its place in them, it)."""
        for step, marks in markup.between.items():
            rows = np.flatnonzero(self.taken & (self.kind == _kind(step)))
            if len(rows):
                for place, mark in enumerate(marks):
                    yield rows, place, mark

    def texts(self, rows: Ints, mark: Mark, markup: Markup) -> pl.Series:
        """The texts of a mark in these steps; one text where it is always the same."""
        if not mark.named:
            return pl.Series([mark.text])
        people = self.people.gather(pl.Series(rows))
        called = {name: markup.called(name) for name in people.unique()}
        if any(name != other for name, other in called.items()):
            people = people.replace(called)
        return people + mark.text

    def labels(self, rows: Ints, mark: Mark) -> npt.NDArray[np.int64]:
        """The labels of a mark in these steps."""
        trained = {"ends": self.ended, "opens": self.opened}.get(mark.trained)
        return np.where(trained[rows], END, CONTEXT) if trained is not None else rows * 0 + CONTEXT


def _kind(step: str) -> int:
    before, _, after = step.partition(">")
    return 4 * _ROLES.index(before) + _ROLES.index(after)


class _Pool:
    """Segments put where they belong, their texts gathered at the end."""

    def __init__(self, total: int) -> None:
        self.label = np.full(total, CONTEXT, dtype=np.uint8)
        self.control = np.zeros(total, dtype=bool)
        self._order = np.zeros(total, dtype=np.int64)
        self._texts: list[pl.Series] = []
        self._size = 0

    def put(self, at: Ints, texts: pl.Series, mark: Mark | None = None) -> None:
        """Put texts there: one for each place, or one for all."""
        self._order[at] = self._size + (np.arange(len(at)) if len(texts) == len(at) else 0)
        self._texts.append(texts)
        self._size += len(texts)
        if mark is not None:
            self.control[at] = mark.control

    def texts(self) -> pl.Series:
        """All texts in order."""
        texts = [series.cast(pl.String).rename("text") for series in self._texts]
        return pl.concat(texts).gather(pl.Series(self._order))
