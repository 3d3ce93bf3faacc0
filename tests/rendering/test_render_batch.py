"""Many windows at once are rendered and encoded as the reference does it for each."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.chats import names, texts, thorough

from myna.messages import normalize_text
from myna.preparing.windows import split_into_windows, with_turns
from myna.rendering.encode import encode_batch, loss_mask
from myna.rendering.render import encode_segments, render_segments
from myna.rendering.render_batch import render_batch, with_rendered_text
from myna.rendering.spec import RenderingSpec
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import Turn, TurnLine, merge_turns

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
    frame = with_turns(frame.with_row_index("message").with_columns(piece=pl.lit(0)))
    return frame.with_columns(ends=pl.col("turn") % 3 != 0)


def turns_of(frame: pl.DataFrame) -> list[Turn]:
    """The turns of one conversation's lines."""
    columns = frame.select("person", "text", "trained", "message", "ends")
    said = [(who, TurnLine(*part), ends) for who, *part, ends in columns.iter_rows()]
    turns = merge_turns((who, part) for who, part, _ in said)
    ends = {part.message: ends for _, part, ends in said}
    return [Turn(turn.person, turn.lines, ends[turn.lines[-1].message]) for turn in turns]


def as_context(turn: Turn) -> Turn:
    """The same turn, nothing of it trained."""
    return replace(turn, lines=tuple(TurnLine(part.text) for part in turn.lines))


@settings(thorough, max_examples=25)
@given(st.lists(messages, min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 3))
def test_many_are_rendered_and_encoded_as_each_is(
    rendering_of: tuple[RenderingSpec, Tokenizer],
    rows: list[tuple[int, str, str, bool]],
    budget: int,
    overlap: int,
) -> None:
    spec, tokenizer = rendering_of
    persona = rows[0][1]
    lines = framed(rows)
    windows: list[tuple[str, int, int, int, str | None]] = []
    expected: list[list[tuple[str, int, bool, str | None]]] = []
    encoded: list[tuple[list[int], list[bool]]] = []
    trained: list[int | None] = []
    line = 0
    for _, own in lines.group_by("conversation", maintain_order=True):
        turns = turns_of(own)
        at = list(accumulate((len(turn.lines) for turn in turns), initial=line))
        for begin, start, end, _ in split_into_windows(
            [1] * len(turns), budget, min(overlap, budget - 1)
        ):
            goes_on = end < len(turns) and spec.predicts_next_speaker
            following = turns[end].person if goes_on else None
            header = f"Chat {len(windows)}.\n"
            windows.append((header, at[begin], at[start], at[end], following))
            shown = [*(as_context(turn) for turn in turns[begin:start]), *turns[start:end]]
            segments = render_segments(spec, header, shown, persona=persona, next_person=following)
            expected.append([(s.text, s.kind, s.control, s.person) for s in segments])
            encoded.append(
                encode_segments(
                    segments,
                    tokenizer,
                    add_special_tokens=spec.add_special_tokens,
                    add_eos=following is None,
                )
            )
            parts = [part for turn in turns[start:end] for part in turn.lines]
            trained += [part.message for part in parts if part.trained]
        line = at[-1]
    columns = {"header": pl.String, "begin": pl.Int64, "start": pl.Int64, "end": pl.Int64}
    schema = {**columns, "next_person": pl.String}
    lines = with_rendered_text(lines, spec, persona)
    made = render_batch(lines, pl.DataFrame(windows, schema=schema, orient="row"), spec, persona)
    found = made.segments.group_by("sample", maintain_order=True).agg(
        "text", "kind", "control", "person"
    )
    assert [list(zip(*four, strict=True)) for _, *four in found.iter_rows()] == expected
    assert made.messages == trained
    add_eos = np.array([following is None for *_, following in windows])
    samples = encode_batch(
        made.segments, tokenizer, add_eos=add_eos, add_special_tokens=spec.add_special_tokens
    )
    assert [
        (ids, loss_mask(len(ids), spans))
        for ids, spans in samples.select("ids", "target_spans").iter_rows()
    ] == encoded
