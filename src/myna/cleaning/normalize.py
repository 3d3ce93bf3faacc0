"""Normalisation of texts before the rules; nothing is transliterated.

In this order: repair mojibake, clean line ends and control characters (`messages.normalize_text`),
remove invisible characters and the @ sign of mentions (a clone never pings), shorten long runs
of one character. One vectorised search selects the texts that change; others are only stripped.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

import polars as pl

from myna.config import Rules
from myna.messages import TextChange, normalize_text, replace_texts

LINE_END = "\r\n?|[\v\f\x85\u2028\u2029]"
CONTROL = "[\0-\x08\x0e-\x1f\x7f-\x9f]"
UNTIDY = "[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]"

HIDDEN = (
    "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f"
)
"""Zero-width, bidirectional and tag characters."""
_EMOJI = (
    "\u00a9\u00ae\u2190-\u21ff\u2300-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    "\ufe0f\U0001f000-\U0001faff"
)
_JOINING = (
    "\u0600-\u085f\u0860-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\u1a00-\u1bff"
    "\ua800-\uaaff\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc"
)
"""Scripts in which ZWJ and ZWNJ spell words: Arabic, Persian, the Indic ones, Mongolian."""
_UNSPACED = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"
"""Scripts without spaces, in which a zero-width space separates words: Thai, Lao, Khmer, …"""
_RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc"
_INVISIBLE = re.compile(
    "(\U0001f3f4[\U000e0020-\U000e007e]++\U000e007f"  # the flag of a region
    f"|(?<=[{_EMOJI}])\u200d(?=[{_EMOJI}])"
    f"|(?<=[{_JOINING}])[\u200c\u200d]"
    f"|(?<=[{_UNSPACED}])\u200b(?=[{_UNSPACED}])"
    "|(?<=[\u1820-\u18aa])\u180e"
    f")|[{HIDDEN}]"
)
_ANY_HIDDEN = re.compile(f"[{HIDDEN}]")
_MARKS = re.compile("[\u061c\u200e\u200f]")
_HAS_RIGHT_TO_LEFT = re.compile(f"[{_RIGHT_TO_LEFT}]")

SUSPICIOUS = (
    "[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    "\u2013-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]"  # UTF-8 read as Latin-1 or its kin
    "|[\u0420\u0421\u0432][\u0401-\u040f\u0451-\u045f\u0490\u0491\u0404\u0454\u00a0-\u00bb"
    "\u2013-\u2022\u2026\u2030\u2039\u203a\u20ac\u2116\u2122]"  # as Windows-1251
    "|[\u221a\u201a\u251c\u0393][\u00a1-\u00ff\u0192\u02c6\u02dc\u2013-\u2122\u2202-\u25ca]"
)
"""Two characters that UTF-8 often becomes when it is read as something else."""

_SUSPECT = re.compile(SUSPICIOUS)
_MAX_REPAIR_CHARS = 20_000
_MAX_REPAIR_ROUNDS = 3
"""A character removed at an edge may have hidden more mojibake, so repair is repeated."""

_SPAN_EDGES = "\ufdd0", "\ufdd1"
"""Stand-ins for the edges of a mention while its text changes: Unicode noncharacters, which
are reserved for internal use."""
_CODE_OR_LINK = r"```(?s:.*?)(?:```|\Z)|`[^`\n]*+`|(?:https?://|www\.)\S++"
"""Code and links, which stay unchanged."""
_MENTION = re.compile(rf"{_CODE_OR_LINK}|(?<![\w@/])(@)(?=[^\W\d_]\w)(?!\w*+@)")
_OWN_MENTION = re.compile(f"{_SPAN_EDGES[0]}@+")
_LETTERS = "".join(
    chr(code)
    for first, last in ((0x41, 0x24F), (0x370, 0x52F), (0x1E00, 0x1EFF))
    for code in range(first, last + 1)
    if unicodedata.category(chr(code)) in ("Lu", "Ll")
)
"""Letters of the Latin, Greek and Cyrillic scripts. In others a run may be a word, or a laugh
whose length counts; emoji and emoticons stay."""
SHORTENED = _LETTERS + "!?.,"
_CODE_OR_LINKS = re.compile(_CODE_OR_LINK)
_BLANK = re.compile(r"\s|\Z")
_NOT_SHORTENED = re.compile(r"[\d/\\@]|www\.")


def tidy_texts(texts: pl.Series) -> pl.Series:
    """Apply `messages.normalize_text` to a column of texts."""
    untidy = texts.str.contains(UNTIDY)
    if untidy.any():
        frame = pl.DataFrame({"text": texts, "untidy": untidy}).with_row_index("row")
        clean = pl.col("text").str.replace_all(LINE_END, "\n").str.replace_all(CONTROL, "")
        texts = frame.update(
            frame.filter("untidy").select("row", clean), on="row", maintain_order="left"
        )["text"]
    return texts.str.strip_chars()


def normalize_messages(messages: pl.DataFrame, settings: Rules) -> pl.DataFrame:
    """Normalise the texts of messages, and add `characters`: the length of each before.

    Characters are those of the tidy text, as its author wrote it, so that later changes of
    the text change no count of the ledger. `mentions` point to the names, without the @ sign.
    """
    raw = messages["text"].fill_null("")
    tidy_text = tidy_texts(raw)
    tidied = messages.with_columns(text=tidy_text, characters=tidy_text.str.len_chars())
    repeats, repair = settings.repeats or 0, bool(settings.repair)
    to_change = raw.str.contains(_change_pattern(settings.at_sign, repeats, repair))
    to_change |= (tidy_text != raw) & (messages["mentions"].list.len() > 0)
    if not to_change.any():
        return tidied
    rows = messages.select("text", "mentions").with_row_index("row").filter(to_change)
    more = _change_pattern("keep", repeats, repair)
    rows = rows.with_columns(more=pl.col("text").str.contains(more))
    changed: list[TextChange] = []
    for row, text, spans, more_to_change in rows.iter_rows():
        if not spans:
            changed.append((row, apply_text_rules(text, settings), []))
        elif (
            not more_to_change
            and settings.at_sign == "mentions"
            and _has_plain_mentions(text, spans)
        ):
            changed.append((row, *_strip_mention_signs(text, spans)))
        else:
            changed.append((row, *_apply_with_spans(text, spans, settings)))
    return replace_texts(tidied, changed)


def _has_plain_mentions(text: str, spans: list[dict[str, Any]]) -> bool:
    """True if it is enough to remove the @ that each mention begins with."""
    end = 0
    for span in spans:
        if not (end <= span["start"] < span["end"] - 1 and text[span["start"]] == "@"):
            return False
        end = span["end"]
    edges = text[0] + text[-1]
    return end <= len(text) and text.count("@") == len(spans) and edges.strip() == edges


def _strip_mention_signs(
    text: str, spans: list[dict[str, Any]]
) -> tuple[str, list[dict[str, Any]]]:
    """Remove the @ of each mention; return the text and the moved mentions."""
    moved = [
        {"author_id": span["author_id"], "start": span["start"] - n, "end": span["end"] - n - 1}
        for n, span in enumerate(spans)
    ]
    return text.replace("@", ""), moved


def apply_text_rules(text: str, settings: Rules) -> str:
    """Normalise one text by the settings of `[rules]`."""
    text = _repaired(text) if settings.repair else normalize_text(text)
    if "@" in text:
        text = _without_at(text, settings.at_sign)
    if settings.repeats:
        text = _shorten_runs(text, settings.repeats)
    return text.strip()


def _apply_with_spans(
    text: str, spans: list[dict[str, Any]], settings: Rules
) -> tuple[str, list[dict[str, Any]]]:
    """Normalise a text with mentions; return it and the moved mentions."""
    pieces: list[str] = []
    owners: list[str] = []
    end = 0
    plain = text.replace(_SPAN_EDGES[0], "\ufffd").replace(_SPAN_EDGES[1], "\ufffd")
    for span in sorted(spans, key=lambda span: int(span["start"])):
        if end <= span["start"] < span["end"] <= len(plain):
            pieces += [plain[end : span["start"]], _SPAN_EDGES[0]]
            pieces += [plain[span["start"] : span["end"]], _SPAN_EDGES[1]]
            owners.append(span["author_id"])
            end = span["end"]
    marked = apply_text_rules("".join([*pieces, plain[end:]]), settings)
    moved: list[dict[str, Any]] = []
    parts = re.split(f"[{_SPAN_EDGES[0]}{_SPAN_EDGES[1]}]", marked)
    at = 0
    for number, part in enumerate(parts if len(parts) == 2 * len(owners) + 1 else ()):
        if number % 2:
            owner = owners[number // 2]
            moved.append({"author_id": owner, "start": at, "end": at + len(part)})
        at += len(part)
    joined = "".join(parts)
    text = joined.strip()
    blanks = len(joined) - len(joined.lstrip())
    for span in moved:
        for edge in ("start", "end"):
            span[edge] = min(max(span[edge] - blanks, 0), len(text))
    return text, [span for span in moved if span["start"] < span["end"]]


@cache
def _change_pattern(at_sign: str, repeats: int, repair: bool) -> str:
    """Return a pattern of the texts that are more than stripped."""
    parts = [UNTIDY]
    if repair:
        parts += [f"[{HIDDEN}]", SUSPICIOUS]
    if at_sign != "keep":
        parts.append("@")
    if repeats:
        parts += [f"{re.escape(sign)}{{{repeats + 1}}}" for sign in SHORTENED]
    return "|".join(parts)


def _repaired(text: str) -> str:
    """Repair mojibake and remove hidden characters."""
    for _ in range(_MAX_REPAIR_ROUNDS):
        before = text
        if len(text) <= _MAX_REPAIR_CHARS and _SUSPECT.search(text):
            import ftfy  # only few chats need it

            text = ftfy.fix_encoding(text)
        text = _without_invisible(normalize_text(text))
        if text == before or not _SUSPECT.search(text):
            break
    return text


def _without_invisible(text: str) -> str:
    """Remove zero-width, bidirectional and tag characters."""
    if not _ANY_HIDDEN.search(text):
        return text
    if _HAS_RIGHT_TO_LEFT.search(text):
        # Between scripts of both directions, direction marks are part of the spelling.
        return _INVISIBLE.sub(lambda m: m[0] if _MARKS.fullmatch(m[0]) else m[1] or "", text)
    return _INVISIBLE.sub(lambda m: m[1] or "", text)


def _without_at(text: str, at_sign: str) -> str:
    if at_sign == "all":
        return text.replace("@", "")
    if at_sign == "mentions":
        text = _OWN_MENTION.sub(_SPAN_EDGES[0], text)
        return _MENTION.sub(lambda m: "" if m[1] else m[0], text)
    return text


@cache
def _run_pattern(repeats: int) -> re.Pattern[str]:
    return re.compile(f"([{re.escape(SHORTENED)}])\\1{{{repeats},}}+")


def _shorten_runs(text: str, repeats: int) -> str:
    """Shorten runs of one character to `repeats`.

    Code, and words with digits, slashes or an @ (numbers, links, paths), stay unchanged.
    """
    pieces: list[str] = []
    code = _CODE_OR_LINKS.finditer(text) if "`" in text else iter(())
    zone = next(code, None)
    done = word_end = 0
    protected = False
    for run in _run_pattern(repeats).finditer(text):
        start, end = run.span()
        if start >= word_end:
            blank = max(text.rfind(sign, word_end, start) for sign in " \n")
            word_start = max(blank, word_end)
            word_end = _BLANK.search(text, end).start()  # type: ignore[union-attr]
            protected = bool(_NOT_SHORTENED.search(text, word_start, word_end))
        while zone and zone.end() <= start:
            zone = next(code, None)
        if not protected and not (zone and zone.start() <= start):
            pieces += [text[done:start], run[1] * repeats]
            done = end
    return "".join([*pieces, text[done:]])
