"""Card numbers, IBANs, IP addresses and precise coordinates in texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv6Address

from myna.cleaning.personal_data.spans import Span

_CARD = re.compile(
    r"(?<!\d)(?<!\d[ .,/=-])(?:\d{4}(?P<a>[ -]?)\d{4}(?P=a)\d{4}(?P=a)\d{1,4}(?:(?P=a)\d{3})?"
    r"|3[47]\d\d(?P<b>[ -]?)\d{6}(?P=b)\d{5}"
    r"|3\d{3}(?P<c>[ -]?)\d{6}(?P=c)\d{4})(?!\d|[.,-]\d)(?! \d{4})",
    re.ASCII,
)
CARD_HINT = (
    r"[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]|3[0-9]{3}[ -][0-9]{6}[ -][0-9]"
)

# Issuers by the first digits, and the lengths that their numbers have.
_ISSUERS = (
    (re.compile("4"), (13, 16, 19)),
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile("3[47]"), (15,)),
    (re.compile("6011|64[4-9]|65|62|81"), (16, 19)),
    (re.compile("35(?:2[89]|[3-8])"), (16,)),
    (re.compile("30[0-5]|3[689]"), (14,)),
    (re.compile("220[0-4]|9792|6[0378]|5[0678]"), (16,)),
)

_IBAN_START = re.compile(
    r"(?:(?<![A-Za-z0-9])[A-Za-z]{2}|(?<!\d)[A-Z]{2})[ ]?\d\d(?=[ -]?[A-Za-z0-9]{2})", re.ASCII
)
IBAN_HINT = r"[A-Za-z]{2} ?[0-9]{2}(?:[ -]?[A-Za-z0-9]{4}){2}[ -]?[A-Za-z0-9]{3}"
_ALNUM = re.compile("[A-Za-z0-9]")
_IBAN_LENGTHS = dict(
    re.findall(
        r"(\w\w):(\d\d)",
        "AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BR:29 BY:28 CH:21 CR:22 CY:28 "
        "CZ:24 DE:22 DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 "
        "GR:27 GT:28 HR:21 HU:28 IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20 LB:28 LC:32 "
        "LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 MK:19 MR:27 MT:31 MU:30 NL:18 NO:15 "
        "PK:24 PL:28 PS:29 PT:25 QA:29 RO:24 RS:22 SA:24 SC:31 SD:18 SE:24 SI:19 SK:24 SM:27 "
        "ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20",
    )
)

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(
    rf"(?<!\d)(?<!\d[.,-]){_OCTET}(?:\.{_OCTET}){{3}}(?!\d|\.[\da-z_]|-\w|,\d)", re.ASCII
)
_IPV6 = re.compile(
    r"(?<![\da-fA-F:])(?<!\d\.)(?=[\da-fA-F:]*:[\da-fA-F]*:)[\da-fA-F:]{6,41}(?![\da-fA-F:])",
    re.ASCII,
)
_LONE_COLONS = re.compile(r"^:(?!:)|(?<!:):$")
IP_HINT = (
    r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[0-9a-fA-F]::[0-9a-fA-F]|:[0-9a-fA-F]{1,4}::"
    r"|(?:[0-9a-fA-F]{1,4}:){7}"
)
_VERSION_WORDS = re.compile(
    r"(?<![^\W_])(?:v|versions?|vers?\.?|version(?:en|s)?|версия|版本|バージョン|section|sec\.|chapter|§"
    r"|kapitel|abschnitt|article|release|build|firmware|patch|update|upgrade|driver|python|chrome"
    r"|firefox|kernel|windows|android|ios|app|lib|sdk|oid)(?: (?:to|is|auf|nummer|number))?"
    r"(?:[^\S\n]|[:=(]){0,3}$",
    re.IGNORECASE,
)
_NETWORK_WORDS = re.compile(
    r"\bips?\b|\bipv4\b|server|host|dns|\bping|\bssh|://|@|router|gateway|address|adresse|subnet"
    r"|\bnet\b|\blan\b|\bwan\b|\bvpn\b|proxy|login|connect|айпи|сервер|адрес|地址|アドレス",
    re.IGNORECASE,
)

_PAIR = re.compile(
    r"(?<!\d)(?<!\d[ .,:;])(?:(?:lat(?:itude)?"
    r"|breite)[ :=]{1,3})?(?P<lat>[+-]?\d{1,2}\.\d{2,15})°?"
    r" ?(?P<ns>[NSns])?(?:[ ,;/]{1,3}|%2C)(?:(?:lon(?:g(?:itude)?)?|lng|länge)[ :=]{1,3})?"
    r"(?P<lon>[+-]?\d{1,3}\.\d{2,15})(?!\d|\.\d)°?(?: ?(?P<ew>[EWOewo])\b)?"
    # A third number makes it a vector, unless it is the zoom level of a map.
    r"(?![,;] ?[+-]?\d{1,9}(?:\.\d{1,15})?(?![\d.zm]))",
    re.IGNORECASE,
)
_DEGREES = r"\d{1,3} ?° ?\d{1,2}(?:\.\d{1,8})? ?['’′](?: ?\d{1,2}(?:\.\d{1,8})? ?(?:[\"”″]|''|’’))?"
_SEXAGESIMAL = re.compile(rf"(?<!\d)(?<!\d\.){_DEGREES} ?[NS][ ,;/]{{0,3}}{_DEGREES} ?[EWO]\b")
_PLUS_CODE = re.compile(r"(?<![0-9A-Z])[2-9CFGHJMPQRVWX]{8}\+[2-9CFGHJMPQRVWX]{2,3}(?![0-9A-Z])")
LOCATION_HINT = (
    r"[0-9]\.[0-9]{2,15}°? ?[NSns]?(?:[ ,;/]{1,3}|%2C)(?:(?i:lo?ng?[a-z]{0,6}|länge)[ :=]{1,3})?"
    r"[+-]?[0-9]{1,3}\.[0-9]{2}|[0-9] ?['’′\"”″] ?[NS]"
    r"|[2-9CFGHJMPQRVWX]{8}\+[2-9CFGHJMPQRVWX]{2}"
)
_LOCATION_WORDS = re.compile(
    r"\blat\b|\blatitude|\bcoord|\bgps\b|\bgeo\b|geo:|maps?[./]|location|standort|position"
    r"|koordinat|ubicaci|coordonn|координат|坐标|座標|meet|i'?m at|live at",
    re.IGNORECASE,
)


def luhn(digits: str) -> bool:
    """True if the last digit is the checksum of payment cards (ISO/IEC 7812)."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + index % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def cards(text: str) -> Iterator[Span]:
    """Find payment card numbers: an issuer's digits and length, and a correct checksum."""
    for match in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", match[0])
        is_issued = any(len(digits) in sizes and first.match(digits) for first, sizes in _ISSUERS)
        if is_issued and luhn(digits):
            yield match.span()


