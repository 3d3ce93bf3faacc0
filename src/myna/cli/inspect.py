"""`myna inspect`: show or audit training samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import SPLITS, join_with_or
from myna.cli._terminal import Json, console, find_workspace, note, one_line, print_json

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from myna.preparing.statistics import Audit
    from myna.rendering.tokenizer import Tokenizer
    from myna.workspace import Workspace

NAME = "inspect"
MAX_QUOTED_CHARS = 40
"""Characters of a message beside the reactions to it."""


def command(
    ctx: typer.Context,
    number: Annotated[
        int | None, typer.Argument(help="The sample's number. Default: some at random.")
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="NAME", help=f"The split: {join_with_or(SPLITS)}.")
    ] = "train",
    count: Annotated[int, typer.Option("-n", help="Number of random samples.")] = 3,
    search: Annotated[
        str, typer.Option(metavar="TEXT", help="Only samples that contain this text, in any case.")
    ] = "",
    seed: Annotated[int | None, typer.Option(help="Seed of the random choice.")] = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Show each token with its id and its label.")
    ] = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Check all samples; exit status 1 if one is bad.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the samples to an HTML page.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show training samples as the model sees them, trained text in colour."""
    from myna.errors import SettingsError
    from myna.leftovers import write_bytes
    from myna.preparing.html_reports import samples_page
    from myna.preparing.prepare import read_reactions, read_samples
    from myna.workspace import explain_disk_errors

    workspace = find_workspace(ctx)
    samples = read_samples(workspace, split)
    if not samples.height:
        raise SettingsError(f"the split '{split}' has no samples: choose {join_with_or(SPLITS)}")
    if number is not None and not 0 <= number < samples.height:
        raise SettingsError(f"no sample {number}: {split} has samples 0 to {samples.height - 1}")
    findings = _audit(workspace, samples) if audit or html else None
    rows = [] if audit and not html else _choose_samples(samples, number, search, count, seed)
    for row in rows:
        row["reactions"] = read_reactions(workspace, row)
    if html and findings:
        title = f"{workspace.root.name}: {split}"
        with explain_disk_errors(html):
            write_bytes(html, samples_page(title, findings, rows).encode())
        note(f"{len(rows):,} of {samples.height:,} samples are in {html}")
    elif as_json:
        print_json(findings.to_json() if findings else rows)
    elif findings:
        _print_audit(findings, console())
    else:
        tokenizer = _tokenizer(workspace) if tokens else None
        for row in rows:
            title = f"{split} {row['number']} of {samples.height:,}"
            _print_sample(row, title, console(), tokenizer)
        note(
            "trained: replies in green, end-of-turn tokens in cyan; the rest is context (label –); "
            "control tokens are inverted"
        )
    if findings and findings.fatal:
        raise typer.Exit(1)


def _tokenizer(workspace: Workspace) -> Tokenizer:
    """The tokenizer of the workspace's base."""
    from myna.models.bases import find_base
    from myna.rendering.tokenizer import Tokenizer

    return Tokenizer(find_base(workspace.settings().base, weights=False, report=note).folder)


def _audit(workspace: Workspace, samples: pl.DataFrame) -> Audit:
    from myna.preparing import statistics

    tokenizer = _tokenizer(workspace)
    return statistics.audit(
        samples,
        max_length=workspace.settings().samples.max_length,
        bos_ids=tokenizer.bos_ids,
        control=tokenizer.control_ids,
    )


def _choose_samples(
    samples: pl.DataFrame, number: int | None, search: str, count: int, seed: int | None
) -> list[dict[str, Any]]:
    """One sample by its number, or random ones that contain the text."""
    import random

    import polars as pl

    from myna.errors import SettingsError

    text = samples["segments"].list.eval(pl.element().struct["text"]).list.join("")
    contains = text.str.to_lowercase().str.contains(search.lower(), literal=True)
    matches = contains.arg_true().to_list()
    if not matches:
        raise SettingsError(f"no sample contains '{search}': try less of it, or another --split")
    drawn = random.Random(seed).sample(matches, min(count, len(matches)))
    chosen = [number] if number is not None else sorted(drawn)
    return [{"number": i, **samples.row(i, named=True)} for i in chosen]


def _print_sample(
    row: dict[str, Any], name: str, screen: Console, tokens: Tokenizer | None
) -> None:
    """Print a sample; with a tokenizer, its tokens as well."""
    spans = row["target_spans"]
    trained = sum(span["end"] - span["start"] for span in spans)
    title = f"── {name} · {row['channel']} · {len(row['ids'])} tokens, {trained} trained"
    screen.print(one_line(title), style="dim")
    for segment in row["segments"]:
        colour = ("", "green", "cyan")[segment["kind"]]
        style = f"{colour} reverse dim" if segment["control"] else colour
        screen.print(segment["text"], style=style, end="")
    plain_text = not any(segment["control"] for segment in row["segments"])
    ended = spans[-1]["words_end"] < spans[-1]["end"] == len(row["ids"])
    if plain_text and ended and not row["segments"][-1]["text"].endswith(":"):
        screen.print("⏹", style="cyan", end="")
    screen.print()
    for liked in row["reactions"]:
        counts = "  ".join(f"{one['name']} {one['count']}" for one in liked["reactions"])
        start = liked["text"][:MAX_QUOTED_CHARS]
        screen.print(one_line(f"   {counts}  on {liked['person']}: {start}"), style="dim")
    if tokens is not None:
        _print_tokens(row, screen, tokens)


def _print_tokens(row: dict[str, Any], screen: Console, tokenizer: Tokenizer) -> None:
    """Print a line for each token: its id, its label and its text."""
    from myna.rendering.encode import token_kinds

    screen.print("    id  label    token", style="dim")
    kinds = token_kinds(len(row["ids"]), row["target_spans"])
    for token, kind in zip(row["ids"], kinds, strict=True):
        label = "–" if kind == 0 else str(token)
        colour = ("dim", "green", "cyan")[kind]
        screen.print(f"{token:6}  {label:>6}   {tokenizer.decode([token])!r}", style=colour)


def _print_audit(findings: Audit, screen: Console) -> None:
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("samples", f"{findings.samples:,}")
    table.add_row("tokens", f"{findings.tokens:,}")
    table.add_row("share of tokens trained", f"{findings.trained / max(1, findings.tokens):.1%}")
    table.add_row("replies", f"{findings.replies:,}")
    table.add_row("replies without end-of-turn tokens", f"{findings.unended:,}")
    table.add_row("shortest sample, in tokens", f"{findings.shortest:,}")
    table.add_row("median, in tokens", f"{findings.median:,}")
    table.add_row("longest, in tokens", f"{findings.longest:,}")
    screen.print(table)
    for line in findings.fatal:
        screen.print(line, style="bold red")
    if not findings.fatal:
        screen.print("no problem found", style="green")
