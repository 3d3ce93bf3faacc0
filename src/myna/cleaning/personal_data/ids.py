"""Government ids: by their check digits, or by their name before them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from myna.cleaning.personal_data.numbers import luhn
from myna.cleaning.personal_data.spans import Span


def _weighted_sum(digits: str, weights: str) -> int:
    return sum(int(d) * int(w, 36) for d, w in zip(digits, weights, strict=False))


def _dni(value: str) -> bool:
    value = value.upper().replace("-", "").replace(".", "")
    number = value[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == value[-1]


_ODD = (
    *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18),
    *(20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
)
"""Values of characters at odd positions of an Italian codice fiscale."""


def _codice_fiscale(value: str) -> bool:
    # Letters and digits each count from 0.
    values = [int(c) if c.isdigit() else ord(c) - ord("A") for c in value.upper()]
    return (sum(values[1:15:2]) + sum(_ODD[value] for value in values[0:15:2])) % 26 == values[15]


def _cpf(digits: str) -> bool:
    first = _weighted_sum(digits, "a98765432") * 10 % 11 % 10
    second = _weighted_sum(digits, "ba98765432") * 10 % 11 % 10
    return len(set(digits)) > 1 and digits[9:] == f"{first}{second}"


def _is_date(year: str, month: str, day: str) -> bool:
    """True if it is a date; of years with two digits the century does not matter."""
    try:
        date(int(year) if len(year) == 4 else 2000 + int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _pesel(digits: str) -> bool:
    month = f"{int(digits[2:4]) % 20:02}"
    check = -_weighted_sum(digits, "1379137913") % 10
    return _is_date(digits[:2], month, digits[4:6]) and check == int(digits[10])


def _personnummer(value: str) -> bool:
    digits = re.sub(r"\D", "", value)[-10:]
    return _is_date(digits[:2], digits[2:4], digits[4:6]) and luhn(digits)


def _hetu(value: str) -> bool:
    value = value.upper()
    number = int(value[:6] + value[7:10])
    is_date = _is_date(value[4:6], value[2:4], value[:2])
    return is_date and "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31] == value[10]


def _norwegian(digits: str) -> bool:
    first = -_weighted_sum(digits, "376189452") % 11
    second = -_weighted_sum(digits, "5432765432") % 11
    is_date = _is_date(digits[4:6], digits[2:4], digits[:2])
    return is_date and digits[9:] == f"{first}{second}"


def _chinese(value: str) -> bool:
    is_date = _is_date(value[6:10], value[10:12], value[12:14])
    check = _weighted_sum(value, "79a584216379a5842") % 11
    return is_date and "10X98765432"[check] == value[17].upper()


def _korean(value: str) -> bool:
    return _is_date(value[:2], value[2:4], value[4:6])


def _nir(digits: str) -> bool:
    return 97 - int(digits[:13]) % 97 == int(digits[13:])


def _belgian(digits: str) -> bool:
    rest = int(digits[9:])
    return rest in (97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97)


def _bsn(digits: str) -> bool:
    return (_weighted_sum(digits, "98765432") - int(digits[8])) % 11 == 0


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
    return _weighted_sum(digits, "987654321") % 101 % 100 == int(digits[9:])


def _ahv(digits: str) -> bool:
    return -_weighted_sum(digits, "131313131313") % 10 == int(digits[12])


def _nhs(digits: str) -> bool:
    return (11 - _weighted_sum(digits, "a98765432") % 11) % 11 == int(digits[9])


def _verhoeff(digits: str) -> bool:
    def times(a: int, b: int) -> int:
        # The dihedral group of a pentagon: rotations (0-4) and reflections (5-9).
        if a < 5:
            return (a + b) % 5 + 5 * (b >= 5)
        return (a - b) % 5 + 5 * (b < 5)

    check = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit)
        for _ in range(index % 8):
            value = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[value]
        check = times(check, value)
    return check == 0


def _document(value: str) -> bool:
    digits = sum(map(str.isdigit, value))
    return digits >= 5 or (digits >= 2 and value.isupper())


def _accept(_: str) -> bool:
    return True


@dataclass(frozen=True)
class _Kind:
    """A kind of id; `name`, if given, must come before it, as its form is not enough."""

    form: re.Pattern[str]
    check: Callable[[str], bool] = _accept
    digits_only: bool = True
    name: re.Pattern[str] | None = None


def _kind(
    form: str, check: Callable[[str], bool] = _accept, *, name: str = "", letters: bool = False
) -> _Kind:
    named = re.compile(rf"(?<![^\W_])(?:{name})(?![^\W\d_])[^\n]{{0,24}}$", re.I) if name else None
    flags = re.ASCII | (re.I if name else 0)
    # Adjacent letters may be part of an id that has letters, and of no other.
    part = "A-Za-z0-9" if letters else "0-9"
    begin = rf"(?<![{part}])(?<![A-Za-z0-9][/.-])"
    whole = re.compile(rf"{begin}(?:{form})(?![{part}]|[.-]\d)", flags)
    return _Kind(whole, check, not letters, named)


_DOCUMENT = (
    r"(?:passport|reisepass|personalausweis|ausweis|passeport|pasaporte|passaporto|paspoort"
    r"|pass(?:nummer|nr)"
    r"|паспорт\w*|carte d'identité|id[ -]card|driv(?:er|ing)'?s? licen[cs]e|license|licence"
    r"|führerschein\w*|permis|paszport\w*|dowód|dowod\w*)"
)

_KINDS = (
    _kind(r"(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}"),
    _kind(
        r"(?!000|666|9)\d{3}([ -]?)(?!00)\d\d\1(?!0000)\d{4}",
        name=r"ssn|social(?: security)?(?: (?:number|num|no\.?))?",
    ),
    _kind(r"\d{8}-?[A-HJ-NP-TV-Z]|[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", _dni, letters=True),
    _kind(
        r"\d{2}\.?\d{3}\.?\d{3}-?[A-HJ-NP-TV-Z]|[XYZ]-?\d{7}-?[A-Z]",
        _dni,
        name="dni|nie|nif",
        letters=True,
    ),
    _kind(
        r"[A-Za-z]{6}\d\d[A-EHLMPRSTa-ehlmprst]\d\d[A-Za-z]\d{3}[A-Za-z]",
        _codice_fiscale,
        letters=True,
    ),
    _kind(r"\d{3}\.\d{3}\.\d{3}-\d\d", _cpf),
    _kind(r"\d{3}[. ]?\d{3}[. ]?\d{3}[- ]?\d\d", _cpf, name="cpf"),
    _kind(r"\d{11}", _pesel, name="pesel\\w*"),
    _kind(r"(?:19|20)?\d{6}[-+]\d{4}", _personnummer),
    _kind(r"(?:19|20)?\d{6}[-+ ]?\d{4}", _personnummer, name="personnummer|persnr|personnr|pnr"),
    _kind(r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", _hetu, letters=True),
    _kind(
        r"\d{6}[- ]?\d{4}",
        lambda d: _is_date(d[4:6], d[2:4], d[:2]),
        name="cpr(?:[- ]?(?:nr|nummer))?",
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
        name=r"nino|ni(?: (?:number|no\.?|num))?|national insurance(?: (?:number|no\.?))?",
        letters=True,
    ),
    _kind(
        r"\d{3}([ -]?)\d{3}\1\d{3}", luhn, name=r"sin|nas|social insurance(?: (?:number|no\.?))?"
    ),
    _kind(
        r"\d{2,3}[ .]?\d{3}[ .]?\d{3}[ .]?\d{3}",
        _tax_id,
        name=r"steuer\w*|steuer-?id\w*|idnr\.?|tin",
    ),
    _kind(
        r"\d{4}[ .]?\d\d[ .]?\d{3}|\d{3}[ .]?\d{3}[ .]?\d{3}",
        _bsn,
        name="bsn|burgerservice\\w*|sofi\\w*",
    ),
    _kind(r"[2-9]\d{3}([ -]?)\d{4}\1\d{4}", _verhoeff, name="aadh?aa?r|uidai|आधार"),
    _kind(
        r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]", name="pan(?: (?:card|number|no\\.?))*", letters=True
    ),
    _kind(r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HM][A-Z]{5}[A-Z0-9]\d", letters=True),
    _kind(r"[1-9]\d{10}", _tckn, name=r"t\.?c\.?|tckn|kimlik\w*"),
    _kind(r"\d{3}[- ]?\d{3}[- ]?\d{4}", _nhs, name=r"nhs(?: (?:number|no\.?))?"),
    _kind(r"\d\d ?\d\d ?\d{6}", name="паспорт\\w*|серия"),
    _kind(r"\d{10}|\d{12}", name="инн"),
    _kind(r"[A-Z0-9]{6,12}", _document, name=_DOCUMENT, letters=True),
)
_NAMES = (
    r"(?:ssn|social|dni|nie|nif|cpf|pesel|pnr|cpr|nino|ni|sin|nas|idnr|tin|bsn|aadh?aa?r|uidai"
    r"|pan|tc|t\.c\.|tckn|nhs|pass|permis)(?-u:\b)|personn|persnr|national insurance|steuer"
    r"|burgerservice|sofi"
    r"|kimlik|passport|passn|ausweis|passeport|pasaporte|passaporto|paspoort|carte d'identit"
    r"|id[ -]card|driv[a-z']+ licen|licen[cs]e|führer|paszport|dow[oó]d|आधार|паспорт|серия|инн"
)
NAME_REACH = 48
"""Characters before an id in which its name is searched."""
_ANY_NAME = re.compile(_NAMES.replace("(?-u:\\b)", r"\b"), re.IGNORECASE)
ID_HINTS = (
    rf"(?i:{_NAMES})[^\n]*(?:[0-9](?:[ .-]?[0-9]){{4}}|[A-Z0-9]{{6}})",
    r"[0-9]{3}-[0-9]{2}-[0-9]{4}|[0-9]{7}-?[A-Z]|[A-Za-z]{6}[0-9]{2}[A-Za-z][0-9]{2}[A-Za-z]"
    r"|[0-9]{3}\.[0-9]{3}\.[0-9]{3}-"
    r"|[0-9]{6}[-+A-FU-Y][0-9]{3}|[0-9]{6} ?[0-9]{5}|[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}"
    r"|[12] [0-9]{2} [0-9]{2} [0-9]{2} [0-9]{3}|756\.[0-9]{4}|[0-9]{3}-[0-9]{3}-[0-9]{3} "
    r"|[A-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]|[A-Z]{4}[0-9]{6}[HM][A-Z]{5}",
)


def ids(text: str) -> Iterator[Span]:
    """Find government ids, each kind by its form."""
    is_named = bool(_ANY_NAME.search(text))
    for kind in _KINDS:
        if kind.name and not is_named:
            continue
        for match in kind.form.finditer(text):
            before = text[max(0, match.start() - NAME_REACH) : match.start()]
            if kind.name and not kind.name.search(before):
                continue
            value = re.sub(r"\D", "", match[0]) if kind.digits_only else match[0]
            if kind.check(value):
                yield match.span()
