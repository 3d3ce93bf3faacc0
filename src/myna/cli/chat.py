"""`myna chat`: talk to the clones in a terminal, or through a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._terminal import Adapter, Set, colour_of, console, here, say

if TYPE_CHECKING:
    from rich.console import Console

    from myna.persona.clone import Clone
    from myna.rooms.registry import LiveRoom, Reply, Rooms

NAME = "chat"
ANSWERS = 3
"""Most turns that personas take before it is the human's turn again."""
LAST = "last"
SHOWN = 10
"""Messages of before that are shown where a room is resumed."""

HELP = """\
/who                who is in the room, and who else could be
/who NAME, NAME     choose who is in the room
/as NAME            speak as somebody else
/talk N             let them talk among themselves for N turns
/essay PROMPT       have an essay written (for clones of those who wrote some)
/journal DATE       have a page of a journal written
/retry              have the last answer said anew
/forget             let them forget what was said up to now
/quit               leave"""


def command(
    ctx: typer.Context,
    with_: Annotated[
        list[str] | None, typer.Option("--with", metavar="NAME", help="Who is in the room.")
    ] = None,
    as_: Annotated[
        str,
        typer.Option("--as", metavar="NAME", help="Who you are. Default: Me, or as last time."),
    ] = "",
    room: Annotated[
        str,
        typer.Option(help=f"Go on in this room; '{LAST}' is the one of last time. Default: new."),
    ] = "",
    adapter: Adapter = DEFAULT_ADAPTER,
    set_: Set = None,
    seed: Annotated[int | None, typer.Option(help="The same seed, the same words.")] = None,
) -> None:
    """Talk to the clones, or let them talk among themselves.

    What is said is kept in the workspace as it is said, and never trained on.
    """
    from concurrent.futures import ThreadPoolExecutor
    from contextlib import closing
    from threading import Event

    from myna import config, people
    from myna.engines.queueing import Queue
    from myna.errors import MynaError
    from myna.persona.clone import open_clone
    from myna.rooms.registry import Rooms
    from myna.rooms.store import Histories

    workspace = here(ctx)
    settings = config.override(workspace.settings(), set_ or [])
    settings = config.updated(settings, "chat", {"slots": 1})  # one speaks at a time
    clone = open_clone(workspace, adapter, settings, seed=seed, say=say)
    with closing(clone), closing(Histories(workspace.rooms_file)) as histories:
        chosen = [people.match_name(n, clone.personas) for n in with_] if with_ else None
        rooms = Rooms(clone, histories, Queue(1, 1))
        live, resumed = _open(rooms, room, chosen)
        me = people.sanitize_name(as_ or (live.humans or ["Me"])[-1])
        live.join(me)
        talk = Talk(clone, live, me, console())
        typed = sys.stdin.isatty()
        if typed:
            _edit_lines()
        say(f"In the room: {', '.join(live.members)}. /help says what you can type.")
        if resumed:
            talk.look_back()
        leaving = Event()
        with ThreadPoolExecutor(1) as meanwhile:
            meanwhile.submit(live.read_ahead, leaving.is_set)
            while (line := _read(f"{talk.me}: " if typed else "")) is not None:
                try:
                    if not talk.hear(line):
                        break
                except MynaError as error:
                    say(f"myna: {error}")
                meanwhile.submit(live.read_ahead, leaving.is_set)
            leaving.set()
        if live.messages(1):
            say(f"Kept: go on with `myna chat --room {LAST}`, or --room '{live.id}' at any time.")
        else:
            rooms.drop(live.id)


def _open(rooms: Rooms, name: str, personas: list[str] | None) -> tuple[LiveRoom, bool]:
    """The room to talk in, and whether it was there before.

    Raises:
        RoomError: no room is the last one.
    """
    from datetime import datetime

    from myna.errors import RoomError
    from myna.rooms.registry import OWNER

    known = rooms.ids()
    if name == LAST:
        mine = [n for n in known if n.startswith(f"{NAME} ")]
        if not mine:
            raise RoomError("there is no room of last time: begin one with `myna chat`")
        name = mine[-1]
    if not name:
        now = f"{NAME} {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
        name = next(n for n in (now, *(f"{now} ({i})" for i in range(2, 99))) if n not in known)
    # What a room of before is read by, such as a bot's, stays as it is.
    audience = None if name in known else OWNER
    return rooms.open(name, personas=personas, audience=audience), name in known


