"""Match the accounts in message tables with the persons of people.toml."""

from __future__ import annotations

import re
from collections.abc import Collection
from hashlib import blake2b

import polars as pl

from myna.messages import COUNTED_REACTIONS, SCHEMA
from myna.people import (
    MAX_NAME_CHARS,
    UNNAMED_OWNER,
    Consent,
    People,
    Person,
    sanitize_name,
)

# Names that platforms and exporters write for somebody whom they do not know, or not any more.
_PLACEHOLDERS = re.compile(
    r"(?:no[- _]?sender|unknown(?: (?:user|sender|author|member|contact|person))?|unbekannt\w*"
    r"|inconnue?|desconocid[oa]|desconhecid[oa]|sconosciut[oa]|onbekend|nieznan[ay]|неизвестн\w*"
    r"|невідом\w*|bilinmeyen|不明|未知|알 수 없음|null|none|n/?a|undefined|\(?nobody\)?"
    r"|(?:facebook|instagram|messenger|telegram|whatsapp|discord|slack|google)[- ]?(?:user|member"
    r"|nutzer(?:in)?|benutzer(?:in)?|bruger|användare|bruker|gebruiker|käyttäjä|uživatel|felhasználó"
    r"|kullanıcısı|ユーザー|用户|用戶|使用者|사용자|पयोगकर्ता)|instagrammer"
    r"|(?:utilisateur|utilisatrice|usuario|usuari|usuário|utilizador|utente|użytkownik|uživatel|"
    r"pengguna|người dùng|пользователь|користувач|χρήστης|utilizator|مستخدم|משתמש)"
    r"(?: de| do| di| της| του)? ?(?:facebook|instagram|messenger)\w*"
    r"|[\[(]?deleted[ _-](?:user|account|member)[\])]?(?:[ _#].*)?|\[deleted\]|deactivated user"
    r"|former (?:user|member)|gelöschte\w* (?:konto|nutzer\w*|benutzer\w*)|compte supprimé"
    r"|cuenta eliminada|conta (?:excluída|eliminada)|account eliminato|konto usunięte"
    r"|usunięte konto|удал[её]нный (?:аккаунт|пользователь)|видалений акаунт"
    r"|silinmiş hesap|削除されたアカウント|已删除的账户|已刪除的帳號|삭제된 계정|anonymous)",
    re.IGNORECASE,
)


def is_placeholder(name: str) -> bool:
    """True for a name that stands for anybody: several people may have it."""
    return bool(_PLACEHOLDERS.fullmatch(name.strip()))


