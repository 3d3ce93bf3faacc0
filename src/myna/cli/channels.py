"""`myna channels`: the channels of the imported chats."""

from __future__ import annotations

import typer

from myna.cli._terminal import Json, console, find_workspace, note, one_line, print_json

NAME = "channels"

MAX_SAMPLE_CHARS = 70


def command(ctx: typer.Context, as_json: Json = False) -> None:
    """List the channels with counts and a sample message, to choose from in [filter]."""
    from rich.text import Text

    from myna import people
    from myna.cleaning import rules

    workspace = find_workspace(ctx)
    channels = rules.list_channels(workspace.message_files(), people.load(workspace.people_file))
    if as_json:
        print_json(channels.to_dicts())
        return
    if channels.is_empty():
        note("no channels yet. Next: myna import PATH")
        return
    screen = console()
    for row in channels.iter_rows(named=True):
        title = " / ".join(filter(None, (row["space"], row["channel"])))
        counts = f"{row['messages']:,} messages, {row['people']:,} people"
        if row["threads"]:
            counts += f", {row['threads']:,} threads"
        days = f"{row['first'] or '?'} to {row['last'] or '?'}"
        screen.print(
            Text(one_line(title), style="bold"),
            Text(f"{row['source']}: {counts}, {days}"),
            sep="  ",
        )
        if sample := row["sample"]:
            cut = "…" * (len(sample) > MAX_SAMPLE_CHARS)
            shown = one_line(sample[:MAX_SAMPLE_CHARS])
            screen.print(Text(f"    {shown}{cut}", style="dim"))
    note(
        'Choose some in myna.toml, [filter] channels = ["general", "!*bots*"], '
        "or with `myna prepare --channel NAME`"
    )
