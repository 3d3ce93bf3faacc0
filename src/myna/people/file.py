"""Read and write people.toml: persons, their accounts, and what they consent to.

`myna import` creates the file, and users may edit it:

    default_consent = "context"
    me = "Neil Armstrong"

    [people."Neil Armstrong"]
    accounts = ["generic:CDR"]
    consent = "clone"
    asked = "by Ana, on the phone"
    asked_on = 1969-07-16
    scope = ["owner", "group"]
    until = 1970-01-01

    [people."Buzz Aldrin"]
    accounts = ["generic:LMP"]
    consent = "context"
    pseudonym = "Robin"

An account is `source:author_id`. Consent is one of `clone` (may be a persona), `context`
(their messages may stand in prompts, but are never trained) and `no` (their messages are
left out, and others' mentions of them are made anonymous). With `clone` stands a record: who
asked and how, on which day, for what (`owner`: their clone talks to the workspace's owner,
`group`: to others as well, `publish`: it may be passed on), and the last day, if there is one.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, cast, get_args

from myna import workspace
from myna.errors import PeopleError, first_line

Consent = Literal["clone", "context", "no"]
Scope = Literal["owner", "group", "publish"]
"""Uses of a clone: it talks to the owner, talks to others, is passed on."""
SCOPES: tuple[Scope, ...] = get_args(Scope)

MAX_NAME_CHARS = 40
"""Longest name, in characters; the escaping of transcripts relies on it."""

UNNAMED_OWNER = "Me"
"""Name of whoever wrote a journal, or made an export that does not name them."""

CLONE_MARK = " (clone)"
"""Ending of a clone's name wherever it speaks, so that nobody takes it for the human."""

_HEADER = """\
Who is who. Each person has accounts (source:author_id) and a consent:
  clone    may be a persona, and is trained; `myna people allow` notes who asked, how and when
  context  their messages may stand in prompts, and are never trained
  no       their messages are left out
A bot (bot = true) is never trained. Give two persons' accounts to one to merge them.
A pseudonym stands in place of a name in prompts and samples.
`myna prepare` applies what you change; `myna people` does it for you.
"""


@dataclass(frozen=True)
class ConsentRecord:
    """The record of a consent to be cloned.

    Attributes:
        asked: who asked, and how.
        asked_on: the day of the answer.
        scope: what the clone may be used for.
        until: the last day on which it holds; None: until it is withdrawn.
    """

    asked: str
    asked_on: date
    scope: tuple[Scope, ...] = ("owner", "group")
    until: date | None = None


@dataclass(frozen=True)
class Person:
    """One human (or bot) across names and platforms."""

    name: str
    accounts: tuple[str, ...]
    consent: Consent
    is_bot: bool = False
    pseudonym: str = ""
    record: ConsentRecord | None = None
    """Of the consent `clone`; None where nobody wrote one."""

    @property
    def consent_now(self) -> Consent:
        """The consent today: one to be cloned that has ended is `context`."""
        ended = self.record is not None and self.record.until is not None
        if self.consent == "clone" and ended and self.record.until < today():  # type: ignore[union-attr, operator]
            return "context"
        return self.consent

    @property
    def scope(self) -> tuple[Scope, ...]:
        """The uses of their clone that they agree to now; without a record, all."""
        if self.consent_now != "clone" or self.is_bot:
            return ()
        return SCOPES if self.record is None else self.record.scope

    @property
    def display_name(self) -> str:
        """The name in samples and prompts: the pseudonym, or else the name."""
        return self.pseudonym or self.name


@dataclass(frozen=True)
class People:
    """Everyone in the chats.

    Attributes:
        persons: in the order of the file.
        default_consent: of persons added later; None stands for `context`.
        me: the name of the workspace's owner, or "".
        forgotten: hashes of forgotten accounts, whose messages are never stored again.
    """

    persons: tuple[Person, ...] = ()
    default_consent: Consent | None = None
    me: str = ""
    forgotten: tuple[str, ...] = ()


def today() -> date:
    """The day now, in UTC."""
    return datetime.now(UTC).date()


