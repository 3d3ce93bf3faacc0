"""Temporary files and folders, and clearing what killed processes left of them.

Each stands beside what it will replace, under a name that begins with a dot, and is locked as
long as its process lives: a file itself, a folder by a file beside it. The system takes a lock
away from a dead process, so what is not locked is a leftover, however young. It may hold text
of chats, of people who are forgotten since.

    .NAME.new-XXXXXXXX         a file or folder that will be NAME
    .NAME.new-XXXXXXXX.lock    the lock of such a folder
    .NAME.old                  a folder that is being replaced
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_NAME = re.compile(r"\.(?P<target>.+)\.(?:new-[a-z0-9_]{8}(?P<lock>\.lock)?|old)", re.DOTALL)
_EARLIER = re.compile(r"\.parts-\w+")
"""Names that folders of earlier versions have."""
MAX_DEPTH = 4
"""Folders below a workspace in which temporary files are made: adapters/.X.training/checkpoints."""


@contextlib.contextmanager
def temporary_file(target: Path) -> Iterator[Path]:
    """A file beside `target` to write, of mode 0600; gone afterwards, unless it was renamed."""
    with temporary_folder(target) as folder:
        file = folder / target.name
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
        yield file


@contextlib.contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target` to write in; gone afterwards, unless it was renamed."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in target.parent.glob(f".{glob.escape(target.name[:80])}.new-*"):
        _clear_entry(left, is_folder=left.is_dir() and not left.is_symlink())
    lock, path = _locked_file(target, ".lock")
    new = Path(path.removesuffix(".lock"))
    try:
        new.mkdir(mode=0o700)
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)
        # Windows deletes no open file, and elsewhere nobody else may take the name before.
        if sys.platform == "win32":
            os.close(lock)
        Path(path).unlink(missing_ok=True)
        if sys.platform != "win32":
            os.close(lock)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = _locked_file(path)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            if sys.platform != "win32":
                Path(temporary).replace(path)
        if sys.platform == "win32":  # which renames no open file
            Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _locked_file(target: Path, suffix: str = "") -> tuple[int, str]:
    """A new locked file beside `target`: its handle and path."""
    while True:
        handle, path = tempfile.mkstemp(suffix, f".{target.name[:80]}.new-", target.parent)
        # Until it is locked, another process may take it for a leftover.
        if _try_lock(handle) and os.fstat(handle).st_nlink:
            return handle, path
        os.close(handle)


def is_being_written(target: Path) -> bool:
    """True if a live process is about to replace the folder `target`."""
    pattern = f".{glob.escape(target.name[:80])}.new-*.lock"
    return any(is_locked(lock) for lock in target.parent.glob(pattern))


def clear(root: Path) -> None:
    """Delete what dead processes left in a folder and those below it; live ones keep theirs.

    A folder `.NAME.old` is kept where NAME is missing: it is the last whole one.
    """
    folders = [(root, MAX_DEPTH)]
    while folders:
        folder, below = folders.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in list(entries):
                is_folder = entry.is_dir(follow_symlinks=False)
                is_known = _clear_entry(Path(entry.path), is_folder=is_folder)
                if is_folder and below and not is_known:
                    folders.append((Path(entry.path), below - 1))


def _clear_entry(path: Path, *, is_folder: bool) -> bool:
    """Delete a file or folder if it is a leftover; False if it is none that myna made."""
    match = _NAME.fullmatch(path.name)
    if match is None and not (is_folder and _EARLIER.fullmatch(path.name)):
        return False
    if match is None or _is_leftover(path, match, is_folder=is_folder):
        _delete(path, is_folder=is_folder)
    return True


def _is_leftover(path: Path, match: re.Match[str], *, is_folder: bool) -> bool:
    if path.name.endswith(".old"):
        return is_folder and path.with_name(match["target"]).is_dir()
    if match["lock"]:
        folder = path.with_name(path.name.removesuffix(".lock"))
        return not folder.exists() and not is_locked(path)
    return not is_locked(path.with_name(f"{path.name}.lock") if is_folder else path)


def is_locked(path: Path) -> bool:
    """True if a live process has locked a file."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Lock a file, which is made if it is missing; False if another process has locked it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        yield _try_lock(handle)
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    """Lock a file until it is closed; False if another process has locked it."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _delete(path: Path, *, is_folder: bool) -> None:
    if is_folder:
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
