"""The opt-outs: people who took themselves out, in a chat where their clone speaks.

A bot writes it down, in `opt-outs.json`, and is silent for them from then on; `myna people`
lists them, so that the workspace's owner can `myna people deny` them as well. Taking an
entry out of the file undoes it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from myna import workspace
from myna.errors import WorkspaceError


@dataclass(frozen=True)
class OptOut:
    """Somebody who wants no part in it."""

    account: str
    """Who asked: `platform:id`. What they write is not read any more."""
    name: str
    """What they are called there."""
    person: str
    """The persona that is silent since then, as samples name it; "" where they have none."""
    at: str
    """When, in UTC (ISO 8601)."""


def load(path: Path) -> list[OptOut]:
    """Everyone who opted out, the first one first.

    Raises:
        WorkspaceError: the file is damaged.
    """
    try:
        return [OptOut(**entry) for entry in workspace.read_json(path) or ()]
    except TypeError as error:
        raise WorkspaceError(
            f"{path} is damaged ({error}): each entry has account, name, person and at"
        ) from error


def remove(path: Path, entries: Collection[OptOut]) -> None:
    """Take entries out of the file.

    Raises:
        WorkspaceError: the file is damaged.
    """
    if entries:
        kept = [asdict(entry) for entry in load(path) if entry not in entries]
        workspace.write_json(path, kept)


def add(path: Path, asked: Collection[OptOut]) -> None:
    """Write down that somebody opted out; the file appears whole or not at all.

    Raises:
        WorkspaceError: the file is damaged.
    """
    known = load(path)
    there = {(entry.account, entry.person) for entry in known}
    fresh = [entry for entry in asked if (entry.account, entry.person) not in there]
    if fresh:
        workspace.write_json(path, [asdict(entry) for entry in (*known, *fresh)])
