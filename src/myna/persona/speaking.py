"""A persona's turn: prompt, stream, redaction, and the exact end."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from myna.cleaning.redaction_stream import RedactionStream
from myna.config import Redaction
from myna.engines import Engine, Sampling
from myna.persona.room import Room, TurnReader


@dataclass
class Speech:
    """One turn as it comes in; after iterating, `text` is whole and in the room.

    A piece may be empty, for a chance to stop: while a prompt is read, or words are held back.
    """

    engine: Engine
    room: Room
    person: str
    sampling: Sampling
    most_tokens: int
    opening: str = ""
    """What their turn begins with, and they did not say themselves."""
    redaction: Redaction = field(default_factory=Redaction)
    """Of what they say, as the messages were redacted that the model was trained on."""
    text: str = ""
    reason: str | None = None
    """Why it ended: "end" or "limit"; None before, and where it was broken off."""
    next_person: str | None = None
    _reader: TurnReader = field(init=False)

    def __post_init__(self) -> None:
        self._reader = self.room.reader()

    def __iter__(self) -> Generator[str]:
        prompt = self.room.prompt(self.person, self.opening)
        stream = self.engine.stream(prompt, self.sampling, self.most_tokens)
        redacted = RedactionStream(self.redaction)
        try:
            reason = None
            while reason is None and not self._reader.ended:
                try:
                    piece = next(stream)
                except StopIteration as end:
                    reason = end.value
                else:
                    yield self._gain(redacted.feed(self._reader.feed(piece)))
            rest = self._reader.finish(cut=reason == "limit")
            yield self._gain(redacted.feed(rest) + redacted.finish())
            self.reason = reason or "end"
        finally:
            stream.close()
            self.next_person = self._reader.next_person
            self.text = self.text.strip()
            before = f"{self.opening}\n" if self.opening and self.text else ""
            self.room.say(self.person, before + self.text)

    def _gain(self, words: str) -> str:
        self.text += words
        return words
