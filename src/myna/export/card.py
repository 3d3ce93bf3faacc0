"""Character cards, V2 and V3, as SillyTavern and others read them: JSON and PNG.

Specifications: https://github.com/malfoyslastname/character-card-spec-v2 and
https://github.com/kwaroran/character-card-spec-v3. A PNG holds base64 of the JSON in a
tEXt chunk: `chara` for V2, `ccv3` for V3; who knows V3 takes that.

A card is made to be passed on. So of the chats it holds only what people said who may be
cloned, from the split that is trained on, redacted whatever the settings say. How somebody
writes, it describes in a few sentences with figures.
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
from myna.export.dialogues import Exchange, Turn, dialogues, harmless
from myna.export.formats import SYSTEM
from myna.rendering.turns import escape_turn
from myna.workspace import Workspace, write_bytes, write_json

EXAMPLES = 8
LONGEST = 300
"""Characters of the longest turn in an example."""
LENGTH = 8192
WIDTH, HEIGHT = 400, 600
_MACRO = re.compile(r"\{(?=\{)|<(?=(?:start|user|bot|char|charifnotgroup|group)>)", re.IGNORECASE)
"""The first sign of what readers of cards replace in texts."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def write(space: Workspace, persona: str, name: str, new: Path) -> None:
    """Write the cards of a persona into a folder, as `name`.

    Raises:
        ExportError: nothing that they said may be shown.
    """
    messages = pl.read_parquet(space.prepared / "messages.parquet").with_row_index("row")
    known = people.load(space.people_file)
    allowed = set(people.personas(known))
    names = [name for person in known.persons for name in (person.name, person.shown)]
    fields = content(messages.filter(pl.col("split") == "train"), persona, allowed, names)
    second, third = cards(fields)
    write_json(new / f"{name}.v2.json", second)
    write_json(new / f"{name}.v3.json", third)
    picture = png(persona, {"chara": second, "ccv3": third})
    if held(picture) != {"chara": second, "ccv3": third}:
        raise ExportError(f"the card of {persona} does not read back as it was written")
    write_bytes(new / f"{name}.png", picture)


def content(
    messages: pl.DataFrame, persona: str, allowed: set[str], names: Sequence[str]
) -> dict[str, Any]:
    """What a card says of a persona, given the prepared messages of one split.

    `allowed` are the people whose words it may hold; `names` are everybody's.

    Raises:
        ExportError: nothing that the persona said may be shown.
    """
    theirs = pl.col("person") == persona
    own = messages.filter(theirs & pl.col("trained"))["text"].to_list()
    others = messages.filter(~theirs & pl.col("person").is_in(list(allowed)))["text"].to_list()
    if persona not in allowed or not own:
        raise ExportError(f"nothing of {persona} is trained: see `myna prepare`")
    sentences = [clean(sentence) for sentence in described(own, others, names)]
    examples = [example(one) for one in shown(messages, persona, allowed)]
    return {
        "name": plain(persona),
        "description": " ".join(["{{char}} is one of a group of people who chat.", *sentences]),
        "personality": " ".join(sentences),
        "scenario": "{{user}} and {{char}} write in a group chat.",
        "first_mes": clean(greeting(messages, persona, own)),
        "mes_example": "\n".join(f"<START>\n{text}" for text in examples),
        "creator_notes": "Made by myna from real messages of a person who agreed to be cloned. "
        "Say that it is a clone wherever others can hear it.",
        "system_prompt": "",
        "post_history_instructions": "",
        "alternate_greetings": [],
        "tags": ["myna"],
        "creator": "myna",
        "character_version": "1",
        "extensions": {},
    }


def shown(messages: pl.DataFrame, persona: str, allowed: set[str]) -> Iterator[Exchange]:
    """Exchanges of one turn and a persona's answer to it, of people whose words may be shown.

    They are spread over the whole time. Where nobody else's may be, the answers stand alone.
    """
    found = [
        Exchange(exchange.others[-1:], exchange.own)
        for dialogue in dialogues(
            messages, persona, split="train", system=SYSTEM, length=LENGTH, keeps_context=False
        )
        for exchange in dialogue.exchanges
    ]
    short = [
        exchange
        for exchange in found
        if all(0 < len(turn.text) <= LONGEST for turn in (*exchange.others, exchange.own))
    ]
    asked = [
        exchange
        for exchange in short
        if exchange.others and all(turn.person in allowed for turn in exchange.others)
    ]
    whole = asked or [Exchange((), exchange.own) for exchange in short]
    step = max(len(whole) / EXAMPLES, 1)
    for number in range(min(EXAMPLES, len(whole))):
        yield whole[int(number * step)]


def example(exchange: Exchange) -> str:
    """An exchange as cards write them, nobody's line like another's."""
    lines = [("{{user}}", turn) for turn in exchange.others] + [("{{char}}", exchange.own)]
    return "\n".join(f"{who}: {_said(turn)}" for who, turn in lines)


def _said(turn: Turn) -> str:
    return clean("\n".join(escape_turn([one.text for one in turn.said])))


