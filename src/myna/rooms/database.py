"""An SQLite file in which each change is on the disk before it returns.

The file has mode 0600 and is in WAL mode with synchronous=FULL: neither a killed process nor
a power cut loses anything.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from myna.errors import WorkspaceError


class Database:
    """The file `path`, created with the tables of `schema` if it is not there.

    `upgrades` are the statements that bring a file from version 1 to 2, from 2 to 3 and so on.
    May be used from several threads, and by several processes.

    Raises:
        WorkspaceError: the file is no such database, has a newer version, or cannot be written.
    """

    def __init__(self, path: Path, schema: str, version: int, upgrades: Sequence[str] = ()) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._changing = False
        try:
            # SQLite gives its journal the file's own mode, so the file is created first.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise WorkspaceError(f"cannot write {path}: {error.strerror}") from error
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            with self._clear_errors():
                self._prepare(schema, version, upgrades)
                self._seen = self._data_version()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, schema: str, version: int, upgrades: Sequence[str]) -> None:
        run = self._connection.execute
        run("PRAGMA busy_timeout = 10000")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA foreign_keys = ON")
        run("PRAGMA secure_delete = ON")  # overwrite erased data
        with self.change():
            written = run("PRAGMA user_version").fetchone()[0]
            if written > version:
                raise WorkspaceError(f"{self.path} was written by a newer myna: update this one")
            if written < version:
                for script in upgrades[written - 1 :] if written else [schema]:
                    for statement in script.split(";"):
                        run(statement)
                run(f"PRAGMA user_version = {version}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def all(self, query: str, *values: Any) -> list[Any]:
        """All rows of a query's result."""
        with self._lock, self._clear_errors():
            return self._connection.execute(query, values).fetchall()

    def one(self, query: str, *values: Any) -> Any:
        """The first row of a query's result, or None."""
        return next(iter(self.all(query, *values)), None)

    @contextmanager
    def change(self) -> Iterator[None]:
        """Run a transaction, on the disk when it ends; an inner one is part of the outer."""
        with self._lock, self._clear_errors():
            if self._changing:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._changing = True
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._changing = False

    def overwrite(self) -> None:
        """Remove erased data from the journal too, unless another process is reading."""
        self.all("PRAGMA wal_checkpoint(TRUNCATE)")

    def changed_elsewhere(self) -> bool:
        """Check if another process wrote something since the last call."""
        with self._lock, self._clear_errors():
            before, self._seen = self._seen, self._data_version()
            return self._seen != before

    def _data_version(self) -> int:
        """SQLite's own count of others' changes: its documentation, "PRAGMA data_version"."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Raise SQLite's errors as `WorkspaceError`."""
        try:
            yield
        except sqlite3.Error as error:
            raise WorkspaceError(
                f"{self.path} cannot be used: {error}; where it is damaged, move it away"
            ) from error
