"""DiscordChatExporter's pages: what becomes of each element, and what damage costs."""

from __future__ import annotations

import html
import random
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import ChatFile, Tally, discord_chat_exporter_html, recognise
from myna.sources._shared import html as html_

FOLDER = "discord_chat_exporter_html/"
KETTLE = FOLDER + "Tea House - Rooms - kettle [700000000000001001].html"
DIRECT = FOLDER + "Direct Messages - Peep [1006] (after 2024-01-01).html"
OF_2021 = FOLDER + "kettle 2021.html"
OF_2018 = FOLDER + "2018.html"


def load(read, file: ChatFile) -> tuple[list[dict[str, Any]], Tally]:
    table, tally = read("discord_chat_exporter_html", file)
    return table.to_dicts(), tally


def files(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(file["kind"], file["name"]) for file in row["attachments"]]


def mentions(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(m["author_id"], row["text"][m["start"] : m["end"]]) for m in row["mentions"]]


class TestPagesOfToday:
    """Minified, with most attributes unquoted."""

    @pytest.fixture(scope="class")
    def rows(self, read, fixture_file) -> list[dict[str, Any]]:
        rows, tally = load(read, fixture_file(KETTLE))
        assert (tally.skipped, tally.notes, tally.unread_bytes) == ({}, [], 0)
        return rows

    def test_the_preamble_names_the_place_and_the_file_its_id(self, rows) -> None:
        places = {(r["source"], r["space"], r["channel"], r["channel_id"]) for r in rows}
        assert places == {("discord", "Tea House", "kettle", "700000000000001001")}

    def test_the_author_stands_on_the_first_message_of_a_group(self, rows) -> None:
        authors = [(r["author_id"], r["author"], r["handle"]) for r in rows]
        ada, bo = ("700000000000000031", "Ada", "ada_b"), ("700000000000000032", "Bo & Co", '"bo"')
        assert authors[:5] == [ada, ada, ada, bo, bo]

    def test_an_id_is_a_time_in_any_zone_and_language(self, rows) -> None:
        assert rows[1]["sent_at"] == datetime(2024, 3, 1, 8, 0, 5, 1000, tzinfo=UTC)
        assert rows[2]["sent_at"] == datetime(2024, 3, 1, 8, 0, 10, 2000, tzinfo=UTC)
        assert not any(r["zone_assumed"] for r in rows)
        assert [str(r["position"]) for r in rows] == [r["id"] for r in rows]

    def test_emoji_are_text_and_an_edit_is_a_mark(self, rows) -> None:
        assert rows[1]["text"] == "who wants tea? 🍵:steam:\nthe green one <3"
        assert [r["id"] for r in rows if r["edited"]] == [rows[1]["id"]]

    def test_blocks_stand_on_lines_of_their_own(self, rows) -> None:
        assert rows[2]["text"] == (
            "Today\n- sencha\n- oolong\nsee [the list](https://example.org/tea), a < b\n"
            'print("tea")\nprint()\nand a secret'
        )

    def test_a_quote_is_marked_and_the_message_answered_is_not_read(self, rows) -> None:
        assert rows[3]["text"].endswith("\n@Ada and @Peep, meet @Bo & Co @here in #kettle")
        assert all(line.startswith("> ") for line in rows[3]["text"].split("\n")[:-1])
        assert {r["id"]: r["reply_to"] for r in rows if r["reply_to"]} == {
            rows[3]["id"]: rows[1]["id"]
        }

    def test_who_wrote_on_the_page_is_known_where_mentioned(self, rows) -> None:
        assert mentions(rows[3]) == [
            ("700000000000000031", "@Ada"),
            ("700000000000000032", "@Bo & Co"),
        ]

    def test_attachments(self, rows) -> None:
        assert files(rows[4]) == [
            ("image", "Leaf.PNG"),
            ("video", "steam.mp4"),
            ("voice", "voice-message.ogg"),
            ("file", "blends (old).pdf"),
        ]
        assert files(rows[7]) == [("sticker", "Wave"), ("gif", "pour.mp4")]

    def test_kinds(self, rows) -> None:
        kinds = [(n, r["kind"], r["text"]) for n, r in enumerate(rows) if r["kind"] != "text"]
        assert kinds == [
            (0, "system", "joined the server."),
            (5, "command", "one pot of tea"),
            (8, "forward", ""),
            (9, "call", "started a call that lasted 12 minutes"),
            (10, "system", "pinned a message to this channel."),
        ]
        assert not rows[8]["attachments"]

    def test_bots(self, rows) -> None:
        bots = {(r["author"], r["handle"]) for r in rows if r["is_bot"]}
        assert bots == {("Kettle", "Kettle")}


