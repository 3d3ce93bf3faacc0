"""`myna inspect`: samples as the model sees them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import SPLITS, listed
from myna.cli._terminal import Json, console, emit, here, say

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from myna.preparing.statistics import Audit
    from myna.workspace import Workspace

NAME = "inspect"


def command(
    ctx: typer.Context,
    number: Annotated[
        int | None, typer.Argument(help="The sample's number; several at random without.")
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="NAME", help=f"Of this split: {listed(SPLITS)}.")
    ] = "train",
    count: Annotated[int, typer.Option("-n", help="How many at random.")] = 3,
    search: Annotated[
        str, typer.Option(metavar="TEXT", help="Only those that this stands in, upper case or not.")
    ] = "",
    seed: Annotated[int | None, typer.Option(help="Draws the same ones again.")] = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Show token ids, trained ones marked.")
    ] = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Look through all of them; exit status 1 if one is bad.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write them to an HTML page instead.")
    ] = None,
    json_: Json = False,
) -> None:
    """Show samples as the model sees them, trained text in colour."""
    from myna import workspace
    from myna.errors import SettingsError
    from myna.preparing.html_reports import samples_page
    from myna.preparing.prepare import read_samples

    space = here(ctx)
    samples = read_samples(space, split)
    if not samples.height:
        raise SettingsError(f"there are no samples in '{split}': choose {listed(SPLITS)}")
    if number is not None and not 0 <= number < samples.height:
        raise SettingsError(f"{split} has samples 0 to {samples.height - 1}, not {number}")
    found = _audited(space, samples) if audit or html else None
    rows = [] if audit and not html else _chosen(samples, number, search, count, seed)
    if html and found:
        title = f"{space.root.name}: {split}"
        with workspace.explain_disk_errors(html):
            workspace.write_bytes(html, samples_page(title, found, rows).encode())
        say(f"{len(rows):,} of {samples.height:,} samples are in {html}")
    elif json_:
        emit(found.to_json() if found else rows)
    elif found:
        _show_audit(found, console())
    else:
        for row in rows:
            _show(row, f"{split} {row['number']} of {samples.height:,}", console(), tokens)
        say(
            "trained: words in green (*), what ends them in cyan (+); the rest is context; "
            "control tokens are inverted"
        )
    if found and found.fatal:
        raise typer.Exit(1)


def _audited(space: Workspace, samples: pl.DataFrame) -> Audit:
    from myna.models.bases import find_base
    from myna.preparing.statistics import audit
    from myna.rendering.tokenizer import Tokenizer

    settings = space.settings()
    tokenizer = Tokenizer(find_base(settings.base, weights=False, report=say).folder)
    return audit(
        samples,
        max_length=settings.samples.max_length,
        bos_ids=tokenizer.bos_ids,
        control=tokenizer.control_ids,
    )


def _chosen(
    samples: pl.DataFrame, number: int | None, search: str, count: int, seed: int | None
) -> list[dict[str, Any]]:
    """One sample, or some at random of those that the text stands in."""
    import random

    import polars as pl

    from myna.errors import SettingsError

    text = samples["segments"].list.eval(pl.element().struct["text"]).list.join("")
    met = text.str.to_lowercase().str.contains(search.lower(), literal=True).arg_true().to_list()
    if not met:
        raise SettingsError(f"'{search}' stands in no sample: try less of it, or another --split")
    drawn = random.Random(seed).sample(met, min(count, len(met)))
    chosen = [number] if number is not None else sorted(drawn)
    return [{"number": i, **samples.row(i, named=True)} for i in chosen]


def _show(row: dict[str, Any], name: str, screen: Console, tokens: bool) -> None:
    from myna.rendering.encode import token_kinds

    spans = row["target_spans"]
    trained = sum(span["end"] - span["start"] for span in spans)
    screen.print(
        f"── {name} · {row['channel']} · {len(row['ids'])} tokens, {trained} trained", style="dim"
    )
    for segment in row["segments"]:
        colour = ("", "green", "cyan")[segment["kind"]]
        style = f"{colour} reverse dim" if segment["control"] else colour
        screen.print(segment["text"], style=style, end="")
    bare = not any(segment["control"] for segment in row["segments"])
    ended = spans[-1]["words_end"] < spans[-1]["end"] == len(row["ids"])
    if bare and ended and not row["segments"][-1]["text"].endswith(":"):
        screen.print("⏹", style="cyan", end="")
    screen.print()
    if tokens:
        kinds = zip(row["ids"], token_kinds(len(row["ids"]), spans), strict=True)
        screen.print(" ".join(f"{i}{('', '*', '+')[kind]}" for i, kind in kinds), style="dim")


def _show_audit(found: Audit, screen: Console) -> None:
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column("what")
    table.add_column("number", justify="right")
    table.add_row("samples", f"{found.samples:,}")
    table.add_row("tokens", f"{found.tokens:,}")
    table.add_row("of them trained", f"{found.trained / max(1, found.tokens):.1%}")
    table.add_row("replies", f"{found.replies:,}")
    table.add_row("replies that nothing ends", f"{found.unended:,}")
    table.add_row("shortest, in tokens", f"{found.shortest:,}")
    table.add_row("median", f"{found.median:,}")
    table.add_row("longest", f"{found.longest:,}")
    screen.print(table)
    for line in found.fatal:
        screen.print(line, style="bold red")
    if not found.fatal:
        screen.print("nothing is wrong", style="green")
