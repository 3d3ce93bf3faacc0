"""Merge and rename persons, set their consent; opt-outs of users of bots.

Functions on `People` return a changed copy.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from myna import workspace
from myna.errors import PeopleError, WorkspaceError
from myna.people import Consent, People, Person, find_person, sanitize_name


def merge_persons(people: People, into: str, other: str) -> People:
    """Merge two persons: the first's name and consent, the accounts of both.

    Raises:
        PeopleError: unknown person, both are the same, or one is a bot.
    """
    first, second = find_person(people, into), find_person(people, other)
    if first == second:
        raise PeopleError(f"'{into}' and '{other}' are the same person already")
    if first.is_bot != second.is_bot:
        raise PeopleError(f"one of '{first.name}' and '{second.name}' is a bot: merge only humans")
    both = replace(first, accounts=(*first.accounts, *second.accounts))
    persons = [both if p == first else p for p in people.persons if p != second]
    me = first.name if people.me == second.name else people.me
    return replace(people, persons=tuple(persons), me=me)


def rename_person(people: People, name: str, new: str) -> People:
    """Rename a person.

    Raises:
        PeopleError: unknown person, or the new name is taken or invalid.
    """
    before = find_person(people, name)
    _check_name(people, new, before)
    me = new if people.me == before.name else people.me
    return replace(_replace_person(people, before, replace(before, name=new)), me=me)


def set_consent(people: People, name: str, value: Consent, pseudonym: str | None = None) -> People:
    """Set a person's consent and, if one is given, the pseudonym ("" removes it).

    Raises:
        PeopleError: unknown person, the pseudonym is taken, or a bot would be a persona.
    """
    before = find_person(people, name)
    if before.is_bot and value == "clone":
        raise PeopleError(f"'{before.name}' is a bot, and bots are never personas")
    after = replace(before, consent=value)
    if pseudonym is not None:
        if pseudonym:
            _check_name(people, pseudonym, before)
        after = replace(after, pseudonym=pseudonym)
    return _replace_person(people, before, after)


def set_me(people: People, name: str) -> People:
    """Set the person who is the user; they may be cloned.

    Raises:
        PeopleError: unknown person, or a bot.
    """
    person = find_person(people, name)
    return replace(set_consent(people, person.name, "clone"), me=person.name)


def remove_person(people: People, person: Person, account_hashes: tuple[str, ...]) -> People:
    """Remove a person; their accounts stay forgotten by their hashes."""
    persons = tuple(p for p in people.persons if p != person)
    me = "" if people.me == person.name else people.me
    forgotten = tuple(sorted({*people.forgotten, *account_hashes}))
    return replace(people, persons=persons, me=me, forgotten=forgotten)


def _replace_person(people: People, before: Person, after: Person) -> People:
    return replace(people, persons=tuple(after if p == before else p for p in people.persons))


def _check_name(people: People, name: str, owner: Person) -> None:
    """Check that a name fits before a colon and is not another person's."""
    if name != sanitize_name(name):
        raise PeopleError(f"'{name}' cannot stand before a colon: take '{sanitize_name(name)}'")
    if any(name in (p.name, p.display_name) for p in people.persons if p != owner):
        raise PeopleError(f"'{name}' is another person: choose another name, or merge them")


@dataclass(frozen=True)
class OptOut:
    """A user of a bot who opted out.

    Attributes:
        account: `platform:id`; their messages are not read any more.
        name: their name on the platform.
        person: the display name of the persona that is silent since then, or "".
        at: time in UTC (ISO 8601).
    """

    account: str
    name: str
    person: str
    at: str


def load_opt_outs(path: Path) -> list[OptOut]:
    """All opt-outs, oldest first.

    Raises:
        WorkspaceError: the file is damaged.
    """
    try:
        return [OptOut(**entry) for entry in workspace.read_json(path) or ()]
    except TypeError as error:
        raise WorkspaceError(
            f"{path} is damaged ({error}): each entry has account, name, person and at"
        ) from error


def remove_opt_outs(path: Path, entries: Collection[OptOut]) -> None:
    """Remove entries from the file.

    Raises:
        WorkspaceError: the file is damaged.
    """
    if entries:
        kept = [asdict(entry) for entry in load_opt_outs(path) if entry not in entries]
        workspace.write_json(path, kept)


def add_opt_outs(path: Path, entries: Collection[OptOut]) -> None:
    """Add entries that the file does not have yet; it is written whole or not at all.

    Raises:
        WorkspaceError: the file is damaged.
    """
    stored = load_opt_outs(path)
    keys = {(entry.account, entry.person) for entry in stored}
    new = [entry for entry in entries if (entry.account, entry.person) not in keys]
    if new:
        workspace.write_json(path, [asdict(entry) for entry in (*stored, *new)])