def find_accounts(messages: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """The accounts in a message table: (account, author, is_bot); system notices do not count."""
    written = messages.lazy().filter(pl.col("kind") != "system")
    return latest_names(written.select(account_expr().alias("account"), "author", "is_bot"))


def latest_names(accounts: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Deduplicate accounts: one row for each, with its latest name."""
    each = accounts.lazy().group_by("account", maintain_order=True)
    return each.agg(pl.col("author").last(), pl.col("is_bot").any()).collect()


def account_expr() -> pl.Expr:
    """A polars expression: the account that sent a message, `source:author_id`."""
    return pl.concat_str(pl.col("source"), pl.lit(":"), pl.col("author_id").fill_null(""))


def add_people(
    people: People, accounts: pl.DataFrame, default: Consent, my_accounts: Collection[str] = ()
) -> People:
    """Add a person for each account that belongs to no person yet.

    Accounts with the same name stay separate persons: the second gets a number. Bots get
    consent "no", and placeholders such as "Facebook user" at most "context". The user who made
    the export becomes `me`, if no person with a name is yet. A default of "clone" counts for
    these people only, and is not kept for those of later imports.

    Args:
        people: the known people.
        accounts: as `find_accounts` returns them.
        default: consent of new persons.
        my_accounts: accounts of the user who made the export.
    """
    persons = list(people.persons)
    names = {p.name for p in persons} | {p.display_name for p in persons}
    owned = {a for p in persons for a in p.accounts}
    numbers: dict[str, int] = {}
    owner = people.me
    is_unnamed = owner == UNNAMED_OWNER and not any(
        p.name == owner and p.consent == "clone" for p in persons
    )
    for account, author, is_bot in accounts.iter_rows():
        if account in owned:
            continue
        name = plain = sanitize_name(author or account.partition(":")[2])
        while name in names:
            numbers[plain] = numbers.get(plain, 1) + 1
            ending = f" {numbers[plain]}"
            name = plain[: MAX_NAME_CHARS - len(ending)].strip() + ending
        names.add(name)
        consent: Consent = "no" if is_bot else default
        if consent == "clone" and is_placeholder(author or account.partition(":")[2]):
            consent = "context"
        if account in my_accounts and not is_bot and (not owner or is_unnamed):
            owner, is_unnamed = name, name == UNNAMED_OWNER
        persons.append(Person(name, (account,), consent, is_bot))
    kept = people.default_consent if default == "clone" else default
    return People(tuple(persons), kept, owner, people.forgotten)


def account_hash(account: str) -> str:
    """The hash that stands for a forgotten account in people.toml: 32 hexadecimal digits."""
    return blake2b(account.encode(), digest_size=16).hexdigest()


def drop_forgotten(messages: pl.DataFrame, people: People) -> pl.DataFrame:
    """Drop the messages and the reactions of forgotten accounts."""
    if not people.forgotten or messages.is_empty():
        return messages
    messages = messages.with_columns(account=account_expr())
    givers = messages.select(
        pl.col("source"), pl.col("reactions").list.eval(pl.element().struct["by"].explode())
    ).explode("reactions")
    known = givers.drop_nulls().select(pl.concat_str("source", pl.lit(":"), "reactions"))
    every = {*messages["account"].unique(), *known.to_series().unique()}
    forgotten = [account for account in every if account_hash(account) in people.forgotten]
    messages = messages.filter(~pl.col("account").is_in(forgotten)).drop("account")
    return messages.with_columns(reactions=without_reactions(messages, forgotten))


def count_reactions(messages: pl.DataFrame, people: People) -> pl.Series:
    """The reactions of messages, as lists of `name` and `count`.

    Those of people with consent "no" are not counted, where the export says who gave them.
    """
    refused = [a for p in people.persons if p.consent_now == "no" for a in p.accounts]
    fields = [pl.element().struct.field("name"), pl.element().struct.field("count")]
    counted = without_reactions(messages, refused).list.eval(pl.struct(*fields))
    return counted.cast(COUNTED_REACTIONS).alias("reactions")


def without_reactions(messages: pl.DataFrame, accounts: Collection[str]) -> pl.Series:
    """The column `reactions` of messages, without those that some accounts gave."""
    given = (
        messages.select("source", "reactions")
        .with_row_index("row")
        .filter(pl.col("reactions").list.len() > 0)
        .explode("reactions")
        .unnest("reactions")
        .with_row_index("number")
    )
    left_out = pl.concat_str("source", pl.lit(":"), "by").is_in(
        pl.Series(list(accounts), dtype=pl.String).implode()
    )
    named = (
        given.filter(pl.col("by").list.len() > 0)
        .explode("by")
        .group_by("number")
        .agg(pl.col("by").filter(~left_out), left_out=left_out.sum().cast(pl.Int32))
    )
    kept = (
        given.join(named, on="number", how="left", maintain_order="left")
        .with_columns(
            pl.col("count") - pl.col("left_out").fill_null(0),
            by=pl.coalesce("by_right", "by"),
        )
        .filter(pl.col("count") > 0)
        .group_by("row", maintain_order=True)
        .agg(reactions=pl.struct("name", "count", "by"))
    )
    rows = pl.select(row=pl.int_range(messages.height, dtype=pl.UInt32))
    listed = rows.join(kept, on="row", how="left", maintain_order="left")
    return listed.select(pl.col("reactions").fill_null([]).cast(SCHEMA["reactions"])).to_series()


def assign_persons(messages: pl.DataFrame, people: People) -> pl.DataFrame:
    """Add the columns `person` and `consent`; unknown accounts get "no".

    people.toml overrides `is_bot`: a bridge bot that relays a person's messages can be
    assigned to that person.
    """
    rows = [
        (a, p.display_name, p.consent_now, p.is_bot) for p in people.persons for a in p.accounts
    ]
    schema = {"account": pl.String, "person": pl.String, "consent": pl.String, "bot": pl.Boolean}
    persons = pl.DataFrame(rows, schema=schema, orient="row")
    return (
        messages.with_columns(account_expr().alias("account"))
        .join(persons, on="account", how="left", maintain_order="left")
        .with_columns(
            pl.col("person").fill_null(pl.col("author")),
            pl.col("consent").fill_null("no"),
            is_bot=pl.coalesce("bot", "is_bot"),
        )
        .drop("account", "bot")
    )
