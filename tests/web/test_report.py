"""The report page: faults, figures, two clones side by side; written pages under their policy."""

from __future__ import annotations

from tests.web.conftest import PHONE, Browsing, Home, serious
from tests.web.workspaces import HOSTILE


def test_the_api_tells_figures_grades_and_faults(home: Home) -> None:
    found = home.get("/api/reports")
    assert [(one["adapter"], one["state"]) for one in found["adapters"]] == [
        ("group", "done"), ("short", "done")
    ]  # fmt: skip
    report = home.get("/api/reports/group")
    by_name = {measure["name"]: measure for measure in report["measures"]}
    assert by_name["who_said_it"]["grade"] == "good"
    assert by_name["who_said_it"]["people"] == {HOSTILE: {"clone": "50%"}}
    assert not by_name["collapsed"]["is_known"]
    assert [fault["name"] for fault in report["faults"]] == ["untrained"]
    assert report["notes"] == [f"speaker: {HOSTILE}"]
    home.get("/api/reports/nobody", 404)
    home.get("/api/reports/..%2f..%2fx", 404)
    told = home.post("/api/reports/command", {"adapter": "short", "items": 20, "full": True})
    assert told["command"] == "myna evaluate --adapter=short --items=20 --full"


def test_two_clones_are_compared_on_the_same_items(home: Home) -> None:
    found = home.get("/api/reports/compare?adapter=group&other=short")
    [row] = found["rows"]
    assert row["title"] == "Bits per character"
    assert row["better"] == "group"
    home.get("/api/reports/compare?adapter=group&other=nobody", 409)


def test_a_written_page_runs_no_script(at_home: Browsing, home: Home) -> None:
    page = at_home.open("/report")
    page.get_by_role("link", name="The same with replies").click()
    page.get_by_text("pictures").wait_for()
    at_home.allow("Blocked script execution|violates")
    with home.http() as http:
        headers = http.get("/reports/group").headers
        assert "sandbox" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert http.get("/reports/nobody").status_code == 404
        assert http.get("/reports/..%2Fmyna").status_code == 404


def test_the_page(at_home: Browsing, home: Home) -> None:
    page = at_home.open("/report")
    page.get_by_role("heading", name="Untrained").wait_for()
    page.get_by_text(f"Named {HOSTILE}").click()
    page.get_by_text("Who said it.").wait_for()
    page.get_by_label("Beside").select_option("short")
    page.get_by_text("myna evaluate --adapter group --against short").wait_for()
    assert page.locator("main img").count() == 0
    page.get_by_label("Every figure").check()
    page.get_by_text("myna evaluate --full").wait_for()
    assert serious(page) == []
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
