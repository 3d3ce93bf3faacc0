"""Redaction: personal data in texts is replaced so that the sentence stays natural.

One linear expression selects the few texts that may hold personal data; only those are
searched. Each match has a type, and is replaced by its name in brackets, such as ``[email]``,
or by a value that is plainly made up.
"""

from __future__ import annotations

import re
import secrets
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple

import polars as pl

from myna.cleaning.personal_data import addresses, credentials, ids, links, numbers, phones
from myna.cleaning.personal_data.spans import Span, replace_spans
from myna.config import PersonalData, Redaction
from myna.errors import SettingsError
from myna.messages import TextChange, replace_texts


class Match(NamedTuple):
    """A match of personal data: characters [start, end) of a text, and the type."""

    start: int
    end: int
    kind: PersonalData


class _Finder(NamedTuple):
    """The finder of one type of personal data.

    A text that matches none of the `hints` (Rust's syntax, linear) holds none. Matches inside
    links count only with `in_links`.
    """

    kind: PersonalData
    hints: tuple[str, ...]
    find: Callable[[str], Iterator[Span]]
    in_links: bool = False


MATCHES: dict[str, type[pl.DataType]] = {"row": pl.UInt32, "kind": pl.String}
"""Schema of the matches in a table of messages."""

# Of two matches that overlap, the first in this order counts.
_FINDERS = (
    _Finder("private-key", (credentials.PEM_HINT,), credentials.private_keys, in_links=True),
    _Finder("invite", (links.INVITE_HINT,), links.invites, in_links=True),
    _Finder("token", (credentials.KEY_HINT,), credentials.tokens, in_links=True),
    _Finder("password", (credentials.LOGIN_HINT,), credentials.passwords, in_links=True),
    _Finder("email", (links.EMAIL_HINT,), links.emails, in_links=True),
    _Finder("iban", (numbers.IBAN_HINT,), numbers.ibans),
    _Finder("card", (numbers.CARD_HINT,), numbers.cards),
    _Finder("ip", (numbers.IP_HINT,), numbers.ips, in_links=True),
    _Finder("location", (numbers.LOCATION_HINT,), numbers.locations, in_links=True),
    _Finder("id", ids.ID_HINTS, ids.ids),
    _Finder("phone", phones.PHONE_HINTS, phones.phones),
    _Finder("address", addresses.ADDRESS_HINTS, addresses.addresses),
)
_WITHOUT_DIGITS = ("private-key", "invite", "password", "email")
"""Types that may be in a text without a digit."""
_WORD_HINTS = "|".join(
    f"(?:{h})" for finder in _FINDERS if finder.kind in _WITHOUT_DIGITS for h in finder.hints
)
_DIGIT_HINT = r"\d|_[A-Za-z0-9]{20}"
"""The other types have a digit, except for one key in hundreds."""
_ASCII = {
    **{chr(zero + n): str(n) for zero in (0x660, 0x6F0, 0x966, 0xFF10) for n in range(10)},
    **dict(zip("\xa0\u202f‐‑−－＋．：＠", "  ----+.:@", strict=True)),
}
"""ASCII for digits and symbols of other scripts, one character for one."""
PLAIN = {ord(sign): plain for sign, plain in _ASCII.items()}
"""The same for `str.translate`; finders search the translated text."""
_LINK = re.compile(
    r"(?:https?|ftp|file)://[^\s<>]{1,4096}+|\bwww\.[^\s<>]{1,4096}+|<a?:\w{1,40}:\d+>"
)
_PHONE_LINK = re.compile(
    r"(?:wa\.me/|api\.whatsapp\.com/send\?phone=|viber://\S{0,20}=)", re.IGNORECASE
)


def redaction_key(settings: Redaction) -> bytes:
    """Return the secret key of made-up values: derived from the seed, or else random."""
    return blake2b(settings.seed.encode()).digest() if settings.seed else secrets.token_bytes(64)


