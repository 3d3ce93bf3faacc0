"""Access control: every request is checked here before anything else reads it.

Host      must be a name of this server: after DNS rebinding, a foreign web page still
sends its own name
Origin    a web page must be this server's own, or an allowed one
rate      requests per minute from one address
key       if one is set: as `Authorization: Bearer KEY`, or as the cookie that the login
page sets; `request.state.is_owner` tells paths that guests may use whether it was sent
size      bytes of the body, and seconds until it has arrived
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myna.serving.errors import ApiError, ClientDisconnectedError, error_response

PUBLIC_PATHS = frozenset({"/healthz"})
"""Paths without key and rate limit: they tell nothing."""
MAX_DISCARDED_BYTES = 2**30
DISCARD_SECONDS = 20
"""Limits of reading the rest of a refused request."""
_READING = ("GET", "HEAD", "OPTIONS")
_COOKIE_PURPOSE, _COOKIE_NAME_PURPOSE = b"myna login cookie", b"myna cookie name"


@dataclass(frozen=True)
class AccessRules:
    """Rules for the clients of a server."""

    key: str | None = None
    """The API key that clients must send; None: they need none."""
    allowed_hosts: frozenset[str] = frozenset()
    """Allowed Host headers besides localhost and addresses."""
    allowed_origins: frozenset[str] = frozenset()
    """Web pages that may use the server from a browser, such as `https://chat.example`."""
    listens_on_loopback: bool = True
    """True if only this machine can connect."""
    login_path: str | None = None
    """The page to which browsers without the key are sent; None: there are no pages."""
    static_prefixes: tuple[str, ...] = ()
    """Beginnings of paths of files without secrets: they need no key and count for no rate."""
    guest_prefixes: tuple[str, ...] = ()
    """Beginnings of paths that check the rights themselves, by `request.state.is_owner`."""


@dataclass(frozen=True)
class RequestLimits:
    """Limits of the size and the number of requests."""

    max_body_bytes: int = 2 * 2**20
    body_timeout_seconds: float = 30
    requests_per_minute: int = 600
    """From one address."""
    max_concurrent: int = 256
    """From all addresses: 32 waiting replies, the others event streams."""


class RateLimiter:
    """A token bucket for each address; it holds a sixth of a minute's requests."""

    MAX_ADDRESSES = 10_000

    def __init__(self, requests_per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds_per_token = 60 / requests_per_minute
        self._capacity = max(1.0, requests_per_minute / 6)
        self._now = now
        self._tokens: dict[str, tuple[float, float]] = {}

    def seconds_to_wait(self, address: str) -> float:
        """Seconds until the address may send another request; 0: this one is accepted."""
        now = self._now()
        left, at = self._tokens.pop(address, (self._capacity, now))
        left = min(self._capacity, left + (now - at) / self._seconds_per_token)
        admitted = left >= 1
        if len(self._tokens) >= self.MAX_ADDRESSES:
            del self._tokens[next(iter(self._tokens))]  # the longest without a request
        self._tokens[address] = (left - admitted, now)
        return 0.0 if admitted else (1 - left) * self._seconds_per_token


class AccessControl:
    """ASGI middleware that refuses requests against the rules or over the limits."""

    def __init__(
        self,
        app: ASGIApp,
        rules: AccessRules,
        limits: RequestLimits,
        on_refused: Callable[[str], None],
    ) -> None:
        self._app = app
        self._rules = rules
        self._limits = limits
        self._on_refused = on_refused
        self._rate = RateLimiter(limits.requests_per_minute)
        self._requests_running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        self._requests_running += 1
        try:
            try:
                receive = await self._check_and_read(scope, receive)
            except ApiError as error:
                self._on_refused(error.code or "other")
                await self._send_refusal(error, scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except ClientDisconnectedError:
            return
        finally:
            self._requests_running -= 1

    async def _check_and_read(self, scope: Scope, receive: Receive) -> Receive:
        """Check a request; return the channel from which the app receives it.

        Raises:
            ApiError: the request is refused.
            ClientDisconnectedError: the client left before its request was complete.
        """
        if scope["type"] == "websocket":
            self._check(scope)
            return receive
        try:
            self._check(scope)
        except ApiError:
            await _discard_body(receive)
            raise
        return await self._read_body(Headers(scope=scope), receive)

    async def _send_refusal(
        self, error: ApiError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "websocket":
            await receive()  # "websocket.connect"
            await send({"type": "websocket.close", "code": 1008, "reason": error.code or ""})
            return
        asks_page = "text/html" in Headers(scope=scope).get("accept", "")
        if error.status == 401 and asks_page and self._rules.login_path:
            query = scope["query_string"].decode("latin-1")
            wanted = scope["path"] + (f"?{query}" if query else "")
            url = f"{self._rules.login_path}?next={quote(wanted, safe='/')}"
            await RedirectResponse(url, 303)(scope, receive, send)
        else:
            await error_response(error)(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        check_host(headers.getlist("host"), self._rules)
        check_origin(headers.get("origin"), headers["host"], self._rules)
        check_fetch_metadata(headers)
        path = scope["path"]
        if path in PUBLIC_PATHS or path.startswith(self._rules.static_prefixes):
            return
        address = scope["client"][0] if scope.get("client") else ""
        if wait := self._rate.seconds_to_wait(address):
            raise ApiError(
                429,
                f"more than {self._limits.requests_per_minute} requests a minute: "
                f"wait {math.ceil(wait)} s",
                code="rate_limit_exceeded",
                headers={"Retry-After": str(math.ceil(wait))},
            )
        is_owner = sends_key(headers, scope.get("method", "GET"), self._rules.key)
        if not is_owner and not path.startswith(self._rules.guest_prefixes):
            raise _key_missing()
        scope.setdefault("state", {})["is_owner"] = is_owner
        if self._requests_running > self._limits.max_concurrent:
            raise ApiError(429, "too many requests at once: try again in a moment", code="busy")

    async def _read_body(self, headers: Headers, receive: Receive) -> Receive:
        """Read the whole body, within its limits; return a channel that replays it."""
        max_bytes = self._limits.max_body_bytes
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared[:20]) > max_bytes:
            await _discard_body(receive)
            raise _body_too_large(max_bytes)
        received: deque[Message] = deque()
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_timeout_seconds):
                while not received or received[-1].get("more_body"):
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnectedError
                    received.append(message)
                    size += len(message.get("body", b""))
                    if size > max_bytes:
                        if message.get("more_body"):
                            await _discard_body(receive)
                        raise _body_too_large(max_bytes)
        except TimeoutError:
            message_ = "the request did not arrive in time: send it again"
            raise ApiError(408, message_, code="timeout") from None

        async def replay() -> Message:
            return received.popleft() if received else await receive()

        return replay


def _body_too_large(max_bytes: int) -> ApiError:
    return ApiError(
        413,
        f"the request is larger than {max_bytes:,} bytes: send less of the chat",
        code="request_too_large",
        headers={"Connection": "close"},
    )


def check_host(sent: list[str], rules: AccessRules) -> None:
    """Refuse a Host header that is no name of this server.

    Raises:
        ApiError: the header is missing, doubled, or no name of this server (421).
    """
    name = _host_name(sent[0]) if len(sent) == 1 else ""
    if name in rules.allowed_hosts or name == "localhost" or name.endswith(".localhost"):
        return
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        # No web page can make an address point at another machine.
        if address.is_loopback or not rules.listens_on_loopback:
            return
    raise ApiError(
        421,
        "the Host header is no name of this server: start it with --allow-host NAME to allow it",
        code="unknown_host",
    )


def _host_name(host: str) -> str:
    """A Host header's name or address, without the port."""
    if "@" in host:
        return ""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def check_origin(origin: str | None, host: str, rules: AccessRules) -> None:
    """Refuse a web page that is neither this server's own nor allowed.

    Raises:
        ApiError: a foreign page (403).
    """
    if origin is None or origin in rules.allowed_origins:
        return
    if origin.partition("://")[2].casefold() == host.casefold():
        return
    raise ApiError(
        403,
        "this web page may not use the server: start it with --allow-origin URL to allow it",
        code="foreign_origin",
    )


def check_fetch_metadata(headers: Headers) -> None:
    """Refuse images and scripts that another web page embeds: they have no Origin header.

    Browsers mark them by the W3C's "Fetch Metadata Request Headers". Links from other pages
    stay allowed.

    Raises:
        ApiError: embedded in another page (403).
    """
    foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    if foreign and "origin" not in headers and headers.get("sec-fetch-mode") != "navigate":
        raise ApiError(403, "other web pages may not embed this server", code="foreign_origin")


def sends_key(headers: Headers, method: str, key: str | None) -> bool:
    """Check if a client sends the API key, or needs none.

    Raises:
        ApiError: a request that changes something has the cookie alone, and nothing tells that
            it is from a page of this server (403).
    """
    if key is None:
        return True
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    if scheme.casefold() == "bearer":
        return is_key(value.strip(), key)
    name, wanted = login_cookie(key)
    sent = cookie_parser(headers.get("cookie", "")).get(name, "")
    if not hmac.compare_digest(_digest(sent), _digest(wanted)):
        return False
    # A foreign Origin was refused before; browsers without it are older than 2020.
    same = "origin" in headers or headers.get("sec-fetch-site") == "same-origin"
    if method not in _READING and not same:
        raise ApiError(403, "the browser does not say which page asks: send the key as Bearer")
    return True


def is_key(sent: str, key: str) -> bool:
    """Compare in a time that tells nothing about the key."""
    return hmac.compare_digest(_digest(sent), _digest(key))


def login_cookie(key: str) -> tuple[str, str]:
    """Name and value of the cookie of a browser that sent the key; the key is not in them.

    The name differs with the key: browsers send a cookie to all ports of a host.
    """
    name, value = (
        hmac.new(key.encode(), purpose, hashlib.sha256).hexdigest()
        for purpose in (_COOKIE_NAME_PURPOSE, _COOKIE_PURPOSE)
    )
    return f"myna_{name[:8]}", value


def _key_missing() -> ApiError:
    return ApiError(
        401,
        "the API key is missing or wrong: send it as `Authorization: Bearer KEY`",
        code="invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _digest(key: str) -> bytes:
    """A hash of fixed length: comparing it does not leak the key's length."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


async def _discard_body(receive: Receive) -> None:
    """Read the rest of a body: a client whose data stays unread may never see the response."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while size < MAX_DISCARDED_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
