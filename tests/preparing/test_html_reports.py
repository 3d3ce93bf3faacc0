"""The report of prepare: what it shows, and that no text of a chat gets out of it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import polars as pl
from hypothesis import given
from tests.chats import START, texts, thorough

from myna.cleaning.ledger import Ledger, LedgerRow, PersonShare
from myna.preparing import html_reports
from myna.preparing.statistics import Habits, habits, typical_words


def ledger(text: str = "tea") -> Ledger:
    rows = [
        LedgerRow("link-only", "context", "nothing but a link", 2, 20, [f"{text}: {text}"]),
        LedgerRow("bot", "drop", "written by a bot", 1, 10, []),
        LedgerRow("kept", "train", "trained", 7, 70, []),
    ]
    people = [PersonShare(text, 90, 70, 0, 0, {"train": 7})]
    return Ledger(10, 100, rows, people, {"email": 3}, ["a note"])


ANA = Habits("Ana", 6, (0, 1, 2, 3, 0, 0, 0, 0, 0), (2, 2, 0, 0, 0, 0, 0, 0), (6,) + (0,) * 23)


class Elements(HTMLParser):
    """The elements of a page, and the words in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words.append(data)


class TestPage:
    def test_it_shows_what_became_of_every_message(self) -> None:
        words = " ".join(Elements(html_reports.ledger_page(ledger(), [])).words)
        assert "every message and every character is accounted for" in words
        assert re.search(r"link-only\s+context\s+2\s+20.0%\s+20", words)
        assert "trained 7 (70.0%)" in words
        assert "77.8%" in words  # of a person's 90 characters
        assert "3 × email" in words
        assert "a note" in words

    def test_a_ledger_that_does_not_balance_is_said_to(self) -> None:
        wrong = ledger()
        wrong.messages += 2
        assert "2 messages are unaccounted for" in html_reports.ledger_page(wrong, [])

    def test_each_person_has_three_pictures(self) -> None:
        page = Elements(html_reports.ledger_page(ledger(), [ANA], others=4))
        assert page.tags.count("svg") == 4  # with the flow of all messages
        assert page.tags.count("rect") == 9 + 8 + 24
        assert "21–40: 0 (0.0%)" in page.words
        assert "11–20: 3 (50.0%)" in page.words
        assert "and 4 more personas" in page.words

    def test_without_times_there_is_no_clock(self) -> None:
        timeless = Habits("Ana", 1, (1,) + (0,) * 8, (1,) + (0,) * 7, (0,) * 24)
        assert Elements(html_reports.ledger_page(ledger(), [timeless])).tags.count("svg") == 3

    def test_words_of_their_own_stand_under_the_name(self) -> None:
        page = Elements(html_reports.ledger_page(ledger(), [replace(ANA, words=("soup", "😾"))]))
        assert {"soup", "😾"} <= set(page.words)

    def test_the_ledger_is_a_picture_too(self) -> None:
        page = html_reports.ledger_page(ledger(), [])
        words = Elements(page).words
        for label in ("kept: 7 (70.0%), trained", "link-only: 2 (20.0%), context"):
            assert label in words
        streams = re.findall(r'class="band (\w+)" d="M100,([\d.]+)', page)
        assert [action for action, _ in streams] == ["train", "context", "drop"]
        assert Elements(html_reports.ledger_page(Ledger(), [])).tags.count("svg") == 0

    def test_it_is_made_for_the_dark_for_paper_and_for_emoji(self) -> None:
        page = html_reports.ledger_page(ledger(), [ANA])
        for part in ("prefers-color-scheme: dark", "@media print", "Noto Color Emoji"):
            assert part in page

    def test_nothing_is_fetched_and_nothing_runs(self) -> None:
        page = html_reports.ledger_page(ledger(), [ANA])
        assert "default-src 'none'" in page
        assert not re.search(r"https?://|url\(|@import|<script|<link|src=", page)


@thorough
@given(texts)
def test_no_text_is_ever_markup(text: str) -> None:
    hostile = f"{text}</td><script>alert(1)</script><img src=x onerror=alert(1)>{text}\" style='"
    page = Elements(html_reports.ledger_page(ledger(hostile), [Habits(hostile, *_rest(ANA))]))
    plain = Elements(html_reports.ledger_page(ledger(), [ANA]))
    assert page.tags == plain.tags
    assert page.attributes == plain.attributes


def _rest(of: Habits) -> tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    return of.messages, of.lengths, of.turns, of.hours


class TestHabits:
    def test_words_are_those_that_others_do_not_say(self) -> None:
        said = [
            ("Ana", "soup soup 😾"), ("Ana", "the SOUP 😾 [email] @ben"), ("Ana", "the soup 😾"),
            ("Ben", "the tea tea"), ("Ben", "tea the https://tea.example"), ("Ben", "don't the"),
        ]  # fmt: skip
        frame = pl.DataFrame(said, schema=["person", "text"], orient="row")
        words = typical_words(frame.with_columns(split=pl.lit("train")).lazy(), ["Ana", "Ben"])
        assert words["Ana"] == ("soup", "😾")
        assert words["Ben"][0] == "tea"

    def test_lengths_turns_and_hours(self) -> None:
        said = [(0, 0, 1, 0), (0, 0, 5, 1), (1, 0, 400, 2), (0, 0, 30, 600), (0, 1, 6, 601)]
        kept = pl.DataFrame(
            {
                "person": [person for person, *_ in said],
                "conversation": [conversation for _, conversation, *_ in said],
                "characters": [size for *_, size, _ in said],
                "sent_at": [START + timedelta(minutes=at) for *_, at in said],
            }
        )
        ben, ana = habits(kept, ["Ana", "Ben"], ["Ben", "Ana"])
        assert (ben.person, ben.messages, ben.lengths[-1], ben.turns[0]) == ("Ben", 1, 1, 1)
        assert ana.lengths == (1, 1, 1, 0, 1, 0, 0, 0, 0)
        assert ana.turns[:3] == (2, 1, 0)
        assert (ana.hours[12], ana.hours[22]) == (2, 2)
