"""`myna channels`: what there is to choose from."""

from __future__ import annotations

import typer

from myna.cli._terminal import Json, console, emit, here, say

NAME = "channels"


def command(ctx: typer.Context, json_: Json = False) -> None:
    """Print the channels with counts and a sample line, to choose from in [filter]."""
    from rich.table import Table
    from rich.text import Text

    from myna import people
    from myna.cleaning import filters

    space = here(ctx)
    found = filters.channels(space.message_files(), people.load(space.people_file))
    if json_:
        emit(found.to_dicts())
        return
    if found.is_empty():
        say("no channels yet: bring chats in with `myna import PATH`")
        return
    table = Table(title="Channels", title_justify="left")
    table.add_column("platform")
    table.add_column("space")
    table.add_column("channel")
    for name in ("threads", "people", "messages"):
        table.add_column(name, justify="right")
    for name in ("first", "last"):
        table.add_column(name)
    table.add_column("a message", overflow="ellipsis", no_wrap=True, max_width=60)
    for row in found.iter_rows(named=True):
        table.add_row(
            row["source"],
            Text(row["space"]),
            Text(row["channel"]),
            *(f"{row[name]:,}" for name in ("threads", "people", "messages")),
            *(str(row[name] or "–") for name in ("first", "last")),
            Text(row["sample"] or ""),
        )
    console().print(table)
    say(
        'Choose in myna.toml, [filter] channels = ["general", "!*bots*"], '
        "or with `myna prepare --channel NAME`"
    )
