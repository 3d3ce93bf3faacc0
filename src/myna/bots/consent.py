"""Consent in live rooms: who may speak, and whose messages are read, as the files say now.

The files are people.toml and opt-outs.json. `forget_in_rooms` erases somebody from live
rooms.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from myna import people as people_
from myna.bots.outbox import Outbox
from myna.errors import MynaError, PeopleError
from myna.people import Person, accounts, consent
from myna.people.consent import OptOut
from myna.rooms.store import RoomStore
from myna.workspace import Workspace

T = TypeVar("T")
log = logging.getLogger(__name__)


class Consents:
    """The consent of a workspace's people, read again whenever it is changed.

    A file that cannot be read just now allows nothing that it did not allow before.

    Raises:
        PeopleError, WorkspaceError: a file cannot be read now, at the beginning.
    """

    def __init__(self, space: Workspace, personas: list[str]) -> None:
        self._space = space
        self.personas = personas
        self._people = people_.load(space.people_file)
        self._out = consent.load(space.opt_outs_file)
        self._seen: tuple[object, ...] | None = None

    def speakers(self) -> list[str]:
        """The personas that may speak: consent `clone`, and not opted out."""
        self._refresh()
        out = {entry.person for entry in self._out}
        allowed = set(people_.personas(self._people)) - out
        return [person for person in self.personas if person in allowed]

    def reads(self, account: str) -> bool:
        """True if messages of an account (`discord:1234`) may stand in a room."""
        self._refresh()
        if any(entry.account == account for entry in self._out):
            return False
        if accounts.mark(account) in self._people.forgotten:
            return False
        person = self.person(account)
        return person is None or person.consent != "no"

    def person(self, account: str) -> Person | None:
        """The person who has this account; None where people.toml does not have it."""
        self._refresh()
        return next((p for p in self._people.persons if account in p.accounts), None)

    def account(self, persona: str, platform: str) -> str | None:
        """The id of a persona's account on a platform, where people.toml has one."""
        self._refresh()
        for person in self._people.persons:
            if person.shown == persona:
                for account in person.accounts:
                    source, _, number = account.partition(":")
                    if source == platform:
                        return number
        return None

    def opt_out(self, account: str, name: str, persona: str | None = None) -> str:
        """Take whoever has this account out; the persona that is silent now, "" for none.

        Args:
            account: who asks.
            name: what they are called.
            persona: who they say they are, where people.toml does not have their account.

        Raises:
            PeopleError: that persona is known to be somebody else.
            WorkspaceError: it cannot be written.
        """
        platform = account.partition(":")[0]
        person = self.person(account)
        theirs = person.shown if person is not None else ""
        if persona and persona != theirs:
            owner = self.account(persona, platform)
            if theirs or owner is not None:
                raise PeopleError(f"{persona} is somebody else: only they can take themselves out")
            theirs = persona
        at = datetime.now(UTC).isoformat(timespec="seconds")
        consent.add(self._space.opt_outs_file, [OptOut(account, name, theirs, at)])
        self._seen = None
        return theirs if theirs in self.personas else ""

    def _refresh(self) -> None:
        files = (self._space.people_file, self._space.opt_outs_file)
        stamps = tuple(_stamp(file) for file in files)
        if stamps == self._seen:
            return
        self._seen = stamps
        self._out = self._kept(lambda: consent.load(files[1]), self._out)
        self._people = self._kept(lambda: people_.load(files[0]), self._people)

    @staticmethod
    def _kept(read: Callable[[], T], before: T) -> T:
        try:
            return read()
        except MynaError as error:
            log.error("%s", error)
            return before


def _stamp(file: Path) -> object:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def forget_in_rooms(space: Workspace, person: Person) -> int:
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
        store = files.enter_context(closing(RoomStore(space.rooms_file)))
        erased = store.erase_person({person.name, person.shown})
        for platform, outbox in outboxes.items():
            for place, called in outbox.called(person.accounts).items():
                erased += store.erase_person(called, f"{platform}:{place}")
            outbox.erase(person.accounts, person.shown)
    return erased
