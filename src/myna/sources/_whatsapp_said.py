"""What a message of WhatsApp's export says, where it may be more than a person's text."""

from __future__ import annotations

import re
from typing import NamedTuple

from myna.sources import _whatsapp_forms as forms
from myna.sources import _whatsapp_words as words
from myna.sources._columns import attachment_kind
from myna.sources._sent import File, Span

_NUMBER = re.compile(r"\+?[\d ()./-]{6,30}")
_QUOTES = re.compile('["“”„«»「」]')
_MENTION = re.compile(
    "(?<![\\w.])@(?:\u2068([^\u2068\u2069\n]{1,100})\u2069|(\\+?\\d{7,15})(?!\\d))"
)
_NUMBERED = re.compile(r"\d{8}-")
_FILE_ATTACHED = re.compile(r"(.{1,300}) \(([^()]{1,60})\)\s*")
_EXTENSION = re.compile(r".*\.\w{0,8}")
_PLACE = re.compile(r"(.{0,300}?): ?https://(?:maps\.google\.com/\?q=|foursquare\.com/)\S*\s*")
_DOCUMENTS = ("csv", "doc", "docx", "pdf", "ppt", "pptx", "rtf", "txt", "xls", "xlsx", "zip")


class Said(NamedTuple):
    """What a message says, and what it is."""

    kind: str
    text: str
    edited: bool = False
    files: tuple[File, ...] = ()
    mentions: tuple[Span, ...] = ()


def person(raw: str) -> tuple[str, str] | None:
    """The name shown and the key of an account, or None for what is no name."""
    name = forms.bare(raw)
    if not name or len(name) > 100 or len(_QUOTES.findall(name)) % 2:
        return None
    if _NUMBER.fullmatch(name):
        figures = re.sub(r"[^\d+]", "", name)
        return name, figures
    if name.startswith("~"):
        chosen = name[1:].strip() or name
        return chosen, f"~{chosen}"
    return name, name


def notice(text: str) -> Said:
    """What the app says in nobody's name."""
    text = forms.unmarked(text)
    is_call = forms.key(text) in words.CALLS
    return Said("call" if is_call else "system", "" if is_call else text)


def said_in(body: str, more: str, is_ios: bool) -> Said:
    """What somebody's message says, where there may be more to it than text.

    Args:
        body: its first line, with the marks that it had.
        more: its other lines, each with its line's end in front.
        is_ios: whether U+200E begins what is no person's text.
    """
    plain, whole = forms.bare(body), "" if more else forms.key(body)
    is_deleted = whole in words.DELETED or whole in words.YOU_DELETED
    if is_deleted or (whole and plain.startswith(words.DELETED_BY)):
        return Said("deleted", "")
    is_marked = is_ios and body.startswith("\u200e")
    if whole in words.CALLS or (is_marked and plain.startswith(words.CALL_BEGINS)):
        return Said("call", "")
    if whole == words.NULL and not is_ios:
        return Said("text", "", files=(File("file", ""),))
    body, more, edited = _unedited(body, more)
    if found := _media(body, more):
        text, file = found
        return _with_mentions(text, edited, (file,))
    if plain in words.POLL:
        return _with_mentions(_poll(more), edited)
    if (is_marked and body[1:2] != "@") or plain.startswith(forms.NOTICES):
        return notice(body + more)
    return _with_mentions(body + more, edited)


def _unedited(body: str, more: str) -> tuple[str, str, bool]:
    """The first line and the others without the mark of an edit, and whether there was one."""
    whole = (body + more).rstrip()
    begin = whole.rfind("<")
    if begin <= 0 or not whole.endswith(">"):
        return body, more, False
    phrase, before = forms.key(whole[begin:]), whole[:begin].rstrip(" ")
    is_marked = before.rstrip(forms.MARKS) and before.endswith("\u200e") and ":" not in phrase
    if phrase not in words.EDITED and not (is_marked and phrase not in words.OMITTED):
        return body, more, False
    body, end, more = before.rstrip(f" {forms.MARKS}").partition("\n")
    return body, end + more, True


