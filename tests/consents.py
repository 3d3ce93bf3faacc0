"""People who agreed to be cloned, and the consent that a clone asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from myna import people
from myna.people import Consent, People, Person, Scope
from myna.people.consent_checker import ConsentChecker, Trained, TrainedPerson
from myna.workspace import Workspace


def friend(name: str, consent: Consent = "clone") -> Person:
    """A person with one account."""
    return Person(name, (f"test:{name}",), consent)


def trained_on(
    names: Sequence[str], adapter: str = "group", *, own_adapters: bool = False
) -> Trained:
    """An adapter trained on friends."""
    each = {name: TrainedPerson.of(friend(name)) for name in names}
    return Trained(adapter, each, own_adapters)


def agreed(
    folder: Path, names: Sequence[str], *, own_adapters: bool = False, scope: Scope = "owner"
) -> ConsentChecker:
    """The consent of friends who all agreed, in the people.toml of a folder."""
    space = Workspace(folder)
    people.save(space.people_file, People(tuple(map(friend, names))))
    return ConsentChecker(space, trained_on(names, own_adapters=own_adapters), scope)


class AllAgree(ConsentChecker):
    """Consent without a workspace: nobody is ever refused."""

    def __init__(self, names: Sequence[str]) -> None:
        self.personas = list(names)

    def refusal(self, persona: str) -> str:
        return ""