def sanitize_name(name: str) -> str:
    """Make a name fit before a colon: one line, no colon, no control characters."""
    kept = "".join(
        " " if c in ":\n\r\t" or unicodedata.category(c) in {"Zl", "Zp", "Zs"} else c
        for c in name
        if c in "\n\r\t" or unicodedata.category(c)[0] != "C"
    )
    one_line = re.sub(r"\s+", " ", unicodedata.normalize("NFC", kept)).strip()
    return one_line[:MAX_NAME_CHARS].strip() or "someone"


def load(path: Path) -> People:
    """Read people.toml; without a file, an empty `People`.

    Raises:
        PeopleError: the file cannot be read, or has unknown or contradictory entries.
    """
    if not path.exists():
        return People()
    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise PeopleError(f"cannot read {path}: {first_line(error)}") from error
    unknown = document.keys() - {"default_consent", "me", "forgotten", "people"}
    if unknown:
        raise PeopleError(f"{path}: what is '{min(unknown)}'? A person is [people.\"NAME\"]")
    tables = document.get("people", {})
    if not isinstance(tables, dict):
        raise PeopleError(f'{path}: write each person as a table: [people."NAME"]')
    persons = tuple(_read_person(name, table, path) for name, table in tables.items())
    _check_unique(persons, path)
    default, me = document.get("default_consent"), str(document.get("me", ""))
    if default == "clone":
        raise PeopleError(
            f"{path}: default_consent: nobody is cloned by default: write context or no, and "
            "type `myna people allow NAME` for each who agreed"
        )
    if me and me not in tables:
        raise PeopleError(f"{path}: me is '{me}', an unknown person: see `myna people`")
    forgotten = tuple(map(str, document.get("forgotten", ())))
    return People(persons, _consent(default, str(path)) if default else None, me, forgotten)


def _read_person(name: str, table: Any, path: Path) -> Person:
    if not isinstance(table, dict):
        raise PeopleError(f'{path}: write [people."{name}"] as a table')
    known = {"accounts", "consent", "bot", "pseudonym", "asked", "asked_on", "scope", "until"}
    unknown = table.keys() - known
    if unknown:
        raise PeopleError(f"{path}: {name}: there is no '{min(unknown)}' in a person's table")
    pseudonym = str(table.get("pseudonym", ""))
    for given in filter(None, (name, pseudonym)):
        if given != sanitize_name(given):
            raise PeopleError(
                f"{path}: '{given}' cannot stand before a colon: write '{sanitize_name(given)}'"
            )
    accounts = table.get("accounts", [])
    if not isinstance(accounts, list):
        raise PeopleError(f'{path}: {name}: write accounts as a list: ["{accounts}"]')
    consent = _consent(table.get("consent", "no"), f"{path}: {name}")
    is_bot = bool(table.get("bot", False))
    record = _read_record(table, f"{path}: {name}")
    return Person(name, tuple(map(str, accounts)), consent, is_bot, pseudonym, record)


def _read_record(table: Mapping[str, Any], origin: str) -> ConsentRecord | None:
    """The record of a consent; None without one.

    Raises:
        PeopleError: a part of it is missing or wrong.
    """
    if not table.keys() & {"asked", "asked_on", "scope", "until"}:
        return None
    asked, until = table.get("asked"), table.get("until")
    if not isinstance(asked, str) or not asked.strip():
        raise PeopleError(f'{origin}: write who asked, and how: asked = "by Tom, in person"')
    for key in ("asked_on", "until"):
        day = table.get(key)
        if type(day) is not date and (key == "asked_on" or day is not None):
            raise PeopleError(f"{origin}: write {key} as a day, without quotes: {today()}")
    scope = table.get("scope", list(SCOPES[:2]))
    if not isinstance(scope, list) or any(word not in SCOPES for word in scope):
        raise PeopleError(f"{origin}: scope is a list of {', '.join(SCOPES)}")
    return ConsentRecord(asked, table["asked_on"], tuple(s for s in SCOPES if s in scope), until)


