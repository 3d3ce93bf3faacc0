"""Cutting a document without understanding it."""

from __future__ import annotations

import json
import re
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.sources._shared import json_stream
from myna.sources._shared.json_stream import ListPattern, pieces, scan

SHAPE = ListPattern(
    key=b"list",
    boundary=re.compile(rb',\s*(?=\{\s*"id"\s*:\s*[0-9]+\s*,\s*"item"\s*:)'),
    ending=re.compile(rb'\]\s*,\s*"end"\s*:\s*true\s*\}\s*\Z'),
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def objects(data: bytes) -> list[Any]:
    value: list[Any] = json.loads(b"[" + data + b"]")
    return value


@given(
    items=st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=6),
    indent=st.sampled_from([None, 0, 1, "\t"]),
    ascii_only=st.booleans(),
)
@settings(max_examples=200)
def test_scan_finds_each_object_and_the_end(
    items: list[Any], indent: int | str | None, ascii_only: bool
) -> None:
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_only)
    data = text.encode("utf-8", "replace")[1:]
    result = scan(data + b" trailing")
    assert result.reason == "closed"
    assert result.stopped == len(data) - 1
    assert [json.loads(data[begin:end]) for begin, end in result.items] == json.loads(b"[" + data)


@given(
    items=st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=3), cut=st.floats(0, 1)
)
@settings(max_examples=200)
def test_scan_of_what_breaks_off_is_short_and_never_damaged(items: list[Any], cut: float) -> None:
    data = json.dumps(items, ensure_ascii=False).encode("utf-8", "replace")[1:-1]
    data = data[: int(cut * len(data))]
    result = scan(data)
    assert result.reason == "short"
    assert [json.loads(data[b:e]) for b, e in result.items] == items[: len(result.items)]


@pytest.mark.parametrize(
    "data",
    [
        b"{]",
        b"{}}",
        b'{"a": "b\nc"}',
        b'{"a" "b"x}',
        b'{"a": "no end, "id": 1}',
        b"{'a': 1}",
        b"\xff",
    ],
)
def test_scan_stops_at_what_is_no_json(data: bytes) -> None:
    assert scan(data).reason == "damaged"


@pytest.mark.parametrize("chunk", [1, 2, 3, 10, 50, 1000])
@pytest.mark.parametrize("known", [True, False])
def test_pieces_add_up_to_the_document(
    chunk: int, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", chunk)
    order = ("id", "item") if known else ("item", "id")
    items = [{key: i if key == "id" else {"id": i, "x": ']}"{'} for key in order} for i in range(9)]
    data = json.dumps({"before": {"a": [1]}, "list": items, "end": True}).encode()
    result = list(pieces(BytesIO(data), SHAPE))
    assert [p.kind for p in result if p.kind != "items"] == ["head", "tail"]
    read = [item for p in result if p.kind == "items" for item in objects(p.data)]
    assert read == items
    assert all(data[p.start : p.end] == p.data for p in result)
    between = [data[a.end : b.start] for a, b in pairwise(result)]
    assert set(between) <= {b"", b", ", b"]"}


def test_without_the_list_all_is_lost() -> None:
    data = b'{"other": []}'
    assert list(pieces(BytesIO(data), SHAPE)) == [json_stream.Piece("lost", 0, data)]


SEVERAL = SHAPE._replace(has_many_lists=True)


def lists(of: dict[str, list[Any]]) -> bytes:
    """A document of several lists, each in an object with a name."""
    named = [{"name": name, "list": items} for name, items in of.items()]
    return json.dumps({"before": [], "all": named}).encode()


@pytest.mark.parametrize("chunk", [1, 7, 50, 1000])
def test_of_several_lists_each_has_its_head(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", chunk)
    item = {"id": 1, "item": '"list": [ ]'}
    data = lists({"one": [item] * 3, "none": [], "two": [item]})
    result = list(pieces(BytesIO(data), SEVERAL))
    heads = [p.data.rpartition(b'"name": ')[2] for p in result if p.kind == "head"]
    assert heads == [b'"one", "list": [', b'"none", "list": [', b'"two", "list": [']
    counts = [0]
    for piece in result:
        if piece.kind == "items":
            counts[-1] += len(objects(piece.data.strip(b", ")))
        elif piece.kind == "head":
            counts.append(0)
    assert counts == [0, 3, 0, 1]
    assert result[-1].kind == "tail"


@pytest.mark.parametrize("chunk", [1, 7, 50, 1000])
@pytest.mark.parametrize("damaged", [b'{"id": 2, "item": "no end}', b'{"id": 2, "item": [[}', b"{"])
def test_damage_in_one_list_leaves_the_next_one_its_head(
    damaged: bytes, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", chunk)
    data = lists({"one": [{"id": 1, "item": 0}, "DAMAGED"], "two": [{"id": 3, "item": 0}]})
    result = list(pieces(BytesIO(data.replace(b'"DAMAGED"', damaged)), SEVERAL))
    heads = [p.data.rpartition(b'"name": ')[2] for p in result if p.kind == "head"]
    assert heads == [b'"one", "list": [', b'"two", "list": [']
    assert result[-2].data.strip() == b'{"id": 3, "item": 0}'


def test_an_item_over_the_limit_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", 100)
    monkeypatch.setattr(json_stream, "MAX_ITEM_BYTES", 1000)
    data = b'{"list": [{"id": 1, "item": "a"}, {"id": 2, "item": "' + b"x" * 50_000
    head, items, lost = pieces(BytesIO(data), SHAPE)
    assert (head.kind, items.data) == ("head", b'{"id": 1, "item": "a"}')
    assert (lost.kind, lost.end) == ("lost", len(data))
    assert len(lost.data) < 3000
