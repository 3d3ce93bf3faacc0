"""Changes to people.toml by the commands: each function takes people and returns them changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from myna import workspace
from myna.errors import PeopleError, WorkspaceError
from myna.people import Consent, People, Person, person, plain_name


def merge(people: People, into: str, other: str) -> People:
    """One person of two: the first's name and consent, both persons' accounts.

    Raises:
        PeopleError: nobody is called so, or both are the same, or one is a bot.
    """
    first, second = person(people, into), person(people, other)
    if first == second:
        raise PeopleError(f"'{into}' and '{other}' are the same person already")
    if first.is_bot != second.is_bot:
        raise PeopleError(
            f"one of '{first.name}' and '{second.name}' is a bot, and bots are nobody"
        )
    both = replace(first, accounts=(*first.accounts, *second.accounts))
    persons = [both if p == first else p for p in people.persons if p != second]
    me = first.name if people.me == second.name else people.me
    return replace(people, persons=tuple(persons), me=me)


def rename(people: People, name: str, new: str) -> People:
    """Another name for a person.

    Raises:
        PeopleError: nobody is called so, somebody else is, or it cannot be a name.
    """
    before = person(people, name)
    _check_free(people, new, before)
    me = new if people.me == before.name else people.me
    return replace(_with(people, before, replace(before, name=new)), me=me)


def consent(people: People, name: str, value: Consent, pseudonym: str | None = None) -> People:
    """Another consent for a person; with a pseudonym, "" for none any more.

    Raises:
        PeopleError: nobody is called so, the pseudonym is taken, or a bot would be a persona.
    """
    before = person(people, name)
    if before.is_bot and value == "clone":
        raise PeopleError(f"'{before.name}' is a bot, and bots are never personas")
    after = replace(before, consent=value)
    if pseudonym is not None:
        if pseudonym:
            _check_free(people, pseudonym, before)
        after = replace(after, pseudonym=pseudonym)
    return _with(people, before, after)


def me(people: People, name: str) -> People:
    """Say which person the user is; they may be cloned.

    Raises:
        PeopleError: nobody is called so, or a bot.
    """
    found = person(people, name)
    return replace(consent(people, found.name, "clone"), me=found.name)


def without(people: People, gone: Person, marks: tuple[str, ...]) -> People:
    """Everyone but one, whose accounts are remembered by their marks only."""
    persons = tuple(p for p in people.persons if p != gone)
    me_ = "" if people.me == gone.name else people.me
    forgotten = tuple(sorted({*people.forgotten, *marks}))
    return replace(people, persons=persons, me=me_, forgotten=forgotten)


def _with(people: People, before: Person, after: Person) -> People:
    return replace(people, persons=tuple(after if p == before else p for p in people.persons))


def _check_free(people: People, name: str, owner: Person) -> None:
    """A name can stand before a colon and is nobody else's."""
    if name != plain_name(name):
        raise PeopleError(f"'{name}' cannot stand before a colon: take '{plain_name(name)}'")
    if any(name in (p.name, p.shown) for p in people.persons if p != owner):
        raise PeopleError(f"somebody else is called '{name}': choose another name, or merge them")


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
