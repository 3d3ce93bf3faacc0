"""`myna chat`: talk to the clones in a terminal, or through a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from myna.cli._terminal import Name, Set, colour_of, console, here, say

if TYPE_CHECKING:
    from rich.console import Console

    from myna.persona.clone import Clone
    from myna.persona.room import Room

NAME = "chat"
ANSWERS = 3
"""Most turns that personas take before it is the human's turn again."""

HELP = """\
/who                who is in the room, and who else could be
/who NAME, NAME     choose who is in the room
/as NAME            speak as somebody else
/talk N             let them talk among themselves for N turns
/essay PROMPT       have an essay written (for clones of those who wrote some)
/journal DATE       have a page of a journal written
/retry              have the last answer said anew
/quit               leave"""


def command(
    ctx: typer.Context,
    with_: Annotated[
        list[str] | None, typer.Option("--with", metavar="NAME", help="Who is in the room.")
    ] = None,
    as_: Annotated[str, typer.Option("--as", metavar="NAME", help="Who you are.")] = "Me",
    name: Name = "group",
    set_: Set = None,
    seed: Annotated[int | None, typer.Option(help="The same seed, the same words.")] = None,
) -> None:
    """Talk to the clones, or let them talk among themselves."""
    from myna import config, people
    from myna.errors import MynaError
    from myna.persona.clone import open_clone

    workspace = here(ctx)
    settings = config.override(workspace.settings(), set_ or [])
    clone = open_clone(workspace, name, settings.chat, seed=seed, say=say)
    chosen = [people.find(n, clone.personas) for n in with_] if with_ else None
    me = people.plain_name(as_)
    talk = Talk(clone, clone.room([me], chosen), me, console())
    typed = sys.stdin.isatty()
    say(f"In the room: {', '.join(talk.room.members)}. /help says what you can type.")
    try:
        while (line := _read(f"{talk.me}: " if typed else "")) is not None:
            try:
                if not talk.hear(line):
                    break
            except MynaError as error:
                say(f"myna: {error}")
    finally:
        clone.engine.close()


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
    room: Room
    me: str
    screen: Console

    def hear(self, line: str) -> bool:
        """Do what was typed; False to leave."""
        word, _, rest = line.strip().partition(" ")
        if not word.startswith("/"):
            if line.strip():
                self.room.say(self.me, line)
                self._answer()
            return True
        actions: dict[str, Callable[[str], None]] = {
            "/who": self._who,
            "/as": self._as,
            "/talk": self._talk,
            "/essay": lambda prompt: self._write(prompt=prompt),
            "/journal": lambda day: self._write(day=day),
            "/retry": self._retry,
            "/help": lambda _: say(HELP),
        }
        if word == "/quit":
            return False
        if word in actions:
            actions[word](rest.strip())
        else:
            say(f"there is no {word}\n{HELP}")
        return True

    def present(self) -> list[str]:
        """The personas in the room whom the human does not speak for."""
        return [p for p in self.room.members if p in self.clone.personas and p != self.me]

    def _answer(self) -> None:
        """Personas answer until the model expects the human to speak."""
        if not self.present():
            say("nobody is here to answer: /who NAME brings somebody in")
            return
        speaker = self.clone.next_speaker(self.room, self.present())
        for _ in range(ANSWERS):
            self._say(speaker)
            speaker = self.clone.next_speaker(self.room, [*self.present(), self.me])
            if speaker == self.me:
                break

    def _write(self, **asked: str) -> None:
        """Have the first who is here write an entry."""
        from myna.samples.lines import entry_line

        if not self.present():
            say("nobody is here to write: /who NAME brings somebody in")
            return
        self._say(self.present()[0], entry_line(**asked))

    def _say(self, person: str, opening: str = "") -> None:
        style = colour_of(self.clone.personas)[person]
        self.screen.print(f"{person}: ", style=f"bold {style}", end="")
        for words in self.clone.speak(self.room, person, opening):
            # Further messages of a turn stand below the first.
            self.screen.print(words.replace("\n", "\n" + " " * (len(person) + 2)), end="")
        self.screen.print()

    def _who(self, names: str) -> None:
        from myna import people

        if names:
            chosen = [people.find(n, self.clone.personas) for n in names.split(",")]
            lines = self.room.lines
            self.room = self.clone.room([self.me], chosen)
            self.room.lines = lines
        others = [p for p in self.clone.personas if p not in self.room.members]
        say(f"In the room: {', '.join(self.room.members)}")
        if others:
            say(f"Could be: {', '.join(others)}")

    def _as(self, name: str) -> None:
        from myna import people

        before, self.me = self.me, people.plain_name(name or "Me")
        members = [m for m in self.room.members if m != before or m in self.clone.personas]
        self.room.members = list(dict.fromkeys([*members, self.me]))
        say(f"You are {self.me} now.")

    def _talk(self, turns: str) -> None:
        among = self.present()
        if len(among) < 2:
            say("it takes two to talk: /who NAME, NAME brings them in")
            return
        for _ in range(int(turns) if turns.isdigit() else 6):
            self._say(self.clone.next_speaker(self.room, among))

    def _retry(self, _: str) -> None:
        from myna.samples.lines import entry_line_of

        if not self.room.lines or self.room.lines[-1].person not in self.present():
            say("there is no answer to say anew")
            return
        last = self.room.retract()
        if last is not None:
            self._say(last.person, entry_line_of(last.text))
