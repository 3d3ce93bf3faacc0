"""Character cards, V2 and V3, as SillyTavern and others read them: JSON and PNG.

Specifications: https://github.com/malfoyslastname/character-card-spec-v2 and
https://github.com/kwaroran/character-card-spec-v3. A PNG holds base64 of the JSON in a
tEXt chunk: `chara` for V2, `ccv3` for V3, which programs that know V3 prefer.

A card is made to be passed on. So it holds only messages of people who may be cloned, from
the train split, redacted whatever the settings say. The persona's style is described in a
few sentences.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from myna import people
from myna.cleaning.redact import redact_text
from myna.config import Redaction
from myna.engines.openai_engine import ZERO_WIDTH_SPACE
from myna.errors import ExportError
from myna.export.clone_export import CloneExportReport, slugs
from myna.export.dialogues import Exchange, Turn, dialogues, neutralize
from myna.export.formats import SYSTEM
from myna.leftovers import write_bytes
from myna.rendering.turns import escape_turn
from myna.workspace import Workspace, write_json

CLONE = "{{char}} is the clone of a person, not the person: one of a group of people who chat."
EXAMPLES = 8
MAX_TURN_CHARS = 300
"""The longest turn in an example, in characters."""
MAX_DIALOGUE_BYTES = 8192
WIDTH, HEIGHT = 400, 600
_MACRO = re.compile(r"\{(?=\{)|<(?=(?:start|user|bot|char|charifnotgroup|group)>)", re.IGNORECASE)
"""The first character of macros that readers of cards replace in texts."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def write(workspace: Workspace, new: Path, report: CloneExportReport) -> None:
    """Write the cards of the report's personas into the folder `new`; fill in the report.

    Raises:
        ExportError: no message of a persona is trained.
    """
    messages = pl.read_parquet(workspace.prepared / "messages.parquet").with_row_index("row")
    trained = messages.filter(pl.col("split") == "train")
    everyone = people.load(workspace.people_file)
    allowed = set(people.persona_names(everyone))
    names = [name for person in everyone.persons for name in (person.name, person.display_name)]
    for persona, file in zip(report.personas, slugs(report.personas), strict=True):
        v2, v3 = cards(card_fields(trained, persona, allowed, names))
        write_json(new / f"{file}.v2.json", v2)
        write_json(new / f"{file}.v3.json", v3)
        png = card_png(persona, {"chara": v2, "ccv3": v3})
        if read_png(png) != {"chara": v2, "ccv3": v3}:
            raise ExportError(f"the card of {persona} does not read back as it was written")
        write_bytes(new / f"{file}.png", png)
    report.checked = "each picture was read back: it holds its cards"
    report.how = [
        "In SillyTavern: Character Management, Import Character from File, and choose a PNG.",
        "Chat with a model that speaks for itself, or with the clone: myna's own API",
        '(`myna serve`) as a "Chat Completion" source of the kind "Custom (OpenAI-compatible)".',
        "There, under Additional Parameters, Include Body Parameters, the line",
        "",
        '  model: "{{char}}"',
        "",
        "lets each character speak as the persona of its name, in groups, too.",
    ]
    report.lacks = [
        "the voice: a card describes it and shows a few examples; the clone itself is the adapter",
        "sampling parameters, and what works against repetition: those of [chat] hold where myna's "
        "API answers and SillyTavern sends none of its own",
        "words of people who may not be cloned themselves",
    ]


