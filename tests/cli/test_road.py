"""All stages with the real base: train, evaluate, chat, and their `status`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.conftest import run, start
from tests.training.cases import losses, make_base, workspace_of

from myna.artifacts import AdapterInfo
from myna.rooms.store import RoomStore
from myna.workspace import Workspace

pytestmark = pytest.mark.model
SHORT = ["--set", "train.num_train_epochs=0.5", "--set", "train.previews=1"]


@pytest.fixture(scope="module")
def trained(friends: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace with an adapter that has seen a little."""
    folder = tmp_path_factory.mktemp("trained") / "friends"
    shutil.copytree(friends, folder)
    settings = folder / "myna.toml"
    text = settings.read_text("utf-8")
    text = re.sub("max_new_tokens = .*", "max_new_tokens = 16", text)
    settings.write_text(re.sub("max_redraws = .*", "max_redraws = 1", text), "utf-8")
    done = run(folder, ["train", "--json", *SHORT])
    assert done.status == 0, done.err
    plan = done.json()
    assert plan["trained"]
    assert plan["tokens"] > 500
    assert "validation loss" in done.err
    return folder


def test_an_adapter_holds_all_that_talking_needs(trained: Path) -> None:
    adapter = trained / "adapters" / "group"
    assert {p.name for p in adapter.iterdir()} >= {
        "adapter_model.safetensors", "adapter_config.json", "adapter.json", "log.jsonl",
        "manifest.json",
    }  # fmt: skip
    info = AdapterInfo.load(Workspace(trained), "group")
    assert sorted(info.personas) == ["Ana", "Ben", "Cy"]
    assert info.format.samples.max_length == 128
    assert not list((trained / "adapters").glob(".*.training"))


def test_a_current_adapter_is_not_trained_again(trained: Path) -> None:
    done = run(trained, ["train", "--json", *SHORT])
    assert done.status == 0
    assert done.json()["trained"] is False


def test_the_clone_is_measured_against_its_base(trained: Path) -> None:
    done = run(trained, ["evaluate", "--json", "--items", "10", "--rooms", "1"])
    assert done.status == 0, done.err
    bits = done.json()["measures"]["bits_per_character"]
    assert bits["clone"]["value"] < bits["floor"]["value"]
    assert bits["people"].keys() == {"Ana", "Ben", "Cy"}
    status = run(trained, ["status", "--json"]).json()
    measured = next(s for s in status["stages"] if s["name"] == "evaluate")
    assert measured["state"] == "done"


def test_the_clones_talk_through_a_pipe(trained: Path) -> None:
    typed = "who wants soup\n/who Ana, Cy\n/talk 3\n/retry\n/as Ben\n/nonsense\n/quit\n"
    done = start(trained, ["chat", "--seed", "1"], typed)
    assert done.status == 0, done.err
    spoken = re.findall(r"^(\w+) \(clone\): ", done.out, re.MULTILINE)
    assert len(spoken) >= 5
    assert set(spoken) <= {"Ana", "Ben", "Cy"}
    assert "You are Ben now" in done.err
    assert "there is no command /nonsense" in done.err
    assert start(trained, ["chat", "--seed", "1"], typed).out == done.out


def test_a_chat_that_is_killed_can_be_resumed(trained: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "myna", "chat", "--as", "Eve", "--with", "Ana", "--seed", "1"],
        cwd=trained,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write("who wants soup\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() == "Eve: who wants soup"
    answer = process.stdout.readline().strip()
    process.stdin.write("so nobody\n")
    process.stdin.flush()
    store = RoomStore(Workspace(trained).rooms_file)
    *_, room = store.room_ids()
    while "so nobody" not in [message.text for message in store.messages(room)]:
        assert process.poll() is None
        time.sleep(0.05)
    store.close()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    done = start(trained, ["chat", "--room", "last"], "/forget\n")
    assert done.status == 0, done.err
    assert "In the room: Ana, Eve" in done.err
    lines = done.out.splitlines()
    assert lines[:2] == ["Eve: who wants soup", answer]
    assert "Eve: so nobody" in lines
    assert "New context: the personas no longer see the messages" in done.err


def test_the_last_room_must_exist(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "friends"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("rooms.sqlite*"))
    done = start(folder, ["chat", "--room", "last"], "")
    assert done.status == 1
    assert "there is no room to resume yet: start one with `myna chat`" in done.err
    assert start(folder, ["chat"], "").status == 0
    assert start(folder, ["chat", "--room", "last"], "").status == 1


def test_an_unknown_persona_is_one_clear_line(trained: Path) -> None:
    done = start(trained, ["chat", "--with", "Anna"])
    assert done.status != 0
    assert "unknown person 'Anna': did you mean Ana?" in done.err


def test_an_adapter_of_another_base_is_not_talked_to(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "friends"
    shutil.copytree(trained, folder)
    info = AdapterInfo.load(Workspace(folder), "group")
    replace(info, base_fingerprint="0" * 64).save(folder / "adapters" / "group")
    done = start(folder, ["chat"], "hello\n")
    assert done.status == 1
    assert "was trained on another smollm2-135m" in done.err


def test_status_names_what_a_changed_setting_makes_stale(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "friends"
    shutil.copytree(trained, folder)
    settings = folder / "myna.toml"
    settings.write_text(settings.read_text().replace("gap_minutes = 60", "gap_minutes = 30"))
    report = run(folder, ["status", "--json"]).json()
    prepared = next(s for s in report["stages"] if s["name"] == "prepare")
    assert prepared["state"] == "stale"
    assert any("conversations.gap_minutes is now 30" in r for r in prepared["reasons"])
    assert report["next"] == "myna prepare"
    refused = run(folder, ["train", "--force"])
    assert refused.status == 1
    assert "run `myna prepare`" in refused.err


def test_training_that_is_killed_resumes_exactly(tmp_path: Path) -> None:
    many = ["train.num_train_epochs=2", "train.batch_tokens=128", "train.checkpoint_every=0.1s"]
    unbroken = workspace_of(tmp_path / "unbroken", make_base(tmp_path / "tiny"), changes=many).root
    broken = tmp_path / "broken"
    shutil.copytree(unbroken, broken)
    process = subprocess.Popen(
        [sys.executable, "-m", "myna", "train"],
        cwd=broken,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    work = broken / "adapters" / ".group.training"
    while process.poll() is None and not list(work.glob("checkpoints/step-*")):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    assert run(broken, ["status", "--json"]).json()["next"] == "myna train"
    assert "resuming after step" in run(broken, ["train"]).err
    assert run(unbroken, ["train"]).status == 0
    whole, resumed = (losses(folder / "adapters" / "group") for folder in (unbroken, broken))
    assert resumed == pytest.approx(whole, abs=1e-3)
