"""Servers to ask: llama.cpp's own over a real model, and one that does what it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from myna.models.bases import Base

KEY = "a-key-that-nobody-guesses"


@contextmanager
def llama_server(base: Base, *, context: int = 256, chat_template: str = "") -> Iterator[str]:
    """llama.cpp's server on a free port of this machine, and its address; wants `KEY`."""
    import xllamacpp

    slots = 2
    settings = xllamacpp.CommonParams()
    settings.model.path = str(base.gguf)
    settings.model_alias = ["clone"]
    settings.n_ctx = context * slots
    settings.n_parallel = slots
    settings.kv_unified = False
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.warmup = False
    settings.verbosity = 0
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.api_keys = [KEY]
    if chat_template:
        settings.use_jinja, settings.chat_template = True, chat_template
    server = xllamacpp.Server(settings)
    yield server.listening_address
    del server


@contextmanager
def told(answer: Callable[[str, Any], Any]) -> Iterator[str]:
    """A server that gives `answer(path, body)`, and its address.

    That is JSON, (status, JSON), or bytes that are written as they are.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Any) -> None:
            found = answer(self.path, body)
            if isinstance(found, bytes):
                self.wfile.write(found)
                return
            status, content = found if isinstance(found, tuple) else (200, found)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
