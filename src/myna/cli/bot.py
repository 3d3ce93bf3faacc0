"""`myna bot`: run the clones as a bot on Discord or IRC."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._progress import working
from myna.cli._terminal import (
    Adapter,
    Json,
    LogFormatter,
    Set,
    find_workspace,
    note,
    open_workspace,
    print_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterator
    from typing import TextIO

    from myna import config
    from myna.bots.front import Front
    from myna.bots.host import Host
    from myna.bots.outbox import Outbox
    from myna.people.consent_checker import ConsentChecker
    from myna.workspace import Workspace

NAME = "bot"
OFF_FILE = "OFF"

# The URLs of webhooks and interactions hold a token with which anybody can write in the
# channel ("Webhook Resource", Discord's developer reference).
_WEBHOOK_TOKEN = re.compile(r"((?:webhooks|interactions)/[0-9]+/)[\w.-]+")

app = typer.Typer(help="Run the clones as a bot on Discord or IRC.", no_args_is_help=True)


@app.command()
def discord(
    ctx: typer.Context,
    invite: Annotated[
        bool, typer.Option("--invite", help="Print the link that invites the bot, and exit.")
    ] = False,
    application: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="With --invite: the application's id, instead of a token; it stands in Discord's "
            "developer portal under General Information.",
        ),
    ] = "",
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="List every permission and intent with where to click, and exit."
        ),
    ] = False,
    as_json: Json = False,
    adapter: Adapter = DEFAULT_ADAPTER,
    assignments: Set = None,
) -> None:
    """Run the bot on Discord; its token is read from MYNA_DISCORD_TOKEN or the keyring."""
    import asyncio
    import importlib.util

    from myna.errors import BotError

    if importlib.util.find_spec("discord") is None:
        raise BotError("discord.py is not installed: run `pip install 'myna[bots]'`")
    from myna.bots import discord_setup

    if invite and application:
        typer.echo(discord_setup.application_invite_url(application))
        return
    workspace, settings = open_workspace(ctx, assignments)
    token = discord_setup.load_token()
    log_to(sys.stderr, [token], debug="--debug" in sys.argv)
    if invite:
        typer.echo(asyncio.run(discord_setup.bot_invite_url(token)))
    elif check:
        report = asyncio.run(discord_setup.check_setup(token, settings.bot.servers))
        _print_findings(report, as_json)
    else:
        with open_bot(workspace, adapter, settings, "discord") as (outbox, consents, make_host):
            _run_until_stopped(_run_discord(settings.bot, token, outbox, consents, make_host))


@app.command()
def irc(
    ctx: typer.Context,
    server: Annotated[str, typer.Option(metavar="HOST[:PORT]", help="Address of the IRC server.")],
    channel: Annotated[list[str], typer.Option(metavar="#CHANNEL", help="To join; repeatable.")],
    nick: Annotated[str, typer.Option(help="Nick of the bot itself.")] = "myna",
    tls: Annotated[bool, typer.Option(help="Connect with TLS.")] = True,
    adapter: Adapter = DEFAULT_ADAPTER,
    assignments: Set = None,
) -> None:
    """Run the bot on an IRC server; its password, if any, is read from MYNA_IRC_PASSWORD."""
    import os

    from myna.bots.irc_connection import ServerAddress
    from myna.bots.irc_front import IrcBot
    from myna.errors import SettingsError

    host, colon, port = server.rpartition(":") if server.count(":") == 1 else (server, "", "")
    if colon and not port.isdecimal():
        raise SettingsError(f"--server {server}: write it as HOST or HOST:PORT")
    password = os.environ.get("MYNA_IRC_PASSWORD", "")
    address = ServerAddress(host, int(port or (6697 if tls else 6667)), tls, password)
    workspace, settings = open_workspace(ctx, assignments)
    log_to(sys.stderr, [password], debug="--debug" in sys.argv)
    with open_bot(workspace, adapter, settings, "irc") as (_, _consents, make_host):
        _run_until_stopped(IrcBot(address, nick, channel, settings.bot, make_host).run())


@app.command()
def off(ctx: typer.Context) -> None:
    """Silence the clones in all servers until `myna bot on`."""
    workspace = find_workspace(ctx)
    workspace.bots.mkdir(mode=0o700, parents=True, exist_ok=True)
    (workspace.bots / OFF_FILE).touch()
    note("the clones are silent. Next: myna bot on")


@app.command()
def on(ctx: typer.Context) -> None:
    """Let the clones speak again after `myna bot off`."""
    (find_workspace(ctx).bots / OFF_FILE).unlink(missing_ok=True)
    note("the clones may speak")


@contextmanager
def open_bot(
    workspace: Workspace, name: str, settings: config.Settings, platform: str
) -> Iterator[tuple[Outbox, ConsentChecker, Callable[[Front], Host]]]:
    """Open the clone, its rooms, the outbox and the consents; yield what makes the bot's host."""
    from myna.bots.host import Host
    from myna.bots.outbox import Outbox
    from myna.engines.queueing import Queue
    from myna.persona.clone import open_clone
    from myna.rooms.registry import Rooms
    from myna.rooms.store import RoomStore

    with working("loading the clone"):
        clone = open_clone(workspace, name, settings, scope="group", report=note)
    consents = clone.consents
    outbox = Outbox(workspace.bots / f"{platform}.sqlite")
    store = RoomStore(workspace.rooms_file)
    slots = clone.engine.slots
    rooms = Rooms(clone, store, Queue(slots, 1000))

    def make_host(front: Front) -> Host:
        return Host(
            rooms,
            outbox,
            consents,
            settings.bot,
            front,
            off_file=workspace.bots / OFF_FILE,
            count_tokens=lambda text: len(clone.tokenizer.encode(text).ids),
            slots=slots,
        )

    try:
        yield outbox, consents, make_host
    finally:
        outbox.close()
        store.close()
        clone.close()


