"""Clients that go, queues that are full, and the end of a server."""

from __future__ import annotations

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx
import openai
import pytest
from tests.serving.conftest import Serving, Starter, eventually

from myna.errors import SettingsError
from myna.serving import server
from myna.serving.server import ServerOptions

HI: Any = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_stops_its_reply(serving: Serving, stream: bool) -> None:
    serving.engine.says = lambda _: " word" * 1000
    serving.engine.go.clear()
    with serving.http() as http:
        request = {"model": "Ana", "messages": HI, "stream": stream, "n": 3}

        def leave() -> None:
            with http.stream("POST", "/v1/chat/completions", json=request, timeout=1):
                pass  # the answer is never read

        if stream:
            leave()
        else:
            with pytest.raises(httpx.TimeoutException):
                leave()
    eventually(lambda: serving.engine.running == 0)
    serving.engine.go.set()
    eventually(lambda: serving.queue.running == 0)
    assert serving.engine.letters < 100
    assert serving.ask().status_code == 200


def test_a_client_that_goes_while_it_waits_is_never_served(start: Starter) -> None:
    serving = start(slots=1)
    serving.engine.go.clear()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(serving.ask)
        eventually(lambda: serving.queue.running == 1)
        with pytest.raises(httpx.TimeoutException), serving.http() as http:
            http.post("/v1/chat/completions", json={"model": "Ben", "messages": HI}, timeout=0.5)
        eventually(lambda: serving.queue.waiting == 0)
        serving.engine.go.set()
        assert first.result().status_code == 200
    eventually(lambda: serving.queue.running == serving.queue.waiting == 0)
    assert len(serving.engine.prompts) == 1


def test_past_the_queues_bound_there_is_a_clear_429(start: Starter) -> None:
    serving = start(slots=1, waiting=2)
    serving.engine.go.clear()
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(serving.ask, stream=number % 2 == 0) for number in range(3)]
        eventually(lambda: serving.queue.waiting == 2)
        for stream in (True, False):
            with pytest.raises(openai.RateLimitError) as caught:
                serving.client().chat.completions.create(model="Ana", messages=HI, stream=stream)
            assert caught.value.code == "busy"
            assert int(caught.value.response.headers["retry-after"]) > 0
        serving.engine.go.set()
        assert [done.result().status_code for done in asked] == [200] * 3


def test_sixteen_at_once_all_get_their_own_answer(serving: Serving) -> None:
    serving.engine.says = lambda text: f" {text.rpartition('number ')[2].split()[0]}\n"

    def ask(number: int) -> str:
        said = [{"role": "user", "content": f"number {number}"}]
        answer = serving.ask(messages=said)
        if answer.status_code == 429:
            return "busy"
        return str(answer.json()["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(16) as pool:
        heard = list(pool.map(ask, range(10)))
    assert heard == [str(number) for number in range(10)]


def test_a_reply_that_takes_too_long_is_broken_off(start: Starter) -> None:
    serving = start(ServerOptions(reply_timeout_seconds=0.3))
    serving.engine.go.clear()
    answer = serving.ask()
    assert answer.status_code == 504
    assert answer.json()["error"]["type"] == "server_error"
    streamed = serving.ask(stream=True).text
    assert "no reply within 0.3 s" in streamed
    assert streamed.endswith("data: [DONE]\n\n")
    eventually(lambda: serving.engine.running == 0)


class TestTheEnd:
    def test_what_is_being_said_is_said_to_its_end(self, start: Starter) -> None:
        serving = start()
        serving.engine.go.clear()
        stream = serving.client().chat.completions.create(model="Ana", messages=HI, stream=True)
        ending = threading.Thread(target=start.stop, args=(serving,))
        ending.start()
        serving.engine.go.set()
        pieces = list(stream)
        assert "".join(c.delta.content or "" for piece in pieces for c in piece.choices) == "ok"
        assert pieces[-1].choices[0].finish_reason == "stop"
        ending.join(10)
        with pytest.raises(openai.APIConnectionError):
            serving.client().models.list()

    def test_what_would_take_too_long_ends_with_an_error(self, start: Starter) -> None:
        serving = start(ServerOptions(shutdown_seconds=0.2))
        serving.engine.go.clear()
        body = {"model": "Ana", "messages": HI, "stream": True}
        with serving.http() as http, http.stream("POST", "/v1/chat/completions", json=body) as got:
            ending = threading.Thread(target=start.stop, args=(serving,))
            ending.start()
            text = got.read().decode()
        assert "the server is shutting down" in text
        assert text.endswith("data: [DONE]\n\n")
        ending.join(10)
        assert serving.engine.running == 0


def test_the_api_describes_itself(serving: Serving) -> None:
    with serving.http() as http:
        described = http.get("/openapi.json").json()
        for page in ("/docs", "/redoc"):  # theirs load scripts from elsewhere
            assert http.get(page).status_code == 404
    chat = described["paths"]["/v1/chat/completions"]["post"]
    assert {"200", "4XX", "5XX"} == set(chat["responses"])
    assert "text/event-stream" in str(described["paths"]["/api/rooms/{room}/events"])


@pytest.mark.parametrize("head", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_a_request_that_does_not_come_is_not_waited_for(
    start: Starter, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr(server, "HEAD_TIMEOUT_SECONDS", 0.3)
    serving = start()
    with (
        serving.http() as http,
        http.stream("POST", "/api/rooms", json={"id": "tea"}),
        http.stream("GET", "/api/rooms/tea/events") as events,
        socket.create_connection((http.base_url.host, http.base_url.port), 20) as silent,
    ):
        silent.sendall(head)
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(1) == b""
        http.post("/api/rooms/tea/forget")
        assert "event: forgotten" in events.iter_lines(), "a watcher may be silent"


def test_a_port_in_use_is_one_clear_line(serving: Serving) -> None:
    port = int(serving.url.rpartition(":")[2])
    with pytest.raises(SettingsError, match=f"port {port} .*--port"):
        server.bind("127.0.0.1", port)
    with pytest.raises(SettingsError, match="no such address"):
        server.is_loopback("no-such-host.invalid")


def test_an_address_is_shown_as_it_can_be_opened() -> None:
    with server.bind("127.0.0.1", 0) as listening:
        assert server.url_of(listening).startswith("http://127.0.0.1:")
