"""E-mail addresses and invite links in texts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from myna.cleaning.personal_data.spans import Span

_PROVIDERS = (
    "gmail|googlemail|g ?mail|hotmail|outlook|live|msn|yahoo|ymail|icloud|me|aol|gmx|web|proton"
    "|protonmail|mail|yandex|qq|163|126|naver|daum|orange|wanadoo|free|laposte|libero|uol|bol"
    "|wp|o2|onet|seznam|t-online|posteo|tutanota|fastmail|zoho|rediffmail"
)
_MAIL_ONLY = "gmail|googlemail|hotmail|outlook|yahoo|icloud|gmx|yandex|protonmail"
_LOCAL = r"(?<![A-Za-z0-9_.+%-])[A-Za-z0-9_.+%-]{1,64}+"
_LABEL = r"[A-Za-z0-9À-ɏ](?:[A-Za-z0-9À-ɏ-]{0,61}+)"
_EMAIL = re.compile(
    rf"{_LOCAL}@(?:{_LABEL}\.){{1,8}}(?:xn--[a-z0-9-]{{1,59}}|[A-Za-z]{{2,24}}|рф)(?![A-Za-z0-9])"
)
_DOT = r"(?: ?[(\[{] ?(?:dot|punkt|point|punto|\.) ?[)\]}] ?| (?:dot|punkt|point|punto) |\.)"
_BRACKETED = re.compile(
    rf"{_LOCAL} ?[(\[{{] ?(?:at|@|ät|arroba) ?[)\]}}] ?[^\W_][\w-]{{0,61}}+"
    rf"(?:{_DOT}[^\W_][\w-]{{0,61}}+){{0,3}}?{_DOT}[^\W\d_]{{2,24}}\b",
    re.IGNORECASE,
)
_SPELLED = re.compile(
    rf"(?P<local>{_LOCAL}) (?:at|@|ät|arroba|chez) ?"
    rf"(?:(?:{_PROVIDERS}) (?:dot|punkt|point|punto) |(?:{_MAIL_ONLY}) ?\. ?)[a-z]{{2,3}}\b",
    re.IGNORECASE,
)
_NO_LOCAL = frozenset(
    ["git", "hg", "svn", "me", "us", "it", "look", "am", "is", "be", "stay", "log"]
)

EMAIL_HINT = (
    r"[A-Za-z0-9_%+-]@[A-Za-z0-9À-ɏ][^\s@.]*\.|(?i:[(\[{] ?(?:at|@|ät|arroba) ?[)\]}])"
    rf"|(?i:(?:at|@|ät|arroba|chez) ?(?:{_PROVIDERS}) ?(?:\.|dot|punkt|punto|point) ?[a-z])"
)

_INVITE = re.compile(
    r"(?<![A-Za-z0-9])(?<![A-Za-z0-9][./-])(?:https?://)?(?:www\.)?(?:"
    r"discord\.gg/|discord(?:app)?\.com/invite/|dsc\.gg/|discord\.io/|invite\.gg/"
    r"|(?:t|telegram)\.(?:me|dog)/(?:joinchat/|\+)"
    r"|chat\.whatsapp\.com/(?:invite/)?|whatsapp\.com/channel/"
    r"|join\.slack\.com/t/[\w-]{1,80}/shared_invite/|signal\.group/#"
    r"|line\.me/(?:R/)?ti/[gp]/|vk\.(?:me|com)/join/|viber\.com/invite/|invite\.viber\.com/\?g="
    r"|m\.me/j/|guilded\.gg/i/|(?:rvlt|stt)\.gg/|steamcommunity\.com/chat/invite/|s\.team/[cp]/"
    r"|teams\.(?:microsoft|live)\.com/(?:l/meetup-join|meet)/|(?:\w{1,30}\.)?zoom\.us/j/"
    r"|u\.wechat\.com/|weixin\.qq\.com/g/|qm\.qq\.com/(?:q|cgi-bin/qm/qr\?k=)/?"
    r"|open\.kakao\.com/o/|join\.skype\.com/|chat\.google\.com/room/)"
    r"[\w%+/~=#?&.-]{2,400}+|tg://join\?invite=[\w-]{8,64}+",
    re.IGNORECASE,
)
INVITE_HINT = (
    r"(?i:discord(?:app)?\.(?:gg|com/invite|io)|dsc\.gg|invite\.gg|(?:t|telegram)\.(?:me|dog)/"
    r"(?:joinchat|\+)|tg://join|whatsapp\.com/|slack\.com/t/|signal\.group/|line\.me/|vk\.(?:me"
    r"|com)"
    r"/join|viber\.com/|m\.me/j/|guilded\.gg|(?:rvlt|stt)\.gg|steamcommunity\.com/chat|s\.team/"
    r"|teams\.(?:microsoft|live)\.com|zoom\.us/j|u\.wechat\.com|weixin\.qq|qm\.qq\.com"
    r"|open\.kakao\.com|join\.skype\.com|chat\.google\.com/room)"
)


def emails(text: str) -> Iterator[Span]:
    """Find e-mail addresses, also those spelled out (`name at example dot org`)."""
    for match in _EMAIL.finditer(text):
        start, end = _trimmed(text, match.start(), match.end())
        local = text[start : text.index("@", start)]
        if local and local.lower() not in ("git", "hg", "svn") and text[start - 1 : start] != "@":
            yield start, end
    for match in _BRACKETED.finditer(text):
        yield _trimmed(text, *match.span())
    for match in _SPELLED.finditer(text):
        if match["local"].lower() not in _NO_LOCAL:
            yield _trimmed(text, *match.span())


def invites(text: str) -> Iterator[Span]:
    """Find links that let anybody join a private group."""
    for match in _INVITE.finditer(text):
        end = match.end()
        while text[end - 1] in ".?&#-":
            end -= 1
        yield match.start(), end


def _trimmed(text: str, start: int, end: int) -> Span:
    """Trim dots, dashes and marks of emphasis before an address."""
    marks = ".%-_" if text[end : end + 1] == "_" else ".%-"
    while text[start] in marks:
        start += 1
    return start, end
