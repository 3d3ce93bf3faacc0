"""One connection to an IRC server, which joins its channels and reconnects after failures.

The protocol is RFC 2812's, with the nick's length from ISUPPORT (005). Libraries for it
bring event loops or frameworks of their own; clones need no more than this file.
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

MAX_LINE_BYTES = 512
"""Longest line with its end (RFC 2812, 2.3)."""
BURST_LINES, SECONDS_PER_LINE = 4, 2.0
"""Lines that may be sent at once, and the interval of further ones (RFC 1459, 8.10)."""
PING_AFTER_SECONDS = 90.0
"""Silence of the server after which it gets a PING."""
MAX_BACK_OFF_SECONDS = 60.0
CONNECT_TIMEOUT_SECONDS = 30.0
"""Time limit for connecting to a server."""
log = logging.getLogger(__name__)

_NICK_REFUSED = {"432", "433", "436", "437"}
"""Replies to a nick that is taken or not allowed."""
_JOIN_REFUSED = {"403", "405", "471", "473", "474", "475", "476", "477", "489"}
"""Replies to a channel that cannot be joined."""


@dataclass(frozen=True)
class ServerAddress:
    """The address of a server."""

    host: str
    port: int = 6697
    tls: bool = True
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class IrcLine:
    """A line from the server."""

    nick: str
    """Its sender: a nick, or the server's name."""
    command: str
    params: tuple[str, ...]


def parse_line(raw: str) -> IrcLine:
    """Parse a line (RFC 2812, 2.3.1)."""
    prefix = ""
    if raw.startswith(":"):
        prefix, _, raw = raw[1:].partition(" ")
    middle, colon, trailing = raw.partition(" :")
    command, *params = middle.split() or [""]
    return IrcLine(
        prefix.partition("!")[0], command.upper(), (*params, *([trailing] * bool(colon)))
    )


def one_line(text: str) -> str:
    """The text without characters that end a line or begin a control message."""
    return "".join(" " if c in "\r\n\0" else c for c in text if c >= " " or c in "\r\n\0").strip()


def split_text(text: str, max_bytes: int) -> list[str]:
    """Each line of a text in pieces of at most `max_bytes` bytes of UTF-8, cut at words."""
    parts = []
    for line in text.splitlines():
        rest = one_line(line)
        while rest:
            head = rest.encode()[:max_bytes].decode("utf-8", "ignore")
            if len(head) < len(rest) and (workspace := head.rfind(" ")) > len(head) // 2:
                head = head[:workspace]
            parts.append(head)
            rest = rest[len(head) :].lstrip()
    return parts


