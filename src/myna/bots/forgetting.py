"""Erasing a person from live rooms, and from what bots have still to say there."""

from __future__ import annotations

from contextlib import ExitStack, closing

from myna.bots.outbox import Outbox
from myna.people import Person
from myna.persona.histories import Histories
from myna.workspace import Workspace


def forget(space: Workspace, person: Person) -> int:
    """Erase what a person said in rooms, themselves or as a clone; how many messages.

    In a bot's room somebody may be called as nowhere else: its outbox knows whose account
    that was.

    Raises:
        WorkspaceError: a bot of this workspace is running, or a file cannot be used.
    """
    with ExitStack() as files:
        outboxes = {
            path.stem: files.enter_context(closing(Outbox(path)))
            for path in sorted(space.bots.glob("*.sqlite"))
        }
        if not outboxes and not space.rooms_file.exists():
            return 0
        histories = files.enter_context(closing(Histories(space.rooms_file)))
        erased = histories.erase_person({person.name, person.shown})
        for platform, outbox in outboxes.items():
            for place, called in outbox.called(person.accounts).items():
                erased += histories.erase_person(called, f"{platform}:{place}")
            outbox.erase(person.accounts, person.shown)
    return erased