def _edit_lines() -> None:
    """Have `input` know arrow keys, lines of before, pastes of many lines and very long ones."""
    with suppress(ImportError):  # Windows has all that in its terminal
        import readline  # noqa: F401  # by being imported


def _read(prompt: str) -> str | None:
    """The next line typed or piped in; None at the end."""
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt):
        return None


@dataclass
class Talk:
    """A room, and the human in it."""

    clone: Clone
    room: LiveRoom
    me: str
    screen: Console

    def hear(self, line: str) -> bool:
        """Do what was typed; False to leave."""
        word, _, rest = line.strip().partition(" ")
        if not word.startswith("/"):
            if self.room.say(self.me, line):
                self._answer()
            return True
        actions: dict[str, Callable[[str], object]] = {
            "/who": self._who,
            "/as": self._as,
            "/talk": self._talk,
            "/essay": lambda prompt: self._write(prompt=prompt),
            "/journal": lambda day: self._write(day=day),
            "/retry": lambda _: self._show(self.room.retry()),
            "/forget": self._forget,
            "/help": lambda _: say(HELP),
        }
        if word == "/quit":
            return False
        if word in actions:
            actions[word](rest.strip())
        else:
            say(f"there is no {word}\n{HELP}")
        return True

    def look_back(self) -> None:
        """Show the last of what was said before."""
        for message in self.room.messages(SHOWN):
            self.screen.print(f"{message.person}: ", style="bold dim", end="")
            self.screen.print(_below(message.text, message.person), style="dim")

    def _answer(self) -> None:
        """Personas answer until the model expects the human to speak."""
        if not self.room.personas:
            say("nobody is here to answer: /who NAME brings somebody in")
            return
        speaker: str | None = None
        for _ in range(ANSWERS):
            if not self._show(self.room.speak(speaker)):
                break
            speaker = self.room.next_speaker()
            if speaker not in self.room.personas:
                break

    def _write(self, **asked: str) -> None:
        """Have the first who is here write an entry."""
        from myna.rendering.turns import entry_line

        if not self.room.personas:
            say("nobody is here to write: /who NAME brings somebody in")
            return
        self._show(self.room.speak(self.room.personas[0], opening=entry_line(**asked)))

    def _show(self, reply: Reply) -> bool:
        """Print what a persona says as they say it; False where Ctrl-C stopped them."""
        style = colour_of(self.clone.personas)[reply.person]
        self.screen.print(f"{reply.person}: ", style=f"bold {style}", end="")
        with reply:
            try:
                for words in reply:
                    self.screen.print(_below(words, reply.person), end="")
            except KeyboardInterrupt:
                say("")
                return False
        self.screen.print()
        return True

    def _who(self, names: str) -> None:
        from myna import people

        if names:
            chosen = [people.match_name(n, self.clone.personas) for n in names.split(",")]
            for name in self.room.personas:
                if name not in chosen:
                    self.room.dismiss(name)
            for name in chosen:
                self.room.summon(name)
        others = [p for p in self.clone.personas if p not in self.room.members]
        say(f"In the room: {', '.join(self.room.members)}")
        if others:
            say(f"Could be: {', '.join(others)}")

    def _as(self, name: str) -> None:
        from myna import people

        self.room.leave(self.me)
        self.me = people.sanitize_name(name or "Me")
        self.room.join(self.me)
        say(f"You are {self.me} now.")

    def _talk(self, turns: str) -> None:
        if len(self.room.personas) < 2:
            say("it takes two to talk: /who NAME, NAME brings them in")
            return
        for _ in range(int(turns) if turns.isdecimal() else 6):
            if not self._show(self.room.speak()):
                break

    def _forget(self, _: str) -> None:
        self.room.forget()
        say("They have forgotten what was said; it stays in the workspace.")


def _below(words: str, person: str) -> str:
    """Words whose further lines stand below the first."""
    return words.replace("\n", "\n" + " " * (len(person) + 2))
