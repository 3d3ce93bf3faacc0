"""The SQLite file of an outbox: its tables, and the lock of the bot that uses it.

The file has mode 0600 and is written durably (WAL, synchronous=FULL). Only one process can
open it: two bots of one platform in a workspace would post everything twice.
"""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from myna.errors import WorkspaceError

RETENTION = timedelta(days=30)
"""Age at which the rows of finished tasks and posts are deleted; their buttons then fail."""
SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE places (
  place TEXT PRIMARY KEY,
  names TEXT NOT NULL DEFAULT '{}',   -- account -> name in the room
  newest TEXT,                        -- key of the newest message that came by
  said INTEGER NOT NULL DEFAULT 0     -- the newest message of the room that has had a post
) STRICT;
CREATE TABLE tasks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  place TEXT NOT NULL REFERENCES places(place) ON DELETE CASCADE,
  key TEXT,
  person TEXT NOT NULL,
  text TEXT NOT NULL,
  answered INTEGER NOT NULL,          -- whether anybody may answer it
  speakers TEXT,                      -- who speaks, JSON; NULL before that is decided
  turns INTEGER NOT NULL DEFAULT 0,   -- turns yet to be drawn by chance
  heard INTEGER NOT NULL DEFAULT 0,   -- whether it stands in the room
  done INTEGER NOT NULL DEFAULT 0,
  at TEXT NOT NULL,
  UNIQUE (place, key)
) STRICT;
CREATE INDEX tasks_open ON tasks (place, id) WHERE NOT done;
CREATE TABLE posts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  place TEXT NOT NULL REFERENCES places(place) ON DELETE CASCADE,
  person TEXT NOT NULL,
  turn INTEGER NOT NULL,
  message INTEGER NOT NULL,           -- of the room
  text TEXT NOT NULL,
  last INTEGER NOT NULL,              -- whether it ends the turn
  state TEXT NOT NULL DEFAULT 'waiting',
  posted TEXT,                        -- its id on the platform
  why TEXT,                           -- it was dropped
  at TEXT NOT NULL
) STRICT;
CREATE INDEX posts_open ON posts (place, id) WHERE state IN ('waiting', 'sending');
CREATE INDEX posts_posted ON posts (place, posted);
CREATE TABLE spent (day TEXT PRIMARY KEY, tokens INTEGER NOT NULL) STRICT;
"""


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file, or create it; to be used by one thread.

    Raises:
        WorkspaceError: a bot is using it, it is no outbox or of a newer myna, or cannot be
            read or written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror}") from error
    database = sqlite3.connect(path, isolation_level=None, timeout=1)
    try:
        database.executescript(
            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            "PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON;"
        )
        [version] = database.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise WorkspaceError(f"{path} is of a newer myna: update myna")
        if version == 0:
            database.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version={SCHEMA_VERSION};COMMIT;")
        old = (datetime.now(UTC) - RETENTION).isoformat()
        database.execute("DELETE FROM tasks WHERE done AND at < ?", [old])
        database.execute("DELETE FROM posts WHERE state IN ('sent', 'dropped') AND at < ?", [old])
    except sqlite3.Error as error:
        database.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise WorkspaceError(
                f"{path} is in use: a bot of this workspace is running; stop it first (Ctrl-C)"
            ) from error
        raise WorkspaceError(
            f"{path} is no outbox of a bot ({error}): delete it (unposted messages are then lost)"
        ) from error
    except BaseException:
        database.close()
        raise
    return database
