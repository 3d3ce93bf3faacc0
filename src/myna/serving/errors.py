"""Errors as OpenAI's clients expect them: `{"error": {message, type, param, code}}`.

The shape and the types are those of OpenAI's API reference, "Error codes".
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from myna.errors import BusyError, MynaError, PeopleError, RoomError, SettingsError, SpeakingError

RETRY_S = 2
"""Seconds after which a client that was refused may try again."""

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_STATUS: tuple[tuple[type[MynaError], int, str], ...] = (
    (BusyError, 429, "busy"),
    (SpeakingError, 409, "speaking"),
    (PeopleError, 400, "unknown_person"),
    (RoomError, 400, "bad_room_request"),
    (SettingsError, 400, "bad_setting"),
)

log = logging.getLogger(__name__)


class ApiError(Exception):
    """An answer that is an error: its status, one line for people, and what is wrong."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.headers = dict(headers or {})
        if status == 429:
            self.headers.setdefault("Retry-After", str(RETRY_S))


class Json(Response):
    """A JSON answer; half a surrogate pair in a client's words breaks nothing."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """See Starlette."""
        return packed(content).encode()


def packed(data: Any) -> str:
    """One line of JSON that can be sent as UTF-8."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()


SHOWN: dict[int | str, dict[str, Any]] = {
    status: {
        "description": "An error, in OpenAI's shape",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {
                            "type": "object",
                            "required": ["message", "type", "param", "code"],
                            "properties": {
                                "message": {"type": "string"},
                                "type": {"type": "string"},
                                "param": {"type": ["string", "null"]},
                                "code": {"type": ["string", "null"]},
                            },
                        }
                    },
                }
            }
        },
    }
    for status in ("4XX", "5XX")
}
"""How errors stand in the OpenAPI document."""


def body(error: ApiError) -> dict[str, Any]:
    """What a client reads."""
    kind = _TYPES.get(error.status) or (
        "invalid_request_error" if error.status < 500 else "server_error"
    )
    return {
        "error": {
            "message": str(error),
            "type": kind,
            "param": error.param,
            "code": error.code,
        }
    }


def answer(error: ApiError) -> Response:
    """The error as an HTTP answer."""
    return Json(body(error), error.status, headers=error.headers)


def as_api(error: BaseException) -> ApiError:
    """Any error as one that may be shown to a client: what is not ours says nothing."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, MynaError):
        for kind, status, code in _STATUS:
            if isinstance(error, kind):
                return ApiError(status, str(error), code=code)
        log.error("%s: %s", type(error).__name__, error)
        return ApiError(500, str(error), code="engine_failed")
    # A traceback shows where in the code, never the values: chats stay out of logs.
    log.error("%s in a request", type(error).__name__, exc_info=_without_words(error))
    return ApiError(500, "the server failed: its log says where", code="internal_error")


def _without_words(error: BaseException) -> BaseException:
    """The same kind of error with its traceback but without its message."""
    return RuntimeError(f"a {type(error).__name__}").with_traceback(error.__traceback__)


def install(app: FastAPI) -> None:
    """Let an app's errors leave in this shape; what nobody expected, `Observer` catches."""

    async def ours(_: Request, error: Exception) -> Response:
        return answer(as_api(error))

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  # by what it is registered for
        return answer(ApiError(error.status_code, str(error.detail), headers=error.headers))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  # as above
        return answer(_invalid(error))

    app.add_exception_handler(ApiError, ours)
    app.add_exception_handler(MynaError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def _invalid(error: RequestValidationError) -> ApiError:
    """The first thing that is wrong with a request; never what the client wrote there."""
    problems = error.errors()
    if problems[0]["type"] == "json_invalid":
        return ApiError(400, "the body is no valid JSON", code="json_invalid")
    field = problems[0]["loc"][:2]
    # Of what may be one type or another, each type has its say: the one that the value is
    # of, or came furthest with, tells more than those that it is not.
    told = max(
        (problem for problem in problems if problem["loc"][:2] == field),
        key=lambda problem: (
            len(_place(problem, error.body)),
            not problem["type"].endswith("_type"),
        ),
    )
    place = ".".join(map(str, _place(told, error.body))) or None
    why = str(told["msg"]).removeprefix("Value error, ")
    return ApiError(400, f"{place or 'the body'}: {why}", param=place, code="invalid_value")


def _place(problem: Mapping[str, Any], body: Any) -> list[str | int]:
    """Where in the body a problem is, without the names of types on the way."""
    where, *steps = problem["loc"]
    place: list[str | int] = []
    for step in steps:
        if where == "body":
            try:
                body = body[step]
            except (TypeError, LookupError):
                if not (isinstance(body, dict) and problem["type"] == "missing"):
                    continue
        place.append(step)
    return place