class TestOtherPages:
    def test_times_are_read_where_ids_are_none_of_discords(self, read, fixture_file) -> None:
        rows, _ = load(read, fixture_file(DIRECT))
        assert rows[0]["sent_at"] == datetime(2024, 3, 1, 2, 30, tzinfo=UTC)
        assert not rows[0]["zone_assumed"]
        assert (rows[0]["space"], rows[0]["channel"], rows[0]["channel_id"]) == ("", "Peep", "1006")

    def test_markup_that_the_exporter_left_is_resolved(self, read, fixture_file) -> None:
        rows, _ = load(read, fixture_file(DIRECT))
        assert rows[0]["text"] == "psst, @Peep :Wave: 2023-11-14 https://example.org/tea <3"
        assert mentions(rows[0]) == [("33", "@Peep")]

    def test_2021(self, read, fixture_file) -> None:
        rows, tally = load(read, fixture_file(OF_2021))
        assert [(r["author"], r["handle"], r["text"], r["reply_to"]) for r in rows] == [
            ("Ada", "ada_b", "black\nor white?", None),
            ("Ada", "ada_b", "@bo?", None),
            ("Bo", "bo", "white", rows[0]["id"]),
        ]
        assert rows[1]["sent_at"] == datetime(2021, 2, 3, 4, 5, 36, tzinfo=UTC)
        assert mentions(rows[1]) == [("32", "@bo")]
        assert files(rows[0]) == [("image", "SPOILER_cup.jpg")]
        assert tally.notes == []

    def test_2018_has_no_ids_and_no_zone(self, read, fixture_file) -> None:
        rows, tally = load(read, fixture_file(OF_2018))
        assert [(r["author_id"], r["text"], len(r["attachments"])) for r in rows] == [
            ("Ada#1234", "tea?\nor @Bo only coffee :steam:", 0),
            ("Ada#1234", "look:\na\nb", 2),
            ("Bo#0001", "", 1),
            ("Bo#0001", "> tea?\nyes", 0),
        ]
        assert [(r["edited"], r["is_bot"]) for r in rows] == [
            (True, False),
            (False, False),
            (False, True),
            (False, True),
        ]
        assert rows[0]["sent_at"] == datetime(2019, 6, 26, 18, 26, tzinfo=UTC)
        assert rows[0]["zone_assumed"]
        assert files(rows[1]) == [("image", "Leaf.PNG"), ("file", "blends.pdf")]
        assert tally.notes == []

    @pytest.mark.parametrize(
        ("text", "kind"), [("Joined the server.", "system"), ("Joined the server", "text")]
    )
    def test_older_notices_are_known_by_their_texts(self, text, kind, read, memory_file) -> None:
        rows, _ = load(read, memory_file(page(group(message(11, text)))))
        assert rows[0]["kind"] == kind

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
    def test_a_page_that_was_saved_anew_is_the_same(
        self, encoding, read, fixture_file, memory_file
    ) -> None:
        file = fixture_file(KETTLE)
        data = file.head.decode().replace("\n", "\r\n").encode(encoding)
        same = memory_file(data, file.name)
        assert read("discord_chat_exporter_html", same)[0].equals(
            read("discord_chat_exporter_html", file)[0]
        )

    def test_other_pages_are_not_recognised(self, memory_file, read) -> None:
        file = memory_file(b"<!DOCTYPE html><html><body><div class=message>tea</div></body></html>")
        assert recognise(file) is None
        with pytest.raises(SourceError, match="it has no chat log"):
            read("discord_chat_exporter_html", file)


