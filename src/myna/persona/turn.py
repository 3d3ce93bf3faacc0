"""Generations: the text that a model adds to a prompt, and a persona's turn read from it.

Nothing is stored: what becomes of the text is for whoever iterates over it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing

from myna.cleaning.redact_stream import RedactionStream, TextFilter
from myna.config import Sampling
from myna.engines.engine import Engine
from myna.persona.prompt import PromptBuilder


class Generation:
    """The continuation of a prompt: iterate once to generate it, piece by piece.

    A piece may be empty, as a chance to stop: while a prompt is read, or text is held back.

    Attributes:
        engine: runs the model.
        prompt_ids: the token ids that it continues.
        raw_text: the text generated so far, with what ended it.
        finish_reason: "stop" (the model ended it), "length" (the most tokens, or the
            context) or "cancelled"; None before, and where the iteration was broken off.
        is_cancelled: asked before each piece; once it is true, no more is generated.
    """

    def __init__(
        self,
        engine: Engine,
        prompt_ids: list[int],
        sampling: Sampling,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.engine = engine
        self.prompt_ids = prompt_ids
        self.sampling = sampling
        self.is_cancelled = is_cancelled
        self.raw_text = ""
        self.finish_reason: str | None = None

    def __iter__(self) -> Generator[str]:
        with closing(self.engine.stream(self.prompt_ids, self.sampling)) as stream:
            while not self.is_cancelled():
                try:
                    piece = next(stream)
                except StopIteration as end:
                    self.finish_reason = end.value
                    return
                self.raw_text += piece
                yield piece
            self.finish_reason = "cancelled"


class GeneratedTurn(Generation):
    """A persona's turn, up to where somebody else would speak; its text comes redacted.

    Attributes:
        person: the persona who speaks.
        opening: the given beginning of the turn, which is not generated.
        text: the turn's text so far; once it ended, without blanks around it.
        next_person: the next speaker that the model named, once the turn ended.
    """

    def __init__(
        self,
        engine: Engine,
        builder: PromptBuilder,
        person: str,
        sampling: Sampling,
        *,
        opening: str = "",
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        prompt_ids = builder.prompt(person, opening)
        super().__init__(engine, prompt_ids, builder.with_breakers(sampling), is_cancelled)
        self.person = person
        self.opening = opening
        self.text = ""
        self.next_person: str | None = None
        self._reader = builder.turn_reader()
        self._redaction: TextFilter = RedactionStream(builder.format.redaction)

    def __iter__(self) -> Generator[str]:
        try:
            with closing(super().__iter__()) as pieces:
                for piece in pieces:
                    yield self._add(self._redaction.feed(self._reader.feed(piece)))
                    if self._reader.ended:
                        self.finish_reason = "stop"
                        break
            if self.finish_reason != "cancelled":
                rest = self._reader.finish(cut=self.finish_reason == "length")
                yield self._add(self._redaction.feed(rest) + self._redaction.finish())
        finally:
            self.next_person = self._reader.next_person
            self.text = self.text.strip()

    def _add(self, text: str) -> str:
        self.text += text
        return text
