"""`myna bot`: the clones in a Discord server, or on IRC."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._terminal import Adapter, Json, Set, emit, here, say

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterator
    from typing import TextIO

    from myna import config
    from myna.bots.consent import ConsentChecker
    from myna.bots.front import Front
    from myna.bots.host import Host
    from myna.bots.outbox import Outbox
    from myna.workspace import Workspace

NAME = "bot"
OFF = "OFF"

# A webhook's address holds its token ("Webhook Resource", Discord's developer reference);
# whoever has it can write in the channel. So does an interaction's.
_ADDRESS = re.compile(r"((?:webhooks|interactions)/[0-9]+/)[\w.-]+")

app = typer.Typer(help="Let the clones talk in a Discord server, or on IRC.", no_args_is_help=True)


@app.command()
def discord(
    ctx: typer.Context,
    invite: Annotated[
        bool, typer.Option("--invite", help="Print the link that invites the bot to a server.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Say what is missing: token, intents, permissions.")
    ] = False,
    json_: Json = False,
    adapter: Adapter = DEFAULT_ADAPTER,
    set_: Set = None,
) -> None:
    """Talk in Discord servers; the token is in MYNA_DISCORD_TOKEN or the keyring."""
    import asyncio
    import importlib.util

    from myna import config
    from myna.errors import BotError

    if importlib.util.find_spec("discord") is None:
        raise BotError("discord.py is not installed: run `pip install 'myna[bots]'`")
    from myna.bots import discord_setup

    workspace = here(ctx)
    settings = config.override(workspace.settings(), set_ or [])
    token = discord_setup.load_token()
    log_to(sys.stderr, [token], debug="--debug" in sys.argv)
    if invite:
        typer.echo(asyncio.run(discord_setup.bot_invite_url(token)))
    elif check:
        _report(asyncio.run(discord_setup.check_setup(token, settings.bot.servers)), json_)
    else:
        with bot_parts(workspace, adapter, settings, "discord") as (outbox, consents, make_host):
            _until_stopped(_discord(settings.bot, token, outbox, consents, make_host))


@app.command()
def irc(
    ctx: typer.Context,
    server: Annotated[str, typer.Option(metavar="HOST[:PORT]", help="The server.")],
    channel: Annotated[list[str], typer.Option(metavar="#CHANNEL", help="Where they may be.")],
    nick: Annotated[str, typer.Option(help="The nick of the bot itself.")] = "myna",
    tls: Annotated[bool, typer.Option(help="Encrypt the connection.")] = True,
    adapter: Adapter = DEFAULT_ADAPTER,
    set_: Set = None,
) -> None:
    """Talk on an IRC server; its password, if it has one, is in MYNA_IRC_PASSWORD."""
    import os

    from myna import config
    from myna.bots.irc_connection import ServerAddress
    from myna.bots.irc_front import IrcBot
    from myna.errors import SettingsError

    host, colon, port = server.rpartition(":") if server.count(":") == 1 else (server, "", "")
    if colon and not port.isdecimal():
        raise SettingsError(f"--server {server}: write it as HOST or HOST:PORT")
    password = os.environ.get("MYNA_IRC_PASSWORD", "")
    address = ServerAddress(host, int(port or (6697 if tls else 6667)), tls, password)
    workspace = here(ctx)
    settings = config.override(workspace.settings(), set_ or [])
    log_to(sys.stderr, [password], debug="--debug" in sys.argv)
    with bot_parts(workspace, adapter, settings, "irc") as (_, _consents, make_host):
        _until_stopped(IrcBot(address, nick, channel, settings.bot, make_host).run())


@app.command()
def off_file(ctx: typer.Context) -> None:
    """Silence the clones at once, in all servers, until `myna bot on`."""
    workspace = here(ctx)
    workspace.bots.mkdir(mode=0o700, parents=True, exist_ok=True)
    (workspace.bots / OFF).touch()
    say("the clones are silent. Next: myna bot on")


@app.command()
def on(ctx: typer.Context) -> None:
    """Let the clones speak again."""
    (here(ctx).bots / OFF).unlink(missing_ok=True)
    say("the clones may speak")


@contextmanager
def bot_parts(
    workspace: Workspace, name: str, settings: config.Settings, platform: str
) -> Iterator[tuple[Outbox, ConsentChecker, Callable[[Front], Host]]]:
    """The clone, its rooms and what the bot has still to say."""
    from myna.bots.consent import ConsentChecker
    from myna.bots.host import Host
    from myna.bots.outbox import Outbox
    from myna.engines.queueing import Queue
    from myna.persona.clone import open_clone
    from myna.rooms.registry import Rooms
    from myna.rooms.store import Histories

    clone = open_clone(workspace, name, settings, say=say)
    consents = ConsentChecker(workspace, clone.personas)
    outbox = Outbox(workspace.bots / f"{platform}.sqlite")
    histories = Histories(workspace.rooms_file)
    slots = clone.engine.slots
    rooms = Rooms(clone, histories, Queue(slots, 1000))

    def make_host(front: Front) -> Host:
        return Host(
            rooms,
            outbox,
            consents,
            settings.bot,
            front,
            off_file=workspace.bots / OFF,
            count_tokens=lambda text: len(clone.tokenizer.encode(text).ids),
            slots=slots,
        )

    try:
        if not consents.speakers():
            say("nobody consents to be cloned just now, so all are silent: see `myna people`")
        yield outbox, consents, make_host
    finally:
        outbox.close()
        histories.close()
        clone.close()


async def _discord(
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
        say('no server is on the list, so all are silent: [bot] servers = ["ID"] in myna.toml')
    async with DiscordBot(settings, outbox, consents, make_host) as client:
        try:
            await client.start(token)
        except (discord.DiscordException, OSError) as error:
            raise to_bot_error(error) from None


def _until_stopped(running: Coroutine[Any, Any, None]) -> None:
    """Run until Ctrl-C or SIGTERM."""
    import asyncio
    import signal

    async def run() -> None:
        task = asyncio.ensure_future(running)
        if sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            say("stopped")

    asyncio.run(run())


def _report(report: Any, as_json: bool) -> None:
    from dataclasses import asdict

    from myna.errors import BotError

    if as_json:
        emit({**asdict(report), "is_well": report.is_complete})
    else:
        say(f"the token is good: {report.name}")
        for server, missing in report.servers.items():
            say(f"{server}: {'; '.join(missing) or 'all is well'}")
        for line in report.missing:
            say(line)
    if not report.is_complete:
        raise BotError("something is missing: see above, and docs/discord.md")


class _Redacting(logging.Formatter):
    """Formats a record with its trace, and takes secrets out of all of it."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")
        self._secrets = [secret for secret in secrets if secret]

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        return _ADDRESS.sub(r"\1[secret]", line)


def log_to(stream: TextIO, secrets: Collection[str], *, debug: bool = False) -> logging.Handler:
    """Write the log to a stream, without these secrets, from now on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Redacting(secrets))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.WARNING)
    logging.getLogger("myna").setLevel(logging.DEBUG if debug else logging.INFO)
    return handler
