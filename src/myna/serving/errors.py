"""Error responses in OpenAI's shape: `{"error": {message, type, param, code}}`.

The shape and the types are those of OpenAI's API reference, "Error codes".
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from myna.errors import (
    BusyError,
    ConsentError,
    MynaError,
    PeopleError,
    RoomError,
    SettingsError,
    SpeakingError,
)

RETRY_AFTER_SECONDS = 2
"""Default `Retry-After` of a refused request."""

_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_STATUS_AND_CODE: tuple[tuple[type[MynaError], int, str], ...] = (
    (BusyError, 429, "busy"),
    (SpeakingError, 409, "speaking"),
    (ConsentError, 403, "no_consent"),
    (PeopleError, 400, "unknown_person"),
    (RoomError, 400, "bad_room_request"),
    (SettingsError, 400, "bad_setting"),
)

FAILED = "the server failed: see its log"
_PATH = re.compile(r"""(?<![\w:/\\.<])(?:~|[A-Za-z]:)?[/\\](?:[^\s'"`,;:()]|:(?=[/\\]))+""")

log = logging.getLogger(__name__)


class ClientDisconnectedError(Exception):
    """The client disconnected: nobody reads a response."""


class ApiError(Exception):
    """An error response: HTTP status, a message of one line, and machine-readable codes."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.details = dict(details or {})
        """More fields of the body, beside `error`."""
        self.param = param
        self.code = code
        self.headers = dict(headers or {})
        if status == 429:
            self.headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))


class JsonResponse(Response):
    """A JSON response that nobody caches; lone surrogates in texts of clients are replaced."""

    media_type = "application/json"

    def __init__(
        self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(content, status_code, {"Cache-Control": "no-store", **(headers or {})})

    def render(self, content: Any) -> bytes:
        """See Starlette."""
        return compact_json(content).encode()


def compact_json(data: Any) -> str:
    """JSON in one line that can be encoded as UTF-8."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()


_FIELDS: dict[str, Any] = {
    **{key: {"type": "string"} for key in ("message", "type")},
    **{key: {"type": ["string", "null"]} for key in ("param", "code")},
}
_ERROR = {"type": "object", "required": list(_FIELDS), "properties": _FIELDS}
_BODY = {"type": "object", "required": ["error"], "properties": {"error": _ERROR}}
OPENAPI_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": "An error, in OpenAI's shape",
        "content": {"application/json": {"schema": _BODY}},
    }
    for status in ("4XX", "5XX")
}
"""Description of error responses in the OpenAPI document."""


def error_body(error: ApiError) -> dict[str, Any]:
    """The JSON body of an error response."""
    default = "invalid_request_error" if error.status < 500 else "server_error"
    error_type = _ERROR_TYPES.get(error.status, default)
    codes = {"type": error_type, "param": error.param, "code": error.code}
    return {"error": {"message": str(error), **codes}, **error.details}


def error_response(error: ApiError) -> Response:
    """The HTTP response for an error."""
    return JsonResponse(error_body(error), error.status, headers=error.headers)


def to_api_error(error: BaseException) -> ApiError:
    """Convert any error for a client; the message of an unexpected one stays secret."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, MynaError):
        for error_type, status, code in _STATUS_AND_CODE:
            if isinstance(error, error_type):
                return ApiError(status, public_message(error), code=code)
        log.error("%s: %s", type(error).__name__, error)
        return ApiError(500, public_message(error), code="engine_failed")
    # The traceback is logged without the message: that may quote a chat.
    silent = RuntimeError(f"a {type(error).__name__}").with_traceback(error.__traceback__)
    log.error("%s in a request", type(error).__name__, exc_info=silent)
    return ApiError(500, FAILED, code="internal_error")


def public_message(error: BaseException) -> str:
    """An error's message for clients, to whom the folders of this machine are no business."""
    return FAILED if _PATH.search(str(error)) else str(error)


def install_error_handlers(app: FastAPI) -> None:
    """Send an app's errors in OpenAI's shape; `MetricsMiddleware` handles unexpected ones."""

    async def on_error(_: Request, error: Exception) -> Response:
        return error_response(to_api_error(error))

    async def on_http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  # by what it is registered for
        return error_response(ApiError(error.status_code, str(error.detail), headers=error.headers))

    async def on_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  # as above
        return error_response(_validation_error(error))

    app.add_exception_handler(ApiError, on_error)
    app.add_exception_handler(MynaError, on_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid)


def _validation_error(error: RequestValidationError) -> ApiError:
    """The first error of a request body, without the values that the client sent."""
    problems = error.errors()
    if problems[0]["type"] == "json_invalid":
        return ApiError(400, "the body is not valid JSON", code="json_invalid")
    top_field = problems[0]["loc"][:2]
    # A union reports an error for each of its types: the most telling one is of the value's
    # own type, or deepest in the body.
    problem = max(
        (problem for problem in problems if problem["loc"][:2] == top_field),
        key=lambda problem: (
            len(_path_in_body(problem, error.body)),
            not problem["type"].endswith("_type"),
        ),
    )
    path = ".".join(map(str, _path_in_body(problem, error.body))) or None
    why = str(problem["msg"]).removeprefix("Value error, ")
    return ApiError(400, f"{path or 'the body'}: {why}", param=path, code="invalid_value")


def _path_in_body(problem: Mapping[str, Any], error_body: Any) -> list[str | int]:
    """The path of a validation error in the body, without pydantic's names of union types."""
    where, *steps = problem["loc"]
    path: list[str | int] = []
    for step in steps:
        if where == "body":
            try:
                error_body = error_body[step]
            except (TypeError, LookupError):
                if not (isinstance(error_body, dict) and problem["type"] == "missing"):
                    continue
        path.append(step)
    return path
