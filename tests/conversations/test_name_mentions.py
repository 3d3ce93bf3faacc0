"""The people that a message names, addresses or calls."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from tests.chats import table

from myna.conversations import disentangle_features
from myna.conversations.name_mentions import INNER, MARKED, OUTER, named_people, names_everyone

PEOPLE = ("Samantha", "bob_", "Ana Lima", "quux|away", "Ед", "Xi")


def called(text: str, **more: Any) -> list[tuple[str, int]]:
    """Return the people that the last of these calls with a text, and the certainty."""
    rows = [{"author": name, "text": "hm"} for name in (*PEOPLE, "me")]
    found = disentangle_features.message_arrays(
        table([*rows, {"author": "me", "text": text, **more}])
    )
    names = dict(zip(found.people.tolist(), (*PEOPLE, "me"), strict=False))
    last = zip(found.called[-1].tolist(), found.certainty[-1].tolist(), strict=True)
    return [(names[number], certainty) for number, certainty in last if number >= 0]


@pytest.mark.parametrize(
    ("text", "name", "certainty"),
    [
        ("Samantha: tea?", "Samantha", MARKED),
        ("samantha, tea?", "Samantha", MARKED),
        ("I told @samantha so", "Samantha", MARKED),
        ("sam: tea?", "Samantha", MARKED),
        ("bob: tea?", "bob_", MARKED),
        ("quux: tea?", "quux|away", MARKED),
        ("tea, Ana?", "Ana Lima", OUTER),
        ("Lima is right", "Ana Lima", OUTER),
        ("I think samantha knows", "Samantha", INNER),
        ("Xi: 好的", "Xi", MARKED),
    ],
)
def test_a_name_in_the_text(text: str, name: str, certainty: int) -> None:
    assert called(text) == [(name, certainty)]


@pytest.mark.parametrize(
    "text", ["", "tea?", "sam likes tea", "samanthas: tea", "the xi particle", "me: tea?"]
)
def test_no_name(text: str) -> None:
    assert called(text) == []


def test_the_most_certain_first() -> None:
    assert called("bob: ask samantha") == [("bob_", MARKED), ("Samantha", OUTER)]


def test_a_usual_word_is_a_name_only_where_it_is_marked() -> None:
    rows = [{"author": "Will", "text": "hm"}]
    rows += [{"author": "Ana", "text": f"it will be {n} today"} for n in range(9)]
    rows += [{"author": "Ana", "text": "that will do"}, {"author": "Ana", "text": "Will: tea?"}]
    found = disentangle_features.message_arrays(table(rows))
    assert found.called[:, 0].tolist() == [-1] * 11 + [found.people[0]]


def test_of_two_with_one_name_it_is_who_spoke_last() -> None:
    rows = [{"author": a, "text": "hm"} for a in ("Ana Lima", "Ana Roth", "Ana Lima", "me")]
    found = disentangle_features.message_arrays(
        table([*rows, {"author": "me", "text": "Ana: tea?"}])
    )
    assert found.called[-1].tolist() == [found.people[0], -1, -1]


def test_of_two_who_come_later_it_is_always_the_same() -> None:
    rows = [{"author": a, "text": "Ana: tea?"} for a in ("me", "Ana Lima", "Ana Roth")]
    assert (
        len({disentangle_features.message_arrays(table(rows)).called[0, 0] for _ in range(20)}) == 1
    )


def test_a_name_that_many_have_calls_nobody() -> None:
    rows = [{"author": f"user{n}", "text": "user: hm"} for n in range(20)]
    assert (disentangle_features.message_arrays(table(rows)).called == -1).all()


def test_a_mention_of_the_platform_calls() -> None:
    rows = table([{"author": a, "text": "hm"} for a in ("1", "2", "3")])
    mention = [[], [], [{"author_id": "1", "start": 0, "end": 2}]]
    found = disentangle_features.message_arrays(
        rows.with_columns(mentions=pl.Series(mention, dtype=rows.schema["mentions"]))
    )
    assert found.called[-1, 0] == found.people[0]
    assert found.certainty[-1, 0] == MARKED


def test_a_reply_of_the_platform_calls_whom_it_answers() -> None:
    assert called("yes", reply_to="1") == [("bob_", MARKED)]


CREW = ["Ana Silva", "Ben Silva", "Cy", "José", "Jean-Luc Roux", "Jo Berg"]


class TestNamed:
    """One message, among the people who are there."""

    @pytest.mark.parametrize(
        ("text", "persons"),
        [
            ("ana, tea?", ["Ana Silva"]),
            ("@cy hi", ["Cy"]),
            ("josé?", ["José"]),
            ("Ben Silva and Ana, come here", ["Ben Silva", "Ana Silva"]),
            ("Jo, tea?", ["Jo Berg"]),
            ("Jean, tea?", ["Jean-Luc Roux"]),
            ("jean-luc: tea?", ["Jean-Luc Roux"]),
            ("silva!", []),  # two are called so
            ("a banana in the cyan sea", []),
            ("zed, tea?", []),
            ("", []),
        ],
    )
    @pytest.mark.parametrize("addressed", [False, True])
    def test_a_name_is_whose_it_alone_is(
        self, text: str, persons: list[str], addressed: bool
    ) -> None:
        assert named_people(text, CREW, addressed=addressed) == persons

    @pytest.mark.parametrize(
        ("text", "anywhere", "addressed"),
        [
            ("what do BEN and Ana Silva think", ["Ben Silva", "Ana Silva"], []),
            ("Cy's turn", ["Cy"], []),
            ("Ben said that yesterday", ["Ben Silva"], []),
            ("tea, Cy? Ben has some", ["Cy", "Ben Silva"], ["Cy"]),
            ("Ben has tea, Cy?", ["Ben Silva", "Cy"], ["Cy"]),
            ("hey cy! Ben has tea", ["Cy", "Ben Silva"], ["Cy"]),
            ("ask Ben @cy", ["Ben Silva", "Cy"], ["Cy"]),
        ],
    )
    def test_who_is_spoken_of_is_not_always_spoken_to(
        self, text: str, anywhere: list[str], addressed: list[str]
    ) -> None:
        assert named_people(text, CREW) == anywhere
        assert named_people(text, CREW, addressed=True) == addressed

    @pytest.mark.parametrize("addressed", [False, True])
    def test_a_whole_name_goes_before_a_part_of_another(self, addressed: bool) -> None:
        people = ["Ana", "Ana Silva"]
        assert named_people("Ana, tea?", people, addressed=addressed) == ["Ana"]
        assert named_people("Ana Silva, tea?", people, addressed=addressed) == ["Ana Silva"]

    def test_a_single_letter_is_a_name_only_where_it_is_spoken_to(self) -> None:
        assert named_people("a pear, please", ["A", "B C"]) == []
        assert named_people("A, a pear, please", ["A", "B C"], addressed=True) == ["A"]
        assert named_people("C, a pear, please", ["A", "B C"], addressed=True) == []

    def test_where_nobody_is_nobody_is_named(self) -> None:
        assert named_people("tea?", []) == []


@pytest.mark.parametrize(
    ("text", "everyone"),
    [
        ("hey everyone, tea?", True),
        ("Guys!", True),
        ("tea, @everyone", True),
        ("all: listen", True),
        ("not everyone likes tea", False),
        ("all", True),
        ("tall guys", False),
    ],
)
def test_everyone_may_be_meant(text: str, everyone: bool) -> None:
    assert names_everyone(text) is everyone
