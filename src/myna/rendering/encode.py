"""The segments of many samples to token ids and target spans.

A target span is one person's trained turn with the tokens that open and end it, drawn in
`myna.rendering.render`; tests/rendering/test_render_batch.py holds the two equal. The spans
are all that is stored of a loss mask: `token_kinds` and `loss_mask` derive the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from myna.rendering.render import CONTEXT, END, REPLY
from myna.rendering.tokenizer import Tokenizer

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TARGET_SPAN = pl.Struct(
    {
        "person": pl.String,
        "start": pl.Int32,
        "end": pl.Int32,
        "words_start": pl.Int32,
        "words_end": pl.Int32,
        "characters": pl.Int32,
    }
)
"""Trained tokens [start, end) of a person, those of the words alone, and their characters."""


def trained_tokens() -> pl.Expr:
    """The number of trained tokens of each sample."""
    span = pl.element().struct
    return pl.col("target_spans").list.eval(span["end"] - span["start"]).list.sum()


def token_kinds(length: int, spans: Iterable[Mapping[str, Any]]) -> list[int]:
    """The kind of each of a sample's tokens: `CONTEXT`, `REPLY` (words) or `END`."""
    kinds = [CONTEXT] * length
    for span in spans:
        start, end = span["start"], span["end"]
        kinds[start:end] = [END] * (end - start)
        start, end = span["words_start"], span["words_end"]
        kinds[start:end] = [REPLY] * (end - start)
    return kinds


def loss_mask(
    length: int, spans: Iterable[Mapping[str, Any]], *, words_only: bool = False
) -> list[bool]:
    """True for each of a sample's tokens that has a loss.

    The first one has none: nothing stands before it that it could be predicted from.
    """
    mask = [False] * length
    edges = ("words_start", "words_end") if words_only else ("start", "end")
    for span in spans:
        start, end = max(1, span[edges[0]]), span[edges[1]]
        mask[start:end] = [True] * (end - start)
    return mask


def encode_batch(
    segments: pl.DataFrame, tokenizer: Tokenizer, *, add_eos: Bools, add_special_tokens: bool = True
) -> pl.DataFrame:
    """Tokenise the text of each sample between its control tokens, and find the target spans.

    All text between control tokens is tokenised in one piece. A token belongs to the segment
    that it begins in; it is trained only if the one that it ends in is trained as well.

    Args:
        segments: columns sample (0, 1, …, in order), text, kind, control (True for a control
            token) and person (with whose words a segment is trained, or null); see
            `render_batch`.
        tokenizer: the base model's.
        add_eos: for each sample, True to put the end token behind it, trained as the last
            segment is.
        add_special_tokens: True to put the base's BOS tokens before each sample, untrained.

    Returns:
        One row for each sample: segments, ids and target_spans (see `TARGET_SPAN`).

    Raises:
        ModelError: the model has no such control token.
    """
    kind, control = (segments[name].to_numpy() for name in ("kind", "control"))
    trained = kind != CONTEXT
    sample = segments["sample"].to_numpy()
    firsts = np.flatnonzero(np.diff(sample, prepend=-1))
    lasts = np.append(firsts[1:], len(sample))[: len(firsts)] - 1

    text_ids, begins_in, ends_in = _text_tokens(
        segments, tokenizer if add_special_tokens else tokenizer.after_control_token
    )
    controls, ended = np.flatnonzero(control), lasts[add_eos]
    opening = tokenizer.bos_ids if add_special_tokens else ()
    # A stable sort by segment puts all tokens in order, as these kinds of them are.
    segment = np.concatenate([*(firsts for _ in opening), begins_in, controls, ended])
    order = np.argsort(segment, kind="stable")
    ids = np.concatenate(
        [
            *(np.full(len(firsts), token) for token in opening),
            text_ids,
            _control_ids(segments["text"].filter(segments["control"]), tokenizer),
            np.full(len(ended), tokenizer.eos_id),
        ]
    )[order].astype(np.int32)
    kinds = np.concatenate(
        [
            np.full(len(firsts) * len(opening), CONTEXT),
            np.where(trained[ends_in], kind[begins_in], CONTEXT),
            kind[controls],
            np.where(trained[ended], END, CONTEXT),
        ]
    )[order]
    segment = segment[order]
    tokens = pl.DataFrame({"sample": sample[segment], "ids": ids})
    spans = _target_spans(segments, segment, kinds)
    return (
        segments.group_by("sample", maintain_order=True)
        .agg(segments=pl.struct("text", "kind", "control"))
        .with_columns(tokens.group_by("sample", maintain_order=True).agg("ids").drop("sample"))
        .join(spans, on="sample", how="left", maintain_order="left")
        .with_columns(pl.col("target_spans").fill_null([]))
        .drop("sample")
    )


