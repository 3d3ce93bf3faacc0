"""Hosts, origins, keys, and limits of requests."""

from __future__ import annotations

import contextlib
import socket

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.conftest import Serving, Starter

from myna.errors import SettingsError
from myna.serving import server
from myna.serving.access_control import (
    AccessRules,
    RateLimiter,
    RequestLimits,
    check_host,
    check_origin,
    login_cookie,
)
from myna.serving.errors import ApiError
from myna.serving.server import ServerOptions

KEY = "a-key-of-many-letters"
LAN = AccessRules(listens_on_loopback=False)
HERE = AccessRules()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "127.9.9.9", "myna.localhost:80"],
)
def test_this_machine_goes_by_its_own_names(host: str) -> None:
    check_host([host], HERE)


@pytest.mark.parametrize(
    "hosts",
    [
        [], ["evil.example"], ["evil.example:8000"], ["localhost.evil.example"], ["192.168.1.5"],
        ["127.0.0.1.evil.example"], ["evil.example#localhost"], ["user@evil.example"], ["[::1"],
        ["localhost", "evil.example"], [""], ["127.0.0.1@evil.example"], ["evil.example@localhost"],
    ],
)  # fmt: skip
def test_a_foreign_host_is_refused(hosts: list[str]) -> None:
    with pytest.raises(ApiError) as caught:
        check_host(hosts, HERE)
    assert caught.value.status == 421


def test_beyond_this_machine_an_address_is_fine_and_names_are_given() -> None:
    check_host(["192.168.1.5:8000"], LAN)
    named = AccessRules(allowed_hosts=frozenset({"chat.example"}), listens_on_loopback=False)
    check_host(["Chat.Example:443"], named)
    with pytest.raises(ApiError):
        check_host(["chat.example"], LAN)


@given(st.text(max_size=30))
def test_any_host_and_origin_is_decided(text: str) -> None:
    with contextlib.suppress(ApiError):
        check_host([text], HERE)
    with contextlib.suppress(ApiError):
        check_origin(text, "a:1", HERE)


def test_a_page_of_this_server_may_use_it_and_no_other() -> None:
    check_origin(None, "localhost:8000", HERE)
    check_origin("http://localhost:8000", "localhost:8000", HERE)
    allowed = AccessRules(allowed_origins=frozenset({"https://a.example"}))
    check_origin("https://a.example", "localhost", allowed)
    for origin in ("null", "http://localhost:9000", "https://evil.example", "http://localhost", ""):
        with pytest.raises(ApiError) as caught:
            check_origin(origin, "localhost:8000", HERE)
        assert caught.value.status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_page_embeds_is_refused_and_a_link_is_followed(
    serving: Serving, site: str
) -> None:
    """An image or a script sends no Origin; browsers say so in other words."""
    with serving.http() as http:
        embedded = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert http.get("/api/rooms", headers=embedded).status_code == 403
        link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
        assert http.get("/api/rooms", headers=link).status_code == 200
        assert http.get("/api/rooms", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_a_web_page_elsewhere_gets_nothing(serving: Serving) -> None:
    with serving.http() as http:
        for path in ("/v1/models", "/healthz", "/metrics", "/openapi.json", "/api/rooms", "/none"):
            assert http.get(path, headers={"Host": "evil.example"}).status_code == 421
            answer = http.get(path, headers={"Origin": "https://evil.example"})
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        assert http.options("/v1/chat/completions", headers=asked).status_code == 403


def test_an_allowed_page_is_let_in_by_its_browser(start: Starter) -> None:
    page = "https://chat.example"
    serving = start(ServerOptions(access=AccessRules(allowed_origins=frozenset({page}))))
    with serving.http() as http:
        asked = {"Origin": page, "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "authorization"}  # fmt: skip
        may = http.options("/v1/chat/completions", headers=asked)
        assert may.status_code == 200
        assert may.headers["access-control-allow-origin"] == page
        got = http.get("/v1/models", headers={"Origin": page})
        assert got.headers["access-control-allow-origin"] == page
        asked["Origin"] = "https://evil.example"
        refused = http.options("/v1/chat/completions", headers=asked)
        assert refused.status_code == 400
        assert "access-control-allow-origin" not in refused.headers


class TestTheKey:
    def test_it_opens_everything_and_nothing_opens_without(self, start: Starter) -> None:
        serving = start(ServerOptions(access=AccessRules(key=KEY)))
        assert serving.client(KEY).models.list().data
        with pytest.raises(openai.AuthenticationError) as caught:
            serving.client("another").models.list()
        assert caught.value.code == "invalid_api_key"
        with serving.http() as http:
            for path in ("/", "/v1/models", "/metrics", "/openapi.json", "/api/rooms", "/none"):
                assert http.get(path).status_code == 401
            assert http.get("/healthz").json() == {"status": "ok"}

    def test_a_cookie_opens_too_and_writes_only_from_a_page_of_this_server(
        self, start: Starter
    ) -> None:
        serving = start(ServerOptions(access=AccessRules(key=KEY)))
        name, value = login_cookie(KEY)
        assert KEY not in name + value
        new = {"id": "kitchen"}
        with serving.http(cookies={name: value}) as http:
            assert http.get("/api/rooms").status_code == 200
            assert http.post("/api/rooms", json=new).status_code == 403
            for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 201)):
                sent = {"Sec-Fetch-Site": site}
                assert http.post("/api/rooms", json=new, headers=sent).status_code == status
            for origin, status in ((serving.url, 201), ("http://127.0.0.1:1", 403), ("null", 403)):
                sent = {"Origin": origin}
                assert http.post("/api/rooms", json=new, headers=sent).status_code == status
        with serving.http(cookies={name: value[:-1] + "x"}) as http:
            assert http.get("/api/rooms").status_code == 401

    @pytest.mark.parametrize(
        "sent", ["", "Bearer", f"bearer{KEY}", f"Token {KEY}", f"Basic {KEY}", f"Bearer {KEY}x"]
    )  # fmt: skip
    def test_only_the_whole_key_will_do(self, start: Starter, sent: str) -> None:
        serving = start(ServerOptions(access=AccessRules(key=KEY)))
        with serving.http() as http:
            assert http.get("/v1/models", headers={"Authorization": sent}).status_code == 401

    def test_beyond_this_machine_there_must_be_one(self) -> None:
        assert server.validated_key(None, "127.0.0.1") is None
        assert server.validated_key(KEY, "0.0.0.0") == KEY  # noqa: S104
        for host in ("0.0.0.0", "::", "192.0.2.1"):  # noqa: S104
            with pytest.raises(SettingsError, match="a key is needed"):
                server.validated_key("", host)

    @pytest.mark.parametrize("key", ["short", "with a blank in it, it is no key", "schlüssel" * 3])
    def test_a_weak_one_is_refused(self, key: str) -> None:
        with pytest.raises(SettingsError, match="16 or more"):
            server.validated_key(key, "127.0.0.1")


