"""Properties of every source and each of its fixtures: whole, cut off and damaged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from tests.damage import examples, mutilations

from myna import messages, sources
from myna.errors import SourceError
from myna.sources import ChatFile, Tally
from myna.sources._shared.text import UNENDED

FIXTURES = Path(__file__).parent / "fixtures"
CUTS, WORD_CUTS = 15, 80
"""Places at which a fixture is cut; the smallest one of each source in and around every word."""

EVIDENCE: dict[str, pl.Expr] = {
    "text": pl.col("kind") == "text",
    "entries": pl.col("kind") == "entry",
    "replies": pl.col("reply_to").is_not_null(),
    "threads": pl.col("thread").is_not_null(),
    "mentions": pl.col("mentions").list.len() > 0,
    "edits": pl.col("edited"),
    "deleted": pl.col("kind") == "deleted",
    "forwards": pl.col("kind") == "forward",
    "attachments": pl.col("attachments").list.eval(
        pl.element().struct["kind"].is_in(["image", "video", "file"])
    ).list.any(),
    "stickers": pl.col("attachments").list.eval(
        pl.element().struct["kind"].is_in(["sticker", "gif"])
    ).list.any(),
    "voice": pl.col("attachments").list.eval(pl.element().struct["kind"] == "voice").list.any(),
    "calls": pl.col("kind") == "call",
    "system": pl.col("kind") == "system",
    "bots": pl.col("is_bot"),
    "reactions": pl.col("reactions").list.len() > 0,
}  # fmt: skip


@cache
def fixtures(source: str) -> list[Path]:
    """The files of a source's folder that hold messages."""
    paths = sorted(path for path in (FIXTURES / source).rglob("*") if path.is_file())
    found = [(path, sources.recognise(ChatFile(path))) for path in paths]
    return [path for path, recognised in found if not recognised or recognised.holds_messages]


CASES = [
    pytest.param(name, path, id=f"{name}/{path.name}")
    for name in sources.names()
    for path in fixtures(name)
]


@pytest.mark.parametrize("name", sources.names())
def test_has_the_shape_of_a_source(name: str) -> None:
    module = sources.load_source(name)
    assert module.__doc__
    assert module.TITLE
    assert set(module.READS) <= sources.FEATURES.keys()
    assert fixtures(name)


@pytest.mark.parametrize("name", sources.names())
def test_what_it_says_it_reads_is_what_its_fixtures_show(name: str, read) -> None:
    table = pl.concat([read(name, ChatFile(path))[0] for path in fixtures(name)])
    shown = {feature for feature, expr in EVIDENCE.items() if table.select(expr.any()).item()}
    assert shown == set(sources.load_source(name).READS)


@pytest.mark.parametrize(("name", "path"), CASES)
def test_each_fixture_is_recognised_by_its_own_source(name: str, path: Path) -> None:
    found = sources.recognise(ChatFile(path))
    assert found is not None
    assert (found.source, found.holds_messages) == (name, True)
    assert 0 < found.confidence <= 1
    assert found.reason


@pytest.mark.parametrize(("name", "path"), CASES)
def test_tables_are_sound(name: str, path: Path, read) -> None:
    table, tally = read(name, ChatFile(path))
    assert not tally.unread_bytes
    assert table["id"].null_count() == 0
    assert table.select(pl.struct(*messages.MESSAGE_KEY).is_unique().all()).item()
    assert set(table["kind"]) <= set(messages.KINDS)
    assert table["source"].n_unique() <= 1
    for column in ("source", "space", "channel", "channel_id", "author_id", "author", "text"):
        assert table[column].null_count() == 0, column
    for text, spans, files in table.select("text", "mentions", "attachments").iter_rows():
        assert all(0 <= span["start"] < span["end"] <= len(text) for span in spans)
        assert all(file["kind"] in messages.ATTACHMENT_KINDS for file in files)
    for reactions in table["reactions"]:
        assert all(one["name"] and len(one["by"]) <= one["count"] for one in reactions)
        assert len({one["name"] for one in reactions}) == len(reactions)
    again, _ = read(name, ChatFile(path))
    assert again.equals(table)


