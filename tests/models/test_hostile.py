"""Files of models that somebody made to break what reads them: one line, soon, in little memory."""

from __future__ import annotations

import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bots.world import letters
from tests.metadata import adapter_info

from myna import config, people, workspace
from myna.artifacts import AdapterInfo
from myna.errors import ModelError, MynaError
from myna.models import lora
from myna.models.bases import find_base
from myna.models.gguf_file import read_header, read_metadata
from myna.models.loading import load_base
from myna.rendering.tokenizer import Tokenizer
from myna.workspace import Workspace

HUGE = 2**62
DEEP = "[" * 100_000
UINT8, UINT32, STRING, ARRAY = 0, 4, 8, 9


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def gguf(*entries: bytes, tensors: bytes = b"", count: int = 0, values: int | None = None) -> bytes:
    number = len(entries) if values is None else values
    return struct.pack("<4sIQQ", b"GGUF", 3, count, number) + b"".join(entries) + tensors


NESTED = struct.pack("<IQ", ARRAY, 1) * 100_000
FILES = {
    "a string of 2^62 bytes": gguf(entry("k", STRING, struct.pack("<Q", HUGE))),
    "a key of 2^62 bytes": gguf(struct.pack("<Q", HUGE)),
    "an array of 2^62 bytes": gguf(entry("k", ARRAY, struct.pack("<IQ", UINT8, HUGE))),
    "an array of 2^62 strings": gguf(entry("k", ARRAY, struct.pack("<IQ", STRING, HUGE))),
    "arrays in arrays": gguf(entry("k", ARRAY, NESTED)),
    "an unknown kind": gguf(entry("k", 77, b"")),
    "2^62 values": gguf(values=HUGE),
    "2^62 tensors": gguf(count=HUGE),
    "a tensor of 2^32 dimensions": gguf(count=1, tensors=text("t") + struct.pack("<I", 2**32 - 1)),
    "alignment 0": gguf(entry("general.alignment", UINT32, struct.pack("<I", 0))),
    "alignment as text": gguf(entry("general.alignment", STRING, text("x" * 999))),
    "nothing": b"",
}


@pytest.mark.parametrize("name", FILES)
def test_a_gguf_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(FILES[name])
    tracemalloc.start()
    with pytest.raises(ModelError, match=r"model\.gguf") as error:
        read_header(path)
    if "alignment" not in name and "tensor" not in name:
        with pytest.raises(ModelError, match=r"model\.gguf"):
            read_metadata(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert len(str(error.value)) < 400
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [DEEP, '{"a":' * 100_000, "1" * 5000, '"\\ud800', "", "\x00"])
def test_json_in_a_model_or_an_adapter(tmp_path: Path, content: str) -> None:
    base = tmp_path / "base"
    letters(base)
    (base / "config.json").write_text(content, "utf-8")
    space = Workspace(tmp_path)
    adapter = space.adapter("group")
    adapter.mkdir(parents=True)
    for file in ("adapter.json", "adapter_config.json", "manifest.json"):
        (adapter / file).write_text(content, "utf-8")
    (base / "generation_config.json").write_text(content, "utf-8")
    for read in (
        lambda: find_base(str(base), weights=False),
        lambda: Tokenizer(base),
        lambda: AdapterInfo.load(space, "group"),
        lambda: lora._read_adapter_config(adapter),
        lambda: workspace.read_json(adapter / "manifest.json"),
    ):
        if said := refusal(read):
            assert str(tmp_path) in said
            assert "\n" not in said
            assert len(said) < 600


def refusal(read: Callable[[], object]) -> str:
    """The line that reading ends with; "" if it succeeds."""
    try:
        read()
    except MynaError as error:
        return str(error)
    return ""


def test_a_header_of_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "adapter_model.safetensors"
    for header in (
        DEEP,
        "[]",
        '{"a": 1}',
        '{"a": {"dtype": "F32", "shape": [1], "data_offsets": 3}}',
    ):
        raw = header.encode()
        path.write_bytes(struct.pack("<Q", len(raw)) + raw)
        with pytest.raises(ModelError, match="is damaged: train the adapter again"):
            lora._read_safetensors(path)


@pytest.mark.parametrize("context", [-1, 0, 10**20])
def test_a_context_that_is_no_length(tmp_path: Path, context: int) -> None:
    letters(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": context}))
    with pytest.raises(ModelError, match="says max_position_embeddings = "):
        find_base(str(tmp_path), weights=False)


def test_a_base_that_wants_to_run_code_of_its_own(tmp_path: Path) -> None:
    letters(tmp_path)
    ran = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(ran)!r}, 'w')\nclass Evil: pass\n")
    settings = {
        "model_type": "evil", "max_position_embeddings": 64, "architectures": ["Evil"],
        "auto_map": {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "model.safetensors").write_bytes(b"")
    base = find_base(str(tmp_path), weights=True)
    with pytest.raises(ModelError, match="needs code of its own, and myna runs no code of models"):
        load_base(base, dtype=None, device="cpu")
    from myna.training.hardware import meta_model

    with pytest.raises(ModelError, match="needs code of its own"):
        meta_model(tmp_path)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        (f"[train]\nlora_r = {10**20}\n", "train.lora_r"),
        (f"[samples]\nmax_length = {10**20}\n", "samples.max_length"),
        (f"[chat]\nmax_new_tokens = {10**20}\n", "chat.max_new_tokens"),
        (f"[train]\nseed = {10**20}\n", "train.seed"),
        (f"a = {DEEP}\n", "is no valid TOML"),
        (f"a = {'1' * 5000}\n", "is no valid TOML"),
    ],
)
def test_settings(toml: str, why: str) -> None:
    with pytest.raises(MynaError, match=why) as error:
        config.parse(toml, "myna.toml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("toml", [f"a = {DEEP}\n", "me = " + "1" * 5000 + "\n"])
def test_people_toml(tmp_path: Path, toml: str) -> None:
    path = tmp_path / "people.toml"
    path.write_text(toml, "utf-8")
    with pytest.raises(MynaError, match=r"people\.toml"):
        people.load(path)


def test_an_adapter_of_nobody_is_read(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    space.adapter("group").mkdir(parents=True)
    adapter_info().save(space.adapter("group"))
    assert AdapterInfo.load(space, "group").personas == []
