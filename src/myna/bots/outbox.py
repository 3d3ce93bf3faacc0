"""What a bot has heard and has still to say, in one SQLite file.

Everything has its row before it is done, so that after a kill the bot goes on where it
was: a message that was heard is answered once, and one that a clone said is posted once.

    task   something to do in a place: a message to hear, a persona to let talk
    post   a message of a clone, or a piece of a long one, on its way to the platform

Of what is done no words stay here. To be used by one thread.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from myna.bots import outbox_file

_TALK = "(key IS NULL AND turns > 0)"
State = Literal["waiting", "sending", "sent", "dropped"]


@dataclass(frozen=True)
class Task:
    """Something to do in a place."""

    id: int
    place: str
    key: str | None
    """The message's id on the platform; None for what a command asked for."""
    person: str
    text: str
    answered: bool
    speakers: tuple[str, ...] | None
    turns: int
    heard: bool


@dataclass(frozen=True)
class Post:
    """A message on its way to the platform, or posted there."""

    id: int
    place: str
    person: str
    turn: int
    message: int
    text: str
    last: bool
    state: State
    posted: str | None


class Outbox:
    """The outbox in the file `path`, made if it is not there.

    Raises:
        WorkspaceError: as `outbox_file.opened`.
    """

    def __init__(self, path: Path) -> None:
        self._db = outbox_file.opened(path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def open_place(self, place: str) -> None:
        """Remember that the clones are in a place."""
        self._db.execute("INSERT OR IGNORE INTO places (place) VALUES (?)", [place])

    def leave_place(self, place: str) -> None:
        """Forget a place with all that was still to be done there."""
        self._db.execute("DELETE FROM places WHERE place = ?", [place])

    def places(self) -> list[str]:
        """Where the clones are."""
        return [place for [place] in self._db.execute("SELECT place FROM places ORDER BY rowid")]

    def newest(self, place: str) -> str | None:
        """The key of the newest message that came by there."""
        row = self._db.execute("SELECT newest FROM places WHERE place = ?", [place]).fetchone()
        return row[0] if row else None

    def passed(self, place: str, key: str) -> None:
        """A message came by and is not read, now or after a restart."""
        self._db.execute("UPDATE places SET newest = ? WHERE place = ?", [key, place])

    def names(self, place: str) -> dict[str, str]:
        """What accounts are called in a place's room."""
        row = self._db.execute("SELECT names FROM places WHERE place = ?", [place]).fetchone()
        names: dict[str, str] = json.loads(row[0]) if row else {}
        return names

    def call(self, place: str, account: str, name: str) -> None:
        """Remember what an account is called in a place's room."""
        names = json.dumps(self.names(place) | {account: name}, ensure_ascii=False)
        self._db.execute("UPDATE places SET names = ? WHERE place = ?", [names, place])

    def called(self, accounts: Collection[str]) -> dict[str, list[str]]:
        """What these accounts are called, by place."""
        known = {place: self.names(place) for place in self.places()}
        found = {p: [names[a] for a in accounts if a in names] for p, names in known.items()}
        return {place: theirs for place, theirs in found.items() if theirs}

    def erase(self, accounts: Collection[str], persona: str = "") -> None:
        """Erase what came from these accounts, and what a persona said or was to say."""
        run = self._db.execute
        with self._db:
            run("BEGIN")
            for place, theirs in self.called(accounts).items():
                run(
                    "DELETE FROM tasks WHERE place = ? AND person IN (SELECT value FROM "
                    "json_each(?))",
                    [place, json.dumps(theirs)],
                )
                left = {a: n for a, n in self.names(place).items() if a not in accounts}
                names = json.dumps(left, ensure_ascii=False)
                run("UPDATE places SET names = ? WHERE place = ?", [names, place])
            run("DELETE FROM posts WHERE person = ?", [persona])
            run(
                "UPDATE tasks SET speakers = (SELECT json_group_array(value) FROM "
                "json_each(speakers) WHERE value != ?) WHERE speakers IS NOT NULL",
                [persona],
            )
        run("PRAGMA wal_checkpoint(TRUNCATE)")  # the journal has their words too

    def add(
        self,
        place: str,
        *,
        key: str | None = None,
        person: str = "",
        text: str = "",
        answered: bool = True,
        speakers: Sequence[str] | None = None,
        turns: int = 0,
    ) -> bool:
        """A new task; False where a message of this key came before."""
        with self._db:
            self._db.execute("BEGIN")
            added = self._db.execute(
                "INSERT OR IGNORE INTO tasks (place, key, person, text, answered, speakers, "
                "turns, heard, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    place,
                    key,
                    person,
                    text,
                    answered,
                    None if speakers is None else json.dumps(list(speakers)),
                    turns,
                    not text,
                    _now(),
                ],
            ).rowcount
            if added and key is not None:
                self._db.execute("UPDATE places SET newest = ? WHERE place = ?", [key, place])
        return bool(added)

    def unheard(self, place: str) -> list[Task]:
        """Messages that do not stand in the room yet, in order."""
        return self._tasks("place = ? AND NOT heard AND NOT done", place)

    def next_task(self, place: str) -> Task | None:
        """The first thing to do in a place; talk among clones only where nothing else is."""
        found = self._tasks("place = ? AND NOT done", place, f"{_TALK}, id LIMIT 1")
        return found[0] if found else None

    def is_talk(self, place: str) -> bool:
        """Whether clones talk among themselves there."""
        return bool(self._tasks(f"place = ? AND NOT done AND {_TALK}", place))

    def waiting(self, place: str) -> int:
        """How many tasks are not done."""
        where = "SELECT count(*) FROM tasks WHERE place = ? AND NOT done"
        count: int = self._db.execute(where, [place]).fetchone()[0]
        return count

    def heard(self, task: Task) -> None:
        """The message stands in the room: its words are not needed here any more."""
        self._db.execute("UPDATE tasks SET heard = 1, text = '' WHERE id = ?", [task.id])

    def decide(self, task: Task, speakers: Sequence[str], turns: int) -> None:
        """Who answers."""
        self._db.execute(
            "UPDATE tasks SET speakers = ?, turns = ? WHERE id = ?",
            [json.dumps(list(speakers)), turns, task.id],
        )

    def finish(self, task: Task) -> None:
        """It is done."""
        self._db.execute("UPDATE tasks SET done = 1, heard = 1, text = '' WHERE id = ?", [task.id])

    def reworded(self, place: str, key: str, text: str) -> bool:
        """A message that is not heard yet has other words; False where it is heard."""
        where = "UPDATE tasks SET text = ? WHERE place = ? AND key = ? AND NOT heard AND NOT done"
        return bool(self._db.execute(where, [text, place, key]).rowcount)

    def withdrawn(self, place: str, key: str) -> None:
        """A message is gone: nobody answers it any more."""
        self._db.execute(
            "UPDATE tasks SET done = 1, heard = 1, text = '' WHERE place = ? AND key = ?",
            [place, key],
        )

    def said(
        self,
        task: Task,
        posts: Iterable[tuple[str, int, int, str, bool]],
        *,
        speakers: Sequence[str],
        turns: int,
        tokens: int,
    ) -> None:
        """A turn is whole: at once, its messages wait to be posted and the task is one on.

        Args:
            task: what the turn was for.
            posts: person, turn, message of the room, text, whether it ends the turn.
            speakers: who is left to speak.
            turns: how many turns are left to chance.
            tokens: how many it took.
        """
        with self._db:
            self._db.execute("BEGIN")
            posts = list(posts)
            said = max((message for _, _, message, _, _ in posts), default=0)
            where = "UPDATE places SET said = max(said, ?) WHERE place = ?"
            self._db.execute(where, [said, task.place])
            self._db.executemany(
                "INSERT INTO posts (place, person, turn, message, text, last, at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(task.place, *post, _now()) for post in posts],
            )
            self.decide(task, speakers, turns)
            self._db.execute(
                "INSERT INTO spent VALUES (?, ?) "
                "ON CONFLICT (day) DO UPDATE SET tokens = tokens + excluded.tokens",
                [_now()[:10], tokens],
            )

    def next_post(self, place: str) -> Post | None:
        """The first message to be posted in a place."""
        found = self._posts("place = ? AND state IN ('waiting', 'sending')", place, end="LIMIT 1")
        return found[0] if found else None

    def sending(self, post: Post) -> None:
        """From now on it may be there."""
        self._db.execute("UPDATE posts SET state = 'sending' WHERE id = ?", [post.id])

    def sent(self, post: Post, posted: str) -> bool:
        """It is there, under this id; False where it was dropped while it was on its way."""
        self._db.execute(
            "UPDATE posts SET state = iif(state = 'sending', 'sent', state), posted = ?, text = '' "
            "WHERE id = ?",
            [posted, post.id],
        )
        now = self.post(post.id)
        return now is not None and now.state == "sent"

    def drop(self, post: Post, why: str) -> None:
        """It is never posted (any more)."""
        self._db.execute(
            "UPDATE posts SET state = 'dropped', why = ?, text = '' WHERE id = ?", [why, post.id]
        )

    def drop_all(self, why: str) -> None:
        """Nothing that waits is posted, and nothing is left to do."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("UPDATE tasks SET done = 1, text = '' WHERE NOT done AND heard")
            self._db.execute("UPDATE tasks SET answered = 0 WHERE NOT done")
            self._db.execute(
                "UPDATE posts SET state = 'dropped', why = ?, text = '' WHERE state = 'waiting'",
                [why],
            )

    def post(self, number: int) -> Post | None:
        """A post by its number."""
        found = self._posts("id = ?", number)
        return found[0] if found else None

    def posted(self, place: str, posted: str) -> Post | None:
        """A post by its id on the platform."""
        found = self._posts("place = ? AND posted = ?", place, posted)
        return found[0] if found else None

    def of_turn(self, place: str, turn: int) -> list[Post]:
        """The posts of a turn, in order."""
        return self._posts("place = ? AND turn = ?", place, turn)

    def newest_post(self, place: str) -> Post | None:
        """The newest post of a place that is not dropped."""
        found = self._posts("place = ? AND state != 'dropped'", place, end="DESC LIMIT 1")
        return found[0] if found else None

    def newest_message(self, place: str) -> int:
        """The newest message of the room that has had a post; 0 for none."""
        row = self._db.execute("SELECT said FROM places WHERE place = ?", [place]).fetchone()
        return row[0] if row else 0

    def claimed(self, place: str, ids: Sequence[str]) -> set[str]:
        """Which of these ids on the platform are posts that are known to be there."""
        marks = ", ".join("?" * len(ids))
        where = f"SELECT posted FROM posts WHERE place = ? AND posted IN ({marks})"  # noqa: S608
        return {posted for [posted] in self._db.execute(where, [place, *ids])}

    def spent(self) -> int:
        """Tokens said today (in UTC)."""
        row = self._db.execute("SELECT tokens FROM spent WHERE day = ?", [_now()[:10]]).fetchone()
        return row[0] if row else 0

    def counts(self, place: str) -> dict[str, int]:
        """How many messages a place has: heard, sent, dropped, waiting."""
        heard = "SELECT count(*) FROM tasks WHERE place = ? AND key IS NOT NULL AND heard"
        states = "SELECT state, count(*) FROM posts WHERE place = ? GROUP BY state"
        counts = dict(self._db.execute(states, [place]).fetchall())
        return {
            "heard": self._db.execute(heard, [place]).fetchone()[0],
            "sent": counts.get("sent", 0),
            "dropped": counts.get("dropped", 0),
            "waiting": counts.get("waiting", 0) + counts.get("sending", 0),
        }

    def _tasks(self, where: str, place: str, order: str = "id") -> list[Task]:
        rows = self._db.execute(
            "SELECT id, place, key, person, text, answered, speakers, turns, heard "  # noqa: S608
            f"FROM tasks WHERE {where} ORDER BY {order}",
            [place],
        )
        return [
            Task(
                id_,
                place_,
                key,
                person,
                text,
                bool(answered),
                None if speakers is None else tuple(json.loads(speakers)),
                turns,
                bool(heard),
            )
            for id_, place_, key, person, text, answered, speakers, turns, heard in rows
        ]

    def _posts(self, where: str, *values: Any, end: str = "") -> list[Post]:
        rows = self._db.execute(
            "SELECT id, place, person, turn, message, text, last, state, posted "  # noqa: S608
            f"FROM posts WHERE {where} ORDER BY id {end}",
            values,
        )
        return [
            Post(id_, place, person, turn, message, text, bool(last), state, posted)
            for id_, place, person, turn, message, text, last, state, posted in rows
        ]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
