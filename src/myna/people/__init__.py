"""Persons, their accounts, and what they consent to.

file             read and write people.toml
accounts         match the accounts in message tables with persons
consent          merge and rename persons, set consent; opt-outs of users of bots
consent_checker  personas that may speak now, accounts that may be read
overview         everyone with message counts; suggestions for merges
forgetting       erase a person from a workspace
"""

from myna.people.file import (
    CLONE_MARK,
    MAX_NAME_CHARS,
    SCOPES,
    UNNAMED_OWNER,
    Consent,
    ConsentRecord,
    People,
    Person,
    Scope,
    clone_notice,
    find_person,
    load,
    match_name,
    owner_name,
    persona_names,
    sanitize_name,
    save,
    today,
)
