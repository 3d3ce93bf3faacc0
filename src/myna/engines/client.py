"""HTTP client of model servers: JSON in, JSON or server-sent events out.

Every failure is an `EngineError`. The server is not trusted: answers are bounded, and
redirects are not followed, since they would get the key.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from myna.errors import BusyError, EngineError

KEY_VARIABLE = "MYNA_ENGINE_KEY"
"""Environment variable with the server's API key."""
MAX_RESPONSE_BYTES = 32 * 2**20
"""Longest answer, and longest event of a stream."""
MAX_REASON_CHARS = 200


class RefusedError(EngineError):
    """The server refused this request; another one may work."""


class Client:
    """A model server at `url`; thread-safe.

    Raises:
        EngineError: the key in the environment is malformed.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url.removesuffix("/v1")
        self._timeout = timeout
        self._key = os.environ.get(KEY_VARIABLE, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise EngineError(f"{KEY_VARIABLE} is not a valid key: set it again")

    def request_json(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request; return the JSON of the answer.

        Raises:
            BusyError: the server is overloaded or not ready.
            RefusedError: it refuses this request.
            EngineError: it is unreachable, refuses the key, or answers no JSON.
        """
        data = self.request(method, path, body)
        try:
            return json.loads(data)
        except ValueError as error:
            raise EngineError(
                f"{self.url}{path} answers no JSON: [engine] url must be that of a server with "
                "an OpenAI-compatible API"
            ) from error

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """Send a request; return the first `MAX_RESPONSE_BYTES` of the answer.

        Raises:
            EngineError: as `request_json`.
        """
        with self._response(method, path, body) as response:
            return response.read(MAX_RESPONSE_BYTES)

    def stream_events(self, path: str, body: Any) -> Generator[Any, None, None]:
        """The JSON of each server-sent event; closing the generator cancels the request.

        Raises:
            EngineError: as `request_json`, or the stream breaks off.
        """
        with self._response("POST", path, body) as response:
            while line := response.readline(MAX_RESPONSE_BYTES):
                name, _, data = line.partition(b":")
                if name.strip() not in (b"data", b"error"):
                    continue  # comments and the names of events
                if data.strip() == b"[DONE]":
                    return
                try:
                    yield json.loads(data)
                except ValueError as error:
                    raise self.broken_stream() from error
        raise self.broken_stream()

    def broken_stream(self) -> EngineError:
        """The error of a stream that broke off."""
        return EngineError(f"{self.url} broke off in the middle of a reply: try again")

    @contextmanager
    def _response(
        self, method: str, path: str, body: Any
    ) -> Generator[http.client.HTTPResponse, None, None]:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            secure = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=self._timeout, context=secure
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            connection.connect()
        except (OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
            connection.close()
            reason = getattr(error, "strerror", None) or error
            raise EngineError(
                f"cannot connect to {self.url} ({reason}): is the server running, and its address "
                "right in [engine] url?"
            ) from error
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, parts.path + path, data, headers)
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise self._refusal(path, response)
            yield response
        except TimeoutError as error:
            raise EngineError(
                f"{self.url} has sent nothing for {self._timeout:g} seconds: try again, or raise "
                "timeout in [engine]"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise self.broken_stream() from error
        finally:
            connection.close()

    def _refusal(self, path: str, response: http.client.HTTPResponse) -> EngineError:
        status = response.status
        if status in (401, 403):
            problem = "refuses the key" if self._key else "wants a key"
            return EngineError(f"{self.url} {problem}: set the environment variable {KEY_VARIABLE}")
        reason = self._reason(response.read(MAX_RESPONSE_BYTES))
        if status in (429, 503):
            return BusyError(f"{self.url} is overloaded or not ready ({reason}): try again")
        if 300 <= status < 400:
            return EngineError(
                f"{self.url} redirects elsewhere: set [engine] url to the final address"
            )
        return RefusedError(f"{self.url}{path} answers {status} ({reason})")

    def _reason(self, data: bytes) -> str:
        """The message in an error response, on one short line and without the key."""
        try:
            message = json.loads(data)
        except ValueError:
            message = ""
        for name in ("error", "detail", "message"):
            if isinstance(message, dict):
                message = message.get(name, message)
        text = message if isinstance(message, str) else json.dumps(message)
        text = "".join(c if c.isprintable() else " " for c in text)
        if self._key:
            text = text.replace(self._key, "…")
        return text[:MAX_REASON_CHARS].strip() or "no reason given"
