"""Simcord's Discord behind real HTTP and a real gateway, for bots in processes of their own.

It outlives them: they are killed and started again, and it is what it was.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from simcord.backend import Backend, serializers
from simcord.backend.errors import BackendError
from simcord.http import router, routes  # noqa: F401  # registers the routes
from tests.bots import simulated  # noqa: F401  # lets buttons through
from tests.bots.world import API_VERSION


class Bridge:
    """A Discord with one server, one channel, and Eve."""

    def __init__(self) -> None:
        self.backend = Backend()
        self._now()
        guild = self.backend.create_guild("Tea House")
        self.channel: int = self.backend.create_channel(guild.id, "kettle").id
        self.eve: int = self.backend.make_user("eve", global_name="Eve").id
        self.backend.add_member(guild.id, self.eve)
        self.guild: int = guild.id
        self.held = 0
        """Posts of webhooks that get no answer though they are taken, from now on."""
        self.holding = asyncio.Event()
        self.released = asyncio.Event()
        self.known_token = True
        self.content_intent = True
        self.sockets: list[web.WebSocketResponse] = []
        self.backend.subscribers.append(self._emit)
        self._sending: set[asyncio.Task[None]] = set()

    def say(self, text: str) -> None:
        """Eve writes."""
        self._now()
        self.backend.create_message(self.channel, self.eve, text)

    def said(self) -> list[str]:
        """The messages of clones."""
        there = self.backend.messages[self.channel].values()
        return [str(m.content) for m in sorted(there, key=lambda m: m.id) if m.webhook_id]

    def _now(self) -> None:
        """Set the simulated clock by the real one, by which bots in other processes live."""
        behind = datetime.now(UTC) - self.backend.clock.now()
        self.backend.advance_clock(max(0.0, behind.total_seconds()))

    def _emit(self, event: str, payload: Mapping[str, Any]) -> None:
        for socket in self.sockets:
            task = asyncio.ensure_future(_dispatch(socket, event, payload))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def gateway(self, request: web.Request) -> web.WebSocketResponse:
        """A bot's connection."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": 40_000}})
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            sent = json.loads(message.data)
            if sent["op"] == 1:
                await socket.send_json({"op": 11})
            elif sent["op"] == 2:
                if not self.content_intent and sent["d"]["intents"] & 1 << 15:
                    await socket.close(code=4014, message=b"Disallowed intent(s).")
                    break
                await self._welcome(socket)
        if socket in self.sockets:
            self.sockets.remove(socket)
        return socket

    async def _welcome(self, socket: web.WebSocketResponse) -> None:
        guild = self.backend.guilds[self.guild]
        ready = {
            "v": 10,
            "user": dict(serializers.user_payload(self.backend.bot_user)),
            "guilds": [{"id": str(guild.id), "unavailable": True}],
            "session_id": "s",
            "resume_gateway_url": "ws://127.0.0.1:1",
            "application": {"id": str(self.backend.application_id), "flags": 0},
        }
        await _dispatch(socket, "READY", ready)
        created = serializers.guild_create_payload(self.backend, guild)
        await _dispatch(socket, "GUILD_CREATE", created)
        self.sockets.append(socket)

    async def api(self, request: web.Request) -> web.StreamResponse:
        """A REST call."""
        path = request.path.removeprefix(API_VERSION)
        if not self.known_token:
            return _answer({"message": "401: Unauthorized", "code": 0}, status=401)
        if path == "/gateway/bot":
            url = f"ws://127.0.0.1:{request.url.port}/gateway"
            limit = {"total": 1000, "remaining": 999, "reset_after": 1, "max_concurrency": 1}
            return _answer({"url": url, "shards": 1, "session_start_limit": limit})
        body = await request.json() if request.can_read_body else None
        try:
            found = router.dispatch(
                self.backend, request.method, path, json=body, params=dict(request.query)
            )
        except BackendError as error:
            return _answer(error.to_json(), status=error.status)
        if path == "/oauth2/applications/@me" and self.content_intent:
            found = {**found, "flags": 1 << 18}
        if self.held and request.method == "POST" and path.startswith("/webhooks/"):
            self.held -= 1
            if not self.held:
                self.holding.set()
                await self.released.wait()
        return _answer(found) if found is not None else web.Response(status=204)


def _answer(data: object, status: int = 200) -> web.Response:
    """JSON, under just the name that discord.py looks for."""
    body = json.dumps(data, default=str).encode()
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json"})


async def _dispatch(socket: web.WebSocketResponse, event: str, payload: object) -> None:
    if not socket.closed:
        await socket.send_json({"op": 0, "t": event, "s": 1, "d": payload})


@asynccontextmanager
async def bridged() -> AsyncIterator[tuple[Bridge, str]]:
    """A Discord, and its address."""
    bridge = Bridge()
    app = web.Application()
    app.router.add_get("/gateway", bridge.gateway)
    app.router.add_route("*", API_VERSION + "/{path:.*}", bridge.api)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield bridge, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        bridge.released.set()
        await runner.cleanup()


@asynccontextmanager
async def process(
    log: Path, program: str, *arguments: str | Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python program of its own, killed at the end if it still runs; its log goes to a file.

    It has loaded all it needs, and waits to be told by `begin` to do something.
    """
    root = Path(__file__).parents[2]
    with log.open("ab") as stream:
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).parent / program),
            *map(str, arguments),
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])},
            stdin=asyncio.subprocess.PIPE,
            stderr=stream,
            start_new_session=True,
        )
    try:
        yield running
    finally:
        if running.returncode is None:
            os.killpg(running.pid, signal.SIGKILL)
            await running.wait()


def begin(program: asyncio.subprocess.Process) -> None:
    """Let a program begin what it is to do."""
    assert program.stdin is not None
    program.stdin.write(b"begin\n")


async def until(what: str, holds: Any, seconds: float = 15) -> None:
    """Wait for something to hold."""
    for _ in range(int(seconds / 0.02)):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"in vain: {what}")
