"""`myna channels`: what there is to choose from."""

from __future__ import annotations

import typer

from myna.cli._terminal import Json, console, emit, here, say

NAME = "channels"

SAMPLE = 70
"""Characters of a message that is shown."""


def command(ctx: typer.Context, json_: Json = False) -> None:
    """Print the channels with counts and a sample line, to choose from in [filter]."""
    from rich.text import Text

    from myna import people
    from myna.cleaning import rules

    space = here(ctx)
    found = rules.list_channels(space.message_files(), people.load(space.people_file))
    if json_:
        emit(found.to_dicts())
        return
    if found.is_empty():
        say("no channels yet: bring chats in with `myna import PATH`")
        return
    screen = console()
    for row in found.iter_rows(named=True):
        place = " / ".join(filter(None, (row["space"], row["channel"])))
        counts = f"{row['messages']:,} messages, {row['people']:,} people"
        if row["threads"]:
            counts += f", {row['threads']:,} threads"
        days = f"{row['first'] or '?'} to {row['last'] or '?'}"
        screen.print(
            Text(place, style="bold"), Text(f"{row['source']}: {counts}, {days}"), sep="  "
        )
        if line := row["sample"]:
            screen.print(Text(f"    {line[:SAMPLE]}{'…' * (len(line) > SAMPLE)}", style="dim"))
    say(
        'Choose in myna.toml, [filter] channels = ["general", "!*bots*"], '
        "or with `myna prepare --channel NAME`"
    )
