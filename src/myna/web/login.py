"""The login page: the key once, then a cookie.

The cookie is HttpOnly and SameSite=Strict: no script reads it, and no other site's page sends
it. Programs go on to send the key as Bearer.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from myna.serving.access_control import is_key, login_cookie
from myna.serving.errors import JsonResponse
from myna.web import shell

LOGIN_PATH = "/login"
COOKIE_SECONDS = 30 * 24 * 3600
router = APIRouter(include_in_schema=False)
"""Logging in and out."""


@router.get(LOGIN_PATH)
async def login_page(request: Request, next: str = "/") -> Response:  # noqa: A002  # in the URL
    """Ask for the key."""
    if request.app.state.pages.access.key is None:
        return RedirectResponse("/", 303)
    return shell.render(request, "login.html", wanted=_own_path(next), is_wrong=False)


@router.get(LOGIN_PATH + "/state")
async def login_state(request: Request) -> Response:
    """Tell the login page if the browser has the cookie already."""
    return JsonResponse({"is_owner": request.state.is_owner})


@router.post(LOGIN_PATH)
async def log_in(request: Request) -> Response:
    """Set the cookie if the key is right, and go to the page that was wanted."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    wanted = _own_path(fields.get("next", ["/"])[0])
    key = request.app.state.pages.access.key
    if key is None:
        return RedirectResponse("/", 303)
    if not is_key(fields.get("key", [""])[0].strip(), key):
        return shell.render(request, "login.html", status=401, wanted=wanted, is_wrong=True)
    return _with_cookie(RedirectResponse(wanted, 303), request, key, COOKIE_SECONDS)


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """Remove the cookie."""
    response = RedirectResponse(LOGIN_PATH, 303)
    key = request.app.state.pages.access.key
    return response if key is None else _with_cookie(response, request, key, 0)


def _with_cookie(response: Response, request: Request, key: str, seconds: int) -> Response:
    name, value = login_cookie(key)
    response.set_cookie(
        name,
        value if seconds else "",
        max_age=seconds,
        httponly=True,
        samesite="strict",
        secure=request.headers.get("origin", "").startswith("https:"),  # behind a proxy
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _own_path(wanted: str) -> str:
    """A path of this server: a link to the login page must not lead elsewhere."""
    path = wanted.replace("\\", "/")
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    is_own = path.startswith("/") and not path.startswith("//") and path.isprintable()
    return path if is_own and not parts.netloc and not parts.scheme else "/"
