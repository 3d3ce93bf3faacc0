"""One connection to an IRC server: registered, in its channels, and back after each break.

The protocol is RFC 2812's, with the nick's length from ISUPPORT (005). Libraries for it
bring event loops or frameworks of their own; what clones need of it is this file.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

LINE = 512
"""Bytes of the longest line, its end included (RFC 2812, 2.3)."""
BURST, INTERVAL = 4, 2.0
"""Lines that may come at once, and seconds for each further one (RFC 1459, 8.10)."""
QUIET = 90.0
"""Seconds without a word from the server after which it is asked whether it is there."""
LONGEST_BACK_OFF = 60.0
CONNECTING = 30.0
"""Seconds after which a server that does not answer is given up."""
log = logging.getLogger(__name__)

_TAKEN = {"432", "433", "436", "437"}
"""Replies to a nick that cannot be had."""
_NO_JOIN = {"403", "405", "471", "473", "474", "475", "476", "477", "489"}
"""Replies to a channel that cannot be joined."""


@dataclass(frozen=True)
class Address:
    """Where the server is."""

    host: str
    port: int = 6697
    tls: bool = True
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Line:
    """A line from the server."""

    nick: str
    """Who it is from: a nick, or the server's name."""
    command: str
    params: tuple[str, ...]


def parsed(raw: str) -> Line:
    """A line as its parts (RFC 2812, 2.3.1)."""
    prefix = ""
    if raw.startswith(":"):
        prefix, _, raw = raw[1:].partition(" ")
    middle, colon, trailing = raw.partition(" :")
    command, *params = middle.split() or [""]
    return Line(prefix.partition("!")[0], command.upper(), (*params, *([trailing] * bool(colon))))


def one_line(text: str) -> str:
    """The text without what could end a line or begin a control message."""
    return "".join(" " if c in "\r\n\0" else c for c in text if c >= " " or c in "\r\n\0").strip()


def pieces(text: str, longest: int) -> list[str]:
    """Each line of a text in pieces of at most `longest` bytes of UTF-8, cut at words."""
    found = []
    for line in text.splitlines():
        rest = one_line(line)
        while rest:
            head = rest.encode()[:longest].decode("utf-8", "ignore")
            if len(head) < len(rest) and (space := head.rfind(" ")) > len(head) // 2:
                head = head[:space]
            found.append(head)
            rest = rest[len(head) :].lstrip()
    return found


