"""people.toml: persons, their accounts, and what they consent to.

It is made by `myna import` and edited by anyone:

    default_consent = "context"
    me = "Neil Armstrong"

    [people."Neil Armstrong"]
    accounts = ["generic:CDR"]
    consent = "clone"

    [people."Buzz Aldrin"]
    accounts = ["generic:LMP"]
    consent = "context"
    pseudonym = "Robin"

An account is `source:author_id`. Consent has three values: `clone` (may be a persona),
`context` (their words may stand in prompts, but are never trained), `no` (their
messages are left out, and others' mentions of them are made anonymous).
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import tomlkit
from tomlkit.exceptions import TOMLKitError

from myna import workspace
from myna.errors import PeopleError

Consent = Literal["clone", "context", "no"]

NAME_LENGTH = 40
"""Longest name, in characters: the transcript's escape counts on it."""

_HEADER = """\
Who is who. Each person has accounts (source:author_id) and a consent:
  clone    may be a persona, and is trained
  context  their words may stand in prompts, and are never trained
  no       their messages are left out
A bot (bot = true) is never trained. Give two persons' accounts to one to merge them.
A pseudonym stands in place of a name in prompts and samples.
`myna prepare` applies what you change; `myna people` does it for you.
"""


@dataclass(frozen=True)
class Person:
    """One human (or bot) across names and platforms."""

    name: str
    accounts: tuple[str, ...]
    consent: Consent
    is_bot: bool = False
    pseudonym: str = ""

    @property
    def shown(self) -> str:
        """The name that samples and prompts have."""
        return self.pseudonym or self.name


@dataclass(frozen=True)
class People:
    """Everyone in the chats, and what goes for those who appear later.

    Attributes:
        persons: in the order of the file.
        default_consent: of those who appear later; None before anyone was asked.
        me: the name of whose workspace this is, or "".
        forgotten: hashes of the accounts whose messages are left out for good.
    """

    persons: tuple[Person, ...] = ()
    default_consent: Consent | None = None
    me: str = ""
    forgotten: tuple[str, ...] = ()


def plain_name(name: str) -> str:
    """A name that fits before a colon: one line, no colon, no control characters."""
    kept = "".join(
        " " if c in ":\n\r\t" or unicodedata.category(c) in {"Zl", "Zp", "Zs"} else c
        for c in name
        if c in "\n\r\t" or unicodedata.category(c)[0] != "C"
    )
    one_line = re.sub(r"\s+", " ", unicodedata.normalize("NFC", kept)).strip()
    return one_line[:NAME_LENGTH].strip() or "someone"


def load(path: Path) -> People:
    """The people of a workspace; nobody where there is no file yet.

    Raises:
        PeopleError: the file cannot be read as people.

    """
    if not path.exists():
        return People()
    try:
        document = tomlkit.parse(path.read_text("utf-8-sig")).unwrap()
    except (TOMLKitError, OSError, UnicodeDecodeError) as error:
        raise PeopleError(f"cannot read {path}: {error}") from error
    strange = document.keys() - {"default_consent", "me", "forgotten", "people"}
    if strange:
        raise PeopleError(f"{path}: what is '{min(strange)}'? A person is [people.\"NAME\"]")
    persons, owners = [], dict[str, str]()
    everyone = document.get("people", {})
    if not isinstance(everyone, dict):
        raise PeopleError(f'{path}: write each person as a table: [people."NAME"]')
    for name, entry in everyone.items():
        if not isinstance(entry, dict):
            raise PeopleError(f'{path}: write [people."{name}"] as a table')
        unknown = entry.keys() - {"accounts", "consent", "bot", "pseudonym"}
        if unknown:
            raise PeopleError(f"{path}: {name}: there is no '{min(unknown)}' in a person's table")
        pseudonym = str(entry.get("pseudonym", ""))
        for shown in filter(None, (name, pseudonym)):
            if shown != plain_name(shown):
                raise PeopleError(
                    f"{path}: '{shown}' cannot stand before a colon: write '{plain_name(shown)}'"
                )
        listed = entry.get("accounts", [])
        if not isinstance(listed, list):
            raise PeopleError(f'{path}: {name}: write accounts as a list: ["{listed}"]')
        accounts = tuple(map(str, listed))
        for account in accounts:
            if account in owners:
                raise PeopleError(
                    f"{path}: {account} belongs to both '{owners[account]}' and '{name}': "
                    "leave it with one"
                )
            owners[account] = name
        consent = _consent(entry.get("consent", "no"), f"{path}: {name}")
        bot = bool(entry.get("bot", False))
        persons.append(Person(name, accounts, consent, bot, pseudonym))
    _check_shown(persons, path)
    default, me = document.get("default_consent"), str(document.get("me", ""))
    if me and me not in everyone:
        raise PeopleError(f"{path}: me is '{me}', and nobody is called so: see `myna people`")
    forgotten = tuple(map(str, document.get("forgotten", ())))
    consent_of_others = _consent(default, str(path)) if default else None
    return People(tuple(persons), consent_of_others, me, forgotten)


