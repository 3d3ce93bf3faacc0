"""Phone numbers in texts: international ones by structure, others by form or context."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate

from myna.cleaning.personal_data.spans import Span

_SEPARATORS = r"[ .\-/()–]"
_CANDIDATE = re.compile(
    rf"(?<!\d)(?<!\d[.,:/-])(?:\+ ?)?\(?\+?\d(?:{_SEPARATORS}{{0,3}}\d){{6,19}}(?!\d)(?![.,:/-]\d)"
)
_GROUP = re.compile(r"\d+")
_MONEY = tuple("$€£¥₹^")
_SIGNED = tuple("#=-")
_NAMED_BEFORE = re.compile(r"[A-Za-z0-9](?:[*~_]{1,3}|-)\Z")
_MEASURED = re.compile(r" ?[€$£%°₹]|[*~_]{1,3}[A-Za-z0-9]")
_LATIN = re.compile(r"[A-Za-z]")

# Digits of a national number by calling code; the other codes have 6 to 11.
_LENGTHS_BY_CODE = (
    "1:10 7:10 20:8-10 27:9 30:10 31:9 32:8-9 33:9 34:9 36:8-9 39:6-11 40:9 41:9 43:7-13 44:9-10 "
    "45:8 46:7-9 47:8 48:9 49:7-12 51:8-9 52:10 53:8 54:10-11 55:10-11 56:9 57:10 58:10 60:8-10 "
    "61:9 62:8-12 63:8-10 64:8-10 65:8 66:8-9 81:9-10 82:8-10 84:9-10 86:10-11 90:10 91:10 "
    "92:9-10 93:9 94:9 95:7-10 98:10 212:9 213:8-9 216:8 234:8-10 351:9 352:6-9 353:7-9 354:7 "
    "358:6-10 359:8-9 370:8 371:8 372:7-8 380:9 381:8-9 385:8-9 386:8 420:9 421:9 852:8 853:8 "
    "880:8-10 886:8-9 961:7-8 962:8-9 966:9 971:8-9 972:8-9 977:8-10"
)
_OTHER_CODES = (
    "211 218 220-233 235-258 260-269 290 291 297-299 350 355-357 373-379 382 383 387 389 423 "
    "500-509 590-599 670 672-683 685-692 850 855 856 960 963-965 967 968 970 973-976 992-996 998"
)


def _parse_range(item: str) -> range:
    """Return the range of "7-9" or "7"."""
    first, _, last = item.partition("-")
    return range(int(first), int(last or first) + 1)


_NATIONAL_LENGTHS = {
    str(code): range(6, 12) for item in _OTHER_CODES.split() for code in _parse_range(item)
} | {
    code: _parse_range(lengths)
    for code, _, lengths in (i.partition(":") for i in _LENGTHS_BY_CODE.split())
}

# National forms that are rarely anything else. Separators are " ", "-", "." and "/".
_FORMS = re.compile(
    r"(?:1[ .-])?\([2-9]\d\d\)[ .-]?[2-9]\d\d[ .-]?\d{4}"  # North America
    r"|(?:1(?P<a>[ .-]))?[2-9]\d\d(?P<b>[ .-])[2-9]\d\d(?P=b)\d{4}|1?[2-9]\d\d[2-9]\d\d-\d{4}"
    r"|0[67]\d{8}|07\d{9}|01[567]\d{8,9}|0[789]0\d{8}|010\d{8}|04\d{8}|05\d{9}"  # mobiles
    r"|07\d{3} ?\d{6}|07\d{3} \d{3} \d{3}"  # Britain
    r"|[6-9]\d\d(?: \d\d){3}"  # Spain
    r"|3[2-9]\d[ /-]\d{6,7}"  # Italy
    r"|8[ -]?\(\d{3,5}\)[ -]?\d{1,3}(?:[ -]?\d\d){2}"  # Russia
    r"|8[ -]9\d\d[ -]\d{3}[ -]?\d\d[ -]?\d\d"
    r"|\(?\d\d\)? ?9[ ]?\d{4}-\d{4}|\(\d\d\) ?\d{4}-\d{4}"  # Brazil
    r"|1[3-9]\d[ -]\d{4}[ -]\d{4}"  # China
    r"|[6-9]\d{4}[ -]\d{5}"  # India
    r"|\(0\d{1,4}\) ?\d{2,8}(?:[ -]\d{2,5}){0,3}"  # Germany, Britain, Japan
)
_TRUNK = re.compile(r"0[1-9]\d{0,4}(?:[ .-]| ?/ ?| - )\d{1,8}(?:[ .-]\d{2,8}){0,4}")
_DATE = re.compile(
    r"\d{1,2}([./-])\d{1,2}\1\d{2,4}(?!\d|[./-]\d)|\d{4}([./-])\d{1,2}\2\d{1,2}(?!\d)"
)
_CJK_MOBILE = re.compile(r"1[3-9]\d{9}")
_CJK = re.compile(r"[\u4e00-\u9fff]")
_CYRILLIC_MOBILE = re.compile(r"[78]9\d{9}")
_CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)

_STEMS = re.findall(
    r"\S+",
    "call text txt ring phone fone tel tél cell mob mov móv what wats wapp signal sms fax "
    "dial reach digits contact hmu ruf handy erreich appel joindre portable llam llám cel "
    "liga ligu zap chiama dzwo komór komor bel num núm nr # cep hp sđt soit puh номер тел "
    "звон набер ватсап вацап пиши "
    "電話 携帯 番号 电话 手机 手機 号码 號碼 번호 전화 연락처 رقم هاتف جوال फोन नंबर "
    "wa.me/",
)
"""Word stems that announce a number without a distinctive form."""
_PHONE_WORDS = re.compile(
    r"(?:\b(?:call|text|txt|ring|phone|fone|tele?f?|tél|telefoo?n\w*|t[eé]l[eé]\w*|teléf\w*|cell"
    r"|mobile?|mobil\w*|mobiel|whats?app?|whatsap|wapp|signal|sms|fax|dial|reach|digits|contact|hmu"
    r"|ruf\w*|handy\w*"
    r"|erreich\w*|appel\w+|joindre|portable|ll[aá]ma\w*|m[oó]vil|celular|cell?ulare|cel|wh?atsapp"
    r"|lig[au]\w*"
    r"|zap|chiama\w*|zadzwo\w*|dzwo\w*|kom[oó]r\w*|bel(?: me)?|cep|telpon|hp|sđt|soittaa?|puh)\b"
    r"|\b(?:(?:my|his|her|their|mom'?s|dad'?s|new|the|ur|your) (?:new |old |work )?"
    r"(?:number|num|nr|#)|number(?:'s| is|s)?|nummer|num[eé]ro|numer|n[uú]mero|nr|num|numara\w*)\b"
    r"|номер|тел\.|телефон|звон|набер|ватсап|вацап|пиши на"
    r"|電話|携帯|番号|电话|手机|手機|号码|號碼|번호|전화|연락처|رقم|هاتف|جوال|फोन|नंबर|wa\.me/|tel:)[^\n]{0,24}$",
    re.IGNORECASE,
)
_ANSWER = (
    r"(?:(?:is|ist|es|est|thats|that's|das ist|это) )?"
    r"(?:my|meine|mi|mon|il mio|mój|мой|mijn|min) (?:[a-zа-яé]+ )?"
    r"(?:num|cell|phone|mobile|handy|núm|номер|celular|móvil|whatsapp)"
)
_ANSWER_BEHIND = re.compile(rf"[ ,*_~|`\"'”’]{{1,5}}{_ANSWER}", re.IGNORECASE)
_OTHER_NUMBER = re.compile(
    r"(?:order|ticket|tracking|invoice|case|\bref|isbn|issn|serial|model|\bpart\b|\bsku|konto"
    r"|account"
    r"|acct|bestell|auftrag|rechnung|sendung|commande|facture|colis|pedido|factura|encomenda|ordine"
    r"|zam[oó]wi|faktur|przesyłk|заказ|сч[её]т|трек|\bid\b|uuid|订单|訂單|注文|주문|version|\bbuild"
    r"|seed|sequence|score|\bpin\b|\bcode\b|\botp\b|\bean\b|\bupc|barcode|\bbug|issue|\bpage|lotto|loto\b"
    r"|\blot\b|numbers|item|product|artikel|customer|kunden|client|siparis|sipariş|flight|vol\b)"
    r"[^\n]{0,16}$",
    re.IGNORECASE,
)
_LISTED_BEFORE = re.compile(r"(?:\d[\s,;.:+-]{1,3}|\b(?:plus|minus) ?)$", re.IGNORECASE)
_LISTED_AFTER = re.compile(r"[\s,;.:+-]{1,3}(?:(?:plus|minus) )?\d", re.IGNORECASE)
MAX_OTHER_NUMBERS = 5
"""Other numbers from which a text is a list of figures, unless it mentions a phone."""
CONTEXT_CHARS = 48
_CLUSTER = r"[0-9][0-9 .\-/()–]{6}"
# Several patterns, since a single one grows too large to be fast.
PHONE_HINTS = (
    rf"\+ ?\(?{_CLUSTER}|(?:^|[^0-9.,:/-])\(?0[0-9][0-9 .\-/()–]{{7}}",
    r"[2-9][0-9]{2}[) .-]{1,2}[2-9][0-9]{2}[ .-]?[0-9]{4}|\([0-9]{2,5}\) ?[0-9]{2}",
    r"[6-9][0-9]{2}(?: [0-9]{2}){3}|8[ -]9[0-9]{2}[ -]|3[2-9][0-9][ ./-][0-9]{6}"
    r"|[0-9]{5,6}-[0-9]{4}|[6-9][0-9]{4} [0-9]{5}|[0-9]{3}[ -][0-9]{4}[ -][0-9]{4}|[0-9]{11}",
    rf"(?i:{'|'.join(map(re.escape, _STEMS))})[^\n]*{_CLUSTER}",
    rf"{_CLUSTER}[^\n]*(?i:{_ANSWER})",
)


def phones(text: str) -> Iterator[Span]:
    """Find phone numbers."""
    lower = text.lower()
    is_announced = any(stem in lower for stem in _STEMS) or bool(_ANSWER_BEHIND.search(text))
    for match in _CANDIDATE.finditer(text):
        begin = match.start()
        groups = [(g.start() + begin, g.end() + begin) for g in _GROUP.finditer(match[0])]
        fours = sum(end - start == 4 for start, end in groups)
        if fours > 2 and "+" not in match[0]:
            continue  # a card or an account number
        first = 0
        while first < len(groups):
            longest = _longest_number(text, begin, groups, first, is_announced)
            if longest is None:
                first += 1
                continue
            start, last = longest
            yield start, groups[last][1]
            first = last + 1


def _longest_number(
    text: str, min_start: int, groups: list[Span], first: int, is_announced: bool
) -> Span | None:
    """Return the longest phone number from a group on: its first character, its last group."""
    start = _start_with_prefix(text, groups[first][0], min_start)
    if first and not text[groups[first - 1][1] : start].isspace():
        return None
    sizes = list(accumulate(end - begin for begin, end in groups[first:]))
    for size, last in zip(reversed(sizes), range(len(groups) - 1, first - 1, -1), strict=True):
        end = groups[last][1]
        if not 7 <= size <= 15 or (last + 1 < len(groups) and not text[end].isspace()):
            continue
        number = text[start:end].replace("–", "-")
        at = start
        if number[0] == "(" and ")" not in number:
            at, number = start + 1, number[1:]  # the bracket is the sentence's
        if number.count("(") != number.count(")") or _is_fragment(number, text, at, end):
            continue
        if _is_phone(number, text, at, end, is_announced):
            return at, last
    return None


def _is_fragment(number: str, text: str, start: int, end: int) -> bool:
    """True if the number is part of an identifier, a sum or a price."""
    if number.startswith("+"):
        return False
    before, after = text[max(0, start - 4) : start], text[end : end + 4]
    if _NAMED_BEFORE.search(before) or _MEASURED.match(after) or before[-1:] in _MONEY:
        return True
    beside = _LATIN.search(before[-1:]) or _LATIN.match(after) or before[-1:] in _SIGNED
    return bool(beside) and number.isdigit()


def _start_with_prefix(text: str, start: int, min_start: int) -> int:
    """Return the start of a number with the + and bracket before its first digit."""
    while start > min_start and text[start - 1] in "+(":
        start -= 1
    if start > min_start + 1 and text[start - 1] == " " and text[start - 2] == "+":
        start -= 2
    return start


def _is_phone(number: str, text: str, start: int, end: int, is_announced: bool) -> bool:
    """True if the form or the context of 7 to 15 digits shows a phone number."""
    if number.startswith(("+", "(+")):
        return _international(number)
    digits = "".join(filter(str.isdigit, number))
    before, after = text[max(0, start - CONTEXT_CHARS) : start], text[end : end + CONTEXT_CHARS]
    if number.startswith("00"):
        is_phone = len(digits) >= 11 and _international(number[2:])
    else:
        is_phone = bool(
            _FORMS.fullmatch(number)
            or _trunk(number, digits)
            or (_CJK_MOBILE.fullmatch(number) and _CJK.search(before + after))
            or (_CYRILLIC_MOBILE.fullmatch(number) and _CYRILLIC.search(before + after))
            or (
                is_announced
                and len(digits) <= 13
                and (_PHONE_WORDS.search(before) or _ANSWER_BEHIND.match(after))
            )
        )
    if not is_announced:
        other_numbers = len(_GROUP.findall(text)) - len(_GROUP.findall(number))
        is_phone &= other_numbers < MAX_OTHER_NUMBERS
        is_phone &= not (_LISTED_BEFORE.search(before) or _LISTED_AFTER.match(after))
    decimal = number.count(".") == 1 and number.replace(".", "").isdigit()
    unlikely = decimal or len(set(digits)) < 3 or _DATE.match(number)
    return is_phone and not unlikely and not _OTHER_NUMBER.search(before)


def _international(number: str) -> bool:
    """True if a number after its + has a calling code, and a length used there."""
    digits = "".join(filter(str.isdigit, number.replace("(0)", "")))
    if digits.endswith("000000"):
        return False
    for size in (1, 2, 3):
        lengths = _NATIONAL_LENGTHS.get(digits[:size])
        if lengths:
            national = digits[size:]
            if digits[:size] == "1" and (national[:1] in ("0", "1") or not national):
                return False
            return len(national) in lengths
    return False


def _trunk(number: str, digits: str) -> bool:
    """True if a number has a leading 0 and an area code, as in most of Europe."""
    if not 9 <= len(digits) <= 12 or not _TRUNK.fullmatch(number):
        return False
    groups = _GROUP.findall(number)
    if all(len(group) == 2 for group in groups):
        is_lottery = groups == sorted(groups) and groups[-1] <= "50"
        return len(groups) == 5 and not is_lottery
    return True
