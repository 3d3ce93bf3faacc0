"""Persons: names, accounts, consent, and the file that users edit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import found, table, texts, thorough

from myna import people
from myna.errors import PeopleError
from myna.people import MAX_NAME_CHARS, People, Person, accounts, sanitize_name
from myna.rendering.turns import LOOKS_LIKE_TURN


class TestPlainName:
    @pytest.mark.parametrize(
        ("name", "plain"),
        [
            ("Neil Armstrong", "Neil Armstrong"),
            (" Neil \n Armstrong ", "Neil Armstrong"),
            ("CapCom: Houston", "CapCom Houston"),
            ("10:30", "10 30"),
            ("Ana 🚀", "Ana 🚀"),
            ("a\u200bb\u202ec", "abc"),
            ("e\u200d\u0301", "é"),
            ("\u2028", "someone"),
            (":", "someone"),
            ("x" * 90, "x" * MAX_NAME_CHARS),
        ],
    )
    def test_it_fits_before_a_colon(self, name: str, plain: str) -> None:
        assert sanitize_name(name) == plain

    @thorough
    @given(texts | st.text(st.characters(), max_size=60))
    def test_a_plain_name_stays_and_is_read_back(self, name: str) -> None:
        plain = sanitize_name(name)
        assert sanitize_name(plain) == plain
        begin = LOOKS_LIKE_TURN.match(f"{plain}: hi")
        assert begin is not None
        assert begin[0] == f"{plain}:"


class TestFile:
    def test_nobody_where_there_is_no_file(self, tmp_path: Path) -> None:
        assert people.load(tmp_path / "people.toml") == People()

    @thorough
    @given(
        st.lists(st.tuples(texts, texts, st.booleans()), max_size=6, unique_by=lambda a: a[0]),
        st.sampled_from(["clone", "context", "no"]),
    )
    def test_whatever_people_are_called_they_are_read_back(
        self, tmp_path: Path, rows: list[tuple[str, str, bool]], consent: people.Consent
    ) -> None:
        path = tmp_path / "people.toml"
        path.unlink(missing_ok=True)
        made = accounts.add_people(People(), found(*rows), consent)
        people.save(path, made)
        assert people.load(path) == made

    def test_comments_order_and_choices_of_the_user_stay(self, tmp_path: Path) -> None:
        path = tmp_path / "people.toml"
        mine = (
            "# my friends\n"
            'default_consent = "context"\n\n'
            '[people."Ben"]  # said yes on Friday\n'
            'accounts = ["x:2", "y:9"] # both his\n'
            'consent = "context"\n\n'
            "[people.Ana]\n"
            'accounts = [ "x:1" ]\n'
            'consent = "clone"\n'
        )
        path.write_text(mine)
        people.save(
            path, accounts.add_people(people.load(path), found(("x:2", "Ben"), ("x:3", "Cy")), "no")
        )
        text = path.read_text()
        assert text.replace('default_consent = "no"', 'default_consent = "context"').startswith(
            mine
        )
        assert [p.name for p in people.load(path).persons] == ["Ben", "Ana", "Cy"]
        assert people.load(path).persons[2] == Person("Cy", ("x:3",), "no")

    def test_persons_are_merged_by_giving_one_the_accounts_of_both(self, tmp_path: Path) -> None:
        path = tmp_path / "people.toml"
        path.write_text('[people.Ana]\naccounts = ["test:a1", "test:a2"]\nconsent = "clone"\n')
        merged = people.load(path)
        said = table([{"author": a, "text": "x"} for a in ("a1", "a2")])
        assert accounts.assign_persons(said, merged)["person"].to_list() == ["Ana", "Ana"]
        assert (
            accounts.add_people(merged, accounts.find_accounts(said), "no").persons
            == merged.persons
        )

    def test_a_file_of_an_editor_with_a_mark_at_its_begin(self, tmp_path: Path) -> None:
        path = tmp_path / "people.toml"
        path.write_text('[people.Ana]\naccounts = ["x:1"]\nconsent = "clone"\n', "utf-8-sig")
        people.save(path, accounts.add_people(people.load(path), found(("x:2", "Ben")), "no"))
        assert [p.name for p in people.load(path).persons] == ["Ana", "Ben"]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[people", "cannot read "),
            ('[people]\nAna = "x"', '[people."Ana"] as a table'),
            ('people = "Ana"', 'write each person as a table: [people."NAME"]'),
            ('[people."Ana: K"]', "'Ana: K' cannot stand before a colon: write 'Ana K'"),
            ('[people.Ana]\naccounts = "x:1"', 'Ana: write accounts as a list: ["x:1"]'),
            ("[people.Ana]\nconsent = 'yes'", "Ana: consent 'yes': choose clone, context or no"),
            ("[people.Ana]\nconsents = 'no'", "Ana: there is no 'consents' in a person's table"),
            ("default_consent = 'clone'", "nobody is cloned by default: write context or no"),
            ("default_consent = 'maybe'", "consent 'maybe': choose clone, context or no"),
            ("[Ana]\naccounts = ['x:1']", "what is 'Ana'? A person is [people.\"NAME\"]"),
            (
                "[people.Ana]\naccounts = ['x:1']\n[people.Ben]\naccounts = ['x:1']",
                "x:1 belongs to both 'Ana' and 'Ben': leave it with one",
            ),
        ],
    )
    def test_a_slip_is_one_line_that_says_where(self, tmp_path: Path, text: str, said: str) -> None:
        (tmp_path / "people.toml").write_text(text)
        with pytest.raises(PeopleError, match=re.escape(said)) as error:
            people.load(tmp_path / "people.toml")
        assert "people.toml" in str(error.value)
        assert "\n" not in str(error.value)

    def test_without_a_consent_nobody_consents(self, tmp_path: Path) -> None:
        (tmp_path / "people.toml").write_text("[people.Ana]\naccounts = ['x:1']")
        assert people.load(tmp_path / "people.toml").persons[0].consent == "no"


class TestFind:
    CREW = ("Neil Armstrong", "Buzz Aldrin", "Michael Collins", "Michael Jones", "bob", "Bob")

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("Buzz Aldrin", "Buzz Aldrin"),
            (" buzz aldrin ", "Buzz Aldrin"),
            ("arm", "Neil Armstrong"),
            ("Michael C", "Michael Collins"),
            ("Bob", "Bob"),
            ("bob", "bob"),
            ("BOB", "bob"),
        ],
    )
    def test_a_name_or_the_begin_of_one(self, name: str, meant: str) -> None:
        assert people.match_name(name, self.CREW) == meant

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("mich", "'mich' may be Michael Collins or Michael Jones: write more of the name"),
            ("Buz Aldrin", "did you mean Buzz Aldrin?"),
            ("xyz", "unknown person 'xyz': there are Neil Armstrong, Buzz Aldrin, "),
            ("", "unknown person ''"),
        ],
    )
    def test_nobody_or_several(self, name: str, said: str) -> None:
        with pytest.raises(PeopleError, match=re.escape(said)):
            people.match_name(name, self.CREW)

    def test_where_there_is_nobody(self) -> None:
        with pytest.raises(PeopleError, match="there are no people yet"):
            people.match_name("Ana", [])
