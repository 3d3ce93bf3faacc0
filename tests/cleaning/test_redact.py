"""Personal data in texts: what is found, what stays, and what takes its place."""

from __future__ import annotations

import re
import sys
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import table, texts, thorough

from myna.cleaning.redact import (
    count_by_type,
    find_personal_data,
    find_replaced,
    presidio_finder,
    redact_messages,
)
from myna.config import Redaction, parse
from myna.errors import SettingsError

DEFAULT = Redaction()


def redacted(text: str, settings: Redaction = DEFAULT) -> str:
    frame, _ = redact_messages(table([{"author": "Ana", "text": text}]), settings)
    shown: str = frame["text"][0]
    return shown


def mentioning(text: str, *names: str) -> pl.DataFrame:
    """One message; each name is a mention where it stands first."""
    spans = [{"author_id": n, "start": text.index(n), "end": text.index(n) + len(n)} for n in names]
    frame = table([{"author": "Ana", "text": text}])
    return frame.with_columns(pl.Series("mentions", [spans], frame.schema["mentions"]))


def mentioned(frame: pl.DataFrame) -> list[str]:
    text, mentions = frame.select("text", "mentions").row(0)
    return [text[m["start"] : m["end"]] for m in mentions]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mine is kettle.fan92@gmail.com lol", "mine is [email] lol"),
        ("(m.rossi@studio-rossi.it)", "([email])"),
        ("its teapot99 at gmail dot com dont spam", "its [email] dont spam"),
        ("ruf an unter +49 30 123456-78, ok?", "ruf an unter [phone], ok?"),
        ("text 212-555-0187 or 646-555-0121 asap", "text [phone] or [phone] asap"),
        ("номер 8 (912) 345-67-89 звони", "номер [phone] звони"),
        ("電話番号は０９０－１２３４－５６７８だよ", "電話番号は[phone]だよ"),
        ("i live at 221B Baker Street.", "i live at [address]."),
        ("c'est au 12 rue de la Paix, 75002 Paris", "c'est au [address] Paris"),
        ("Adresse: Lindenallee 5a, 50667 Köln", "Adresse: [address] Köln"),
        ("Adresse: Lindenallee 5a, Whg. 12", "Adresse: [address]"),
        ("abito in via Garibaldi 23, 20121 Milano", "abito in [address] Milano"),
        ("server: 198.51.100.23:25565 join now", "server: [ip]:25565 join now"),
        ("2001:db8:85a3::8a2e:370:7334 is my v6", "[ip] is my v6"),
        ("4111 1111 1111 1111 exp 12/29", "[card] exp 12/29"),
        ("iban DE89 3704 0044 0532 0130 00 danke!", "iban [iban] danke!"),
        ("my ssn is 536-22-8714 pls", "my ssn is [id] pls"),
        ("dni 12345678Z", "dni [id]"),
        ('api_key = "9f8c2b7e4d1a6035c8e7f2b9a4d3e6c1"', 'api_key = "[token]"'),
        ("aws key AKIA" + "IOSFODNN7EXAMPLE", "aws key [token]"),
        ("password: hunter2, ok", "password: [password], ok"),
        ("https://bob:s3cr3t@example.com/x", "https://bob:[password]@example.com/x"),
        ("im at 52.520008, 13.404954 now", "im at [location] now"),
        ("lat: 52.520008, lon: 13.404954 now", "lat: [location] now"),
        ("latitude=-33.8568, longitude=151.2153", "latitude=[location]"),
        ("join discord.gg/teahouse!", "join [invite]!"),
        (
            "here:\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\nbye",
            "here:\n[private key]\nbye",
        ),
    ],
)
def test_what_is_personal_is_replaced_and_the_sentence_stays(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert redacted(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "won 3-1",
        "plus 00203 53573 633 53349, sextant star 33 1578 122",
        "roll 355 015, pitch 213, 027 44 5363, minus 165 073 14 037 44 8016",
        "7-8 ish",
        "at 10:30 or 10:45-11:00",
        "he paid $1,234,567.89 in 2019, 1.299,99 € in 2020",
        "31.12.2023 um 20 Uhr, 2024-01-31 12:30:45",
        "v1.2.3.4 is out, version 10.0.1.7 broke",
        "127.0.0.1 sweet 0.0.0.0",
        "ISBN 978-3-16-148410-0",
        "4111 1111 1111 1112",
        "DE89 3704 0044 0532 0130 01",
        "message id 1122334455667788990",
        "order #1234567890 still not here",
        "#ff8800 or #FFAA33CC",
        "commit 9f8c2b7e4d1a6035c8e7f2b9a4d3e6c1a2b3c4d5 broke it",
        "https://youtu.be/dQw4w9WgXcQ",
        "https://example.com/2024/01/31/12345678?n=212-555-0187",
        "<:pepe:123456789012345678> 😂 (╯°□°)╯︵ ┻━┻",
        "i forgot my password again",
        "the password is wrong",
        "git clone git@github.com:kettle/teapot.git",
        "coords 120 64 -340",
        "на улице 5 градусов",
        "between 52.5 and 13.4",
        "2 dr appointments today, 5 min drive",
        "10, 9, 8, 7, 6, 5, 4, 3, 2, 1",
    ],
)
def test_what_is_not_personal_stays(text: str) -> None:
    assert redacted(text) == text


