"""Memory: what is recalled, and what never may be."""

from __future__ import annotations

import itertools
import math
import os
import re
import shutil
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import thorough

from myna.people import Consent, People, Person
from myna.persona import memory as memory_
from myna.persona import memory_index
from myna.persona.embeddings import WORDLLAMA, Embedder, open_embedder
from myna.persona.memory import OWNER, Memory, open_memory
from myna.persona.memory_index import write
from myna.persona.prompt import PromptMessage
from myna.workspace import Workspace

START = datetime(2024, 5, 1, tzinfo=UTC)
PERSONS = ["Ana", "Ben", "Cy", "Dee", "Eve"]
MOMENT = [PromptMessage("Ana", "who else likes quince marmalade?")]


def people(**consent: Consent) -> People:
    """Everybody, with an account each; some with a consent of their own."""
    return People(
        tuple(
            Person(name, (f"discord:{name.lower()}",), consent.get(name, "clone"))
            for name in PERSONS
        )
    )


class Chats:
    """Prepared messages, written down line by line: a message a minute."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(
        self,
        *lines: str,
        place: str = "tea",
        thread: str | None = None,
        split: str = "train",
        untrained: str = "",
    ) -> Chats:
        """A conversation of `name: text` lines; those of `untrained` are context only."""
        conversation = 1 + max((row["conversation"] for row in self.rows), default=0)
        for line in lines:
            person, _, text = line.partition(": ")
            self.rows.append(
                {
                    "source": "discord",
                    "channel_id": place,
                    "thread": thread,
                    "person": person,
                    "sent_at": START + timedelta(minutes=len(self.rows)),
                    "conversation": conversation,
                    "split": split,
                    "trained": person not in untrained.split(),
                    "text": text,
                }
            )
        return self

    def frame(self, **columns: Any) -> pl.DataFrame:
        schema = {"thread": pl.String, "sent_at": pl.Datetime("us", "UTC")}
        return pl.DataFrame(self.rows, schema_overrides=schema).with_columns(**columns)


Make = Callable[..., Memory]


def by_letters(texts: list[str]) -> Any:
    """Vectors that find nearly everything a little like nearly everything else."""
    return [[text.count(letter) for letter in string.printable] for text in texts]


LETTERS = Embedder("letters", by_letters)


def remember(
    chats: Chats, path: Path, embedder: Embedder | None, who: People | None = None, **columns: Any
) -> Memory:
    write(chats.frame(**columns), path, embedder=embedder)
    return Memory(path, lambda: who or people(), embedder)


@pytest.fixture
def embedder() -> Embedder | None:
    return None


@pytest.fixture
def make(tmp_path: Path, embedder: Embedder | None) -> Make:
    numbers = itertools.count()

    def made(chats: Chats, who: People | None = None, **columns: Any) -> Memory:
        path = tmp_path / f"{next(numbers)}.sqlite"
        return remember(chats, path, embedder, who, **columns)

    return made


both_ways = pytest.mark.parametrize(
    "embedder", [None, LETTERS], ids=["by words", "by meaning, too"]
)
"""Whatever finds an exchange, the same rules say whether it may be recalled."""


def recalled(memory: Memory, person: str = "Ben", audience: Any = OWNER, **more: Any) -> list[str]:
    settings = {
        "max_exchanges": 2,
        "max_tokens": 100,
        "count": lambda text: len(text.split()),
        **more,
    }
    lines = memory.recall(person, settings.pop("moment", MOMENT), audience, **settings)
    return [f"{line.person}: {line.text}" for line in lines]


TEA = ("Ana: quince is in season", "Cy: marmalade!", "Ben: quince marmalade, always")


class TestByMeaning:
    def test_what_shares_no_word_is_found(self, tmp_path: Path) -> None:
        chats = Chats().add("Ana: stop the engine", "Ben: stopped")
        chats.add("Ana: lunch is ready", "Ben: I am eating")
        memory = remember(chats, tmp_path / "memory.sqlite", open_embedder(WORDLLAMA))
        moment = [PromptMessage("Ana", "what did you have for dinner?")]
        assert recalled(memory, moment=moment, max_exchanges=1) == [
            "Ana: lunch is ready",
            "Ben: I am eating",
        ]
        assert recalled(memory.without_embeddings(), moment=moment) == []

    def test_both_ways_count_by_their_ranks(self, tmp_path: Path) -> None:
        lines = {"north": [1.0, 0.0], "quince north": [0.9, 0.1], "quince": [0.1, 0.9]}
        chats = Chats()
        for line in lines:
            chats.add(f"Ben: {line}").add("Ana: well")
        embedder = Embedder("map", lambda texts: [lines.get(text, [1.0, 0.0]) for text in texts])
        memory = remember(chats, tmp_path / "memory.sqlite", embedder)
        found = memory.exchanges("Ben", [PromptMessage("Ana", "quince!")], OWNER)
        assert [(e.messages[-1].text, e.score) for e in found] == [
            ("quince", 1 / 61 + 1 / 63),
            ("quince north", 1 / 62 + 1 / 62),
            ("north", 1 / 61),
        ]

    def test_the_nearest_of_very_many_are_found(self, tmp_path: Path) -> None:
        chats = Chats()
        for number in range(3 * memory_index.VECTORS_PER_ROW):
            chats.add(f"Ben: {number}", "Ana: well", place="xyz"[number % 3])

        def angle(text: str) -> list[float]:
            at = int(text) / 2000 if text.isdecimal() else 0.3
            return [math.cos(at), math.sin(at)]

        embedder = Embedder("angles", lambda texts: [angle(text) for text in texts])
        memory = remember(chats, tmp_path / "memory.sqlite", embedder)
        found = memory.exchanges("Ben", [PromptMessage("Ana", "where?")], OWNER)
        assert len(found) == memory_.CANDIDATES
        assert all(abs(int(e.messages[-1].text) - 600) < memory_.CANDIDATES for e in found)


class TestWhatIsRecalled:
    def test_a_turn_of_the_persona_with_what_was_said_before(self, make: Make) -> None:
        chats = Chats().add("Dee: hello", *TEA, "Ben: and bread", "Ana: yes")
        assert recalled(make(chats)) == [
            "Ana: quince is in season", "Cy: marmalade!", "Ben: quince marmalade, always\nand bread"
        ]  # fmt: skip
        assert recalled(make(chats), "Eve") == []

    def test_the_most_like_stands_last(self, make: Make) -> None:
        chats = Chats().add("Ana: marmalade?", "Ben: on bread")
        chats.add("Ana: nice weather", "Ben: it is").add(*TEA)
        assert recalled(make(chats))[-1] == "Ben: quince marmalade, always"
        assert recalled(make(chats))[:2] == ["Ana: marmalade?", "Ben: on bread"]
        assert recalled(make(chats), max_exchanges=1) == list(TEA)
        assert recalled(make(chats), max_exchanges=1, max_tokens=9) == [
            "Ana: marmalade?",
            "Ben: on bread",
        ]
        assert recalled(make(chats), max_tokens=2) == []

    def test_only_rare_words_count(self, make: Make) -> None:
        chats = Chats()
        for number in range(300):
            chats.add(f"Ana: who else likes number {number}", f"Ben: I do, {number}")
        assert recalled(make(chats), moment=[PromptMessage("Ana", "who else likes it?")]) == []
        moment = [PromptMessage("Ana", "who likes 77?")]
        assert recalled(make(chats), moment=moment, max_exchanges=1) == [
            "Ana: who else likes number 77", "Ben: I do, 77"
        ]  # fmt: skip

    def test_what_was_just_said_is_not_said_again(self, make: Make) -> None:
        heard = [*MOMENT, PromptMessage("Ben", "Quince marmalade, always")]
        assert recalled(make(Chats().add(*TEA)), moment=heard) == []

    def test_exchanges_do_not_overlap(self, make: Make) -> None:
        chats = Chats().add("Ana: quince?", "Ben: quince", "Ana: marmalade?", "Ben: marmalade")
        assert len(recalled(make(chats), max_exchanges=4)) == 3

    def test_conversations_do_not_run_into_each_other(self, make: Make) -> None:
        chats = Chats().add("Ana: nothing to do with it").add("Ben: quince marmalade")
        assert recalled(make(chats)) == ["Ben: quince marmalade"]

    @pytest.mark.parametrize(
        ("said", "asked"),
        [
            ("榲桲果酱最好吃", "你喜欢榲桲吗"),
            ("カリンのジャムが好き", "カリンはどう?"),
            ("Кизил и айва", "а АЙВА?"),
            ("café crème", "CAFE?"),
            ("c'est l'été", "ETE"),
        ],
    )
    def test_words_are_found_in_every_script(self, make: Make, said: str, asked: str) -> None:
        memory = make(Chats().add("Ana: ?", f"Ben: {said}"))
        assert recalled(memory, moment=[PromptMessage("Ana", asked)])[-1] == f"Ben: {said}"

    @thorough
    @given(st.text())
    def test_whatever_is_said_can_be_looked_for(
        self, tmp_path_factory: pytest.TempPathFactory, text: str
    ) -> None:
        path = tmp_path_factory.mktemp("memory") / "memory.sqlite"
        write(Chats().add("Ana: x", f"Ben: {text} quince").frame(), path)
        memory = Memory(path, people)
        moment = [PromptMessage("Ana", f'{text} quince " OR NEAR( * ^ reply : {text}')]
        assert len(memory.exchanges("Ben", moment, OWNER)) == 1
        memory.close()


@both_ways
class TestWhatNeverIs:
    @pytest.mark.parametrize("split", ["validation", "test"])
    def test_nothing_of_validation_or_test(self, make: Make, split: str) -> None:
        chats = Chats().add("Ana: hm", "Ben: hm").add(*TEA, split=split)
        memory = make(chats)
        assert "marmalade" not in " ".join(recalled(memory))
        assert b"marmalade" not in memory.path.read_bytes()

    def test_no_reply_that_was_not_trained(self, make: Make) -> None:
        chats = Chats().add("Ana: quince?", "Cy: marmalade", "Ben: quince", untrained="Cy")
        memory = make(chats)
        assert recalled(memory, "Cy") == []
        assert recalled(memory, "Ben") == ["Ana: quince?", "Cy: marmalade", "Ben: quince"]

    def test_nobody_who_has_said_no_since(self, make: Make) -> None:
        chats = Chats().add(*TEA)
        assert recalled(make(chats, people(Cy="no"))) == []
        assert recalled(make(chats, people(Ben="no"))) == []
        assert recalled(make(chats, people(Cy="context"))) == list(TEA)
        unknown = People(tuple(p for p in people().persons if p.name != "Cy"))
        assert recalled(make(chats, unknown)) == []

    def test_no_endless_story(self, make: Make) -> None:
        assert recalled(make(Chats().add("Ana: quince?", "Ben: quince " + "so " * 200))) == []


@both_ways
class TestAudience:
    """Everybody who can read the room was there: before, and after."""

    @pytest.fixture
    def memory(self, make: Make) -> Memory:
        """A private chat of Ana and Ben, and a channel with Cy as well."""
        chats = Chats()
        chats.add("Cy: hello", "Ana: hello", "Ben: hello", place="open")
        chats.add("Ana: hi", "Ben: hi", place="private")
        chats.add("Ana: quince?", "Ben: quince secret", place="private")
        chats.add("Ana: quince?", "Ben: quince for all", place="open")
        chats.add("Cy: bye", "Ben: bye", "Ana: bye", place="open")
        chats.add("Ana: bye", "Ben: bye", place="private")
        return make(chats)

    def replies(self, memory: Memory, audience: Any) -> set[str]:
        found = memory.exchanges("Ben", MOMENT, audience)
        return {text for exchange in found if "quince" in (text := exchange.messages[-1].text)}

    def test_the_owner_alone_hears_all(self, memory: Memory) -> None:
        assert self.replies(memory, OWNER) == {"quince secret", "quince for all"}

    def test_who_was_there_hears_it(self, memory: Memory) -> None:
        both = {"quince secret", "quince for all"}
        assert self.replies(memory, ["Ana"]) == both
        assert self.replies(memory, ["Ana", "Ben"]) == both
        assert self.replies(memory, ["discord:ana"]) == both

    def test_a_private_message_does_not_surface_in_public(self, memory: Memory) -> None:
        assert self.replies(memory, ["Ana", "Cy"]) == {"quince for all"}
        assert self.replies(memory, ["Cy"]) == {"quince for all"}
        assert self.replies(memory, ["discord:ana", "discord:cy"]) == {"quince for all"}

    @pytest.mark.parametrize(
        "audience",
        [
            None,
            [],
            (),
            ["Dee"],  # is known, and was in neither
            ["Ana", "Dee"],
            ["Stranger"],
            ["Ana", "Ben", "Stranger"],
            ["ana"],  # no name of hers
            ["Ana "],
            [""],
            ["owner"],  # a name like any other, in a list
            ["discord:999"],
            ["signal:ana"],
            ["discord:"],
        ],
    )
    def test_strangers_silence_memory(self, memory: Memory, audience: Any) -> None:
        assert self.replies(memory, audience) == set()

    def test_who_came_later_does_not_hear_what_was_before(self, make: Make) -> None:
        chats = Chats().add("Ana: quince?", "Ben: quince early").add("Eve: I am new")
        chats.add("Ana: quince?", "Ben: quince late").add("Eve: nice", "Ana: yes", "Ben: yes")
        assert self.replies(make(chats), ["Eve"]) == {"quince late"}
        assert self.replies(make(chats), ["Ana"]) == {"quince early", "quince late"}

    def test_who_left_does_not_hear_what_was_after(self, make: Make) -> None:
        chats = Chats().add("Eve: hi", "Ana: hi").add("Ana: quince?", "Ben: quince early")
        chats.add("Eve: bye").add("Ana: quince?", "Ben: quince late", "Ana: yes")
        assert self.replies(make(chats), ["Eve"]) == {"quince early"}

    def test_a_line_of_before_their_time_keeps_all_of_the_exchange_back(self, make: Make) -> None:
        chats = Chats().add("Ana: secret", "Eve: hello", "Ben: quince", "Eve: bye", "Ana: bye")
        assert self.replies(make(chats), ["Ana"]) == {"quince"}
        assert self.replies(make(chats), ["Eve"]) == set()

    def test_a_thread_is_a_place_of_its_own(self, make: Make) -> None:
        chats = Chats().add("Eve: hi", "Ana: hi", place="open")
        chats.add("Ana: quince?", "Ben: quince secret", "Ana: yes", place="open", thread="staff")
        chats.add("Eve: bye", "Ana: bye", place="open")
        assert self.replies(make(chats), ["Eve"]) == set()
        assert self.replies(make(chats), ["Ana"]) == {"quince secret"}

    def test_a_channel_of_the_same_id_elsewhere_is_another_place(self, make: Make) -> None:
        chats = Chats().add("Ana: quince?", "Ben: quince secret", "Ana: yes")
        before = len(chats.rows)
        chats.add("Eve: hi", "Eve: bye")
        chats.rows[0:0] = [
            {**row, "source": "signal", "sent_at": START} for row in chats.rows[before:]
        ]
        assert self.replies(make(chats), ["Eve"]) == set()

    def test_without_times_the_order_of_messages_tells_who_was_there(self, make: Make) -> None:
        chats = Chats().add("Ana: quince?", "Ben: quince early").add("Eve: new", "Ana: hi")
        chats.add("Ana: quince?", "Ben: quince late").add("Eve: bye", "Ana: bye")
        memory = make(chats, sent_at=pl.lit(None, pl.Datetime("us", "UTC")))
        assert self.replies(memory, ["Eve"]) == {"quince late"}

    def test_those_who_only_spoke_in_the_held_out_part_were_not_there(self, make: Make) -> None:
        chats = Chats().add("Ana: quince?", "Ben: quince").add("Eve: hi", "Eve: bye", split="test")
        assert self.replies(make(chats), ["Eve"]) == set()

    def test_a_pseudonym_is_known_by_the_real_name_too(self, make: Make) -> None:
        who = [*people().persons[1:], Person("Anastasia", ("discord:1",), "context", False, "Ana")]
        memory = make(Chats().add(*TEA, "Ana: oh"), People(tuple(who)))
        for name in ("Ana", "Anastasia", "discord:1"):
            assert self.replies(memory, [name]) == {"quince marmalade, always"}
        assert self.replies(memory, ["discord:ana"]) == set()

    @thorough
    @given(
        st.lists(
            st.tuples(st.sampled_from("xyz"), st.sampled_from(PERSONS)), min_size=1, max_size=40
        ),
        st.sets(st.sampled_from(PERSONS), min_size=1),
    )
    def test_nobody_hears_what_was_said_where_they_were_not(
        self, tmp_path_factory: pytest.TempPathFactory, embedder: Embedder | None,
        said: list[tuple[str, str]], audience: set[str],
    ) -> None:  # fmt: skip
        chats, numbered = Chats(), enumerate(said)
        for place, lines in itertools.groupby(numbered, key=lambda line: line[1][0]):
            chats.add(*(f"{person}: quince {number}" for number, (_, person) in lines), place=place)
        path = tmp_path_factory.mktemp("memory") / "memory.sqlite"
        memory = remember(chats, path, embedder)
        for number, (_, person) in enumerate(said):
            moment = [PromptMessage("Ana", str(number))]
            assert memory.exchanges(person, moment, OWNER)
            for exchange in memory.exchanges(person, moment, audience):
                text = " ".join(line.text for line in exchange.messages)
                heard = [int(n) for n in re.findall(r"\d+", text)]
                place = said[heard[0]][0]
                for reader in audience:
                    there = [n for n, one in enumerate(said) if one == (place, reader)]
                    assert all(there[0] <= n <= there[-1] for n in heard)
        memory.close()


class TestTheIndex:
    @pytest.fixture
    def space(self, tmp_path: Path) -> Workspace:
        space = Workspace(tmp_path)
        space.prepared.mkdir()
        Chats().add(*TEA).frame().write_parquet(space.prepared / "messages.parquet")
        space.people_file.write_text(
            "".join(
                f'[people.{name}]\naccounts = ["discord:{name}"]\nconsent = "clone"\n'
                for name in PERSONS
            )
        )
        return space

    def test_it_is_made_once_for_the_same_chats(self, space: Workspace) -> None:
        said: list[str] = []
        first = open_memory(space, report=said.append)
        again = open_memory(space, report=said.append)
        assert first
        assert again
        assert said == ["indexing past chats"]
        assert recalled(again) == list(TEA)
        Chats().add("Ana: quince?", "Ben: anew").frame().write_parquet(
            space.prepared / "messages.parquet"
        )
        changed = open_memory(space, report=said.append)
        assert changed
        assert len(said) == 2
        assert recalled(changed) == ["Ana: quince?", "Ben: anew"]

    def test_it_is_made_anew_for_other_vectors(self, space: Workspace) -> None:
        said: list[str] = []
        for embeddings in ("", WORDLLAMA, WORDLLAMA, ""):
            memory = open_memory(space, embeddings, said.append)
            assert memory
            assert recalled(memory) == list(TEA)
        assert len(said) == 3

    def test_one_that_is_damaged_or_of_another_version_is_made_anew(
        self, space: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said: list[str] = []
        (space.prepared / "memory.sqlite").write_bytes(b"no index " * 100)
        assert open_memory(space, report=said.append)
        monkeypatch.setattr(memory_index, "VERSION", memory_index.VERSION + 1)
        assert open_memory(space, report=said.append)
        assert len(said) == 2

    def test_before_prepare_there_is_none(self, tmp_path: Path) -> None:
        assert open_memory(Workspace(tmp_path)) is None

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
    def test_nobody_else_may_read_it(self, space: Workspace) -> None:
        open_memory(space)
        assert (space.prepared / "memory.sqlite").stat().st_mode & 0o777 == 0o600

    def test_who_is_forgotten_is_so_while_it_is_open(self, space: Workspace) -> None:
        memory = open_memory(space)
        assert memory
        assert recalled(memory) == list(TEA)
        told = space.people_file.read_text()
        space.people_file.write_text(
            told.replace('"discord:Cy"]\nconsent = "clone"', '"discord:Cy"]\nconsent = "no"')
        )
        assert recalled(memory) == []
        space.people_file.write_text(told)
        shutil.rmtree(space.prepared)
        assert recalled(memory) == []
