"""Keys, tokens and passwords in texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from math import log2

from myna.cleaning.personal_data.spans import Span

_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINES = re.compile(r"(?:\s*+[A-Za-z0-9+/=]{16,}+)*")
PEM_HINT = r"PRIVATE KEY"

_KNOWN_TOKEN = re.compile(
    r"(?<![A-Z0-9])(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}(?![A-Z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{30,255}+|github_pat_\w{30,255}+|glpat-[\w-]{18,64}+"
    r"|xox[abeprs]-[\w-]{10,255}+|xapp-\d-[\w-]{20,255}+"
    # The other prefixes are also ends of words.
    r"|(?<![A-Za-z0-9])(?:sk-[\w-]{20,255}+|[srp]k_(?:live|test)_\w{16,255}+|whsec_[A-Za-z0-9+/=]{20,255}+"
    r"|AIza[\w-]{35}|ya29\.[\w-]{20,255}+|GOCSPX-[\w-]{20,64}+"
    r"|hf_[A-Za-z0-9]{30,64}+|npm_[A-Za-z0-9]{36}|pypi-[\w-]{40,255}+|dop_v1_[0-9a-f]{64}"
    r"|SG\.[\w-]{16,64}+\.[\w-]{16,64}+|key-[0-9a-f]{32}|dckr_pat_[\w-]{20,64}+|r8_\w{30,64}+"
    r"|gsk_\w{40,64}+|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|lin_api_\w{30,64}+|nvapi-[\w-]{40,128}+"
    r"|eyJ[\w-]{8,4000}+\.[\w-]{8,8000}+(?:\.[\w-]{0,4000}+)?"
    r"|[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{27,64}+|mfa\.[\w-]{60,128}+"
    r"|\d{8,10}:AA[\w-]{33})(?![A-Za-z0-9])",
    re.ASCII,
)
_WEBHOOK = re.compile(
    r"(?:discord(?:app)?\.com/api/webhooks/\d{5,25}/"
    r"|hooks\.slack\.com/services/T\w{5,20}/B\w{5,20}/)(?P<value>[\w-]{16,128}+)",
    re.IGNORECASE,
)
_KEY_WORD = (
    r"(?:api|access|auth\w*|client|secret|private|bot|refresh|session|license|licence|account"
    r"|encryption|master|signing|deploy|service|user|app|oauth2?|webhook|master|storage)"
)
_NAMED_TOKEN = re.compile(
    r"(?<![^\W_])(?:"
    rf"(?:\w{{1,20}}[_-])?{_KEY_WORD}?[ _-]?(?:key|token|secret|credentials?|bearer)s?"
    r"|bearer|clave|schlüssel|schluessel|jeton|clé|chave|chiave|ключ|токен|секрет|密钥|令牌|トークン|キー"
    r"|토큰|키)[\"'`]?(?: (?:id|value|here|for \w{1,20}))?"
    r"(?:\s{0,3}(?::|=|=>|->|：|is|ist|est|es|é|è|to|は|是)(?:\s{0,3}bearer)?)?\s{0,3}[\"'`“«]?"
    r"(?<![A-Za-z0-9])(?P<value>[A-Za-z0-9_\-+/=.~]{16,512}+)",
    re.IGNORECASE,
)
_PARAMETER = re.compile(
    r"[?&#](?:[a-z]{1,12}_)?(?:token|key|secret|apikey|sig|signature|auth|password|pwd)="
    r"(?P<value>[\w.~%+/=-]{8,1000}+)",
    re.IGNORECASE,
)
KEY_HINT = (
    r"AKIA|ASIA|AROA|AIDA|gh[pousr]_|github_pat|glpat-|xox[abeprs]-|xapp-|sk-|k_live_|k_test_"
    r"|whsec_|AIza|ya29|GOCSPX|hf_|npm_|pypi-|dop_v1|SG\.|key-[0-9a-f]|dckr_pat|r8_|gsk_|shp[acps]"
    r"|lin_api|nvapi|eyJ|[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6}\.|mfa\.|[0-9]:AA"
    r"|api/webhooks/|hooks\.slack"
    r"|(?i:key|token|secret|credential|bearer|clave|schl(?:ü|ue)ssel|jeton|clé|chave|chiave|ключ"
    r"|токен|секрет|密钥|令牌|トークン|キー|토큰|키)"
    r"[^\n]*[A-Za-z0-9_\-+/=.~]{16}|(?i:token|key|secret|sig|signature|auth|password|pwd)="
)

_LOGIN_WORDS = (
    r"pass(?:word|wort|wd|phrase|code)|passwörter|pwd?|psw|psswrd|kennwort|contrase(?:ñ|n)a|senha"
    r"|mot de passe|mdp|parola|password|hasło|haslo|wachtwoord|lösenord|losenord|adgangskode"
    r"|kodeord"
    r"|passord|salasana|şifre|sifre|jelszó|heslo|mật khẩu|mat khau|kata sandi|sandi|lozinka|шифра"
    r"|пароль|пасс?ворд|κωδικός"
)
_UNSPACED_LOGIN_WORDS = r"密码|密碼|口令|パスワード|パス|비밀번호|비번|كلمة السر|كلمة المرور|รหัสผ่าน"
_FOR_WHAT = (
    r"(?:[ /](?:for|to|of|on|für|fürs|vom|zum|pour|de|du|del|da|do|per|для|от)"
    r" (?:\w{1,15} ){0,2}\w{1,15}?)?"
)
_STRONG = r"\s{0,3}(?:[:=：]|=>|->|→)\s{0,3}"
_WEAK = (
    r"(?:\s{1,3}(?:is now|is still|is|was|its|it's|ist jetzt|ist|lautet|war|est|c'est|es|é|è|era"
    r"|jest|to|это|är|er|on|to be)"
    r"|'s|\s{0,3}(?:—|–|-|は|是|为|是：|은|는|을))\s{1,3}|(?:は|是|为|은 |는 )"
)
_VALUE = (
    r"(?:[\"“«](?P<quoted>[^\"”»\n]{3,64}+)[\"”»]"
    r"|[\"'`“”„‘’«»「」『|]{0,3}(?P<value>[^\s\"'`”»|]{3,64}+))"
)
_NAMED_PASSWORD = re.compile(
    rf"(?:(?<![^\W_])(?:{_LOGIN_WORDS})(?![^\W_])|{_UNSPACED_LOGIN_WORDS})[\"'`]?{_FOR_WHAT}"
    rf"(?:(?P<strong>{_STRONG})|(?P<weak>{_WEAK})|[ ]){_VALUE}",
    re.IGNORECASE,
)
_SHORT_NAMED_PASSWORD = re.compile(
    rf"(?<![^\W_])(?P<word>pass|pin|login|creds?|code pin)(?![^\W_])(?:{_STRONG}|(?P<weak> is "
    rf"| ist | est | es )){_VALUE}",
    re.IGNORECASE,
)
_PASSWORD_IN_URL = re.compile(r"://[^\s/:@]{1,64}+:(?P<value>[^\s/@]{1,64}+)@(?=\w)")
LOGIN_HINT = (
    r"(?i:pass(?:w|phrase|code|ord)|(?-u:\b)pwd?(?-u:\b)|(?-u:\b)psw|psswrd|kennwort|contrase"
    r"|senha|mot de passe|(?-u:\b)mdp(?-u:\b)|parola"
    r"|has[łl]o|wachtwoord|l[öo]senord|adgangskode|kodeord|salasana|[şs]ifre|jelszó|heslo"
    r"|m[ậa]t kh[ẩa]u"
    r"|sandi(?-u:\b)|lozinka|шифра|пароль|пасс?ворд|κωδικός|密码|密碼|口令|パス|비밀번호|비번|كلمة|รหัสผ่าน"
    r"|(?-u:\b)(?:pass|pin|login|creds?)(?:\s{0,3}[:=：]|\s?->| is | ist | est | es ))"
    r"|://[^\s/:@]+:[^\s/@]+@"
)
_SENTENCE_END = re.compile("[ぁ-んァ-ヶ一-龯가-힣].*")
_NO_PASSWORD = frozenset(
    re.findall(
        r"\S+",
        "pass password passwd pwd required incorrect wrong none no yes ok okay same forgot "
        "forgotten changed reset hidden "
        "null nil true false string str text varchar unknown invalid correct empty blank na n/a "
        "tbd todo protected manager managers expired needed weak strong secret secure not too the "
        "this that what which your you my mine his her their our here there please plz pls and "
        "then username user email dm me ask see check below above later soon now lol lmao idk "
        "sorry thanks falsch richtig vergessen geändert gleich nein ja keins nicht das mein dein "
        "unbekannt leer oublié incorrecto olvidado ninguno aucun mauvais même errato dimenticato "
        "sbagliata errada nie tak неверный забыл нет да тот",
    )
)


def private_keys(text: str) -> Iterator[Span]:
    """Find private keys as PEM blocks, also truncated ones."""
    last = 0
    for begin in _BEGIN.finditer(text):
        if begin.start() < last:
            continue
        end = _END.search(text, begin.end())
        if end is None:
            for cut in _BEGIN.finditer(text, begin.start()):
                lines = _KEY_LINES.match(text, cut.end())
                yield cut.start(), lines.end() if lines else cut.end()
            return
        last = end.end()
        yield begin.start(), last


def tokens(text: str) -> Iterator[Span]:
    """Find tokens: known forms, and random strings behind words such as token, key and secret."""
    for match in _KNOWN_TOKEN.finditer(text):
        yield match.span()
    for match in _WEBHOOK.finditer(text):
        yield match.span("value")
    for match in _PARAMETER.finditer(text):
        if _is_random(match["value"], 8):
            yield match.span("value")
    for match in _NAMED_TOKEN.finditer(text):
        value = match["value"].rstrip(".")
        # Fingerprints of public keys are no secret.
        named = text[match.start() : match.start("value")].lower()
        public = "key" in named and re.fullmatch(r"(?:[0-9A-F]{8}){2,5}", value)
        if _is_random(value, 16) and not public:
            yield match.start("value"), match.start("value") + len(value)


def _is_random(value: str, min_chars: int) -> bool:
    """True if a string looks machine-generated: letters and digits, mixed."""
    core = re.sub(r"[^A-Za-z0-9]", "", value)
    if len(core) < min_chars or not (re.search(r"[A-Za-z]", core) and re.search(r"\d", core)):
        return False
    counts = Counter(core)
    bits = -sum(n / len(core) * log2(n / len(core)) for n in counts.values())
    changes = len(re.findall(r"(?<=[A-Za-z])\d|(?<=\d)[A-Za-z]|(?<=[a-z])[A-Z]", core))
    return bits >= min(3.0, log2(len(core)) - 0.7) and changes >= 3 * len(core) // 16


def passwords(text: str) -> Iterator[Span]:
    """Find passwords: announced ones, and those in URLs."""
    for match in _PASSWORD_IN_URL.finditer(text):
        if _is_plausible(match["value"]):
            yield match.span("value")
    for match in _NAMED_PASSWORD.finditer(text):
        if match["quoted"]:
            if (match["strong"] or match["weak"]) and _is_plausible(match["quoted"]):
                yield match.span("quoted")
            continue
        value = _strip_sentence(match["value"])
        strong, weak = match["strong"], match["weak"]
        rest = text[match.start("value") + len(value) :]
        if not strong and not weak and match[0].startswith("passwd "):
            continue  # the command passwd, and a user name
        if (
            (strong and _stands_alone(value, rest))
            or ((strong or weak) and _looks_like_password(value, 4))
            or (not strong and not weak and _looks_like_password(value, 6) and _is_mixed(value))
        ):
            yield match.start("value"), match.start("value") + len(value)
    for match in _SHORT_NAMED_PASSWORD.finditer(text):
        group = "quoted" if match["quoted"] else "value"
        value = _strip_sentence(match[group])
        pin = "pin" in match["word"].lower()
        fits = (
            re.fullmatch(r"\d{4,8}", value)
            if pin
            else not match["weak"] and _looks_like_password(value, 4)
        )
        if fits:
            yield match.start(group), match.start(group) + len(value)


def _strip_sentence(value: str) -> str:
    """Strip the punctuation of the sentence around a password."""
    if value[:1].isascii():
        value = _SENTENCE_END.sub("", value)
    return value.rstrip(".,;:)]}>、。，")


def _looks_like_password(value: str, min_chars: int) -> bool:
    """True if a value looks like a password and not like a word."""
    if len(value) < min_chars or not _is_plausible(value):
        return False
    body = value.rstrip("!?")
    letters, digits = any(map(str.isalpha, body)), any(map(str.isdigit, body))
    inner = re.search(r"\w[!@#$%^&*_+=?~]+\w", value)
    return bool(digits or inner or (letters and re.search(r"[a-z][A-Z]", body)))


def _is_mixed(value: str) -> bool:
    """True if a value has letters and digits, or symbols inside."""
    letters, digits = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    return (letters and digits) or bool(re.search(r"\w[!@#$%^&*+=~]+\w", value))


def _stands_alone(value: str, rest: str) -> bool:
    """True if a single word is given as the password."""
    return (
        len(value) >= 3
        and _is_plausible(value)
        and (_looks_like_password(value, 4) or not re.match(r" +\w", rest))
    )


def _is_plausible(value: str) -> bool:
    plain = value.lower().strip("!?*.…_-")
    return (
        bool(plain)
        and plain not in _NO_PASSWORD
        and not value.startswith(("http", "/", "~/"))
        # A word in brackets is as often a placeholder.
        and not (value.startswith(("[", "<", "{", "~")) and not any(map(str.isdigit, value)))
    )
