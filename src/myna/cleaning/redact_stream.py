"""Redaction of a text that is still being written.

What may be part of personal data is held back; the rest goes on at once. Whether it may be
is asked of the very patterns that redaction looks with: the library `regex` says of each
whether the text so far could be the beginning of what it matches. Once one has matched,
all from there on waits for the end, since what follows can still speak for or against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, Protocol

from myna.cleaning.personal_data import addresses, ids, links, numbers, phones, secrets
from myna.cleaning.redact import PLAIN, redacted
from myna.config import Redaction

_LOOKED_BACK = 48
"""Characters before an id in which it must be named."""
_LONGEST_IBAN = 34


class TextFilter(Protocol):
    """A filter of a text that is still being written: it holds back what is not certain yet.

    `RedactionStream` is one. Of its kind are the readers of a persona's turn
    (`persona.room.TurnReader`) and of stop strings (`serving.stops.StopReader`). A splitter,
    which cuts a text into messages, is none: it gives out lists.
    """

    def feed(self, piece: str) -> str:
        """Take the next piece, and give out the text that is certain now."""
        ...

    def finish(self) -> str:
        """Give out the rest, when the text has ended."""
        ...


class RedactionStream:
    """Takes pieces of a text and gives out what is certain of it, redacted.

    All that it gives out, joined, is what `redact` makes of the whole text.
    """

    def __init__(self, settings: Redaction) -> None:
        self._settings = settings
        self._off = settings.style == "off" or not settings.types
        self._text = ""
        self._plain = ""
        self.given = 0
        """Characters given out: nothing in them is personal."""
        self._waits = False

    def feed(self, piece: str) -> str:
        """The text that is certain now."""
        if self._off:
            return piece
        self._text += piece
        self._plain += piece.translate(PLAIN)
        if self._waits or not piece:
            return ""
        until = self._certain()
        sure, self.given = self._text[self.given : until], until
        return sure

    def finish(self) -> str:
        """The rest, when the text has ended."""
        rest = ""
        if self.given < len(self._text):
            rest = redacted(self._text, self._settings)[self.given :]
        self._text = self._plain = ""
        self.given = 0
        return rest

    def _certain(self) -> int:
        """Up to where nothing can become personal, whatever follows."""
        certain = len(self._plain)
        for found in self._candidates():
            if not found.partial:
                self._waits = True
                return self.given
            certain = min(certain, found.start)
        return certain

    def _candidates(self) -> Iterator[_Candidate]:
        """What matches a pattern, or may do so when more text has come."""
        # What stands long before what is not given out says nothing about it.
        first = max(0, self.given - _LOOKED_BACK)
        text, begin = self._plain[first:], self.given - first
        for candidate in self._found(text, begin):
            yield _Candidate(first + candidate.start, candidate.partial)

    @staticmethod
    def _found(text: str, begin: int) -> Iterator[_Candidate]:
        for pattern in _patterns():
            found = pattern.search(text, begin, partial=True)
            if found:
                yield _Candidate(found.start(), found.partial)
        named = bool(ids._ANY_SAID.search(text))
        for form, said in _kinds():
            if said is None or named:
                for found in form.finditer(text, begin, overlapped=True, partial=True):
                    start = found.start()
                    if said is None or said.search(text[max(0, start - _LOOKED_BACK) : start]):
                        yield _Candidate(start, found.partial)
        yield from _accounts(text, begin)


class _Candidate(NamedTuple):
    start: int
    partial: bool


def _accounts(text: str, begin: int) -> Iterator[_Candidate]:
    """IBANs: their beginning alone is everywhere (`in 1969`), so they are followed on."""
    for found in _iban().finditer(text, begin, overlapped=True, partial=True):
        if found.partial:
            yield _Candidate(found.start(), True)
            continue
        rest = text[found.start() : found.start() + 2 * _LONGEST_IBAN]
        run = _account_run().match(rest)
        if run and run.end() == len(rest) < 2 * _LONGEST_IBAN:
            yield _Candidate(found.start(), True)
        elif any(True for _ in numbers.ibans(rest)):
            yield _Candidate(found.start(), False)


@cache
def _iban() -> Any:
    return _partial(numbers._IBAN_START)


@cache
def _account_run() -> Any:
    import regex

    return regex.compile("(?:[A-Za-z0-9][ \xa0-]?)*")


@cache
def _patterns() -> tuple[Any, ...]:
    """All that redaction looks for, but for ids and IBANs."""
    return tuple(
        _partial(pattern)
        for pattern in (
            secrets._BEGIN,
            secrets._KNOWN,
            secrets._HOOK,
            secrets._PARAMETER,
            secrets._NAMED,
            secrets._ADDRESS,
            secrets._SAID,
            secrets._SHORT,
            links._INVITE,
            links._EMAIL,
            links._BRACKETED,
            links._SPELLED,
            numbers._CARD,
            numbers._IPV4,
            numbers._IPV6,
            numbers._PAIR,
            numbers._SEXAGESIMAL,
            numbers._PLUS_CODE,
            phones._CANDIDATE,
            *addresses._FORMS,
            addresses._LOWER,
        )
    )


@cache
def _kinds() -> tuple[tuple[Any, Any], ...]:
    """Ids: the form, and what must be said before it."""
    return tuple((_partial(kind.form), kind.said) for kind in ids._KINDS)


def _partial(pattern: Any) -> Any:
    """A pattern of the standard library for one that matches in part as well."""
    import regex

    return regex.compile(pattern.pattern, pattern.flags)
