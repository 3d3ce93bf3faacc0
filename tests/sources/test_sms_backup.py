"""SMS Backup & Restore."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myna.errors import SourceError
from myna.sources import load_source

SMS = "sms_backup/sms-20240503.xml"


def _backup(*elements: str) -> bytes:
    return f'<?xml version="1.0"?>\n<smses count="1">\n{"".join(elements)}</smses>\n'.encode()


def test_messages(read, fixture_file) -> None:
    table, tally = read("sms_backup", fixture_file(SMS))
    assert table.select("channel", "author", "author_id", "text").rows() == [
        ("Bo", "Bo", "+15550101", "tea? 🍵\nat two & a half"),
        ("Bo", "Me", "me", 'yes, "tea"'),
        ("KETTLES", "KETTLES", "KETTLES", "Your kettle is on its way."),
        ("Bo, Peep", "Peep", "+15550102", "look"),
        ("Bo", "Me", "me", ""),
    ]
    assert table["channel_id"].to_list() == [
        *("+15550101", "+15550101", "KETTLES", "+15550101~+15550102", "+15550101"),
    ]
    files = [tuple(f.values()) for files in table["attachments"] for f in files]
    assert files == [("image", "a.jpg"), ("voice", "b.amr"), ("gif", "c.gif")]
    assert table["is_bot"].to_list() == [False, False, True, False, False]
    assert table["sent_at"][0] == datetime(2024, 5, 1, 9, tzinfo=UTC)
    assert tally.skipped == {"draft that was never sent": 1}
    assert tally.me == "me"
    assert not tally.unread_bytes
    assert not tally.notes


def test_calls(read, fixture_file) -> None:
    table, _ = read("sms_backup", fixture_file("sms_backup/calls.xml"))
    assert table.select("author", "kind", "text").rows() == [
        ("Bo", "call", "call received, 61 s"),
        ("+15550102", "call", "call missed, 0 s"),
    ]


LAUGHS = "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1};" * 10 if n else "ha"}">' for n in range(10))


@pytest.mark.parametrize(
    "declared",
    [
        f"<!DOCTYPE smses [{LAUGHS}]>",
        '<!DOCTYPE smses SYSTEM "http://tea.example/smses.dtd">',
        '<!doctype smses [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    ],
)
def test_a_file_that_declares_entities_is_refused_in_a_line(declared, read, memory_file) -> None:
    data = (
        f'<?xml version="1.0"?>\n{declared}\n<smses count="1">'
        '<sms address="1" date="1" type="1" body="&lol9;"/></smses>'
    )
    with pytest.raises(SourceError, match="declares entities") as caught:
        read("sms_backup", memory_file(data.encode(), "sms.xml"))
    assert "\n" not in str(caught.value)


def test_references_are_characters_and_nothing_else(read, memory_file) -> None:
    body = "&lt;b&gt; &quot;&apos;&amp;amp; &#x1F375; &#128512;&#55357;&#56832;&#55357; &tea; &#0;"
    sms = f'<sms address="5550101" date="1714554000000" type="1" body="{body}"/>'
    table, _ = read("sms_backup", memory_file(_backup(sms), "sms.xml"))
    assert table["text"][0] == "<b> \"'&amp; 🍵 😀😀\ufffd &tea; \ufffd"


def test_a_damaged_message_costs_no_other(read, memory_file) -> None:
    one = '<sms address="5550101" date="1714554000000" type="1" body="{}"/>\n'
    broken = '<sms address="5550101" date="1714554000000" type="1" body="b/>\n'
    data = _backup(one.format("a"), broken, one.format("c"))
    table, tally = read("sms_backup", memory_file(data, "sms.xml"))
    assert table["text"].to_list() == ["a", "c"]
    assert tally.skipped == {"damaged message": 1}
    assert tally.unread_bytes == len(broken)


def test_a_large_file_in_a_message_is_passed_over(read, memory_file) -> None:
    part = f'<part ct="image/png" cl="a.png" data="{"A" * 3_000_000}"/>'
    mms = f'<mms date="1" msg_box="1" address="5550101"><parts>{part}</parts><addrs/></mms>'
    table, tally = read("sms_backup", memory_file(_backup(mms), "sms.xml"))
    assert table["attachments"][0].to_list() == [{"kind": "image", "name": "a.png"}]
    assert not tally.unread_bytes


@pytest.mark.parametrize(
    ("address", "is_bot"),
    [("+15550101", False), ("72345", True), ("AMAZON", True), ("ada@tea.example", False)],
)
def test_services_are_bots(address: str, is_bot: bool, read, memory_file) -> None:
    sms = f'<sms address="{address}" date="1" type="1" body="a"/>'
    table, _ = read("sms_backup", memory_file(_backup(sms), "sms.xml"))
    assert table["is_bot"][0] == is_bot


def test_one_number_is_one_account_however_it_is_written(read, memory_file) -> None:
    sms = '<sms address="{}" date="1" type="1" body="a"/>'
    data = _backup(*(sms.format(a) for a in ("+1 (555) 010-1000", "+15550101000")))
    table, _ = read("sms_backup", memory_file(data, "sms.xml"))
    assert set(table["author_id"]) == {"+15550101000"}
    assert table["channel_id"].n_unique() == 1


def test_another_file_is_an_error(read, memory_file) -> None:
    file = memory_file(b"<html><body/></html>", "a.xml")
    assert load_source("sms_backup").recognise(file) is None
    with pytest.raises(SourceError, match=r"a\.xml is no backup"):
        read("sms_backup", file)
