"""The rules about messages, each with a name, an action and a reason.

Of the rules that a message meets, one that drops it decides before one that keeps it as
context, and of several the first in `RULES`. What meets none is trained, if its author may
be cloned. `[rules]` of myna.toml changes the actions by name.

`preset = "seed"` does what the recipe did that myna comes from: it drops lone mentions,
all messages that have a non-response in them, poor conversations and those that somebody
ends, and takes away every @.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from myna.cleaning import commands, copies, filters, quotations, signs, texts
from myna.cleaning.ledger import EXAMPLES, Action, Ledger, Row
from myna.cleaning.signs import Signs
from myna.config import Filter, Rules
from myna.messages import PLACE


@dataclass(frozen=True)
class Rule:
    """A named rule.

    `action` is what it does by default: drop, or context (stays in prompts, never
    trained); `seed` what it does in the preset of that name, where it differs. One that
    `[rules]` does not have is fixed.
    """

    name: str
    action: str
    why: str
    seed: str = ""


RULES = (
    Rule("filtered", "drop", "left out by [filter]"),
    Rule("duplicate", "drop", "the same message in two exports"),
    Rule("system", "drop", "a notice of the platform"),
    Rule("bot", "drop", "written by a bot"),
    Rule("no-consent", "drop", "the author's consent is no"),
    Rule("call", "drop", "a call"),
    Rule("deleted", "drop", "deleted by its author"),
    Rule("command", "drop", "a bot was commanded"),
    Rule("forward", "drop", "somebody else's words, passed on"),
    Rule("empty", "drop", "nothing in it"),
    Rule("bot-command", "drop", "typed for a bot", "keep"),
    Rule("media-only", "context", "an attachment without words"),
    Rule("single-ping", "context", "nothing but a mention", "drop"),
    Rule("link-only", "context", "nothing but a link", "keep"),
    Rule("paste", "context", "code or a log, pasted", "keep"),
    Rule("quotation", "context", "nothing but others' words", "keep"),
    Rule("copypasta", "context", "a long text that goes round", "keep"),
    Rule("repeated", "context", "nearly a long text that was there before", "keep"),
    Rule("non-response", "context", "laughing, or a word that answers nothing", "drop"),
    Rule("keyboard-mash", "context", "a run along the keyboard", "keep"),
    Rule("consent-context", "context", "the author's consent is context"),
)

DESCRIPTIONS = {
    "kept": "a person's words, trained",
    "tune": "held out to stop training early",
    "test": "held out to report on",
}


def resolved(settings: Rules) -> Rules:
    """The settings with those of the preset where nothing else is said."""
    seed = settings.preset == "seed"
    chosen: dict[str, Any] = {
        rule.name.replace("-", "_"): (rule.seed if seed and rule.seed else rule.action)
        for rule in RULES
        if rule.name.replace("-", "_") in Rules.model_fields
    }
    chosen |= {
        "ender": "drop" if seed else "end",
        "low_quality": "drop" if seed else "keep",
        "at_sign": "all" if seed else "mentions",
    }
    given = {name: value for name, value in settings if value != ""}
    plain: dict[str, Any] = {"repair": False, "repeats": 0} if seed else {}
    return settings.model_copy(update={**chosen, **given, **plain})


def action(settings: Rules, name: str) -> str:
    """What a rule does, by settings that are `resolved`."""
    fixed = next((rule.action for rule in RULES if rule.name == name), "keep")
    return str(getattr(settings, name.replace("-", "_"), fixed))


def acting(settings: Rules) -> tuple[list[str], set[str]]:
    """The rules that do something, in the order in which they decide, and which of them drop."""
    acts = {rule.name: action(settings, rule.name) for rule in RULES}
    dropping = {name for name, act in acts.items() if act == "drop"}
    wanted = (name for name, act in acts.items() if act != "keep")
    return sorted(wanted, key=lambda name: name not in dropping), dropping


class Looked(NamedTuple):
    """Messages with normal texts, and their signs."""

    messages: pl.DataFrame
    signs: Signs


def look(messages: pl.DataFrame, settings: Rules) -> Looked:
    """What a table of messages tells by itself.

    Its texts become normal, with their `characters` of before: those of the tidy text, which
    the ledger counts.

    Args:
        messages: with `person`, `consent` (myna.people.accounts.assign) and `left_out`
            (myna.cleaning.filters).
        settings: which are `resolved`.
    """
    sent = messages.select(pl.col("text").fill_null(""), "mentions")
    normal = texts.normalised(messages, settings)
    return Looked(normal, signs.read(normal, sent, settings, *acting(settings)))


def decide(rows: pl.DataFrame, long: copies.Long, settings: Rules) -> pl.Series:
    """The name of the rule that decides on each message, or null.

    A duplicate is a message with the key of another; one that was edited, or else the one
    read last, stays.

    Args:
        rows: the signs of all messages, with place, person, is_bot and sent_at; the messages
            of a place in order.
        long: their long texts.
        settings: which are `resolved`.
    """
    names, _ = acting(settings)
    again = _again(rows)
    met: dict[str, NDArray[np.bool_]] = {"duplicate": again.to_numpy()}
    is_open = (rows["open"] & ~again).to_numpy()
    if "bot-command" in names:
        met["bot-command"] = commands.answered(rows).to_numpy() & is_open
    if "quotation" in names:
        open_ = rows.with_columns(
            pl.when(pl.lit(pl.Series(is_open))).then(pl.col("said", "quotes"))
        )
        met["quotation"] = quotations.repeats(open_).to_numpy()
    if {"copypasta", "repeated"} & set(names):
        stay = pl.Series(is_open).gather(long.rows["row"])
        among = copies.Long(long.rows.filter(stay), long.signs)
        met |= copies.found(among, rows["person"])
    decided = rows["met"].to_numpy().copy()
    for name, mask in met.items():
        if name in names:
            decided[mask] = np.minimum(decided[mask], names.index(name))
    return pl.Series([*names, None], dtype=pl.String).gather(decided)


def clean(
    messages: pl.DataFrame,
    ledger: Ledger,
    chosen: Filter | None = None,
    settings: Rules | None = None,
) -> pl.DataFrame:
    """The messages that stay of a table, in their order, with normal texts.

    New columns: `trained` (may be a target), `rule` (which one made it context, or null)
    and `characters`. The ledger gets a row for each rule that dropped something; messages
    that stay get theirs later, when it is known where they end up.

    Args:
        messages: with `person` and `consent` (myna.people.accounts.assign).
        ledger: is written to.
        chosen: those that do not fit are left out.
        settings: what each rule does.
    """
    settings = resolved(settings or Rules())
    left_out = filters.left_out(messages, chosen or Filter())
    looked = look(messages.with_columns(left_out=left_out), settings)
    place = pl.struct(*PLACE).rank("dense").alias("place")
    known = looked.messages.select(place, "person", "is_bot", "sent_at")
    rows, long = looked.signs
    rule = decide(rows.hstack(known), long, settings)
    judged = looked.messages.drop("left_out").with_columns(rule=rule)
    ledger.messages += judged.height
    ledger.characters += int(judged["characters"].sum())
    return settle(judged, ledger, [(rule.name, rule.why) for rule in RULES], settings)


Quote = Callable[[pl.DataFrame], pl.DataFrame]
"""Gives a few messages with their person and text."""


def settle(
    judged: pl.DataFrame,
    ledger: Ledger,
    rules: Iterable[tuple[str, str]],
    settings: Rules,
    quote: Quote = lambda met: met,
) -> pl.DataFrame:
    """The messages without those whose `rule` drops them, each entered in the ledger."""
    dropped: list[str] = []
    for name, why in rules:
        if action(settings, name) == "drop":
            dropped.append(name)
            met = judged.filter(pl.col("rule") == name)
            if met.height:
                ledger.rows.append(entry(name, "drop", why, met, quote))
    return judged.filter(pl.col("rule").is_null() | ~pl.col("rule").is_in(dropped)).with_columns(
        trained=pl.col("rule").is_null()
    )


def entry(
    name: str, action_: Action, why: str, met: pl.DataFrame, quote: Quote = lambda met: met
) -> Row:
    """The ledger's row for messages that met the same end."""
    some = quote(met.gather_every(max(1, met.height // EXAMPLES)).head(EXAMPLES))
    return Row(name, action_, why, met.height, int(met["characters"].sum()), examples(some))


def examples(some: pl.DataFrame) -> list[str]:
    """A few of the messages, short, as `who: what`."""
    return [
        f"{who}: {text or '(no text)'}".replace("\n", " / ")[:100]
        for who, text in some.select("person", "text").iter_rows()
    ]


def _again(rows: pl.DataFrame) -> pl.Series:
    """Whether the message stands there again: edited, or else later."""
    if rows["id"].n_unique() == rows.height:
        return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
    return (
        rows.select("id", "edited", row=pl.int_range(pl.len()))
        .sort("edited", maintain_order=True)
        .with_columns(again=~pl.col("id").is_last_distinct())
        .sort("row")["again"]
    )
