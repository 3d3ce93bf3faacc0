"""Personal data in texts, replaced so that the sentence stays natural.

One linear expression over all texts finds the few that may hold some; only those are
looked at closely. What is found carries a type, and either its name in brackets takes
the place, such as ``[email]``, or a value that is plainly made up.
"""

from __future__ import annotations

import re
import secrets
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import blake2b
from itertools import accumulate
from typing import Any, NamedTuple

import polars as pl

from myna.cleaning.personal_data.addresses import ADDRESS_HINTS, addresses
from myna.cleaning.personal_data.ids import ID_HINTS, ids
from myna.cleaning.personal_data.links import EMAIL_HINT, INVITE_HINT, emails, invites
from myna.cleaning.personal_data.numbers import (
    CARD_HINT,
    IBAN_HINT,
    IP_HINT,
    LOCATION_HINT,
    cards,
    ibans,
    ips,
    locations,
)
from myna.cleaning.personal_data.phones import PHONE_HINTS, phones
from myna.cleaning.personal_data.secrets import (
    KEY_HINT,
    LOGIN_HINT,
    PEM_HINT,
    passwords,
    private_keys,
    tokens,
)
from myna.cleaning.personal_data.spans import Span
from myna.config import PersonalData, Redaction
from myna.errors import SettingsError
from myna.messages import TextChange, replace_texts


class Found(NamedTuple):
    """Personal data in a text, in characters."""

    start: int
    end: int
    kind: PersonalData


class _Finder(NamedTuple):
    """How one type is found.

    Where none of the `hints` (Rust's syntax, linear) is met there is nothing to find; what
    is found in a link counts if it is looked for `in_links`.
    """

    kind: PersonalData
    hints: tuple[str, ...]
    find: Callable[[str], Iterator[Span]]
    in_links: bool = False


FOUND: dict[str, type[pl.DataType]] = {"row": pl.UInt32, "kind": pl.String}
"""What was found in a table of messages."""

# Where two overlap, the first one counts.
_FINDERS = (
    _Finder("private-key", (PEM_HINT,), private_keys, in_links=True),
    _Finder("invite", (INVITE_HINT,), invites, in_links=True),
    _Finder("token", (KEY_HINT,), tokens, in_links=True),
    _Finder("password", (LOGIN_HINT,), passwords, in_links=True),
    _Finder("email", (EMAIL_HINT,), emails, in_links=True),
    _Finder("iban", (IBAN_HINT,), ibans),
    _Finder("card", (CARD_HINT,), cards),
    _Finder("ip", (IP_HINT,), ips, in_links=True),
    _Finder("location", (LOCATION_HINT,), locations, in_links=True),
    _Finder("id", ID_HINTS, ids),
    _Finder("phone", PHONE_HINTS, phones),
    _Finder("address", ADDRESS_HINTS, addresses),
)
_WORDED = ("private-key", "invite", "password", "email")
"""What may stand in a text without a digit."""
_WORDS = "|".join(f"(?:{h})" for finder in _FINDERS if finder.kind in _WORDED for h in finder.hints)
_NUMBERED = r"\d|_[A-Za-z0-9]{20}"
"""All else has a digit, but for one key in hundreds."""
_SIGNS = {
    **{chr(zero + n): str(n) for zero in (0x660, 0x6F0, 0x966, 0xFF10) for n in range(10)},
    **dict(zip("\xa0\u202f‐‑−－＋．：＠", "  ----+.:@", strict=True)),
}
"""Digits and signs of other scripts, each one character for one."""
PLAIN = {ord(sign): plain for sign, plain in _SIGNS.items()}
"""The same for `str.translate`: what is looked at is a text with these."""
_LINK = re.compile(
    r"(?:https?|ftp|file)://[^\s<>]{1,4096}+|\bwww\.[^\s<>]{1,4096}+|<a?:\w{1,40}:\d+>"
)
_DIALLED = re.compile(
    r"(?:wa\.me/|api\.whatsapp\.com/send\?phone=|viber://\S{0,20}=)", re.IGNORECASE
)


def secret(settings: Redaction) -> bytes:
    """What made-up values are made with: of the seed, or else new, and forgotten."""
    return blake2b(settings.seed.encode()).digest() if settings.seed else secrets.token_bytes(64)


def redact(messages: pl.DataFrame, settings: Redaction) -> tuple[pl.DataFrame, dict[str, int]]:
    """The messages without personal data in their texts.

    Args:
        messages: any table with `text` and `mentions`.
        settings: what to look for, and what takes its place.

    Returns:
        The table, with mentions where they stand now (those that were replaced are gone),
        and how many of each type were replaced.

    """
    redacted, found = redacted_with(messages, settings, secret(settings))
    return redacted, counted(found)


