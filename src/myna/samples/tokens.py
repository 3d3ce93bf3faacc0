"""Segments to token ids and labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
import polars as pl

from myna.errors import ModelError
from myna.samples.rendering import CONTEXT, END, REPLY, Segment
from myna.samples.tokenizer import Tokenizer

Ints = npt.NDArray[np.int64]


def encode(
    segments: pl.DataFrame,
    tokenizer: Tokenizer,
    *,
    ends: npt.NDArray[np.bool_],
    bare: bool = True,
) -> pl.DataFrame:
    """Tokenise the text of each sample between its control tokens, and label the tokens.

    Each stretch of text without a control token is tokenised in one piece, whatever
    segments it is made of. A token that straddles two segments is trained only if both are.

    Args:
        segments: columns sample (0, 1, …, in order), text, label, control (whether it is a
            control token) and person (whose words a reply is); see `rendered.render`.
        tokenizer: the base model's.
        ends: for each sample, whether the model's end token stands behind it, trained as
            the last segment is.
        bare: whether the tokens that the model wants before any text go before each sample,
            untrained.

    Returns:
        One row for each sample: segments, ids, labels (one of `rendering`'s for each
        token) and replies: where a trained turn's words stand, tokens [start, end), whose
        they are, and how many characters.

    Raises:
        ModelError: the model has no such control token.
    """
    number, label, control = (segments[c].to_numpy() for c in ("sample", "label", "control"))
    # A unit is a control token, or all text up to the next one.
    begins = (np.diff(number, prepend=-1) != 0) | control
    begins[1:] |= control[:-1]
    unit_at = np.flatnonzero(begins)
    is_control = control[unit_at]
    spoken = segments.select("text", "control", unit=pl.Series(np.cumsum(begins)))
    texts = (
        spoken.filter(~pl.col("control"))
        .group_by("unit", maintain_order=True)
        .agg(pl.col("text").str.join())["text"]
    )
    tokens = (tokenizer if bare else tokenizer.within).encode_all(texts.to_list())
    sizes = np.where(control, 0, segments["text"].str.len_bytes().to_numpy()).astype(np.int64)
    of_byte = np.repeat(label, sizes)
    first, last = of_byte[tokens.starts], of_byte[np.maximum(tokens.ends - 1, tokens.starts)]
    marks = np.where(last == CONTEXT, CONTEXT, first)

    # Where each unit's tokens go; the model's own stand around those of each sample.
    counts = np.ones(len(unit_at), dtype=np.int64)
    counts[~is_control] = tokens.counts
    opening = tokenizer.bos if bare else ()
    sample = number[unit_at]
    size = np.bincount(sample, weights=counts, minlength=len(ends)).astype(np.int64)
    lengths = len(opening) + size + ends
    start = np.cumsum(lengths) - lengths
    unit_to = np.cumsum(counts) - counts - (np.cumsum(size) - size)[sample]
    unit_to += (start + len(opening))[sample]
    text_to = unit_to[~is_control] - (np.cumsum(tokens.counts) - tokens.counts)
    place = np.repeat(text_to, tokens.counts) + np.arange(len(marks))
    ids = np.zeros(lengths.sum(), dtype=np.int32)
    labels = np.full(len(ids), CONTEXT, dtype=np.uint8)
    ids[place] = tokens.ids
    labels[place] = marks
    written = segments["text"].gather(pl.Series(unit_at[is_control], dtype=pl.UInt32))
    known = {token: control_id(token, tokenizer) for token in written.unique()}
    ids[unit_to[is_control]] = written.replace_strict(known, return_dtype=pl.Int32).to_numpy()
    labels[unit_to[is_control]] = label[unit_at[is_control]]
    for at, token in enumerate(opening):
        ids[start + at] = token
    behind = (start + lengths - 1)[ends]
    ids[behind] = tokenizer.eos
    final = label[np.append(np.flatnonzero(np.diff(number)), len(label) - 1)[: len(ends)]]
    labels[behind] = np.where(final[ends] == CONTEXT, CONTEXT, END)

    replies = _replies(segments, np.cumsum(sizes), tokens.starts, marks, place, start)
    flat = pl.DataFrame(
        {"sample": np.repeat(np.arange(len(size)), lengths), "ids": ids, "labels": labels}
    )
    return (
        segments.group_by("sample", maintain_order=True)
        .agg(segments=pl.struct("text", "label", "control"))
        .with_columns(
            flat.group_by("sample", maintain_order=True).agg("ids", "labels").drop("sample")
        )
        .join(replies, on="sample", how="left", maintain_order="left")
        .with_columns(pl.col("replies").fill_null([]))
        .drop("sample")
    )


def _replies(
    segments: pl.DataFrame,
    to: Ints,
    starts: Ints,
    marks: npt.NDArray[np.uint8],
    place: Ints,
    begin: Ints,
) -> pl.DataFrame:
    """The runs of trained words of each sample, one for each turn or part of one.

    Args:
        segments: of all samples.
        to: the byte of all text that each of them ends with.
        starts: the byte that each token begins with.
        marks: the tokens' labels.
        place: where each token stands among all samples' tokens.
        begin: where each sample begins there.
    """
    is_reply = segments["label"] == REPLY
    begins = is_reply & ~is_reply.shift(1, fill_value=False)
    runs = (
        segments.with_columns(
            run=begins.cum_sum(), to=pl.Series(to), length=pl.col("text").str.len_chars()
        )
        .filter(is_reply)
        .group_by("run", maintain_order=True)
        .agg(
            pl.first("sample", "person"),
            pl.last("to"),
            begin=pl.first("to") - pl.first("text").str.len_bytes(),
            # Without the blank behind a name, or the newline before a later message.
            characters=pl.col("length").sum().cast(pl.Int32)
            - pl.first("text").str.contains(r"^[ \n]").cast(pl.Int32),
        )
    )
    start = np.searchsorted(starts, runs["begin"].to_numpy())
    end = np.searchsorted(starts, runs["to"].to_numpy())
    # A last token that goes on into what is not trained is not trained either.
    while (straddles := (end > start) & (marks[np.maximum(end, 1) - 1] != REPLY)).any():
        end = end - straddles
    found = pl.Series(end > start)
    runs, start, end = runs.filter(found), start[found], end[found]
    before = begin[runs["sample"].to_numpy()]
    return (
        runs.with_columns(
            start=pl.Series(place[start] - before, dtype=pl.Int32),
            end=pl.Series(place[end - 1] + 1 - before, dtype=pl.Int32),
        )
        .group_by("sample", maintain_order=True)
        .agg(replies=pl.struct("person", "start", "end", "characters"))
    )


def control_id(token: str, tokenizer: Tokenizer) -> int:
    """The id of a control token.

    Raises:
        ModelError: the model has none like it.
    """
    number = tokenizer.control_id(token)
    if number is None:
        raise ModelError(f"{tokenizer.folder} has no token {token}: run `myna prepare` again")
    return number


def prompt_ids(
    segments: Iterable[Segment], tokenizer: Tokenizer, *, bare: bool = True
) -> list[int]:
    """The ids of a prompt: token for token the beginning of the sample it stands in.

    Raises:
        ModelError: the model has no such control token.
    """
    ids = list(tokenizer.bos) if bare else []
    for is_control, run in groupby(segments, key=lambda segment: segment.control):
        if is_control:
            ids += [control_id(segment.text, tokenizer) for segment in run]
        else:
            text = "".join(segment.text for segment in run)
            ids += (tokenizer if bare else tokenizer.within).encode(text).ids
    return ids


def runs(labels: Sequence[int], wanted: int = REPLY) -> list[tuple[int, int]]:
    """The [start, end) runs of a label."""
    marks = np.concatenate(([0], (np.asarray(labels) == wanted).astype(np.int8), [0]))
    edges = np.flatnonzero(np.diff(marks))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
