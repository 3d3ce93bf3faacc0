"""Who is who: persons, their accounts, and what they consent to.

`people.toml` is made by `myna import` and edited by anyone:

    default_consent = "clone"

    [people."Neil Armstrong"]
    accounts = ["json_lines:CDR"]
    consent = "clone"

An account is `source:author_id`. Consent has three values: `clone` (may be a persona),
`context` (their words may stand in prompts, but are never trained), `no` (their
messages are left out).
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import polars as pl
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
`myna prepare` applies what you change.
"""


@dataclass(frozen=True)
class Person:
    """One human (or bot) across names and platforms."""

    name: str
    accounts: tuple[str, ...]
    consent: Consent
    is_bot: bool = False


@dataclass(frozen=True)
class People:
    """Everyone in the chats, and the consent of those who appear later."""

    persons: tuple[Person, ...] = ()
    default_consent: Consent | None = None


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
    strange = document.keys() - {"default_consent", "people"}
    if strange:
        raise PeopleError(f"{path}: what is '{min(strange)}'? A person is [people.\"NAME\"]")
    persons, owners = [], dict[str, str]()
    everyone = document.get("people", {})
    if not isinstance(everyone, dict):
        raise PeopleError(f'{path}: write each person as a table: [people."NAME"]')
    for name, entry in everyone.items():
        if not isinstance(entry, dict):
            raise PeopleError(f'{path}: write [people."{name}"] as a table')
        unknown = entry.keys() - {"accounts", "consent", "bot"}
        if unknown:
            raise PeopleError(f"{path}: {name}: there is no '{min(unknown)}' in a person's table")
        if name != plain_name(name):
            raise PeopleError(
                f"{path}: '{name}' cannot stand before a colon: call them '{plain_name(name)}'"
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
        persons.append(Person(name, accounts, consent, bool(entry.get("bot", False))))
    default = document.get("default_consent")
    return People(tuple(persons), _consent(default, str(path)) if default else None)


def _consent(value: object, place: str) -> Consent:
    if value not in get_args(Consent):
        raise PeopleError(f"{place}: consent '{value}': choose clone, context or no")
    return cast(Consent, value)


def accounts(messages: pl.DataFrame) -> pl.DataFrame:
    """The accounts in a message table: (account, author, is_bot)."""
    return newest(messages.select(account().alias("account"), "author", "is_bot"))


def newest(found: pl.DataFrame) -> pl.DataFrame:
    """One row for each account, with the name it had last."""
    return found.group_by("account", maintain_order=True).agg(
        pl.col("author").last(), pl.col("is_bot").any()
    )


def account() -> pl.Expr:
    """The account that a message was sent from."""
    return pl.concat_str(pl.col("source"), pl.lit(":"), pl.col("author_id").fill_null(""))


def add(people: People, found: pl.DataFrame, default: Consent) -> People:
    """Everyone of before, and a person for each account that nobody had.

    Two accounts are never taken for one person because their names are the same: the
    second gets a number. Bots may stand in prompts at most.
    """
    persons = list(people.persons)
    names = {p.name for p in persons}
    owned = {a for p in persons for a in p.accounts}
    numbers: dict[str, int] = {}
    for account_, author, is_bot in found.iter_rows():
        if account_ in owned:
            continue
        name = plain = plain_name(author or account_.partition(":")[2])
        while name in names:
            numbers[plain] = numbers.get(plain, 1) + 1
            ending = f" {numbers[plain]}"
            name = plain[: NAME_LENGTH - len(ending)].strip() + ending
        names.add(name)
        consent: Consent = "no" if is_bot else default
        persons.append(Person(name, (account_,), consent, is_bot))
    return People(tuple(persons), default)


def save(path: Path, people: People) -> None:
    """Write people.toml; comments and order that a user gave it stay."""
    if path.exists():
        document = tomlkit.parse(path.read_text("utf-8-sig"))
    else:
        document = tomlkit.document()
        for line in _HEADER.splitlines():
            document.add(tomlkit.comment(line))
        document.add(tomlkit.nl())
    if people.default_consent:
        document["default_consent"] = people.default_consent
    if "people" not in document:
        document["people"] = tomlkit.table(is_super_table=True)
    tables = cast(tomlkit.items.Table, document["people"])
    for person in people.persons:
        if person.name in tables:
            continue
        table = tomlkit.table()
        table["accounts"] = list(person.accounts)
        table["consent"] = person.consent
        if person.is_bot:
            table["bot"] = True
        tables[person.name] = table
    workspace.write_text(path, tomlkit.dumps(document))


def assign(messages: pl.DataFrame, people: People) -> pl.DataFrame:
    """The messages with the columns `person` and `consent`; unknown accounts get "no".

    Whether a known account is a bot is the word of people.toml: one that passes on what
    a person writes can be given to that person.
    """
    rows = [(a, p.name, p.consent, p.is_bot) for p in people.persons for a in p.accounts]
    schema = {"account": pl.String, "person": pl.String, "consent": pl.String, "bot": pl.Boolean}
    known = pl.DataFrame(rows, schema=schema, orient="row")
    return (
        messages.with_columns(account().alias("account"))
        .join(known, on="account", how="left", maintain_order="left")
        .with_columns(
            pl.col("person").fill_null(pl.col("author")),
            pl.col("consent").fill_null("no"),
            is_bot=pl.coalesce("bot", "is_bot"),
        )
        .drop("account", "bot")
    )


def personas(people: People) -> list[str]:
    """The names of those who may be cloned."""
    return [p.name for p in people.persons if p.consent == "clone" and not p.is_bot]


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
