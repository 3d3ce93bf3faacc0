"""vLLM as an engine: one base on its server, one LoRA for each persona or group.

The server is `vllm serve`, on this machine or another. It takes token ids and lists each
LoRA as a model; a missing adapter is loaded if the server allows it.

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
from myna.engines.openai_engine import OpenAI, choose_model, list_models
from myna.errors import EngineError
from myna.models.bases import Base


class Vllm(OpenAI):
    """A base with a LoRA in vLLM.

    Raises:
        EngineError: as `OpenAI`, or the server lacks the adapter and cannot load it.
    """

    name = "vllm"

    def __init__(
        self, base: Base, adapter: Path | None, server: EngineServer, context: int, slots: int
    ) -> None:
        model = served_model(base, adapter, server)
        super().__init__(base, server, context, slots, model)
        if not self._takes_ids:
            raise EngineError(
                f'{server.url} does not take token ids, so it is not vLLM: use engine = "openai"'
            )


def served_model(base: Base, adapter: Path | None, server: EngineServer) -> str:
    """The server's model name of `base` with `adapter`, which is loaded if possible.

    Raises:
        EngineError: no such model, another adapter of that name, or loading failed.
    """
    client = Client(server.url, server.timeout)
    served = list_models(client)
    if server.model or adapter is None:
        return choose_model(server, served)
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
    if _is_local(server.url):
        try:
            body = {"lora_name": name, "lora_path": str(adapter)}
            client.request("POST", "/v1/load_lora_adapter", body)
        except RefusedError:
            pass
        else:
            return name
    raise EngineError(
        f"{server.url} does not have the adapter {name!r}: start it with `vllm serve {base.folder} "
        f"--enable-lora --max-lora-rank {_max_lora_rank(adapter)} --lora-modules {name}={adapter}`"
    )


def _is_local(url: str) -> bool:
    """True if the server is on this machine, and so can read our files."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _max_lora_rank(adapter: Path) -> int:
    """The smallest `--max-lora-rank` of vLLM that the adapter fits in."""
    try:
        rank = int(json.loads((adapter / "adapter_config.json").read_text("utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise EngineError(f"{adapter} holds no adapter: train it with `myna train`") from error
    return next((size for size in (8, 16, 32, 64, 128, 256, 320, 512) if size >= rank), rank)
