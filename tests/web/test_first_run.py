"""The first run: from an empty workspace to a reply, without a terminal."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chats import walks
from tests.web.conftest import PHONE, Browsing, Home, serious

from myna.workspace import Workspace, create

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Workspace, str]]:
    """An empty workspace, and the address of `myna serve` in it: the program itself."""
    space = create(tmp_path / "friends")
    process = subprocess.Popen(
        [sys.executable, "-m", "myna", "serve", "--port", "0"],
        cwd=space.root,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(r"http://[\d.:]+", line):
            break
    else:
        pytest.fail("".join(lines))
    drain = threading.Thread(target=process.stderr.read, daemon=True)
    drain.start()
    yield space, found[0]
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    drain.join(5)
    process.stderr.close()


def test_the_walk_tells_where_a_workspace_is(home: Home) -> None:
    walk = home.get("/api/start")
    assert (walk["has_messages"], walk["has_clone"], walk["is_served"]) == (True, True, True)
    assert sorted(walk["agreed"]) == ["Ana", "Ben", "Cy"]
    home.post("/api/start/make", {"budget": "soon"}, 409)
    refused = home.post("/api/start/demo", {}, 409)["error"]["message"]
    assert "this workspace has chats already" in refused
    home.post("/api/start/open", {}, 409)  # this server cannot begin again


def test_an_empty_workspace_leads_to_the_walk(
    served: tuple[Workspace, str], browse: Browsing, tmp_path: Path
) -> None:
    """Up to the training; the next test goes on to the reply."""
    space, browse.url = served
    export = tmp_path / "walks.jsonl"
    export.write_text("".join(json.dumps(line) + "\n" for line in walks(120)))
    page = browse.open("/", viewport=PHONE)
    page.wait_for_url("**/start")
    page.get_by_role("button", name="Try it with Apollo 11").wait_for()
    assert serious(page) == []
    page.get_by_label("Files of an export").set_input_files(export)
    page.get_by_role("button", name="That is me").wait_for(timeout=30_000)
    page.locator("#you-list").get_by_label("Ben").check()
    page.get_by_role("button", name="That is me").click()
    page.locator("#agreed-list").get_by_label("Ana").check(timeout=30_000)
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("Write down who asked them").wait_for()
    page.get_by_label("Who asked them").fill("by me, at the lake")
    assert serious(page) == []
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("myna prepare && myna train --budget=4m").wait_for(timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.reload()  # a closed tab comes back to the same step
    page.get_by_role("button", name="Make the clone").wait_for()
    assert 'consent = "clone"' in space.people_file.read_text("utf-8")


@pytest.mark.model
def test_from_an_export_to_a_reply(
    served: tuple[Workspace, str], browse: Browsing, tmp_path: Path
) -> None:
    """With the embedded base, and a budget of seconds."""
    space, browse.url = served
    export = tmp_path / "walks.jsonl"
    export.write_text("".join(json.dumps(line) + "\n" for line in walks(120)))
    text = space.settings_file.read_text("utf-8").replace("# max_length = 512", "max_length = 128")
    text = text.replace("# batch_tokens = 1024", "batch_tokens = 256")
    space.settings_file.write_text(text, "utf-8")
    page = browse.open("/")
    page.get_by_label("Files of an export").set_input_files(export)
    page.get_by_role("button", name="That is me").click(timeout=60_000)
    page.get_by_role("button", name="Go on").click(timeout=60_000)
    page.evaluate("document.querySelector('[name=budget]').value = '3s'")
    page.get_by_label("2 minutes").check(timeout=60_000)
    page.get_by_role("button", name="Make the clone").click()
    page.get_by_role("button", name="Talk with it").click(timeout=240_000)
    page.wait_for_url(f"{browse.url}/", timeout=120_000)
    answer = page.evaluate(
        """async () => {
            const send = (path, body) => fetch(path, { method: "POST", body: JSON.stringify(body),
                headers: { "Content-Type": "application/json" } }).then((found) => found.json());
            await send("/api/rooms", { id: "first", humans: ["Me"] });
            await send("/api/rooms/first/say", { person: "Me", text: "who is coming" });
            return send("/api/rooms/first/speak", {});
        }"""
    )
    assert answer["messages"], answer
    assert (space.adapter("group") / "log.jsonl").exists()
