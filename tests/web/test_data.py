"""The data page: drops of any size and kind, people and consent, filters, ledger, samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.chats import walks
from tests.web.conftest import PHONE, Browsing, Home, serious
from tests.web.workspaces import HOSTILE

from myna import people
from myna.serving.errors import ApiError
from myna.web import uploads
from myna.web.uploads import safe_name


class TestUploads:
    @pytest.mark.parametrize(
        ("name", "safe"),
        [
            ("chat.json", "chat.json"), ("a/b/c.txt", "a/b/c.txt"), ("../../etc/x", "etc/x"),
            ("/etc/passwd", "etc/passwd"), ("C:\\x\\y.txt", "C/x/y.txt"), ("..", "file"),
            (".hidden", "hidden"), ("a\x00b\n.txt", "ab.txt"), ("", "file"),
            ("con:|?.txt", "con.txt"),
            ("x" * 300, "x" * 120), ("größe 😀.zip", "größe 😀.zip"),
        ],
    )  # fmt: skip
    def test_a_name_leads_nowhere_else(self, name: str, safe: str) -> None:
        assert safe_name(name) == safe

    def test_names_that_a_system_takes_for_the_same_stay_apart(self) -> None:
        names = uploads._unique(["a.txt", "A.txt", "b/c", "b", "a.txt"])
        assert len({name.lower() for name in names}) == 5
        assert "b/c" in names
        assert "b" not in names  # it is a folder

    def test_a_huge_drop_is_one_clear_line(self) -> None:
        with pytest.raises(ApiError, match=r"300.0 GB are more than the"):
            uploads.check_size(300 * 10**9, 10**12, 16 * 10**9)
        with pytest.raises(ApiError, match=r"9.0 GB do not fit on the disk, which has 5.0 GB"):
            uploads.check_size(9 * 10**9, 5 * 10**9, 16 * 10**9)

    def test_pieces_go_on_where_they_were(self, home: Home) -> None:
        data = bytes(range(256)) * 10
        upload = home.post("/api/uploads", {"files": [{"name": "x/a.bin", "size": 2560}]}, 201)
        url = f"/api/uploads/{upload['id']}"
        with home.http() as http:
            assert http.put(f"{url}/0?offset=0", content=data[:1000]).json() == {"size": 1000}
            lost = http.put(f"{url}/0?offset=0", content=data[:1000])  # its answer never came
            assert (lost.status_code, lost.json()) == (409, {"size": 1000})
            assert http.get(url).json()["files"][0]["arrived"] == 1000
            assert http.put(f"{url}/1?offset=0", content=b"x").status_code == 404
            home.post("/api/data/import", {"upload": upload["id"]}, 409)  # not all is here
            assert http.put(f"{url}/0?offset=1000", content=data[1000:] + b"x").status_code == 413
            assert http.put(f"{url}/0?offset=1000", content=data[1000:]).json() == {"size": 2560}
        [path] = home.space.uploads.glob("*/files/x/a.bin")
        assert path.read_bytes() == data
        assert path.stat().st_mode & 0o077 == 0
        with home.http() as http:
            http.delete(url)
            assert http.get(url).status_code == 404
            assert http.get("/api/uploads/nothing").status_code == 404
        assert not path.exists()


def test_what_is_no_chat_gives_one_line_and_is_not_kept(at_home: Browsing, home: Home) -> None:
    page = at_home.open("/data", viewport=PHONE)
    (home.space.root.parent / "song.mp3").write_bytes(b"ID3\x00" * 500)
    page.get_by_label("Files of an export").set_input_files(home.space.root.parent / "song.mp3")
    page.get_by_role("alert").filter(has_text="song.mp3: not a chat export").wait_for()
    assert list(home.space.uploads.glob("*")) == []


def test_a_dropped_export_is_read(at_home: Browsing, home: Home, tmp_path: Path) -> None:
    export = tmp_path / "holidays.jsonl"
    lines = [{**line, "channel": "holidays", "author": "Dora"} for line in walks(30)]
    export.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = at_home.open("/data")
    page.get_by_label("Files of an export").set_input_files(export)
    page.get_by_role("cell", name="Dora generic").wait_for(timeout=30_000)
    page.get_by_text("The samples are stale").wait_for()
    assert list(home.space.uploads.glob("*")) == []


def test_a_path_is_read_only_for_pages_on_this_machine(home: Home, tmp_path: Path) -> None:
    home.post("/api/data/import", {"path": str(tmp_path / "none")}, 400)
    (tmp_path / "-x.txt").write_text("no chat")
    job = home.post("/api/data/import", {"path": str(tmp_path / "-x.txt")}, 202)["job"]
    assert job["command"].startswith("myna import -- ")
    assert "not a chat export" in home.wait(job)["output"]


def test_consent_is_given_with_a_record_and_withdrawn(at_home: Browsing, home: Home) -> None:
    page = at_home.open("/data")
    row = page.locator("#people-rows tr").filter(has_text=HOSTILE)
    row.get_by_role("button", name="Agreed").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Who asked, how and when").fill("by me, --on the phone")
    dialog.get_by_label("talks to others as well").uncheck()
    dialog.get_by_text("myna people allow '--asked=by me, --on the phone' --scope=owner").wait_for()
    dialog.get_by_role("button", name="They agreed").click()
    row.get_by_text("may be cloned").wait_for(timeout=30_000)
    person = people.find_person(people.load(home.space.people_file), HOSTILE)
    assert person.record
    assert (person.record.asked, person.record.scope) == ("by me, --on the phone", ("owner",))
    row.get_by_role("button", name="Withdraw").click()
    dialog.get_by_role("button", name="Leave them out").click()
    row.get_by_text("left out").wait_for(timeout=30_000)
    assert people.find_person(people.load(home.space.people_file), HOSTILE).consent == "no"


def test_people_are_changed_as_the_command_does(home: Home) -> None:
    refused = home.post("/api/data/people", {"action": "allow", "name": "Ana"}, 400)
    assert "note who asked" in refused["error"]["message"]
    unknown = home.post("/api/data/people", {"action": "deny", "name": "Zoë"}, 409)
    assert "unknown person 'Zoë'" in unknown["error"]["message"]
    home.post("/api/data/people", {"action": "rename", "name": "Cy", "other": "--help"})
    found = home.get("/api/data/people")
    assert {one["person"] for one in found["people"]} == {"Ana", "Ben", "--help", HOSTILE}
    letter = home.get("/api/data/people/request", params={"name": "Ana"})["text"]
    assert letter.startswith("To Ana, ")


def test_a_filter_is_kept_in_the_settings_with_their_comments(home: Home) -> None:
    before = home.space.settings_file.read_text("utf-8")
    with home.http() as http:
        new = {"channels": ["!walks"], "since": "2024-01-01"}
        assert http.put("/api/data/filter", json=new).status_code == 200
        assert http.put("/api/data/filter", json={"since": "tomorrow"}).status_code == 409
    settings = home.space.settings().filter
    assert (settings.channels, settings.since) == (["!walks"], "2024-01-01")
    after = home.space.settings_file.read_text("utf-8")
    assert len(after.splitlines()) == len(before.splitlines())
    assert after.count("#") == before.count("#")


def test_samples_are_found_and_shown_with_what_is_trained(home: Home) -> None:
    everything = home.get("/api/data/samples?count=50")
    assert everything["total"] > 3
    kinds = {segment["kind"] for one in everything["samples"] for segment in one["segments"]}
    assert kinds >= {"context", "reply"}
    second = home.get("/api/data/samples?count=1&start=1")["samples"]
    assert second == everything["samples"][1:2]
    found = home.get("/api/data/samples", params={"search": "BEATS", "count": 50})
    assert 0 < found["total"] <= everything["total"]
    texts = ["".join(segment["text"] for segment in one["segments"]) for one in found["samples"]]
    assert all("beats" in text.lower() for text in texts)
    assert home.get("/api/data/samples?search=zzzz")["total"] == 0
    assert home.get("/api/data/audit")["fatal"] == []


def test_the_page_shows_all_of_it_and_no_text_is_markup(at_home: Browsing, home: Home) -> None:
    page = at_home.open("/data")
    page.get_by_role("img", name="168 messages").wait_for()
    page.get_by_text("every message and every character is accounted for").wait_for()
    page.locator("td.name").get_by_text(HOSTILE).first.wait_for()
    assert page.locator("main img").count() == 0
    page.get_by_placeholder("Search the samples").fill("soup")
    page.keyboard.press("Enter")
    page.locator(".sample .reply").first.wait_for()
    page.get_by_role("button", name="Check all").click()
    page.get_by_text("No problem in").wait_for(timeout=20_000)
    page.get_by_label("Count walks").uncheck()
    page.get_by_role("button", name="Keep this filter").click()
    page.get_by_text("Keep at least one channel").wait_for()
    assert serious(page) == []
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
