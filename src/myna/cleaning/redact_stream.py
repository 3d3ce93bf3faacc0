"""Redaction of a text that is still being generated.

Text that may become part of personal data is held back; the rest is released at once. The
patterns are those of redaction: the library `regex` tells of each if the text so far could be
the start of a match. After a full match all further text waits for the end of the stream,
since the words behind it may still decide for or against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, Protocol

from myna.cleaning.personal_data import addresses, credentials, ids, links, numbers, phones
from myna.cleaning.redact import PLAIN, redact_text
from myna.config import Redaction

MAX_IBAN_CHARS = 34


class TextFilter(Protocol):
    """A filter of a text that is still being generated: it holds back what is not certain yet.

    `RedactionStream` is one; so are the readers of a persona's turn
    (`persona.prompt.TurnReader`) and of stop strings (`serving.openai_generate.StopStringFilter`).
    """

    def feed(self, piece: str) -> str:
        """Take the next piece, and return the text that is certain now."""
        ...

    def finish(self) -> str:
        """Return the rest, when the text has ended."""
        ...


class RedactionStream:
    """Redacts a text piece by piece: its outputs, joined, are the redaction of the whole text."""

    def __init__(self, settings: Redaction) -> None:
        self._settings = settings
        self._off = settings.style == "off" or not settings.types
        self._text = ""
        self._plain = ""
        self.released = 0
        """Characters returned so far; nothing in them is personal."""
        self._is_waiting = False

    def feed(self, piece: str) -> str:
        """Take the next piece, and return the text that is certain now."""
        if self._off:
            return piece
        self._text += piece
        self._plain += piece.translate(PLAIN)
        if self._is_waiting or not piece:
            return ""
        end = self._certain_end()
        certain, self.released = self._text[self.released : end], end
        return certain

    def finish(self) -> str:
        """Return the rest, redacted, when the text has ended."""
        rest = ""
        if self.released < len(self._text):
            rest = redact_text(self._text, self._settings)[self.released :]
        self._text = self._plain = ""
        self.released = 0
        return rest

    def _certain_end(self) -> int:
        """Return the end of the text that cannot become personal, whatever follows."""
        certain = len(self._plain)
        for match in self._candidates():
            if not match.partial:
                self._is_waiting = True
                return self.released
            certain = min(certain, match.start)
        return certain

    def _candidates(self) -> Iterator[_Candidate]:
        """Yield the matches of the patterns, and the possible starts of matches."""
        # Text far before the held-back text has no influence on it.
        first = max(0, self.released - ids.NAME_REACH)
        text, begin = self._plain[first:], self.released - first
        for candidate in _find_candidates(text, begin):
            yield _Candidate(first + candidate.start, candidate.partial)


class _Candidate(NamedTuple):
    start: int
    partial: bool


def _find_candidates(text: str, begin: int) -> Iterator[_Candidate]:
    for pattern in _patterns():
        match = pattern.search(text, begin, partial=True)
        if match:
            yield _Candidate(match.start(), match.partial)
    named = bool(ids._ANY_NAME.search(text))
    for form, name in _id_kinds():
        if name is None or named:
            for match in form.finditer(text, begin, overlapped=True, partial=True):
                start = match.start()
                if name is None or name.search(text[max(0, start - ids.NAME_REACH) : start]):
                    yield _Candidate(start, match.partial)
    yield from _accounts(text, begin)


def _accounts(text: str, begin: int) -> Iterator[_Candidate]:
    """Yield IBANs: their start alone is everywhere (`in 1969`), so more of each is checked."""
    for match in _iban_start_pattern().finditer(text, begin, overlapped=True, partial=True):
        if match.partial:
            yield _Candidate(match.start(), True)
            continue
        rest = text[match.start() : match.start() + 2 * MAX_IBAN_CHARS]
        account = _iban_characters_pattern().match(rest)
        if account and account.end() == len(rest) < 2 * MAX_IBAN_CHARS:
            yield _Candidate(match.start(), True)
        elif any(True for _ in numbers.ibans(rest)):
            yield _Candidate(match.start(), False)


@cache
def _iban_start_pattern() -> Any:
    """Return the pattern of an IBAN's beginning, which also matches in part."""
    return _partial(numbers._IBAN_START)


@cache
def _iban_characters_pattern() -> Any:
    """Return the pattern of characters that an IBAN may go on with, in groups."""
    import regex

    return regex.compile("(?:[A-Za-z0-9][ \xa0-]?)*")


@cache
def _patterns() -> tuple[Any, ...]:
    """Return the patterns of redaction, except for ids and IBANs."""
    patterns = (
        *(credentials._BEGIN, credentials._KNOWN_TOKEN, credentials._WEBHOOK),
        *(credentials._PARAMETER, credentials._NAMED_TOKEN, credentials._PASSWORD_IN_URL),
        *(credentials._NAMED_PASSWORD, credentials._SHORT_NAMED_PASSWORD),
        *(links._INVITE, links._EMAIL, links._BRACKETED, links._SPELLED),
        *(numbers._CARD, numbers._IPV4, numbers._IPV6),
        *(numbers._PAIR, numbers._SEXAGESIMAL, numbers._PLUS_CODE),
        *(phones._CANDIDATE, *addresses._FORMS, addresses._LOWER_CASE),
    )
    return tuple(map(_partial, patterns))


@cache
def _id_kinds() -> tuple[tuple[Any, Any], ...]:
    """Return the ids: the form, and the words that must come before it."""
    return tuple((_partial(kind.form), kind.name) for kind in ids._KINDS)


def _partial(pattern: Any) -> Any:
    """Compile a pattern of the standard library so that it can match partially."""
    import regex

    return regex.compile(pattern.pattern, pattern.flags)
