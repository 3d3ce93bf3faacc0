"""Metrics and the access log, and what never is in them."""

from __future__ import annotations

import logging

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.conftest import Starter, eventually

from myna.serving.access_control import AccessRules
from myna.serving.server import ServerOptions

SECRETS = ("meet me at nine", "Zoe", "a-key-of-many-letters", "Ana", "cellar")


def sample(page: str, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(page):
        for one in family.samples:
            if one.name == name and labels.items() <= one.labels.items():
                return one.value
    return 0.0


def test_requests_tokens_and_latencies_are_counted(start: Starter) -> None:
    serving = start()
    for stream in (True, False):
        assert serving.ask(stream=stream).status_code == 200
    assert serving.ask(n=-1).status_code == 400
    with serving.http() as http:
        http.get("/v1/models", headers={"Host": "evil.example"})
        eventually(lambda: sample(http.get("/metrics").text, "myna_refused_total"))
        page = http.get("/metrics").text
    chats = "/v1/chat/completions"
    assert sample(page, "myna_requests_total", route=chats, status="200") == 2
    assert sample(page, "myna_requests_total", route=chats, status="400") == 1
    assert sample(page, "myna_refused_total", why="unknown_host") == 1
    prompt = len("A chat in tea: Ana, Me.\nMe: hi\nAna:")
    assert sample(page, "myna_tokens_total", kind="prompt") == 2 * prompt
    assert sample(page, "myna_tokens_total", kind="reply") >= 2 * len(" ok")
    assert sample(page, "myna_first_token_seconds_count") == 2
    assert sample(page, "myna_replies_running") == 0
    assert sample(page, "myna_replies_waiting") == 0


def test_what_is_said_in_rooms_counts_too(start: Starter) -> None:
    serving = start()
    with serving.http() as http:
        http.post("/api/rooms", json={"id": "tea"})
        assert http.post("/api/rooms/tea/speak", json={"person": "Ana"}).status_code == 200
        page = http.get("/metrics").text
    assert sample(page, "myna_tokens_total", kind="reply") == len("ok")
    assert sample(page, "myna_first_token_seconds_count") == 1


def test_no_words_no_names_no_keys(start: Starter, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "myna")
    serving = start(ServerOptions(access=AccessRules(key="a-key-of-many-letters")))
    with serving.http(headers={"Authorization": "Bearer a-key-of-many-letters"}) as http:
        said = [{"role": "user", "content": "meet me at nine", "name": "Zoe"}]
        http.post("/v1/chat/completions", json={"model": "Ana", "messages": said})
        http.get("/v1/models/Ana", params={"key": "a-key-of-many-letters"})
        http.get("/api/rooms/cellar")
        http.get("/cellar")
        page = http.get("/metrics").text
    eventually(lambda: "/v1/models/{id" in caplog.text)
    assert "POST /v1/chat/completions 200" in caplog.text
    for secret in SECRETS:
        assert secret not in caplog.text
        assert secret not in page