async def _run_discord(
    settings: config.Bot,
    token: str,
    outbox: Outbox,
    consents: ConsentChecker,
    make_host: Callable[[Front], Host],
) -> None:
    import discord

    from myna.bots.discord_client import DiscordBot
    from myna.bots.discord_setup import to_bot_error

    if not settings.servers:
        note('all are silent: no server is allowed. Set [bot] servers = ["ID"] in myna.toml')
    async with DiscordBot(settings, outbox, consents, make_host) as client:
        try:
            await client.start(token)
        except (discord.DiscordException, OSError) as error:
            raise to_bot_error(error) from None


def _run_until_stopped(bot: Coroutine[Any, Any, None]) -> None:
    """Run until Ctrl-C or SIGTERM."""
    import asyncio
    import signal

    async def run() -> None:
        running = asyncio.ensure_future(bot)
        if sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        try:
            await running
        except asyncio.CancelledError:
            note("stopped")

    asyncio.run(run())


def _print_findings(findings: Any, as_json: bool) -> None:
    from dataclasses import asdict

    from myna.errors import BotError

    if as_json:
        print_json({**asdict(findings), "is_well": findings.is_complete})
    else:
        from myna.bots.discord_setup import setup_lines

        for line in setup_lines(findings):
            note(line)
    if not findings.is_complete:
        raise BotError("something is missing: see the lines above, and docs/discord.md")


class _RedactingFormatter(LogFormatter):
    """Formats log records and their tracebacks without secrets."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")
        self._secrets = [secret for secret in secrets if secret]

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        return _WEBHOOK_TOKEN.sub(r"\1[secret]", line)


def log_to(stream: TextIO, secrets: Collection[str], *, debug: bool = False) -> logging.Handler:
    """Write the log to a stream, with these secrets replaced."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_RedactingFormatter(secrets))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.WARNING)
    logging.getLogger("myna").setLevel(logging.DEBUG if debug else logging.INFO)
    return handler
