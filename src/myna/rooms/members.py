"""Who is in a live room, and what is set for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from myna import config
from myna.errors import SettingsError
from myna.people import sanitize_name
from myna.persona.clone import Clone
from myna.persona.memory import OWNER, Audience
from myna.rooms.store import Histories

OWN = ("temperature", "top_p", "min_p", "max_reply_tokens", "memory")
"""The settings of `[chat]` that a room may have of its own."""


class Attendance:
    """The humans and personas in a room, who can read it, and its own settings.

    Names are made to fit before a colon (`people.sanitize_name`) wherever they come in.
    """

    def __init__(
        self, clone: Clone, histories: Histories, name: str, settings: dict[str, Any]
    ) -> None:
        self.id = name
        self._clone = clone
        self._histories = histories
        self._settings = settings
        self._lock = threading.RLock()

    @property
    def members(self) -> list[str]:
        """Everyone present: the personas, then the humans."""
        return [*self.personas, *self.humans]

    @property
    def personas(self) -> list[str]:
        """The personas present, without those whom a human speaks for."""
        with self._lock:
            known = self._clone.personas
            here = self._settings["personas"]
            return [p for p in here if p in known and p not in self._settings["humans"]]

    @property
    def humans(self) -> list[str]:
        """The humans present."""
        with self._lock:
            return list(self._settings["humans"])

    @property
    def settings(self) -> dict[str, Any]:
        """What is set for this room: `humans`, `personas`, `audience`, `chat`, `notes`."""
        with self._lock:
            return {**self._settings, "humans": self.humans, "chat": dict(self._settings["chat"])}

    def configure(
        self, chat: Mapping[str, Any] | None = None, notes: Mapping[str, Any] | None = None
    ) -> None:
        """Change how personas speak here.

        Args:
            chat: settings of `[chat]` that this room has its own of (temperature, top_p,
                min_p, max_reply_tokens, memory); a value of None goes back to the clone's.
            notes: what a front end wants to keep with the room, any JSON; None leaves it.

        Raises:
            SettingsError: no such setting, a wrong value, or notes that are no JSON.
        """
        try:
            json.dumps(notes, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"room {self.id!r}: notes are no JSON: {error}") from error
        for name in chat or ():
            if name not in OWN:
                raise SettingsError(f"a room has no setting {name!r}: choose {', '.join(OWN)}")
        with self._lock:
            own = {**self._settings["chat"], **(chat or {})}
            own = {name: value for name, value in own.items() if value is not None}
            valid = config.updated(config.Settings(), "chat", own, f"room {self.id!r}").chat
            own = {name: getattr(valid, name) for name in own}
            changed = {"chat": own} if notes is None else {"chat": own, "notes": dict(notes)}
            self._change(**changed)

    def heard_by(self, audience: Audience | None) -> None:
        """Say who can read the room from now on; None: unknown."""
        self._change(audience=audience if audience is None or audience == OWNER else [*audience])

    def join(self, name: str) -> None:
        """A human comes in; a persona of the same name falls silent."""
        self.arrive([name], None, None)

    def leave(self, name: str) -> None:
        """A human goes."""
        with self._lock:
            self._change(humans=[h for h in self.humans if h != sanitize_name(name)])

    def summon(self, name: str) -> None:
        """A persona comes in.

        Raises:
            PeopleError: there is no such persona.
        """
        name = self._clone.known(name)
        with self._lock:
            if name not in self._settings["personas"]:
                self._change(personas=[*self._settings["personas"], name])

    def dismiss(self, name: str) -> None:
        """A persona goes."""
        with self._lock:
            self._change(personas=[p for p in self._settings["personas"] if p != name])

    def arrive(
        self, humans: Sequence[str], personas: Sequence[str] | None, audience: Audience | None
    ) -> None:
        """Humans come in; personas and audience are these, unless None leaves them."""
        with self._lock:
            here = list(dict.fromkeys([*self.humans, *map(sanitize_name, humans)]))
            if here != self.humans:
                self._change(humans=here)
            if personas is not None and list(personas) != self._settings["personas"]:
                self._change(personas=list(personas))
            if audience is not None:
                self.heard_by(audience)

    def _change(self, **settings: Any) -> None:
        with self._lock:
            changed = {**self._settings, **settings}
            if changed != self._settings:
                self._histories.keep(self.id, changed)
                self._settings = changed
                if {"humans", "personas"} & settings.keys():
                    self._others_are_here()

    def _others_are_here(self) -> None:
        """Hears of it whenever somebody came or went."""
