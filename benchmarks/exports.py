"""Generated exports to measure readers with: seedable, and written exactly as exporters do.

python benchmarks/exports.py discord --messages 1000000 --kind small OUT.json
python benchmarks/exports.py discord --bytes 5000000000 --kind large OUT.json
python benchmarks/exports.py whatsapp | telegram --messages N OUT

`small` Discord messages take about 800 bytes, `large` ones about 4 KB: with roles, embeds,
reactions and their users, as on a real server.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

START = datetime(2021, 3, 1, 8, tzinfo=UTC)
POOL = 2_000
"""Different messages; each is written again and again with its own id and time."""

WORDS = [
    "the",
    "a",
    "and",
    "to",
    "of",
    "it",
    "is",
    "you",
    "that",
    "we",
    "on",
    "for",
    "in",
    "not",
    "was",
    "but",
    "so",
    "do",
    "have",
    "they",
    "are",
    "with",
    "this",
    "just",
    "like",
    "what",
    "no",
    "yeah",
    "lol",
    "kettle",
    "tea",
    "cup",
    "leaf",
    "steam",
    "saucer",
    "honestly",
    "maybe",
    "tomorrow",
    "never",
    "always",
    "wtf",
    "haha",
    "ok",
    "really",
    "think",
    "know",
    "going",
    "time",
    "people",
    "good",
    "one",
    "see",
    "can",
    "would",
    "about",
    "game",
    "café",
    "naïve",
    "日本茶",
    "чай",
    "🍵",
    "😂",
    "¯\\_(ツ)_/¯",
    '"quoted"',
    "don't",
    "https://example.org/a?b=c&d=e",
]


def sentence(rng: random.Random) -> str:
    """Some words, now and then several lines."""
    words = rng.choices(WORDS, k=max(1, min(60, round(rng.expovariate(1 / 9)) + 1)))
    return " ".join(words).replace(" maybe ", "\n", rng.random() < 0.1)


def _person(rng: random.Random, number: int, *, roles: int) -> dict[str, Any]:
    return {
        "id": str(300_000_000_000_000_000 + number * 7919),
        "name": f"person_{number}",
        "discriminator": "0000",
        "nickname": f"Person {number} 🍵" if number % 5 == 0 else f"Person {number}",
        "color": "#3498DB" if roles else None,
        "isBot": number % 17 == 16,
        "roles": [
            {
                "id": str(600_000_000_000_000_000 + role),
                "name": f"Role of honour {role}",
                "color": "#3498DB",
                "position": role,
            }
            for role in rng.sample(range(30), roles)
        ],
        "avatarUrl": f"https://cdn.discordapp.com/avatars/{number}/{number * 7919:032x}.png",
    }


def _short(person: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in person.items() if k not in ("roles", "color")}


def _emoji(name: str) -> dict[str, Any]:
    return {
        "id": "",
        "name": name,
        "code": "tea",
        "isAnimated": False,
        "imageUrl": "https://cdn.jsdelivr.net/gh/twitter/twemoji@latest/assets/svg/1f375.svg",
    }


def _discord(rng: random.Random, people: list[dict[str, Any]], large: bool) -> dict[str, Any]:
    author = rng.choice(people)
    is_reply = rng.random() < (0.15 if large else 0.1)
    mentioned = rng.sample(people, 1) if is_reply or rng.random() < 0.05 else []
    names = "".join(f"@{person['nickname']} " for person in mentioned if not is_reply)
    message: dict[str, Any] = {
        "id": "ID",
        "type": "Reply" if is_reply else "Default",
        "timestamp": "TIME",
        "timestampEdited": START.isoformat() if rng.random() < 0.03 else None,
        "callEndedTimestamp": None,
        "isPinned": False,
        "content": names + sentence(rng),
        "author": author,
        "attachments": [],
        "embeds": [],
        "stickers": [],
        "reactions": [],
        "mentions": mentioned,
    }
    if rng.random() < 0.04:
        message["attachments"].append(
            {
                "id": "5100",
                "url": "https://cdn.discordapp.com/attachments/1/2/image.png?ex=65f&is=1&hm=ab",
                "fileName": "image.png",
                "fileSizeBytes": 123456,
            }
        )
    if rng.random() < (0.8 if large else 0.01):
        message["embeds"].append(
            {
                "title": sentence(rng),
                "url": "https://example.org/a/long/way/to/go",
                "timestamp": None,
                "description": " ".join(sentence(rng) for _ in range(9 if large else 2)),
                "color": "#FF0000",
                "images": [],
                "fields": [
                    {"name": sentence(rng), "value": sentence(rng), "isInline": False}
                    for _ in range(4 if large else 1)
                ],
                "inlineEmojis": [],
            }
        )
    if rng.random() < (0.7 if large else 0.02):
        users = [_short(person) for person in rng.sample(people, 4 if large else 1)]
        reaction = {"emoji": _emoji("🍵"), "count": len(users), "users": users}
        message["reactions"].append(reaction)
    if is_reply:
        message["reference"] = {
            "type": "Default",
            "messageId": "800000000000000000",
            "channelId": "700000000000000002",
            "guildId": "700000000000000001",
        }
    message["inlineEmojis"] = [_emoji("🍵")] if "🍵" in message["content"] and large else []
    return message


def discord(out: BinaryIO, *, messages: int, size: int, large: bool, seed: int) -> int:
    """Write a DiscordChatExporter document, indented by two blanks as the exporter does."""
    rng = random.Random(seed)
    people = [_person(rng, n, roles=rng.randint(2, 6) if large else 0) for n in range(60)]
    pool = []
    for _ in range(POOL):
        text = json.dumps(_discord(rng, people, large), indent=2, ensure_ascii=False)
        text = text.replace("\n", "\n    ")
        before, _, rest = text.partition('"ID"')
        middle, _, after = rest.partition('"TIME"')
        pool.append((before.encode(), middle.encode(), after.encode()))
    guild = {"id": "700000000000000001", "name": "Generated", "iconUrl": ""}
    channel = {
        "id": "700000000000000002",
        "type": "GuildTextChat",
        "categoryId": "700000000000000003",
        "category": "Rooms",
        "name": "general",
        "topic": None,
    }
    head = {
        "guild": guild,
        "channel": channel,
        "dateRange": {"after": None, "before": None},
        "exportedAt": START.isoformat(),
        "messages": [],
    }
    out.write(json.dumps(head, indent=2, ensure_ascii=False).encode()[: -len("]\n}")])

    def message(number: int, when: datetime) -> bytes:
        before, middle, after = rng.choice(pool)
        separator = b",\n    " if number else b"\n    "
        id_ = b'"%d"' % (800_000_000_000_000_000 + number)
        return b"".join([separator, before, id_, middle, f'"{_stamp(when)}"'.encode(), after])

    count = _write(out, message, messages, size, rng)
    out.write(b'\n  ],\n  "messageCount": %d\n}' % count)
    return count


def _stamp(when: datetime) -> str:
    """As .NET writes it: no more digits of a second than it has."""
    fraction = f".{when.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{when:%Y-%m-%dT%H:%M:%S}{fraction}+00:00"


def whatsapp(out: BinaryIO, *, messages: int, size: int, large: bool, seed: int) -> int:
    """Write an Android export in British English."""
    rng = random.Random(seed)
    texts = [sentence(rng) for _ in range(POOL)]
    texts[::25] = ["<Media omitted>"] * len(texts[::25])

    def message(_: int, when: datetime) -> bytes:
        return (
            f"{when:%d/%m/%Y, %H:%M} - Person {rng.randint(0, 9)}: {rng.choice(texts)}\n".encode()
        )

    return _write(out, message, messages, size, rng)


def telegram(out: BinaryIO, *, messages: int, size: int, large: bool, seed: int) -> int:
    """Write a single chat as Telegram Desktop does, indented by one blank."""
    rng = random.Random(seed)
    pool = [sentence(rng) for _ in range(POOL)]
    out.write(b'{\n "name": "Tea",\n "type": "private_supergroup",\n "id": 4242,\n "messages": [')

    def message(number: int, when: datetime) -> bytes:
        person = rng.randint(0, 30)
        text = rng.choice(pool)
        value = {
            "id": number + 1,
            "type": "message",
            "date": f"{when:%Y-%m-%dT%H:%M:%S}",
            "date_unixtime": str(int(when.timestamp())),
            "from": f"Person {person}",
            "from_id": f"user{person * 7919}",
            "text": text,
            "text_entities": [{"type": "plain", "text": text}],
        }
        body = json.dumps(value, indent=1, ensure_ascii=False).replace("\n", "\n  ")
        return f"{',' if number else ''}\n  {body}".encode()

    count = _write(out, message, messages, size, rng)
    out.write(b"\n ]\n}")
    return count


def _write(
    out: BinaryIO,
    message: Callable[[int, datetime], bytes],
    messages: int,
    size: int,
    rng: random.Random,
) -> int:
    """Write messages until there are so many, or so many bytes; their number."""
    when, written = START, 0
    for number in _numbers(messages):
        when += timedelta(seconds=rng.expovariate(1 / 90))
        written += out.write(message(number, when))
        if size and written >= size:
            return number + 1
    return messages


def _numbers(messages: int) -> Iterator[int]:
    number = 0
    while not messages or number < messages:
        yield number
        number += 1


GENERATORS = {"discord": discord, "whatsapp": whatsapp, "telegram": telegram}


def main() -> None:
    """Write a file and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("format", choices=GENERATORS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--kind", choices=["small", "large"], default="small")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    if not wanted.messages and not wanted.bytes:
        sys.exit("say how much: --messages N or --bytes N")
    with wanted.out.open("wb", buffering=1 << 20) as out:
        count = GENERATORS[wanted.format](
            out,
            messages=wanted.messages,
            size=wanted.bytes,
            large=wanted.kind == "large",
            seed=wanted.seed,
        )
    size = wanted.out.stat().st_size
    print(f"{count:,} messages, {size:,} bytes, {size / count:.0f} bytes a message")


if __name__ == "__main__":
    main()
