"""Lists of `myna people`: everyone, and who may be one person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myna.cli._terminal import ask_line, console, is_yes, next_line, note

if TYPE_CHECKING:
    from myna.people.overview import MergeSuggestion, PersonSummary
    from myna.workspace import Workspace

MAX_PEOPLE = 20
"""People who get a row each, unless all are asked for."""
MAX_SUGGESTIONS = 10
"""Suggested merges that are printed; `myna people merge` goes through all."""


def print_people(lines: list[PersonSummary], most: int) -> None:
    """Print a table of the personas and of those who wrote most, and count the others."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("person", "consent", "messages", "words", "first", "last", "accounts"):
        right = column in ("messages", "words")
        is_name = column in ("person", "accounts")
        table.add_column(column, justify="right" if right else "left", no_wrap=not is_name)
    lines = sorted(lines, key=lambda line: (line.consent != "clone", not line.is_me))
    most = max(most, sum(line.consent == "clone" for line in lines))
    for line in lines[:most]:
        name = Text(line.person)
        if line.shown != line.person:
            name.append(f" (shown as {line.shown})", style="dim")
        if line.is_me:
            name.append(" (me)", style="bold")
        table.add_row(
            name,
            "bot" if line.is_bot else line.consent,
            f"{line.messages:,}",
            f"{line.words:,}",
            str(line.first or "–"),
            str(line.last or "–"),
            ", ".join(
                platform if count == 1 else f"{count} {platform}"
                for platform, count in line.platforms.items()
            ),
        )
    console().print(table)
    if others := lines[most:]:
        messages = sum(line.messages for line in others)
        note(f"{len(others):,} others wrote {messages:,} messages: `myna people --all` lists them")


def print_suggestions(suggestions: list[MergeSuggestion]) -> None:
    """Print the best suggestions, and the command that goes through all of them."""
    if not suggestions:
        return
    count = "1 pair" if len(suggestions) == 1 else f"{len(suggestions):,} pairs"
    note(f"{count} may be one person each; `myna people merge` asks about all of them:")
    for suggestion in suggestions[:MAX_SUGGESTIONS]:
        note(f"  {_suggestion(suggestion)}")
    if len(suggestions) > MAX_SUGGESTIONS:
        note(f"  and {len(suggestions) - MAX_SUGGESTIONS:,} more")


def print_bots(bots: list[tuple[str, str]]) -> None:
    for name, because in bots:
        note(f"{name} may be a bot ({because}): if so, set bot = true in people.toml")


def merge_suggested(workspace: Workspace) -> None:
    """Ask about each suggestion, the best first, until none is left or the answers end."""
    from myna import people
    from myna.people import consent, overview
    from myna.workspace import explain_disk_errors

    names = overview.account_names(workspace.message_files())
    declined: set[tuple[str, str]] = set()
    merged = 0
    while True:
        everyone = people.load(workspace.people_file)
        left = overview.suggest_merges(everyone, names, declined)
        if not left:
            break
        pair = left[0].first, left[0].second
        answer = ask_line(f"{_suggestion(left[0])}. One person? [y/N, q to stop]")
        if answer is None or answer.casefold() in ("q", "quit"):
            break
        if not is_yes(answer):
            declined.add(pair)
            continue
        with explain_disk_errors(workspace.people_file):
            people.save(workspace.people_file, consent.merge_persons(everyone, *pair))
        merged += 1
        note(f'  myna people merge "{pair[0]}" "{pair[1]}"')
    note(f"{merged:,} merged, {len(left):,} left. {next_line(workspace)}")


def _suggestion(suggestion: MergeSuggestion) -> str:
    """A suggested merge, with what it rests on."""
    first, second = suggestion.messages
    return (
        f"{suggestion.first} ({first:,} messages) and {suggestion.second} ({second:,}): "
        f"{suggestion.because}"
    )
