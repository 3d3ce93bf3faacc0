"""Per-message features for the cleaning rules.

They are computed for one table at a time, whatever its size. To compare its messages with
those of other tables, a few numbers of each are enough (64-bit hashes stand for texts):

id              hash of the key: the same for the same message in another export
edited          true if the message was edited
first_rule      index of the first rule that the message itself meets, or the number of rules
is_candidate    true if rules about texts may decide on it
command_prefix  hash of a prefix that may be a bot's; or null
text_hash       hash of the text; null if it is no candidate
quoted_hash     hash of the text quoted behind > signs; or null
shape_hash      hash of the shape of a text that names its author; or null
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from myna.cleaning import detectors, near_duplicates, phrases
from myna.config import Rules
from myna.messages import MESSAGE_KEY

BLANK = r"^[\s\x{115f}\x{1160}\x{2800}\x{3164}\x{ffa0}]*$"
"""White space, and invisible letters that people type to send an empty message."""
MAX_NON_RESPONSE_CHARS = 60
LINKS_ONLY = r"^(?:[<(]?(?:https?://|www\.)\S+\s*)+$"
MENTIONS_ONLY = r"^\s*(?:@\w[\w\-]*(?:\.\w+)*[\s,:;.!?]*)+$"
PUNCTUATION = frozenset(" \t\n,:;.!?")
MAX_EXTRA_CHARS = 4
"""Characters for each mention, beside it, in a message of mentions only."""

Mask = NDArray[np.bool_]


class MessageFeatures(NamedTuple):
    """The features of each message of a table, in order; and its long texts."""

    rows: pl.DataFrame
    long_texts: near_duplicates.LongTexts


def extract(
    messages: pl.DataFrame,
    sent: pl.DataFrame,
    settings: Rules,
    rules: Sequence[str],
    dropping: Collection[str],
) -> MessageFeatures:
    """Extract the features of messages.

    Args:
        messages: with normalised texts, person, consent and excluded.
        sent: text and mentions as they were sent.
        settings: from `resolve_preset`.
        rules: the names of the active rules, in the order in which they decide.
        dropping: those of them that drop messages.
    """
    table = messages.select(
        *("consent", "kind", "text", "is_bot", "excluded", "mentions"),
        sent=sent["text"],
        spans=sent["mentions"],
        files=pl.col("attachments").list.len() > 0,
        size=pl.col("text").str.len_chars(),
        blank=pl.col("text").str.contains(BLANK),
    )
    masks = {
        mask.name: mask.to_numpy()
        for mask in table.select(**METADATA_DETECTORS).fill_null(False).get_columns()
        if mask.name in rules
    }
    dropped = np.zeros(table.height, np.bool_)
    for name, mask in masks.items():
        dropped |= mask if name in dropping else False
    is_candidate = pl.Series(~dropped) & (table["kind"] == "text") & ~table["blank"]
    candidates, rows = table.filter(is_candidate), is_candidate.arg_true()
    for name, detect in DETECTORS.items():
        if name in rules:
            masks[name] = np.zeros(table.height, np.bool_)
            masks[name][rows.to_numpy()] = detect(candidates, settings)
    first_rule = np.full(table.height, len(rules), np.uint8)
    for index in reversed(range(len(rules))):
        if rules[index] in masks:
            first_rule[masks[rules[index]]] = index
    prefix, quotation = detectors.COMMAND_PREFIX, detectors.QUOTE_MARK
    features = messages.select(pl.struct(*MESSAGE_KEY).hash().alias("id"), "edited").with_columns(
        first_rule=pl.Series(first_rule),
        is_candidate=is_candidate,
        command_prefix=_hash_of(table, pl.lit(True), prefix, detectors.command_prefix),
        text_hash=pl.when(is_candidate).then(table["text"].hash()),
        quoted_hash=_hash_of(table, is_candidate, quotation, detectors.quoted_text),
        shape_hash=_shape_hashes(messages, is_candidate),
    )
    long = near_duplicates.long_texts(candidates["text"], settings.long_copy)
    in_table = long.rows.with_columns(row=rows.gather(long.rows["row"]).cast(pl.UInt32))
    return MessageFeatures(features, near_duplicates.LongTexts(in_table, long.signatures))


MAX_SHAPE_CHARS = 160
"""A longer text is no notice."""


def _shape_hashes(messages: pl.DataFrame, is_candidate: pl.Series) -> pl.Series:
    """Hash the shapes of texts that name their author among the first words.

    A shape is the text with the author's name, quotations, figures and emoji replaced.
    """
    first = pl.col("author").str.split(" ").list.first()
    place = pl.col("text").str.find(first, literal=True)
    size = pl.col("text").str.len_chars()
    is_named = (first.str.len_chars() > 2) & (place < 20) & (size <= MAX_SHAPE_CHARS)
    shape = (
        pl.col("text")
        .str.split(pl.col("author"))
        .list.join("\1")
        .str.split(first)
        .list.join("\1")
        .str.replace_all(r"[\"“„«「『].*?[\"”“»」』]", "\2")
        .str.replace_all(r"[\p{So}\p{Sk}\x{fe0f}\x{200d}]+", "\3")
        .str.replace_all(r"\d+", "0")
    )
    wanted = is_named & pl.lit(is_candidate) & (shape.str.len_chars() > 8)
    return messages.select(pl.when(wanted.fill_null(False)).then(shape.hash())).to_series()


def _hash_of(
    table: pl.DataFrame,
    among: pl.Series | pl.Expr,
    pattern: str,
    transform: Callable[[pl.Series], pl.Series],
) -> pl.Series:
    """Hash the transformed texts that match a pattern; null for the others."""
    hashes = pl.repeat(None, table.height, dtype=pl.UInt64, eager=True)
    matching = pl.col("text").str.contains(pattern) & among
    rows = table.select(matching.fill_null(False)).to_series().arg_true()
    transformed = transform(table["text"].gather(rows))
    hashed = pl.select(pl.when(transformed.is_not_null()).then(transformed.hash())).to_series()
    return hashes.scatter(rows, hashed)


def _detect_among(
    candidates: pl.DataFrame, likely: pl.Expr, detect: Callable[[pl.DataFrame], pl.Series]
) -> Mask:
    """Run a slow detector on those messages only that meet a cheap condition."""
    mask = np.zeros(candidates.height, np.bool_)
    rows = candidates.select(likely.fill_null(False)).to_series().arg_true()
    if len(rows):
        mask[rows.to_numpy()] = detect(candidates[rows]).fill_null(False).to_numpy()
    return mask


def _bot_commands(candidates: pl.DataFrame, _: Rules) -> Mask:
    likely = pl.col("text").str.contains(detectors.COMMAND_PREFIX) & ~pl.col("is_bot")
    return _detect_among(candidates, likely, lambda rows: detectors.is_known_command(rows["text"]))


def _single_pings(candidates: pl.DataFrame, _: Rules) -> Mask:
    lengths = pl.col("spans").list.eval(pl.element().struct["end"] - pl.element().struct["start"])
    spans = pl.col("spans").list.len()
    rest = pl.col("sent").str.len_chars() - lengths.list.sum()
    mostly_mentions = (spans > 0) & (rest <= MAX_EXTRA_CHARS * spans)
    likely = mostly_mentions | pl.col("sent").str.contains(MENTIONS_ONLY)
    return _detect_among(candidates, likely, _has_only_mentions)


def _has_only_mentions(rows: pl.DataFrame) -> pl.Series:
    typed = rows["sent"].str.contains(MENTIONS_ONLY)
    marked: list[bool] = []
    for text, spans in rows.select("sent", "spans").iter_rows():
        characters = list(text)
        for span in spans:
            characters[span["start"] : span["end"]] = " " * (span["end"] - span["start"])
        marked.append(bool(spans) and not set(characters) - PUNCTUATION)
    return typed | pl.Series(marked, dtype=pl.Boolean)


def _links_only(candidates: pl.DataFrame, _: Rules) -> Mask:
    likely = pl.col("text").str.contains(r"^[<(]?(?:https?://|www\.)")
    return _detect_among(candidates, likely, lambda rows: rows["text"].str.contains(LINKS_ONLY))


def _pastes(candidates: pl.DataFrame, settings: Rules) -> Mask:
    long = settings.long_paste
    return _detect_among(
        candidates, pl.col("size") >= long, lambda rows: detectors.is_paste(rows["text"], long)
    )


def _quotations(candidates: pl.DataFrame, _: Rules) -> Mask:
    mask: Mask = detectors.is_attributed_quotation(candidates["text"]).fill_null(False).to_numpy()
    return mask


def _non_responses(candidates: pl.DataFrame, settings: Rules) -> Mask:
    anywhere = bool(settings.non_response_anywhere)
    pattern = phrases.non_response_pattern(settings.non_response_words, anywhere=anywhere)
    likely = (pl.col("size") <= MAX_NON_RESPONSE_CHARS) | pl.lit(anywhere)
    return _detect_among(candidates, likely, lambda rows: rows["text"].str.contains(pattern))


def _keyboard_mash(candidates: pl.DataFrame, _: Rules) -> Mask:
    is_word = pl.col("text").str.contains(detectors.ONE_WORD)
    likely = (pl.col("size") >= detectors.MIN_MASH_CHARS) & is_word
    return _detect_among(candidates, likely, lambda rows: detectors.is_keyboard_mash(rows["text"]))


METADATA_DETECTORS = {
    "filtered": pl.col("excluded"),
    "system": pl.col("kind") == "system",
    "bot": pl.col("is_bot") & (pl.col("consent") != "context"),
    "no-consent": pl.col("consent") == "no",
    "call": pl.col("kind") == "call",
    "deleted": pl.col("kind") == "deleted",
    "command": pl.col("kind") == "command",
    "forward": pl.col("kind") == "forward",
    "empty": pl.col("blank") & ~pl.col("files"),
    "media-only": pl.col("blank") & pl.col("files"),
    "consent-context": pl.col("consent") == "context",
}
"""Detectors of the rules about a message's metadata: all but its words."""

DETECTORS: dict[str, Callable[[pl.DataFrame, Rules], Mask]] = {
    "bot-command": _bot_commands,
    "single-ping": _single_pings,
    "link-only": _links_only,
    "paste": _pastes,
    "quotation": _quotations,
    "non-response": _non_responses,
    "keyboard-mash": _keyboard_mash,
}
"""Detectors of the rules about a message's text: each gets the candidates, normalised and as
sent (see `extract`), and the settings."""
