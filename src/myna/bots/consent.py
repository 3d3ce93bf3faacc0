"""Consent in live rooms, by people.toml and opt-outs.json; erasing a person from rooms."""

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


class ConsentChecker:
    """The consent of a workspace's people; its files are read again after each change.

    While a file cannot be read, its last content counts.

    Raises:
        PeopleError, WorkspaceError: a file cannot be read at the start.
    """

    def __init__(self, workspace: Workspace, personas: list[str]) -> None:
        self._workspace = workspace
        self.personas = personas
        self._people = people_.load(workspace.people_file)
        self._opt_outs = consent.load_opt_outs(workspace.opt_outs_file)
        self._stamps: tuple[object, ...] | None = None

    def speakers(self) -> list[str]:
        """The personas that may speak: consent `clone`, not opted out."""
        self._refresh()
        opted_out = {entry.person for entry in self._opt_outs}
        allowed = set(people_.persona_names(self._people)) - opted_out
        return [person for person in self.personas if person in allowed]

    def may_read(self, account: str) -> bool:
        """True if messages of an account (`discord:1234`) may be stored in a room."""
        self._refresh()
        if any(entry.account == account for entry in self._opt_outs):
            return False
        if accounts.account_hash(account) in self._people.forgotten:
            return False
        person = self.person_of(account)
        return person is None or person.consent != "no"

    def person_of(self, account: str) -> Person | None:
        """The person of an account; None if people.toml does not have the account."""
        self._refresh()
        return next((p for p in self._people.persons if account in p.accounts), None)

    def account_of(self, persona: str, platform: str) -> str | None:
        """The id of a persona's account on a platform; None if people.toml has none."""
        self._refresh()
        for person in self._people.persons:
            if person.display_name == persona:
                for account in person.accounts:
                    source, _, number = account.partition(":")
                    if source == platform:
                        return number
        return None

    def opt_out(self, account: str, name: str, persona: str | None = None) -> str:
        """Opt an account out; return the persona that is silent from now on, or "".

        Args:
            account: the account.
            name: its display name.
            persona: the persona that they say is theirs, if people.toml lacks their account.

        Raises:
            PeopleError: that persona is another person's.
            WorkspaceError: the file cannot be written.
        """
        platform = account.partition(":")[0]
        person = self.person_of(account)
        persona_of_account = person.display_name if person is not None else ""
        if persona and persona != persona_of_account:
            owner = self.account_of(persona, platform)
            if persona_of_account or owner is not None:
                raise PeopleError(f"{persona} is somebody else: only they can opt out")
            persona_of_account = persona
        at = datetime.now(UTC).isoformat(timespec="seconds")
        opt_out = OptOut(account, name, persona_of_account, at)
        consent.add_opt_outs(self._workspace.opt_outs_file, [opt_out])
        self._stamps = None
        return persona_of_account if persona_of_account in self.personas else ""

    def _refresh(self) -> None:
        files = (self._workspace.people_file, self._workspace.opt_outs_file)
        stamps = tuple(_file_stamp(file) for file in files)
        if stamps == self._stamps:
            return
        self._stamps = stamps
        self._opt_outs = self._load_or_keep(lambda: consent.load_opt_outs(files[1]), self._opt_outs)
        self._people = self._load_or_keep(lambda: people_.load(files[0]), self._people)

    @staticmethod
    def _load_or_keep(read: Callable[[], T], previous: T) -> T:
        try:
            return read()
        except MynaError as error:
            log.error("%s", error)
            return previous


def _file_stamp(file: Path) -> object:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


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
