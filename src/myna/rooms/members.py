"""The members of a live room, and its settings."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from myna import config
from myna.errors import SettingsError
from myna.people import sanitize_name
from myna.persona.clone import Clone
from myna.persona.memory import OWNER, Audience
from myna.rooms.store import RoomStore

ROOM_SETTINGS = (*config.PersonaSampling.model_fields, "memory")
"""The settings of `[chat]` that a room may override."""


MAX_TITLE_CHARS = 100


class RoomMembers:
    """The humans and personas in a room, its audience, and its own settings.

    Names are made to fit before a colon (`people.sanitize_name`).
    """

    def __init__(
        self, clone: Clone, store: RoomStore, room_id: str, settings: dict[str, Any]
    ) -> None:
        self.id = room_id
        self._clone = clone
        self._store = store
        self._settings = settings
        """Replaced and never changed, so that reading it does not wait for the lock, which a
        thread may hold for long: event loops do it."""
        self._lock = threading.RLock()

    @property
    def members(self) -> list[str]:
        """Everyone present: the personas, then the humans."""
        return [*self.personas, *self.humans]

    @property
    def personas(self) -> list[str]:
        """The personas present who may speak, without those whom a human speaks for."""
        cloned, settings = self._clone.speakers(), self._settings
        return [p for p in settings["personas"] if p in cloned and p not in settings["humans"]]

    @property
    def humans(self) -> list[str]:
        """The humans present."""
        return list(self._settings["humans"])

    @property
    def settings(self) -> dict[str, Any]:
        """The room's `humans`, `personas`, `audience`, `chat`, `notes`; `era`, `title` once set."""
        settings = self._settings
        return {**settings, "humans": [*settings["humans"]], "chat": dict(settings["chat"])}

    @property
    def audience(self) -> Audience | None:
        """All who can read the room, its humans as well; None or empty if unknown."""
        settings = self._settings
        audience = settings["audience"]
        if not audience or audience == OWNER:
            return audience  # type: ignore[no-any-return]  # it is JSON
        return [*audience, *settings["humans"]]

    @property
    def title(self) -> str:
        """The name that people gave the room; "" if none."""
        title: str = self._settings.get("title", "")
        return title

    def rename(self, title: str) -> None:
        """Give the room a name, of one line; "" for none."""
        self._change(title=" ".join(title.split())[:MAX_TITLE_CHARS])

    @property
    def era(self) -> str | None:
        """The day in the room's system line, as 2019-03-31; None for today."""
        return self._settings.get("era")

    def set_era(self, when: str | None) -> None:
        """Set the day in the system line: a year, a month or a day, such as 2019-03.

        Of a year or a month it is the middle; None is for today.

        Raises:
            SettingsError: it is no date, or the system line has none.
        """
        if when is None:
            self._change(era=None)
            return
        if "{date}" not in self._clone.format.samples.system_lines[0]:
            raise SettingsError(
                "the clone knows no dates: put {date} into samples.system, "
                "then run `myna prepare` and `myna train`"
            )
        completed = when + "2000-07-15"[len(when) :]
        try:
            day = date.fromisoformat(completed)
        except ValueError:
            raise SettingsError(f"'{when}' is no date: write 2019, 2019-03 or 2019-03-31") from None
        self._change(era=day.isoformat())

    def configure(
        self, chat: Mapping[str, Any] | None = None, notes: Mapping[str, Any] | None = None
    ) -> None:
        """Change the room's own settings.

        Args:
            chat: settings of `[chat]` to override (`ROOM_SETTINGS`); a value of None goes back
                to the clone's.
            notes: any JSON that a front end stores with the room; None leaves it.

        Raises:
            SettingsError: no such setting, a wrong value, or notes that are no JSON.
        """
        try:
            json.dumps(notes, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"room {self.id!r}: notes are no JSON: {error}") from error
        for name in chat or ():
            if name not in ROOM_SETTINGS:
                raise SettingsError(
                    f"a room has no setting {name!r}: choose {', '.join(ROOM_SETTINGS)}"
                )
        with self._lock:
            merged = {**self._settings["chat"], **(chat or {})}
            own = {name: value for name, value in merged.items() if value is not None}
            valid = config.updated(config.Settings(), "chat", own, f"room {self.id!r}").chat
            changes = {"chat": {name: getattr(valid, name) for name in own}}
            self._change(**changes if notes is None else {**changes, "notes": dict(notes)})

    def set_audience(self, audience: Audience | None) -> None:
        """Set those who can read the room from now on; None: unknown."""
        self._change(audience=audience if audience is None or audience == OWNER else [*audience])

    def join(self, name: str) -> None:
        """Add a human; a persona of the same name falls silent."""
        self.update_members([name], None, None)

    def leave(self, name: str) -> None:
        """Remove a human."""
        with self._lock:
            self._change(humans=[h for h in self.humans if h != sanitize_name(name)])

    def summon(self, name: str) -> None:
        """Add a persona.

        Raises:
            PeopleError, ConsentError: there is no such persona, or they may not be cloned now.
        """
        name = self._clone.check_persona(name)
        with self._lock:
            if name not in self._settings["personas"]:
                self._change(personas=[*self._settings["personas"], name])

    def dismiss(self, name: str) -> None:
        """Remove a persona."""
        with self._lock:
            self._change(personas=[p for p in self._settings["personas"] if p != name])

    def update_members(
        self, humans: Sequence[str], personas: Sequence[str] | None, audience: Audience | None
    ) -> None:
        """Add humans; replace personas and audience, unless they are None."""
        with self._lock:
            self._change(humans=list(dict.fromkeys([*self.humans, *map(sanitize_name, humans)])))
            if personas is not None:
                self._change(personas=list(personas))
            if audience is not None:
                self.set_audience(audience)

    def _change(self, **settings: Any) -> None:
        with self._lock:
            changed = {**self._settings, **settings}
            if changed != self._settings:
                self._store.save_settings(self.id, changed)
                self._settings = changed
                if {"humans", "personas", "era"} & settings.keys():
                    self._on_members_changed()

    def _on_members_changed(self) -> None:
        """Called after somebody joined or left."""
