"""The bot on a platform of a few lines, that ends its process whenever it is told to."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bots.world import World

from myna.bots.outbox import Outbox, Post
from myna.errors import WorkspaceError

CHANNELS = ("tea", "lake")
ASKED = 3


class KilledError(BaseException):
    """The process ends, here and now."""


class Board:
    """A platform: what was posted stays, whatever becomes of the bot."""

    platform = "test"

    def __init__(self) -> None:
        self.posted: list[tuple[str, str]] = []
        self.calls = 0
        self.dead = False
        self.deadly: frozenset[int] = frozenset()

    def _may_kill(self) -> None:
        self.calls += 1
        self.dead = self.dead or self.calls in self.deadly
        if self.dead:
            raise KilledError

    def split(self, person: str, text: str) -> list[str]:
        half = len(text) // 2
        return [text[:half], text[half:]]

    async def post(self, post: Post) -> str:
        self._may_kill()
        self.posted.append((post.channel_id, post.text))
        self._may_kill()
        return str(len(self.posted))

    async def find(self, post: Post) -> str | None:
        self._may_kill()
        there = [
            str(n) for n, said in enumerate(self.posted, 1) if said == (post.channel_id, post.text)
        ]
        fresh = set(there) - self.outbox.known_ids(post.channel_id, there)
        return min(fresh, key=int, default=None)

    async def typing(self, channel_id: str, person: str, seconds: float) -> None:
        self._may_kill()

    async def remove(self, posts: Sequence[Post]) -> None:
        raise AssertionError("nothing is taken back here")

    outbox: Outbox


async def life(world: World, board: Board, *, ask: bool) -> None:
    """A bot's life, until nothing is left to do or it is killed."""
    board.outbox, _, make = world.bot_parts("test")
    host = make(board)  # type: ignore[operator]
    try:
        await host.resume()
        for number in range(ASKED if ask else 0):
            for channel_id in CHANNELS:
                await host.receive(
                    channel_id, f"{channel_id}{number}", "test:eve", "Eve", f"cy say {number}!"
                )
        while tasks := [task for task in host._workers.values() if not task.done()]:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            if board.dead:
                break
        for task in host._workers.values():
            if task.done() and task.exception() is not None:
                assert isinstance(task.exception(), KilledError)
    finally:
        await host.close()


def lived(world: World, board: Board, *, ask: bool) -> bool:
    """True if it lived to the end."""
    board.dead = False
    try:
        asyncio.run(life(world, board, ask=ask))
    finally:
        world.close()
    return not board.dead


@settings(max_examples=8, deadline=None)
@given(st.frozensets(st.integers(min_value=1, max_value=50), max_size=8))
def test_however_often_it_is_killed_all_is_posted_once_and_in_order(deadly: frozenset[int]) -> None:
    with TemporaryDirectory() as folder:
        board = Board()
        world = World(Path(folder), typing_speed=10_000)
        outbox, _, _ = world.bot_parts("test")
        for channel_id in CHANNELS:
            world.rooms.open(f"test:{channel_id}", personas=["Cy"])
            outbox.add_channel(channel_id)
        world.close()
        board.deadly = deadly
        done = lived(World(Path(folder), typing_speed=10_000), board, ask=True)
        for _ in deadly:
            if not done:
                done = lived(World(Path(folder), typing_speed=10_000), board, ask=False)
        assert done
        for channel_id in CHANNELS:
            said = [text for where, text in board.posted if where == channel_id]
            whole = [first + second for first, second in zip(said[::2], said[1::2], strict=True)]
            assert len(whole) == ASKED
            assert all(text.endswith("!") for text in whole)
            histories = World(Path(folder))
            histories.bot_parts("test")
            there = histories.rooms.open(f"test:{channel_id}").messages()
            assert [m.text for m in there if m.by_clone] == whole
            histories.close()


def test_what_was_said_long_ago_stays_in_the_room(world: World) -> None:
    board = Board()
    outbox, _, _ = world.bot_parts("test")
    world.rooms.open("test:tea", personas=["Cy"])
    outbox.add_channel("tea")
    world.close()
    assert lived(world, board, ask=True)
    database = sqlite3.connect(world.space.bots / "test.sqlite")
    database.execute("UPDATE posts SET at = '2000-01-01'")
    database.commit()
    database.close()
    for _ in range(2):  # what is old leaves the outbox when it is opened
        assert lived(world, board, ask=False)
    world.bot_parts("test")
    assert sum(m.by_clone for m in world.rooms.open("test:tea").messages()) == ASKED
    world.close()


class TestOutbox:
    def test_is_private(self, tmp_path: Path) -> None:
        Outbox(tmp_path / "bots" / "x.sqlite").close()
        assert (tmp_path / "bots" / "x.sqlite").stat().st_mode & 0o777 == 0o600

    def test_keeps_no_words_of_what_is_done(self, tmp_path: Path) -> None:
        file = tmp_path / "x.sqlite"
        outbox = Outbox(file)
        outbox.add_channel("tea")
        outbox.add_task("tea", key="1", person="Eve", text="a secret")
        [task] = outbox.new_messages("tea")
        outbox.mark_stored(task)
        outbox.add_posts(task, [("Cy", 1, 1, "a reply", True)], speakers=(), turns=0, tokens=3)
        post = outbox.next_post("tea")
        assert post is not None
        outbox.mark_sending(post)
        outbox.mark_sent(post, "9")
        outbox.close()
        left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"a secret" not in left
        assert b"a reply" not in left

    def test_that_is_no_database_is_one_line(self, tmp_path: Path) -> None:
        file = tmp_path / "x.sqlite"
        file.write_text("hello, I am no database at all", "utf-8")
        with pytest.raises(WorkspaceError, match="is no outbox of a bot"):
            Outbox(file)
