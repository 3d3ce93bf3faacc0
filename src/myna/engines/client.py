"""Asking a model server over HTTP: JSON in, JSON or a stream of events out.

Whatever goes wrong is one `EngineError`. The server is not trusted: what it sends is
bounded, and a redirection is not followed, since the key would go along.
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

KEY = "MYNA_ENGINE_KEY"
"""The environment variable with the server's key."""
LARGEST = 32 * 2**20
"""Most bytes of an answer, and of one event of a stream."""
LONGEST_REASON = 200


class RefusedError(EngineError):
    """The server takes the connection, but not this request: another one may do."""


class Client:
    """A server at `url`; any number of threads may ask.

    Raises:
        EngineError: the key in the environment cannot be one.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url.removesuffix("/v1")
        self._timeout = timeout
        self._key = os.environ.get(KEY, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise EngineError(f"{KEY} holds what can be no key: set it anew")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON that the server answers.

        Raises:
            BusyError: it has too much to do.
            RefusedError: it does not take this request.
            EngineError: it cannot be reached, refuses the key, or answers no JSON.
        """
        data = self.send(method, path, body)
        try:
            return json.loads(data)
        except ValueError as error:
            raise EngineError(
                f"{self.url}{path} answers no JSON: [engine] url must be that of a server with "
                "an OpenAI-compatible API"
            ) from error

    def send(self, method: str, path: str, body: Any = None) -> bytes:
        """The first `LARGEST` bytes of the server's answer, whatever they are.

        Raises:
            EngineError: as `ask`.
        """
        with self._answer(method, path, body) as answer:
            return answer.read(LARGEST)

    def events(self, path: str, body: Any) -> Generator[Any, None, None]:
        """The JSON of each event of a stream, to its end; closing it ends the request.

        Raises:
            BusyError: it has too much to do.
            RefusedError: it does not take this request.
            EngineError: it cannot be reached, refuses the key, or breaks off.
        """
        with self._answer("POST", path, body) as answer:
            while line := answer.readline(LARGEST):
                name, _, data = line.partition(b":")
                if name.strip() not in (b"data", b"error"):
                    continue  # comments and the names of events
                if data.strip() == b"[DONE]":
                    return
                try:
                    yield json.loads(data)
                except ValueError as error:
                    raise self.broken() from error
        raise self.broken()

    def broken(self) -> EngineError:
        """The error of a reply that ended in its middle."""
        return EngineError(f"{self.url} broke off in the middle of a reply: try again")

    @contextmanager
    def _answer(
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
        except (OSError, UnicodeError) as error:  # the latter of a host that is no name
            connection.close()
            why = getattr(error, "strerror", None) or error
            raise EngineError(
                f"cannot connect to {self.url} ({why}): is the server running, and its address "
                "right in [engine] url?"
            ) from error
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, parts.path + path, data, headers)
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise self._refusal(path, answer)
            yield answer
        except TimeoutError as error:
            raise EngineError(
                f"{self.url} has said nothing for {self._timeout:g} seconds: try again, or allow "
                "it more with timeout in [engine]"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise self.broken() from error
        finally:
            connection.close()

    def _refusal(self, path: str, answer: http.client.HTTPResponse) -> EngineError:
        status = answer.status
        if status in (401, 403):
            what = "refuses the key" if self._key else "wants a key"
            return EngineError(f"{self.url} {what}: set the environment variable {KEY}")
        why = self._reason(answer.read(LARGEST))
        if status in (429, 503):
            return BusyError(f"{self.url} has too much to do or is not ready ({why}): try again")
        if 300 <= status < 400:
            return EngineError(
                f"{self.url} sends us elsewhere: set [engine] url to where it really is"
            )
        return RefusedError(f"{self.url}{path} answers {status} ({why})")

    def _reason(self, data: bytes) -> str:
        """What a server says of an error, on one short line and without the key."""
        try:
            found = json.loads(data)
        except ValueError:
            found = ""
        for name in ("error", "detail", "message"):
            if isinstance(found, dict):
                found = found.get(name, found)
        text = found if isinstance(found, str) else json.dumps(found)
        text = "".join(c if c.isprintable() else " " for c in text)
        if self._key:
            text = text.replace(self._key, "…")
        return text[:LONGEST_REASON].strip() or "no reason given"
