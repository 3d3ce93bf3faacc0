"""The door: who may come in, how often, and with how much.

Every request passes here before anything reads it.

    Host      must be a name of this server: a web page whose own name was made to point
              at this machine (DNS rebinding) still sends that name
    Origin    a web page must be this server's own, or one of those allowed
    rate      so many requests a minute from one address
    key       where there is one: as `Authorization: Bearer KEY`, or in a browser's
              password prompt (HTTP Basic), for pages too
    size      so many bytes, within so many seconds
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import ipaddress
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myna.serving.errors import ApiError, answer

OPEN = frozenset({"/healthz"})
"""Paths that need no key and do not count: they say nothing."""
POURED_BYTES = 32 * 2**20
POURED_S = 5
"""How much of a refused request is still read."""


@dataclass(frozen=True)
class Access:
    """Who may come in.

    `hosts` are names of this server besides localhost and addresses; `origins` are web
    pages, such as `https://chat.example`, that may use it from a browser.
    """

    key: str | None = None
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    loopback: bool = True
    """Whether the server listens on this machine only."""


@dataclass(frozen=True)
class Limits:
    """How much may come in."""

    request_bytes: int = 2 * 2**20
    body_seconds: float = 30
    a_minute: int = 600
    """Requests from one address."""
    at_once: int = 256
    """Requests in all; 32 replies can wait, and the rest are event streams."""


class Rate:
    """A token bucket for each address: a sixth of a minute's requests may come at once."""

    MOST_ADDRESSES = 10_000

    def __init__(self, a_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._each_s = 60 / a_minute
        self._most = max(1.0, a_minute / 6)
        self._now = now
        self._left: dict[str, tuple[float, float]] = {}

    def wait(self, address: str) -> float:
        """Seconds to wait before another request of this address; 0 admits it."""
        now = self._now()
        left, at = self._left.pop(address, (self._most, now))
        left = min(self._most, left + (now - at) / self._each_s)
        admitted = left >= 1
        if len(self._left) >= self.MOST_ADDRESSES:
            del self._left[next(iter(self._left))]  # who has been silent longest
        self._left[address] = (left - admitted, now)
        return 0.0 if admitted else (1 - left) * self._each_s


class Guard:
    """The middleware that keeps the door, of an ASGI app."""

    def __init__(
        self, app: ASGIApp, access: Access, limits: Limits, refused: Callable[[str], None]
    ) -> None:
        self._app = app
        self._access = access
        self._limits = limits
        self._refused = refused
        self._rate = Rate(limits.a_minute)
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        self._inside += 1
        try:
            try:
                receive = await self._admitted(scope, receive)
            except ApiError as error:
                self._refused(error.code or "other")
                await _refuse(error, scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except _LeftError:
            return
        finally:
            self._inside -= 1

    async def _admitted(self, scope: Scope, receive: Receive) -> Receive:
        """How the app is to receive the request."""
        if scope["type"] == "websocket":
            self._check(scope)
            return receive
        try:
            self._check(scope)
        except ApiError:
            await _pour_away(receive)
            raise
        return await self._body(Headers(scope=scope), receive)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        check_host(headers.getlist("host"), self._access)
        check_origin(headers.get("origin"), headers["host"], self._access)
        check_site(headers)
        if scope["path"] in OPEN:
            return
        address = scope["client"][0] if scope.get("client") else ""
        if wait := self._rate.wait(address):
            raise ApiError(
                429,
                f"more than {self._limits.a_minute} requests a minute: wait a little",
                code="rate_limit_exceeded",
                headers={"Retry-After": str(math.ceil(wait))},
            )
        check_key(headers, self._access.key)
        if self._inside > self._limits.at_once:
            raise ApiError(429, "too many requests at once: try again in a moment", code="busy")

    async def _body(self, headers: Headers, receive: Receive) -> Receive:
        """The whole body, read and bounded, for whoever reads it next."""
        most = self._limits.request_bytes
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared[:20]) > most:
            await _pour_away(receive)
            raise _too_large(most)
        parts: deque[Message] = deque()
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while not parts or parts[-1].get("more_body"):
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _LeftError
                    parts.append(message)
                    size += len(message.get("body", b""))
                    if size > most:
                        if message.get("more_body"):
                            await _pour_away(receive)
                        raise _too_large(most)
        except TimeoutError:
            raise ApiError(408, "the request did not arrive in time", code="timeout") from None

        async def again() -> Message:
            return parts.popleft() if parts else await receive()

        return again


class _LeftError(Exception):
    """The client went before its request was whole."""


def _too_large(most: int) -> ApiError:
    return ApiError(
        413,
        f"the request is larger than {most:,} bytes: send less of the chat",
        code="request_too_large",
        headers={"Connection": "close"},
    )


def check_host(sent: list[str], access: Access) -> None:
    """Refuse a Host that is no name of this server.

    Raises:
        ApiError: it is not, or there is none.
    """
    name = _host_name(sent[0]) if len(sent) == 1 else ""
    if name in access.hosts or name == "localhost" or name.endswith(".localhost"):
        return
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        # An address is nobody's to point elsewhere.
        if address.is_loopback or not access.loopback:
            return
    raise ApiError(
        421,
        "this server does not go by that name: start it with --allow-host NAME if it should",
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


def check_origin(origin: str | None, host: str, access: Access) -> None:
    """Refuse a web page that is not this server's own, nor allowed.

    Raises:
        ApiError: it is not.
    """
    if origin is None or origin in access.origins:
        return
    if origin.partition("://")[2].casefold() == host.casefold():
        return
    raise ApiError(
        403,
        "another web page may not use this server: start it with --allow-origin URL if it may",
        code="foreign_origin",
    )


def check_site(headers: Headers) -> None:
    """Refuse what another web page embeds, an image or a script: those come without an Origin.

    Browsers tell in the headers of the W3C's "Fetch Metadata Request Headers". A link to a
    page here may be followed from anywhere.

    Raises:
        ApiError: it is another page's.
    """
    foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    if foreign and "origin" not in headers and headers.get("sec-fetch-mode") != "navigate":
        raise ApiError(403, "another web page may not use this server", code="foreign_origin")


def check_key(headers: Headers, key: str | None) -> None:
    """Refuse whoever does not have the key.

    Raises:
        ApiError: it is missing or wrong.
    """
    if key is None:
        return
    given = _given_key(headers.get("authorization", ""))
    if hmac.compare_digest(_digest(given), _digest(key)):
        return
    # A browser asks for a password where it is told to; a program would only stumble.
    page = "text/html" in headers.get("accept", "")
    challenge = 'Basic realm="myna", charset="UTF-8"' if page else "Bearer"
    raise ApiError(
        401,
        "this server wants its key: send it as `Authorization: Bearer KEY`",
        code="invalid_api_key",
        headers={"WWW-Authenticate": challenge},
    )


def _given_key(authorization: str) -> str:
    scheme, _, value = authorization.strip().partition(" ")
    value = value.strip()
    if scheme.casefold() == "bearer":
        return value
    if scheme.casefold() == "basic":
        try:
            pair = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return ""
        return pair.partition(":")[2]
    return ""


def _digest(key: str) -> bytes:
    """Of one length, so that comparing tells nothing of the key's."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


async def _refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await answer(error)(scope, receive, send)
        return
    await receive()  # "websocket.connect"
    await send({"type": "websocket.close", "code": 1008, "reason": error.code or ""})


async def _pour_away(receive: Receive) -> None:
    """Read what is left of a body, up to a bound.

    Where a connection is closed with something unread in it, the client may never see the
    answer.
    """
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(POURED_S):
            while size < POURED_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
