"""Everyone with counts, and who may be one human."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
from tests.chats import table

from myna.people import People, Person, overview

ROWS = [
    {"author": "Ana", "text": "two words", "at": 0},
    {"author": "Ben", "text": "one", "at": 60 * 24 * 3},
    {"author": "Ana", "text": "three more words", "at": 60 * 24 * 5},
    {"author": "Ana", "text": "joined", "kind": "system"},
]


def stored(folder: Path, frame: pl.DataFrame) -> list[Path]:
    frame.write_parquet(folder / "t.parquet")
    return [folder / "t.parquet"]


def test_counts_words_and_days_whoever_wrote_most_first(tmp_path: Path) -> None:
    people = People(
        (
            Person("Cy", ("test:Cy",), "no"),
            Person("B", ("test:Ben", "other:7"), "context", pseudonym="R"),
            Person("Ana", ("test:Ana",), "clone"),
        ),
        me="Ana",
    )
    ana, ben, cy = overview.summarize_persons(people, stored(tmp_path, table(ROWS)))
    assert (ana.person, ana.is_me, ana.messages, ana.words) == ("Ana", True, 2, 5)
    assert (ana.first, ana.last) == (date(2024, 5, 1), date(2024, 5, 6))
    assert (ben.shown, ben.platforms, ben.consent) == ("R", {"test": 1, "other": 1}, "context")
    assert (cy.messages, cy.first) == (0, None)
    assert ben.to_json()["platforms"] == {"test": 1, "other": 1}
    assert overview.summarize_persons(people, [])[0].messages == 0


class TestSuggestions:
    def found(
        self, folder: Path, *accounts: tuple[str, str, str | None]
    ) -> list[tuple[str, str, str]]:
        """Suggestions for accounts of a person each: (source, name, handle)."""
        frame = table([{"author": str(n), "text": "x"} for n in range(len(accounts))])
        frame = frame.with_columns(
            source=pl.Series([a[0] for a in accounts]),
            author=pl.Series([a[1] for a in accounts]),
            handle=pl.Series([a[2] for a in accounts], dtype=pl.String),
        )
        people = People(
            tuple(
                Person(f"{name} {n}", (f"{source}:{n}",), "clone")
                for n, (source, name, _) in enumerate(accounts)
            )
        )
        found = overview.suggest_merges(people, overview.account_names(stored(folder, frame)))
        return [(s.first, s.second, s.because) for s in found]

    def test_the_same_name_whatever_its_case_and_signs(self, tmp_path: Path) -> None:
        found = self.found(tmp_path, ("x", "Zoë K.", None), ("y", "zoek", None), ("x", "Ben", None))
        assert found == [("Zoë K. 0", "zoek 1", "the same name")]

    def test_a_handle_that_is_anothers_name(self, tmp_path: Path) -> None:
        found = self.found(tmp_path, ("x", "Anna", "ana_k"), ("y", "Ana K", None))
        assert found == [("Ana K 1", "Anna 0", "the same handle")]

    def test_short_names_are_alike_by_chance(self, tmp_path: Path) -> None:
        assert self.found(tmp_path, ("x", "Al", None), ("y", "al", None)) == []

    def test_a_first_name_that_only_one_full_name_of_another_platform_has(
        self, tmp_path: Path
    ) -> None:
        found = self.found(tmp_path, ("x", "Jonas", None), ("y", "Jonas Berg", None))
        assert found == [("Jonas Berg 1", "Jonas 0", "the same first name")]
        both = (("x", "Jonas", None), ("y", "Jonas Berg", None), ("y", "Jonas Abt", None))
        assert self.found(tmp_path, *both) == []
        assert self.found(tmp_path, ("x", "Jonas", None), ("x", "Jonas Berg", None)) == []

    def test_one_person_is_suggested_once_by_the_strongest_reason(self, tmp_path: Path) -> None:
        accounts = (("x", "Mira", None), ("y", "Mira", None), ("z", "Mira Lee", None))
        assert self.found(tmp_path, *accounts) == [
            ("Mira 0", "Mira 1", "the same name"),
            ("Mira Lee 2", "Mira 0", "the same first name"),
        ]

    def test_whoever_writes_most_comes_first_and_the_owner_keeps_their_name(
        self, tmp_path: Path
    ) -> None:
        said = ["Ana"] * 2 + ["Bob"] * 4 + ["Me"]
        frame = table([{"author": name, "text": "x"} for name in said])
        more = frame.with_columns(source=pl.lit("y"))
        persons = [
            Person(f"{name}{end}", (f"{source}:{name}",), "context")
            for source, end in (("test", ""), ("y", " 2"))
            for name in ("Ana", "Bob")
        ]
        people = People((*persons, Person("Me", ("test:Me",), "context")), me="Ana 2")
        names = overview.account_names(stored(tmp_path, pl.concat([frame, more])))
        found = overview.suggest_merges(people, names)
        assert [(s.first, s.second, s.because, s.messages) for s in found] == [
            ("Bob", "Bob 2", "the same name", (4, 4)),
            ("Ana 2", "Ana", "the same name", (2, 2)),
            ("Ana 2", "Me", "Me is whoever made an export", (2, 1)),
        ]
        assert overview.suggest_merges(people, names, {("Bob", "Bob 2")})[0].first == "Ana 2"


def bots(folder: Path, *said: str, author: str = "Beep") -> list[tuple[str, str]]:
    rows = [{"author": author, "text": text} for text in said]
    rows += [{"author": "Ana", "text": f"and then we went to place number {n}"} for n in range(3)]
    known = People(
        (Person(author, (f"test:{author}",), "context"), Person("Ana", ("test:Ana",), "context"))
    )
    return overview.suggest_bots(known, stored(folder, table(rows)))


def test_a_bridge_is_suggested_as_a_bot(tmp_path: Path) -> None:
    said = [f"<{who}> the {n}th thing to say" for n in range(8) for who in ("bo", "cy", "dee")]
    assert bots(tmp_path, *said) == [("Beep", "passes on what 3 others say")]


def test_so_is_who_fills_in_a_template(tmp_path: Path) -> None:
    said = [f"@user{n} has tipped you {n} coins, now you have {n * 7}!" for n in range(25)]
    assert bots(tmp_path, *said) == [("Beep", "most messages fill in the same few templates")]


def test_nobody_is_who_talks_as_people_do(tmp_path: Path) -> None:
    words = [
        "the",
        "kettle",
        "on",
        "a",
        "shelf",
        "with",
        "cups",
        "and",
        "cake",
        "under",
        "old",
        "tins",
        "by",
        "every",
        "door",
    ]
    said = [" ".join(words[n % 7 : n % 7 + 3 + n % 5]) + f" {words[-n % 14]}" for n in range(40)]
    assert bots(tmp_path, *said) == []
    assert bots(tmp_path, *["good morning all"] * 19) == []


def test_a_bot_that_is_known_is_not_suggested_and_none_is_changed(tmp_path: Path) -> None:
    said = [f"you have {n} coins in your tin" for n in range(30)]
    known = People((Person("Beep", ("test:Beep",), "no", is_bot=True),))
    tables = stored(tmp_path, table([{"author": "Beep", "text": text} for text in said]))
    assert overview.suggest_bots(known, tables) == []
    unknown = People((Person("Beep", ("test:Beep",), "clone"),))
    assert overview.suggest_bots(unknown, tables)
    assert unknown.persons[0].consent == "clone"
