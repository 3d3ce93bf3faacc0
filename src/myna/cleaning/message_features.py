"""Signs: what one message tells about itself, for rules that look at all of them.

A table is looked at by itself, whatever its size; what it takes to judge its messages
beside those of others are a few numbers of each (hashes of 64 bits stand for texts).

id         the message: the same for the same one in another export
edited     whether it was
met        number of the first rule that it meets by itself, or how many rules there are
open       whether rules about talk may decide on it
prefix     of a bot's command, perhaps; null for none
said       its text; null where it is not open
quotes     the text that it repeats behind signs of >; null for none
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

INVISIBLE = r"^[\s\x{115f}\x{1160}\x{2800}\x{3164}\x{ffa0}]*$"
"""Blanks, and letters of no ink, as they are typed to send nothing."""
SHORT = 60
"""Longest text that may be a non-response."""
LINK = r"^(?:[<(]?(?:https?://|www\.)\S+\s*)+$"
PING = r"^\s*(?:@\w[\w\-]*(?:\.\w+)*[\s,:;.!?]*)+$"
BESIDE = frozenset(" \t\n,:;.!?")
SPARE = 4
"""Signs beside each lone mention, at most."""

Mask = NDArray[np.bool_]


class Signs(NamedTuple):
    """Of each message of a table, in order; and its long texts."""

    rows: pl.DataFrame
    long: near_duplicates.Long


def read(
    messages: pl.DataFrame,
    sent: pl.DataFrame,
    settings: Rules,
    rules: Sequence[str],
    dropping: Collection[str],
) -> Signs:
    """The signs of messages.

    Args:
        messages: with normal texts, person, consent and left_out.
        sent: text and mentions as they were sent.
        settings: which are resolved.
        rules: the names of those that do something, in the order in which they decide.
        dropping: those of them that drop what meets them.
    """
    light = messages.select(
        *("consent", "kind", "text", "is_bot", "left_out", "mentions"),
        sent=sent["text"],
        spans=sent["mentions"],
        files=pl.col("attachments").list.len() > 0,
        size=pl.col("text").str.len_chars(),
        blank=pl.col("text").str.contains(INVISIBLE),
    )
    met = {
        mask.name: mask.to_numpy()
        for mask in light.select(**FACTS).fill_null(False).get_columns()
        if mask.name in rules
    }
    gone = np.zeros(light.height, np.bool_)
    for name, mask in met.items():
        gone |= mask if name in dropping else False
    is_open = pl.Series(~gone) & (light["kind"] == "text") & ~light["blank"]
    talk = light.filter(is_open)
    place = is_open.arg_true()
    for name, meets in DETECTORS.items():
        if name in rules:
            mask = np.zeros(light.height, np.bool_)
            mask[place.to_numpy()] = meets(talk, settings)
            met[name] = mask
    decided = np.full(light.height, len(rules), np.uint8)
    for number in reversed(range(len(rules))):
        if rules[number] in met:
            decided[met[rules[number]]] = number
    rows = messages.select(pl.struct(*MESSAGE_KEY).hash().alias("id"), "edited").with_columns(
        met=pl.Series(decided),
        open=is_open,
        prefix=_hashed(light, pl.lit(True), detectors.COMMAND_PREFIX, detectors.command_prefix),
        said=pl.when(is_open).then(light["text"].hash()),
        quotes=_hashed(light, is_open, detectors.MARKED, detectors.quoted_words),
    )
    long = near_duplicates.long_texts(talk["text"], settings.long_copy)
    in_table = long.rows.with_columns(row=place.gather(long.rows["row"]).cast(pl.UInt32))
    return Signs(rows, near_duplicates.Long(in_table, long.signs))


def _hashed(
    light: pl.DataFrame,
    among: pl.Series | pl.Expr,
    likely: str,
    make: Callable[[pl.Series], pl.Series],
) -> pl.Series:
    """The hash of what is made of texts that look like it, null of the others."""
    hashes = pl.repeat(None, light.height, dtype=pl.UInt64, eager=True)
    looks = pl.col("text").str.contains(likely) & among
    rows = light.select(looks.fill_null(False)).to_series().arg_true()
    made = make(light["text"].gather(rows))
    hashed = pl.select(pl.when(made.is_not_null()).then(made.hash())).to_series()
    return hashes.scatter(rows, hashed)


def _among(talk: pl.DataFrame, likely: pl.Expr, meets: Callable[[pl.DataFrame], pl.Series]) -> Mask:
    """Which messages meet something dear, of those that cheaply look like it."""
    found = np.zeros(talk.height, np.bool_)
    rows = talk.select(likely.fill_null(False)).to_series().arg_true()
    if len(rows):
        found[rows.to_numpy()] = meets(talk[rows]).fill_null(False).to_numpy()
    return found


def _commands(talk: pl.DataFrame, _: Rules) -> Mask:
    likely = pl.col("text").str.contains(detectors.COMMAND_PREFIX) & ~pl.col("is_bot")
    return _among(talk, likely, lambda rows: detectors.is_known_command(rows["text"]))


def _pings(talk: pl.DataFrame, _: Rules) -> Mask:
    named = pl.col("spans").list.eval(pl.element().struct["end"] - pl.element().struct["start"])
    spans = pl.col("spans").list.len()
    rest = pl.col("sent").str.len_chars() - named.list.sum()
    likely = ((spans > 0) & (rest <= SPARE * spans)) | pl.col("sent").str.contains(PING)
    return _among(talk, likely, _nothing_else)


def _nothing_else(talk: pl.DataFrame) -> pl.Series:
    bare = talk["sent"].str.contains(PING)
    alone: list[bool] = []
    for text, spans in talk.select("sent", "spans").iter_rows():
        signs = list(text)
        for span in spans:
            signs[span["start"] : span["end"]] = " " * (span["end"] - span["start"])
        alone.append(bool(spans) and not set(signs) - BESIDE)
    return bare | pl.Series(alone, dtype=pl.Boolean)


def _links(talk: pl.DataFrame, _: Rules) -> Mask:
    likely = pl.col("text").str.contains(r"^[<(]?(?:https?://|www\.)")
    return _among(talk, likely, lambda rows: rows["text"].str.contains(LINK))


def _pastes(talk: pl.DataFrame, settings: Rules) -> Mask:
    long = settings.long_paste
    return _among(talk, pl.col("size") >= long, lambda rows: detectors.is_paste(rows["text"], long))


def _quotations(talk: pl.DataFrame, _: Rules) -> Mask:
    return (
        talk.select(detectors.is_attributed(talk["text"]).fill_null(False)).to_series().to_numpy()
    )


def _non_responses(talk: pl.DataFrame, settings: Rules) -> Mask:
    anywhere = bool(settings.non_response_anywhere)
    pattern = phrases.no_response(settings.non_response_words, anywhere=anywhere)
    likely = (pl.col("size") <= SHORT) | pl.lit(anywhere)
    return _among(talk, likely, lambda rows: rows["text"].str.contains(pattern))


def _mash(talk: pl.DataFrame, _: Rules) -> Mask:
    likely = (pl.col("size") >= detectors.MIN_MASH_CHARS) & pl.col("text").str.contains(
        detectors.ONE_WORD
    )
    return _among(talk, likely, lambda rows: detectors.is_keyboard_mash(rows["text"]))


FACTS = {
    "filtered": pl.col("left_out"),
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
"""Detectors of rules about what is known of a message beside its words."""

DETECTORS: dict[str, Callable[[pl.DataFrame, Rules], Mask]] = {
    "bot-command": _commands,
    "single-ping": _pings,
    "link-only": _links,
    "paste": _pastes,
    "quotation": _quotations,
    "non-response": _non_responses,
    "keyboard-mash": _mash,
}
"""Detectors of rules about what is said: each is given the messages of talk, normal and as
sent (see `read`), and the settings."""
