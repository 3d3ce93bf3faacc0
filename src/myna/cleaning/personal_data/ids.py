"""Numbers that a state gives its people: by their check digits, or by what is said before them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from myna.cleaning.personal_data.numbers import luhn
from myna.cleaning.personal_data.spans import Span


def _weighted(digits: str, weights: str) -> int:
    return sum(int(d) * int(w, 36) for d, w in zip(digits, weights, strict=False))


def _dni(value: str) -> bool:
    value = value.upper().replace("-", "").replace(".", "")
    number = value[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == value[-1]


_ODD = (
    1,
    0,
    5,
    7,
    9,
    13,
    15,
    17,
    19,
    21,
    2,
    4,
    18,
    20,
    11,
    3,
    6,
    8,
    12,
    14,
    16,
    10,
    22,
    25,
    24,
    23,
)


def _codice_fiscale(value: str) -> bool:
    # Letters and digits count from 0, each kind for itself.
    places = [int(c) if c.isdigit() else ord(c) - ord("A") for c in value.upper()]
    return (sum(places[1:15:2]) + sum(_ODD[place] for place in places[0:15:2])) % 26 == places[15]


def _cpf(digits: str) -> bool:
    first = _weighted(digits, "a98765432") * 10 % 11 % 10
    second = _weighted(digits, "ba98765432") * 10 % 11 % 10
    return len(set(digits)) > 1 and digits[9:] == f"{first}{second}"


def _born(year: str, month: str, day: str) -> bool:
    """Whether it is a day; of years with two digits the century does not matter."""
    try:
        date(int(year) if len(year) == 4 else 2000 + int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _pesel(digits: str) -> bool:
    month = f"{int(digits[2:4]) % 20:02}"
    check = -_weighted(digits, "1379137913") % 10
    return _born(digits[:2], month, digits[4:6]) and check == int(digits[10])


def _personnummer(value: str) -> bool:
    digits = re.sub(r"\D", "", value)[-10:]
    return _born(digits[:2], digits[2:4], digits[4:6]) and luhn(digits)


def _hetu(value: str) -> bool:
    value = value.upper()
    number = int(value[:6] + value[7:10])
    known = _born(value[4:6], value[2:4], value[:2])
    return known and "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31] == value[10]


def _norwegian(digits: str) -> bool:
    first = -_weighted(digits, "376189452") % 11
    second = -_weighted(digits, "5432765432") % 11
    known = _born(digits[4:6], digits[2:4], digits[:2])
    return known and digits[9:] == f"{first}{second}"


def _chinese(value: str) -> bool:
    known = _born(value[6:10], value[10:12], value[12:14])
    check = _weighted(value, "79a584216379a5842") % 11
    return known and "10X98765432"[check] == value[17].upper()


def _korean(value: str) -> bool:
    return _born(value[:2], value[2:4], value[4:6])


def _nir(digits: str) -> bool:
    return 97 - int(digits[:13]) % 97 == int(digits[13:])


def _belgian(digits: str) -> bool:
    rest = int(digits[9:])
    return rest in (97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97)


def _bsn(digits: str) -> bool:
    return (_weighted(digits, "98765432") - int(digits[8])) % 11 == 0


def _tax_id(digits: str) -> bool:
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def _tckn(digits: str) -> bool:
    odd, even = sum(map(int, digits[0:9:2])), sum(map(int, digits[1:8:2]))
    return (odd * 7 - even) % 10 == int(digits[9]) and sum(map(int, digits[:10])) % 10 == int(
        digits[10]
    )


def _snils(digits: str) -> bool:
    return _weighted(digits, "987654321") % 101 % 100 == int(digits[9:])


def _ahv(digits: str) -> bool:
    return -_weighted(digits, "131313131313") % 10 == int(digits[12])


def _nhs(digits: str) -> bool:
    return (11 - _weighted(digits, "a98765432") % 11) % 11 == int(digits[9])


def _verhoeff(digits: str) -> bool:
    def times(a: int, b: int) -> int:
        # The group of the pentagon's turns (0-4) and flips (5-9).
        if a < 5:
            return (a + b) % 5 + 5 * (b >= 5)
        return (a - b) % 5 + 5 * (b < 5)

    check = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        for _ in range(place % 8):
            value = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[value]
        check = times(check, value)
    return check == 0


def _document(value: str) -> bool:
    digits = sum(map(str.isdigit, value))
    return digits >= 5 or (digits >= 2 and value.isupper())


def _always(_: str) -> bool:
    return True


@dataclass(frozen=True)
class _Kind:
    """A kind of number; `said` must stand before it where its form alone says too little."""

    form: re.Pattern[str]
    check: Callable[[str], bool] = _always
    digits_only: bool = True
    said: re.Pattern[str] | None = None


def _kind(
    form: str,
    check: Callable[[str], bool] = _always,
    *,
    said: str = "",
    letters: bool = False,
) -> _Kind:
    named = re.compile(rf"(?<![^\W_])(?:{said})(?![^\W\d_])[^\n]{{0,24}}$", re.I) if said else None
    flags = re.ASCII | (re.I if said else 0)
    # Of numbers, letters beside them are no part; of numbers with letters in them they may be.
    part = "A-Za-z0-9" if letters else "0-9"
    begin = rf"(?<![{part}])(?<![A-Za-z0-9][/.-])"
    whole = re.compile(rf"{begin}(?:{form})(?![{part}]|[.-]\d)", flags)
    return _Kind(whole, check, not letters, named)


_DOCUMENT = (
    r"(?:passport|reisepass|personalausweis|ausweis|passeport|pasaporte|passaporto|paspoort"
    r"|pass(?:nummer|nr)"
    r"|паспорт\w*|carte d'identité|id[ -]card|driv(?:er|ing)'?s? licen[cs]e|license|licence"
    r"|führerschein\w*"
    r"|permis|paszport\w*|dowód|dowod\w*)"
)

_KINDS = (
    _kind(r"(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}"),
    _kind(
        r"(?!000|666|9)\d{3}([ -]?)(?!00)\d\d\1(?!0000)\d{4}",
        said=r"ssn|social(?: security)?(?: (?:number|num|no\.?))?",
    ),
    _kind(r"\d{8}-?[A-HJ-NP-TV-Z]|[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", _dni, letters=True),
    _kind(
        r"\d{2}\.?\d{3}\.?\d{3}-?[A-HJ-NP-TV-Z]|[XYZ]-?\d{7}-?[A-Z]",
        _dni,
        said="dni|nie|nif",
        letters=True,
    ),
    _kind(
        r"[A-Za-z]{6}\d\d[A-EHLMPRSTa-ehlmprst]\d\d[A-Za-z]\d{3}[A-Za-z]",
        _codice_fiscale,
        letters=True,
    ),
    _kind(r"\d{3}\.\d{3}\.\d{3}-\d\d", _cpf),
    _kind(r"\d{3}[. ]?\d{3}[. ]?\d{3}[- ]?\d\d", _cpf, said="cpf"),
    _kind(r"\d{11}", _pesel, said="pesel\\w*"),
    _kind(r"(?:19|20)?\d{6}[-+]\d{4}", _personnummer),
    _kind(r"(?:19|20)?\d{6}[-+ ]?\d{4}", _personnummer, said="personnummer|persnr|personnr|pnr"),
    _kind(r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", _hetu, letters=True),
    _kind(
        r"\d{6}[- ]?\d{4}",
        lambda d: _born(d[4:6], d[2:4], d[:2]),
        said="cpr(?:[- ]?(?:nr|nummer))?",
    ),
    _kind(r"\d{6} ?\d{5}", _norwegian),
    _kind(r"[1-9]\d{5}(?:19|20)\d{9}[\dXx]", _chinese, letters=True),
    _kind(r"\d{6}-[1-8]\d{6}", _korean),
    _kind(r"[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?\d\d ?\d{3} ?\d{3} ?\d\d", _nir),
    _kind(r"\d\d\.\d\d\.\d\d-\d{3}[.-]\d\d", _belgian),
    _kind(r"756\.\d{4}\.\d{4}\.\d\d", _ahv),
    _kind(r"\d{3}-\d{3}-\d{3} \d\d", _snils),
    _kind(
        r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]( ?)\d\d\1\d\d\1\d\d\1[A-D]",
        letters=True,
    ),
    _kind(
        r"[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-D]",
        said=r"nino|ni(?: (?:number|no\.?|num))?|national insurance(?: (?:number|no\.?))?",
        letters=True,
    ),
    _kind(
        r"\d{3}([ -]?)\d{3}\1\d{3}", luhn, said=r"sin|nas|social insurance(?: (?:number|no\.?))?"
    ),
    _kind(
        r"\d{2,3}[ .]?\d{3}[ .]?\d{3}[ .]?\d{3}",
        _tax_id,
        said=r"steuer\w*|steuer-?id\w*|idnr\.?|tin",
    ),
    _kind(
        r"\d{4}[ .]?\d\d[ .]?\d{3}|\d{3}[ .]?\d{3}[ .]?\d{3}",
        _bsn,
        said="bsn|burgerservice\\w*|sofi\\w*",
    ),
    _kind(r"[2-9]\d{3}([ -]?)\d{4}\1\d{4}", _verhoeff, said="aadh?aa?r|uidai|आधार"),
    _kind(
        r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]", said="pan(?: (?:card|number|no\\.?))*", letters=True
    ),
    _kind(r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HM][A-Z]{5}[A-Z0-9]\d", letters=True),
    _kind(r"[1-9]\d{10}", _tckn, said=r"t\.?c\.?|tckn|kimlik\w*"),
    _kind(r"\d{3}[- ]?\d{3}[- ]?\d{4}", _nhs, said=r"nhs(?: (?:number|no\.?))?"),
    _kind(r"\d\d ?\d\d ?\d{6}", said="паспорт\\w*|серия"),
    _kind(r"\d{10}|\d{12}", said="инн"),
    _kind(r"[A-Z0-9]{6,12}", _document, said=_DOCUMENT, letters=True),
)
_SAID = (
    r"(?:ssn|social|dni|nie|nif|cpf|pesel|pnr|cpr|nino|ni|sin|nas|idnr|tin|bsn|aadh?aa?r|uidai"
    r"|pan|tc"
    r"|t\.c\.|tckn|nhs|pass|permis)(?-u:\b)|personn|persnr|national insurance|steuer"
    r"|burgerservice|sofi"
    r"|kimlik|passport|passn|ausweis|passeport|pasaporte|passaporto|paspoort|carte d'identit"
    r"|id[ -]card|driv[a-z']+ licen|licen[cs]e|führer|paszport|dow[oó]d|आधार|паспорт|серия|инн"
)
_ANY_SAID = re.compile(_SAID.replace("(?-u:\\b)", r"\b"), re.IGNORECASE)
ID_HINTS = (
    rf"(?i:{_SAID})[^\n]*(?:[0-9](?:[ .-]?[0-9]){{4}}|[A-Z0-9]{{6}})",
    r"[0-9]{3}-[0-9]{2}-[0-9]{4}|[0-9]{7}-?[A-Z]|[A-Za-z]{6}[0-9]{2}[A-Za-z][0-9]{2}[A-Za-z]"
    r"|[0-9]{3}\.[0-9]{3}\.[0-9]{3}-"
    r"|[0-9]{6}[-+A-FU-Y][0-9]{3}|[0-9]{6} ?[0-9]{5}|[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}"
    r"|[12] [0-9]{2} [0-9]{2} [0-9]{2} [0-9]{3}|756\.[0-9]{4}|[0-9]{3}-[0-9]{3}-[0-9]{3} "
    r"|[A-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]|[A-Z]{4}[0-9]{6}[HM][A-Z]{5}",
)


def ids(text: str) -> Iterator[Span]:
    """Government ids, each kind in its own form."""
    said = _ANY_SAID.search(text)
    for kind in _KINDS:
        if kind.said and not said:
            continue
        for found in kind.form.finditer(text):
            before = text[max(0, found.start() - 48) : found.start()]
            if kind.said and not kind.said.search(before):
                continue
            value = re.sub(r"\D", "", found[0]) if kind.digits_only else found[0]
            if kind.check(value):
                yield found.span()
