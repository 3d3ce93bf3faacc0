"""Every fixture of every source, all the way to a ledger that balances."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from tests.sample_tables import messages, prepare

from myna import people, workspace
from myna.config import Settings
from myna.importing.discover import Discovery, discover_chats
from myna.importing.import_files import import_files
from myna.rendering.tokenizer import Tokenizer
from myna.workspace import Workspace

FIXTURES = Path(__file__).parents[1] / "sources" / "fixtures"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace into which all fixtures are imported from their folder."""
    space = workspace.create(tmp_path_factory.mktemp("plain") / "friends")
    assert bring(space, discover_chats([FIXTURES])) > 200
    return space


def bring(space: Workspace, found: Discovery) -> int:
    """Import all that was found; how many messages that are."""
    before = messages(space).height if space.message_files() else 0
    assert found.problems == []
    results = list(import_files(space, found.chats, consent="clone"))
    for result in results:
        assert result.trouble is None or "no messages in it" in result.trouble, result.trouble
        assert result.messages == result.stored + result.known
    stored = sum(result.stored for result in results)
    assert messages(space).height == before + stored
    return sum(result.messages for result in results)


def test_the_ledger_balances_for_every_source(space: Workspace, tokenizer: Tokenizer) -> None:
    done = prepare(messages(space), people.load(space.people_file), Settings(), tokenizer)
    assert done.ledger.balanced
    assert done.ledger.messages == messages(space).height


def test_an_archive_gives_what_the_folder_gives(space: Workspace, tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(FIXTURES.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(FIXTURES))
    (tmp_path / "all.zip").write_bytes(data.getvalue())
    packed, plain = discover_chats([tmp_path / "all.zip"]), discover_chats([FIXTURES])
    kinds = sorted((file.name, recognised.source) for file, recognised in packed.chats)
    assert kinds == sorted((file.name, recognised.source) for file, recognised in plain.chats)
    unpacked = workspace.create(tmp_path / "unpacked")
    bring(unpacked, packed)
    assert messages(unpacked).height == messages(space).height
