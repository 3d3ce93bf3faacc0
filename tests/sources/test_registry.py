"""The source of a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sources.conftest import FIXTURES

from myna import sources
from myna.errors import SourceError
from myna.sources import ChatFile, Tally


def test_an_unknown_source_is_a_clear_error() -> None:
    with pytest.raises(SourceError, match="no source is called 'pigeon': choose one of "):
        sources.load_source("pigeon")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"{",
        b"[]",
        b"null",
        b'{"messages": []}',
        b'{"author": "ada"}',
        b"Dear diary, today there was tea.\n",
        b"name,size\nkettle,3\n",
        b"PK\x03\x04" + bytes(range(256)) * 9,
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'"',
        b"\x00" * 1000,
    ],
    ids=range(15),
)
def test_what_is_no_chat_is_nobodys(data: bytes, memory_file) -> None:
    assert sources.recognise(memory_file(data)) is None


@pytest.mark.parametrize("name", sources.names())
@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"tea\n", b"PK\x03\x04\x00\xff", b"[" * 100_000]
)
def test_reading_what_is_no_chat_is_one_clear_line(name: str, data: bytes, memory_file) -> None:
    if name == "journal" and data in (b"[]", b"tea\n", b"[" * 100_000):
        pytest.skip("any text may be an essay, when somebody says so")
    if name == "slack" and data.startswith(b"["):
        pytest.skip("a list of messages, of which there may be none")
    with pytest.raises(SourceError) as caught:
        list(sources.load_source(name).read(memory_file(data, "notes.txt"), Tally()))
    assert "notes.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sources.names())
def test_a_file_that_is_gone_is_one_clear_line(name: str, tmp_path: Path) -> None:
    gone = ChatFile(tmp_path / "gone.json")
    with pytest.raises(SourceError, match=r"cannot read .*gone\.json: No such file"):
        list(sources.load_source(name).read(gone, Tally()))
    with pytest.raises(SourceError, match=r"cannot read .*gone\.json: No such file"):
        _ = gone.size


@pytest.mark.parametrize("folder", sorted(p.name for p in FIXTURES.iterdir() if p.is_dir()))
def test_no_source_that_is_not_asked_would_have_won(folder: str) -> None:
    for path in sorted(p for p in (FIXTURES / folder).rglob("*") if p.is_file()):
        found = [
            match
            for name in sources.names()
            if (match := sources.load_source(name).recognise(ChatFile(path)))
        ]
        for match in found:
            assert match.confidence <= sources.load_source(match.source).MOST_CERTAIN, path
        surest = max(found, key=lambda match: match.confidence, default=None)
        assert sources.recognise(ChatFile(path)) == surest, path