def group(
    *messages: str,
    author: str = "<span class=chatlog__author title=ada_b data-user-id=31>Ada</span>",
) -> str:
    """A group as the exporter writes it."""
    first, *more = messages
    return (
        f"<div class=chatlog__message-group>{first.replace('AUTHOR', author)}{''.join(more)}</div>"
    )


def message(number: int, text: str) -> str:
    return (
        f"<div class=chatlog__message-container data-message-id={number}><div "
        f"class=chatlog__message><div class=chatlog__header>AUTHOR</div>{content(text)}</div></div>"
    )


def content(text: str) -> str:
    escaped = html.escape(text)
    return (
        '<div class="chatlog__content chatlog__markdown"><span '
        f"class=chatlog__markdown-preserve>{escaped}</span></div>"
    )


def page(*groups: str, count: str | None = None) -> bytes:
    found = sum(group.count("data-message-id") for group in groups)
    return (
        "<!DOCTYPE html><html><body><div class=preamble><div class=preamble__entry>Tea House</div>"
        f"<div class=preamble__entry>kettle</div></div><div class=chatlog>{''.join(groups)}</div>"
        f"<div class=postamble><div class=postamble__entry>Exported {count or found} message(s)"
        "</div></div>"
    ).encode()


class TestDamage:
    def test_one_that_does_not_end_costs_no_other(self, read, memory_file) -> None:
        broken = message(12, "lost").replace("</span></div></div></div>", "")
        rows, tally = load(
            read, memory_file(page(group(message(11, "a"), broken, message(13, "b"))))
        )
        assert [(r["id"], r["text"]) for r in rows] == [("11", "a"), ("13", "b")]
        assert tally.skipped == {"damaged message": 1}
        assert tally.notes == []

    def test_nobodys_words_are_given_to_nobody(self, read, memory_file) -> None:
        lost = group(message(12, "whose?"), author="")
        rows, tally = load(read, memory_file(page(group(message(11, "a")), lost)))
        assert [r["id"] for r in rows] == ["11"]
        assert tally.skipped == {"damaged message": 1}
        assert "nobody is named" in tally.examples["damaged message"]

    @pytest.mark.parametrize("end", ["</span></div>", "</span>", "TEA"])
    def test_the_texts_of_two_messages_are_not_joined(self, end, read, memory_file) -> None:
        joined = message(11, "TEA").replace(end, end + content("b"), 1)
        rows, tally = load(read, memory_file(page(group(joined, message(12, "c")))))
        assert [r["text"] for r in rows] == ["c"]
        assert tally.skipped["damaged message"] >= 1

    def test_a_name_that_does_not_end_is_nobodys(self, read, memory_file) -> None:
        author = "<span class=chatlog__author-name title=ada_b data-user-id=31>Ada"
        rows, tally = load(read, memory_file(page(group(author, message(11, "a")))))
        assert rows == []
        assert tally.skipped == {"damaged message": 1}

    def test_text_outside_of_messages_is_counted(self, read, memory_file) -> None:
        rows, tally = load(read, memory_file(page(group(message(11, "a")), content("b"))))
        assert [r["text"] for r in rows] == ["a"]
        assert tally.skipped == {"damaged message": 1}

    def test_a_page_that_ends_in_the_last_message_says_so(self, read, memory_file) -> None:
        data = page(group(message(11, "a"), message(12, "b")))
        at = data.index(b"data-message-id=12")
        rows, tally = load(read, memory_file(data[: at + 150]))
        assert [r["id"] for r in rows] == ["11"]
        assert tally.notes == ["the page breaks off after 1 messages"]
        assert tally.unread_from == data.rindex(b"<div", 0, at)
        assert tally.unread_bytes == at + 150 - (tally.unread_from or 0)

    @pytest.mark.parametrize("count", ["3", "1,003", "1.003", "1\u202f003"])
    def test_a_wrong_count_is_noted(self, count: str, read, memory_file) -> None:
        _, tally = load(read, memory_file(page(group(message(11, "a")), count=count)))
        number = int(re.sub(r"\D", "", count))
        assert tally.notes == [f"the page speaks of {number:,} messages, but holds 1"]

    def test_a_page_without_messages_is_noted(self, read, memory_file) -> None:
        assert load(read, memory_file(page(count="0")))[1].notes == ["the export holds no messages"]

    def test_elements_without_end_need_no_memory(self, read, memory_file) -> None:
        deep = message(11, "a").replace("<span", "<div>" * 5000 + "<span", 1)
        rows, tally = load(read, memory_file(page(group(deep), group(message(12, "b")))))
        assert [r["id"] for r in rows] == ["12"]
        assert tally.skipped["damaged message"] >= 1


TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n")))


class TestProperties:
    @given(texts=TEXTS)
    @example(texts=["</div></div>", '<div data-message-id="7">', "&lt;b&gt;", "> a\n<3 :x: @Ada"])
    @settings(max_examples=100, suppress_health_check=list(HealthCheck))
    def test_any_text_comes_back(self, texts, read, memory_file) -> None:
        messages = [message(number, text) for number, text in enumerate(texts, 1)]
        data = page(group(*messages)) if messages else page()
        rows, tally = load(read, memory_file(data))
        assert [r["text"] for r in rows] == [text.strip() for text in texts]
        assert (tally.skipped, tally.unread_bytes) == ({}, 0)

    @given(block=st.integers(1, 3000), cut=st.floats(0, 1))
    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    def test_the_size_of_blocks_does_not_matter(
        self, block, cut, read, memory_file, fixture_file, monkeypatch
    ) -> None:
        data = fixture_file(KETTLE).head
        file = memory_file(data[: max(2000, int(cut * len(data)))], "kettle.html")
        expected, tally = read("discord_chat_exporter_html", file)
        with monkeypatch.context() as patch:
            patch.setattr(html_, "BLOCK_CHARS", block)
            table, same = read("discord_chat_exporter_html", file)
        assert table.equals(expected)
        assert same == tally


class TestReadingMessagesAtOnce:
    """One pattern reads most messages; the result is that of reading them tag by tag."""

    @pytest.mark.parametrize("seed", range(12))
    def test_damaged_or_not_a_page_gives_the_same(
        self, seed: int, fixture_file, memory_file, monkeypatch
    ) -> None:
        page = (fixture_file(KETTLE).path).read_bytes()
        tags = re.findall(rb"<[^<>]*>", page)
        rng = random.Random(seed)
        for _ in range(seed):
            at = rng.randrange(len(page))
            cut = rng.choice([0, 0, rng.randrange(60)])
            page = (
                page[:at] + rng.choice([b"", b"<", b">", b'"', rng.choice(tags)]) + page[at + cut :]
            )
        file = memory_file(page, "Tea House - Rooms - kettle [7].html")

        def messages() -> tuple[list[Any], Tally]:
            tally = Tally()
            return list(discord_chat_exporter_html._messages(file, tally)), tally

        at_once = messages()
        assert len(at_once[0]) + sum(at_once[1].skipped.values()) > 3
        monkeypatch.setattr(discord_chat_exporter_html, "INSIDE_MESSAGE", re.compile(rb"(?!)"))
        assert messages() == at_once


def test_reactions_are_counted_by_emoji_or_name(read, fixture_file, memory_file) -> None:
    data = fixture_file(KETTLE).path.read_bytes()
    sign = b"<div class=chatlog__reaction "
    own = b"title=cup><img alt=cup><span class=chatlog__reaction-count>3</span></div>"
    rows, tally = load(read, memory_file(data.replace(sign, sign + own + sign, 1), KETTLE))
    [given] = [row["reactions"] for row in rows if row["reactions"]]
    assert [(one["name"], one["count"]) for one in given] == [(":cup:", 3), ("🍵", 2)]
    assert not tally.skipped
