"""Merge and rename persons, set their consent; opt-outs of users of bots.

Functions on `People` return a changed copy.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from myna import workspace
from myna.errors import PeopleError, WorkspaceError
from myna.people import (
    SCOPES,
    Consent,
    ConsentRecord,
    People,
    Person,
    find_person,
    sanitize_name,
    today,
)


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


def set_consent(
    people: People,
    name: str,
    value: Consent,
    pseudonym: str | None = None,
    record: ConsentRecord | None = None,
) -> People:
    """Set a person's consent, its record and, if one is given, the pseudonym ("" removes it).

    Raises:
        PeopleError: unknown person, the pseudonym is taken, or a bot would be a persona.
    """
    before = find_person(people, name)
    if before.is_bot and value == "clone":
        raise PeopleError(f"'{before.name}' is a bot, and bots are never personas")
    after = replace(before, consent=value, record=record)
    if pseudonym is not None:
        if pseudonym:
            _check_name(people, pseudonym, before)
        after = replace(after, pseudonym=pseudonym)
    return _replace_person(people, before, after)


def set_me(people: People, name: str) -> People:
    """Set the person who is the user; they say by it that they may be cloned.

    Raises:
        PeopleError: unknown person, or a bot.
    """
    person = find_person(people, name)
    record = ConsentRecord("the owner, who said so", today(), SCOPES)
    return replace(set_consent(people, person.name, "clone", record=record), me=person.name)


def end_consents(people: People) -> tuple[People, list[Person]]:
    """Make consents whose last day is over `context`; also return whose they were."""
    ended = [person for person in people.persons if person.consent_now != person.consent]
    for person in ended:
        people = set_consent(people, person.name, person.consent_now)
    return people, ended


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


MEANING = (
    "A clone is a language model that learns from what you wrote in these chats and then answers "
    "in your manner. It repeats things that you said, and it makes up things that you never said. "
    "It is always marked as a clone, and what it says is not yours. The chats stay on the owner's "
    "machine. You may say no, now or at any time: it then falls silent at once, and is trained "
    "again without you."
)
"""The words that a person is told before they answer."""


def request_page(name: str, owner: str, messages: int) -> str:
    """A page that asks somebody whether they may be cloned.

    Args:
        name: the person.
        owner: who asks, or "".
        messages: how many messages of theirs there are.
    """
    lines = [
        f"To {name}, from {owner or '(your name)'}",
        "",
        f"May a language model learn to write like you, from the {messages:,} messages of yours in",
        "chats that we both took part in?",
        "",
        *textwrap.wrap(MEANING, 78),
        "",
        "If you agree, please say to what (you may choose one, several or none):",
        "",
        "  [ ] owner    your clone may talk to me",
        "  [ ] group    it may talk to others as well, such as in our group's chat",
        "  [ ] publish  it may be passed on or published",
        "",
        "Until when (leave empty for: until I say no): ____________",
        "",
        "If you do not agree, you need not give a reason. Your messages are then not used to train",
        "anything; say so, too, if they are not to be read by a clone of somebody else, either.",
        "",
        "Please answer only for yourself, and only if you are of age.",
    ]
    return "\n".join(lines) + "\n"


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
