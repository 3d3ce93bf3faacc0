"""WeChat chats of the known exporters."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from myna.errors import SourceError
from myna.sources import ChatFile, load_source


def test_a_table_of_pywxdump(read, fixture_file) -> None:
    table, tally = read("wechat", fixture_file("wechat/wxid_bo_0_9.csv"))
    assert table.select("author_id", "kind", "text").rows() == [
        ("wxid_bo", "text", "喝茶吗"),
        ("wxid_ada", "text", "好,\n两点"),
        ("wxid_bo", "text", ""),
        ("wxid_ada", "text", ""),
        ("wxid_bo", "text", ""),
        ("wxid_ada", "text", "真的"),
        ("wxid_ada", "system", "你们已是好友"),
        ("wxid_bo", "deleted", ""),
        ("wxid_bo", "call", "通话时长 03:20"),
    ]
    files = [tuple(f.values()) for files in table["attachments"] for f in files]
    assert files == [("image", "a.jpg"), ("sticker", ""), ("voice", "b.mp3")]
    assert table["id"][0] == "7001"
    assert table["sent_at"][0] == datetime(2024, 5, 1, 9, tzinfo=UTC)
    assert table["zone_assumed"].all()
    assert tally.me == "wxid_ada"


def test_tables_of_memotrace(read, fixture_file) -> None:
    table, tally = read("wechat", fixture_file("wechat/messages.csv"))
    assert table.select("channel_id", "author", "kind", "text").rows() == [
        ("217", "Bo", "text", "喝茶吗"),
        ("217", "Ada", "text", "好"),
        ("217", "Bo", "text", ""),
        ("217", "Bo", "forward", ""),
        ("218", "茶报", "text", "今日茶讯"),
    ]
    assert table["is_bot"].to_list() == [False, False, False, False, True]
    assert table["sent_at"][0] == datetime(2024, 5, 1, 9, tzinfo=UTC)
    assert not table["zone_assumed"].any()
    assert tally.me == "wxid_ada"
    newer, tally = read("wechat", fixture_file("wechat/memo.csv"))
    assert newer["author"].to_list() == ["小波", "我", "小波"]
    assert tally.me == "我"


def test_weflow_has_a_session(read, fixture_file) -> None:
    table, tally = read("wechat", fixture_file("wechat/weflow.json"))
    assert table.select("channel", "channel_id").row(0) == ("茶馆", "123@chatroom")
    assert table.select("author", "kind", "text").rows() == [
        ("Bo", "text", "喝茶吗"),
        ("Ada", "text", "好"),
        ("Bo", "text", ""),
        ("", "system", "Bo邀请Peep加入了群聊"),
    ]
    assert tally.me == "wxid_ada"


def test_a_list_and_a_table_of_chatlog(read, fixture_file) -> None:
    table, tally = read("wechat", fixture_file("wechat/chatlog.json"))
    assert table["sent_at"][0] == datetime(2024, 5, 1, 1, tzinfo=UTC)
    assert table["channel_id"].to_list() == ["wxid_bo"] * 3
    assert tally.me == "wxid_ada"
    rows, _ = read("wechat", fixture_file("wechat/chatlog.csv"))
    assert rows.select("channel", "channel_id").row(0) == ("Tea House", "123@chatroom")


def test_the_case_of_a_table_with_few_columns(read, memory_file) -> None:
    data = "\ufefflocalId,NickName,Sender,Type,msg,CreateTime\n1,Bo,wxid_bo,1,在吗,1735783200\n"
    file = memory_file(data.encode(), "weflow.csv")
    assert load_source("wechat").recognise(file) is not None
    table, _ = read("wechat", file)
    assert table.select("author", "author_id", "text", "sent_at").row(0) == (
        *("Bo", "wxid_bo", "在吗", datetime(2025, 1, 2, 2, tzinfo=UTC)),
    )


@pytest.mark.parametrize(
    ("type_", "subtype", "kind", "files"),
    [
        ("1", "0", "text", []),
        ("34", "0", "text", ["voice"]),
        ("47", "0", "text", ["sticker"]),
        ("49", "57", "text", []),
        ("49", "5", "forward", []),
        ("244813135921", "", "text", []),  # 57 · 2³² + 49
        ("10000", "0", "system", []),
        ("文本消息", "", "text", []),
        ("视频号直播卡片", "", "forward", []),
        ("红包卡片", "", "system", []),
        ("picture", "", "text", ["image"]),
        ("未知类型(77)", "", "system", []),
    ],
)
def test_types(type_: str, subtype: str, kind: str, files: list, read, memory_file) -> None:
    row = {"localId": 1, "CreateTime": 1714554000, "StrContent": "a", "IsSender": 0}
    row |= {"Type": type_, "SubType": subtype, "Sender": "wxid_bo"}
    table, _ = read("wechat", memory_file(json.dumps([row]).encode(), "a.json"))
    assert table["kind"][0] == kind
    assert [file["kind"] for file in table["attachments"][0]] == files


def test_a_text_of_a_group_may_begin_with_its_sender(read, memory_file) -> None:
    row = {"localId": 1, "CreateTime": 1714554000, "StrContent": "wxid_peep:\ntea?", "Type": 1}
    row |= {"IsSender": 0, "TalkerId": 3}
    table, _ = read("wechat", memory_file(json.dumps([row]).encode(), "a.json"))
    assert table.select("author_id", "text").row(0) == ("wxid_peep", "tea?")


def test_other_files_are_an_error(read, memory_file) -> None:
    for data in (b'{"tea": []}', b'[{"a": 1}]', b"a,b\n1,2\n"):
        file: ChatFile = memory_file(data, "tea.json")
        assert load_source("wechat").recognise(file) is None
    with pytest.raises(SourceError, match=r"tea\.json is no export of WeChat"):
        read("wechat", memory_file(b'{"tea": []}', "tea.json"))