class Connection:
    """A nick on a server.

    Args:
        address: where.
        nick: what it would like to be called.
        real_name: what WHOIS says of it.
        hear: gets every line that is not of the connection itself.
    """

    def __init__(
        self,
        address: Address,
        nick: str,
        real_name: str,
        hear: Callable[[Connection, Line], Awaitable[None]],
        *,
        shortest_back_off: float = 1.0,
    ) -> None:
        self.nick = self.wanted = nick
        self.channels: dict[str, str] = {}
        """Where it is to be, and why it is not there ("" where it is)."""
        self.ready = asyncio.Event()
        self.longest_nick = 9  # RFC 2812, 1.2.1, unless the server says more
        self._address = address
        self._real_name = real_name
        self._hear = hear
        self._back_off = shortest_back_off
        self._writer: asyncio.StreamWriter | None = None
        self._pending: set[str] = set()
        self._allowance = float(BURST)
        self._since = time.monotonic()
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Stay connected until cancelled: after a break, again, later each time."""
        tries = 0
        while True:
            try:
                await self._connected()
                tries = 0 if self.ready.is_set() else tries + 1
                log.warning("%s: the server closed the connection", self.nick)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                tries = 0 if self.ready.is_set() else tries + 1
                log.warning("%s: %s", self.nick, str(error) or type(error).__name__)
            finally:
                self.ready.clear()
                if self._writer is not None:
                    self._writer.close()
                    self._writer = None
            wait = min(self._back_off * 2**tries, LONGEST_BACK_OFF)
            await asyncio.sleep(wait * random.uniform(0.75, 1.25))

    async def join(self, channel: str) -> None:
        """Be in a channel, now and after each break."""
        if channel not in self.channels:
            self.channels[channel] = "not joined yet"
            if self.ready.is_set():
                await self.send(f"JOIN {channel}")

    async def say(self, target: str, text: str, command: str = "PRIVMSG") -> None:
        """Write to a channel or a nick, not faster than servers bear.

        Raises:
            ConnectionError: the connection broke.
        """
        await self.send(f"{command} {target} :{one_line(text)}")

    async def quit(self, reason: str) -> None:
        """Say good-bye; `run` is still to be cancelled."""
        with suppress(OSError):
            self._write(f"QUIT :{one_line(reason)}")
            if self._writer is not None:
                async with asyncio.timeout(2):
                    await self._writer.drain()

    async def send(self, line: str) -> None:
        """Send a line when it is its turn.

        Raises:
            ConnectionError: the connection broke.
        """
        async with self._sending:
            now = time.monotonic()
            self._allowance = min(BURST, self._allowance + (now - self._since) / INTERVAL)
            self._since = now
            if self._allowance < 1:
                await asyncio.sleep((1 - self._allowance) * INTERVAL)
                self._allowance, self._since = 1.0, time.monotonic()
            self._allowance -= 1
            self._write(line)
            if self._writer is not None:
                await self._writer.drain()

    def _write(self, line: str) -> None:
        if self._writer is None or self._writer.is_closing():
            raise ConnectionError("not connected")
        raw = line.encode()[: LINE - 2]
        self._writer.write(raw.decode("utf-8", "ignore").encode() + b"\r\n")

    async def _connected(self) -> None:
        address = self._address
        secure = ssl.create_default_context() if address.tls else None
        async with asyncio.timeout(CONNECTING):
            reader, self._writer = await asyncio.open_connection(
                address.host, address.port, ssl=secure, limit=2**16
            )
        self.nick = self.wanted
        self._pending = set(self.channels)
        if address.password:
            self._write(f"PASS {address.password}")
        self._write(f"NICK {self.nick}")
        self._write(f"USER myna 0 * :{one_line(self._real_name)}")
        asked = False
        while True:
            try:
                async with asyncio.timeout(QUIET):  # wait_for may lose a cancellation
                    raw = await reader.readline()
            except TimeoutError:
                if asked:
                    raise
                asked = True
                self._write("PING :still there")
                continue
            if not raw:
                return
            asked = False
            line = parsed(raw.decode("utf-8", "replace").rstrip("\r\n"))
            await self._obey(line)
            await self._hear(self, line)

    async def _obey(self, line: Line) -> None:
        """What the connection itself has to do about a line."""
        params = line.params
        match line.command:
            case "PING":
                self._write(f"PONG :{params[-1] if params else ''}")
            case "001":
                self.nick = params[0]
                await self._enter()
            case "005":
                for token in params:
                    if token.startswith("NICKLEN=") and token[8:].isdecimal():
                        self.longest_nick = int(token[8:])
            case "366" if len(params) > 1:
                self._entered(params[1], "")
            case "NICK" if line.nick == self.nick:
                self.nick = params[0]
            case "KICK" if len(params) > 1 and params[1] == self.nick:
                self.channels.pop(params[0].casefold(), None)
            case "ERROR":
                raise ConnectionError(params[-1] if params else "the server refuses")
            case code if code in _TAKEN and not self.ready.is_set():
                self.nick = another(self.nick, self.wanted, self.longest_nick)
                self._write(f"NICK {self.nick}")
            case code if code in _NO_JOIN and len(params) > 1:
                log.warning("%s cannot join %s: %s", self.nick, params[1], params[-1])
                self._entered(params[1], params[-1])

    async def _enter(self) -> None:
        for channel in self.channels:
            await self.send(f"JOIN {channel}")
        if not self.channels:
            self.ready.set()

    def _entered(self, channel: str, why_not: str) -> None:
        self.channels[channel.casefold()] = why_not
        self._pending.discard(channel.casefold())
        if not self._pending:
            self.ready.set()


def another(taken: str, wanted: str, longest: int) -> str:
    """A nick to try after one that is taken: with a number, and its mark as a clone's kept."""
    name, bracket, mark = wanted.partition("[")
    tried = re.search(r"[0-9]+\Z", taken.removesuffix(bracket + mark))
    ending = f"{int(tried[0]) + 1 if tried and taken != wanted else 2}{bracket}{mark}"
    return name[: max(longest - len(ending), 1)] + ending


def plain_nick(name: str, ending: str, longest: int) -> str:
    """A nick for a name: letters, digits and `_` of it, and an ending that always fits."""
    kept: Sequence[str] = [c if c.isascii() and c.isalnum() else "_" for c in name.strip()]
    stem = "".join(kept).strip("_") or "clone"
    if stem[0].isdigit():
        stem = f"_{stem}"
    return stem[: max(longest - len(ending), 1)] + ending
