"""The terminal chat: what a human at the keys can do."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from tests.metadata import prompt_format
from tests.persona.talking import Script, clone_of
from tests.persona.test_memory import Chats, people

from myna.cli.chat import ChatSession, own_name
from myna.engines.queueing import Queue
from myna.errors import SettingsError
from myna.persona.scenes import Beginnings
from myna.rendering.tokenizer import Tokenizer
from myna.rooms.registry import OWNER, Rooms
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
        rooms = Rooms(clone, store, Queue(1, 1))
        room = rooms.open("tea", humans=["Ana"])
        shown = io.StringIO()
        screen = Impatient(file=shown, width=80)
        screen.word = word
        return ChatSession(rooms, room, "Ana", screen), script, shown

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


def test_talk_in_an_empty_room_begins_with_a_real_moment(talk: Talking, tmp_path: Path) -> None:
    session, script, shown = talk("")
    session.handle("/topic taxes")
    assert shown.getvalue() == ""  # there are no chats to begin with
    chats = Chats().add(
        "Ben: the soup is cold", "Cy: oh", "Ben: yes", "Cy: so?", split="validation"
    )
    chats.frame(space=pl.lit(""), channel=pl.lit("tea")).write_parquet(tmp_path / "chats")
    session.rooms.clone.beginnings = Beginnings(tmp_path / "chats", people)
    session.room.set_audience(OWNER)
    session.handle("/talk 1")
    first, *_ = shown.getvalue().splitlines()
    assert first == "Ben: the soup is cold"  # real words, so without the mark of a clone
    assert "Ben: the soup is cold\nCy: oh\nBen: yes" in script.prompts[-1]
    begun = len(session.room.messages())
    session.handle("/topic soup")
    assert len(session.room.messages()) == begun
    session.handle("/forget")
    session.handle("/topic soup")
    assert len(session.room.messages()) == begun + 3


def test_an_era_is_a_day_in_the_system_line(talk: Talking) -> None:
    session, script, _ = talk("")
    with pytest.raises(SettingsError, match="knows no dates"):
        session.handle("/era 2019")
    session.rooms.clone.format = prompt_format("{people} on {date}.")
    with pytest.raises(SettingsError, match="'noon' is no date"):
        session.handle("/era noon")
    for typed, day in (("2019", "2019-07-15"), ("2019-02", "2019-02-15"), ("2019-02-03",) * 2):
        session.handle(f"/era {typed}")
        session.handle("soup?")
        assert f"on {day}." in script.prompts[-1]
    session.handle("/era")
    assert session.room.era is None


def test_the_owner_talks_under_their_own_name_and_their_clone_stays_out() -> None:
    personas = ["Ben", "Cy"]
    assert own_name("", ["Mira"], "Ana", personas) == ("Mira", "")
    assert own_name("Eve", [], "Ana", personas) == ("Eve", "")
    assert own_name("", [], "Ana", personas) == ("Ana", "")
    assert own_name("", [], "", personas) == ("Me", "")
    assert own_name("", [], "Ben", personas) == (
        "Ben",
        "You are Ben, so the clone of Ben is not here; `myna chat --as NAME` brings it in.",
    )
    assert own_name("", [], "Ben", ["Ben"]) == (
        "Guest",
        "You talk to your own clone as Guest; --as NAME sets another name.",
    )


def test_what_a_room_cannot_do_is_told_in_one_line(talk: Talking) -> None:
    session, _, _ = talk("")
    assert session.impossible() == ["/era (the clone learned no dates)"]
    session.handle("/who Ben")
    assert session.impossible()[0] == "/talk (one persona alone)"


def test_typed_lines_stand_beside_the_answers_where_no_terminal_echoes_them(
    talk: Talking,
) -> None:
    session, _, shown = talk("")
    session.echo = True
    session.handle("soup?")
    session.handle("/nonsense")
    assert shown.getvalue().startswith("Ana: soup?\nBen (clone): well, yes\n")
    assert "/nonsense" not in shown.getvalue()


class TestTheLastReply:
    @pytest.fixture
    def said(self, talk: Talking) -> tuple[ChatSession, Script, io.StringIO]:
        session, script, shown = talk("")
        script.turns[:] = [[" well", "\nAna:"], [" or", "\nAna:"], [" not", "\nAna:"]]
        script.names = {"Ana": 1.0}
        session.handle("soup?")
        return session, script, shown

    def test_is_said_anew_and_its_versions_are_kept(
        self, said: tuple[ChatSession, Script, io.StringIO], capsys: pytest.CaptureFixture[str]
    ) -> None:
        session, _, shown = said
        assert session.handle("/retry")
        assert session.room.messages()[-1].text == "or"
        session.handle("/version")
        assert "1: well\n2: or\n" in capsys.readouterr().err
        session.handle("/version 1")
        assert session.room.messages()[-1].text == "well"
        assert shown.getvalue().count("well") == 2

    def test_goes_on_and_is_quoted_and_deleted(
        self, said: tuple[ChatSession, Script, io.StringIO]
    ) -> None:
        session, _, _ = said
        session.handle("/continue")
        assert session.room.messages()[-1].text == "well or"
        session.handle("/reply really?")
        quoted = session.room.messages()[-2]
        assert (quoted.text, quoted.reply_to) == ("really?", session.room.messages()[-3].id)
        session.handle("/delete")
        assert session.room.messages()[-1].text == "really?"
        session.handle("/edit truly?")
        assert session.room.messages()[-1].text == "truly?"

    def test_is_found_and_saved_with_its_mark(
        self,
        said: tuple[ChatSession, Script, io.StringIO],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        session, _, _ = said
        person = session.room.messages()[-1].person
        session.handle("/find WELL")
        assert f"tea: {person}: well" in capsys.readouterr().err
        session.handle(f"/save {tmp_path / 'tea.txt'}")
        assert f"{person} (clone): well\n" in (tmp_path / "tea.txt").read_text("utf-8")
        session.handle("/title Soup and more")
        assert session.room.title == "Soup and more"
        session.handle("/branch")
        assert session.room.id.startswith("chat ")
        session.handle("/delete")
        assert session.room.messages()[-1].text != "well"
        assert session.rooms.open("tea").messages()[-1].text == "well"

    def test_the_prompt_is_shown_and_continued_as_edited(
        self, said: tuple[ChatSession, Script, io.StringIO], tmp_path: Path
    ) -> None:
        session, script, shown = said
        count = len(session.room.messages())
        session.handle("/prompt")
        assert "Ana: soup?\n" in shown.getvalue()
        file = tmp_path / "prompt.txt"
        file.write_text("A chat.\nAna: a fruit?\n", "utf-8")
        session.handle(f"/prompt {file}")
        assert "A chat.\nAna: a fruit?\n" in script.prompts[-1]
        assert "(not sent): or" in shown.getvalue()
        assert len(session.room.messages()) == count
