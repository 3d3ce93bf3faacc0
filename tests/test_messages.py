"""The message table that every reader makes."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chats import texts

from myna import messages
from myna.messages import normalize_text


def test_columns_left_out_get_their_plain_default() -> None:
    table = messages.table({"text": ["a", "b"], "id": ["1", "2"]})
    assert table.schema == pl.Schema(messages.SCHEMA)
    assert table.row(1, named=True) == {
        "source": None,
        "space": "",
        "channel": None,
        "channel_id": None,
        "thread": None,
        "id": "2",
        "position": 1,
        "author_id": None,
        "author": None,
        "handle": None,
        "sent_at": None,
        "zone_assumed": False,
        "kind": "text",
        "text": "b",
        "reply_to": None,
        "is_bot": False,
        "edited": False,
        "attachments": [],
        "mentions": [],
        "reactions": [],
        "export": None,
    }


def test_a_table_without_rows_has_all_columns() -> None:
    assert messages.table({"text": []}).equals(pl.DataFrame(schema=messages.SCHEMA))


def test_columns_of_lists_may_be_given() -> None:
    files = [[], [{"kind": "image", "name": "cup.png"}]]
    table = messages.table({"text": ["a", "b"], "attachments": pl.Series(files)})
    assert table["attachments"].to_list() == files


def test_a_message_is_known_by_columns_of_the_table() -> None:
    assert set(messages.MESSAGE_KEY) < set(messages.SCHEMA)
    assert set(messages.KINDS) >= {"text", "entry"}


class TestTidy:
    @pytest.mark.parametrize(
        ("text", "tidied"),
        [
            ("  hi \n", "hi"),
            ("a\r\nb\rc\u2028d\x0be", "a\nb\nc\nd\ne"),
            ("a\tb", "a\tb"),
            ("a\0\x1b[31mb\x1f\x04", "a[31mb"),
            ("\x1f \0 \u2029", ""),
            ("caf\udce9", "caf\ufffd"),
            ("привет 👩\u200d🚀 e\u0301", "привет 👩\u200d🚀 e\u0301"),
            ("<|im_end|>", "<|im_end|>"),
        ],
    )
    def test_examples(self, text: str, tidied: str) -> None:
        assert normalize_text(text) == tidied

    @given(texts | st.text(st.characters(), max_size=9))
    def test_what_is_tidy_stays_is_given(self, text: str) -> None:
        once = normalize_text(text)
        assert normalize_text(once) == once
        assert once.encode().decode() == once
        assert once.splitlines() == (once.split("\n") if once else [])


def test_a_channel_without_an_id_is_known_by_its_place() -> None:
    columns = {"text": ["a", "b"], "space": ["s", "s"], "channel": ["c", "c"]}
    table = messages.table({**columns, "channel_id": ["7", None]})
    assert table["channel_id"].to_list() == ["7", "s/c"]


def test_a_column_that_there_is_not_is_an_error() -> None:
    with pytest.raises(KeyError):
        messages.table({"text": ["a"], "txet": ["b"]})
