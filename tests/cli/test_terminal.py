"""Hostile names on a terminal: nothing that it would obey reaches it, from any command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.bots.world import letters
from tests.cli.conftest import run

from myna.cli._terminal import one_line, visible

HOSTILE = (
    "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",  # a link
    "\x1b]0;owned\x07",  # the title of the window
    "\x1b[2J",  # clears the screen
    "\x9b31m",  # a colour, by one character of C1
    "\u202emoc.live\u2066",  # overrides of the writing direction
    "\rFORGED",
    "[red]red[/red]",
)
NAME = "x" + "".join(HOSTILE)
OWN = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|[0-9]*[AK])")
"""Colours, and what a progress bar needs."""


def test_what_a_terminal_obeys_is_shown_as_an_escape() -> None:
    assert visible("a\x1b[1m\x9b\u202e\udcff\n\tb é 🙂") == "a\\x1b[1m\\x9b\\u202e\\udcff\n\tb é 🙂"
    assert one_line("a\nb") == "a\\nb"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chats whose people, channels, texts and file all have hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    letters(folder / "tiny")
    config = {"eos_token_id": 256, "max_position_embeddings": 512}
    (folder / "tiny" / "config.json").write_text(json.dumps(config), "utf-8")
    rows = [
        {
            "author": f"{name}{NAME}",
            "channel": f"tea{NAME}\nFORGED",
            "text": f"{number} {NAME}\nFORGED",
            "timestamp": f"2024-05-01T10:{number // 60:02}:{number % 60:02}Z",
        }
        for number in range(120)
        for name in ("Ana", "Ben")
    ]
    exports = folder / "exports"
    exports.mkdir()
    name = NAME.replace("/", "-")
    (exports / f"{name}\nFORGED.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (exports / f"broken{name}.json").write_text("[{")
    run(folder, ["new", "friends", "--base", str(folder / "tiny")])
    return folder / "friends"


def on_a_terminal(folder: Path, *line: str) -> str:
    """All that a command writes to a terminal."""
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "myna", *line],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        env={**os.environ, "COLUMNS": "200", "TERM": "xterm-256color"},
    ) as process:  # fmt: skip
        os.close(theirs)
        out = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the command has ended
                break
            if not chunk:
                break
            out += chunk
        process.wait()
    os.close(ours)
    return out.decode("utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_no_command_passes_them_on(workspace: Path) -> None:
    for line in (
        ["import", "../exports", "--consent", "clone"],
        ["channels"], ["channels", "--json"],
        ["people"], ["people", "--json"],
        ["people", "allow", NAME],
        ["prepare"], ["prepare", "--json"],
        ["inspect", "0"], ["inspect", "--json"], ["inspect", "--audit"],
        ["status"], ["status", "--adapter", f"a{NAME}\nFORGED"],
        ["export", "sharegpt", "--everyone"], ["export", f"x{NAME}"],
        ["chat", "--adapter", f"a{NAME}\nFORGED"],
    ):  # fmt: skip
        shown = on_a_terminal(workspace, *line)
        assert shown, line
        plain = OWN.sub("", shown)
        for hostile in ("\x1b", "\x07", "\x9b", "\u202e", "\u2066"):
            assert hostile not in plain, (line, plain)
        if line[0] != "inspect":  # which shows messages with their lines
            assert not re.search(r"[\r\n] *FORGED", plain), (line, plain)
        if "--json" in line:
            start = re.search(r"^[\[{]", plain, re.MULTILINE)
            assert start, (line, plain)
            json.loads(plain[start.start() :])
