"""Pages in a real browser: Debian's Chromium, driven by Playwright, against a real server.

Every test fails on an error in the browser's console, a violation of the content policy, and
a request that leaves this machine.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from tests.serving.conftest import Serving, Starter, letters
from tests.web.workspaces import friends

from myna.rendering.tokenizer import Tokenizer
from myna.serving.access_control import AccessRules, RequestLimits
from myna.serving.server import ServerOptions
from myna.web.app import ACCESS, PageServices, add_pages
from myna.workspace import Workspace, create

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

__all__ = ["letters"]
PHONE = {"width": 360, "height": 640}
WAIT_MS = 30_000
"""Time that anything in a page may take on a busy machine."""


# Playwright runs an event loop as long as it is open, and so must close before a test of
# another module may run its own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser of a module's tests."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium: install Debian's package chromium")
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@dataclass
class Browsing:
    """Browsers of a test, each with its own cookies, and all that went wrong in them."""

    browser: Browser
    url: str = ""
    problems: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    """Regular expressions of problems that a test makes on purpose."""
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, path: str = "/", **options: Any) -> Page:
        """A page in a browser of its own; `options` as Playwright's `new_context`."""
        options = {"locale": "en-GB", "reduced_motion": "reduce", **options}
        context = self.browser.new_context(**options)
        context.set_default_timeout(WAIT_MS)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.problems.append(f"error: {error.error}"))
        context.on("request", self._on_request)
        self.contexts.append(context)
        return self.tab(context, path)

    def tab(self, context: BrowserContext, path: str = "/") -> Page:
        """Another page in a browser."""
        page = context.new_page()
        page.goto(self.url + path)
        return page

    def allow(self, pattern: str) -> None:
        """Expect a problem."""
        self.allowed.append(pattern)

    def close(self) -> None:
        """Close all; fail if something went wrong."""
        for context in self.contexts:
            context.close()
        found = [p for p in self.problems if not any(re.search(a, p) for a in self.allowed)]
        assert found == []

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):  # a violation of the policy is an error
            self.problems.append(f"console: {message.text} ({message.location.get('url')})")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("blob", "data") and parts.hostname not in ("127.0.0.1", "::1"):
            self.problems.append(f"left this machine: {request.url}")


def pages_of(folder: Path) -> Any:
    """Adds the pages to a server, over a workspace in `folder`."""

    def add(app: FastAPI, options: ServerOptions) -> None:
        add_pages(app, PageServices(Workspace(folder), options.access))

    return add


def web_options(**fields: Any) -> ServerOptions:
    """Options of a server with pages; `fields` as `AccessRules`."""
    limits = RequestLimits(requests_per_minute=1_000_000)  # a quick machine sends many
    return ServerOptions(access=AccessRules(**{**ACCESS, **fields}), limits=limits)


@pytest.fixture
def start(letters: Tokenizer, tmp_path: Path) -> Iterator[Starter]:
    """Starts servers with pages, with options of a test's own."""
    starter = Starter(letters, tmp_path, pages_of(tmp_path))
    yield starter
    starter.end()


@pytest.fixture(scope="session")
def shared(letters: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server with pages for all tests."""
    folder = tmp_path_factory.mktemp("pages")
    create(folder)
    starter = Starter(letters, folder, pages_of(folder))
    yield starter(web_options())
    starter.end()


@pytest.fixture
def serving(shared: Serving) -> Serving:
    """The server of all tests, its engine as new, and without rooms."""
    engine = shared.engine
    engine.says, engine.likely, engine.letters, engine.held_from = (lambda _: " ok\n"), {}, 0, 0
    engine.prompts.clear()
    engine.sampled.clear()
    engine.go.set()
    with shared.http() as http:
        for room in http.get("/api/rooms").json()["rooms"]:
            http.delete(f"/api/rooms/{room['id'] if isinstance(room, dict) else room}")
    return shared


@pytest.fixture
def browse(chromium: Browser) -> Iterator[Browsing]:
    """Browsers; give them a server's `url`."""
    browsing = Browsing(chromium)
    yield browsing
    browsing.close()


@pytest.fixture
def browsing(browse: Browsing, serving: Serving) -> Browsing:
    """Browsers that look at the server of all tests."""
    browse.url = serving.url
    return browse


def serious(page: Page) -> list[str]:
    """Rules of axe-core that a page breaks seriously, each with the first element."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    source = Path(axe.__file__).with_name("axe.min.js")
    # The policy forbids scripts of others: it goes in as the driver's own, not as the page's.
    page.evaluate(source.read_text("utf-8") + "\n;0")
    found = page.evaluate("() => axe.run()")["violations"]
    return [
        f"{rule['id']}: {rule['nodes'][0]['html']} {rule['nodes'][0]['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with chats, samples, two clones, figures and decks; never change it."""
    return friends(tmp_path_factory.mktemp("house") / "friends")


@dataclass
class Home:
    """A server of a test's own, over a workspace of its own."""

    space: Workspace
    serving: Serving

    def http(self) -> Any:
        """Plain HTTP."""
        return self.serving.http()

    def get(self, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON of an answer."""
        return self._ask("GET", path, status, **options)

    def post(self, path: str, body: Any = None, status: int = 200, **options: Any) -> Any:
        """The JSON of an answer to a change."""
        return self._ask("POST", path, status, json=body or {}, **options)

    def _ask(self, method: str, path: str, status: int, **options: Any) -> Any:
        with self.http() as http:
            answer = http.request(method, path, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def wait(self, job: dict[str, Any], seconds: float = 240) -> dict[str, Any]:
        """Wait for the end of a job; returns it with its output."""
        until = time.monotonic() + seconds
        while True:
            found: dict[str, Any] = self.get(f"/api/jobs/{job['id']}")
            if found["job"]["state"] != "running":
                return found
            assert time.monotonic() < until, found["output"]
            time.sleep(0.1)


@pytest.fixture
def home(house: Workspace, letters: Tokenizer, tmp_path: Path) -> Iterator[Home]:
    """The workspace of `house` as a copy, and a server with its pages."""
    shutil.copytree(house.root, tmp_path / "friends")
    space = Workspace(tmp_path / "friends")
    (tmp_path / "talk").mkdir()
    starter = Starter(letters, tmp_path / "talk", pages_of(space.root))
    yield Home(space, starter(web_options()))
    starter.end()


@pytest.fixture
def at_home(home: Home, chromium: Browser) -> Iterator[Browsing]:
    """Browsers that look at `home`; they are closed before it is."""
    browsing = Browsing(chromium, home.serving.url)
    yield browsing
    browsing.close()
