"""A persona's turn: prompt, stream, and the exact end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from myna.engines import Engine, Sampling
from myna.persona.room import Room, TurnReader


@dataclass
class Speech:
    """One turn as it comes in; after iterating, `text` is whole and in the room."""

    engine: Engine
    room: Room
    person: str
    sampling: Sampling
    most_tokens: int
    opening: str = ""
    """What their turn begins with, and they did not say themselves."""
    text: str = ""
    next_person: str | None = None
    _reader: TurnReader = field(default_factory=TurnReader)

    def __iter__(self) -> Iterator[str]:
        prompt = self.room.prompt(self.person, self.opening)
        stream = self.engine.stream(prompt, self.sampling, self.most_tokens)
        try:
            reason = None
            while reason is None and not self._reader.ended:
                try:
                    piece = next(stream)
                except StopIteration as end:
                    reason = end.value
                else:
                    yield from self._gain(self._reader.feed(piece))
            yield from self._gain(self._reader.finish(cut=reason == "limit"))
        finally:
            stream.close()
            self.next_person = self._reader.next_person
            self.text = self.text.strip()
            before = f"{self.opening}\n" if self.opening and self.text else ""
            self.room.say(self.person, before + self.text)

    def _gain(self, words: str) -> Iterator[str]:
        if words:
            self.text += words
            yield words
