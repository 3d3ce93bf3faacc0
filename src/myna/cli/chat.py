"""`myna chat`: talk to the clones in a terminal, or through a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myna.choices import DEFAULT_ADAPTER
from myna.cli._chat_opening import LAST, new_room_id, open_room, own_name
from myna.cli._progress import working
from myna.cli._terminal import (
    Adapter,
    Set,
    console,
    note,
    note_lines,
    open_workspace,
    person_colours,
)

if TYPE_CHECKING:
    from rich.console import Console

    from myna.rooms.registry import LiveReply, LiveRoom, Rooms
    from myna.rooms.store import Message

NAME = "chat"
MAX_PERSONA_TURNS = 3
"""Turns that personas take at most before it is the human's turn again."""
RECENT_MESSAGES = 10
"""Messages that are printed when a room is resumed."""

COMMANDS_HELP = """\
/who                who is in the room, and who else could be
/who NAME, NAME     choose who is in the room
/as NAME            change your own name in the room
/talk N             let the personas talk among themselves for N turns; an empty room
                    begins with a real moment of the chats
/topic WORDS        begin an empty room with a real moment about something
/era 2019-03        speak as at that time; without a date, as today
/essay PROMPT       ask for an essay (of personas who wrote essays)
/journal DATE       ask for a journal entry
/retry              say the last reply anew; the one before is kept
/version N          show another version of the last reply; without N, all of them
/continue           let the last reply go on where it ends
/reply TEXT         answer the last reply by name, quoting it
/edit TEXT          change your last message
/delete             delete the last message
/suggest            what your own clone would say, if there is one of your name
/compare            the last reply as the base model alone would say it
/prompt             the exact text that the model sees next
/prompt FILE        continue a text in a file, edited by hand; nothing is stored
/branch             go on in a copy of the room; this one stays as it is
/find WORDS         search all rooms
/title WORDS        give the room a title
/save FILE          write the chat as text, each clone marked
/forget             start a new context; the messages stay stored
/quit               leave"""


def command(
    ctx: typer.Context,
    with_: Annotated[
        list[str] | None, typer.Option("--with", metavar="NAME", help="Persona; repeatable.")
    ] = None,
    as_: Annotated[
        str,
        typer.Option(
            "--as", metavar="NAME", help="Your name. Default: that of last time, or of the owner."
        ),
    ] = "",
    room: Annotated[
        str, typer.Option(help=f"Resume this room; '{LAST}': the newest one. Default: a new room.")
    ] = "",
    adapter: Adapter = DEFAULT_ADAPTER,
    assignments: Set = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampling.")] = None,
) -> None:
    """Talk to the clones, or let them talk among themselves.

    All messages are stored in the workspace; none is ever trained on.
    """
    from concurrent.futures import ThreadPoolExecutor
    from contextlib import closing
    from threading import Event

    from myna import config, people
    from myna.engines.queueing import Queue
    from myna.errors import MynaError
    from myna.persona.clone import open_clone
    from myna.rooms.registry import Rooms
    from myna.rooms.store import RoomStore

    workspace, settings = open_workspace(ctx, assignments)
    settings = config.updated(settings, "chat", {"slots": 1})  # one speaks at a time
    with working("loading the clone"):
        clone = open_clone(workspace, adapter, settings, scope="owner", seed=seed, report=note)
    with closing(clone), closing(RoomStore(workspace.rooms_file)) as store:
        matched = [people.match_name(n, clone.personas) for n in with_ or ()]
        personas = [clone.check_persona(name) for name in matched] or None
        rooms = Rooms(clone, store, Queue(1, 1))
        live, resumed = open_room(rooms, room, personas)
        owner = people.owner_name(people.load(workspace.people_file))
        me, who = own_name(as_, live.humans, owner, personas or live.personas)
        live.join(me)
        interactive = sys.stdin.isatty()
        session = ChatSession(rooms, live, me, console(), echo=not interactive)
        if interactive:
            _enable_line_editing()
        note(f"In the room: {', '.join(live.members)}. You are {me}. /help lists the commands.")
        if who:
            note(who)
        if impossible := session.impossible():
            note(f"Not in this room: {', '.join(impossible)}.")
        if resumed:
            session.print_recent()
        closing_down = Event()
        with ThreadPoolExecutor(1) as background:
            background.submit(session.room.read_ahead, closing_down.is_set)
            while (line := _read_line(f"{session.me}: " if interactive else "")) is not None:
                try:
                    if not session.handle(line):
                        break
                except MynaError as error:
                    note(f"myna: {error}")
                background.submit(session.room.read_ahead, closing_down.is_set)
            closing_down.set()
        room_id = session.room.id
        if session.room.messages(1):
            note(f"Stored. Resume with `myna chat --room {LAST}`, later with --room '{room_id}'.")
        else:
            rooms.drop(room_id)