def _text_tokens(segments: pl.DataFrame, tokenizer: Tokenizer) -> tuple[Ints, Ints, Ints]:
    """The tokens of all text: ids, and the segments that each begins and ends in."""
    # Control tokens and borders of samples cut the text into stretches.
    border = pl.struct("sample", pl.col("control").cum_sum())
    texts = segments.with_columns(stretch=border.rle_id()).filter(~pl.col("control"))
    joined = texts.group_by("stretch", maintain_order=True).agg(pl.col("text").str.join())
    tokens = tokenizer.encode_batch(joined["text"].to_list())
    sizes = segments.select(
        pl.when("control").then(0).otherwise(pl.col("text").str.len_bytes())
    ).to_series()
    of_byte = np.repeat(np.arange(segments.height), sizes.to_numpy())
    # Some tokenizers swap the offsets of neighbours; the tokens stay in order.
    begins_in = np.maximum.accumulate(of_byte[tokens.starts])
    return (
        tokens.ids.astype(np.int64),
        begins_in,
        of_byte[np.maximum(tokens.ends - 1, tokens.starts)],
    )


def _control_ids(written: pl.Series, tokenizer: Tokenizer) -> Ints:
    ids = {token: tokenizer.require_control_id(token) for token in written.unique()}
    return np.array([ids[token] for token in written], dtype=np.int64)


def _target_spans(segments: pl.DataFrame, segment: Ints, kinds: Ints) -> pl.DataFrame:
    """The target spans of each sample that has some: columns sample, target_spans.

    Args:
        segments: of all samples.
        segment: the segment of each token of all samples.
        kinds: the kind of each token.
    """
    # Two turns of one person never touch: something that is not trained stands between them.
    spans = segments.with_columns(span=pl.struct("sample", "person").rle_id())
    letters = pl.col("text").str.len_chars().sum().cast(pl.Int32)
    # Without the blank behind a name, or the newline before a later message.
    lead = pl.col("text").first().str.contains(r"^[ \n]").cast(pl.Int32)
    written = spans.filter(pl.col("kind") == REPLY).group_by("span", maintain_order=True)
    characters = written.agg(pl.first("person"), characters=letters - lead)

    sample = segments["sample"].to_numpy()[segment]
    begins = np.flatnonzero(np.diff(sample, prepend=-1))
    i = np.arange(len(segment)) - begins[sample]
    trained = np.flatnonzero(kinds != CONTEXT)
    number = spans["span"].to_numpy()[segment[trained]].astype(np.int64)
    first = np.flatnonzero(np.diff(number, prepend=-1))
    last = np.append(first[1:], len(trained))[: len(first)] - 1
    is_word = kinds[trained] == REPLY
    count = np.append(0, np.cumsum(is_word))
    count, before = count[last + 1] - count[first], count[first]
    words_start = i[trained[is_word]][np.minimum(before, max(0, is_word.sum() - 1))]
    table = pl.DataFrame(
        {
            "sample": sample[trained[first]],
            "span": number[first],
            "start": i[trained[first]],
            "end": i[trained[last]] + 1,
            "words_start": words_start,
            "words_end": words_start + count,
        },
    )
    return (
        table.with_columns(
            pl.exclude("sample", "span").cast(pl.Int32), pl.col("span").cast(pl.UInt32)
        )
        .filter(pl.Series(count > 0))  # else no token is theirs alone, and nothing is trained
        .join(characters, on="span", how="left", maintain_order="left")
        .group_by("sample", maintain_order=True)
        .agg(target_spans=pl.struct(field.name for field in TARGET_SPAN.fields))
    )