def test_what_was_replaced_is_counted_by_type() -> None:
    rows = [{"author": "Ana", "text": t} for t in ("a@b.co c@d.co", "tea", "+44 7700 900456")]
    frame, matches = redact_messages(table(rows), DEFAULT)
    assert frame["text"].to_list() == ["[email] [email]", "tea", "[phone]"]
    assert count_by_type(matches) == {"email": 2, "phone": 1}


def test_other_columns_are_as_they_were() -> None:
    frame = table([{"author": "Ana", "text": t} for t in ("tea", "a@b.co")])
    assert redact_messages(frame, DEFAULT)[0].drop("text").equals(frame.drop("text"))


def test_a_text_that_is_missing_stays_missing() -> None:
    frame = table([{"author": "Ana", "text": None}, {"author": "Ana", "text": "a@b.co"}])
    assert redact_messages(frame, DEFAULT)[0]["text"].to_list() == [None, "[email]"]


def test_mentions_stand_where_their_names_are() -> None:
    frame = mentioning("@ben mail long.name@example.org to @ana ok", "@ben", "@ana")
    assert mentioned(redact_messages(frame, DEFAULT)[0]) == ["@ben", "@ana"]


def test_a_mention_that_was_replaced_is_gone() -> None:
    frame = mentioning("hi @ana, ben@example.org", "@ana", "@example")
    assert mentioned(redact_messages(frame, DEFAULT)[0]) == ["@ana"]


def test_only_the_types_that_are_wanted_are_replaced() -> None:
    text = "a@b.co or +44 7700 900456"
    assert redacted(text, Redaction(types=["phone"])) == "a@b.co or [phone]"
    assert redacted(text, Redaction(types=[])) == text


def test_a_number_of_another_type_is_no_phone_when_only_phones_are_wanted() -> None:
    text = "iban DE89 3704 0044 0532 0130 00"
    assert redacted(text, Redaction(types=["phone"])) == text


def test_off_replaces_nothing() -> None:
    assert redacted("a@b.co", Redaction(style="off")) == "a@b.co"


def test_types_come_from_the_settings_file_and_an_unknown_one_is_an_error() -> None:
    assert parse('[redaction]\ntypes = ["email"]', "x").redaction.types == ["email"]
    with pytest.raises(SettingsError, match="redaction"):
        parse('[redaction]\ntypes = ["shoe size"]', "x")


FAKE = Redaction(style="fake", seed="tea")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("kettle@gmail.com", r"[a-z]+\d+@example\.org"),
        ("+49 30 12345678", r"\+1 202 555 01\d\d"),
        ("212-555-0187", r"202-555-01\d\d"),
        ("221B Baker Street", r"\d+ Example Street"),
        ("198.51.100.23", r"192\.0\.2\.\d+"),
        ("2001:db8:85a3::8a2e:370:7334", r"2001:db8::[\da-f]+:[\da-f]+"),
        ("4111 1111 1111 1111", r"0000 0000 \d{4} \d{4}"),
        ("DE89 3704 0044 0532 0130 00", r"XX00 0000 0000 \d{4} \d{4}"),
        ("536-22-8714", r"000-00-\d{4}"),
        ("52.520008, 13.404954", r"0\.\d{4}, -0\.\d{4}"),
        ("discord.gg/teahouse", r"https://example\.org/invite/[a-z]+"),
    ],
)
def test_fake_values_are_plainly_made_up(text: str, form: str) -> None:
    assert re.fullmatch(form, redacted(text, FAKE))


