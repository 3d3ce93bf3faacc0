"""The windows of conversations, rendered, before they have tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from string import Formatter
from typing import NamedTuple

import polars as pl

from myna.config import Samples
from myna.errors import SettingsError
from myna.preparing.windows import (
    SLACK_TOKENS,
    lines,
    split_into_windows,
    split_long_turns,
    turn_table,
)
from myna.rendering.render_batch import render_batch, role_numbers, with_rendered_text
from myna.rendering.spec import Delimiter, RenderingSpec
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import MAX_PEOPLE_NAMED, system_line

BATCH_MESSAGES = 50_000
"""Messages whose conversations are rendered at a time, or a few more."""


@dataclass
class RenderedWindows:
    """Windows as segments, before they have tokens.

    `samples` has split, conversation, space, channel and add_eos (True if the end token ends
    it) of each; `segments` theirs (see `render_batch`); `messages` the rows of the messages
    that they train. `extended` counts those that begin earlier than the overlap asks for, so
    that they do not begin with the persona's own turn, and `opened` those that begin so all
    the same.
    """

    samples: pl.DataFrame
    segments: pl.DataFrame
    messages: list[int]
    extended: int = 0
    opened: int = 0


@dataclass(frozen=True)
class WindowConfig:
    """Everything that windows are made by.

    Attributes:
        settings: of samples.
        tokenizer: the base's.
        spec: the rendering.
        persona: the person whose samples they are, where each persona has their own.
        name: the persona in the system line.
        costs: tokens from one turn to the next by "role>role", names and their newline aside.
    """

    settings: Samples
    tokenizer: Tokenizer
    spec: RenderingSpec
    persona: str | None = None
    name: str = ""
    costs: dict[str, int] = field(default_factory=dict)


def render_windows(
    kept: pl.DataFrame,
    settings: Samples,
    tokenizer: Tokenizer,
    spec: RenderingSpec,
    personas: Sequence[str] = (),
    quoted: pl.DataFrame | None = None,
) -> Iterator[RenderedWindows]:
    """Render the windows of conversations in which something is trained, some at a time.

    Args:
        kept: the messages of whole conversations.
        settings: of samples.
        tokenizer: the base's.
        spec: the rendering.
        personas: everyone who is trained, where these are not all messages.
        quoted: messages that are replied to (see `windows.lines`).

    Raises:
        SettingsError: a system line and a name leave no budget for words, or it names the
            persona where there is not one but several.
    """
    rows = lines(kept, quoted)
    about = kept.group_by("conversation", maintain_order=True).agg(
        pl.first("split", "space", "channel", "whole"),
        platform=pl.first("source"),
        date=pl.col("sent_at").drop_nulls().first().dt.strftime("%Y-%m-%d").fill_null(""),
    )
    trained = rows.filter("trained")["person"].unique(maintain_order=True).to_list()
    costs = {step: _cost(between, tokenizer) for step, between in spec.between.items()}
    name = _persona_in_system_line(personas or trained, settings, spec)
    shared = WindowConfig(settings, tokenizer, spec, None, name, costs)
    own = [replace(shared, persona=person, name=person) for person in trained]
    for config in own if spec.per_persona else [shared]:
        is_own = pl.col("person") == config.persona if spec.per_persona else True
        chosen = rows.with_columns(pl.col("trained") & is_own)
        chosen = chosen.filter(pl.col("trained").any().over("conversation"))
        sizes = chosen.group_by("conversation", maintain_order=True).agg(lines=pl.len())
        batch = (sizes["lines"].cum_sum() - 1) // BATCH_MESSAGES
        for (_,), some in sizes.group_by(batch, maintain_order=True):
            first, last = some["conversation"][0], some["conversation"][-1]
            within = pl.col("conversation").is_between(first, last)
            yield _render(chosen.filter(within), about, config)


def _persona_in_system_line(personas: Sequence[str], settings: Samples, spec: RenderingSpec) -> str:
    """The persona that system lines name in samples for everybody; "" if there is none."""
    fields = {name for line in settings.system_lines for _, name, *_ in Formatter().parse(line)}
    if "name" in fields and not spec.per_persona and len(personas) > 1:
        raise SettingsError(
            f"samples.system has {{name}}, and a sample of {spec.name} has {len(personas)} "
            'personas: use {people} there, or rendering = "chat"'
        )
    if "name" not in fields and spec.name == "chat" and len(personas) > 1:
        raise SettingsError(
            f"samples.system has no {{name}}, so nothing says which of {len(personas)} personas "
            "the assistant speaks for: put it there"
        )
    return personas[0] if personas else ""


def _cost(delimiters: Sequence[Delimiter], tokenizer: Tokenizer) -> int:
    """The tokens of delimiters; a name, and a newline by itself, are counted with turns."""
    controls = sum(delimiter.control for delimiter in delimiters)
    texts = [d.text for d in delimiters if not d.control and not d.named and d.text != "\n"]
    return controls + sum(tokenizer.count(texts))


def _render(rows: pl.DataFrame, about: pl.DataFrame, config: WindowConfig) -> RenderedWindows:
    conversations = _headers(rows, about, config)
    # A turn that must not come first needs a budget for the one before it, too.
    share = 2 if config.spec.per_persona else 1
    budget = (pl.col("budget") - SLACK_TOKENS - max(config.costs.values())) // share
    rows, turns = _fitting(rows, conversations.select("conversation", budget=budget), config)
    costs = turns["step"].replace_strict(config.costs, return_dtype=pl.Int64)
    windows = _windows(rows, turns.with_columns(pl.col("size") + costs), conversations, config)
    rendered = render_batch(rows, windows, config.spec, config.persona)
    add_eos = pl.col("whole") & pl.col("next_person").is_null() & config.spec.add_special_tokens
    samples = windows.select("split", "conversation", "space", "channel", add_eos=add_eos)
    first = role_numbers(rows["person"].gather(windows["begin"]), config.spec, config.persona)
    return RenderedWindows(
        samples,
        rendered.segments,
        rendered.messages,
        int(windows["extended"].sum()),
        int(first.sum()),
    )


def _fitting(
    rows: pl.DataFrame, budgets: pl.DataFrame, config: WindowConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines in turns that fit, and the turns, with tokens as `size`; each counted once."""

    def turns_of(rows: pl.DataFrame) -> pl.DataFrame:
        turns = turn_table(rows, config.spec, config.persona)
        return turns.join(budgets, on="conversation", maintain_order="left")

    rows = with_rendered_text(rows, config.spec, config.persona)
    turns = turns_of(rows)
    turns = turns.with_columns(size=_counts(turns["text"], config.tokenizer))
    fitting = split_long_turns(rows, turns, config.tokenizer.count)
    if fitting is rows:
        return rows, turns
    by_turn = fitting.group_by("turn", maintain_order=True)
    is_split = by_turn.agg(pl.col("rendered").is_null().any())["rendered"]
    rows = with_rendered_text(fitting, config.spec, config.persona)
    split = turns_of(rows)
    new, old = is_split.arg_true(), (~is_split).arg_true()
    sizes = pl.Series([0], dtype=pl.Int64).new_from_index(0, split.height)
    sizes = sizes.scatter(old, turns.filter(pl.col("size") <= pl.col("budget"))["size"])
    sizes = sizes.scatter(new, _counts(split["text"].gather(new), config.tokenizer))
    return rows, split.with_columns(size=sizes)


