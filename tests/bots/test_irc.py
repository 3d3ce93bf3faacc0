"""The clones on a real IRC server, `ngircd`, on loopback."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bots.bridge import begin, process, until
from tests.bots.world import FRIENDS, World

from myna.bots import irc_connection
from myna.bots.irc_connection import (
    IrcConnection,
    IrcLine,
    ServerAddress,
    alternative_nick,
    nick_from_name,
    parse_line,
    split_text,
)
from myna.bots.irc_front import LINE_OVERHEAD_BYTES, IrcBot

NGIRCD = shutil.which("ngircd") or shutil.which("ngircd", path="/usr/sbin")
needs_server = pytest.mark.skipif(
    NGIRCD is None, reason="the IRC server ngircd is not installed (apt-get install ngircd)"
)
CONFIGURATION = """\
[Global]
Name = irc.test.local
Info = a test
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = hi
[Limits]
MaxNickLength = {nick}
MaxConnectionsIP = 0
MaxJoins = 0
[Options]
DNS = no
Ident = no
PAM = no
OperCanUseMode = no
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Ircd:
    """A server that can be stopped and started again."""

    folder: Path
    nick_length: int
    port: int = field(default_factory=free_port)
    running: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        file = self.folder / "ngircd.conf"
        file.write_text(CONFIGURATION.format(port=self.port, nick=self.nick_length), "utf-8")
        file.chmod(0o644)
        quiet = asyncio.subprocess.DEVNULL
        self.running = await asyncio.create_subprocess_exec(
            NGIRCD or "", "-n", "-f", str(file), stdout=quiet, stderr=quiet
        )
        await until("the server listens", self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def stop(self) -> None:
        if self.running is not None:
            self.running.kill()
            await self.running.wait()


class Eve:
    """A human with an IRC client."""

    def __init__(self, port: int, nick: str = "eve") -> None:
        self.heard: list[tuple[str, str, str]] = []
        self.connection = IrcConnection(
            ServerAddress("127.0.0.1", port, tls=False), nick, nick, self._hear, back_off=0.05
        )

    async def _hear(self, _: IrcConnection, line: IrcLine) -> None:
        self.heard.append((line.nick, line.command, line.params[-1] if line.params else ""))

    async def say(self, text: str) -> None:
        # A human's client waits for nothing; the test's may not be slow either.
        self.connection._write(f"PRIVMSG #tea :{text}")

    def said(self, nick: str = "") -> list[tuple[str, str]]:
        """The messages of others in the channel."""
        return [(n, t) for n, c, t in self.heard if c == "PRIVMSG" and (not nick or n == nick)]

    def noticed(self) -> list[str]:
        return [text for nick, command, text in self.heard if (nick, command) == ("myna", "NOTICE")]

    async def asks(self, command: str) -> str:
        """The bot's answer to a command."""
        before = len(self.noticed())
        await self.say(command)
        await until(f"an answer to {command}", lambda: len(self.noticed()) > before)
        return self.noticed()[-1]


@dataclass
class Table:
    """A server, a bot with its clones, and Eve."""

    server: Ircd
    bot: IrcBot
    eve: Eve
    world: World


@asynccontextmanager
async def seated(world: World, folder: Path, nick_length: int = 30) -> AsyncIterator[Table]:
    server = Ircd(folder, nick_length)
    await server.start()
    eve = Eve(server.port)
    await eve.connection.join("#tea")
    _, _, make = world.bot_parts("irc")
    address = ServerAddress("127.0.0.1", server.port, tls=False)
    bot = IrcBot(address, "myna", ["#tea"], world.settings, make, back_off=0.05)
    tasks = [asyncio.create_task(bot.run()), asyncio.create_task(eve.connection.run())]
    try:
        await asyncio.wait_for(eve.connection.ready.wait(), 20)
        await asyncio.wait_for(bot._listener.ready.wait(), 20)
        yield Table(server, bot, eve, world)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await server.stop()


def played(
    scenario: Callable[[Table], Coroutine[Any, Any, None]],
    world: World,
    folder: Path,
    nick_length: int = 30,
) -> None:
    async def play() -> None:
        async with seated(world, folder, nick_length) as table:
            await scenario(table)

    try:
        asyncio.run(play())
    finally:
        world.close()


@needs_server
class TestOnAServer:
    def test_clones_join_talk_and_go(self, world: World, tmp_path: Path) -> None:
        async def scenario(at: Table) -> None:
            eve = at.eve
            assert await eve.asks("!summon ana") == "Here now: Ana Silva (clone)."
            await eve.say("ana, tea?")
            await until("Ana's answer", lambda: eve.said("Ana_Silva[clone]"))
            assert eve.said() == [("Ana_Silva[clone]", "re ana, tea?")]
            assert await eve.asks("!who") == (
                "Here now: Ana Silva (clone). Could be: Ben Okoro (clone), Cy (clone), Dee (clone)."
            )
            assert await eve.asks("!dismiss ana") == "Here now: nobody."
            await until("she quits", lambda: ("Ana_Silva[clone]", "QUIT") in {
                (nick, command) for nick, command, _ in eve.heard
            })  # fmt: skip
            await eve.say("ana?")
            await eve.asks("!who")
            assert len(eve.said()) == 1
            assert await eve.asks("!summon zed") == (
                "unknown person 'zed': there are Ana Silva, Ben Okoro, Cy, Dee"
            )
            assert await eve.asks("!off") == "Only the bot's owner may do that."

        played(scenario, world, tmp_path)

    def test_they_come_back_after_the_server_was_down(self, world: World, tmp_path: Path) -> None:
        world.engine._lines = 3
        world.settings = world.settings.model_copy(update={"typing_speed": 10})

        async def scenario(at: Table) -> None:
            eve = at.eve
            await eve.asks("!summon ana")
            await eve.say("ana, tea?")
            await until("the first message", lambda: len(eve.said()) == 1)
            await at.server.stop()
            await until("it is noticed", lambda: not eve.connection.ready.is_set())
            await at.server.start()
            await asyncio.wait_for(eve.connection.ready.wait(), 20)
            # Whoever comes back first hears more: the bot's outbox knows what was heard.
            await until(
                "all of it", lambda: at.world.outboxes[0].count_messages("#tea")["sent"] == 3
            )
            assert at.world.outboxes[0].count_messages("#tea")["waiting"] == 0
            texts = [text for _, text in eve.said()]
            assert len(texts) == len(set(texts))
            await eve.say("ana, again")
            await until("an answer", lambda: ("Ana_Silva[clone]", "re ana, again") in eve.said())

        played(scenario, world, tmp_path)

    def test_a_nick_that_is_taken_is_gone_around(self, world: World, tmp_path: Path) -> None:
        async def scenario(at: Table) -> None:
            other = Eve(at.server.port, "Ana_Si[c]")
            task = asyncio.create_task(other.connection.run())
            await asyncio.wait_for(other.connection.ready.wait(), 20)
            await at.eve.asks("!summon ana")
            await at.eve.say("ana?")
            await until("Ana's answer", at.eve.said)
            [(nick, text)] = at.eve.said()
            assert nick == "Ana_S2[c]"
            assert text == "re ana?"
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        played(scenario, world, tmp_path, nick_length=9)

    def test_another_bot_s_clones_are_not_heard(self, world: World, tmp_path: Path) -> None:
        async def scenario(at: Table) -> None:
            other = Eve(at.server.port, "Zed[clone]")
            await other.connection.join("#tea")
            task = asyncio.create_task(other.connection.run())
            await asyncio.wait_for(other.connection.ready.wait(), 20)
            await at.eve.asks("!summon ana")
            await other.say("ana, shall we talk without end?")
            await at.eve.say("ana?")
            await until("Ana's answer", lambda: at.eve.said("Ana_Silva[clone]"))
            heard = at.world.rooms.open("irc:#tea").messages()
            assert [m.person for m in heard] == ["eve", "Ana Silva"]
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        played(scenario, world, tmp_path)

    def test_nonsense_is_answered_in_one_line(self, world: World, tmp_path: Path) -> None:
        async def scenario(at: Table) -> None:
            await at.eve.asks("!summon ana")
            for typed, answer in (
                ("!watch \u00b2", "It takes two to talk: summon more of them."),
                ("!settings nan nan", "chattiness is a number from 0 to 1"),
                ("!settings 0 inf", "room 'irc:#tea': chat.temperature = inf"),
                ("!settings a lot", "write it as !settings 0.3 0.9: chattiness, temperature"),
            ):
                assert (await at.eve.asks(typed)).startswith(answer)

        played(scenario, world, tmp_path)

    def test_long_words_fit_into_lines(self, world: World, tmp_path: Path) -> None:
        world.engine.saying = words = "日本語 " * 100

        async def scenario(at: Table) -> None:
            await at.eve.asks("!summon ana")
            await at.eve.say("ana?")
            await until("all of it", lambda: len(at.eve.said()) >= 3)
            assert " ".join(text for _, text in at.eve.said()) == words.strip()

        played(scenario, world, tmp_path)

    def test_a_flood_that_the_server_slows_down_loses_and_doubles_nothing(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            irc_connection, "SECONDS_PER_LINE", 1e-9
        )  # as fast as the server lets it
        world.engine._lines = lines = 16

        async def scenario(at: Table) -> None:
            await at.eve.asks("!summon ana")
            await at.eve.say("ana?")
            outbox = at.world.outboxes[0]
            await until("all of it", lambda: outbox.count_messages("#tea")["sent"] == lines)
            await until("all is heard", lambda: len(at.eve.said()) >= lines)
            said = [text for _, text in at.eve.said()]
            assert said == ["re ana?", *(f"re ana? {number}" for number in range(2, lines + 1))]
            assert outbox.count_messages("#tea")["dropped"] == 0

        played(scenario, world, tmp_path)

    def test_a_line_of_a_human_is_only_theirs(self, world: World, tmp_path: Path) -> None:
        async def scenario(at: Table) -> None:
            await at.eve.asks("!summon ana")
            at.eve.connection._write("PRIVMSG #tea :Cy: \x02I hate tea\x01\nQUIT :x")
            await at.eve.connection.send("JOIN #tea")
            await until("heard", lambda: at.world.outboxes[0].count_messages("#tea")["heard"] == 1)
            [said] = at.world.rooms.open("irc:#tea").messages()
            assert said.person == "eve"
            assert "Cy: " in said.text

        played(scenario, world, tmp_path)

    def test_whoever_is_kicked_is_dismissed(self, world: World, tmp_path: Path) -> None:
        async def scenario(at: Table) -> None:
            await at.eve.asks("!summon everyone")
            at.eve.connection._write("MODE #tea")
            await until("Cy is here", lambda: any(n == "Cy[clone]" for n, _, _ in at.eve.heard))
            at.eve.connection._write("KICK #tea Cy[clone] :enough")
            room = at.world.rooms.open("irc:#tea")
            await until("Cy is gone", lambda: "Cy" not in room.personas)

        played(scenario, world, tmp_path)


@needs_server
def test_a_bot_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    async def play() -> None:
        server = Ircd(tmp_path, 30)
        await server.start()
        eve = Eve(server.port)
        await eve.connection.join("#tea")
        listening = asyncio.create_task(eve.connection.run())
        try:
            await asyncio.wait_for(eve.connection.ready.wait(), 20)
            world = World(tmp_path)
            outbox, _, _ = world.bot_parts("irc")
            world.rooms.open("irc:#tea", personas=FRIENDS[:1])
            outbox.add_channel("#tea")
            world.close()
            program = (tmp_path / "log", "alone_irc.py", tmp_path, str(server.port))
            async with process(*program) as bot, process(*program) as next_bot:
                begin(bot)
                name = "Ana_Silva[clone]"
                await until("Ana", lambda: any(n == name for n, _, _ in eve.heard))
                await eve.say("ana")
                await until("her first message", lambda: len(eve.said()) == 1)
                await asyncio.sleep(0.1)
                bot.kill()
                await bot.wait()
                assert len(eve.said()) == 1
                begin(next_bot)
                await until("the rest", lambda: len(eve.said()) == 3)
            assert [text for _, text in eve.said()] == ["re ana", "re ana 2", "re ana 3"]
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            await server.stop()

    asyncio.run(play())


def test_lines_leave_no_faster_than_servers_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, left = [0.0], []

    async def sleep(seconds: float) -> None:
        clock[0] += seconds

    class Wire:
        def is_closing(self) -> bool:
            return False

        def write(self, line: bytes) -> None:
            left.append((clock[0], line))

        async def drain(self) -> None:
            pass

    async def play() -> None:
        monkeypatch.setattr(irc_connection.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(irc_connection.asyncio, "sleep", sleep)
        connection = IrcConnection(ServerAddress("host"), "ana", "Ana", lambda *_: sleep(0))
        connection._writer = Wire()  # type: ignore[assignment]
        for number in range(7):
            await connection.say("#tea", f"{number}")
        clock[0] += 60
        for number in range(7, 12):
            await connection.say("#tea", f"{number}")

    asyncio.run(play())
    assert [line for _, line in left] == [b"PRIVMSG #tea :%d\r\n" % n for n in range(12)]
    assert [at for at, _ in left] == [0, 0, 0, 0, 2, 4, 6, 66, 66, 66, 66, 68]


class TestLines:
    @pytest.mark.parametrize(
        ("raw", "line"),
        [
            (":eve!e@h PRIVMSG #tea :a: b", IrcLine("eve", "PRIVMSG", ("#tea", "a: b"))),
            ("PING :x", IrcLine("", "PING", ("x",))),
            (":s 005 me NICKLEN=9 :are", IrcLine("s", "005", ("me", "NICKLEN=9", "are"))),
            (":eve!e@h PRIVMSG #tea :", IrcLine("eve", "PRIVMSG", ("#tea", ""))),
            ("", IrcLine("", "", ())),
        ],
    )
    def test_are_read(self, raw: str, line: IrcLine) -> None:
        assert parse_line(raw) == line

    @given(st.text())
    def test_any_line_is_read(self, raw: str) -> None:
        parse_line(raw)

    @given(st.text(), st.integers(min_value=8, max_value=60))
    def test_of_any_text_fit_and_end_nowhere_else(self, text: str, longest: int) -> None:
        for piece in split_text(text, longest):
            assert 0 < len(piece.encode("utf-8", "replace")) <= longest
            assert not set(piece) & set("\r\n\0\x01")

    def test_are_512_bytes_at_most(self) -> None:
        longest = f":{'n' * 30}!~{'u' * 10}@{'h' * 63} PRIVMSG #{'c' * 49} :"
        assert len(longest) <= LINE_OVERHEAD_BYTES


@pytest.mark.parametrize(
    ("taken", "wanted", "longest", "next_"),
    [
        ("myna", "myna", 9, "myna2"),
        ("myna2", "myna", 9, "myna3"),
        ("Ana_Si[c]", "Ana_Si[c]", 9, "Ana_S2[c]"),
        ("Ana_S9[c]", "Ana_Si[c]", 9, "Ana_10[c]"),
        ("Bob7[clone]", "Bob7[clone]", 30, "Bob72[clone]"),
    ],
)
def test_a_nick_to_try_next_keeps_its_mark(
    taken: str, wanted: str, longest: int, next_: str
) -> None:
    assert alternative_nick(taken, wanted, longest) == next_


@pytest.mark.parametrize(
    ("name", "longest", "nick"),
    [
        ("Ana Silva", 30, "Ana_Silva[c]"),
        ("Ana Silva", 9, "Ana_Si[c]"),
        ("3PO", 30, "_3PO[c]"),
        ("日本", 30, "clone[c]"),
    ],
)
def test_a_clone_s_nick_is_marked(name: str, longest: int, nick: str) -> None:
    assert nick_from_name(name, "[c]", longest) == nick
