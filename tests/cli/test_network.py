"""A clone is trained, talked to and served without a word to anybody else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import pytest
from tests.training.cases import make_base, workspace_of

from myna.workspace import Workspace

QUICK = ["--set", "train.num_train_epochs=0.1", "--set", "train.validations=0"]
TALK = ["--set", "chat.engine=transformers", "--set", "chat.max_new_tokens=4"]
GUARD = """
import ipaddress, os, socket, sys

def check(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        local = not isinstance(address, tuple) or ipaddress.ip_address(address[0]).is_loopback
    elif event == "socket.getaddrinfo":
        local = arguments[0] in (None, "", "localhost", "127.0.0.1", "::1", b"127.0.0.1")
    else:
        return
    if not local:
        with open(os.environ["TALKED"], "a") as out:
            print(event, arguments, file=out)
        raise OSError(f"{event} {arguments}: nobody is to be talked to")

sys.addaudithook(check)
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("network")
    return workspace_of(folder / "friends", make_base(folder / "tiny"))


@pytest.fixture
def guarded(tmp_path: Path) -> dict[str, str]:
    """An environment in which any connection but to this machine fails, and is written down."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    paths = [str(tmp_path / "guard"), *filter(None, [os.environ.get("PYTHONPATH")])]
    talked = str(tmp_path / "talked")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TALKED": talked}


def namespace() -> list[str]:
    """The words before a command that give it a network of its own, without any other machine."""
    words = ["unshare", "--user", "--map-root-user", "--net"]
    can = shutil.which("unshare") and subprocess.run(
        [*words, "true"], capture_output=True, check=False
    ).returncode == 0  # fmt: skip
    return words if can else []


def test_the_guard_guards(guarded: dict[str, str], tmp_path: Path) -> None:
    code = "import urllib.request; urllib.request.urlopen('http://example.invalid')"
    done = subprocess.run([sys.executable, "-c", code], env=guarded, check=False, stderr=-3)
    assert done.returncode
    assert "example.invalid" in (tmp_path / "talked").read_text()


def test_training_and_talking_talk_to_nobody(
    prepared: Workspace, guarded: dict[str, str], tmp_path: Path
) -> None:
    start = [*namespace(), sys.executable, "-m", "myna", "-C", str(prepared.root)]
    for line in (["train", *QUICK], ["chat", *TALK]):
        done = subprocess.run(
            [*start, *line], env=guarded, input="hi\n", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "talked").exists(), (tmp_path / "talked").read_text()


def test_a_server_answers_and_talks_to_nobody_else(
    prepared: Workspace, guarded: dict[str, str], tmp_path: Path
) -> None:
    line = ["-C", str(prepared.root), "serve", "--port", "0", "--json", *TALK]
    with subprocess.Popen(
        [sys.executable, "-m", "myna", *line], env=guarded, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        told = ""
        while not told.endswith("}\n"):
            told += server.stdout.readline()
        url = json.loads(told)["url"]
        body = {"model": "Ana", "messages": [{"role": "user", "content": "hi"}]}
        answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60, trust_env=False)
        server.terminate()
    assert answer.status_code == 200
    assert not (tmp_path / "talked").exists(), (tmp_path / "talked").read_text()
