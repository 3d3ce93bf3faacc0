"""Models, templates, settings and people.toml as nobody wrote them: an error is one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from tests.bases import KINDS, make
from tests.damage import examples, mutilations
from tests.models.test_hostile import ARRAY, STRING, UINT8, UINT32, entry, gguf, text

from myna import config, people
from myna.errors import MynaError
from myna.models.gguf_file import read_header, read_metadata
from myna.people import People, Person
from myna.rendering import renderings
from myna.rendering.tokenizer import Tokenizer

GGUF = gguf(
    entry("general.architecture", STRING, text("llama")),
    entry("general.alignment", UINT32, b"\x20\0\0\0"),
    entry("tokens", ARRAY, b"\x08\0\0\0\x02\0\0\0\0\0\0\0" + text("a") + text("b")),
    entry("flag", UINT8, b"\1"),
)
"""The header of a model."""

SETTINGS = b"""base = "smollm2-135m"
[samples]
rendering = "chat"
system = "A chat of {names}."
[rules]
preset = "strict"
[filter]
channels = ["tea*", "!spam"]
since = "2020-01-31"
[train]
learning_rate = 2e-4
budget = "2h"
[chat]
temperature = 0.8
[chat.personas.Ana]
temperature = 0.7
[bot]
servers = ["*"]
quiet_hours = "23-7"
"""

Damage = Callable[[bytes], bytes]
many = settings(max_examples=examples(60), suppress_health_check=list(HealthCheck))
some = settings(max_examples=examples(4), suppress_health_check=list(HealthCheck))


def ends_well(read: Callable[[], object]) -> None:
    """Reading succeeds, or fails with one line."""
    try:
        read()
    except MynaError as error:
        assert "\n" not in str(error)  # noqa: PT017


@given(mutilations())
@example(lambda data: data[:30])
@example(lambda data: data.replace(b"\x20\0\0\0", b"\xff\xff\xff\xff"))
@many
def test_any_header_of_a_model(tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(damage(GGUF))
    ends_well(lambda: read_header(path))
    ends_well(lambda: read_metadata(path))


@given(mutilations())
@example(lambda _: b"\xff\xfe")
@example(lambda _: b"[chat]\ntemperature = 1e999\n")
@many
def test_any_settings(tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "myna.toml"
    path.write_bytes(damage(SETTINGS))
    ends_well(lambda: config.load(path))


@given(mutilations())
@example(lambda data: data.replace(b'"clone"', b"1"))
@example(lambda data: data + data)
@many
def test_any_people(tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "people.toml"
    path.unlink(missing_ok=True)
    everyone = (Person("Ana", ("x:1", "y:2"), "clone"), Person("Bo", ("x:2",), "no"))
    people.save(path, People(everyone, "context", me="Ana"))
    path.write_bytes(damage(path.read_bytes()))
    ends_well(lambda: people.load(path))


@pytest.mark.parametrize("kind", ["headers", "text-markers"])
def test_any_chat_template(tmp_path: Path, kind: str) -> None:
    make(tmp_path, KINDS[kind])
    file = tmp_path / "tokenizer_config.json"
    whole = json.loads(file.read_text("utf-8"))

    @given(mutilations())
    @some
    def check(damage: Damage) -> None:
        template = damage(whole["chat_template"].encode()).decode("utf-8", "replace")
        file.write_text(json.dumps({**whole, "chat_template": template}), "utf-8")
        ends_well(lambda: renderings.rendering_spec("chat", Tokenizer(tmp_path)))

    check()


@given(mutilations())
@example(lambda _: b"[" * 100_000)
@many
def test_any_tokenizer(tmp_path: Path, damage: Damage) -> None:
    make(tmp_path, KINDS["default-system"])
    for name in ("tokenizer_config.json", "config.json"):
        path = tmp_path / name
        path.write_bytes(damage(path.read_bytes()))
    ends_well(lambda: Tokenizer(tmp_path))
