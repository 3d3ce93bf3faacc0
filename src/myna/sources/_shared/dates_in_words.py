"""Dates and times as programs write them in any language: the names of months, of halves of
the day, other figures and other calendars.

The names are CLDR's, from memory: nominative, the case that dates have, and short forms. The
Persian calendar is converted by the 33-year cycle (K. Borkowski, "The Persian calendar for
3000 years", 1996: exact for the years 1178 to 1633). Days of the week and other words are
passed over. A date of the Islamic calendar cannot be told to the day, and is not read.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache

from myna.sources._shared.whatsapp_formats import half_of_day, normalize

# One language a line: the twelve months, with bars between and further forms behind slashes.
_MONTHS = """
january/jan|february/feb|march/mar|april/apr|may|june/jun|july/jul|august/aug|september/sep/sept|october/oct|november/nov|december/dec
januar/jänner|februar/feber|märz/mär/mrz|april|mai|juni|juli|august|september|oktober/okt|november|dezember/dez
janvier/janv|février/févr/fév|mars|avril/avr|mai|juin|juillet/juil|août|septembre|octobre|novembre|décembre/déc
enero/ene|febrero|marzo|abril/abr|mayo/may|junio|julio|agosto/ago|septiembre/setiembre/set|octubre|noviembre|diciembre/dic
gennaio/gen|febbraio|marzo|aprile|maggio/mag|giugno/giu|luglio/lug|agosto|settembre/set|ottobre/ott|novembre|dicembre
janeiro|fevereiro/fev|março|abril|maio/mai|junho|julho|agosto|setembro|outubro/out|novembro|dezembro/dez
januari|februari|maart/mrt|april|mei|juni|juli|augustus|september|oktober|november|december
janúar|febrúar|mars|apríl|maí|júní|júlí|ágúst|september|október|nóvember|desember/des
tammikuu/tammikuuta|helmikuu/helmikuuta|maaliskuu/maaliskuuta|huhtikuu/huhtikuuta|toukokuu/toukokuuta|kesäkuu/kesäkuuta|heinäkuu/heinäkuuta|elokuu/elokuuta|syyskuu/syyskuuta|lokakuu/lokakuuta|marraskuu/marraskuuta|joulukuu/joulukuuta
styczeń/stycznia/sty|luty/lutego/lut|marzec/marca|kwiecień/kwietnia/kwi|maj/maja|czerwiec/czerwca/cze|lipiec/lipca/lip|sierpień/sierpnia/sie|wrzesień/września/wrz|październik/października/paź|listopad/listopada/lis|grudzień/grudnia/gru
leden/ledna/led|únor/února/úno|březen/března/bře|duben/dubna/dub|květen/května/kvě|červen/června/čvn|červenec/července/čvc|srpen/srpna/srp|září/zář|říjen/října/říj|listopad/listopadu|prosinec/prosince/pro
január/januára|február/februára|marec/marca|apríl/apríla|máj/mája|jún/júna|júl/júla|august/augusta|september/septembra|október/októbra|november/novembra|december/decembra
január|február/febr|március/márc|április/ápr|május/máj|június/jún|július/júl|augusztus|szeptember/szept|október|november|december
ianuarie/ian|februarie|martie|aprilie|mai|iunie/iun|iulie/iul|august|septembrie|octombrie|noiembrie/noi|decembrie
siječanj/siječnja/sij|veljača/veljače/velj|ožujak/ožujka/ožu|travanj/travnja/tra|svibanj/svibnja/svi|lipanj/lipnja|srpanj/srpnja|kolovoz/kolovoza/kol|rujan/rujna/ruj||studeni/studenoga/studenog/stu|prosinac/prosinca
januar/januarja|februar/februarja|marec/marca|april/aprila|maj/maja|junij/junija|julij/julija|avgust/avgusta/avg|september/septembra|oktober/oktobra|november/novembra|december/decembra
јануар/јан|фебруар/феб|март/мар|април/апр|мај|јун|јул|август/авг|септембар/сеп|октобар/окт|новембар/нов|децембар/дец
януари/яну|февруари/фев|март/мар|април/апр|май|юни|юли|август/авг|септември/сеп|октомври/окт|ноември/ное|декември/дек
январь/января/янв|февраль/февраля/февр|март/марта|апрель/апреля|май/мая|июнь/июня/июн|июль/июля/июл|август/августа|сентябрь/сентября/сент|октябрь/октября|ноябрь/ноября/нояб|декабрь/декабря
січень/січня/січ|лютий/лютого/лют|березень/березня/бер|квітень/квітня/квіт|травень/травня/трав|червень/червня/черв|липень/липня/лип|серпень/серпня/серп|вересень/вересня/вер|жовтень/жовтня/жовт|листопад/листопада/лист|грудень/грудня/груд
ιανουάριος/ιανουαρίου/ιαν|φεβρουάριος/φεβρουαρίου/φεβ|μάρτιος/μαρτίου/μαρ|απρίλιος/απριλίου/απρ|μάιος/μαΐου/μαΐ|ιούνιος/ιουνίου/ιουν|ιούλιος/ιουλίου/ιουλ|αύγουστος/αυγούστου/αυγ|σεπτέμβριος/σεπτεμβρίου/σεπ|οκτώβριος/οκτωβρίου/οκτ|νοέμβριος/νοεμβρίου/νοε|δεκέμβριος/δεκεμβρίου/δεκ
ocak/oca|şubat/şub|mart|nisan/nis|mayıs|haziran/haz|temmuz/tem|ağustos/ağu|eylül/eyl|ekim/eki|kasım/kas|aralık/ara
sausis/sausio|vasaris/vasario|kovas/kovo|balandis/balandžio|gegužė/gegužės|birželis/birželio|liepa/liepos|rugpjūtis/rugpjūčio|rugsėjis/rugsėjo|spalis/spalio|lapkritis/lapkričio|gruodis/gruodžio
janvāris/janvārī|februāris/februārī|marts/martā|aprīlis/aprīlī|maijs/maijā|jūnijs/jūnijā|jūlijs/jūlijā|augusts/augustā|septembris/septembrī|oktobris/oktobrī|novembris/novembrī|decembris/decembrī
jaanuar|veebruar|märts|aprill|mai|juuni|juuli|august|september|oktoober|november|detsember
gener/gen|febrer|març|abril|maig|juny|juliol|agost|setembre|octubre|novembre|desembre
xaneiro|febreiro|marzo|abril|maio|xuño|xullo|agosto|setembro|outubro|novembro|decembro
urtarrila|otsaila|martxoa|apirila|maiatza|ekaina|uztaila|abuztua|iraila|urria|azaroa|abendua
januari|februari|maret|april|mei|juni|juli|agustus/agt|september|oktober|november/nop|desember
januari|februari|mac|april|mei|jun|julai|ogos|september|oktober|november|disember
มกราคม/ม.ค|กุมภาพันธ์/ก.พ|มีนาคม/มี.ค|เมษายน/เม.ย|พฤษภาคม/พ.ค|มิถุนายน/มิ.ย|กรกฎาคม/ก.ค|สิงหาคม/ส.ค|กันยายน/ก.ย|ตุลาคม/ต.ค|พฤศจิกายน/พ.ย|ธันวาคม/ธ.ค
ינואר|פברואר|מרץ|אפריל|מאי|יוני|יולי|אוגוסט|ספטמבר|אוקטובר|נובמבר|דצמבר
يناير|فبراير|مارس|أبريل/إبريل|مايو|يونيو|يوليو|أغسطس|سبتمبر|أكتوبر|نوفمبر|ديسمبر
كانون الثاني|شباط|آذار|نيسان|أيار|حزيران|تموز|آب|أيلول|تشرين الأول|تشرين الثاني|كانون الأول
ژانویه|فوریه|مارس|آوریل|مه|ژوئن|ژوئیه|اوت|سپتامبر|اکتبر|نوامبر|دسامبر
जनवरी/जन॰|फ़रवरी/फरवरी|मार्च|अप्रैल|मई|जून|जुलाई|अगस्त|सितंबर/सितम्बर|अक्टूबर/अक्तूबर|नवंबर/नवम्बर|दिसंबर/दिसम्बर
জানুয়ারী/জানুয়ারি|ফেব্রুয়ারী/ফেব্রুয়ারি|মার্চ|এপ্রিল|মে|জুন|জুলাই|আগস্ট|সেপ্টেম্বর|অক্টোবর|নভেম্বর|ডিসেম্বর
"""
_PERSIAN = "فروردین اردیبهشت خرداد تیر مرداد شهریور مهر آبان آذر دی بهمن اسفند"
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "r": 2018, "h": 1988}

_CLOCK = re.compile(
    r"(?<![\d:.])(\d{1,2})\s?[:.h時时시]\s?(\d\d)(?:\s?[:.分분]\s?(\d\d)(?:[.,](\d{1,9}))?)?"
    r"\s?[分秒분초]?(?![\d:])"
)
_ZONE = re.compile(r"\b(UTC|GMT|Z)(?:([+\-\u2212])(\d{1,2})(?::?(\d\d))?)?(?!\w)")
_OFFSET = re.compile(r"([+\-\u2212])(\d\d):?(\d\d)$")
_DATE = re.compile(r"(?<![\d+-])(\d{1,4})\s?[-./年년]\s?(\d{1,2})\s?[-./月월]\s?(\d{1,4})(?!\d)")
_NUMBERED_MONTH = re.compile(r"(?:tháng|thg|thg\.)\s?(\d{1,2})|(\d{1,2})\s?[月월]", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_][^\d\s,;:()]*")


@cache
def _month_names() -> dict[str, int]:
    """The number of each month by its name without case, accents of case and a final stop."""
    found: dict[str, int] = {}
    for language in _MONTHS.strip().split("\n"):
        for number, names in enumerate(language.split("|"), 1):
            for name in filter(None, names.split("/")):
                found.setdefault(_folded(name), number)
    return found


def _folded(word: str) -> str:
    return unicodedata.normalize("NFC", word.casefold()).rstrip(".,:")


def parse_in_words(text: str, day_first: bool = True) -> tuple[datetime, bool] | None:
    """A time in UTC, and True if the text names its zone; None if it is no date.

    Args:
        text: a date with or without a time of day, in any language.
        day_first: True if 3/4/2020 is the third of April.
    """
    plain = _plain(text)
    zone = _zone(plain)
    plain = _OFFSET.sub("", _ZONE.sub(" ", plain))
    clock, rest = _clock(plain)
    if clock is None:
        return None
    day = _day(rest, day_first)
    if day is None:
        return None
    try:
        moment = datetime(day.year, day.month, day.day, tzinfo=zone or UTC) + clock
        return moment.astimezone(UTC), zone is not None
    except (ValueError, OverflowError):
        return None


def _plain(text: str) -> str:
    """The text without direction marks, with the figures 0 to 9 and plain blanks."""
    figures = (str(unicodedata.decimal(c)) if c.isdecimal() else c for c in normalize(text))
    return "".join(figures)


def _zone(text: str) -> timezone | None:
    """The zone that a text names, as UTC and an offset."""
    match = _ZONE.search(text)
    sign, hours, minutes = match.groups()[1:] if match else (None, None, None)
    if match is None:
        match = _OFFSET.search(text)
        if match is None or ":" not in text[: match.start()]:
            return None
        sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    if offset >= timedelta(days=1):
        return None
    return timezone(offset if sign == "+" else -offset)


def _clock(text: str) -> tuple[timedelta | None, str]:
    """The time of day, and the text without it; midnight if it has none, None if invalid."""
    # A date with stops looks like a time as well.
    dated = None if _month(text)[0] else _DATE.search(text)
    span = range(dated.start(), dated.end()) if dated else range(0)
    found = [match for match in _CLOCK.finditer(text) if match.start() not in span]
    if not found:
        return timedelta(), text
    match = found[-1]
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    rest = f"{text[: match.start()]} {text[match.end() :]}"
    halves = [half for word in _words(rest) if (half := half_of_day(word))]
    if halves and hour <= 12:
        hour = hour % 12 + 12 * (halves[-1] == "p")
    if hour > 23 or minute > 59 or second > 60:
        return None, text
    micro = int((match[4] or "0")[:6].ljust(6, "0"))
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=micro), rest


def _words(text: str) -> list[str]:
    """The words, and the pairs and threes of them that are set off by blanks."""
    parts = re.split(r"[\s,]+", re.sub(r"[\d:/]+", " ", text))
    parts = [part for part in parts if part]
    joined = [" ".join(parts[i : i + n]) for n in (2, 3, 4) for i in range(len(parts) - n + 1)]
    return [*parts, *joined]


def _day(text: str, day_first: bool) -> date | None:
    """The day of a text without a time of day."""
    if match := _DATE.search(text):
        rest = f"{text[: match.start()]} {text[match.end() :]}"
        if any(word.isascii() and half_of_day(word) is None for word in _WORD.findall(rest)):
            return None
        return _day_of_figures([int(part) for part in match.groups()], text, match, day_first)
    month, is_persian, rest = _month(text)
    if not month:
        return None
    numbers = [int(number) for number in re.findall(r"\d+", rest)]
    years = [number for number in numbers if 31 < number < 10_000]
    days = [number for number in numbers if 1 <= number <= 31]
    if not days:
        return None
    if years:
        year, day = years[0], days[0]
    elif len(days) > 1:
        day, year = days[0], days[1] + 2000
    else:
        return None
    return _persian_day(year, month, day) if is_persian else to_gregorian(year, month, day)


def _day_of_figures(
    numbers: list[int], text: str, match: re.Match[str], day_first: bool
) -> date | None:
    first, second, third = numbers
    before = text[: match.start()].strip().casefold()
    era = next((start for name, start in _ERAS.items() if before.endswith(name)), None)
    if era is not None:
        return to_gregorian(first + era, second, third)
    if len(match[1]) >= 3:
        return to_gregorian(first, second, third)
    if len(match[3]) == 2:
        third += 2000 if third < 70 else 1900
    day, month = (first, second) if day_first else (second, first)
    return to_gregorian(third, month, day)


def _month(text: str) -> tuple[int, bool, str]:
    """The month that a text names (0 if none), True if it is Persian, and the rest."""
    if match := _NUMBERED_MONTH.search(text):
        return int(match[1] or match[2]), False, text[: match.start()] + text[match.end() :]
    names, persian = _month_names(), _PERSIAN.split()
    folded = text.casefold()
    for match in _WORD.finditer(text):
        word = _folded(match[0])
        if word in persian:
            return persian.index(word) + 1, True, folded.replace(match[0].casefold(), " ")
    for word in sorted({_folded(word) for word in _words(text)}, key=len, reverse=True):
        for form in (word, word.removeprefix("de "), word.removeprefix("ב")):
            if form in names:
                return names[form], False, text
    return 0, False, text


def to_gregorian(year: int, month: int, day: int) -> date | None:
    """A day of the calendar that its year shows: the Buddhist, the Persian or our own.

    None if there is no such day, or the year is of the Islamic calendar.
    """
    if 2443 <= year <= 2700:  # 1900 of the Buddhist era
        year -= 543
    elif 1379 <= year <= 1420:
        return _persian_day(year, month, day)
    elif 1421 <= year <= 1500:
        return None
    try:
        return date(year, month, day)
    except (ValueError, OverflowError):
        return None


def _persian_day(year: int, month: int, day: int) -> date | None:
    """The day of the Persian calendar, whose year 1400 began on 21 March 2021."""
    if not (1178 <= year <= 1633 and 1 <= month <= 12 and 1 <= day <= 31 - (month > 6)):
        return None
    before = 31 * (month - 1) if month <= 7 else 186 + 30 * (month - 7)
    leaps = _leap_days(year) - _leap_days(1400)
    start = date(2021, 3, 21).toordinal() + (year - 1400) * 365 + leaps
    return date.fromordinal(start + before + day - 1)


def _leap_days(year: int) -> int:
    """The leap days before a Persian year, up to a constant: eight in 33 years."""
    return (year * 8 + 21) // 33
