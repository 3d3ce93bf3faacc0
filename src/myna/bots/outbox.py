"""The work of a bot in one SQLite file: received messages, and posts that wait.

Every task and post has a row before it is worked on. After a kill, the next process
continues there: each received message is answered once, each post is posted once.

    task   work in a channel: a message to store and answer, or a turn that was asked for
    post   a message of a clone, or a piece of a long one, on its way to the platform

The texts of finished work are deleted. To be used by one thread.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from myna.bots import outbox_file
from myna.people import Person
from myna.rooms.store import RoomStore
from myna.workspace import Workspace

_CLONE_TALK = "(key IS NULL AND turns > 0)"
PostState = Literal["waiting", "sending", "sent", "dropped"]


@dataclass(frozen=True)
class ChannelTask:
    """Work to do in a channel."""

    id: int
    channel_id: str
    key: str | None
    """The message's id on the platform; None for the task of a command."""
    person: str
    text: str
    may_answer: bool
    speakers: tuple[str, ...] | None
    """Personas that take the next turns; None: not chosen yet."""
    turns: int
    """Further turns, whose speakers are drawn at random."""
    is_stored: bool
    """True once the message is stored in the room."""


@dataclass(frozen=True)
class Post:
    """A message on its way to the platform, or posted there."""

    id: int
    channel_id: str
    person: str
    turn: int
    message: int
    """Id of the room's message."""
    text: str
    ends_turn: bool
    state: PostState
    platform_id: str | None
    """Id on the platform; None before it is posted."""