def counted(found: pl.DataFrame) -> dict[str, int]:
    """How many of each type were replaced, given what `redacted_with` found."""
    counts = Counter(found["kind"])
    return {finder.kind: counts[finder.kind] for finder in _FINDERS if counts[finder.kind]}


def redacted_with(
    messages: pl.DataFrame, settings: Redaction, key: bytes
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The messages as of `redact`, and what was found: the row and the kind of each."""
    nothing = pl.DataFrame(schema=FOUND)
    wanted = [finder for finder in _FINDERS if finder.kind in settings.types]
    if settings.style == "off" or not wanted or not messages.height:
        return messages, nothing
    extra = presidio_finder() if settings.presidio else None
    rows = messages.with_row_index("row")
    looked_at = pl.any_horizontal(finder.kind for finder in wanted)
    if extra:
        looked_at |= pl.col("plain").str.contains(PRESIDIO_HINT)
    met = (
        rows.select("row", "text", "mentions", worded=pl.col("text").str.contains(_WORDS))
        .filter(pl.col("worded") | pl.col("text").str.contains(_NUMBERED))
        .with_columns(plain=pl.col("text").str.replace_many(_SIGNS))
        .select("row", "text", "mentions", "plain", *map(_hinted, _FINDERS))
        .filter(looked_at)
    )
    kinds: list[tuple[int, str]] = []
    changed: list[TextChange] = []
    for row, text, mentions, plain, *hinted in met.iter_rows():
        likely = [finder for finder, there in zip(_FINDERS, hinted, strict=True) if there]
        found = _found(plain, likely)
        if extra:
            found = _with_more(found, extra(plain))
        found = [item for item in found if item.kind in settings.types]
        if found:
            kinds += [(row, item.kind) for item in found]
            instead = [_instead(text[f.start : f.end], f.kind, settings.style, key) for f in found]
            changed.append((row, *_replaced(text, mentions or [], found, instead)))
    if not changed:
        return messages, nothing
    return replace_texts(messages, changed), pl.DataFrame(kinds, schema=FOUND, orient="row")


def redacted(text: str, settings: Redaction) -> str:
    """One text without personal data, as `redact` makes it."""
    if settings.style == "off":
        return text
    found = [item for item in find(text) if item.kind in settings.types]
    key = secret(settings)
    instead = [_instead(text[f.start : f.end], f.kind, settings.style, key) for f in found]
    return _replaced(text, [], found, instead)[0]


def _hinted(finder: _Finder) -> pl.Expr:
    """Whether a text may hold what is looked for."""
    if finder.kind in _WORDED:
        return pl.col("worded").alias(finder.kind)
    hints = (pl.col("plain").str.contains(hint) for hint in finder.hints)
    return pl.any_horizontal(hints).alias(finder.kind)


def find(text: str) -> list[Found]:
    """All personal data in one text, in its order."""
    return _found(text.translate(PLAIN), _FINDERS)


def _found(text: str, finders: Iterable[_Finder]) -> list[Found]:
    links = bytearray(len(text))
    for link in _LINK.finditer(text):
        if not _DIALLED.search(link[0]):
            links[link.start() : link.end()] = b"\1" * len(link[0])
    taken = bytearray(len(text))
    found: list[Found] = []
    for finder in finders:
        for start, end in finder.find(text):
            if 1 in taken[start:end] or (not finder.in_links and 1 in links[start:end]):
                continue
            taken[start:end] = b"\1" * (end - start)
            found.append(Found(start, end, finder.kind))
    return sorted(found)


def _with_more(found: list[Found], more: Iterable[tuple[int, int, PersonalData]]) -> list[Found]:
    """What was found, and what another finder did elsewhere in the text."""
    every = list(found)
    for start, end, kind in more:
        if all(end <= other.start or other.end <= start for other in every):
            every.append(Found(start, end, kind))
    return sorted(every)


def _instead(original: str, kind: str, style: str, key: bytes) -> str:
    if style == "fake":
        return fake(kind, original, key)
    return f"[{kind.replace('-', ' ')}]"


def _replaced(
    text: str, mentions: list[dict[str, Any]], found: list[Found], instead: list[str]
) -> tuple[str, list[dict[str, Any]]]:
    """A text with something in place of what was found, and its mentions where they are then."""
    parts: list[str] = []
    end = 0
    for item, new in zip(found, instead, strict=True):
        parts += [text[end : item.start], new]
        end = item.end
    longer = [len(new) - (item.end - item.start) for item, new in zip(found, instead, strict=True)]
    shifts = [0, *accumulate(longer)]
    ends = [item.end for item in found]
    kept = []
    for mention in mentions:
        passed = bisect_right(ends, mention["start"])
        if passed == len(found) or mention["end"] <= found[passed].start:
            shift = shifts[passed]
            kept.append(
                mention | {"start": mention["start"] + shift, "end": mention["end"] + shift}
            )
    return "".join([*parts, text[end:]]), kept


_BEGINNINGS = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"]
_VOWELS = ["a", "e", "i", "o", "u"]


def fake(kind: str, original: str, key: bytes) -> str:
    """A made-up value.

    Args:
        kind: the type of personal data.
        original: what it stands in for; case and separators do not matter.
        key: a secret of at most 64 bytes.
    """
    told = "".join(c for c in original.casefold() if c.isalnum()) or original
    number = int.from_bytes(blake2b(f"{kind}:{told}".encode(), key=key, digest_size=8).digest())
    tail = number % 10_000
    match kind:
        case "email":
            return f"{_word(number)}{tail % 100}@example.org"
        case "phone":
            lead = "+1 202" if original.startswith("+") else "202"
            return f"{lead} 555 01{tail % 100:02}".replace(" ", "-" if "-" in original else " ")
        case "address":
            return f"{tail % 200 + 1} Example Street"
        case "ip" if ":" in original:
            return f"2001:db8::{number % 0xFFFF:x}:{tail % 255 + 1:x}"
        case "ip":
            return f"192.0.2.{number % 254 + 1}"
        case "card":
            return f"0000 0000 {number // 10_000 % 10_000:04} {tail:04}"
        case "iban":
            return f"XX00 0000 0000 {number // 10_000 % 10_000:04} {tail:04}"
        case "id":
            return f"000-00-{tail:04}"
        case "token":
            return f"example-token-{number % 0xFFFFFF:06x}"
        case "password":
            return f"example-{_word(number)}{tail % 100}"
        case "location":
            return f"0.{tail % 1000:03}1, -0.{number // 10_000 % 1000:03}1"
        case "invite":
            return f"https://example.org/invite/{_word(number)}"
        case _:
            return f"[{kind.replace('-', ' ')}]"


def _word(number: int) -> str:
    """Three syllables."""
    word = ""
    for _ in range(3):
        number, consonant = divmod(number, len(_BEGINNINGS))
        number, vowel = divmod(number, len(_VOWELS))
        word += _BEGINNINGS[consonant] + _VOWELS[vowel]
    return word


Find = Callable[[str], list[tuple[int, int, PersonalData]]]

PRESIDIO_HINT = r"\d"
"""What a text has in which anything can be found."""

SURE = 0.5
"""Presidio's score from which it is believed; guesses at bare numbers have less."""

KINDS: dict[str, PersonalData] = {
    "CREDIT_CARD": "card",
    "CRYPTO": "token",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
    "MAC_ADDRESS": "ip",
    "MEDICAL_LICENSE": "id",
    "PHONE_NUMBER": "phone",
    "UK_NHS": "id",
    "US_BANK_NUMBER": "id",
    "US_DRIVER_LICENSE": "id",
    "US_ITIN": "id",
    "US_PASSPORT": "id",
    "US_SSN": "id",
}
"""What its entities are to myna; others are left alone."""


@cache
def presidio_finder() -> Find:
    """What finds personal data in a text: characters [start, end) and the type of each.

    Raises:
        SettingsError: Presidio is not installed.
    """
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ImportError as error:
        raise SettingsError(
            "redaction.presidio needs Presidio: pip install 'myna[presidio]', or set it to false"
        ) from error

    class Blank(SpacyNlpEngine):  # type: ignore[misc]
        """Words only: no model, so nothing is fetched."""

        def __init__(self) -> None:
            super().__init__(models=[{"lang_code": "en", "model_name": "blank"}])
            self.nlp: dict[str, Any] = {"en": spacy.blank("en")}

        def load(self) -> None:
            """Nothing is to load."""

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])
    wanted = [name for name in analyzer.get_supported_entities() if name in KINDS]

    def find(text: str) -> list[tuple[int, int, PersonalData]]:
        found = analyzer.analyze(text, language="en", entities=wanted, score_threshold=SURE)
        return sorted((item.start, item.end, KINDS[item.entity_type]) for item in found)

    return find
