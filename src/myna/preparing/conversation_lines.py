"""Lines: the messages of conversations as samples show them, with what goes before them.

A late reply brings along what it answers; a page of a journal or an essay has a line in
front that says so, `[JOURNAL] 2020-01-31` or `[ESSAY] prompt`. Neither is trained.

conversation   number
person         who says it
text           with its attachments behind it, as short tokens such as `[image]`
trained        whether it is a training target
message        row of the message; null for context that is brought along, and for all
but the last piece of a very long message
turn           number: the consecutive lines of one person, or a piece of a very long turn
ends           whether the turn ends with its last line: not in such a piece
"""

from __future__ import annotations

import polars as pl

from myna.conversations import sessions
from myna.rendering.render import entry_line


def shown() -> pl.Expr:
    """A message's text with its attachments behind it, as short tokens such as `[image]`."""
    kind = pl.element().struct.field("kind")
    tokens = pl.col("attachments").list.eval("[" + kind + "]").list.join(" ")
    joined = pl.concat_str(pl.col("text"), tokens, separator=" ").str.strip_chars()
    return pl.when(pl.col("attachments").list.len() > 0).then(joined).otherwise("text")


def answered(kept: pl.DataFrame) -> pl.DataFrame:
    """What replies to other conversations bring along: row, and target, person and text of it."""
    said = kept.with_row_index("target").select("target", "person", text=shown())
    brought = sessions.find_reply_targets(kept).sort("row")
    return brought.join(said, on="target", maintain_order="left")


def lines(kept: pl.DataFrame, brought: pl.DataFrame | None = None) -> pl.DataFrame:
    """The lines of conversations of cleaned, split messages, in order.

    Args:
        kept: the messages.
        brought: what their replies bring along, as `answered` tells, where some of it is not
            among them.
    """
    said = kept.with_row_index("message").select(
        "conversation", "person", "trained", "message", text=shown()
    )
    brought = answered(kept) if brought is None else brought
    brought = brought.join(
        said.select("conversation", row="message"), on="row", maintain_order="left"
    ).unique(["conversation", "target"], keep="first", maintain_order=True)
    entries = kept.with_row_index("row").filter(pl.col("kind") == "entry")
    days = entries["sent_at"].dt.strftime("%Y-%m-%d")
    asked = entries.select("row", "conversation", "person").with_columns(
        pl.Series("text", map(entry_line, entries["thread"], days), pl.String)
    )
    if brought.height or asked.height:
        context = [
            before.select(
                "conversation",
                "person",
                pl.lit(False).alias("trained"),
                pl.lit(None, pl.UInt32).alias("message"),
                "text",
                at="row",
            )
            for before in (brought, asked)
        ]
        # A message stands right behind its context.
        said = (
            pl.concat([*context, said.with_columns(at="message")])
            .sort("at", maintain_order=True)
            .drop("at")
        )
    return numbered(said.with_columns(ends=pl.lit(True), piece=pl.lit(0, pl.Int32))).drop("piece")


def numbered(said: pl.DataFrame) -> pl.DataFrame:
    """Lines with their turns: a new one begins with another person, conversation or piece."""
    whose = pl.struct("conversation", "person", "piece")
    return said.with_columns(turn=(whose != whose.shift(1)).fill_null(False).cum_sum())
