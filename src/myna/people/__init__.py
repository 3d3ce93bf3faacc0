"""Persons, their accounts, and what they consent to.

file        people.toml: read and written
accounts    persons and the message table
changes     what commands do to people.toml
opt_outs    those who opted out where a bot speaks
overview    everyone with what they wrote
forgetting  erase a person from a workspace
"""

from myna.people.file import (
    NAME_LENGTH,
    Consent,
    People,
    Person,
    find,
    load,
    person,
    personas,
    plain_name,
    save,
)

__all__ = [
    "NAME_LENGTH",
    "Consent",
    "People",
    "Person",
    "find",
    "load",
    "person",
    "personas",
    "plain_name",
    "save",
]
