"""`myna inspect`: samples as the model sees them."""

from __future__ import annotations

from typing import Annotated

import typer

from myna.cli._terminal import Json, console, emit, here, say

NAME = "inspect"


def command(
    ctx: typer.Context,
    number: Annotated[
        int | None, typer.Argument(help="The sample's number; several at random without.")
    ] = None,
    part: Annotated[str, typer.Option(help="train, tune or test.")] = "train",
    count: Annotated[int, typer.Option("-n", help="How many at random.")] = 3,
    seed: Annotated[int | None, typer.Option(help="Draws the same ones again.")] = None,
    tokens: Annotated[bool, typer.Option("--tokens", help="Show token ids and labels.")] = False,
    json_: Json = False,
) -> None:
    """Show samples as the model sees them, trained text in colour."""
    import random

    from myna.errors import SettingsError
    from myna.samples.prepare import read_samples
    from myna.samples.rendering import END

    samples = read_samples(here(ctx), part)
    if not samples.height:
        raise SettingsError(f"there are no samples in '{part}': choose train, tune or test")
    if number is not None and not 0 <= number < samples.height:
        raise SettingsError(f"{part} has samples 0 to {samples.height - 1}, not {number}")
    chosen = (
        [number]
        if number is not None
        else sorted(random.Random(seed).sample(range(samples.height), min(count, samples.height)))
    )
    rows = [{"number": i, **samples.row(i, named=True)} for i in chosen]
    if json_:
        emit(rows)
        return
    screen = console()
    for row in rows:
        trained = sum(mark > 0 for mark in row["labels"])
        screen.print(
            f"── {part} {row['number']} of {samples.height:,} · {row['channel']} · "
            f"{len(row['ids'])} tokens, {trained} trained",
            style="dim",
        )
        for segment in row["segments"]:
            screen.print(
                segment["text"],
                style=("", "green", "cyan")[segment["label"]],
                end="",
            )
        if row["labels"][-1] == END and not row["segments"][-1]["text"].endswith(":"):
            screen.print("⏹", style="cyan", end="")
        screen.print()
        if tokens:
            screen.print(
                " ".join(
                    f"{i}{('', '*', '+')[mark]}"
                    for i, mark in zip(row["ids"], row["labels"], strict=True)
                ),
                style="dim",
            )
    say("trained: words in green (*), what ends them in cyan (+); the rest is context")