def _counts(texts: pl.Series, tokenizer: Tokenizer) -> pl.Series:
    return pl.Series(tokenizer.count(texts.to_list()), dtype=pl.Int64)


def _windows(
    rows: pl.DataFrame, turns: pl.DataFrame, conversations: pl.DataFrame, config: WindowConfig
) -> pl.DataFrame:
    """The windows in which something is trained, as `render_batch` takes them."""
    settings, per_persona = config.settings, config.spec.per_persona
    trained = rows.group_by("turn", maintain_order=True).agg(pl.col("trained").any())["trained"]
    grouped = (
        turns.with_columns(trained=trained)
        .group_by("conversation", maintain_order=True)
        .agg("size", "person", "lines", "trained", "own")
        .join(
            conversations.select("conversation", "budget"), on="conversation", maintain_order="left"
        )
    )
    windows: list[tuple[int, int, int, int, str | None, bool]] = []
    line = 0
    for conversation, sizes, people, lengths, is_trained, own, budget in grouped.iter_rows():
        at = list(accumulate(lengths, initial=line))
        following = [*people, None]
        rng = None
        if settings.window == "random":
            rng = random.Random(f"{settings.seed} {conversation}")
        not_first = own if per_persona else is_trained if rng else ()
        for begin, start, end, extended in split_into_windows(
            sizes, budget - SLACK_TOKENS, settings.overlap_tokens, not_first=not_first, rng=rng
        ):
            if not any(is_trained[start:end]):
                continue
            while per_persona and not is_trained[end - 1]:
                end -= 1  # others' turns behind the last trained one teach nothing
            after = None if per_persona else following[end]
            windows.append((conversation, at[begin], at[start], at[end], after, extended))
        line = at[-1]
    numbers = dict.fromkeys(("conversation", "begin", "start", "end"), pl.Int64)
    schema = {**numbers, "next_person": pl.String, "extended": pl.Boolean}
    return pl.DataFrame(windows, schema=schema, orient="row").join(
        conversations, on="conversation", maintain_order="left"
    )