def _media(body: str, more: str) -> tuple[str, File] | None:
    """What is said with media, and the media; None where there is none.

    A caption keeps the line's end that stood between: cleaning takes outer blanks away.
    """
    if found := words.OMITTED.get(forms.key(body)):
        file, caption = File(*found), forms.bare(more)
        # Of a document its name is left, in the caption's place.
        if file == ("file", "") and caption.rpartition(".")[2].lower() in _DOCUMENTS:
            return "", File("file", caption)
        return more, file
    for kind_of in (_attached, _file_attached, _place):
        if attached := kind_of(body, more):
            return attached
    return None


def _attached(body: str, more: str) -> tuple[str, File] | None:
    """Media of iOS, behind their caption: `<attached: name>`, or what stands for them."""
    whole = (body + more).rstrip()
    before, mark, last = whole.rpartition("\u200e")
    if mark and (found := words.OMITTED.get(forms.key(last))):
        kind, name = found
        return _titled(before, File(kind, name))
    if not whole.endswith(">"):
        return None
    before, begin, last = whole.rpartition("<")
    word, colon, name = last.removesuffix(">").partition(":")
    name = forms.bare(name)
    is_file = _NUMBERED.match(name) or (
        (before.endswith("\u200e") or forms.key(word) in words.ATTACHED)
        and _EXTENSION.fullmatch(name)
    )
    if not (begin and colon and len(word) <= 40 and is_file):
        return None
    return _titled(before, File(_kind(name), name))


def _titled(before: str, file: File) -> tuple[str, File]:
    """The caption before a file; before a document stand its title and its pages instead."""
    title, is_document, _ = before.partition(" • ")
    if not is_document:
        return before.rstrip(f" {forms.MARKS}"), file
    return "", file if file.name else File(file.kind, forms.bare(title))


def _file_attached(body: str, more: str) -> tuple[str, File] | None:
    """Media of Android, with a caption in the lines below: `name (file attached)`."""
    match = _FILE_ATTACHED.fullmatch(body) if len(body) < 400 else None
    if match is None:
        return None
    name = forms.bare(match[1])
    is_known = forms.key(match[2]) in words.FILE_ATTACHED
    if not is_known and not (body.startswith("\u200e") and _EXTENSION.fullmatch(name)):
        return None
    # The caption of a document is its name once more.
    is_title = forms.bare(more) in (name, name.rpartition(".")[0])
    return "" if is_title else more, File(_kind(name), name)


def _place(body: str, more: str) -> tuple[str, File] | None:
    """A place on a map: its name, if it has one, stands before the link or in lines above."""
    above, end, last = (body + more).rpartition("\n")
    match = _PLACE.fullmatch(last) if len(last) < 1_000 else None
    if match is None:
        return None
    if forms.key(match[1]) in words.LOCATION:
        return above + end, File("file", "location")
    is_marked = body.startswith("\u200e")
    return (above + end + match[1], File("file", "location")) if is_marked else None


def _kind(name: str) -> str:
    """The kind of an attachment by the name that WhatsApp gives it."""
    upper = name.upper()
    if upper.endswith(".WEBP") or "-STICKER-" in upper:
        return "sticker"
    if upper.startswith("GIF-") or "-GIF-" in upper:
        return "gif"
    if upper.startswith("PTT-") or (upper.startswith("AUD-") and upper.endswith(".")):
        return "voice"
    return attachment_kind(name)


def _poll(lines: str) -> str:
    """A poll's question and its answers, one a line, without the votes."""
    before, question, *options = [*forms.unmarked(lines).split("\n"), ""]
    answers = []
    for option in filter(None, options):
        answer = option.partition(":")[2].strip()
        answers.append(answer.rpartition(" (")[0] if answer.endswith(")") else answer)
    return "\n".join([before, question, *answers]) if question else ""


def _with_mentions(text: str, edited: bool = False, files: tuple[File, ...] = ()) -> Said:
    """A text with its mentions found: `@` and a number, or a name between isolates."""
    text = text.lstrip(forms.MARKS)
    parts: list[str] = []
    spans = []
    length = end = 0
    for match in _MENTION.finditer(text):
        account = person(match[1] or match[2])
        if account is None:
            continue
        name, author_id = account
        if match[2] and not author_id.startswith("+"):
            author_id = f"+{author_id}"
        parts += (text[end : match.start()], f"@{name}")
        length += match.start() - end + len(name) + 1
        spans.append(Span(author_id, length - len(name) - 1, length))
        end = match.end()
    return Said("text", "".join([*parts, text[end:]]), edited, files, tuple(spans))
