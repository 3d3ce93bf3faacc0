"""Consent at the time of speaking, by people.toml and opt-outs.json."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from myna import people as people_
from myna.choices import DEFAULT_ADAPTER
from myna.errors import ConsentError, MynaError, PeopleError
from myna.people import ConsentRecord, Person, Scope, accounts, consent
from myna.people.consent import OptOut
from myna.workspace import Workspace

T = TypeVar("T")
_SCOPES: dict[Scope, str] = {
    "owner": "talk to you",
    "group": "talk to others than you",
    "publish": "be passed on",
}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedPerson:
    """A person whom an adapter has learned to speak like, when it was trained.

    Attributes:
        accounts: hashes of their accounts (`accounts.account_hash`): a name may change, or
            later be another person's.
        record: of their consent.
    """

    accounts: tuple[str, ...]
    record: ConsentRecord | None = None

    @classmethod
    def of(cls, person: Person) -> TrainedPerson:
        """A person as people.toml has them."""
        return cls(tuple(map(accounts.account_hash, person.accounts)), person.record)


@dataclass(frozen=True)
class Trained:
    """The people of an adapter, and the facts that a refusal tells.

    Attributes:
        adapter: its name.
        people: everyone in it, by the name of their persona.
        has_own_adapters: True if each persona has an adapter of their own.
        seconds: the duration of the training; None if unknown.
    """

    adapter: str
    people: Mapping[str, TrainedPerson]
    has_own_adapters: bool = False
    seconds: float | None = None


class ConsentChecker:
    """The consent of a workspace's people; its files are read again after each change.

    While a file cannot be read, its last content counts. May be used from several threads.

    Raises:
        PeopleError, WorkspaceError: a file cannot be read at the start.
    """

    def __init__(self, workspace: Workspace, trained: Trained, scope: Scope) -> None:
        """`scope`: the use of the clone that they must have agreed to."""
        self.personas = list(trained.people)
        self._workspace = workspace
        self._trained = trained
        self._scope = scope
        self._lock = threading.Lock()
        self._people = people_.load(workspace.people_file)
        self._opt_outs = consent.load_opt_outs(workspace.opt_outs_file)
        self._owners: dict[str, Person] = {}
        """The person of each account, by the account's hash."""
        self._stamps: tuple[object, ...] | None = None

    def refusal(self, persona: str) -> str:
        """The reason why a persona may not speak now, with what to type; "" if they may.

        An adapter that has learned from somebody who may not be cloned speaks as nobody.
        """
        self._refresh()
        alone = self._trained.has_own_adapters
        for name in [persona] if alone else [persona, *self.personas]:
            if self._may_not_be_cloned(name):
                return withdrawn(self._trained, name)
        trained = self._trained.people[persona].accounts
        opt_out = next(
            (
                entry
                for entry in self._opt_outs
                if entry.person == persona or accounts.account_hash(entry.account) in trained
            ),
            None,
        )
        if opt_out is not None:
            day = opt_out.at[:10]
            return f'{persona} opted out on {day}: type `myna people deny "{persona}"`'
        owners = map(self._owners.get, trained)
        if not all(owner is not None and self._scope in owner.scope for owner in owners):
            return (
                f"{persona} has not agreed that their clone may {_SCOPES[self._scope]}: ask them, "
                f'then type `myna people allow "{persona}" --scope {self._scope} --asked "…"`'
            )
        return ""

    def speakers(self) -> list[str]:
        """The personas that may speak now."""
        return [person for person in self.personas if not self.refusal(person)]

    def allowed(self) -> list[str]:
        """The personas that may be cloned, whatever else keeps them silent."""
        self._refresh()
        return [person for person in self.personas if not self._may_not_be_cloned(person)]

    def check_anybody(self) -> None:
        """Check that one of the personas may speak.

        Raises:
            ConsentError: nobody may.
        """
        reasons = [self.refusal(person) for person in self.personas]
        if reasons and all(reasons):
            raise ConsentError(reasons[0])

    def _may_not_be_cloned(self, persona: str) -> bool:
        """True if not all accounts of a persona are those of people who may be cloned."""
        trained = self._trained.people[persona].accounts
        owners = [self._owners.get(account) for account in trained]
        return not owners or not all(owner is not None and owner.scope for owner in owners)

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

    def answer(self, account: str, *, agrees: bool, how: str) -> Person:
        """Write a person's answer to the question whether they may be cloned; return them.

        Args:
            account: the account that answered.
            agrees: False sets the consent `no`, and also withdraws one that was given.
            how: how they were asked, for the record.

        Raises:
            PeopleError: people.toml lacks the account.
        """
        path = self._workspace.people_file
        everyone = people_.load(path)
        person = next((p for p in everyone.persons if account in p.accounts), None)
        if person is None:
            raise PeopleError("you are not in these chats, so there is nothing to agree to")
        record = ConsentRecord(how, people_.today()) if agrees else None
        changed = consent.set_consent(
            everyone, person.name, "clone" if agrees else "no", record=record
        )
        people_.save(path, changed)
        if agrees:
            stored = consent.load_opt_outs(self._workspace.opt_outs_file)
            taken_back = [entry for entry in stored if entry.account == account]
            consent.remove_opt_outs(self._workspace.opt_outs_file, taken_back)
        self._stamps = None
        return person

    def _refresh(self) -> None:
        files = (self._workspace.people_file, self._workspace.opt_outs_file)
        with self._lock:
            stamps = tuple(_file_stamp(file) for file in files)
            if stamps == self._stamps:
                return
            self._opt_outs = self._load_or_keep(
                lambda: consent.load_opt_outs(files[1]), self._opt_outs
            )
            self._people = self._load_or_keep(lambda: people_.load(files[0]), self._people)
            self._owners = {
                accounts.account_hash(account): person
                for person in self._people.persons
                for account in person.accounts
            }
            self._stamps = stamps

    @staticmethod
    def _load_or_keep(read: Callable[[], T], previous: T) -> T:
        try:
            return read()
        except MynaError as error:
            log.error("%s", error)
            return previous


def withdrawn(trained: Trained, persona: str) -> str:
    """The line that refuses an adapter which has learned from somebody: what to type, how long."""
    option = "" if trained.adapter == DEFAULT_ADAPTER else f" --adapter {trained.adapter}"
    return (
        f"adapter '{trained.adapter}' has learned from {persona}, who may not be cloned now, so "
        f'nobody speaks with it: type `myna train --without "{persona}"{option}`, which trains '
        f"it again without them ({how_long(trained)})"
    )


def how_long(trained: Trained) -> str:
    """The time that the last training took, for the next one."""
    if not trained.seconds:
        return "the time it takes is shown before the first step"
    minutes = max(1, round(trained.seconds / 60))
    span = f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
    return f"about {span}, as last time"


def _file_stamp(file: Path) -> object:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
