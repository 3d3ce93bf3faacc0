"""Microsoft's Presidio as an extra pass over texts, for those who ask for it.

Only its recognisers of patterns and check sums are run: what needs a language model (names,
places) would have to be fetched, and so would the list of domains that its search for e-mail
addresses and links reads; myna has its own for those.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from myna.config import PersonalData
from myna.errors import SettingsError

Find = Callable[[str], list[tuple[int, int, PersonalData]]]

HINT = r"\d"
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
def finder() -> Find:
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
