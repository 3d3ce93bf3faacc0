"""Shared by generated exports: words, people, times, and the writer of files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TextIO

START = datetime(2021, 3, 1, 8, tzinfo=UTC)
POOL = 2_000
"""Different messages; each is written again and again with its own id and time."""

_WORDS = """
    the a and to of it is you that we on for in not was but so do have they are with this just like
    what no yeah lol kettle tea cup leaf steam saucer honestly maybe tomorrow never always wtf haha
    ok really think know going time people good one see can would about game café naïve 日本茶 чай
    🍵 😂 ¯\\_(ツ)_/¯ "quoted" don't https://example.org/a?b=c&d=e
"""
WORDS = _WORDS.split()


class Person(NamedTuple):
    """An author."""

    id: int
    handle: str
    name: str


PEOPLE = [
    Person(31 + number, handle, name)
    for number, (handle, name) in enumerate(
        [
            *(("ada", "Ada L"), ("bo", "Bo Peep"), ("renee", "Renée 🍵"), ("chaika", "Чайка")),
            *(("cha", "茶々"), ("kit", "Kit"), ("muffin", "The Muffin Man"), ("jill", "Jill")),
        ]
    )
]
ME = PEOPLE[0]


class Export(NamedTuple):
    """The layout of an export.

    Attributes:
        file: its path in the export's folder; `{part}` and `{when}` in it make several.
        message: makes the text of a message, from its number and time.
        head: text before the messages of a file.
        between: text between two of them.
        tail: text after them; %COUNT% in it is their number.
        beside: other files of the export.
        part: messages of a part, where there are parts.
    """

    file: str
    message: Callable[[int, datetime], str]
    head: str = ""
    between: str = ""
    tail: str = ""
    beside: Mapping[str, Any] = {}
    part: int = 2**62


def write(
    export: Callable[[random.Random], Export], folder: Path, messages: int, size: int, seed: int
) -> int:
    """Write an export until it has so many messages, or so many bytes; the number of messages."""
    rng = random.Random(seed)
    form = export(rng)
    for path, value in form.beside.items():
        text = json.dumps(value, indent=4, ensure_ascii=False)
        _made(folder / path).write_text(text, encoding="utf-8")
    out: TextIO | None = None
    name, in_file, count, written = "", 0, 0, 0

    def end() -> None:
        if out:
            out.write(fill(fill(form.tail, count=in_file), count=str(in_file)))
            out.close()

    for number, when in moments(messages, rng):
        there = form.file.format(part=number // form.part + 1, when=when)
        if there != name:
            end()
            name, in_file = there, 0
            out = _made(folder / name).open("w", encoding="utf-8", newline="", buffering=1 << 20)
            out.write(form.head)
        text = form.message(number, when)
        assert out
        out.write(form.between + text if in_file else text)
        in_file += 1
        count = number + 1
        written += len(text) if text.isascii() else len(text.encode())
        if size and written >= size:
            break
    end()
    return count


def _made(path: Path) -> Path:
    """The path, with its folder created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def moments(messages: int, rng: random.Random) -> Iterator[tuple[int, datetime]]:
    """Numbers and times of messages, endlessly if no count is given."""
    when, number = START, 0
    while not messages or number < messages:
        when += timedelta(seconds=rng.expovariate(1 / 90))
        yield number, when
        number += 1


def backwards(when: datetime) -> datetime:
    """A time for exports that have the newest message first."""
    return START + timedelta(days=1000) - (when - START)


def sentence(rng: random.Random) -> str:
    """Some words, now and then several lines."""
    words = rng.choices(WORDS, k=max(1, min(60, round(rng.expovariate(1 / 9)) + 1)))
    return " ".join(words).replace(" maybe ", "\n", rng.random() < 0.1)


def pool(rng: random.Random, make: Callable[[random.Random], str]) -> list[str]:
    """Messages with marks such as %ID%, to be filled."""
    return [make(rng) for _ in range(POOL)]


def fill(text: str, /, **values: str | int) -> str:
    """A text with its marks replaced; by a number together with the quotes around them."""
    for name, value in values.items():
        mark = f"%{name.upper()}%"
        text = text.replace(f'"{mark}"' if isinstance(value, int) else mark, str(value))
    return text


def item(value: Any, indent: int, depth: int, *, to_ascii: bool = False) -> str:
    """A JSON value indented by `depth` blanks, as inside a document."""
    text = json.dumps(value, indent=indent, ensure_ascii=to_ascii)
    return text.replace("\n", "\n" + " " * depth)


def around(document: Any, indent: int, *, to_ascii: bool = False) -> tuple[str, str]:
    """The text of an indented document before and after its item "%MESSAGES%"."""
    head, _, tail = item(document, indent, 0, to_ascii=to_ascii).partition('"%MESSAGES%"')
    return head, tail


def milliseconds(when: datetime) -> int:
    """Since 1970."""
    return int(when.timestamp() * 1000)


def clock(when: datetime, hour: str = "") -> str:
    """The time of day as in the United States; `hour` is the form of its hour."""
    return f"{when.hour % 12 or 12:{hour}}:{when:%M:%S %p}"
