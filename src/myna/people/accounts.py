"""Accounts: the persons' traces in the message table."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b

import polars as pl

from myna.people import NAME_LENGTH, Consent, People, Person, plain_name


def accounts(messages: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """The accounts that wrote in a message table: (account, author, is_bot).

    Whoever only joined, left or was otherwise spoken of by the platform wrote nothing.
    """
    wrote = messages.lazy().filter(pl.col("kind") != "system")
    return newest(wrote.select(account().alias("account"), "author", "is_bot"))


def newest(found: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """One row for each account, with the name it had last."""
    each = found.lazy().group_by("account", maintain_order=True)
    return each.agg(pl.col("author").last(), pl.col("is_bot").any()).collect()


def account() -> pl.Expr:
    """The account that a message was sent from."""
    return pl.concat_str(pl.col("source"), pl.lit(":"), pl.col("author_id").fill_null(""))


def add(people: People, found: pl.DataFrame, default: Consent, me: Collection[str] = ()) -> People:
    """Everyone of before, and a person for each account that nobody had.

    Two accounts are never taken for one person because their names are the same: the
    second gets a number. Bots may stand in prompts at most. Whoever made the export is
    "me", where nobody is yet, and may be cloned: it is their machine.

    Args:
        people: everyone of before.
        found: accounts, as `accounts` finds them.
        default: consent of those who are new.
        me: accounts of whoever made the export.
    """
    persons = list(people.persons)
    names = {p.name for p in persons} | {p.shown for p in persons}
    owned = {a for p in persons for a in p.accounts}
    numbers: dict[str, int] = {}
    owner = people.me
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
        if account_ in me and not owner and not is_bot:
            owner, consent = name, "clone"
        persons.append(Person(name, (account_,), consent, is_bot))
    return People(tuple(persons), default, owner, people.forgotten)


def mark(account_: str) -> str:
    """The hash by which a forgotten account is remembered."""
    return blake2b(account_.encode(), digest_size=16).hexdigest()


def without_forgotten(messages: pl.DataFrame, people: People) -> pl.DataFrame:
    """The messages of everyone but the forgotten."""
    if not people.forgotten or messages.is_empty():
        return messages
    marked = messages.with_columns(account=account())
    gone = [a for a in marked["account"].unique() if mark(a) in people.forgotten]
    return marked.filter(~pl.col("account").is_in(gone)).drop("account")


def assign(messages: pl.DataFrame, people: People) -> pl.DataFrame:
    """The messages with the columns `person` and `consent`; unknown accounts get "no".

    Whether a known account is a bot is the word of people.toml: one that passes on what
    a person writes can be given to that person.
    """
    rows = [(a, p.shown, p.consent, p.is_bot) for p in people.persons for a in p.accounts]
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
