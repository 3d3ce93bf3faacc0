"""Detect the encoding of a text that is not Unicode, by its content.

charset-normalizer, which compares how orderly each decoding is, tells the encodings of China,
Japan and Korea from each other and from all others. Those of one byte a letter are told by
alphabets: in the right one the letters beyond ASCII are those of one language, its frequent
ones above all. What two encodings would read differently and equally well is not guessed.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import NamedTuple

MULTI_BYTE = ("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949")

# The letters of a language beyond ASCII; where it has no others, the frequent ones in front.
_LANGUAGES = {
    "cp1252": (
        "àâæçéèêëîïôœùûüÿ", "äöüß", "áéíñóúü", "àáâãçéêíóôõú", "àèéìíîòóùú", "éëïóöüè",
        "åäöé", "æøåéôò", "áðéíóúýþæö", "äöåšž", "àçèéíïòóúü·",
    ),
    "cp1250": (
        "ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž", "çë",
    ),
    "cp1254": ("çğıöşü",),
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "äöõüšž"),
    "cp1251": (
        "оеаинтсрвлкмдпубгяьызчйхжшюцщэфъё", "оаинвіертсклмудпязьгйбчхшжюїщцєфґ",
        "аеоинтрсвлкдпмзугбчъщйжхцяюшфь", "аоиенрсјтукдвлмпгзбчшцжхљњћђфџ",
        "аоеинтсрквлдмпугзяыўбцхжчюшьйёіфэ",
    ),
    "koi8_r": ("оеаинтсрвлкмдпубгяьызчйхжшюцщэфъё",),
    "koi8_u": ("оаинвіертсклмудпязьгйбчхшжюїщцєфґ",),
    "cp866": ("оеаинтсрвлкмдпубгяьызчйхжшюцщэфъё",),
    "cp1253": ("αοιετσνηυρπκμλςωγθδάήίόέύχφώβξζψϊϋ",),
    "cp1255": ("יולאהרמתבשנםעדקחכטפגןצסזךףץ",),
    "cp1256": (
        "اليمونرتبةعدسفهكقحجىشأصطخضذزغثإآظئءؤ", "ايردنهوتمسبشکزفگخعقچپحجآغصطژضظذثئءأ",
        "اےيکرنہومسلتھدبپںگجئچآشعفقزخحٹصڈضطغڑ",
    ),
    "cp1258": ("àáâãèéêìíòóôùúýăđĩũơưạ\u0300\u0301\u0303\u0309\u0323",),
    "cp874": ("านรอกเงมยลวดทส่้ัีิไปะจค็หพบุูแตขชใืโซณถผ์ศำธฟญษภฉฮฤฎฐฏฆฬฑๆ๐๑๒๓๔๕๖๗๘๙ๅฯ",),
}  # fmt: skip
_MARKS = frozenset("“”„«»‘’‚‹›–—…€°§·•©®™´¿¡№\u00a0\u200e\u200f\u200c\u200d،؟؛")
USUAL = 0.72
"""The mean place of a text's letters in their alphabet, from 1 for the most frequent to 0."""

MIN_SCORE = 0.8
MIN_LEAD = 0.08
"""A reading is taken if it scores so much, and leads any different one by so much."""

MAX_CHAOS = 0.08


class _Reading(NamedTuple):
    """A decoding of the sample and its score, 1 for what looks like one language throughout."""

    encoding: str
    text: str
    score: float


def detect_by_content(sample: bytes) -> str | None:
    """The Python name of the encoding of lines that are no UTF-8; None if that is unclear.

    Args:
        sample: whole lines that hold bytes beyond ASCII, some kilobytes.
    """
    readings = [*_multi_byte(sample), *_single_byte(sample)]
    readings.sort(key=lambda reading: -reading.score)
    if not readings or readings[0].score < MIN_SCORE:
        return None
    best = readings[0]
    rivals = [other for other in readings if other.text != best.text]
    if rivals and best.score - rivals[0].score < MIN_LEAD:
        return None
    return best.encoding


def _multi_byte(sample: bytes) -> list[_Reading]:
    """The readings with several bytes a character, by charset-normalizer."""
    from charset_normalizer import from_bytes  # it takes a while to import

    found = from_bytes(
        sample, cp_isolation=[*MULTI_BYTE, "cp1251", "cp874"], threshold=0.3, steps=8
    )
    readings = []
    for match in found:
        if match.encoding in MULTI_BYTE:
            text = str(match)
            score = (1 - 3 * match.chaos) * _east_asian_share(text)
            readings.append(_Reading(match.encoding, text, score))
    return readings


def _east_asian_share(text: str) -> float:
    """The share of characters beyond ASCII that people of East Asia type in running text.

    Half-width katakana, symbols and rare characters are what other encodings look like.
    """
    beyond = [sign for sign in text if sign > "\x7f"]
    if not beyond:
        return 0.0
    usual = sum(
        "\u3000" <= sign <= "\u30ff" or "\u4e00" <= sign <= "\u9fff" or "\uac00" <= sign <= "\ud7a3"
        or "\uff01" <= sign <= "\uff5e" or sign in _MARKS
        for sign in beyond
    )  # fmt: skip
    scripts = [
        sum("\uac00" <= sign <= "\ud7a3" for sign in beyond),
        sum("\u4e00" <= sign <= "\u9fff" or "\u3040" <= sign <= "\u30ff" for sign in beyond),
    ]
    mixed = min(scripts) / max(1, sum(scripts))  # no language writes both in one chat
    return usual / len(beyond) - mixed


def _single_byte(sample: bytes) -> list[_Reading]:
    readings = []
    for encoding, languages in _LANGUAGES.items():
        try:
            text = sample.decode(encoding)
        except UnicodeDecodeError:
            continue
        score = max(_alphabet_score(text, letters) for letters in languages)
        readings.append(_Reading(encoding, text, score))
    return readings


def _alphabet_score(text: str, letters: str) -> float:
    """1 where all beyond ASCII is of this alphabet, used as its language does."""
    beyond = [sign for sign in text if sign > "\x7f" and sign not in _MARKS]
    if not beyond:
        return 0.5 if text.isascii() else 0.8
    known = frozenset(letters)
    fitting = sum(sign.lower() in known for sign in beyond) / len(beyond)
    broken = sum(_is_break(before, after) for before, after in pairwise(text)) / len(beyond)
    symbols = sum(not _is_letter(sign) for sign in beyond) / len(beyond)
    score = fitting - broken - symbols
    if "đ" in letters and "ơ" in letters and not any(sign in text for sign in "đơư"):
        return score * 0.5
    if len(letters) > 20 and letters[0] > "\u0370":  # a script of its own
        places = [letters.find(sign.lower()) for sign in beyond if sign.lower() in known]
        usual = sum(1 - place / len(letters) for place in places) / max(1, len(places))
        return score * min(1.1, usual / USUAL)
    return score


def _is_break(before: str, after: str) -> bool:
    """True where two scripts meet in a word, or a capital follows a small letter."""
    if before <= "\x7f" and after <= "\x7f":
        return False
    if not (_is_letter(before) and _is_letter(after)):
        return False
    if before.islower() and after.isupper():
        return True
    return _is_latin(before) != _is_latin(after)


def _is_letter(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "LM"


def _is_latin(letter: str) -> bool:
    return letter <= "\x7f" or unicodedata.name(letter, "").startswith("LATIN")
