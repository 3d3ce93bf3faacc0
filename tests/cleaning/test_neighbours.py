"""Personal data is found whatever stands directly before or behind it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.chats import table, thorough

from myna.cleaning.redact import find_personal_data, redact_messages
from myna.cleaning.redact_stream import RedactionStream
from myna.config import Redaction

CASES = Path(__file__).parents[2] / "benchmarks" / "redaction_cases.jsonl"

DATA = {
    "kettle.fan92@example.org": "email",
    "+49 30 123456-78": "phone",
    "+447700900456": "phone",
    "212-555-0187": "phone",
    "(030) 1234567": "phone",
    "DE89 3704 0044 0532 0130 00": "iban",
    "GB29NWBK60161331926819": "iban",
    "4111 1111 1111 1111": "card",
    "5555555555554444": "card",
    "203.0.113.42": "ip",
    "2001:db8:85a3::8a2e:370:7334": "ip",
    "52.520008, 13.404954": "location",
    "9F4MGC22+22": "location",
    "536-22-8714": "id",
    "12345678Z": "id",
    "221B Baker Street": "address",
    "Lindenallee 5a, 50667": "address",
    "ghp_" + "aB3dE5fG7hI9jK1lM2nO4pQ6rS8tU0vW1xY2": "token",
    "AKIA" + "IOSFODNN7EXAMPLE": "token",
    "discord.gg/teahouse": "invite",
    "t.me/+AbCdEf123456": "invite",
    "hunter22": "password",
}
"""Personal data, with the type of each."""

LATIN, LETTERS = ("x", "V"), ("é", "ж")
CLOSE = ("中", "の", "한", "ก")
"""Letters of scripts that write no blanks, or put their endings behind foreign words."""
MARKS = ("_", "__", "*", "**", "***", "~~", "|", "||", "`", "```")
QUOTES = ('"', "'", "“", "”", "„", "‘", "’", "«", "»", "「", "」", "『")
BRACKETS = ("(", ")", "[", "]", "{", "}", "<", ">", "（", "）", "【")
UNSEEN = ("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u202a", "\xa0")
EMOJI = ("🎉", "👩‍🚀", "❤️", "🇩🇪")
SIGNS = (*".,:;!?-–—/\\=#@&+%$…。、，：！？・", "->", "...", "\n")
NEIGHBOURS = (
    "", *LATIN, *LETTERS, *CLOSE, *MARKS, *QUOTES, *BRACKETS, *UNSEEN, *EMOJI, *SIGNS
)  # fmt: skip

PARTS: dict[str, tuple[str, str]] = {
    # A handle on another server.
    "kettle.fan92@example.org": ("@", ""),
    # A number that is dialled with another code; a sum; a share.
    "212-555-0187": ("+$", "%$"),
    "(030) 1234567": ("+$", "%$"),
    # Letters that the codes themselves are written in.
    "9F4MGC22+22": ("V", ""),
    "12345678Z": ("xV", "xV"),
    "AKIA" + "IOSFODNN7EXAMPLE": ("V", "V"),
    # Another word, such as "Streets"; the road A221; the third item, the price.
    "221B Baker Street": ("xVéж#+$", "xVéж"),
    "Lindenallee 5a, 50667": ("xéж", "xVéж"),
    # Another domain, such as notdiscord.gg.
    "discord.gg/teahouse": ("xV", ""),
    "t.me/+AbCdEf123456": ("xV", ""),
    # A path, such as /run/secrets/x1.
    "hunter22": ("/", ""),
}
"""Neighbours before and behind that make it part of something else."""


def written(before: str, item: str, after: str) -> tuple[str, int]:
    """A text with personal data between its neighbours, and where the data begins."""
    begin = f"password: {before}" if DATA[item] == "password" else f"so {before}"
    return f"{begin}{item}{after} ok", len(begin)


def is_hidden(text: str, at: int, item: str) -> bool:
    return {*range(at, at + len(item))} <= {
        place for found in find_personal_data(text) for place in range(found.start, found.end)
    }


@pytest.mark.parametrize("item", DATA)
def test_each_is_found_beside_each(item: str) -> None:
    text, _ = written("", item, "")
    assert [(text[f.start : f.end], f.kind) for f in find_personal_data(text)] == [
        (item, DATA[item])
    ]
    before, after = PARTS.get(item, ("", ""))
    missed = [
        (near, side)
        for near in NEIGHBOURS
        for side, pair in (("before", (near, "")), ("behind", ("", near)))
        if near not in (before if side == "before" else after) or not near
        if not is_hidden(*written(pair[0], item, pair[1]), item)
    ]
    assert missed == []


@thorough
@given(st.sampled_from([*DATA]), st.sampled_from(NEIGHBOURS), st.sampled_from(NEIGHBOURS))
@example("203.0.113.42", "V", "")
def test_each_is_found_between_all(item: str, before: str, after: str) -> None:
    parts = PARTS.get(item, ("", ""))
    before = "" if before in parts[0] else before
    after = "" if after in parts[1] else after
    if DATA[item] == "iban" and {before, after} <= {*LATIN}:
        after = ""  # between letters it is part of a longer string
    text, at = written(before, item, after)
    assert is_hidden(text, at, item)
    # The first look at a table, and a stream, find what the close look does.
    frame, _ = redact_messages(table([{"author": "Ana", "text": text}]), Redaction())
    stream = RedactionStream(Redaction())
    assert "".join(map(stream.feed, text)) + stream.finish() == frame["text"][0]
    assert item not in frame["text"][0]


@pytest.mark.parametrize(
    "text",
    [
        *("v1.2.3.4 is out", "app_v2.10.45.3", "Chrome v120.0.0.0", "v10.0.1.7", "lib1.2.3.4"),
        *("kernel 5.15.167.4-microsoft-standard", "5.15.167.4.el7", "1.3.6.1.4.1", "203.0.113.425"),
        *("41111111111111112", "14111 1111 1111 1111", "4111 1111 1111 1111.5"),
        *("1203.0.113.42", "203.0.113.421", "7.203.0.113.42", "d2001:db8:85a3::8a2e:370:7334"),
        *("5536-22-8714", "536-22-87145", "XDE89370400440532013000X", "2DE89370400440532013000"),
        *("at 54 hours and 50 minutes", "IMG_0612345678", "B0612345678", "2*0612345678"),
        *("0612345678abc", "-0612345678", "x=0612345678", "#0612345678", "$212-555-0187"),
        *("risk-assessment-of-the-whole-thing", "std::vec3::add", "152.520008, 13.404954"),
        *("notdiscord.gg/teahouse", "my.discord.gg/teahouse", "@kettle@example.org"),
        *("221B Baker Streets", "A221 Baker Street"),
    ],
)  # fmt: skip
def test_some_neighbours_make_something_else_of_it(text: str) -> None:
    assert find_personal_data(text) == []


def test_every_known_case_is_found_between_emphasis_and_quotes() -> None:
    for line in CASES.read_text("utf-8").splitlines():
        case = json.loads(line)
        if len(case["spans"]) == 1 and case["spans"][0][2] in ("ip", "card", "iban", "phone"):
            [(start, end, kind)] = case["spans"]
            for mark in ("**", "`", '"', "||"):
                text = f"{case['text'][:start]}{mark}{case['text'][start:end]}{mark}"
                text += case["text"][end:]
                spans = [[f.start, f.end, f.kind] for f in find_personal_data(text)]
                assert [start + len(mark), end + len(mark), kind] in spans, text
