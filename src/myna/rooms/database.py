"""An SQLite file that loses nothing: killed at any time, what was written is there.

The file has mode 0600. It is in WAL mode, and each change is on the disk before it returns
(synchronous=FULL): a kill loses nothing, and neither does a power cut.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from myna.errors import WorkspaceError


class Database:
    """The file `path`, which is made with the tables of `schema` if it is not there.

    May be used from several threads, and by several processes.

    Raises:
        WorkspaceError: the file is no such database, of a newer version, or cannot be written.
    """

    def __init__(self, path: Path, schema: str, version: int) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._changing = False
        try:
            # SQLite gives its journal the file's own mode, so the file is made first.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise WorkspaceError(f"cannot write {path}: {error.strerror}") from error
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            with self._clear():
                self._prepare(schema, version)
                self._seen = self._data_version()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, schema: str, version: int) -> None:
        run = self._connection.execute
        run("PRAGMA busy_timeout = 10000")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA foreign_keys = ON")
        run("PRAGMA secure_delete = ON")  # what is erased is overwritten
        with self.change():
            found = run("PRAGMA user_version").fetchone()[0]
            if found > version:
                raise WorkspaceError(f"{self.path} was made by a newer myna: update this one")
            if found == 0:
                for statement in schema.split(";"):
                    run(statement)
                run(f"PRAGMA user_version = {version}")

    def close(self) -> None:
        """Close the file; it is of no use afterwards."""
        with self._lock:
            self._connection.close()

    def all(self, query: str, *values: Any) -> list[Any]:
        """All rows that a query gives."""
        with self._lock, self._clear():
            return self._connection.execute(query, values).fetchall()

    def one(self, query: str, *values: Any) -> Any:
        """The first row that a query gives; None where there is none."""
        return next(iter(self.all(query, *values)), None)

    @contextmanager
    def change(self) -> Iterator[None]:
        """A transaction, on the disk when it ends; one inside another is part of it."""
        with self._lock, self._clear():
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
        """Have what was erased leave the journal too, if nobody is reading just now."""
        self.all("PRAGMA wal_checkpoint(TRUNCATE)")

    def changed_elsewhere(self) -> bool:
        """Whether another process wrote something since this was asked last."""
        with self._lock, self._clear():
            before, self._seen = self._seen, self._data_version()
            return self._seen != before

    def _data_version(self) -> int:
        """SQLite's own count of others' changes: its documentation, "PRAGMA data_version"."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def _clear(self) -> Iterator[None]:
        """Turn what SQLite says into one line."""
        try:
            yield
        except sqlite3.Error as error:
            raise WorkspaceError(
                f"{self.path} cannot be used: {error}; where it is damaged, move it away"
            ) from error