def _said(table: pl.DataFrame) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = table.select("author_id", "kind", "text").rows()
    return rows


def _check_cut(name: str, path: Path, data: bytes, cut: int, whole: list, memory_file) -> None:
    tally = Tally()
    try:
        frames = list(sources.read(name, memory_file(data[:cut], str(path)), tally))
    except SourceError as error:
        assert path.name in str(error)  # noqa: PT017
        return
    found = _said(pl.concat([pl.DataFrame(schema=messages.SCHEMA), *frames]))
    expected = whole[: len(found)]
    is_document = path.suffix in (".json", ".html")
    at_a_line = data[:cut].endswith((b"\n", b"\n\0")) or data[cut:].startswith((b"\n", b"\r"))
    if found and found != expected:
        (*before, (author, kind, text)), (*_, (by, was, said)) = found, expected
        assert before == expected[:-1]
        assert not is_document
        # The last message stands as the file has it, and of several lines whole ones may be
        # missing: a note says so where the cut shows.
        if kind == was == "text" and text.strip() and said:
            assert author == by
            # The last line may be torn in a mark; some exporters write versions and reactions.
            *lines, _ = filter(None, text.split("\n"))
            if name not in ("imessage_exporter", "sigtop"):
                assert [line for line in said.split("\n") if line][: len(lines)] == lines
        assert at_a_line or UNENDED in tally.notes or tally.unread_bytes
    if len(found) < len(whole) and (is_document or not at_a_line):
        assert tally.unread_bytes or tally.skipped or tally.notes, "a loss in silence"


KNOW_WHO = {
    *("discord_chat_exporter", "element", "google_chat", "imessage_database", "messenger"),
    *("imessage_exporter", "signal_export", "signalbackup_tools", "skype", "slack", "teams"),
    *("telegram", "twitter", "matrix_messages"),
}
"""Sources that say who gave a reaction."""


@pytest.mark.parametrize("name", sources.names())
def test_those_who_gave_reactions_are_accounts_as_authors_are(name: str, read) -> None:
    table = pl.concat([read(name, ChatFile(path))[0] for path in fixtures(name)])
    by = {who for each in table["reactions"] for one in each for who in one["by"]}
    assert bool(by) == (name in KNOW_WHO)
    authors = {*table["author_id"]}
    assert not by or by & authors, (by, authors)


@pytest.mark.parametrize(("name", "path"), CASES)
def test_a_file_cut_off_anywhere_gives_what_it_holds_and_says_so(
    name: str, path: Path, read, memory_file
) -> None:
    data = path.read_bytes()
    whole = _said(read(name, ChatFile(path))[0])
    smallest = min(fixtures(name), key=lambda fixture: fixture.stat().st_size)
    cuts: Iterable[int] = range(1, len(data), 1 + len(data) // CUTS)
    if path == smallest and len(data) < 1_500:
        words = re.finditer(rb"\w+|\W", data)
        ends = sorted({cut for word in words for cut in (word.start(), word.start() + 1)} - {0})
        cuts = ends[:: 1 + len(ends) // WORD_CUTS]
    for cut in cuts:
        _check_cut(name, path, data, cut, whole, memory_file)


@pytest.mark.parametrize(("name", "path"), CASES)
def test_a_mutilated_file_raises_nothing_but_mynas_errors(
    name: str, path: Path, memory_file
) -> None:
    data = path.read_bytes()

    @given(mutilations())
    @settings(
        max_examples=examples(12),
        suppress_health_check=list(HealthCheck),
    )
    def check(mutilate: Callable[[bytes], bytes]) -> None:
        file = memory_file(mutilate(data), str(path))
        sources.recognise(file)
        tally = Tally()
        try:
            frames = list(sources.read(name, file, tally))
        except SourceError as error:
            assert "\n" not in str(error)  # noqa: PT017
            return
        assert sum(frame.height for frame in frames) == tally.read
        assert all(frame.schema == pl.Schema(messages.SCHEMA) for frame in frames)
        for frame in frames:
            frame.to_dicts()  # every value is one that Python can hold

    check()
