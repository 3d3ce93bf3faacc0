"""Messages in HTML or in Skype's XML."""

from __future__ import annotations

import time

import pytest

from myna.sources._shared.rich_text import parse_rich_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain", "plain"),
        ("<p>a</p>\n<p>b</p>", "a\nb"),
        ("<div>a<br>b</div><ul><li>c</li></ul>", "a\nb\nc"),
        ("a  \n b &lt;3 <!-- no --> <b>c</b>", "a b <3 c"),
        ('<blockquote itemid="1">old</blockquote>new', "new"),
        ('yes <emoji alt="🍵"></emoji><img itemtype="x/Emoji" alt="🙂">', "yes 🍵🙂"),
        ('<at id="0">Ada</at> and <at id="1">@Bo</at>', "@Ada and @Bo"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]>&a;", "<!DOCTYPE x []>&a;"),
    ],
)
def test_html_as_text(html: str, text: str) -> None:
    assert parse_rich_text(html, is_html=True).text == text


def test_tags_have_their_places() -> None:
    rich = parse_rich_text('<p>hi <at id="0">Ada</at>!</p><img src="a.png">', is_html=True)
    tags = [(tag.name, tag.start, tag.end) for tag in rich.tags]
    assert tags == [("p", 0, 8), ("at", 3, 7), ("img", 8, 8)]
    assert rich.first("at") == {"id": "0"}
    assert rich.first("b") is None


@pytest.mark.parametrize("piece", ["<b>", "<b></b>", "<!--", "<at id='1'", "&", "</quote>", "<a "])
def test_no_markup_takes_long(piece: str) -> None:
    begin = time.process_time()
    parse_rich_text(piece * 50_000, is_html=False)
    assert time.process_time() - begin < 5