def _check_shown(persons: list[Person], path: Path) -> None:
    """Nobody's pseudonym is somebody's name."""
    owners: dict[str, str] = {}
    for person in persons:
        other = owners.setdefault(person.shown, person.name)
        if other != person.name:
            raise PeopleError(
                f"{path}: both '{other}' and '{person.name}' would be shown as "
                f"'{person.shown}': choose another pseudonym"
            )


def _consent(value: object, place: str) -> Consent:
    if value not in get_args(Consent):
        raise PeopleError(f"{place}: consent '{value}': choose clone, context or no")
    return cast(Consent, value)


def save(path: Path, people: People) -> None:
    """Write people.toml; comments and order that a user gave it stay."""
    if path.exists():
        document = tomlkit.parse(path.read_text("utf-8-sig"))
    else:
        document = tomlkit.document()
        for line in _HEADER.splitlines():
            document.add(tomlkit.comment(line))
        document.add(tomlkit.nl())
    top = {
        "default_consent": people.default_consent or "",
        "me": people.me,
        "forgotten": list(people.forgotten),
    }
    # Keys of the document itself cannot stand behind its tables.
    tables = document.pop("people", None)
    _update(document, top)
    if tables is None:
        tables = tomlkit.table(is_super_table=True)
    document["people"] = tables
    for gone in tables.keys() - {person.name for person in people.persons}:
        del tables[gone]
    for person in people.persons:
        if person.name not in tables:
            tables[person.name] = tomlkit.table()
        entry = {
            "accounts": list(person.accounts),
            "consent": person.consent,
            "bot": person.is_bot,
            "pseudonym": person.pseudonym,
        }
        _update(tables[person.name], entry, keep=("accounts", "consent"))
    workspace.write_text(path, tomlkit.dumps(document))


def _update(
    table: MutableMapping[str, Any], values: Mapping[str, object], keep: tuple[str, ...] = ()
) -> None:
    """Set what has changed; what is empty is not written, but for what to `keep`."""
    for key, value in values.items():
        if not value and key not in keep:
            table.pop(key, None)
        elif key not in table or table[key] != value:
            table[key] = value


def personas(people: People) -> list[str]:
    """The names, as samples have them, of those who may be cloned."""
    return [p.shown for p in people.persons if p.consent == "clone" and not p.is_bot]


def person(people: People, name: str) -> Person:
    """The person meant by a name, as `find` understands it.

    Raises:
        PeopleError: nobody, or several.
    """
    found = find(name, [p.name for p in people.persons])
    return next(p for p in people.persons if p.name == found)


def find(name: str, names: Sequence[str]) -> str:
    """The one of `names` meant by `name`: exact, or else a unique beginning of any word.

    Raises:
        PeopleError: nobody, or several.

    """
    wanted = name.strip().casefold()
    exact = [n for n in names if n.casefold() == wanted]
    if exact:
        return name.strip() if name.strip() in exact else exact[0]
    begun = [n for n in names if any(w.startswith(wanted) for w in _words(n))] if wanted else []
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise PeopleError(f"'{name}' may be {' or '.join(begun)}: write more of the name")
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    others = f"there are {', '.join(names)}" if names else "there is nobody"
    hint = f"did you mean {close[0]}?" if close else others
    raise PeopleError(f"nobody here is called '{name}': {hint}")


def _words(name: str) -> list[str]:
    folded = name.casefold()
    return [folded, *folded.split()]
