"""The messages of a live room that prompts show, and the builder of these prompts."""

from __future__ import annotations

from collections.abc import Sequence

from myna.persona.clone import Clone
from myna.persona.prompt import PromptBuilder, PromptMessage, prompt_message
from myna.rendering.turns import MAX_PEOPLE_NAMED
from myna.rooms.store import Message, RoomStore


class PromptHistory:
    """The messages that prompts show, in order, kept in step with the store.

    Not for several threads at once: a live room holds its lock meanwhile.
    """

    def __init__(self, clone: Clone, store: RoomStore, room_id: str) -> None:
        self._clone = clone
        self._store = store
        self._room_id = room_id
        self.messages = store.prompt_messages(room_id)
        self._forgotten = 0
        self._cleaned: dict[int, PromptMessage] = {}
        self._builder: PromptBuilder | None = None
        self._members: tuple[list[str], list[str]] = [], []
        """The personas and humans of the builder."""

    @property
    def last_person(self) -> str | None:
        """The author of the last message."""
        return self.messages[-1].person if self.messages else None

    @property
    def is_reset(self) -> bool:
        """True before the next prompt is built from the start."""
        return self._builder is None

    def add(self, message: Message) -> None:
        """Add a message behind those of its turn and of all earlier turns."""
        if message.turn <= self._forgotten:
            return
        i = len(self.messages)
        while i and self.messages[i - 1].turn > message.turn:
            i -= 1
        self.messages.insert(i, message)

    def replace(self, edited: Message) -> None:
        """Replace the message of the same id."""
        self.messages = [edited if m.id == edited.id else m for m in self.messages]
        self._cleaned.pop(edited.id, None)
        self.reset()

    def remove(self, erased: Sequence[Message]) -> None:
        """Remove messages."""
        ids = {message.id for message in erased}
        self.messages = [m for m in self.messages if m.id not in ids]
        self.reset()

    def forget(self, turn: int) -> None:
        """Show nothing up to this turn any more, nor what is still added to it."""
        self._forgotten = turn
        self.messages = [m for m in self.messages if m.turn > turn]
        self._cleaned = {}
        self.reset()

    def catch_up(self) -> list[tuple[str, Message]]:
        """Read the store's changes by other processes.

        Returns each message that is new ("message"), "edited" or "deleted".
        """
        before = {message.id: message for message in self.messages}
        self.messages = self._store.prompt_messages(self._room_id)
        now = {message.id: message for message in self.messages}
        changes = [("edited" if m.id in before else "message", m)
                   for m in self.messages if before.get(m.id) != m]  # fmt: skip
        changes += [
            ("deleted", message)
            for id_, message in before.items()
            if id_ not in now and self._store.find(self._room_id, id_) is None
        ]
        for _, message in changes:
            self._cleaned.pop(message.id, None)
        if changes:
            self.reset()
        return changes

    def reset(self) -> None:
        """Build the next prompt from the start: members or messages have changed."""
        self._builder = None

    def builder(
        self, personas: Sequence[str], humans: Sequence[str], before: int | None
    ) -> PromptBuilder:
        """The builder of prompts, with all messages, or with those before a turn."""
        members = list(personas), list(humans)
        if self._builder is None or members != self._members:  # consent changes them unseen
            self._members = members
            # The latest to join: a system line names no more people than in training.
            named = humans[-max(MAX_PEOPLE_NAMED - len(personas), 1) :]
            self._builder = self._clone.prompt_builder(named, personas)
        shown = (m for m in self.messages if before is None or m.turn < before)
        self._builder.messages = [m for m in map(self._prompt_message, shown) if m.text]
        return self._builder

    def trim(self) -> None:
        """Discard the messages that were trimmed from the last prompt, here and in the store."""
        trimmed = self._builder.discard_trimmed() if self._builder else 0
        if not trimmed:
            return
        while trimmed:
            trimmed -= bool(self._prompt_message(self.messages.pop(0)).text)
        if self.messages:
            self._store.trim(self._room_id, self.messages[0])
        kept = {message.id for message in self.messages}
        self._cleaned = {i: m for i, m in self._cleaned.items() if i in kept}

    def _prompt_message(self, message: Message) -> PromptMessage:
        """A message as samples would show it, cached."""
        cleaned = self._cleaned.get(message.id)
        if cleaned is None:
            cleaned = prompt_message(self._clone.format, message.person, message.text)
            self._cleaned[message.id] = cleaned
        return cleaned
