"""WhatsApp's export: lines, dates and words of any language, media, and notices."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myna.errors import SourceError
from myna.sources import Tally, recognise, whatsapp
from myna.sources._shared.text import UNENDED
from myna.sources._shared.whatsapp_lines import detect_date_order

FOLDER = "whatsapp/"
DAY, MONTH, YEAR = (2, 1, 0), (2, 0, 1), (0, 1, 2)


@pytest.fixture
def chat(read, memory_file):
    """The messages read from a text, by default in the form of Android."""

    def read_text(text: str, name: str = "WhatsApp Chat with Tea.txt") -> pl.DataFrame:
        table, tally = read("whatsapp", memory_file(text.encode(), name))
        table.tally = tally
        return table

    return read_text


def files(table: pl.DataFrame, row: int) -> list[tuple[str, str]]:
    return [(file["kind"], file["name"]) for file in table["attachments"][row]]


def texts(table: pl.DataFrame, **is_so: str) -> list[str]:
    return table.filter(**is_so)["text"].to_list()


class TestAndroid:
    @pytest.fixture
    def table(self, read, fixture_file) -> pl.DataFrame:
        return read("whatsapp", fixture_file(FOLDER + "WhatsApp Chat with Tea House.txt"))[0]

    def row(self, table: pl.DataFrame, clock: str, nth: int = 0) -> dict:
        rows = table.filter(pl.col("sent_at").dt.strftime("%H:%M") == clock).to_dicts()
        return rows[nth]

    def test_the_place_and_the_tally(self, table, read, fixture_file) -> None:
        _, tally = read("whatsapp", fixture_file(FOLDER + "WhatsApp Chat with Tea House.txt"))
        assert set(table.select("source", "space", "channel", "channel_id").rows()) == {
            ("whatsapp", "", "Tea House", "/Tea House")
        }
        assert table["zone_assumed"].all()
        assert table["position"].to_list() == list(range(table.height))
        assert tally.notes == ["2 times could not be read, the first: '31/02/2019, 18:41'"]
        assert (tally.me, tally.skipped) == ("Bo", {})

    def test_text_with_colons_and_several_lines(self, table) -> None:
        row = self.row(table, "18:26")
        assert row["author"] == row["author_id"] == "Peep 🐑"
        assert row["text"] == "the list: green, black\n\n  - and mint"
        assert self.row(table, "09:00")["text"] == "a <b> and 3 < 4 and :) (really)"
        assert self.row(table, "18:28")["text"] == ""

    def test_what_somebody_copied_is_text(self, table) -> None:
        assert self.row(table, "09:01")["text"] == (
            "[12/05, 10:30] Bo: somebody copied this\n[12/05/2019, 10:31] Bo: and this"
        )

    def test_numbers_are_known_by_their_figures(self, table) -> None:
        first, second = self.row(table, "18:27"), self.row(table, "18:27", 1)
        assert (first["author"], first["author_id"]) == ("+49 170 1234567", "+491701234567")
        assert (second["author"], second["author_id"]) == ("+1 (415) 555-0100", "+14155550100")
        assert second["mentions"] == [{"author_id": "+491701234567", "start": 10, "end": 23}]

    def test_media_left_out_their_captions_and_documents_names(self, table) -> None:
        table = table.filter(pl.col("text").str.len_chars() + pl.col("attachments").list.len() > 0)
        media = table.filter(author="Bo", edited=False, kind="text")
        assert [files(media, row) for row in range(5)] == [
            [("file", "")],
            [("file", "")],
            [("file", "Menu of May.pdf")],
            [("file", "location")],
            [("file", "")],
        ]
        assert [text.strip() for text in media["text"]] == ["", "the new kettle", "", "", ""]

    def test_media_by_name(self, table) -> None:
        media = table.filter(pl.col("attachments").list.len() > 0, author="Ada")
        assert [files(media, row)[0] for row in range(media.height)] == [
            ("image", "IMG-20190626-WA0001.jpg"),
            ("video", "VID-20190626-WA0002.mp4"),
            ("voice", "PTT-20190626-WA0003.opus"),
            ("voice", "AUD-20190626-WA0004."),
            ("sticker", "STK-20190626-WA0005.webp"),
            ("file", "menu.pdf"),
            ("file", "Bo.vcf"),
            ("file", "location"),
            ("file", "location"),
        ]
        said = [text.strip() for text in media["text"] if text]
        assert said == ["that is a kettle?", "Tea House\nKettle Street"]

    def test_edited_and_deleted(self, table) -> None:
        assert texts(table, edited=True) == ["that was quick", "two lines\nand an edit"]
        assert table.filter(kind="deleted").select("author", "text").rows() == [
            ("Ada", ""),
            ("Bo", ""),
        ]

    def test_a_polls_question_and_answers(self, table) -> None:
        assert self.row(table, "18:37")["text"].strip() == "Which tea?\nGreen: the good one\nBlack"

    def test_notices_have_no_author_and_may_hold_a_colon(self, table) -> None:
        notices = table.filter(kind="system")
        assert set(notices["author_id"]) == {""}
        assert notices["text"].to_list()[1:] == [
            'Ada created group "Tea House"',
            "You were added",
            'Bo changed the subject from "Tea House" to "Tea: House"',
            "Bo left",
        ]
        assert texts(table, kind="call") == [""]

    def test_lines_out_of_order_and_times_that_cannot_be(self, table) -> None:
        late = table.filter(text="came late")
        assert late["sent_at"][0] == datetime(2019, 6, 26, 18, 37, tzinfo=UTC)
        assert table.filter(pl.col("sent_at").is_null())["text"].to_list() == [
            "no such day",
            "no such hour",
        ]


class TestIos:
    @pytest.fixture
    def table(self, read, fixture_file) -> pl.DataFrame:
        return read("whatsapp", fixture_file(FOLDER + "WhatsApp Chat - Peep/_chat.txt"))[0]

    def test_months_come_first_and_halves_of_the_day(self, table) -> None:
        assert table["sent_at"][1] == datetime(2024, 1, 2, 22, 15, 31, tzinfo=UTC)
        assert table.filter(edited=True)["sent_at"][0] == datetime(2024, 1, 12, 0, 5, tzinfo=UTC)
        assert set(table["channel"]) == {"Peep"}

    def test_media(self, table) -> None:
        media = table.filter(pl.col("attachments").list.len() > 0)
        assert [files(media, row)[0] for row in range(media.height)] == [
            ("image", ""),
            ("video", ""),
            ("voice", ""),
            ("sticker", ""),
            ("gif", ""),
            ("file", "Menu.pdf"),
            ("file", "contact"),
            ("image", "00000010-PHOTO-2024-01-02-22-15-39.jpg"),
            ("video", "00000011-VIDEO-2024-01-02-22-15-40.mp4"),
            ("voice", "00000012-AUDIO-2024-01-02-22-15-41.opus"),
            ("sticker", "00000013-STICKER-2024-01-02-22-15-42.webp"),
            ("gif", "00000014-GIF-2024-01-02-22-15-43.mp4"),
            ("file", "00000015-Menu.pdf"),
            ("file", "location"),
            ("file", "location"),
            ("file", ""),
        ]
        assert [text for text in media["text"] if text] == [
            "look at this",
            "a caption",
            "Tea House (Kettle Street)",
        ]

    def test_notices_in_somebodys_name_are_nobodys(self, table) -> None:
        assert table.filter(kind="system").select("author", "text").rows() == [
            (
                "",
                "Messages and calls are end-to-end encrypted. Only people in this chat can read, "
                "listen to, or share them.",
            ),
            ("", "Peep changed their phone number. Tap to message the new number."),
        ]
        assert table.filter(kind="call")["author"].to_list() == ["Peep", "Ada"]

    def test_mentions_and_names_that_people_chose(self, table) -> None:
        row = table.filter(pl.col("mentions").list.len() > 0).to_dicts()[0]
        assert row["text"] == "@Peep and @Bo, come"
        assert row["mentions"] == [
            {"author_id": "Peep", "start": 0, "end": 5},
            {"author_id": "~Bo", "start": 10, "end": 13},
        ]
        assert table.filter(author="Bo")["author_id"].to_list() == ["~Bo"]

    def test_a_poll_an_edit_and_deleted_messages(self, table) -> None:
        assert "\nWhich tea?\nGreen\nBlack" in table["text"].to_list()
        assert texts(table, edited=True) == ["later it is"]
        assert table.filter(kind="deleted")["author"].to_list() == ["Peep", "Ada"]


LANGUAGES = [
    ("WhatsApp-Chat mit Ada.txt", "Ada", (2024, 5, 13, 9, 5), 9),
    ("Chat de WhatsApp con Ada.txt", "Ada", (2024, 6, 25, 23, 3), 5),
    ("Discussion WhatsApp avec Ada.txt", "Ada", (2018, 2, 21, 9, 56), 3),
    ("WhatsApp-keskustelu Ada.txt", "WhatsApp-keskustelu Ada", (2018, 6, 13, 9, 5), 2),
    ("Chat WhatsApp s Adou.txt", "Chat WhatsApp s Adou", (2018, 6, 13, 9, 5), 2),
    ("与Ada的WhatsApp聊天.txt", "Ada", (2018, 5, 13, 9, 5), 3),
    ("AdaとのWhatsAppチャット.txt", "Ada", (2018, 5, 3, 9, 5), 2),
    ("WhatsApp Chat - 차/_chat.txt", "차", (2018, 5, 13, 9, 5, 10), 2),
    ("WhatsApp Chat - شاي/_chat.txt", "شاي", (2018, 12, 25, 22, 15, 30), 2),
    ("محادثة واتساب مع آدا.txt", "آدا", (2018, 12, 25, 22, 15), 2),
    ("Cuộc trò chuyện WhatsApp với Ada.txt", "Ada", (2018, 12, 25, 22, 15), 2),
    ("WhatsApp-chatt med Ada.txt", "Ada", (2018, 5, 3, 9, 5), 2),
    ("WhatsApp Chat - Bo/_chat.txt", "Bo", (2018, 5, 3, 9, 5, 10), 2),
    ("WhatsApp Chat - Thai/_chat.txt", "Thai", (2022, 3, 18, 9, 5, 10), 2),
    ("WhatsApp Chat - Era/_chat.txt", "Era", (2022, 3, 18, 9, 5, 10), 2),
    ("WhatsApp Chat with Bo (1).txt", "Bo", (2020, 3, 4, 22, 15), 3),
    ("oldest.txt", "oldest", (2015, 12, 31, 23, 59, 1), 3),
]


@pytest.mark.parametrize(("name", "channel", "first", "count"), LANGUAGES)
def test_other_languages_and_times(name, channel, first, count, read, fixture_file) -> None:
    table, tally = read("whatsapp", fixture_file(FOLDER + name))
    assert table["channel"][0] == channel
    assert table["sent_at"][0] == datetime(*first, tzinfo=UTC)
    assert table.height == count
    assert tally.skipped == {}
    assert tally.notes == []
    # Whatever is not the app's is what somebody typed: nothing of the app's is left in it.
    said = table.filter(pl.col("text") != "", kind="text")
    assert said["text"].str.contains("[<>()]").sum() == 0


def test_german_words(read, fixture_file) -> None:
    table, tally = read("whatsapp", fixture_file(FOLDER + "WhatsApp-Chat mit Ada.txt"))
    assert table["kind"].to_list() == [
        "system", "text", "text", "text", "text", "deleted", "deleted", "text", "call",
    ]  # fmt: skip
    assert table["text"].to_list()[7].strip() == "Welcher Tee?\nGrün"
    assert files(table, 3) == [("image", "kanne.jpg")]
    assert tally.me == "Bo"


@pytest.mark.parametrize(
    ("time", "clock"),
    [
        ("12:05 AM", "00:05"),
        ("12:05\u202fPM", "12:05"),
        ("9.05 p.\u00a0m.", "21:05"),
        ("klo 9.05", "09:05"),
        ("kl. 21.05", "21:05"),
        ("um 9:05", "09:05"),
        ("下午9:05", "21:05"),
        ("오전 12:05", "00:05"),
        ("9:05 μ.μ.", "21:05"),
        ("9:05 अपराह्न", "21:05"),
        ("९:०५", "09:05"),
        ("14:05 PM", "14:05"),
    ],
)
def test_times_of_day(time: str, clock: str, chat) -> None:
    table = chat(f"13/5/2020, {time} - Ada: tea\n")
    assert table["sent_at"].dt.strftime("%H:%M").to_list() == [clock]


def test_a_word_that_no_language_has_beside_a_time_makes_it_text(chat) -> None:
    table = chat("13/5/20, 9:05 - Ada: tea\n13/5/20, 9:05 sharp - Bo: no\n")
    assert table["text"].to_list() == ["tea\n13/5/20, 9:05 sharp - Bo: no"]


class TestTheOrderOfADatesFields:
    @pytest.mark.parametrize(
        ("dates", "order"),
        [
            (["13/5/2020"], DAY),
            (["5/13/2020"], MONTH),
            (["2020/5/13"], YEAR),
            (["1/2/2020", "1/3/2020", "1/13/2020"], MONTH),
            (["3/4/2020", "4/4/2020", "5/4/2020"], DAY),
            (["4/3/2020", "4/4/2020", "4/5/2020"], MONTH),
            (["30/4/2020", "1/5/2020"], DAY),
            (["11/12/20", "12/12/20", "1/1/21", "2/1/21"], DAY),
            (["12/11/20", "12/12/20", "1/1/21", "1/2/21"], MONTH),
            (["18. 12. 25.", "18. 12. 26.", "19. 1. 2."], YEAR),
        ],
    )
    def test_is_clear_from_its_numbers_or_their_sequence(self, dates, order) -> None:
        assert detect_date_order(dates)[:2] == (order, True)

    def test_one_that_could_be_either_is_the_day_first_but_in_american_dress(self) -> None:
        assert detect_date_order(["03.04.2020"])[:2] == (DAY, False)
        assert detect_date_order(["3/4/20"])[:2] == (MONTH, False)

    def test_is_noted_where_it_stays_uncertain(self, chat) -> None:
        table = chat("03/04/2020, 9:05 - Ada: tea\n")
        assert table.tally.notes == ["dates such as 03/04/2020 were read with the day first"]
        assert table["sent_at"][0] == datetime(2020, 4, 3, 9, 5, tzinfo=UTC)

    def test_is_found_in_the_whole_file(self, chat, monkeypatch) -> None:
        monkeypatch.setattr("myna.sources._shared.text.BLOCK_CHARS", 50)
        lines = [f"1/{day}/2020, 9:05 - Ada: tea" for day in range(1, 14)]
        table = chat("".join(f"{line}\n" for line in lines))
        assert table["sent_at"].dt.day().to_list() == list(range(1, 14))


def test_blocks_do_not_matter(read, fixture_file, monkeypatch) -> None:
    file = fixture_file(FOLDER + "WhatsApp Chat with Tea House.txt")
    expected, _ = read("whatsapp", file)
    for size in (1, 40, 333):
        monkeypatch.setattr("myna.sources._shared.text.BLOCK_CHARS", size)
        found, _ = read("whatsapp", file)
        assert found.equals(expected)


def test_ids_stay_when_the_chat_grows_and_differ_for_equal_messages(chat) -> None:
    lines = ["13/5/20, 9:05 - Ada: tea", "13/5/20, 9:05 - Ada: tea", "13/5/20, 9:06 - Bo: yes"]
    before = chat("".join(f"{line}\n" for line in lines))
    after = chat("".join(f"{line}\n" for line in [*lines, lines[0], "14/5/20, 9:06 - Bo: no"]))
    assert before["id"].n_unique() == 3
    assert after["id"].n_unique() == 5
    assert after["id"].to_list()[:3] == before["id"].to_list()


class TestALastLineWithoutAnEnd:
    LINES = "13/5/20, 9:05 - Ada: tea\n13/5/20, 9:06 - Bo: two\nlines\n"

    @pytest.mark.parametrize(
        ("last", "texts"),
        [
            ("13/5/20, 9:07 - Ada: an end", ["tea", "two\nlines", "an end"]),
            ("13/5/20, 9:07 - Ada: I <3 it", ["tea", "two\nlines", "I <3 it"]),
            ("and a third", ["tea", "two\nlines\nand a third"]),
            ("13/5/20, 9:07 - Ada left", ["tea", "two\nlines", "Ada left"]),
            ("13/5/20, 9:07 - Ada: 12:30", ["tea", "two\nlines", "12:30"]),
        ],
    )
    def test_is_read_if_it_is_whole_by_its_form(self, last: str, texts: list[str], chat) -> None:
        for end in ("\n", "\r\n"):
            table = chat((self.LINES + last).replace("\n", end))
            assert table["text"].to_list() == texts
            assert table.tally.unread_bytes == 0
            assert UNENDED in table.tally.notes

    @pytest.mark.parametrize(
        "last",
        [
            *("1", "13/5/2", "13/5/20, 9:0", "13/5/20, 9:07 -", "13/5/20, 9:07 - A"),
            *("13/5/20, 9:07 - Bo", "13/5/20, 9:07 - Bo: ", "13/5/20, 9:07 - Bo: <Media om"),
            *("13/5/20, 9:07 - Bo: yes <This m", "13/5/20, 9:07 - Bo: IMG-2020"),
            "13/5/20, 9:07 - Bo: IMG-20200513-WA0001.jpg (file att",
        ],
    )
    def test_is_left_out_if_it_is_torn(self, last: str, chat) -> None:
        table = chat(self.LINES + last)
        assert table["text"].to_list() == ["tea", "two\nlines"]
        assert table.tally.unread_bytes == len(last)

    def test_is_left_out_if_it_is_torn_within_a_character(self, memory_file) -> None:
        tally = Tally()
        data = (self.LINES + "13/5/20, 9:07 - Bo: ça 🍵").encode()[:-1]
        list(whatsapp.read(memory_file(data, "WhatsApp Chat with Bo.txt"), tally))
        assert tally.read == 2
        assert tally.unread_bytes > 20


def test_lines_before_the_first_message_are_counted(chat) -> None:
    table = chat("its end\n\n13/5/20, 9:05 - Ada: tea\n")
    assert table["text"].to_list() == ["tea"]
    assert table.tally.skipped == {"line outside any message": 1}
    assert table.tally.examples == {"line outside any message": "line 1: its end"}


def test_a_message_without_end_is_given_up(chat, monkeypatch) -> None:
    monkeypatch.setattr("myna.sources._shared.text.BLOCK_CHARS", 100)
    monkeypatch.setattr(whatsapp, "MAX_MESSAGE_CHARS", 300)
    long = "13/5/20, 9:05 - Ada: tea\n" + "more of it\n" * 60
    table = chat(long + "13/5/20, 9:06 - Bo: yes\n")
    assert table["text"].to_list() == ["yes"]
    assert table.tally.skipped["message too long"] == 1
    assert table.tally.skipped["line outside any message"] > 10


@pytest.mark.parametrize("text", ["", "tea\n", "2020-05-13 09:05:00,123 - INFO: x\n"])
def test_what_is_no_chat_is_an_error(text: str, memory_file) -> None:
    with pytest.raises(SourceError, match=r"notes\.txt is no WhatsApp chat: .*export"):
        list(whatsapp.read(memory_file(text.encode(), "notes.txt"), Tally()))


class TestTheChatsName:
    LINE = "[13/05/20, 09:05:01] Tea: \u200eMessages and calls are end-to-end encrypted.\n"

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("WhatsApp Chat with Tea.txt", "Tea"),
            ("WhatsApp Chat with Tea (1).txt", "Tea"),
            ("WhatsApp Chat - Tea/_chat.txt", "Tea"),
            ("WhatsApp Chat - Tea (2)/_chat.txt", "Tea"),
            ("Downloads/_chat.txt", "Tea"),
            ("Downloads/_chat (3).txt", "Tea"),
            ("Downloads/our chat.txt", "our chat"),
            ("Conversa do WhatsApp com Tea.txt", "Tea"),
            ("Чат WhatsApp с контактом Tea.txt", "Tea"),
        ],
    )
    def test_is_that_of_the_file_the_folder_or_a_notice(self, path, name, chat) -> None:
        assert chat(self.LINE, path)["channel"].to_list() == [name]

    def test_is_the_folders_where_nothing_says_it(self, chat) -> None:
        line = "[13/05/20, 09:05:01] Ada: tea\n"
        assert chat(line, "Downloads/_chat.txt")["channel"].to_list() == ["Downloads"]


class TestWhoseExportItIs:
    def test_is_whoever_the_chat_of_two_is_not_named_after(self, chat) -> None:
        lines = "13/5/20, 9:05 - Ada: tea\n13/5/20, 9:06 - Bo: yes\n"
        assert chat(lines, "WhatsApp Chat with Ada.txt").tally.me == "Bo"
        assert chat(lines, "WhatsApp Chat with Tea.txt").tally.me is None

    def test_is_whoever_is_told_that_they_deleted_something(self, chat) -> None:
        lines = "13/5/20, 9:05 - Ada: tea\n13/5/20, 9:06 - Bo: You deleted this message\n"
        assert chat(lines, "WhatsApp Chat with Tea.txt").tally.me == "Bo"


@pytest.mark.parametrize(
    ("path", "text", "least", "most"),
    [
        ("WhatsApp Chat with Ada.txt", "13/5/20, 9:05 - Ada: tea\n", 0.95, 1),
        ("_chat.txt", "[2020-05-13 09:05:01] Ada: tea\n", 0.95, 1),
        ("chat.txt", "13/5/20, 9:05 - Ada: tea\n", 0.85, 0.95),
        ("chat.txt", "[13/5/20, 9:05:01] Ada: tea\n", 0.75, 0.9),
        ("chat.txt", "its end\n" + "13/5/20, 9:05 - Ada: tea\n" * 3, 0.4, 0.6),
    ],
)
def test_is_recognised(path, text, least, most, memory_file) -> None:
    found = recognise(memory_file(text.encode(), path))
    assert found is not None
    assert found.source == "whatsapp"
    assert least <= found.confidence <= most


@pytest.mark.parametrize(
    "text",
    [
        "[2020-05-13 09:05:01] Ada: tea\n",
        "2020-05-13 09:05:01: INFO: started\n",
        "2020-05-13 09:05:01,123 - root - INFO: started\n",
        "2025년 10월 10일 오전 10:09, Ada : tea\n",
        "[13-May-20 09:05 AM] Ada#0042\ntea\n",
        "May 13, 2020  9:05:01 AM\nAda\ntea\n",
        "tea at 13/5/20, 9:05 - with Ada: yes\n",
    ],
)
def test_other_logs_are_not_claimed(text: str, memory_file) -> None:
    assert whatsapp.recognise(memory_file(text.encode(), "log.txt")) is None


# What people type; a line of it does not look like the app's own.
said = st.text(st.sampled_from("aé🐑: \n()@,.-1/"), max_size=40)


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(["Ada", "Bo: ", "Peep 🐑"]), said), min_size=1))
def test_what_people_say_survives(read, memory_file, sent: list[tuple[str, str]]) -> None:
    lines = [
        f"13/05/2020, 09:{row % 60:02} - {author.strip(': ')}: {text}\n"
        for row, (author, text) in enumerate(sent)
    ]
    file = memory_file("".join(lines).encode(), "WhatsApp Chat with Tea.txt")
    table, tally = read("whatsapp", file)
    assert table["text"].to_list() == [text for _, text in sent]
    assert table["author"].to_list() == [author.strip(": ") for author, _ in sent]
    assert tally.skipped == {}
