"""Clients that leave early, say that they have said all, or send too much."""

from __future__ import annotations

import json
import logging
import socket
import time

import pytest
from tests.serving.conftest import Serving, Starter, eventually

from myna.errors import EngineError, PeopleError, WorkspaceError

CHAT = json.dumps({"model": "Ana", "messages": [{"role": "user", "content": "hi"}]})


def connected(serving: Serving) -> socket.socket:
    host, _, port = serving.url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def request(path: str, body: bytes = b"", method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def received(client: socket.socket) -> str:
    """All that the server sends until it closes."""
    out = b""
    while chunk := client.recv(65536):
        out += chunk
    return out.decode()


def test_an_event_stream_that_its_client_closes_leaves_no_trace(
    start: Starter, caplog: pytest.LogCaptureFixture
) -> None:
    serving = start()
    with serving.http() as http:
        http.post("/api/rooms", json={"id": "tea"})
        for _ in range(3):
            with http.stream("GET", "/api/rooms/tea/events") as stream:
                assert next(stream.iter_lines()) == ": ping"
        room = serving.rooms.open("tea")
        assert room.id == "tea"
    time.sleep(0.2)
    start.stop(serving)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("seconds", [0.0, 0.4])
def test_a_client_that_half_closes_gets_its_answer(serving: Serving, seconds: float) -> None:
    serving.engine.go.clear()
    with connected(serving) as client:
        client.sendall(request("/v1/chat/completions", CHAT.encode()))
        client.shutdown(socket.SHUT_WR)
        time.sleep(seconds)
        serving.engine.go.set()
        answer = received(client)
    assert "HTTP/1.1 200 OK" in answer
    assert '"content":"ok"' in answer.replace(" ", "")


def test_one_that_is_gone_stops_its_reply_all_the_same(serving: Serving) -> None:
    serving.engine.go.clear()
    closed = serving.queue
    with connected(serving) as client:
        client.sendall(request("/v1/chat/completions", CHAT.encode()))
        eventually(lambda: serving.engine.prompts)
    time.sleep(1.5)
    serving.engine.go.set()
    eventually(lambda: closed.waiting == 0)
    assert serving.engine.letters <= 1


def test_a_half_closed_connection_is_closed_after_its_answer(serving: Serving) -> None:
    with connected(serving) as client:
        client.sendall(request("/healthz", method="GET"))
        client.shutdown(socket.SHUT_WR)
        assert received(client).endswith('{"status":"ok"}')


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_of_50_mb_is_refused_and_not_reset(serving: Serving, declared: bool) -> None:
    megabyte = b" " * 10**6
    with connected(serving) as client:
        sent = request("/v1/chat/completions", b"").partition(b"Content-Length")[0]
        sent += b"Content-Length: 50000000" if declared else b"Transfer-Encoding: chunked"
        client.sendall(sent + b"\r\n\r\n")
        for _ in range(50):
            client.sendall(megabyte if declared else b"f4240\r\n" + megabyte + b"\r\n")
        client.sendall(b"" if declared else b"0\r\n\r\n")
        answer = received(client)
    assert answer.startswith("HTTP/1.1 413 ")
    assert "request_too_large" in answer


@pytest.mark.parametrize(
    "error",
    [
        EngineError("cannot write /home/tom/my friends/adapter.gguf: no space"),
        WorkspaceError("C:\\Users\\tom\\rooms.sqlite is damaged"),
        PeopleError("/home/tom/friends/people.toml: what is 'x'?"),
        OSError(28, "No space left on device", "/home/tom/friends/rooms.sqlite"),
    ],
)
def test_no_answer_names_a_path_of_the_machine(serving: Serving, error: Exception) -> None:
    def fail(_: str) -> str:
        raise error

    serving.engine.says = fail
    answer = serving.ask()
    assert answer.status_code >= 400
    assert "tom" not in answer.text
    assert answer.json()["error"]["message"] == "the server failed: see its log"
