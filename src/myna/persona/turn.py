"""Generations: the text that a model adds to a prompt, and a persona's turn read from it.

Nothing is stored: what becomes of the text is for whoever iterates over it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace

from myna.cleaning.redact_stream import RedactionStream, TextFilter
from myna.config import Sampling
from myna.engines.engine import Engine
from myna.persona.line_guard import HOTTER, LineGuard
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

    With a guard, a line that repeats what was just said is drawn again, and a turn ends after
    as many lines as the person says at most. Text is held back while it may still be
    rejected.

    Attributes:
        person: the persona who speaks.
        opening: the given beginning of the turn, which is not generated.
        text: the turn's text so far; once it ended, without blanks around it.
        next_person: the next speaker that the model named, once the turn ended.
        guard: decides about each line; None for none.
    """

    def __init__(
        self,
        engine: Engine,
        builder: PromptBuilder,
        person: str,
        sampling: Sampling,
        *,
        opening: str = "",
        guard: LineGuard | None = None,
        prompt_ids: list[int] | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """`prompt_ids` is another prompt than the builder's, such as one edited by hand."""
        prompt_ids = builder.prompt(person, opening) if prompt_ids is None else prompt_ids
        super().__init__(engine, prompt_ids, builder.with_breakers(sampling), is_cancelled)
        self.person = person
        self.opening = opening
        self.text = ""
        self.next_person: str | None = None
        self.guard = None if opening else guard
        self._builder = builder

    def __iter__(self) -> Generator[str]:
        try:
            guard = self.guard
            for piece in self._guarded(guard) if guard else self._draw("", self.sampling, 0):
                self.text += piece
                yield piece
        finally:
            self.text = self.text.strip()

    def _draw(self, raw: str, sampling: Sampling, skipped: int) -> Generator[str]:
        """Generate the turn after its beginning `raw`; gives the text behind that.

        `skipped` are the characters of text that the beginning has.
        """
        reader = self._builder.turn_reader()
        redaction: TextFilter = RedactionStream(self._builder.format.redaction)
        begun = redaction.feed(reader.feed(raw))  # its end may be held back
        ids = self._builder.tokenizer.encode(raw).ids
        self.raw_text = raw
        left = sampling.narrowed(max(1, sampling.max_new_tokens - len(ids)))
        rest = Generation(self.engine, [*self.prompt_ids, *ids], left, self.is_cancelled)
        try:
            with closing(iter(rest)) as pieces:
                for piece in pieces:
                    self.raw_text += piece
                    begun += redaction.feed(reader.feed(piece))
                    yield begun[skipped:]
                    begun, skipped = begun[:0], max(0, skipped - len(begun))
                    if reader.ended:
                        rest.finish_reason = "stop"
                        break
            if rest.finish_reason != "cancelled":
                end = reader.finish(cut=rest.finish_reason == "length")
                yield (begun + redaction.feed(end) + redaction.finish())[skipped:]
        finally:
            self.finish_reason = rest.finish_reason
            self.next_person = reader.next_person

    def _guarded(self, guard: LineGuard) -> Generator[str]:
        """Draw the turn line by line, each as often as the guard allows."""
        lines = _Lines(guard)
        raw, tries = "", 0
        while True:
            sampling = replace(
                self.sampling,
                temperature=self.sampling.temperature + HOTTER * tries,
                seed=None if self.sampling.seed is None else self.sampling.seed + tries,
            )
            is_last = tries == self.sampling.max_redraws
            with closing(self._draw(raw, sampling, lines.characters)) as pieces:
                for piece in pieces:
                    yield lines.feed(piece, must_accept=is_last and not lines.accepted)
                    if lines.rejected or lines.is_full:
                        break
                else:
                    yield lines.finish(must_accept=is_last and not lines.accepted)
            if lines.is_full:
                self.finish_reason = "stop"
            if not lines.rejected or self.finish_reason == "cancelled":
                return
            kept = _first_lines(self.raw_text, lines.accepted)
            tries = 1 if kept != raw else tries + 1
            raw, self.raw_text = kept, kept
            lines.rejected = False
            if tries > self.sampling.max_redraws:
                self.finish_reason, self.next_person = "stop", None
                return


def with_leading_blanks(turn: Generation) -> Generator[str]:
    """A turn's pieces with the blanks before them, which join them to an opening."""
    with closing(iter(turn)) as pieces:
        first = next(filter(None, pieces), "")
        yield turn.raw_text[: -len(turn.raw_text.lstrip())] + first if first else ""
        yield from pieces


class _Lines:
    """The lines of a turn as they come, given out once they cannot be rejected any more.

    Attributes:
        accepted: number of lines that were accepted, blank ones as well.
        characters: of these, with the newline behind each.
        rejected: True once a line was rejected; nothing of it was given out.
        is_full: True once the turn has as many lines as the person says at most.
    """

    def __init__(self, guard: LineGuard) -> None:
        self._guard = guard
        self._line = ""
        self._given = 0
        """Characters of the unfinished line that were given out."""
        self.accepted = self.characters = 0
        self.rejected = False
        self.is_full = False

    def feed(self, piece: str, *, must_accept: bool) -> str:
        """Take a piece; returns the text that may be given out."""
        out = ""
        self._line += piece
        while "\n" in self._line and not self.rejected and not self.is_full:
            line, _, rest = self._line.partition("\n")
            out += self._accept(line, must_accept=must_accept)
            if not self.rejected:
                self._line = rest
                self.is_full = self.accepted >= self._guard.habits.max_lines
                out += "" if self.is_full else "\n"
        if self.rejected or self.is_full:
            return out
        if not self._given:
            if self._guard.can_decide(self._line):
                if self._is_rejected(self._line, must_accept=must_accept):
                    return out
            elif self._guard.may_reject(self._line):
                return out
        out += self._line[self._given :]
        self._given = len(self._line)
        return out

    def finish(self, *, must_accept: bool) -> str:
        """End the turn; returns the rest of its last line, unless it is rejected."""
        return self._accept(self._line, must_accept=must_accept)

    def _accept(self, line: str, *, must_accept: bool) -> str:
        if not self._given and self._is_rejected(line, must_accept=must_accept):
            return ""
        self._guard.accept(line)
        self.accepted += 1
        self.characters += len(line) + 1
        given, self._given, self._line = self._given, 0, ""
        return line[given:]

    def _is_rejected(self, line: str, *, must_accept: bool) -> bool:
        if must_accept or not self._guard.rejects(line):
            return False
        self._guard.redraws += 1
        self._line, self.rejected = "", True
        return True


def _first_lines(raw: str, count: int) -> str:
    """The first lines of a turn's raw text, with the newline behind them."""
    if not count:
        return ""
    blanks = len(raw) - len(raw.lstrip())
    end = blanks
    for _ in range(count):
        end = raw.find("\n", end) + 1
    return raw[:end]