class Outbox:
    """The outbox in the file `path`, which is created if it does not exist.

    Raises:
        WorkspaceError: as `outbox_file.open_database`.
    """

    def __init__(self, path: Path) -> None:
        self._db = outbox_file.open_database(path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._db.execute(statement, values)

    def _value(self, query: str, *values: Any) -> Any:
        """The first column of the first row; None if there is none."""
        row = self._run(query, *values).fetchone()
        return row[0] if row else None

    def add_channel(self, channel_id: str) -> None:
        """Add a channel in which there are clones."""
        self._run("INSERT OR IGNORE INTO places (place) VALUES (?)", channel_id)

    def remove_channel(self, channel_id: str) -> None:
        """Remove a channel with all its tasks and posts."""
        self._run("DELETE FROM places WHERE place = ?", channel_id)

    def channels(self) -> list[str]:
        """The ids of the channels in which there are clones."""
        return [channel_id for [channel_id] in self._run("SELECT place FROM places ORDER BY rowid")]

    def newest_key(self, channel_id: str) -> str | None:
        """The key of the newest message that was seen in a channel."""
        key: str | None = self._value("SELECT newest FROM places WHERE place = ?", channel_id)
        return key

    def skip_message(self, channel_id: str, key: str) -> None:
        """Note a message that is not read, now or after a restart."""
        self._run("UPDATE places SET newest = ? WHERE place = ?", key, channel_id)

    def names(self, channel_id: str) -> dict[str, str]:
        """The names in a channel's room, by account."""
        names = self._value("SELECT names FROM places WHERE place = ?", channel_id)
        by_account: dict[str, str] = json.loads(names or "{}")
        return by_account

    def _set_names(self, channel_id: str, names: dict[str, str]) -> None:
        text = json.dumps(names, ensure_ascii=False)
        self._run("UPDATE places SET names = ? WHERE place = ?", text, channel_id)

    def set_name(self, channel_id: str, account: str, name: str) -> None:
        """Set an account's name in a channel's room."""
        self._set_names(channel_id, self.names(channel_id) | {account: name})

    def names_of(self, accounts: Collection[str]) -> dict[str, list[str]]:
        """The names of these accounts, by channel; channels without any are left out."""
        names = {channel_id: self.names(channel_id) for channel_id in self.channels()}
        matches = {id_: [own[a] for a in accounts if a in own] for id_, own in names.items()}
        return {channel_id: own for channel_id, own in matches.items() if own}

    def erase(self, accounts: Collection[str], persona: str = "") -> None:
        """Erase all messages of these accounts, and all posts and turns of a persona."""
        with self._db:
            self._run("BEGIN")
            for channel_id, names in self.names_of(accounts).items():
                self._run(
                    "DELETE FROM tasks WHERE place = ? AND person IN "
                    "(SELECT value FROM json_each(?))",
                    channel_id,
                    json.dumps(names),
                )
                left = {a: n for a, n in self.names(channel_id).items() if a not in accounts}
                self._set_names(channel_id, left)
            self._run("DELETE FROM posts WHERE person = ?", persona)
            self._run(
                "UPDATE tasks SET speakers = (SELECT json_group_array(value) FROM "
                "json_each(speakers) WHERE value != ?) WHERE speakers IS NOT NULL",
                persona,
            )
        self._run("PRAGMA wal_checkpoint(TRUNCATE)")  # the journal contains their texts too

    def add_task(
        self,
        channel_id: str,
        *,
        key: str | None = None,
        person: str = "",
        text: str = "",
        may_answer: bool = True,
        speakers: Sequence[str] | None = None,
        turns: int = 0,
    ) -> bool:
        """Add a task; False if there was a message of this key before."""
        chosen = None if speakers is None else json.dumps(list(speakers))
        with self._db:
            self._run("BEGIN")
            row = (channel_id, key, person, text, may_answer, chosen, turns, not text, _now())
            added = self._run(
                "INSERT OR IGNORE INTO tasks (place, key, person, text, answered, speakers, "
                "turns, heard, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *row,
            ).rowcount
            if added and key is not None:
                self.skip_message(channel_id, key)
        return bool(added)

    def new_messages(self, channel_id: str) -> list[ChannelTask]:
        """The received messages that are not stored in the room yet, in order."""
        return self._tasks("place = ? AND NOT heard AND NOT done", channel_id)

    def next_task(self, channel_id: str) -> ChannelTask | None:
        """The next task of a channel; talk among clones comes last."""
        tasks = self._tasks("place = ? AND NOT done", channel_id, f"{_CLONE_TALK}, id LIMIT 1")
        return tasks[0] if tasks else None

    def has_clone_talk(self, channel_id: str) -> bool:
        """True while clones talk among themselves in a channel."""
        return bool(self._tasks(f"place = ? AND NOT done AND {_CLONE_TALK}", channel_id))

    def count_open_tasks(self, channel_id: str) -> int:
        """The number of unfinished tasks of a channel."""
        query = "SELECT count(*) FROM tasks WHERE place = ? AND NOT done"
        return int(self._value(query, channel_id))

    def mark_stored(self, task: ChannelTask) -> None:
        """Note that a message is stored in the room, and delete its text here."""
        self._run("UPDATE tasks SET heard = 1, text = '' WHERE id = ?", task.id)

    def set_speakers(self, task: ChannelTask, speakers: Sequence[str], turns: int) -> None:
        """Set the speakers of a task, and the number of turns to be drawn after them."""
        statement = "UPDATE tasks SET speakers = ?, turns = ? WHERE id = ?"
        self._run(statement, json.dumps(list(speakers)), turns, task.id)

    def finish_task(self, task: ChannelTask) -> None:
        """Finish a task."""
        self._run("UPDATE tasks SET done = 1, heard = 1, text = '' WHERE id = ?", task.id)

    def edit_message(self, channel_id: str, key: str, text: str) -> bool:
        """Change the text of a message; False if it is already stored in the room."""
        statement = (
            "UPDATE tasks SET text = ? WHERE place = ? AND key = ? AND NOT heard AND NOT done"
        )
        return bool(self._run(statement, text, channel_id, key).rowcount)

    def cancel_message(self, channel_id: str, key: str) -> None:
        """Finish the task of a deleted message."""
        statement = "UPDATE tasks SET done = 1, heard = 1, text = '' WHERE place = ? AND key = ?"
        self._run(statement, channel_id, key)

    def add_posts(
        self,
        task: ChannelTask,
        posts: Iterable[tuple[str, int, int, str, bool]],
        *,
        speakers: Sequence[str],
        turns: int,
        tokens: int,
    ) -> None:
        """Add the posts of a complete turn, and advance its task, in one transaction.

        Args:
            task: the task of the turn.
            posts: person, turn, the room's message id, text, True for the last of the turn.
            speakers: the speakers that are left.
            turns: the number of turns to be drawn after them.
            tokens: the number of tokens of the turn.
        """
        with self._db:
            self._run("BEGIN")
            posts = list(posts)
            newest = max((message for _, _, message, _, _ in posts), default=0)
            statement = "UPDATE places SET said = max(said, ?) WHERE place = ?"
            self._run(statement, newest, task.channel_id)
            self._db.executemany(
                "INSERT INTO posts (place, person, turn, message, text, last, at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(task.channel_id, *post, _now()) for post in posts],
            )
            self.set_speakers(task, speakers, turns)
            self._run(
                "INSERT INTO spent VALUES (?, ?) "
                "ON CONFLICT (day) DO UPDATE SET tokens = tokens + excluded.tokens",
                _now()[:10],
                tokens,
            )

    def next_post(self, channel_id: str) -> Post | None:
        """The next message to be posted in a channel."""
        return self._post("place = ? AND state IN ('waiting', 'sending')", channel_id)

    def mark_sending(self, post: Post) -> None:
        """Note that a message may be posted from now on."""
        self._run("UPDATE posts SET state = 'sending' WHERE id = ?", post.id)

    def mark_sent(self, post: Post, platform_id: str) -> bool:
        """Note the id of a posted message; False if it was dropped meanwhile."""
        self._run(
            "UPDATE posts SET state = iif(state = 'sending', 'sent', state), posted = ?, text = '' "
            "WHERE id = ?",
            platform_id,
            post.id,
        )
        current = self.get_post(post.id)
        return current is not None and current.state == "sent"

    def drop_post(self, post: Post, reason: str) -> None:
        """Drop a message: it is not posted, or deleted."""
        statement = "UPDATE posts SET state = 'dropped', why = ?, text = '' WHERE id = ?"
        self._run(statement, reason, post.id)

    def drop_everything(self, reason: str) -> None:
        """Drop all posts that wait, and answer no message received before."""
        with self._db:
            self._run("BEGIN")
            self._run("UPDATE tasks SET done = 1, text = '' WHERE NOT done AND heard")
            self._run("UPDATE tasks SET answered = 0 WHERE NOT done")
            self._run(
                "UPDATE posts SET state = 'dropped', why = ?, text = '' WHERE state = 'waiting'",
                reason,
            )

    def get_post(self, post_id: int) -> Post | None:
        """A post by its id."""
        return self._post("id = ?", post_id)

    def find_post(self, channel_id: str, platform_id: str) -> Post | None:
        """A post by its id on the platform."""
        return self._post("place = ? AND posted = ?", channel_id, platform_id)

    def turn_posts(self, channel_id: str, turn: int) -> list[Post]:
        """The posts of a turn, in order."""
        return self._posts("place = ? AND turn = ?", channel_id, turn)

    def newest_post(self, channel_id: str) -> Post | None:
        """The newest post of a channel that is not dropped."""
        return self._post("place = ? AND state != 'dropped'", channel_id, order="id DESC")

    def newest_posted_message(self, channel_id: str) -> int:
        """The id of the room's newest message that has had a post; 0 if there is none."""
        return self._value("SELECT said FROM places WHERE place = ?", channel_id) or 0

    def known_ids(self, channel_id: str, ids: Sequence[str]) -> set[str]:
        """Those of these ids on the platform that belong to known posts."""
        marks = ", ".join("?" * len(ids))
        query = f"SELECT posted FROM posts WHERE place = ? AND posted IN ({marks})"  # noqa: S608
        return {platform_id for [platform_id] in self._run(query, channel_id, *ids)}

    def tokens_today(self) -> int:
        """The number of tokens generated today (in UTC)."""
        return self._value("SELECT tokens FROM spent WHERE day = ?", _now()[:10]) or 0

    def count_messages(self, channel_id: str) -> dict[str, int]:
        """The numbers of a channel's messages: heard, sent, dropped, waiting."""
        heard = "SELECT count(*) FROM tasks WHERE place = ? AND key IS NOT NULL AND heard"
        states = "SELECT state, count(*) FROM posts WHERE place = ? GROUP BY state"
        counts = dict(self._run(states, channel_id).fetchall())
        return {
            "heard": self._value(heard, channel_id),
            "sent": counts.get("sent", 0),
            "dropped": counts.get("dropped", 0),
            "waiting": counts.get("waiting", 0) + counts.get("sending", 0),
        }

    def _tasks(self, where: str, channel_id: str, order: str = "id") -> list[ChannelTask]:
        rows = self._run(
            "SELECT id, place, key, person, text, answered, speakers, turns, heard "  # noqa: S608
            f"FROM tasks WHERE {where} ORDER BY {order}",
            channel_id,
        )
        tasks = []
        for id_, place, key, person, text, may_answer, chosen, turns, is_stored in rows:
            speakers = None if chosen is None else tuple(json.loads(chosen))
            rest = speakers, turns, bool(is_stored)
            tasks.append(ChannelTask(id_, place, key, person, text, bool(may_answer), *rest))
        return tasks

    def _post(self, where: str, *values: Any, order: str = "id") -> Post | None:
        posts = self._posts(where, *values, order=f"{order} LIMIT 1")
        return posts[0] if posts else None

    def _posts(self, where: str, *values: Any, order: str = "id") -> list[Post]:
        rows = self._run(
            "SELECT id, place, person, turn, message, text, last, state, posted "  # noqa: S608
            f"FROM posts WHERE {where} ORDER BY {order}",
            *values,
        )
        return [
            Post(id_, place, person, turn, message, text, bool(ends_turn), state, platform_id)
            for id_, place, person, turn, message, text, ends_turn, state, platform_id in rows
        ]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def forget_in_rooms(workspace: Workspace, person: Person) -> int:
    """Erase a person's messages and their clone's in all rooms; return how many.

    Names in a bot's rooms may differ from those in people.toml: its outbox has them.

    Raises:
        WorkspaceError: a bot of this workspace is running, or a file cannot be used.
    """
    with ExitStack() as files:
        outboxes = {
            path.stem: files.enter_context(closing(Outbox(path)))
            for path in sorted(workspace.bots.glob("*.sqlite"))
        }
        if not outboxes and not workspace.rooms_file.exists():
            return 0
        store = files.enter_context(closing(RoomStore(workspace.rooms_file)))
        erased = store.erase_person({person.name, person.display_name})
        for platform, outbox in outboxes.items():
            for channel_id, names in outbox.names_of(person.accounts).items():
                erased += store.erase_person(names, f"{platform}:{channel_id}")
            outbox.erase(person.accounts, person.display_name)
    return erased
