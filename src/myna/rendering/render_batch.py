"""Many windows at once: the same as `render.segments`, the reference, for millions.

tests/samples/test_rendered.py holds the two equal, for every rendering.

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

from myna.rendering.render import CONTEXT, END, REPLY, escape_lines
from myna.rendering.spec import TRANSCRIPT, Mark, Markup, Role

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_ROLES: tuple[Role, ...] = ("other", "own", "start", "end")
_OTHER, _OWN, _START, _END = range(4)


@dataclass
class Rendered:
    """Segments of many samples, one after the other.

    `segments` has the columns sample (number), text, label, control (whether it is a control
    token) and person (whose words it is trained with, null for what is not trained). `messages`
    are the rows of the messages that are trained.
    """

    segments: pl.DataFrame
    messages: list[int]


def render_batch(
    lines: pl.DataFrame,
    windows: pl.DataFrame,
    markup: Markup = TRANSCRIPT,
    persona: str | None = None,
) -> Rendered:
    """Render windows.

    Args:
        lines: as `lines.lines` has them, `with_written`.
        windows: columns header, begin, start, end (line numbers, see `windows.Window`) and
            next_person (who speaks after it, or null).
        markup: of the rendering.
        persona: whose samples they are, where each persona has their own.
    """
    shown, first, last = _windowed(lines, windows)
    trained, opens = (shown[name].to_numpy() for name in ("trained", "opens"))
    ended = trained & shown["closes"].to_numpy() & shown["ends"].to_numpy()
    role = roles(shown["person"], markup, persona)
    number = np.arange(shown.height)

    # What goes from turn to turn: before the line that opens one, and behind the last.
    before, end_before = np.roll(role, 1), np.roll(np.where(ended, number, -1), 1)
    before[first], end_before[first] = _START, -1
    trained_here = np.where(trained, number, -1)
    opening = _Steps(before * 4 + role, opens, shown["person"], end_before, trained_here)
    following = windows["next_person"]
    after = np.where(following.is_not_null(), roles(following, markup, persona), _END)
    always, nothing = np.full(len(last), True), np.full(len(last), -1)
    end_last = np.where(ended[last], last, -1)
    closing = _Steps(role[last] * 4 + after, always, following, end_last, nothing)

    # Where each segment goes.
    sample = shown["sample"].to_numpy()
    head = len(markup.opening) + 1
    counts = opening.counts(markup) + 1
    tail = closing.counts(markup)
    offset = np.cumsum(counts) - counts + head * (sample + 1) + (np.cumsum(tail) - tail)[sample]
    header_at = offset[first] - 1
    body_at = offset + counts - 1
    pool = _Pool(int(counts.sum() + tail.sum() + head * len(first)))
    for i, mark in enumerate(markup.opening):
        pool.put(header_at - len(markup.opening) + i, pl.Series([mark.text]), mark)
    pool.put(header_at, windows["header"])
    for steps, at in ((opening, offset), (closing, body_at[last] + 1)):
        for rows, i, mark in steps.marks(markup):
            pool.put(at[rows] + i, steps.texts(rows, mark, markup), mark)
            pool.line[at[rows] + i] = steps.trained_with(rows, mark)
    pool.put(body_at, shown["written"])
    pool.line[body_at] = trained_here
    label = np.where(pool.line >= 0, END, CONTEXT)
    label[body_at[trained]] = REPLY
    begins = np.zeros(len(label), dtype=np.int64)
    begins[header_at - len(markup.opening)] = 1
    segments = pl.DataFrame(
        {
            "sample": np.cumsum(begins) - 1,
            "text": pool.texts(),
            "label": label.astype(np.uint8),
            "control": pool.control,
            "person": shown["person"].gather(pl.Series(pool.line).replace(-1, None)),
        }
    )
    messages = shown["message"].filter(shown["trained"]).drop_nulls().to_list()
    return Rendered(segments, messages)


def _windowed(lines: pl.DataFrame, windows: pl.DataFrame) -> tuple[pl.DataFrame, Ints, Ints]:
    """The lines of each window, and the first and the last row of each.

    Added are sample (the window's number), opens and closes (whether it is the first and the
    last line of its turn there); what a window repeats is not `trained`.
    """
    begin, start, end = (
        windows[name].to_numpy().astype(np.int64) for name in ("begin", "start", "end")
    )
    lengths = end - begin
    sample = np.repeat(np.arange(len(begin)), lengths)
    line = np.arange(lengths.sum()) + np.repeat(begin - np.cumsum(lengths) + lengths, lengths)
    shown = lines[line]
    first, last = np.cumsum(lengths) - lengths, np.cumsum(lengths) - 1
    opens = np.diff(shown["turn"].to_numpy(), prepend=-1) != 0
    opens[first] = True
    added = {"sample": sample, "opens": opens, "closes": np.append(opens[1:], True)}
    is_own = pl.Series(line >= start[sample])
    shown = shown.with_columns(pl.col("trained") & is_own).hstack(pl.DataFrame(added))
    return shown, first, last


def roles(people: pl.Series, markup: Markup, persona: str | None) -> Ints:
    """Whether each of these people is the persona whose samples they are: `_OWN` or `_OTHER`."""
    if not markup.per_persona or persona is None:
        return np.full(len(people), _OTHER, dtype=np.int64)
    return (people == persona).fill_null(False).to_numpy().astype(np.int64)


def with_written(lines: pl.DataFrame, markup: Markup, persona: str | None = None) -> pl.DataFrame:
    """Lines with `written`, as they stand in samples: what they begin with, and escaped words.

    Lines that have it already keep it. A line stands in all samples alike, as a window
    begins where a turn does.
    """
    if "written" not in lines.columns:
        lines = lines.with_columns(written=pl.lit(None, pl.String))
    known = lines["written"]
    opens = lines["turn"].diff().fill_null(1) != 0
    rows = known.is_null().arg_true()
    some, opens = lines[rows], opens.gather(rows)
    role = roles(some["person"], markup, persona)
    escaped = pl.Series([_ROLES[one] in markup.escaped for one in range(4)])
    escaped = escaped.gather(pl.Series(role)).arg_true()
    words = some["text"]
    words = words.scatter(escaped, escape_lines(words.gather(escaped), opens.gather(escaped)))
    leads = pl.Series([markup.other_lead, markup.own_lead, "\n"])
    lead = leads.gather(pl.Series(np.where(opens, role, 2)))
    return lines.with_columns(written=known.scatter(rows, lead + words))


@dataclass
class _Steps:
    """Steps from one turn to the next.

    Attributes:
        kind: from which role to which, as 4 x from + to.
        taken: whether there is a step here at all.
        people: who speaks behind it.
        ends: the line whose trained turn ends here; -1 where none does.
        opens: the line whose trained turn begins here; -1 where none does.
    """

    kind: Ints
    taken: Bools
    people: pl.Series
    ends: Ints
    opens: Ints

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

    def trained_with(self, rows: Ints, mark: Mark) -> Ints:
        """The line with whose words a mark is trained in these steps; -1 where it is not."""
        lines = {"ends": self.ends, "opens": self.opens}.get(mark.trained)
        return np.full(len(rows), -1) if lines is None else lines[rows]


def _kind(step: str) -> int:
    before, _, after = step.partition(">")
    return 4 * _ROLES.index(before) + _ROLES.index(after)


class _Pool:
    """Segments put where they belong, their texts gathered at the end.

    Attributes:
        line: with whose words each is trained; -1 where it is not.
        control: whether each is a control token.
    """

    def __init__(self, total: int) -> None:
        self.line = np.full(total, -1, dtype=np.int64)
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