def greeting(messages: pl.DataFrame, persona: str, own: Sequence[str]) -> str:
    """What the persona says first: how they opened a conversation, else a usual message."""
    first = messages.group_by("conversation", maintain_order=True).first()
    opened = first.filter((pl.col("person") == persona) & pl.col("trained"))["text"].to_list()
    usual = [text for text in opened or own if len(text) <= LONGEST] or list(own)
    by_length = sorted(usual, key=len)
    return by_length[len(by_length) // 2]


def clean(text: str) -> str:
    """A text without personal data, and without anything that a reader would replace."""
    return plain(redact_text(text, Redaction()))


def plain(text: str) -> str:
    """A text without anything that a reader of cards, or a model, would take for a sign."""
    return _MACRO.sub(lambda sign: sign[0] + ZERO_WIDTH_SPACE, harmless(text))


def cards(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The V2 and the V3 card of the same fields."""
    second = {"spec": "chara_card_v2", "spec_version": "2.0", "data": dict(fields)}
    third = {
        "spec": "chara_card_v3",
        "spec_version": "3.0",
        "data": {**fields, "group_only_greetings": []},
    }
    return second, third


def png(name: str, texts: Mapping[str, Any]) -> bytes:
    """A plain picture in a colour of the name's own, with JSON in tEXt chunks.

    Format: https://www.w3.org/TR/png-3/
    """
    red, green, blue = blake2b(name.encode(), digest_size=3).digest()
    rows = []
    for y in range(HEIGHT):
        share = 0.35 + 0.65 * y / HEIGHT
        rows.append(b"\0" + bytes(int(c * share) for c in (red, green, blue)) * WIDTH)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    held = [
        _chunk(b"tEXt", key.encode() + b"\0" + base64.b64encode(_json(data)))
        for key, data in texts.items()
    ]
    pixels = _chunk(b"IDAT", zlib.compress(b"".join(rows), 9))
    return b"".join([_SIGNATURE, _chunk(b"IHDR", header), *held, pixels, _chunk(b"IEND", b"")])


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def held(picture: bytes) -> dict[str, Any]:
    """The JSON in the tEXt chunks of a PNG, by their keys.

    Raises:
        ExportError: it is no PNG, or damaged.
    """
    found = {}
    at = len(_SIGNATURE)
    try:
        while at < len(picture):
            (size,) = struct.unpack_from(">I", picture, at)
            kind, data = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + size]
            if kind == b"tEXt":
                key, _, text = data.partition(b"\0")
                found[key.decode("latin-1")] = json.loads(base64.b64decode(text, validate=True))
            at += size + 12
    except (struct.error, ValueError) as error:
        raise ExportError("this is no picture of a character card") from error
    if not picture.startswith(_SIGNATURE):
        raise ExportError("this is no PNG")
    return found


FAVOURITES = 8
LEAST_USES = 5
"""How often a word is said before it can be a favourite."""

_WORD = re.compile(r"[^\W\d_]{3,}(?:['’][^\W\d_]+)?")
_EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")


def described(own: Sequence[str], others: Sequence[str], names: Sequence[str]) -> list[str]:
    """Sentences on how `own` messages are written, without their subject.

    `others` are other people's, to tell what is special; `names` are nobody's favourites.
    """
    words = sorted(len(text.split()) for text in own)
    typical = round(median(words)) if words else 0
    long = words[int(0.9 * (len(words) - 1))] if words else 0
    found = [f"Writes messages of {_count(typical, 'word')}, at times of {long} or more."]
    if own:
        found += _habits(own)
    best = favourites(own, others, names)
    if best:
        found.append(f"Says more than others do: {', '.join(best)}.")
    emoji = [
        sign for sign, uses in Counter(_EMOJI.findall(" ".join(own))).most_common(3) if uses > 1
    ]
    found.append(f"Likes {' '.join(emoji)}." if emoji else "Uses no emoji.")
    return found


def _habits(own: Sequence[str]) -> list[str]:
    letters = [text for text in own if any(c.isalpha() for c in text)]
    lower = _share([next(c for c in text if c.isalpha()).islower() for text in letters])
    stops = _share([text.rstrip()[-1:] in (".", "!", "?", "…") for text in own])
    asks = _share(["?" in text for text in own])
    found = []
    if lower > 0.6:
        found.append("Begins in lower case.")
    elif lower < 0.2:
        found.append("Begins with a capital letter.")
    if stops > 0.6:
        found.append("Ends sentences with full stops.")
    elif stops < 0.3:
        found.append("Leaves full stops out.")
    if asks > 0.25:
        found.append("Asks a lot.")
    return found


def favourites(own: Sequence[str], others: Sequence[str], names: Sequence[str]) -> list[str]:
    """The words that somebody says at least twice as often as others do, most special first.

    What nobody else ever says may be private, and is left out; so are names.
    """
    called = set(_words(names))
    mine, theirs = (Counter(_words(texts)) for texts in (own, others))
    total, rest = max(mine.total(), 1), max(theirs.total(), 1)
    special = {
        word: (uses / total) / (theirs[word] / rest)
        for word, uses in mine.items()
        if uses >= LEAST_USES and theirs[word] and word not in called
    }
    best = sorted((word for word in special if special[word] > 2), key=lambda w: -special[w])
    return best[:FAVOURITES]


def _words(texts: Sequence[str]) -> list[str]:
    return [word for text in texts for word in _WORD.findall(text.lower())]


def _share(marks: Sequence[bool]) -> float:
    return sum(marks) / max(len(marks), 1)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
