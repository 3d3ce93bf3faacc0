"""Street addresses in texts: a street with a house number, in several languages.

An address spans flat, house number, street and postcode; the name of a town behind it stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from myna.cleaning.personal_data.spans import Span, bounded

_CAP = r"[A-ZÀ-ÖØ-ÞŁŚŻŹĆĄĘÓŃČŠŽŘĚŐŰİŞĞ]"
_NAME = rf"{_CAP}[^\W\d_]{{0,40}}+(?:['’.-][^\W\d_]{{1,40}}+){{0,3}}+"
_NO_UNIT = (
    r"(?!\w|[.,:]\d|[-–]\w?\d{4}| ?[%€$£°]| ?(?i:uhr|min|minuten?|minutes?|mins|km|kilometer|m"
    r"|meter|h|std|stunden?"
    r"|euro|eur|jahre?|tage?|mal|x|o'?clock|am|pm|years?|days?|hours?|hrs?|people|times|kg|personen"
    r"|heures?|ans|jours|horas|minutos|años|minuti|ore|giorni|anni|volte|minut|godzin|lat"
    r"|veces|vezes|minuter|timmar|jaar|dagen|uur|минут\w*|час\w*|лет|дн\w*|раз)\b)"
)

# English: number, name, kind of street.
_STREET = (
    r"Street|St|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Terrace"
    r"|Ter|Way"
    r"|Parkway|Pkwy|Highway|Hwy|Circle|Cir|Square|Sq|Crescent|Cres|Close|Grove|Gardens|Gdns|Mews"
    r"|Row|Walk|Hill|Trail|Trl|Alley|Quay|Esplanade|Parade|Pde|Broadway|Loop|Rise|Green|Park|Vale"
)
_PLAIN_STREET = (
    r"street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct"
    r"|terrace|parkway|pkwy|crescent"
)
_UNIT = r"(?:apt|apartment|unit|flat|suite|ste|room|rm|#)\.? ?#?\w{1,5}"
_ZIP = (
    r"(?:[A-Z]{2},? \d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}"
    r"|(?:NSW|VIC|QLD|WA|SA|TAS|ACT|NT) \d{4}"
    r"|[A-Z]{2},? [A-Z]\d[A-Z] ?\d[A-Z]\d|\d{5}(?:-\d{4})?)"
)
_TOWN = rf"{_NAME}(?:[ -](?:on|upon|under|in|the|of|{_NAME})){{0,3}}?"
_TAIL = rf"(?:,? (?:(?i:{_UNIT}))\b)?(?:(?:, ?{_TOWN}){{0,2}},? ?{_ZIP}\b|,? {_TOWN},? {_ZIP}\b)?"
_NUMBER = r"(?<!\w)(?<![#$€£+])(?<!\d[ .,:/-])\d{1,5}(?:[A-Ha-h]|-\d{1,4}|/\d{1,4}| ?½)?"
_ENGLISH = bounded(
    rf"(?:(?i:{_UNIT}),? )?{_NUMBER},? (?:[NSEW]{{1,2}}\.? )?"
    rf"(?!(?:Street|Road|Way|Court|Place|Drive)\b)(?:(?:{_NAME}|\d{{1,3}}(?:st|nd|rd|th)|(?:of"
    rf"|the)) ){{1,4}}?"
    rf"(?:{_STREET})\b(?![-'’]\w| in[.,!?]| in\Z| (?:art|food|lights?|lamps?|view|parking|party"
    rf"|style|wear|signs?)\b)\.?(?: (?:NW|NE|SW|SE|N|S|E|W|North|South|East|West)\b)?"
    rf"(?! (?:{_CAP}[a-z]+ )*\d+\b(?!\d{{4}})){_TAIL}"
)
_ARTICLE_BEFORE = re.compile(
    r"\b(?:an?|the|my|your|our|these|those|top|first|last|all|only|of) \Z", re.IGNORECASE
)
_AMBIGUOUS_KIND = re.compile(
    r"\b(?:Drive|Way|Place|Court|Park|Hill|Close|Green|Row|Walk|Rise|Loop|Parade|Circle)\Z"
)
_SENTENCE_GOES_ON = re.compile(
    r" (?!at\b|in\b|near|by\b|and\b|on\b|is\b|for\b|if\b|or\b|with|after|around|to\b|from|then"
    r"|tonight|tomorrow|today|pls|please|rn\b|now\b|before|i\b|u\b)[a-z]"
)
_ADDRESS_WORDS = (
    r"(?:\b(?:at|to|live[sd]?|living|address(?: is|'s)?|addy(?: is)?|@"
    r"|on|near|by|from|its|it's)[ :]{1,2})"
)
_LOWER_CASE = bounded(
    rf"{_ADDRESS_WORDS}(?P<at>\d{{1,5}}[a-h]? (?:[nsew] )?"
    rf"(?!more|min|of|other|different|new|big|small|separate|way|car|dirt|hard|flash|usb|disk|thumb|test|long|short)(?:(?:[a-z]{{2,15}}"
    rf"|\d{{1,3}}(?:st|nd|rd|th)) ){{1,2}}?(?:{_PLAIN_STREET})"
    rf"(?:(?:,? (?:{_UNIT}))\b)?)\b(?!['’-]| [a-z]+s\b)",
    re.IGNORECASE,
)
_BOX = bounded(
    r"\b(?:P\.? ?O\.? ?Box|Postfach|Boîte postale|B\.P\.|Apartado(?: de correos)?"
    r"|Postbus) #?\d{1,6}\b",
    re.IGNORECASE,
)

# Germanic and Nordic: the kind of street ends its name, the number follows.
_POST = r"(?:,? (?:[A-Z]{1,2}-)?(?:\d{3} ?\d{2}|\d{4}(?: ?[A-Z]{2})?)\b(?! ?(?:Uhr|€|Euro|km)))?"
_HOUSE = rf"\d{{1,4}}(?: ?[a-hA-H]\b|[a-hA-H])?(?:[-/]\d{{1,4}}[a-h]?)?{_NO_UNIT}"
_PREPOSITION_STREET = bounded(
    r"(?<!\w)(?:Am|An der|An den|Im|In der|In den|Auf der|Auf dem|Zum|Zur|Unter den|Hinter der"
    r"|Hinter dem)"
    rf" (?:{_CAP}[a-zäöüß]{{2,20}} )?{_CAP}?[a-zäöüß]{{0,20}}(?i:markt|berg|hof|bach|park|tor"
    rf"|graben|wall|anger"
    r"|hang|rain|feld|wald|see|kirche|bahnhof|brunnen|mühle|garten|gärten|wiese|wiesen|schloss"
    r"|hafen|kanal|deich|rathaus|linden|eichen|buchen|birken|born|grund|winkel|kamp|busch|horst) "
    rf"{_HOUSE}{_POST}"
)
_WITH_POSTCODE = bounded(
    rf"(?<!\w)(?:{_CAP}[^\W\d_]{{1,20}}|den|der|dem|de|del|la) (?:(?:{_CAP}[^\W\d_]{{1,20}}|den"
    rf"|der|dem|de|del|la) ){{0,3}}"
    rf"\d{{1,4}}[a-z]?, (?:[A-Z]{{1,2}}-)?\d{{4,5}}(?= {_CAP}[a-zäöüß]{{2}})"
)
_COMPOUND = bounded(
    r"(?<!\w)(?!(?:Heim|Hin|Rück|Um|Aus|Schul|Arbeits|Park|Sitz|Steh|Stell|Tabellen|Listen"
    r"|Arbeits|Studien|Fenster|Lade|Vor|Boxen|An)(?:weg|platz|ring|gang|hof)\b)(?:"
    rf"(?:{_CAP}[^\W\d_]*+[ -]){{0,2}}?{_CAP}[^\W\d_]*?(?:straße|strasse|str\.|str|weg|allee"
    rf"|platz|gasse|ufer|damm|chaussee|promenade"
    r"|steig|stieg|pfad|straat|laan|plein|gracht|kade|dijk|singel|steeg|gatan|vägen|gränd|gata"
    r"|gate|vegen|veien|vei|vej|gade|stræde"
    r"|katu|kuja|polku|utca|tér|körút|[^\W\d_]{4}tie)"
    rf"|(?:{_CAP}[^\W\d_]*+[ -]){{1,3}}?(?:Straße|Strasse|Str\.|Weg|Allee|Platz|Gasse|Ring|Ufer"
    rf"|Damm|utca|u\.|út|tér|körút)"
    r"|[^\W\d_]{3,20}?(?:straße|strasse|str\.|gatan|straat|gracht|vägen|gasse)"
    rf"),? {_HOUSE}(?:, ?(?:[Ww]hg\.? ?\d{{1,4}}|[Ll]gh \d{{1,4}}))?{_POST}"
)

# Romance: number and street in French, street and number in the others.
_OF = (
    r"(?:de la |de l['’]|de las |de los |de |du |des |del |della |delle |dei |degli "
    r"|dello |dell['’]|da |das |do |dos |d['’]|la "
    r"|las |los |les |le |l['’]|el |e |y |et )"
)
_WORDS = rf"{_OF}{{0,2}}(?:{_NAME}|\d{{1,2}})(?:[ -]{_OF}{{0,2}}{_NAME}){{0,4}}"
_FRENCH = bounded(
    r"(?<!\w)(?<!\d[.,:/-])\d{1,4}(?: ?(?:bis|ter|quater)|[A-Da-d]| [ABCD])?,? "
    r"(?:(?:rue|avenue|av\.?|ave|boulevard|bd\.?|blvd|place|pl\.|chemin|ch\.|impasse|imp\."
    r"|allées?|quai|route|rte|cours"
    r"|square|passage|faubourg|fbg|sentier|ruelle|villa|cité|esplanade|résidence)|"
    r"(?:Rue|Avenue|Av\.|Boulevard|Bd|Place|Chemin|Impasse|Allée|Quai|Route|Cours|Square|Passage)) "
    rf"(?:{_WORDS}|{_OF}{{1,2}}[^\W\d_]{{3,20}}(?:[ -]{_NAME}){{0,3}})(?:,? \d{{5}}\b|(?:, ?"
    rf"| ){_TOWN},? \d{{5}}\b)?"
)
_NUMBERED = r"(?:,? ?(?:n[ºo°]\.? ?|nr\.? ?|núm\.? ?|número )?|, )"
_ROMANCE = bounded(
    r"(?<!\w)(?:(?:[Cc]/ ?|[Cc]alle|[Cc]l\.|[Aa]vd?a?\.|[Aa]vda|[Aa]v|[Aa]venida|[Aa]vinguda"
    r"|[Pp]aseo|[Pp]laza|[Cc]arrer|[Cc]amino|[Cc]arretera|[Rr]onda"
    r"|[Rr]ua|R\.|[Tt]ravessa|[Pp]raça|[Aa]lameda|[Ee]strada|[Ll]argo"
    r"|[Vv]ia|V\.|[Vv]iale|V\.le|[Pp]iazza|P\.zza|[Pp]iazzale|[Cc]orso|C\.so|[Vv]icolo"
    r"|[Ll]ungomare|[Cc]ontrada"
    rf"|[Ss]trada|[Bb]d\.|[Bb]ulevardul"
    rf"|[Cc]alea) ?)(?:(?<=[ /]){_WORDS}){_NUMBERED}(?<!\w)\d{{1,5}}(?: ?[A-Da-d]\b"
    rf"|/\d{{1,3}})?{_NO_UNIT}"
    r"(?:,? (?:\d{1,2}[ºª°]\.? ?(?:[A-Z]\b|izq|dcha|andar)?|apto\.? ?\d+|ap\.? ?\d+|int\.? ?\d+))?"
    rf"(?:,? (?:\d{{4}}-\d{{3}}|\d{{5}}(?:-\d{{3}})?)\b|, {_TOWN},? (?:\d{{4}}-\d{{3}}"
    rf"|\d{{5}}(?:-\d{{3}})?)\b)?"
)

# Slavic and Turkish.
_POLISH = bounded(
    rf"(?<!\w)(?:ul\.|al\.|pl\.|os\.|[Uu]lica|[Uu]licy|[Aa]leja|[Aa]lei|[Uu]l) ?(?:{_NAME}"
    rf"|\d{{1,2}})(?: {_NAME}){{0,3}} "
    rf"\d{{1,4}}[a-zA-Z]?(?:/\d{{1,4}}| ?m\.? ?\d{{1,4}})?{_NO_UNIT}(?:,? \d\d-\d{{3}}\b)?"
)
_RU_KIND = (
    r"улиц[аеы]|проспекте?|переул(?:ок|ке)|бульваре?|набережн\w{2}"
    r"|шоссе|площад[ьи]|вулиц[яі]|проїзд|проезд"
)
_RU_SHORT = r"ул(?:\.|(?= ))|просп\.|пр-т|пр\.|пер\.|б-р|наб\.|пл\.|вул\.|бул\."
_RU_CAP = r"(?:[А-ЯЁІЇЄ]|\d{1,3}[- ])[\w.’-]{0,30}"
_RUSSIAN = bounded(
    rf"(?<!\w)(?:(?:{_RU_KIND}|{_RU_SHORT}) ?{_RU_CAP}(?: [\w.’-]{{1,30}}){{0,2}}?"
    rf"|(?:{_RU_SHORT}) ?[а-яёіїє-]{{3,30}}|(?:{_RU_CAP} ){{1,2}}(?:{_RU_KIND}|пр-т))"
    r",? ?(?<!\w)(?:(?:д\.|дом|буд\.|д) ?)?\d{1,4}(?:[а-яА-Я]\b|/\d{1,3}[а-я]?)?"
    r"(?:,? ?(?:к|корп|корпус|стр)\.? ?\d{1,3})?(?:,? ?(?:кв|квартира|оф)\.? ?\d{1,4})?" + _NO_UNIT
)
_TURKISH = bounded(
    rf"(?<!\w)(?:{_NAME} (?:Mah\.|Mahallesi),? )?(?:(?:{_NAME}|\d{{1,4}}\.?) ){{1,3}}(?:Sokağı"
    rf"|Sokak|Sok\.|Sk\.|Caddesi|Cad\.|Cd\.|Bulvarı|Blv\.)"
    rf",? ?(?:[Nn]o\.?[: ]{{0,2}})?\d{{1,4}}(?:/\d{{1,3}})?{_NO_UNIT}"
    rf"(?:,? [Dd](?:aire)?[:. ]{{1,2}}\d{{1,3}})?(?:,? \d{{5}}\b)?"
)

# East Asia.
_JAPANESE = re.compile(
    r"(?:〒?\d{3}[-ー−]\d{4} ?)?[一-龯]{2,4}?[都道府県][一-龯ぁ-んァ-ヶー]{1,12}?[市区郡町村]"
    r"[一-龯ぁ-んァ-ヶー]{0,16}?[0-9一二三四五六七八九十]{1,4}"
    r"(?:丁目|番地?|号|[-ー−－])(?:[0-9]{1,4}(?:番地?|号|[-ー−－])?){0,3}"
    r"|[一-龯]{1,5}[市区][一-龯ぁ-んァ-ヶー]{1,16}?[0-9]{1,4}(?:丁目|[-ー−－])(?:[0-9]{1,4}(?:番地?|号|[-ー−－])?){1,3}"
    r"|〒\d{3}[-ー−]\d{4}"
)
_CHINESE = re.compile(
    r"(?:(?![省市区區县縣])[一-龯]){1,6}?(?:路|街|大道|巷|弄|胡同)(?:[东西南北中]段)?[0-9]{1,5}[号號弄]"
    r"(?:[0-9A-Za-z]{1,4}(?:号楼|栋|幢|单元|室|樓|楼)){0,3}"
)
_KOREAN = bounded(
    r"(?:[가-힣]{1,8}(?:시|도|구|군|동|읍|면) ){1,3}"
    r"[가-힣0-9]{1,12}(?:로|길) ?\d{1,4}(?:-\d{1,3})?(?:번지|호)?(?!\w)"
)
_FORMS = (
    _ENGLISH,
    _BOX,
    _COMPOUND,
    _PREPOSITION_STREET,
    _FRENCH,
    _ROMANCE,
    _POLISH,
    _RUSSIAN,
    _TURKISH,
    _JAPANESE,
    _CHINESE,
    _KOREAN,
    _WITH_POSTCODE,
)

ADDRESS_HINTS = (
    rf"[0-9][A-Ha-h]?(?:[-/][0-9]+)?,? (?:[A-Z0-9][A-Za-zÀ-ɏ0-9.'’-]* |(?:of"
    rf"|the) )+(?:{_STREET})(?:[^A-Za-z0-9]|$)"
    rf"|[0-9][A-Ha-h]? (?i:[a-z0-9]+ )(?i:[a-z]+ )?(?i:{_PLAIN_STREET})(?:[^A-Za-z0-9]|$)",
    r"(?i:box|postfach|postale|b\.p\.|correos|apartado|postbus) ?#?[0-9]"
    r"|(?i:stra(?:ß|ss)e|str\.?|weg|allee|platz|gasse|ufer|damm|chaussee|promenade|steig|stieg"
    r"|pfad|ring"
    r"|straat|laan|plein|gracht|kade|dijk|singel|steeg|gatan|vägen|gränd|gata|gate|vegen|veien"
    r"|vei|vej"
    r"|markt|berg|hof|bach|park|tor|graben|wall|anger|hang|rain|feld|wald|see|kirche|bahnhof"
    r"|brunnen|mühle"
    r"|garten|gärten|wiesen?|schloss|hafen|kanal|deich|rathaus|linden|eichen|buchen|birken|born"
    r"|grund|winkel|kamp|busch|horst|gade|stræde|katu|kuja|polku|tie|utca|tér|körút|út|u\.),? [0-9]"
    r"|[0-9] ?(?:bis|ter|quater|[A-Da-d])?,? (?i:rue|avenue|av\.?|ave|boulevard|bd\.?|blvd|place"
    r"|pl\."
    r"|chemin|ch\.|impasse|imp\.|allées?|quai|route|rte|cours|square|passage|faubourg|fbg|sentier"
    r"|ruelle|villa|cité|esplanade|résidence) ",
    r"(?:(?:^|[^A-Za-z0-9])"
    r"(?:[Cc]/|[Cc]alle |[Cc]l\.|[Aa]vd?a?\.|[Aa]vd?a? |[Rr]ua |R\.|[Vv]ia |V\.|V\.le)"
    r"|(?i:avenida|avinguda|paseo|plaza|carrer|camino|carretera|ronda|travessa|praça|alameda"
    r"|estrada|largo|viale|piazza|p\.zza|piazzale|corso|c\.so|vicolo|lungomare|contrada|strada|bd\."
    r"|bulevardul|calea) )[^0-9\n]+[0-9]|(?:^|[^A-Za-z0-9])"
    r"(?:[UuAaPpOo][ls]\.|[Uu]l|[Uu]lic[ay]|[Aa]lej?[ai]) ?[A-ZĄĆĘŁŃÓŚŹŻ0-9][^\n]*[0-9]"
    r"|(?:ул\.|улиц|просп|пр-т|пр\.|пер\.|переул|бульвар|б-р|наб\.|набереж|шоссе|площад|вул\.|вулиц"
    r"|проїзд|проезд|(?:^| )ул )[^\n]*[0-9]"
    r"|(?:Sokağı|Sokak|Sok\.|Sk\.|Caddesi|Cad\.|Cd\.|Bulvarı|Blv\.),? ?(?:[Nn]o\.?:? ?)?[0-9]"
    r"|[A-Za-zÀ-ɏ] [0-9]{1,4}[a-z]?, (?:[A-Z]{1,2}-)?[0-9]{4,5} "
    r"|[市区區郡町村路街道巷弄同段〒][一-龯ぁ-んァ-ヶー]*[0-9]|[로길] ?[0-9]",
)


def addresses(text: str) -> Iterator[Span]:
    """Find streets with a house number, and the postcode if there is one."""
    for form in _FORMS:
        for match in form.finditer(text):
            end = match.end() - (match[0][-1] in ".,")
            if form is not _ENGLISH or _is_street(text, match.start(), end):
                yield match.start(), end
    for match in _LOWER_CASE.finditer(text):
        yield match.span("at")


def _is_street(text: str, start: int, end: int) -> bool:
    """True if a number and a name with a kind of street is no title or count."""
    if _ARTICLE_BEFORE.search(text, max(0, start - 12), start):
        return False
    return not (_AMBIGUOUS_KIND.search(text, start, end) and _SENTENCE_GOES_ON.match(text, end))
