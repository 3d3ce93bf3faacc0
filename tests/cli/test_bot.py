"""`myna bot` in a terminal: what it says before it is anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Myna


@pytest.fixture
def friends(myna: Myna, monkeypatch: pytest.MonkeyPatch) -> Myna:
    """`myna` in an empty workspace, without a token."""
    monkeypatch.delenv("MYNA_DISCORD_TOKEN", raising=False)
    assert myna("new", "friends").status == 0
    return lambda *arguments: myna("-C", "friends", *arguments)


def test_without_a_token_it_says_where_to_get_one(friends: Myna) -> None:
    for option in ([], ["--invite"], ["--check"]):
        done = friends("bot", "discord", *option)
        assert done.status == 1
        assert done.err.startswith("myna: there is no bot token: take it from https://discord.com")
        assert len(done.err.splitlines()) == 1


def test_without_a_clone_it_says_how_to_make_one(
    friends: Myna, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYNA_DISCORD_TOKEN", "a.b.c")
    for command in (["discord"], ["irc", "--server", "127.0.0.1:1", "--channel", "#tea"]):
        done = friends("bot", *command)
        assert done.status == 1
        assert "there is no adapter 'group': make it with `myna train`" in done.err
        assert "a.b.c" not in done.err


def test_a_server_s_port_is_a_number(friends: Myna) -> None:
    done = friends("bot", "irc", "--server", "irc.test:x", "--channel", "#tea")
    assert done.status == 2
    assert done.err == "myna: --server irc.test:x: write it as HOST or HOST:PORT\n"


def test_off_and_on_are_one_file(friends: Myna, tmp_path: Path) -> None:
    switch = tmp_path / "friends" / "bots" / "OFF"
    assert friends("bot", "off").err == "the clones are silent. Next: myna bot on\n"
    assert switch.exists()
    assert friends("bot", "on").err == "the clones may speak\n"
    assert friends("bot", "on").status == 0
    assert not switch.exists()


def test_people_lists_those_who_opted_out(friends: Myna, tmp_path: Path) -> None:
    gone = {"account": "discord:7", "name": "ana", "person": "Ana", "at": "2024-05-01T10:00:00"}
    (tmp_path / "chat.jsonl").write_text('{"author": "Ana", "text": "hi"}\n', "utf-8")
    assert friends("import", "chat.jsonl", "--consent", "clone").status == 0
    (tmp_path / "friends" / "opt-outs.json").write_text(json.dumps([gone]), "utf-8")
    told = friends("people")
    assert (
        'ana (discord:7) opted out on 2024-05-01: the clone Ana is silent. myna people deny "Ana"'
    ) in told.err
    assert friends("people", "--json").json()["opted_out"] == [gone]