class _Header(NamedTuple):
    """The facts that a header is made of."""

    template: str
    people: tuple[str, ...]
    space: str
    channel: str
    platform: str
    date: str


def _fitting_headers(wanted: set[_Header], config: WindowConfig) -> dict[_Header, tuple[str, int]]:
    """The text and the tokens of each header, with as many people as fit; counted all at once."""
    fitting: dict[_Header, tuple[str, int]] = {}
    left = {header: header for header in wanted}
    while left:
        lines = [
            system_line(
                shorter.template,
                people=shorter.people,
                name=config.name,
                space=shorter.space,
                channel=shorter.channel,
                platform=shorter.platform,
                date=shorter.date,
            )
            + config.spec.header_end
            for shorter in left.values()
        ]
        sizes = config.tokenizer.count(lines)
        tried, left = left, {}
        for (header, shorter), line, size in zip(tried.items(), lines, sizes, strict=True):
            if size <= config.settings.max_length // 4 or len(shorter.people) == 1:
                fitting[header] = line, size
            else:
                left[header] = shorter._replace(people=shorter.people[:-1])
    return fitting


def _headers(rows: pl.DataFrame, about: pl.DataFrame, config: WindowConfig) -> pl.DataFrame:
    """The conversations of lines, with `header` and the `budget` that it leaves to turns.

    It takes a quarter of a sample at most: of many people, those who speak most are named.
    """
    settings, tokenizer, spec = config.settings, config.tokenizer, config.spec
    speakers = rows.group_by("conversation", "person", maintain_order=True).agg(lines=pl.len())
    names = speakers["person"].unique(maintain_order=True)
    name_tokens = tokenizer.count([f"\n{name}:" for name in names])
    conversations = (
        speakers.join(pl.DataFrame({"person": names, "name_tokens": name_tokens}), on="person")
        .sort("conversation", "lines", descending=[False, True], maintain_order=True)
        .group_by("conversation", maintain_order=True)
        .agg(pl.col("person").head(MAX_PEOPLE_NAMED), pl.max("name_tokens"))
        .join(about, on="conversation", maintain_order="left")
    )

    around = _cost(spec.opening, tokenizer)
    if spec.add_special_tokens:
        around = len(tokenizer.bos_ids) + 1
    around += max(cost for step, cost in config.costs.items() if step.startswith("start>"))
    around += max(cost for step, cost in config.costs.items() if step.endswith(">end"))
    templates = settings.system_lines
    columns = ("conversation", "person", "name_tokens", "space", "channel", "platform", "date")
    wanted: list[tuple[_Header, int]] = []
    for number, people, name_size, *about_it in conversations.select(columns).iter_rows():
        template = random.Random(f"{settings.seed} {number}").choice(templates)
        wanted.append((_Header(template, tuple(people), *about_it), name_size))
    fitting = _fitting_headers({header for header, _ in wanted}, config)
    headers = []
    for header, name_size in wanted:
        line, size = fitting[header]
        budget = settings.max_length - around - size - name_size
        if budget - name_size - SLACK_TOKENS < settings.max_length // 4:
            raise SettingsError(
                f"samples.max_length = {settings.max_length} leaves too little beside a system "
                f"line of {size} tokens and a name of {name_size}: raise the one or shorten the "
                "others"
            )
        headers.append((line, budget))
    schema = {"header": pl.String, "budget": pl.Int64}
    return conversations.with_columns(pl.DataFrame(headers, schema=schema, orient="row")).drop(
        "person", "name_tokens"
    )