def test_the_same_value_always_has_the_same_fake_however_it_is_written() -> None:
    one, two = redacted("DE89 3704 0044 0532 0130 00 and de89370400440532013000", FAKE).split(
        " and "
    )
    assert one == two
    assert one != redacted("GB29NWBK60161331926819", FAKE)


def test_fakes_depend_on_a_secret() -> None:
    text = "kettle@gmail.com"
    assert redacted(text, FAKE) == redacted(text, FAKE)
    assert redacted(text, FAKE) != redacted(text, Redaction(style="fake", seed="milk"))
    unseeded = Redaction(style="fake")
    assert len({redacted(text, unseeded) for _ in range(4)}) > 1


PERSONAL = ["a.b@example.org", "+44 7700 900456", "203.0.113.42", "discord.gg/teahouse"]


@thorough
@given(texts, st.sampled_from(PERSONAL), texts)
def test_the_text_around_is_kept(before: str, item: str, after: str) -> None:
    shown = redacted(f"{before} \n{item}\n {after}")
    assert item not in shown
    if not find_personal_data(before) and not find_personal_data(after):
        assert re.fullmatch(f"{re.escape(before)} \n.+\n {re.escape(after)}", shown, re.DOTALL)


@thorough
@given(st.lists(st.sampled_from([*PERSONAL, "password:", "1", "-", "http://", "key "]) | st.text()))
def test_matches_are_in_order_without_overlap(parts: list[str]) -> None:
    text = " ".join(parts)
    found = find_personal_data(text)
    ends = [0, *(match.end for match in found)]
    assert all(end <= match.start < match.end for end, match in zip(ends, found, strict=False))
    assert ends[-1] <= len(text)


@thorough
@given(st.lists(st.sampled_from(PERSONAL) | texts, max_size=6))
def test_the_table_has_the_matches_of_find_personal_data(parts: list[str]) -> None:
    text = " ".join(parts)
    found = find_personal_data(text)
    frame, matches = redact_messages(table([{"author": "Ana", "text": text}]), DEFAULT)
    assert sum(count_by_type(matches).values()) == matches.height == len(found)
    assert (frame["text"][0] == text) == (not found)


HOSTILE = [
    "1 ",
    "1-",
    "A-",
    "A'",
    "a@a.",
    "MN.",
    "key_",
    "://a:",
    "::",
    "東京市",
    "10 Aa ",
]


@pytest.mark.parametrize("piece", [*HOSTILE, "-----BEGIN PRIVATE KEY-----", "password for a "])
def test_long_texts_of_the_nastiest_kind_are_read_to_the_end(piece: str) -> None:
    find_personal_data(piece * (5_000 // len(piece)))


def redacted_with(text: str, **settings: Any) -> str:
    frame, _ = redact_messages(table([{"author": "Ana", "text": text}]), Redaction(**settings))
    found: str = frame["text"][0]
    return found


WALLET = "send it to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa please"


class TestFinder:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("presidio_analyzer", reason="myna[presidio] is not installed")

    def test_it_finds_what_myna_does_not(self) -> None:
        assert redacted_with(WALLET) == WALLET
        assert redacted_with(WALLET, presidio=True) == "send it to [token] please"

    def test_what_both_find_is_replaced_once(self) -> None:
        text = "card 4111 1111 1111 1111 and tea@kettle.example"
        assert redacted_with(text, presidio=True) == "card [card] and [email]"

    @pytest.mark.parametrize("text", ["won 3-1 at 10:30 in 2019", "7-8 ish", "order 12345678901"])
    def test_bare_numbers_stay(self, text: str) -> None:
        assert redacted_with(text, presidio=True) == text

    def test_only_the_types_that_are_wanted_are_replaced(self) -> None:
        assert redacted_with(WALLET, presidio=True, types=["email"]) == WALLET


def test_without_it_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    presidio_finder.cache_clear()
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(SettingsError, match=r"pip install 'myna\[presidio\]'"):
        redacted_with("tea", presidio=True)


def test_what_is_replaced_is_found_as_it_was_written() -> None:
    texts = ["its Kettle.Fan92@gmail.com", "call 212-555-0187, or Kettle.Fan92@gmail.com", "hi"]
    frame = table([{"author": "Ana", "text": text} for text in texts])
    assert find_replaced(frame, DEFAULT) == {"Kettle.Fan92@gmail.com", "212-555-0187"}
    assert find_replaced(frame, Redaction(types=["email"])) == {"Kettle.Fan92@gmail.com"}
    assert find_replaced(frame, Redaction(style="off")) == set()