def ibans(text: str) -> Iterator[Span]:
    """Find IBANs: a country's length, and correct check digits (ISO 13616)."""
    for match in _IBAN_START.finditer(text):
        length = int(_IBAN_LENGTHS.get(match[0][:2].upper(), 0))
        characters: list[str] = []
        end = match.start()
        while length and end < len(text) and len(characters) < length:
            if text[end].isascii() and text[end].isalnum():
                characters.append(text[end])
            elif text[end] not in " -\xa0" or text[end - 1] in " -\xa0":
                break
            end += 1
        before, after = text[: match.start()][-1:], text[end : end + 1]
        # Letters may be on one side only, and only of capitals: otherwise it is part of a string.
        is_glued = _ALNUM.match(after) and (_ALNUM.match(before) or match[0] != match[0].upper())
        if len(characters) != length or not length or after.isdigit() or is_glued:
            continue
        turned = "".join(characters[4:] + characters[:4])
        if int("".join(str(int(character, 36)) for character in turned)) % 97 == 1:
            yield match.start(), end


def ips(text: str) -> Iterator[Span]:
    """Find IP addresses of hosts, but no version or section numbers."""
    for match in _IPV4.finditer(text):
        octets = [int(part) for part in match[0].split(".")]
        before = text[max(0, match.start() - 40) : match.start()]
        if octets[0] in (0, 127, 255):
            continue
        if before[-1:] in ("v", "V"):
            if octets[0] < 40 or max(octets[1:]) < 40:
                continue  # no version has so large numbers
        elif _VERSION_WORDS.search(before):
            continue
        # Four small numbers are as often a version.
        if (
            max(octets) >= 40
            or _NETWORK_WORDS.search(before)
            or text[match.end() :][:1] in (":", "/")
        ):
            yield match.span()
    for match in _IPV6.finditer(text):
        address = _LONE_COLONS.sub("", match[0])
        groups = [group for group in address.split(":") if group]
        long = any(len(group) > 2 for group in groups)
        if len(groups) < 3 or not long or not any(c.isdigit() for c in address):
            continue
        try:
            IPv6Address(address)
        except AddressValueError:
            continue
        start = match.start() + match[0].index(address)
        yield start, start + len(address)


def locations(text: str) -> Iterator[Span]:
    """Find coordinates precise to about a hundred metres."""
    for match in _PAIR.finditer(text):
        lat, lon = match["lat"], match["lon"]
        if abs(float(lat)) > 90 or abs(float(lon)) > 180:
            continue
        decimals = min(len(lat.partition(".")[2]), len(lon.partition(".")[2]))
        named = match["ns"] or match["ew"] or "°" in match[0]
        around = text[max(0, match.start() - 60) : match.end()]
        if named or _LOCATION_WORDS.search(around):
            precise = decimals >= 3
        else:
            precise = decimals >= 4 and max(abs(float(lat)), abs(float(lon))) >= 10
        if precise:
            yield match.start("lat"), match.end()
    for pattern in (_SEXAGESIMAL, _PLUS_CODE):
        for match in pattern.finditer(text):
            yield match.span()
