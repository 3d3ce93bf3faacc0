"""Pages tag by tag, whatever is wrong with them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.sources.conftest import MemoryFile

from myna.sources._shared import html
from myna.sources._shared.html import attributes, html_tokens, unescape


def tags(page: bytes) -> list[tuple[bytes, str, bytes]]:
    return [part[:3] for part in html_tokens(MemoryFile(Path("page"), page))]


def test_tags_come_with_the_text_before_them() -> None:
    page = b"a<div class=x>b &amp; c<BR/></div>d"
    assert tags(page) == [
        (b"a", "div", b" class=x"),
        (b"b &amp; c", "BR", b"/"),
        (b"", "/div", b""),
        (b"d", "", b""),
    ]


def test_places_are_bytes_of_the_page() -> None:
    page = "käse<b>🧀</b>".encode()
    parts = html_tokens(MemoryFile(Path("page"), page))
    assert [page[part.begin : part.end] for part in parts] == [
        b"<b>",
        b"</b>",
        b"",
    ]


def test_comments_have_no_name() -> None:
    assert tags(b"<!doctype html>a<!--b-->c") == [
        (b"", "", b""),
        (b"a", "", b""),
        (b"c", "", b""),
    ]


@pytest.mark.parametrize(
    "text",
    [b"1 < 2", b"<3", b"< b>", b'<a title="open', b"<", b"</", b"<!--", b"<a b='<i", b"<@1>"],
)
def test_what_is_no_tag_is_text(text: bytes) -> None:
    found = tags(text + b"<u>x</u>")
    assert b"".join(before for before, _, _ in found).startswith(text.partition(b"<i")[0])
    assert [tag for _, tag, _ in found if tag in ("u", "/u")] == ["u", "/u"]


def test_a_value_may_hold_what_ends_tags() -> None:
    assert attributes(tags(b"<a title='<3 \"' alt=\"x>y's\" >")[0][2]) == {
        "title": '<3 "',
        "alt": "x>y's",
    }


def test_attributes_may_be_without_quotes_or_value() -> None:
    raw = b" CLASS=a/b.c title=\"&lt;3 &amp; more\" hidden class=second src = 'x'/"
    assert attributes(raw) == {
        "class": "a/b.c",
        "title": "<3 & more",
        "hidden": "",
        "src": "x",
        "/": "",
    }


def test_references_that_stand_for_nothing_stay() -> None:
    assert unescape(b"&amp;lt; &#129472; &#0; &nosuch;") == "&lt; 🧀 \ufffd &nosuch;"
    assert unescape(b"&#" + b"9" * 5000 + b";").startswith("&#999")
    assert unescape(b"caf\xe9") == "caf\ufffd"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_any_encoding_is_read(encoding: str) -> None:
    found = tags("<p title='é'>café</p>".encode(encoding))
    assert found[0][1] == "p"
    assert unescape(found[1][0]) == "café"


@given(
    page=st.lists(
        st.sampled_from(
            ["<", ">", "</", "<a ", "<!--", "-->", "<b>", '"', "'", "=", "/", " ", "x", "ä", "<3"]
        )
    ).map("".join),
    block=st.integers(1, 9),
)
@example(page='<a title="<', block=9)
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
def test_the_size_of_blocks_does_not_matter(page: str, block: int, monkeypatch) -> None:
    expected = tags(page.encode())
    with monkeypatch.context() as patch:
        patch.setattr(html, "BLOCK_CHARS", block)
        assert tags(page.encode()) == expected


@pytest.mark.parametrize("begin", [b"<a", b'<a "', b"<a '", b"<!--", b"<", b"&", b"x", b'<a x="<'])
def test_no_page_takes_long_or_much_memory(begin: bytes) -> None:
    page = begin * (2**21 // len(begin))
    began = time.process_time()
    longest = max(len(part.text) for part in html_tokens(MemoryFile(Path("page"), page)))
    assert time.process_time() - began < 5
    assert longest <= 2 * html.BLOCK_CHARS + html.MAX_TAG_BYTES
