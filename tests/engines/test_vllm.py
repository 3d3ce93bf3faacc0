"""vLLM's way with adapters: each is a model of its server. Its API is spoken by a server
told how, as vLLM itself needs a GPU; what it shares with OpenAI's is tested for real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.engines.servers import told

from myna.config import EngineServer
from myna.engines.vllm import served_model
from myna.errors import EngineError
from myna.models.bases import Base

BASE = Base("base", Path("/models/base"), None, 512, False, "")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "group"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 24}))
    return folder


def listing(*models: dict[str, Any]) -> dict[str, Any]:
    return {"data": [{"id": "base", "root": "/models/base"}, *models]}


def test_an_adapter_is_the_model_of_its_folders_name(adapter: Path) -> None:
    with told(lambda *_: listing({"id": "group", "root": str(adapter)})) as address:
        assert served_model(BASE, adapter, EngineServer(url=address)) == "group"
        assert served_model(BASE, adapter, EngineServer(url=address, model="base")) == "base"


def test_another_adapter_of_that_name_is_not_taken_for_it(adapter: Path) -> None:
    with told(lambda *_: listing({"id": "group", "root": "/elsewhere/group"})) as address:
        with pytest.raises(EngineError, match="has 'group' from /elsewhere/group, not from"):
            served_model(BASE, adapter, EngineServer(url=address))
        assert served_model(BASE, adapter, EngineServer(url=address, model="group")) == "group"


def test_a_missing_adapter_is_put_on_the_server(adapter: Path) -> None:
    asked: list[Any] = []

    def answer(path: str, body: Any) -> Any:
        if body is None:
            return listing()
        asked.append((path, body))
        return b"HTTP/1.0 200 OK\r\n\r\nSuccess: LoRA adapter 'group' added successfully."

    with told(answer) as address:
        assert served_model(BASE, adapter, EngineServer(url=address)) == "group"
    wanted = {"lora_name": "group", "lora_path": str(adapter)}
    assert asked == [("/v1/load_lora_adapter", wanted)]


def test_a_server_that_takes_none_must_be_started_with_it(adapter: Path) -> None:
    def answer(path: str, body: Any) -> Any:
        return listing() if body is None else (404, {})

    with told(answer) as address, pytest.raises(EngineError) as found:
        served_model(BASE, adapter, EngineServer(url=address))
    assert str(found.value).endswith(
        "does not have the adapter 'group': start it with `vllm serve /models/base --enable-lora "
        f"--max-lora-rank 32 --lora-modules group={adapter}`"
    )
