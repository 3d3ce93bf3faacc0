"""Render many windows at once: the same as `render.render_segments`, for millions.

tests/rendering/test_render_batch.py holds the two equal, for every rendering.

A sample's segments, in order: the opening, the header; for each turn the delimiters from the
one before to it, and a segment for each line; the delimiters from the last one to the end, or
to the next speaker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from myna.rendering.render import CONTEXT, END, REPLY
from myna.rendering.spec import TRANSCRIPT, Delimiter, RenderingSpec, Role
from myna.rendering.turns import escape_column

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_ROLES: tuple[Role, ...] = ("other", "own", "start", "end")
_OTHER, _OWN, _START, _END = range(4)


@dataclass
class RenderedBatch:
    """Segments of many samples, one after the other.

    `segments` has the columns sample (number), text, kind, control (True for a control token)
    and person (with whose words it is trained, null for context). `messages` are the rows of
    the messages that are trained.
    """

    segments: pl.DataFrame
    messages: list[int]


def render_batch(
    lines: pl.DataFrame,
    windows: pl.DataFrame,
    spec: RenderingSpec = TRANSCRIPT,
    persona: str | None = None,
) -> RenderedBatch:
    """Render windows.

    Args:
        lines: of `windows.lines`, `with_rendered_text`.
        windows: columns header, begin, start, end (line numbers, see `windows.Window`) and
            next_person (the speaker after it, or null).
        spec: the rendering.
        persona: the person whose samples they are, where each persona has their own.
    """
    rows, first, last = _window_lines(lines, windows)
    trained, opens = (rows[name].to_numpy() for name in ("trained", "opens"))
    ended = trained & rows["closes"].to_numpy() & rows["ends"].to_numpy()
    role = role_numbers(rows["person"], spec, persona)
    number = np.arange(rows.height)

    # From turn to turn: before the line that opens one, and behind the last.
    before, end_before = np.roll(role, 1), np.roll(np.where(ended, number, -1), 1)
    before[first], end_before[first] = _START, -1
    trained_line = np.where(trained, number, -1)
    opening = _Steps(before * 4 + role, opens, rows["person"], end_before, trained_line)
    following = windows["next_person"]
    after = np.where(following.is_not_null(), role_numbers(following, spec, persona), _END)
    always, none = np.full(len(last), True), np.full(len(last), -1)
    end_last = np.where(ended[last], last, -1)
    closing = _Steps(role[last] * 4 + after, always, following, end_last, none)

    # The position of each segment among all.
    sample = rows["sample"].to_numpy()
    head = len(spec.opening) + 1
    counts = opening.counts(spec) + 1
    tail = closing.counts(spec)
    offset = np.cumsum(counts) - counts + head * (sample + 1) + (np.cumsum(tail) - tail)[sample]
    header_at = offset[first] - 1
    line_at = offset + counts - 1
    table = _SegmentTable(int(counts.sum() + tail.sum() + head * len(first)))
    for i, delimiter in enumerate(spec.opening):
        table.put(header_at - len(spec.opening) + i, pl.Series([delimiter.text]), delimiter)
    table.put(header_at, windows["header"])
    for steps, at in ((opening, offset), (closing, line_at[last] + 1)):
        for chosen, i, delimiter in steps.delimiters(spec):
            table.put(at[chosen] + i, steps.texts(chosen, delimiter, spec), delimiter)
            table.line[at[chosen] + i] = steps.trained_with(chosen, delimiter)
    table.put(line_at, rows["rendered"])
    table.line[line_at] = trained_line
    kind = np.where(table.line >= 0, END, CONTEXT)
    kind[line_at[trained]] = REPLY
    begins = np.zeros(len(kind), dtype=np.int64)
    begins[header_at - len(spec.opening)] = 1
    segments = pl.DataFrame(
        {
            "sample": np.cumsum(begins) - 1,
            "text": table.texts(),
            "kind": kind.astype(np.uint8),
            "control": table.control,
            "person": rows["person"].gather(pl.Series(table.line).replace(-1, None)),
        }
    )
    return RenderedBatch(segments, rows["message"].filter(trained).drop_nulls().to_list())


def _window_lines(lines: pl.DataFrame, windows: pl.DataFrame) -> tuple[pl.DataFrame, Ints, Ints]:
    """The lines of each window, and the first and the last row of each.

    Added are sample (the window's number), opens and closes (True for the first and the last
    line of a turn there); lines that a window repeats are not `trained`.
    """
    begin, start, end = (
        windows[name].to_numpy().astype(np.int64) for name in ("begin", "start", "end")
    )
    lengths = end - begin
    sample = np.repeat(np.arange(len(begin)), lengths)
    line = np.arange(lengths.sum()) + np.repeat(begin - np.cumsum(lengths) + lengths, lengths)
    rows = lines[line]
    first, last = np.cumsum(lengths) - lengths, np.cumsum(lengths) - 1
    opens = np.diff(rows["turn"].to_numpy(), prepend=-1) != 0
    opens[first] = True
    added = {"sample": sample, "opens": opens, "closes": np.append(opens[1:], True)}
    is_own = pl.Series(line >= start[sample])
    rows = rows.with_columns(pl.col("trained") & is_own).hstack(pl.DataFrame(added))
    return rows, first, last


def role_numbers(people: pl.Series, spec: RenderingSpec, persona: str | None) -> Ints:
    """The role of each of these people in the samples of a persona: `_OWN` or `_OTHER`."""
    if not spec.per_persona or persona is None:
        return np.full(len(people), _OTHER, dtype=np.int64)
    return (people == persona).fill_null(False).to_numpy().astype(np.int64)


def with_rendered_text(
    lines: pl.DataFrame, spec: RenderingSpec, persona: str | None = None
) -> pl.DataFrame:
    """Add `rendered` to lines, their text in samples: a prefix and the escaped text.

    Lines that have it already keep it. A line is the same in all samples, as a window begins
    with a turn.
    """
    if "rendered" not in lines.columns:
        lines = lines.with_columns(rendered=pl.lit(None, pl.String))
    rendered = lines["rendered"]
    opens = lines["turn"].diff().fill_null(1) != 0
    rows = rendered.is_null().arg_true()
    new, opens = lines[rows], opens.gather(rows)
    role = role_numbers(new["person"], spec, persona)
    escaped = pl.Series([one in spec.escaped for one in _ROLES])
    escaped = escaped.gather(pl.Series(role)).arg_true()
    texts = new["text"]
    texts = texts.scatter(escaped, escape_column(texts.gather(escaped), opens.gather(escaped)))
    prefixes = pl.Series([spec.other_prefix, spec.own_prefix, "\n"])
    prefix = prefixes.gather(pl.Series(np.where(opens, role, 2)))
    return lines.with_columns(rendered=rendered.scatter(rows, prefix + texts))


@dataclass
class _Steps:
    """Steps from one turn to the next.

    Attributes:
        roles: the roles before and behind it, as 4 x before + behind.
        present: True if there is a step here at all.
        people: the speakers behind it.
        ends: the line whose trained turn ends here; -1 if none does.
        opens: the line whose trained turn begins here; -1 if none does.
    """

    roles: Ints
    present: Bools
    people: pl.Series
    ends: Ints
    opens: Ints

    def counts(self, spec: RenderingSpec) -> Ints:
        """The number of segments of each step."""
        sizes = np.zeros(16, dtype=np.int64)
        for step, delimiters in spec.between.items():
            sizes[_role_pair(step)] = len(delimiters)
        return np.where(self.present, sizes[self.roles], 0)

    def delimiters(self, spec: RenderingSpec) -> Iterator[tuple[Ints, int, Delimiter]]:
        """Each delimiter: (rows of the steps that have it, its index in them, delimiter)."""
        for step, delimiters in spec.between.items():
            rows = np.flatnonzero(self.present & (self.roles == _role_pair(step)))
            if len(rows):
                for i, delimiter in enumerate(delimiters):
                    yield rows, i, delimiter

    def texts(self, rows: Ints, delimiter: Delimiter, spec: RenderingSpec) -> pl.Series:
        """The texts of a delimiter in these steps; one text if it is always the same."""
        if not delimiter.named:
            return pl.Series([delimiter.text])
        people = self.people.gather(pl.Series(rows))
        names = {person: spec.written_name(person) for person in people.unique()}
        if any(person != name for person, name in names.items()):
            people = people.replace(names)
        return people + delimiter.text

    def trained_with(self, rows: Ints, delimiter: Delimiter) -> Ints:
        """The line with whose words a delimiter is trained in these steps; -1 if it is not."""
        lines = {"ends": self.ends, "opens": self.opens}.get(delimiter.trained)
        return np.full(len(rows), -1) if lines is None else lines[rows]


def _role_pair(step: str) -> int:
    before, _, after = step.partition(">")
    return 4 * _ROLES.index(before) + _ROLES.index(after)


class _SegmentTable:
    """Segments put at their positions, their texts gathered at the end.

    Attributes:
        line: the line with whose words each is trained; -1 if it is not.
        control: True for a control token.
    """

    def __init__(self, total: int) -> None:
        self.line = np.full(total, -1, dtype=np.int64)
        self.control = np.zeros(total, dtype=bool)
        self._order = np.zeros(total, dtype=np.int64)
        self._texts: list[pl.Series] = []
        self._size = 0

    def put(self, at: Ints, texts: pl.Series, delimiter: Delimiter | None = None) -> None:
        """Put texts at these positions: one for each, or one for all."""
        self._order[at] = self._size + (np.arange(len(at)) if len(texts) == len(at) else 0)
        self._texts.append(texts)
        self._size += len(texts)
        if delimiter is not None:
            self.control[at] = delimiter.control

    def texts(self) -> pl.Series:
        """All texts in order."""
        texts = [series.cast(pl.String).rename("text") for series in self._texts]
        return pl.concat(texts).gather(pl.Series(self._order))
