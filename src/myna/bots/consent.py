"""Erasing a person from rooms."""

from __future__ import annotations

from contextlib import ExitStack, closing

from myna.bots.outbox import Outbox
from myna.people import Person
from myna.rooms.store import RoomStore
from myna.workspace import Workspace


def forget_in_rooms(workspace: Workspace, person: Person) -> int:
    """Erase a person's messages and their clone's in all rooms; return how many.

    Names in a bot's rooms may differ from those in people.toml: its outbox has them.

    Raises:
        WorkspaceError: a bot of this workspace is running, or a file cannot be used.
    """
    with ExitStack() as files:
        outboxes = {
            path.stem: files.enter_context(closing(Outbox(path)))
            for path in sorted(workspace.bots.glob("*.sqlite"))
        }
        if not outboxes and not workspace.rooms_file.exists():
            return 0
        store = files.enter_context(closing(RoomStore(workspace.rooms_file)))
        erased = store.erase_person({person.name, person.display_name})
        for platform, outbox in outboxes.items():
            for channel_id, names in outbox.names_of(person.accounts).items():
                erased += store.erase_person(names, f"{platform}:{channel_id}")
            outbox.erase(person.accounts, person.display_name)
    return erased
