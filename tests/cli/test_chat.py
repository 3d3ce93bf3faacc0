"""The terminal chat: what a human at the keys can do."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from tests.persona.talking import Script, clone_of

from myna.cli.chat import ChatSession
from myna.engines.queueing import Queue
from myna.rendering.tokenizer import Tokenizer
from myna.rooms.registry import Rooms
from myna.rooms.store import RoomStore

pytestmark = pytest.mark.model
Talking = Callable[[str], tuple[ChatSession, Script, io.StringIO]]
TURNS = [[" well", ", yes", "\nCy:"], [" soup", "\nBen:"], [" more", "\nAna:"]]


class Impatient(Console):
    """A screen at which Ctrl-C is pressed as soon as it shows a word."""

    word = ""

    def print(self, *shown: object, **style: object) -> None:
        super().print(*shown, **style)  # type: ignore[arg-type]
        if self.word and self.word in "".join(map(str, shown)):
            raise KeyboardInterrupt


@pytest.fixture
def talk(tokenizer: Tokenizer, tmp_path: Path) -> Talking:
    def made(word: str = "") -> tuple[ChatSession, Script, io.StringIO]:
        script = Script(tokenizer, *TURNS)
        script.names = {"Cy": 1.0, "Ben": 1.0}
        clone = clone_of(script, "Ben Cy")
        store = RoomStore(tmp_path / "rooms.sqlite")
        room = Rooms(clone, store, Queue(1, 1)).open("tea", humans=["Ana"])
        shown = io.StringIO()
        screen = Impatient(file=shown, width=80)
        screen.word = word
        return ChatSession(clone, room, "Ana", screen), script, shown

    return made


def test_personas_answer_until_it_is_the_humans_turn(talk: Talking) -> None:
    session, script, shown = talk("")
    assert session.handle("soup?")
    assert len(script.prompts) > 2
    assert shown.getvalue().count("well, yes") == 1


@pytest.mark.parametrize("typed", ["soup?", "/talk 3"])
def test_ctrl_c_stops_who_speaks_and_gives_the_human_the_floor(talk: Talking, typed: str) -> None:
    session, script, shown = talk("well")
    assert session.handle(typed)
    assert "soup" not in shown.getvalue()
    assert script.turns == TURNS[1:]
    assert not session.room.speaking