class TestTheRate:
    def test_each_address_has_its_own(self) -> None:
        now = 0.0
        rate = RateLimiter(60, now=lambda: now)
        assert [rate.seconds_to_wait("a") for _ in range(10)] == [0.0] * 10
        assert rate.seconds_to_wait("a") == pytest.approx(1.0)
        assert rate.seconds_to_wait("b") == 0.0
        now = 2.0
        assert [rate.seconds_to_wait("a") == 0.0 for _ in range(3)] == [True, True, False]

    def test_it_remembers_no_more_addresses_than_there_is_room_for(self) -> None:
        rate = RateLimiter(60)
        for number in range(RateLimiter.MAX_ADDRESSES + 100):
            rate.seconds_to_wait(str(number))
        assert len(rate._tokens) == RateLimiter.MAX_ADDRESSES

    def test_too_many_requests_are_told_when_to_come_again(self, start: Starter) -> None:
        serving = start(ServerOptions(limits=RequestLimits(requests_per_minute=12)))
        with serving.http() as http:
            answers = [http.get("/v1/models") for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
            assert 1 <= int(answers[2].headers["retry-after"]) <= 5
            assert answers[2].json()["error"]["type"] == "rate_limit_error"
            assert http.get("/healthz").status_code == 200
        with pytest.raises(openai.RateLimitError):
            serving.client().models.list()


def test_a_request_that_does_not_arrive_is_not_waited_for(start: Starter) -> None:
    serving = start(ServerOptions(limits=RequestLimits(body_timeout_seconds=0.2)))
    port = int(serving.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
        slow.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        )
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_more_at_once_than_there_is_room_for_is_refused(start: Starter) -> None:
    serving = start(ServerOptions(limits=RequestLimits(max_concurrent=1)))
    serving.engine.go.clear()
    stream = serving.client().chat.completions.create(
        model="Ana", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    with pytest.raises(openai.RateLimitError) as caught:
        serving.client().models.list()
    assert caught.value.response.headers["retry-after"]
    serving.engine.go.set()
    assert list(stream)
    assert serving.client().models.list().data
