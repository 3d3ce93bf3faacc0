"""Encodings, with and without their marks."""

from __future__ import annotations

import json
import re

import pytest

from myna.errors import SourceError
from myna.sources import Tally, recognise
from myna.sources._shared.text import UNENDED, begins_head, read_lines

TEXT = "author,text\nada,käse – “tea” € 🧀\n"


@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode(name: str, read, memory_file) -> None:
    file = memory_file(TEXT.encode(name))
    assert recognise(file) is not None
    assert read("csv_table", file)[0]["text"].to_list() == ["käse – “tea” € 🧀"]
    line = json.dumps({"author": "ada", "text": "käse 🧀"}, ensure_ascii=False)
    file = memory_file((line + "\n").encode(name))
    assert recognise(file) is not None
    assert read("json_lines", file)[0]["text"].to_list() == ["käse 🧀"]


def test_windows_1252_wherever_it_begins(read, memory_file) -> None:
    text = TEXT.replace(" 🧀", "")
    late = "author,text\n" + "bo,tea\n" * 20_000
    for data in (text.encode("cp1252"), late.encode() + "ada,käse – “tea” €\n".encode("cp1252")):
        table, _ = read("csv_table", memory_file(data))
        assert table["text"][-1] == "käse – “tea” €"


def test_a_mark_in_the_midst_is_no_text(read, memory_file) -> None:
    part = "\ufeffauthor,text\nada,tea\n".encode()
    table, tally = read("csv_table", memory_file(part + part))
    assert table["author"].to_list() == ["ada", "ada"]
    assert tally.skipped == {"repeated first row": 1}


def test_a_last_line_without_an_end_is_read_as_the_reader_judges_it(memory_file) -> None:
    file = memory_file(b"tea\r\nwith milk.")
    both = [(1, "tea"), (2, "with milk.")]
    for verdict, lines, unread, notes in (
        (None, both, 0, [UNENDED]), (True, both, 0, []), (False, both[:1], 10, 1),
    ):  # fmt: skip
        tally = Tally()
        assert list(read_lines(file, tally, lambda _, verdict=verdict: verdict)) == lines
        assert (tally.unread_bytes, tally.bytes_done) == (unread, file.size)
        assert tally.notes == notes if verdict is not False else len(tally.notes) == notes


def test_a_last_line_that_ends_within_a_character_is_torn(memory_file) -> None:
    for end in ("ä".encode()[:1], "茶".encode()[:2], "🍵".encode()[:3]):
        tally = Tally()
        assert list(read_lines(memory_file(b"tea\nwith " + end), tally)) == [(1, "tea")]
        assert tally.unread_bytes


@pytest.mark.parametrize(
    ("line", "torn"),
    [("[1", True), ("[12:0", True), ("[12:01] a", False), ("12", False), ("[12x", False)],
)
def test_the_beginning_of_a_first_line_is_known(line: str, torn: bool) -> None:
    assert begins_head(line, ["[12:01] a"], re.compile(r"\[\d\d:\d\d\] \w").match) == torn


CHATS = {
    "gb18030": ["我们今天去哪里吃饭？", "我觉得那家新开的面馆不错", "好的，晚上七点见"],
    "big5": ["我們今天去哪裡吃飯？", "我覺得那家新開的麵館不錯", "好的，晚上七點見"],
    "cp932": ["今日はどこで食べますか？", "新しいラーメン屋がいい", "じゃあ七時に駅で"],
    "euc_jp": ["今日はどこで食べますか？", "新しいラーメン屋がいい", "じゃあ七時に駅で"],
    "cp949": ["오늘 어디서 먹을까?", "새로 생긴 국수집이 괜찮은 것 같아", "일곱 시에 보자"],
    "koi8_r": ["Где мы сегодня ужинаем?", "Мне нравится новая лапшичная", "Хорошо, в семь"],
    "cp1251": ["Де ми сьогодні вечеряємо?", "Мені подобається їхня нова їдальня", "О сьомій"],
    "cp1250": ["Gdzie dziś jemy kolację?", "Podoba mi się ta nowa knajpa", "będę później"],
    "cp1252": ["Où mange-t-on ce soir ?", "J’aime bien le café à côté", "près de la forêt"],
    "cp1253": ["Πού θα φάμε απόψε;", "Μου αρέσει το καινούργιο μαγαζί", "Εντάξει, στις επτά"],
    "cp1254": ["Bu akşam nerede yiyoruz?", "Yeni açılan şu lokantayı beğendim", "çok güzel"],
    "cp1255": ["איפה אנחנו אוכלים הערב?", "אני אוהב את המקום החדש", "בסדר, בשבע"],
    "cp1256": ["أين نأكل هذا المساء؟", "أحب المطعم الجديد القريب من البيت", "حسنا في السابعة"],
    "cp1257": ["Kur šiandien valgome?", "Man patinka ta vieta šalia mūsų namų", "Gerai, ačiū"],
    "cp874": ["วันนี้เราจะกินข้าวที่ไหนกันดี", "ฉันชอบร้านใหม่ตรงนั้น", "โอเค เจอกัน"],
}


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_are_known_by_content_and_told(name: str, end: str, read, memory_file) -> None:
    rows = "".join(f"14/02/24, 09:0{i} - Ada: {said}{end}" for i, said in enumerate(CHATS[name]))
    file = memory_file(rows.encode(name), "WhatsApp Chat with Ada.txt")
    assert recognise(file).source == "whatsapp"
    assert read("whatsapp", file)[0]["text"].to_list() == CHATS[name]
    assert "not in UTF-8" in file.notes[0]
    table = "author;text" + end + "".join(f"ada;{said}{end}" for said in CHATS[name])
    file = memory_file(table.encode(name), "a.csv")
    assert recognise(file).source == "csv_table"
    assert read("csv_table", file)[0]["text"].str.slice(0, 5).to_list() == [
        said[:5] for said in CHATS[name]
    ]


@pytest.mark.parametrize("data", ["שלום".encode("cp1255") * 2, "你好好的".encode("gb18030")])
def test_what_is_unclear_is_refused(data: bytes, memory_file) -> None:
    file = memory_file(b"author,text\nada," + data + b"\n", "a.csv")
    with pytest.raises(SourceError, match="its encoding is unclear: save it as UTF-8"):
        list(read_lines(file, Tally()))


def test_a_damaged_byte_is_no_encoding(read, memory_file) -> None:
    file = memory_file("author,text\nada,té\nbo,ok ".encode() + b"\xe9\n", "a.csv")
    assert read("csv_table", file)[0]["text"].to_list() == ["té", "ok é"]
    assert file.notes == ["a line has bytes that are no UTF-8, read as Windows-1252"]