def card_fields(
    messages: pl.DataFrame, persona: str, allowed: set[str], names: Sequence[str]
) -> dict[str, Any]:
    """The fields of a persona's card, from the prepared messages of one split.

    `allowed` are the people whose messages it may quote; `names` are everybody's.

    Raises:
        ExportError: no message of the persona is trained.
    """
    is_own = pl.col("person") == persona
    own = messages.filter(is_own & pl.col("trained"))["text"].to_list()
    others = messages.filter(~is_own & pl.col("person").is_in(list(allowed)))["text"].to_list()
    if persona not in allowed or not own:
        raise ExportError(f"nothing of {persona} is trained: see `myna prepare`")
    sentences = [clean(sentence) for sentence in describe_style(own, others, names)]
    examples = [example_text(e) for e in example_exchanges(messages, persona, allowed)]
    return {
        "name": neutralize_macros(persona),
        "description": " ".join([CLONE, *sentences]),
        "personality": " ".join(sentences),
        "scenario": "{{user}} and {{char}} write in a group chat.",
        "first_mes": clean(greeting(messages, persona, own)),
        "mes_example": "\n".join(f"<START>\n{text}" for text in examples),
        "creator_notes": f"{people.clone_notice([neutralize_macros(persona)])} They agreed to be "
        "cloned. Say that it is a clone wherever others can hear it.",
        "system_prompt": "",
        "post_history_instructions": "",
        "alternate_greetings": [],
        "tags": ["clone", "myna"],
        "creator": "myna",
        "character_version": "1",
        "extensions": {},
    }


def example_exchanges(
    messages: pl.DataFrame, persona: str, allowed: set[str]
) -> Iterator[Exchange]:
    """Turns and a persona's answers to them, all by people of `allowed`.

    They are spread over the whole time. If nobody else is allowed, the answers stand alone.
    """
    exchanges = [
        Exchange(exchange.others[-1:], exchange.own)
        for dialogue in dialogues(
            messages,
            persona,
            split="train",
            system=SYSTEM,
            max_bytes=MAX_DIALOGUE_BYTES,
            keeps_context=False,
        )
        for exchange in dialogue.exchanges
    ]
    short = [
        exchange
        for exchange in exchanges
        if all(0 < len(turn.text) <= MAX_TURN_CHARS for turn in (*exchange.others, exchange.own))
    ]
    answered = [
        exchange
        for exchange in short
        if exchange.others and all(turn.person in allowed for turn in exchange.others)
    ]
    candidates = answered or [Exchange((), exchange.own) for exchange in short]
    step = max(len(candidates) / EXAMPLES, 1)
    for i in range(min(EXAMPLES, len(candidates))):
        yield candidates[int(i * step)]


def example_text(exchange: Exchange) -> str:
    """An exchange as cards write it; no line of a message looks like a turn."""

    def text(turn: Turn) -> str:
        return clean("\n".join(escape_turn([message.text for message in turn.messages])))

    lines = [f"{{{{user}}}}: {text(turn)}" for turn in exchange.others]
    return "\n".join([*lines, f"{{{{char}}}}: {text(exchange.own)}"])


