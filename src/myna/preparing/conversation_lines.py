"""The lines of conversations: their messages as samples show them, with added context.

A late reply brings along the message that it answers; a page of a journal or an essay has a
line in front, `[JOURNAL] 2020-01-31` or `[ESSAY] prompt`. Neither is trained.

    conversation   number
    person         the author
    text           with its attachments behind it, as short tokens such as `[image]`
    trained        True for a training target
    message        row of the message; null for context that is brought along, and for all
                   but the last piece of a very long message
    turn           number: the consecutive lines of one person, or a piece of a very long turn
    ends           False in all but the last piece of a very long turn
"""

from __future__ import annotations

import polars as pl

from myna.conversations import sessions
from myna.rendering.turns import entry_line


def text_with_attachments() -> pl.Expr:
    """A message's text with its attachments behind it, as short tokens such as `[image]`."""
    kind = pl.element().struct.field("kind")
    tokens = pl.col("attachments").list.eval("[" + kind + "]").list.join(" ")
    joined = pl.concat_str(pl.col("text"), tokens, separator=" ").str.strip_chars()
    return pl.when(pl.col("attachments").list.len() > 0).then(joined).otherwise("text")


def lines(kept: pl.DataFrame, quoted: pl.DataFrame | None = None) -> pl.DataFrame:
    """The lines of conversations of cleaned, split messages, in order.

    Args:
        kept: the messages.
        quoted: the messages of other conversations that these reply to: row (of the reply),
            target (a number), person and text; None to look for them among `kept`.
    """
    own = kept.with_row_index("message").select(
        "conversation", "person", "trained", "message", text=text_with_attachments()
    )
    if quoted is None:
        targets = own.select("person", "text", target="message")
        answers = sessions.find_reply_targets(kept).sort("row")
        quoted = answers.join(targets, on="target", maintain_order="left")
    quoted = quoted.join(
        own.select("conversation", row="message"), on="row", maintain_order="left"
    ).unique(["conversation", "target"], keep="first", maintain_order=True)
    entries = kept.with_row_index("row").filter(pl.col("kind") == "entry")
    days = entries["sent_at"].dt.strftime("%Y-%m-%d")
    prompts = entries.select("row", "conversation", "person").with_columns(
        pl.Series("text", map(entry_line, entries["thread"], days), pl.String)
    )
    if quoted.height or prompts.height:
        context = [
            before.select(
                "conversation",
                "person",
                pl.lit(False).alias("trained"),
                pl.lit(None, pl.UInt32).alias("message"),
                "text",
                at="row",
            )
            for before in (quoted, prompts)
        ]
        # A message stands right behind its context.
        own = (
            pl.concat([*context, own.with_columns(at="message")])
            .sort("at", maintain_order=True)
            .drop("at")
        )
    return with_turns(own.with_columns(ends=pl.lit(True), piece=pl.lit(0, pl.Int32))).drop("piece")


def with_turns(lines: pl.DataFrame) -> pl.DataFrame:
    """Number the turns of lines: another person, conversation or piece begins a new one."""
    turn = pl.struct("conversation", "person", "piece")
    return lines.with_columns(turn=(turn != turn.shift(1)).fill_null(False).cum_sum())
