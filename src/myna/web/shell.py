"""Pages as shells: templates, style and scripts, and the headers that every page has.

The content policy is W3C's "Content Security Policy Level 3" with "Trusted Types": nothing
but files of this server, and no way from text to markup.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from myna.serving.errors import ApiError

if TYPE_CHECKING:
    import jinja2

FOLDER = Path(__file__).parent
STATIC_PREFIX = "/static/"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Named here: the system's own table may be wrong, and then no module loads."""


@dataclass(frozen=True)
class NavigationItem:
    """A link that every page has on top."""

    title: str
    path: str


NAVIGATION = (
    NavigationItem("Chat", "/"),
    NavigationItem("Game", "/game"),
    NavigationItem("Data", "/data"),
    NavigationItem("Training", "/training"),
    NavigationItem("Report", "/report"),
)
"""The pages by name, in the order of the navigation."""

router = APIRouter(include_in_schema=False)
"""The files below `static/`."""


def content_policy(*, frames: bool = False) -> str:
    """The Content-Security-Policy of a page; with `frames` it may show pages of this server."""
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "frame-src": "'self'" if frames else "'none'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def page_headers(policy: str) -> dict[str, str]:
    """The headers of every page."""
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Cross-Origin-Resource-Policy": "same-origin",
        # "no-referrer" would make the origin of forms "null".
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }


def render(
    request: Request, template: str, *, status: int = 200, frames: bool = False, **context: Any
) -> Response:
    """A page from a template, as the owner or a guest sees it."""
    text = _templates().get_template(template).render(
        navigation=NAVIGATION,
        path=request.url.path,
        is_owner=getattr(request.state, "is_owner", False),
        **context,
    )  # fmt: skip
    return HTMLResponse(text, status, headers=page_headers(content_policy(frames=frames)))


@cache
def _templates() -> jinja2.Environment:
    import jinja2  # only once a page is opened

    loader = jinja2.FileSystemLoader(FOLDER / "templates")
    templates = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    templates.globals["static"] = static_url
    return templates


@cache
def _static_files() -> dict[str, bytes]:
    folder = FOLDER / "static"
    files = (path for path in sorted(folder.rglob("*")) if path.suffix in MEDIA_TYPES)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@cache
def _static_version() -> str:
    """A part of the URL of each file, which changes with the files: browsers keep them."""
    digest = hashlib.sha256()
    for name, content in _static_files().items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def static_url(name: str) -> str:
    """The URL of a file below `static/`."""
    if name not in _static_files():
        raise KeyError(f"no such file below static/: {name}")
    return f"{STATIC_PREFIX}{_static_version()}/{name}"


@router.get(STATIC_PREFIX + "{version}/{name:path}")
async def static_file(version: str, name: str) -> Response:
    """Send a style sheet, a script or a picture."""
    content = _static_files().get(name)
    if content is None:
        raise ApiError(404, "there is no such file", code="not_found")
    is_current = version == _static_version()
    return Response(
        content,
        media_type=MEDIA_TYPES[Path(name).suffix],
        headers={
            "Cache-Control": "public, max-age=31536000, immutable" if is_current else "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            # A picture that is opened by itself is a document.
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        },
    )


@router.get("/favicon.ico")
async def favicon() -> Response:
    """Say that there is none: pages name their own icon."""
    return Response(status_code=404)