def greeting(messages: pl.DataFrame, persona: str, own: Sequence[str]) -> str:
    """The persona's first message: one that opened a conversation, else any, of usual length."""
    first = messages.group_by("conversation", maintain_order=True).first()
    opened = first.filter((pl.col("person") == persona) & pl.col("trained"))["text"].to_list()
    usual = [text for text in opened or own if len(text) <= MAX_TURN_CHARS] or list(own)
    by_length = sorted(usual, key=len)
    return by_length[len(by_length) // 2]


def clean(text: str) -> str:
    """A text without personal data, macros and control tokens."""
    return neutralize_macros(redact_text(text, Redaction()))


def neutralize_macros(text: str) -> str:
    """A text in which no reader finds a macro, nor a model a control token."""
    return _MACRO.sub(lambda match: match[0] + ZERO_WIDTH_SPACE, neutralize(text))


def cards(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The V2 and the V3 card of the same fields."""
    v2 = {"spec": "chara_card_v2", "spec_version": "2.0", "data": {**fields}}
    data = {**fields, "group_only_greetings": []}
    return v2, {"spec": "chara_card_v3", "spec_version": "3.0", "data": data}


def card_png(name: str, texts: Mapping[str, Any]) -> bytes:
    """A plain picture in a colour that depends on the name, with JSON in tEXt chunks.

    Format: https://www.w3.org/TR/png-3/
    """
    red, green, blue = blake2b(name.encode(), digest_size=3).digest()
    rows = []
    for y in range(HEIGHT):
        brightness = 0.35 + 0.65 * y / HEIGHT
        rows.append(b"\0" + bytes(int(c * brightness) for c in (red, green, blue)) * WIDTH)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    text_chunks = [
        _chunk(b"tEXt", key.encode() + b"\0" + base64.b64encode(_json(data)))
        for key, data in texts.items()
    ]
    pixels = _chunk(b"IDAT", zlib.compress(b"".join(rows), 9))
    return b"".join(
        [_SIGNATURE, _chunk(b"IHDR", header), *text_chunks, pixels, _chunk(b"IEND", b"")]
    )


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def read_png(png: bytes) -> dict[str, Any]:
    """Read the JSON in the tEXt chunks of a PNG, by their keys.

    Raises:
        ExportError: it is no PNG, or damaged.
    """
    texts = {}
    offset = len(_SIGNATURE)
    try:
        while offset < len(png):
            (size,) = struct.unpack_from(">I", png, offset)
            kind, data = png[offset + 4 : offset + 8], png[offset + 8 : offset + 8 + size]
            if kind == b"tEXt":
                key, _, text = data.partition(b"\0")
                texts[key.decode("latin-1")] = json.loads(base64.b64decode(text, validate=True))
            offset += size + 12
    except (struct.error, ValueError) as error:
        raise ExportError("this is no picture of a character card") from error
    if not png.startswith(_SIGNATURE):
        raise ExportError("this is no PNG")
    return texts


FAVOURITES = 8
MIN_USES = 5
"""The least uses of a favourite word."""

_WORD = re.compile(r"[^\W\d_]{3,}(?:['’][^\W\d_]+)?")
_EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")


def describe_style(own: Sequence[str], others: Sequence[str], names: Sequence[str]) -> list[str]:
    """Sentences on the style of `own` messages, without their subject.

    `others` are other people's, to compare; `names` are never favourite words.
    """
    words = sorted(len(text.split()) for text in own)
    typical = round(median(words)) if words else 0
    long = words[int(0.9 * (len(words) - 1))] if words else 0
    sentences = [f"Writes messages of {_count(typical, 'word')}, at times of {long} or more."]
    if own:
        sentences += _habits(own)
    words_of_theirs = favourite_words(own, others, names)
    if words_of_theirs:
        sentences.append(f"Says more than others do: {', '.join(words_of_theirs)}.")
    emoji = [
        sign for sign, uses in Counter(_EMOJI.findall(" ".join(own))).most_common(3) if uses > 1
    ]
    sentences.append(f"Likes {' '.join(emoji)}." if emoji else "Uses no emoji.")
    return sentences


def _habits(own: Sequence[str]) -> list[str]:
    letters = [text for text in own if any(c.isalpha() for c in text)]
    lower = _share([next(c for c in text if c.isalpha()).islower() for text in letters])
    stops = _share([text.rstrip()[-1:] in (".", "!", "?", "…") for text in own])
    asks = _share(["?" in text for text in own])
    sentences = []
    if lower > 0.6:
        sentences.append("Begins in lower case.")
    elif lower < 0.2:
        sentences.append("Begins with a capital letter.")
    if stops > 0.6:
        sentences.append("Ends sentences with full stops.")
    elif stops < 0.3:
        sentences.append("Leaves full stops out.")
    if asks > 0.25:
        sentences.append("Asks a lot.")
    return sentences


def favourite_words(own: Sequence[str], others: Sequence[str], names: Sequence[str]) -> list[str]:
    """The words used more than twice as often as by others, those of the highest ratio first.

    Words that nobody else uses may be private, and are left out; so are names.
    """
    in_names = set(_words(names))
    own_uses, others_uses = (Counter(_words(texts)) for texts in (own, others))
    own_total, others_total = max(own_uses.total(), 1), max(others_uses.total(), 1)
    ratios = {
        word: (uses / own_total) / (others_uses[word] / others_total)
        for word, uses in own_uses.items()
        if uses >= MIN_USES and others_uses[word] and word not in in_names
    }
    favourites = (word for word in ratios if ratios[word] > 2)
    return sorted(favourites, key=lambda word: -ratios[word])[:FAVOURITES]


def _words(texts: Sequence[str]) -> list[str]:
    return [word for text in texts for word in _WORD.findall(text.lower())]


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / max(len(flags), 1)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
