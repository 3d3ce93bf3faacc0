"""Every page: its headers, its policy, the login, and the files that it loads."""

from __future__ import annotations

import pytest
from tests.serving.conftest import Serving, Starter
from tests.web.conftest import PHONE, Browsing, serious, web_options

from myna.web import shell
from myna.web.login import _own_path

KEY = "a-key-of-many-letters"
PAGES = [item.path for item in shell.NAVIGATION]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_a_closed_policy_and_loads_only_what_is_here(
    serving: Serving, path: str
) -> None:
    with serving.http() as http:
        page = http.get(path, headers={"Accept": "text/html"})
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        closed = {"default-src", "trusted-types", "frame-ancestors", "base-uri"}
        assert {f"{name} 'none'" for name in closed} < set(policy.split("; "))
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert http.get("/api/rooms").headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert " style=" not in page.text
        assert "<script>" not in page.text
        assert "http" not in page.text


def test_a_file_is_kept_by_browsers_until_it_changes(serving: Serving) -> None:
    with serving.http() as http:
        url = shell.static_url("api.js")
        found = http.get(url)
        assert found.headers["content-type"] == "text/javascript; charset=utf-8"
        assert "immutable" in found.headers["cache-control"]
        name = url.rpartition("/")[2]
        assert http.get(f"/static/older/{name}").headers["cache-control"] == "no-store"
        for missing in ("no.js", "../templates/base.html", "%2e%2e/app.py"):
            assert http.get(f"/static/x/{missing}").status_code == 404


def test_without_the_pages_there_are_none(start: Starter) -> None:
    start.add_pages = lambda *_: None
    with start().http() as http:
        assert http.get("/").status_code == 404
        assert http.get("/login").status_code == 404


class TestTheLogin:
    def test_a_browser_gets_in_with_the_key_and_stays_in(
        self, start: Starter, browse: Browsing
    ) -> None:
        browse.url = start(web_options(key=KEY, listens_on_loopback=False)).url
        browse.allow("status of 401")
        page = browse.open("/?room=a%20b")
        assert page.url == f"{browse.url}/login?next=/%3Froom%3Da%2520b"
        assert serious(page) == []
        page.get_by_label("Key").fill("something else")
        page.keyboard.press("Enter")
        page.get_by_text("That is not the key.").wait_for()
        page.get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        page.wait_for_url("**/?room=a%20b")
        [cookie] = page.context.cookies()
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"
        assert KEY not in cookie["value"]
        page.goto(f"{browse.url}/login?next=/")  # as after a link from elsewhere
        page.wait_for_url(f"{browse.url}/")

    def test_nothing_opens_without_it_but_the_login_and_its_files(self, start: Starter) -> None:
        with start(web_options(key=KEY)).http() as http:
            for path in ("/", "/api/rooms", "/openapi.json", "/none"):
                assert http.get(path).status_code == 401
                asked = http.get(path, headers={"Accept": "text/html"})
                assert (asked.status_code, asked.headers["location"]) == (
                    303, f"/login?next={path}"
                )  # fmt: skip
            assert http.get(shell.static_url("app.css")).status_code == 200
            assert http.get("/login").status_code == 200
            assert http.get("/login/state").json() == {"is_owner": False}
            assert http.post("/login", data={"key": "x"}).status_code == 401
            assert http.post("/logout").status_code == 401

    def test_logging_out_removes_the_cookie(self, start: Starter) -> None:
        serving = start(web_options(key=KEY))
        own = {"Origin": serving.url}
        with serving.http(headers=own) as http:
            assert http.post("/login", data={"key": KEY}).status_code == 303
            assert http.get("/api/rooms").status_code == 200
            assert http.post("/logout").status_code == 303
            assert http.get("/api/rooms").status_code == 401

    @pytest.mark.parametrize(
        "wanted",
        ["//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "a",
         "/\t/evil.example", "//[", "javascript:alert(1)", "/a\r\nX: y"],
    )  # fmt: skip
    def test_it_leads_nowhere_else(self, wanted: str) -> None:
        assert _own_path(wanted) == "/"
        assert _own_path("/data?x=a b") == "/data?x=a b"


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("colors", ["light", "dark"])
def test_a_page_fits_a_phone_and_reads_well(browsing: Browsing, path: str, colors: str) -> None:
    page = browsing.open(path, viewport=PHONE, color_scheme=colors)
    page.get_by_role("main").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert serious(page) == []


def test_the_policy_stops_text_that_would_become_markup(browsing: Browsing) -> None:
    page = browsing.open("/")
    browsing.allow("Trusted|Content Security Policy|TypeError")
    stopped = page.evaluate(
        """() => { try { document.body.innerHTML = "<img src=x onerror=alert(1)>"; return "no" }
        catch (error) { return error.name } }"""
    )
    assert stopped == "TypeError"


def test_a_stream_is_read_whatever_its_chunks_are(browsing: Browsing) -> None:
    page = browsing.open("/")
    stream = ': hi\r\n\r\nid: 1\nevent: a\ndata: {"x":\ndata: "ü"}\n\ndata:2\r\rid: 7\ndata: 3\n\n'
    expected = [["1", "a", '{"x":\n"ü"}'], [None, "message", "2"], ["7", "message", "3"]]
    for size in (1, 2, 3, 7, 1000):
        found = page.evaluate(
            """async ([url, stream, size]) => {
                const { parser } = await import(url);
                const events = [];
                const feed = parser((e) => events.push([e.id, e.kind, e.data]));
                for (let i = 0; i < stream.length; i += size) feed(stream.slice(i, i + size));
                return events;
            }""",
            [shell.static_url("events.js"), stream, size],
        )
        assert found == expected
