"""Accounts: who is new, whose they are, and who stays forgotten."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from tests.chats import found, table

from myna import people
from myna.people import People, Person, accounts, sanitize_name


class TestAdd:
    def test_a_person_for_each_account_that_nobody_has(self) -> None:
        before = People((Person("Ana", ("x:1", "y:7"), "no"),))
        after = accounts.add_people(before, found(("x:1", "Ana K"), ("x:2", "Ben")), "clone")
        assert after.persons == (before.persons[0], Person("Ben", ("x:2",), "clone"))
        assert after.default_consent is None, "nobody is cloned by default in later imports"

    def test_two_accounts_of_one_name_stay_two_persons(self) -> None:
        after = accounts.add_people(
            People(), found(("x:1", "Ana"), ("x:2", "Ana"), ("y:1", "Ana")), "clone"
        )
        assert [p.name for p in after.persons] == ["Ana", "Ana 2", "Ana 3"]

    def test_names_that_differ_only_in_what_nobody_sees(self) -> None:
        after = accounts.add_people(People(), found(("x:1", "Ana"), ("x:2", "Ana\u200b")), "clone")
        assert [p.name for p in after.persons] == ["Ana", "Ana 2"]

    def test_numbered_names_are_plain_however_many_there_are(self, tmp_path: Path) -> None:
        long = "an account that was deleted long ago, and so on"
        after = accounts.add_people(
            People(), found(*((f"x:{n}", long) for n in range(1100))), "clone"
        )
        assert len({p.name for p in after.persons}) == 1100
        assert all(sanitize_name(p.name) == p.name for p in after.persons)
        people.save(tmp_path / "people.toml", after)
        assert people.load(tmp_path / "people.toml") == after

    def test_an_account_without_a_name_is_called_by_its_id(self) -> None:
        assert accounts.add_people(People(), found(("x:17", "")), "clone").persons[0].name == "17"

    def test_bots_are_left_out_and_never_personas(self) -> None:
        after = accounts.add_people(People(), found(("x:1", "Beep", True)), "clone")
        assert after.persons == (Person("Beep", ("x:1",), "no", is_bot=True),)
        assert people.persona_names(People((Person("Beep", (), "clone", is_bot=True),))) == []

    def test_accounts_have_the_name_that_they_had_last(self) -> None:
        said = table([{"author": "1", "text": ""}, {"author": "1", "text": ""}])
        said = said.with_columns(author=pl.Series(["Anna", "Ana"]))
        assert accounts.find_accounts(said).rows() == [("test:1", "Ana", False)]

    def test_whoever_made_the_export_is_me_and_is_asked_like_everybody(self) -> None:
        rows = found(("x:1", "Ana"), ("x:2", "Ben"))
        after = accounts.add_people(People(), rows, "no", {"x:2"})
        assert after.me == "Ben"
        assert [p.consent for p in after.persons] == ["no", "no"]

    def test_a_second_export_of_somebody_else_does_not_change_who_i_am(self) -> None:
        before = accounts.add_people(People(), found(("x:1", "Ana")), "no", {"x:1"})
        after = accounts.add_people(before, found(("y:9", "Cy")), "no", {"y:9"})
        assert after.me == "Ana"
        assert after.persons[1] == Person("Cy", ("y:9",), "no")

    def test_who_only_joined_wrote_nothing(self) -> None:
        said = table(
            [{"author": "Ana", "text": "hi"}, {"author": "Cy", "text": "", "kind": "system"}]
        )
        assert accounts.find_accounts(said)["author"].to_list() == ["Ana"]


class TestForgotten:
    def test_their_messages_are_left_out_and_nobody_elses(self) -> None:
        said = table([{"author": a, "text": "x"} for a in ("Ana", "Ben", "Ana")])
        gone = People(forgotten=(accounts.account_hash("test:Ana"),))
        assert accounts.drop_forgotten(said, gone)["author"].to_list() == ["Ben"]
        assert accounts.drop_forgotten(said, People()).equals(said)

    def test_what_is_remembered_is_no_name(self) -> None:
        assert "ana" not in accounts.account_hash("test:Ana").lower()


def reacted() -> pl.DataFrame:
    """Ana says something, to which Ben, Cy and somebody unknown react; then nobody does."""
    said = table([{"author": "Ana", "text": "tea"}, {"author": "Ana", "text": "cake"}])
    given = [
        [
            {"name": "🍵", "count": 3, "by": ["Ben", "Cy"]},
            {"name": ":cup:", "count": 1, "by": ["Ben"]},
            {"name": "👍", "count": 2, "by": []},
        ],
        [],
    ]
    return said.with_columns(pl.Series("reactions", given, said.schema["reactions"]))


class TestReactions:
    def test_all_are_counted_and_nobody_is_named(self) -> None:
        [tea, cake] = accounts.count_reactions(reacted(), People()).to_list()
        assert tea == [
            {"name": "🍵", "count": 3},
            {"name": ":cup:", "count": 1},
            {"name": "👍", "count": 2},
        ]
        assert cake == []

    def test_those_of_people_who_said_no_are_not_counted(self) -> None:
        ben = Person("Ben", ("test:Ben",), "no")
        everyone = People((ben, Person("Cy", ("test:Cy",), "context")))
        [tea, _] = accounts.count_reactions(reacted(), everyone).to_list()
        assert tea == [{"name": "🍵", "count": 2}, {"name": "👍", "count": 2}]

    def test_nor_are_those_of_the_forgotten_stored(self) -> None:
        forgetful = People(forgotten=(accounts.account_hash("test:Cy"),))
        [tea, _] = accounts.drop_forgotten(reacted(), forgetful)["reactions"].to_list()
        assert tea[0] == {"name": "🍵", "count": 2, "by": ["Ben"]}

    def test_an_account_of_the_same_id_elsewhere_is_another(self) -> None:
        assert accounts.without_reactions(reacted(), ["other:Ben"]).equals(reacted()["reactions"])
