"""vLLM as an engine: one base on its server, one LoRA for each persona or group.

The server is vLLM's own (`vllm serve`), on this machine or another. It takes token ids
and names each LoRA as a model; where it may, the adapter is put on it when it is missing.

Facts: https://docs.vllm.ai/en/stable/features/lora/ (`--lora-modules NAME=PATH`,
`/v1/load_lora_adapter` with `lora_name` and `lora_path` where
VLLM_ALLOW_RUNTIME_LORA_UPDATING is set; `/v1/models` lists LoRAs with their path as `root`).
"""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from urllib.parse import urlsplit

from myna.config import EngineServer
from myna.engines.client import Client, RefusedError
from myna.engines.openai_engine import OpenAI, chosen_model, models
from myna.errors import EngineError
from myna.models.bases import Base


class Vllm(OpenAI):
    """A base with a LoRA in vLLM.

    Raises:
        EngineError: as `OpenAI`, or the server does not have the adapter and cannot take it.
    """

    name = "vllm"

    def __init__(
        self, base: Base, adapter: Path | None, server: EngineServer, context: int, slots: int
    ) -> None:
        model = adapter_model(base, adapter, server)
        super().__init__(base, server, context, slots, model)
        if not self._takes_ids:
            raise EngineError(
                f'{server.url} does not take token ids, so it is no vLLM: use engine = "openai"'
            )


def adapter_model(base: Base, adapter: Path | None, server: EngineServer) -> str:
    """What the server calls `base` with `adapter`, which is put on it where it can be.

    Raises:
        EngineError: it has no such model, another adapter of that name, or cannot take it.
    """
    client = Client(server.url, server.timeout)
    served = models(client)
    if server.model or adapter is None:
        return chosen_model(server, served)
    adapter = adapter.resolve()
    name = adapter.name
    if name in served:
        root = str(served[name].get("root", ""))
        if Path(root).is_absolute() and Path(root) != adapter:
            raise EngineError(
                f"{server.url} has {name!r} from {root}, not from {adapter}: if they are the "
                f'same, set model = "{name}" in [engine]'
            )
        return name
    if _is_here(server.url):
        try:
            body = {"lora_name": name, "lora_path": str(adapter)}
            client.send("POST", "/v1/load_lora_adapter", body)
        except RefusedError:
            pass
        else:
            return name
    raise EngineError(
        f"{server.url} does not have the adapter {name!r}: start it with `vllm serve {base.folder} "
        f"--enable-lora --max-lora-rank {_rank(adapter)} --lora-modules {name}={adapter}`"
    )


def _is_here(url: str) -> bool:
    """Whether the server is on this machine, and so finds our files."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _rank(adapter: Path) -> int:
    """The least rank of vLLM's choices that the adapter fits in."""
    try:
        rank = int(json.loads((adapter / "adapter_config.json").read_text("utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{adapter} holds no adapter: train it with `myna train`") from error
    return next((most for most in (8, 16, 32, 64, 128, 256, 320, 512) if most >= rank), rank)
