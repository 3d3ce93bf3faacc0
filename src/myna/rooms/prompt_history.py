"""What the prompts of a live room show of its history, and the room that makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from myna.persona.clone import Clone
from myna.persona.prompt import Line, Room, line_of
from myna.rendering.turns import MAX_PEOPLE_NAMED
from myna.rooms.store import Histories, Message


class Shown:
    """The messages that prompts show, kept in step with the histories.

    Not for several threads at once: a live room holds its lock meanwhile.

    Attributes:
        messages: in their order.
    """

    def __init__(self, clone: Clone, histories: Histories, room: str) -> None:
        self._clone = clone
        self._histories = histories
        self._id = room
        self.messages = histories.shown(room)
        self._forgotten = 0
        self._lines: dict[int, Line] = {}
        self._room: Room | None = None

    @property
    def last_person(self) -> str | None:
        """Who spoke last."""
        return self.messages[-1].person if self.messages else None

    @property
    def is_new(self) -> bool:
        """Whether the next prompt is made from the start."""
        return self._room is None

    def add(self, message: Message) -> None:
        """A message, in its place: behind those of its turn and of all before it."""
        if message.turn <= self._forgotten:
            return
        at = len(self.messages)
        while at and self.messages[at - 1].turn > message.turn:
            at -= 1
        self.messages.insert(at, message)

    def change(self, edited: Message) -> None:
        """A message has other words now."""
        self.messages = [edited if m.id == edited.id else m for m in self.messages]
        self._lines.pop(edited.id, None)
        self.begin_anew()

    def drop(self, erased: Sequence[Message]) -> None:
        """Messages are gone."""
        gone = {message.id for message in erased}
        self.messages = [m for m in self.messages if m.id not in gone]
        self.begin_anew()

    def forget(self, turn: int) -> None:
        """Nothing up to this turn is shown any more, even where it goes on."""
        self._forgotten = turn
        self.messages = [m for m in self.messages if m.turn > turn]
        self._lines = {}
        self.begin_anew()

    def catch_up(self) -> list[tuple[str, Message]]:
        """Take in what others wrote into the histories.

        Returns what that was: each message that is new ("message"), has other words
        ("edited") or is gone ("deleted").
        """
        before = {message.id: message for message in self.messages}
        self.messages = self._histories.shown(self._id)
        now = {message.id: message for message in self.messages}
        changes = [("edited" if m.id in before else "message", m)
                   for m in self.messages if before.get(m.id) != m]  # fmt: skip
        changes += [
            ("deleted", message)
            for number, message in before.items()
            if number not in now and self._histories.find(self._id, number) is None
        ]
        for _, message in changes:
            self._lines.pop(message.id, None)
        if changes:
            self.begin_anew()
        return changes

    def begin_anew(self) -> None:
        """Have the next prompt made from the start: others are here, or other words."""
        self._room = None

    def room(self, personas: Sequence[str], humans: Sequence[str], before: int | None) -> Room:
        """The room that prompts are made with: of all that is shown, or of before a turn."""
        if self._room is None:
            # The newest: a system line names no more than in training.
            named = humans[-max(MAX_PEOPLE_NAMED - len(personas), 1) :]
            self._room = self._clone.room(named, personas)
        shown = (m for m in self.messages if before is None or m.turn < before)
        self._room.lines = [line for line in map(self._line, shown) if line.text]
        return self._room

    def trim(self) -> None:
        """Let go of what the last prompt had no room for."""
        gone = self._room.let_go() if self._room else 0
        if not gone:
            return
        while gone:
            gone -= bool(self._line(self.messages.pop(0)).text)
        if self.messages:
            self._histories.trim(self._id, self.messages[0])
        kept = {message.id for message in self.messages}
        self._lines = {number: line for number, line in self._lines.items() if number in kept}

    def _line(self, message: Message) -> Line:
        """A message as those were that the model was trained on."""
        line = self._lines.get(message.id)
        if line is None:
            line = line_of(self._clone.format, message.person, message.text)
            self._lines[message.id] = line
        return line


def copied(room: Room) -> Room:
    """A room of its own for one prompt, while the other goes on."""
    return replace(room, members=[*room.members], lines=[*room.lines], recalled=[*room.recalled])
