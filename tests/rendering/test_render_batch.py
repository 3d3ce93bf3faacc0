"""Many windows at once are rendered as each would be by itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.chats import names, texts, thorough

from myna.messages import normalize_text
from myna.preparing.conversation_lines import numbered
from myna.preparing.windows import cut
from myna.rendering import render
from myna.rendering.render import Part, Turn, merge
from myna.rendering.render_batch import render_batch, with_written
from myna.rendering.spec import Markup
from myna.rendering.tokenizer import Tokenizer

messages = st.tuples(
    st.integers(0, 1), names, texts.map(normalize_text).filter(bool), st.booleans()
)


def framed(rows: list[tuple[int, str, str, bool]]) -> pl.DataFrame:
    """Lines of two conversations; every third turn goes on in another window."""
    frame = pl.DataFrame(
        sorted(rows, key=lambda row: row[0]),
        schema=["conversation", "person", "text", "trained"],
        orient="row",
    )
    frame = numbered(frame.with_row_index("message").with_columns(piece=pl.lit(0)))
    return frame.with_columns(ends=pl.col("turn") % 3 != 0)


def turns_of(frame: pl.DataFrame) -> list[Turn]:
    """The turns of one conversation's lines."""
    columns = frame.select("person", "text", "trained", "message", "ends")
    said = [(who, Part(*part), ends) for who, *part, ends in columns.iter_rows()]
    turns = merge((who, part) for who, part, _ in said)
    ends = {part.message: ends for _, part, ends in said}
    return [Turn(turn.person, turn.parts, ends[turn.parts[-1].message]) for turn in turns]


def as_context(turn: Turn) -> Turn:
    """The same turn, nothing of it trained."""
    return replace(turn, parts=tuple(Part(part.text) for part in turn.parts))


@settings(thorough, max_examples=25)
@given(st.lists(messages, min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 3))
def test_many_are_rendered_as_each_is(
    rendering_of: tuple[Markup, Tokenizer],
    rows: list[tuple[int, str, str, bool]],
    room: int,
    overlap: int,
) -> None:
    markup, _ = rendering_of
    persona = rows[0][1]
    lines = framed(rows)
    windows: list[tuple[str, int, int, int, str | None]] = []
    expected: list[list[tuple[str, int, bool, str | None]]] = []
    trained: list[int | None] = []
    line = 0
    for _, own in lines.group_by("conversation", maintain_order=True):
        turns = turns_of(own)
        at = list(accumulate((len(turn.parts) for turn in turns), initial=line))
        for begin, start, end, _ in cut([1] * len(turns), room, min(overlap, room - 1)):
            goes_on = end < len(turns) and markup.names_next
            following = turns[end].person if goes_on else None
            header = f"Chat {len(windows)}.\n"
            windows.append((header, at[begin], at[start], at[end], following))
            shown = [*(as_context(turn) for turn in turns[begin:start]), *turns[start:end]]
            segments = render.segments(
                markup, header, shown, persona=persona, next_person=following
            )
            expected.append([(s.text, s.label, s.control, s.person) for s in segments])
            parts = [part for turn in turns[start:end] for part in turn.parts]
            trained += [part.message for part in parts if part.trained]
        line = at[-1]
    columns = {"header": pl.String, "begin": pl.Int64, "start": pl.Int64, "end": pl.Int64}
    schema = {**columns, "next_person": pl.String}
    lines = with_written(lines, markup, persona)
    made = render_batch(lines, pl.DataFrame(windows, schema=schema, orient="row"), markup, persona)
    found = made.segments.group_by("sample", maintain_order=True).agg(
        "text", "label", "control", "person"
    )
    assert [list(zip(*four, strict=True)) for _, *four in found.iter_rows()] == expected
    assert made.messages == trained