def _enable_line_editing() -> None:
    """Give `input` arrow keys, a history, pastes of several lines and very long lines."""
    with suppress(ImportError):  # the Windows terminal has all that itself
        import readline  # noqa: F401  # importing it is enough


def _read_line(prompt: str) -> str | None:
    """The next line of standard input; None at its end."""
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt):
        return None


@dataclass
class ChatSession:
    """A room, and the human in it."""

    rooms: Rooms
    room: LiveRoom
    me: str
    screen: Console
    echo: bool = False
    """Print what the human says: no terminal shows what they typed."""

    def handle(self, line: str) -> bool:
        """Do what a typed line asks for; return False to leave."""
        word, _, rest = line.strip().partition(" ")
        if not word.startswith("/"):
            if self.room.say(self.me, line):
                if self.echo:
                    self.screen.print(f"{self.me}: ", style="bold", end="")
                    self.screen.print(_indented(line, self.me))
                self._let_answer()
            return True
        actions: dict[str, Callable[[str], object]] = {
            "/who": self._who,
            "/as": self._as,
            "/talk": self._talk,
            "/topic": self._topic,
            "/era": self._era,
            "/essay": lambda prompt: self._write(prompt=prompt),
            "/journal": lambda day: self._write(day=day),
            "/retry": lambda _: self._print_reply(self.room.regenerate()),
            "/version": self._version,
            "/continue": lambda _: self._print_reply(self.room.go_on()),
            "/reply": self._reply,
            "/edit": self._edit,
            "/delete": lambda _: self._delete(),
            "/suggest": lambda _: self._print_unstored(self.me, self.room.suggest(self.me)),
            "/compare": lambda _: self._compare(),
            "/prompt": self._prompt,
            "/branch": lambda _: self._branch(),
            "/find": self._find,
            "/title": self.room.rename,
            "/save": self._save,
            "/forget": self._forget,
            "/help": lambda _: note_lines(COMMANDS_HELP),
        }
        if word == "/quit":
            return False
        if word in actions:
            actions[word](rest.strip())
        else:
            note(f"there is no command {word}")
            note_lines(COMMANDS_HELP)
        return True

    def print_recent(self) -> None:
        """Print the last messages of a resumed room."""
        self._print_past(self.room.messages(RECENT_MESSAGES))

    def _print_past(self, messages: Sequence[Message]) -> None:
        from myna import people

        for message in messages:
            mark = people.CLONE_MARK if message.by_clone else ""
            self.screen.print(f"{message.person}{mark}: ", style="bold dim", end="")
            self.screen.print(_indented(message.text, message.person), style="dim")

    def _let_answer(self) -> None:
        """Let personas answer until the model expects the human to speak."""
        if not self.room.personas:
            note("no persona is in the room: bring one in with /who NAME")
            return
        speaker: str | None = None
        for _ in range(MAX_PERSONA_TURNS):
            if not self._print_reply(self.room.speak(speaker)):
                break
            speaker = self.room.next_speaker()
            if speaker not in self.room.personas:
                break

    def _write(self, **entry: str) -> None:
        """Let the first persona write a journal entry or an essay."""
        from myna.rendering.turns import entry_line

        if not self.room.personas:
            note("no persona is in the room: bring one in with /who NAME")
            return
        self._print_reply(self.room.speak(self.room.personas[0], opening=entry_line(**entry)))

    def _print_reply(self, reply: LiveReply) -> bool:
        """Print a reply as it is generated; return False if Ctrl-C stopped it."""
        from myna import people

        style = person_colours(self.rooms.clone.personas)[reply.person]
        self.screen.print(f"{reply.person}{people.CLONE_MARK}: ", style=f"bold {style}", end="")
        with reply:
            try:
                for text in reply:
                    self.screen.print(_indented(text, reply.person), end="")
            except KeyboardInterrupt:
                note("")
                return False
        self.screen.print()
        return True

    def _version(self, number: str) -> None:
        turn = self.room.persona_turn(None)[0].turn
        if number.isdecimal():
            self._print_past(self.room.show_version(turn, int(number)))
            return
        for version, messages in self.room.versions(turn).items():
            note(f"{version}: {' / '.join(m.text for m in messages)}")

    def _reply(self, text: str) -> None:
        last = self.room.persona_turn(None)[-1]
        if self.room.say(self.me, text, reply_to=last.id):
            self._let_answer()

    def _edit(self, text: str) -> None:
        mine = [m for m in self.room.messages() if m.person == self.me and not m.by_clone]
        if mine and text:
            self._print_past([self.room.edit(mine[-1].id, text)])
        else:
            note("there is nothing of yours to edit" if text else "type the new text behind /edit")

    def _delete(self) -> None:
        for message in self.room.messages(1):
            deleted = self.room.delete(message.id)
            note(f"Deleted: {deleted.person}: {deleted.text}")

    def _compare(self) -> None:
        base, clone = self.room.compare(None)
        person = self.room.persona_turn(None)[0].person
        note_lines(f"the base alone: {base}\n{person}: {clone}")

    def _prompt(self, file: str) -> None:
        from myna.errors import WorkspaceError

        person = next((p for p in self.room.personas if p != self._last_person()), "")
        if not file:
            self.screen.print(self.room.prompt_text(person))
            return
        try:
            text = Path(file).expanduser().read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise WorkspaceError(f"cannot read {file}: {error}") from error
        self._print_unstored(person, self.room.continue_prompt(person, text))

    def _last_person(self) -> str:
        return next((m.person for m in self.room.messages(1)), "")

    def _print_unstored(self, person: str, pieces: Iterable[str]) -> None:
        self.screen.print(f"{person} (not sent): ", style="bold dim", end="")
        for piece in pieces:
            self.screen.print(piece, end="")
        self.screen.print()

    def _branch(self) -> None:
        for last in self.room.messages(1):
            new_id = new_room_id(self.rooms.ids())
            self.room = self.rooms.branch(self.room.id, last.id, new_id)
            note(f"You go on in a copy, '{new_id}'.")

    def _find(self, words: str) -> None:
        for message in self.room.search(words):
            note(f"{message.room}: {message.person}: {message.text}")

    def _save(self, name: str) -> None:
        from myna.errors import RoomError
        from myna.workspace import explain_disk_errors, write_text

        path = Path(name or f"{self.room.id.replace(':', '.')}.txt").expanduser()
        if path.exists():
            raise RoomError(f"{path} is there already: choose another name, /save FILE")
        with explain_disk_errors(path):
            write_text(path, self.room.transcript())
        note(f"the chat is in {path}")

    def _who(self, names: str) -> None:
        from myna import people

        if names:
            chosen = [people.match_name(n, self.rooms.clone.personas) for n in names.split(",")]
            for name in self.room.personas:
                if name not in chosen:
                    self.room.dismiss(name)
            for name in chosen:
                self.room.summon(name)
        others = [p for p in self.rooms.clone.speakers() if p not in self.room.members]
        note(f"In the room: {', '.join(self.room.members)}")
        if others:
            note(f"Not in the room: {', '.join(others)}")

    def _as(self, name: str) -> None:
        from myna import people

        self.room.leave(self.me)
        self.me = people.sanitize_name(name or "Me")
        self.room.join(self.me)
        note(f"You are {self.me} now.")

    def _talk(self, turns: str) -> None:
        if len(self.room.personas) < 2:
            note("fewer than two personas are in the room: bring them in with /who NAME, NAME")
            return
        if self.room.is_empty:
            self._begin()
        for _ in range(int(turns) if turns.isdecimal() else 6):
            if not self._print_reply(self.room.speak()):
                break

    def _topic(self, topic: str) -> None:
        if not topic:
            note("about what? Type it after the command: /topic lunch")
        elif not self.room.is_empty:
            note("the room has a topic already: type /forget first, or talk about it")
        elif not self._begin(topic):
            note(f"nobody talked about {topic} in the chats kept for this: say something about it")

    def _begin(self, topic: str = "") -> bool:
        """Print the real moment that the room begins with; False if there is none."""
        begun = self.room.begin(topic)
        if begun:
            note("It begins with what was really said:")
        self._print_past(begun)
        return bool(begun)

    def impossible(self) -> list[str]:
        """The commands that lead nowhere in this room, each with the reason."""
        reasons = []
        if len(self.room.personas) < 2:
            reasons.append(f"/talk ({'one persona alone' if self.room.personas else 'no persona'})")
        if "{date}" not in self.rooms.clone.format.samples.system_lines[0]:
            reasons.append("/era (the clone learned no dates)")
        return reasons

    def _era(self, when: str) -> None:
        self.room.set_era(when or None)
        note(f"They speak as on {self.room.era} now." if when else "They speak as today now.")

    def _forget(self, _: str) -> None:
        self.room.forget()
        note("New context: the personas no longer see the messages, which stay stored.")


def _indented(text: str, person: str) -> str:
    """The text with its further lines indented to stand below the first."""
    return text.replace("\n", "\n" + " " * (len(person) + 2))