def count_by_type(matches: pl.DataFrame) -> dict[str, int]:
    """Count the matches of `redact_messages` by type."""
    counts = Counter(matches["kind"])
    return {finder.kind: counts[finder.kind] for finder in _FINDERS if counts[finder.kind]}


def redact_messages(
    messages: pl.DataFrame, settings: Redaction, key: bytes | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Replace personal data in the texts of messages.

    Args:
        messages: any table with `text` and `mentions`.
        settings: the types to replace, and the style.
        key: `redaction_key`, if several tables share it.

    Returns:
        The table, with mentions moved or, if replaced, removed; and the matches: row and kind.

    Raises:
        SettingsError: Presidio is asked for, and is not installed.
    """
    key = key or redaction_key(settings)
    kinds: list[tuple[int, str]] = []
    changed: list[TextChange] = []
    for row, text, mentions, matches in _search(messages, settings):
        kinds += [(row, match.kind) for match in matches]
        changed.append((row, *_replace(text, mentions, matches, settings.style, key)))
    if not changed:
        return messages, pl.DataFrame(schema=MATCHES)
    return replace_texts(messages, changed), pl.DataFrame(kinds, schema=MATCHES, orient="row")


def find_replaced(messages: pl.DataFrame, settings: Redaction) -> set[str]:
    """The personal data that `redact_messages` replaces in messages, as it was written.

    Raises:
        SettingsError: Presidio is asked for, and is not installed.
    """
    return {
        text[match.start : match.end]
        for _, text, _, matches in _search(messages, settings)
        for match in matches
    }


def _search(
    messages: pl.DataFrame, settings: Redaction
) -> Iterator[tuple[int, str, list[dict[str, Any]], list[Match]]]:
    """Yield each message with personal data to replace: row, text, mentions and matches."""
    active = [finder for finder in _FINDERS if finder.kind in settings.types]
    if settings.style == "off" or not active or not messages.height:
        return
    presidio = presidio_finder() if settings.presidio else None
    is_hinted = pl.any_horizontal(finder.kind for finder in active)
    if presidio:
        is_hinted |= pl.col("plain").str.contains(PRESIDIO_HINT)
    candidates = (
        messages.with_row_index("row")
        .select("row", "text", "mentions", has_words=pl.col("text").str.contains(_WORD_HINTS))
        .filter(pl.col("has_words") | pl.col("text").str.contains(_DIGIT_HINT))
        .with_columns(plain=pl.col("text").str.replace_many(_ASCII))
        .select("row", "text", "mentions", "plain", *map(_hinted, _FINDERS))
        .filter(is_hinted)
    )
    for row, text, mentions, plain, *hinted in candidates.iter_rows():
        finders = [finder for finder, hint in zip(_FINDERS, hinted, strict=True) if hint]
        matches = _find(plain, finders)
        if presidio:
            matches = _add_matches(matches, presidio(plain))
        matches = [match for match in matches if match.kind in settings.types]
        if matches:
            yield row, text, mentions or [], matches


def redact_text(text: str, settings: Redaction) -> str:
    """Replace personal data in one text, as `redact_messages` does."""
    if settings.style == "off":
        return text
    matches = [match for match in find_personal_data(text) if match.kind in settings.types]
    return _replace(text, [], matches, settings.style, redaction_key(settings))[0]


def _hinted(finder: _Finder) -> pl.Expr:
    """Return an expression: true if a text may hold this type."""
    if finder.kind in _WITHOUT_DIGITS:
        return pl.col("has_words").alias(finder.kind)
    hints = (pl.col("plain").str.contains(hint) for hint in finder.hints)
    return pl.any_horizontal(hints).alias(finder.kind)


def find_personal_data(text: str) -> list[Match]:
    """Find all personal data in one text, in order."""
    return _find(text.translate(PLAIN), _FINDERS)


def _find(text: str, finders: Iterable[_Finder]) -> list[Match]:
    links = bytearray(len(text))
    for link in _LINK.finditer(text):
        if not _PHONE_LINK.search(link[0]):
            links[link.start() : link.end()] = b"\1" * len(link[0])
    taken = bytearray(len(text))
    matches: list[Match] = []
    for finder in finders:
        for start, end in finder.find(text):
            if 1 in taken[start:end] or (not finder.in_links and 1 in links[start:end]):
                continue
            taken[start:end] = b"\1" * (end - start)
            matches.append(Match(start, end, finder.kind))
    return sorted(matches)


def _add_matches(matches: list[Match], more: Iterable[Match]) -> list[Match]:
    """Add the matches of another finder that overlap none of these."""
    every = list(matches)
    for start, end, kind in more:
        if all(end <= other.start or other.end <= start for other in every):
            every.append(Match(start, end, kind))
    return sorted(every)


def _replace(
    text: str, mentions: list[dict[str, Any]], matches: list[Match], style: str, key: bytes
) -> tuple[str, list[dict[str, Any]]]:
    """Replace the matches in a text; return it and the moved mentions, without replaced ones."""
    replacements: list[tuple[int, int, str]] = []
    for start, end, kind in matches:
        new = fake(kind, text[start:end], key) if style == "fake" else _placeholder(kind)
        replacements.append((start, end, new))
    ends = [match.end for match in matches]

    def is_kept(mention: dict[str, Any]) -> bool:
        passed = bisect_right(ends, mention["start"])
        return passed == len(matches) or mention["end"] <= matches[passed].start

    return replace_spans(text, replacements, filter(is_kept, mentions))


def _placeholder(kind: str) -> str:
    return f"[{kind.replace('-', ' ')}]"


_BEGINNINGS = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"]
_VOWELS = ["a", "e", "i", "o", "u"]


def fake(kind: str, original: str, key: bytes) -> str:
    """Make up a value.

    Args:
        kind: the type of personal data.
        original: the value that it replaces; case and separators do not matter.
        key: a secret of at most 64 bytes.
    """
    normal = "".join(c for c in original.casefold() if c.isalnum()) or original
    number = int.from_bytes(blake2b(f"{kind}:{normal}".encode(), key=key, digest_size=8).digest())
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
            return _placeholder(kind)


def _word(number: int) -> str:
    """Spell a number as three syllables."""
    word = ""
    for _ in range(3):
        number, consonant = divmod(number, len(_BEGINNINGS))
        number, vowel = divmod(number, len(_VOWELS))
        word += _BEGINNINGS[consonant] + _VOWELS[vowel]
    return word


PRESIDIO_HINT = r"\d"
"""A pattern of texts in which Presidio can find anything."""

MIN_PRESIDIO_SCORE = 0.5
"""Guesses at bare numbers score lower."""

PRESIDIO_KINDS: dict[str, PersonalData] = {
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
"""myna's types by Presidio's entities; others are ignored."""


@cache
def presidio_finder() -> Callable[[str], list[Match]]:
    """Return Presidio's search for personal data in a text.

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

    class BlankEngine(SpacyNlpEngine):  # type: ignore[misc]
        """Tokenises only: no model, so nothing is downloaded."""

        def __init__(self) -> None:
            super().__init__(models=[{"lang_code": "en", "model_name": "blank"}])
            self.nlp: dict[str, Any] = {"en": spacy.blank("en")}

        def load(self) -> None:
            """Load nothing."""

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    analyzer = AnalyzerEngine(
        registry=registry, nlp_engine=BlankEngine(), supported_languages=["en"]
    )
    entities = [name for name in analyzer.get_supported_entities() if name in PRESIDIO_KINDS]

    def find(text: str) -> list[Match]:
        results = analyzer.analyze(
            text, language="en", entities=entities, score_threshold=MIN_PRESIDIO_SCORE
        )
        return sorted(
            Match(match.start, match.end, PRESIDIO_KINDS[match.entity_type]) for match in results
        )

    return find