class IrcConnection:
    """A nick on a server.

    Args:
        address: the server.
        nick: the wanted nick.
        real_name: the name that WHOIS shows.
        on_line: receives every line, after the connection itself has handled it.
        back_off: seconds before the first attempt to reconnect.
    """

    def __init__(
        self,
        address: ServerAddress,
        nick: str,
        real_name: str,
        on_line: Callable[[IrcConnection, IrcLine], Awaitable[None]],
        *,
        back_off: float = 1.0,
    ) -> None:
        self.nick = self.wanted_nick = nick
        self.channels: dict[str, str] = {}
        """The reason why it is not in a channel, by channel; "" if it is there."""
        self.ready = asyncio.Event()
        self.max_nick_chars = 9  # RFC 2812, 1.2.1, unless the server says more
        self._address = address
        self._real_name = real_name
        self._on_line = on_line
        self._back_off = back_off
        self._writer: asyncio.StreamWriter | None = None
        self._joining: set[str] = set()
        self._lines_allowed = float(BURST_LINES)
        self._allowance_at = time.monotonic()
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Stay connected until cancelled; after a failure reconnect, later each time."""
        failures = 0
        while True:
            try:
                await self._read_lines()
                failures = 0 if self.ready.is_set() else failures + 1
                log.warning("%s: the server closed the connection", self.nick)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                failures = 0 if self.ready.is_set() else failures + 1
                log.warning("%s: %s", self.nick, str(error) or type(error).__name__)
            finally:
                self.ready.clear()
                if self._writer is not None:
                    self._writer.close()
                    self._writer = None
            seconds = min(self._back_off * 2**failures, MAX_BACK_OFF_SECONDS)
            await asyncio.sleep(seconds * random.uniform(0.75, 1.25))

    async def join(self, channel: str) -> None:
        """Join a channel, now and after each reconnection."""
        if channel not in self.channels:
            self.channels[channel] = "not joined yet"
            if self.ready.is_set():
                await self.send(f"JOIN {channel}")

    async def say(self, target: str, text: str, command: str = "PRIVMSG") -> None:
        """Write to a channel or a nick, not faster than servers allow.

        Raises:
            ConnectionError: the connection broke.
        """
        await self.send(f"{command} {target} :{one_line(text)}")

    async def quit(self, reason: str) -> None:
        """Send QUIT; `run` has to be cancelled afterwards."""
        with suppress(OSError):
            self._write(f"QUIT :{one_line(reason)}")
            if self._writer is not None:
                async with asyncio.timeout(2):
                    await self._writer.drain()

    async def send(self, line: str) -> None:
        """Send a line, once the rate limit allows it.

        Raises:
            ConnectionError: the connection broke.
        """
        async with self._sending:
            now = time.monotonic()
            self._lines_allowed = min(
                BURST_LINES, self._lines_allowed + (now - self._allowance_at) / SECONDS_PER_LINE
            )
            self._allowance_at = now
            if self._lines_allowed < 1:
                await asyncio.sleep((1 - self._lines_allowed) * SECONDS_PER_LINE)
                self._lines_allowed, self._allowance_at = 1.0, time.monotonic()
            self._lines_allowed -= 1
            self._write(line)
            if self._writer is not None:
                await self._writer.drain()

    def _write(self, line: str) -> None:
        if self._writer is None or self._writer.is_closing():
            raise ConnectionError("not connected")
        raw = line.encode()[: MAX_LINE_BYTES - 2]
        self._writer.write(raw.decode("utf-8", "ignore").encode() + b"\r\n")

    async def _read_lines(self) -> None:
        address = self._address
        secure = ssl.create_default_context() if address.tls else None
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            reader, self._writer = await asyncio.open_connection(
                address.host, address.port, ssl=secure, limit=2**16
            )
        self.nick = self.wanted_nick
        self._joining = set(self.channels)
        if address.password:
            self._write(f"PASS {address.password}")
        self._write(f"NICK {self.nick}")
        self._write(f"USER myna 0 * :{one_line(self._real_name)}")
        is_pinged = False
        while True:
            try:
                async with asyncio.timeout(PING_AFTER_SECONDS):  # wait_for may lose a cancellation
                    raw = await reader.readline()
            except TimeoutError:
                if is_pinged:
                    raise
                is_pinged = True
                self._write("PING :still there")
                continue
            if not raw:
                return
            is_pinged = False
            line = parse_line(raw.decode("utf-8", "replace").rstrip("\r\n"))
            await self._handle(line)
            await self._on_line(self, line)

    async def _handle(self, line: IrcLine) -> None:
        """Handle a line that is about the connection itself."""
        params = line.params
        match line.command:
            case "PING":
                self._write(f"PONG :{params[-1] if params else ''}")
            case "001":
                self.nick = params[0]
                await self._join_channels()
            case "005":
                for token in params:
                    if token.startswith("NICKLEN=") and token[8:].isdecimal():
                        self.max_nick_chars = int(token[8:])
            case "366" if len(params) > 1:
                self._set_joined(params[1], "")
            case "NICK" if line.nick == self.nick:
                self.nick = params[0]
            case "KICK" if len(params) > 1 and params[1] == self.nick:
                self.channels.pop(params[0].casefold(), None)
            case "ERROR":
                raise ConnectionError(params[-1] if params else "the server refuses")
            case code if code in _NICK_REFUSED and not self.ready.is_set():
                self.nick = alternative_nick(self.nick, self.wanted_nick, self.max_nick_chars)
                self._write(f"NICK {self.nick}")
            case code if code in _JOIN_REFUSED and len(params) > 1:
                log.warning("%s cannot join %s: %s", self.nick, params[1], params[-1])
                self._set_joined(params[1], params[-1])

    async def _join_channels(self) -> None:
        for channel in self.channels:
            await self.send(f"JOIN {channel}")
        if not self.channels:
            self.ready.set()

    def _set_joined(self, channel: str, why_not: str) -> None:
        self.channels[channel.casefold()] = why_not
        self._joining.discard(channel.casefold())
        if not self._joining:
            self.ready.set()


def alternative_nick(taken: str, wanted_nick: str, max_bytes: int) -> str:
    """The next nick to try after a refused one: with a number before the clone's mark."""
    name, bracket, mark = wanted_nick.partition("[")
    tried = re.search(r"[0-9]+\Z", taken.removesuffix(bracket + mark))
    ending = f"{int(tried[0]) + 1 if tried and taken != wanted_nick else 2}{bracket}{mark}"
    return name[: max(max_bytes - len(ending), 1)] + ending


def nick_from_name(name: str, ending: str, max_bytes: int) -> str:
    """A nick for a name: its letters and digits, `_` for all others, and the ending."""
    kept: Sequence[str] = [c if c.isascii() and c.isalnum() else "_" for c in name.strip()]
    stem = "".join(kept).strip("_") or "clone"
    if stem[0].isdigit():
        stem = f"_{stem}"
    return stem[: max(max_bytes - len(ending), 1)] + ending