def _check_unique(persons: Sequence[Person], path: Path) -> None:
    """Check that no two persons have an account or a display name in common."""
    owners: dict[str, str] = {}
    names: dict[str, str] = {}
    for person in persons:
        for account in person.accounts:
            if account in owners:
                raise PeopleError(
                    f"{path}: {account} belongs to both '{owners[account]}' and '{person.name}': "
                    "leave it with one"
                )
            owners[account] = person.name
        other = names.setdefault(person.display_name, person.name)
        if other != person.name:
            raise PeopleError(
                f"{path}: both '{other}' and '{person.name}' would be shown as "
                f"'{person.display_name}': choose another pseudonym"
            )


def _consent(value: object, origin: str) -> Consent:
    if value not in get_args(Consent):
        raise PeopleError(f"{origin}: consent '{value}': choose clone, context or no")
    return cast(Consent, value)


def save(path: Path, people: People) -> None:
    """Write people.toml; the user's comments and order stay."""
    import tomlkit  # it takes ten times as long as tomllib, which keeps no comments

    if path.exists():
        document = tomlkit.parse(path.read_text("utf-8-sig"))
    else:
        document = tomlkit.document()
        for line in _HEADER.splitlines():
            document.add(tomlkit.comment(line))
        document.add(tomlkit.nl())
    # TOML's top-level keys cannot stand behind its tables.
    tables = document.pop("people", None)
    if tables is None:
        tables = tomlkit.table(is_super_table=True)
    top = {
        "default_consent": people.default_consent or "",
        "me": people.me,
        "forgotten": list(people.forgotten),
    }
    _update(document, top)
    document["people"] = tables
    for removed in tables.keys() - {person.name for person in people.persons}:
        del tables[removed]
    for person in people.persons:
        if person.name not in tables:
            tables[person.name] = tomlkit.table()
        entry = {
            "accounts": list(person.accounts),
            "consent": person.consent,
            "bot": person.is_bot,
            "pseudonym": person.pseudonym,
            **_record_table(person.record),
        }
        _update(tables[person.name], entry, keep=("accounts", "consent"))
    workspace.write_text(path, tomlkit.dumps(document))


def _record_table(record: ConsentRecord | None) -> dict[str, object]:
    if record is None:
        return dict.fromkeys(("asked", "asked_on", "scope", "until"))
    return {**vars(record), "scope": list(record.scope)}


def _update(
    table: MutableMapping[str, Any], values: Mapping[str, object], keep: tuple[str, ...] = ()
) -> None:
    """Set changed values; empty values are removed, except the keys in `keep`."""
    for key, value in values.items():
        if not value and key not in keep:
            table.pop(key, None)
        elif key not in table or table[key] != value:
            table[key] = value


def clone_notice(names: Sequence[str]) -> str:
    """The line that tells readers of an export or a list of models that it is a clone."""
    return (
        f"A clone of {', '.join(names)}: a language model imitates them (made with myna). It is "
        "not the person, and what it says was never said by them."
    )


def owner_name(people: People) -> str:
    """The display name of the workspace's owner; "" if it is unknown, or only `Me`."""
    names = [p.display_name for p in people.persons if p.name == people.me]
    return names[0] if names and names[0] != UNNAMED_OWNER else ""


def persona_names(people: People) -> list[str]:
    """The display names of all who may be cloned."""
    return [p.display_name for p in people.persons if p.scope]


def find_person(people: People, name: str) -> Person:
    """The person with this name, matched as `match_name` does.

    Raises:
        PeopleError: no person matches, or several do.
    """
    match = match_name(name, [p.name for p in people.persons])
    return next(p for p in people.persons if p.name == match)


def match_name(name: str, names: Sequence[str]) -> str:
    """The one of `names` that `name` equals, or that alone has a word beginning with it.

    Raises:
        PeopleError: no name matches, or several do.
    """
    folded = name.strip().casefold()
    exact = [n for n in names if n.casefold() == folded]
    if exact:
        return name.strip() if name.strip() in exact else exact[0]
    words = {n: [n.casefold(), *n.casefold().split()] for n in names}
    matches = [n for n in names if folded and any(w.startswith(folded) for w in words[n])]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise PeopleError(f"'{name}' may be {' or '.join(matches)}: write more of the name")
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    others = f"there are {', '.join(names)}" if names else "there are no people yet"
    hint = f"did you mean {close[0]}?" if close else others
    raise PeopleError(f"unknown person '{name}': {hint}")
