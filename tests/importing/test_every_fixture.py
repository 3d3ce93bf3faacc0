"""Every fixture of every source, all the way to a ledger that balances."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from tests.preparing import messages, prepare

from myna import importing, people, workspace
from myna.config import Settings
from myna.importing.finding import Found, find
from myna.samples.tokenizer import Tokenizer
from myna.workspace import Workspace

FIXTURES = Path(__file__).parents[1] / "sources" / "fixtures"


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return workspace.create(tmp_path / "friends")


def bring(space: Workspace, found: Found) -> int:
    """Import all that was found; how many messages that are."""
    before = messages(space).height if space.message_files() else 0
    assert found.troubles == []
    results = list(importing.import_files(space, found.chats, consent="clone"))
    for result in results:
        assert result.trouble is None or "no messages in it" in result.trouble, result.trouble
        assert result.messages == result.stored + result.known
    stored = sum(result.stored for result in results)
    assert messages(space).height == before + stored
    return sum(result.messages for result in results)


def test_the_ledger_balances_for_every_source(space: Workspace, tokenizer: Tokenizer) -> None:
    found = find([FIXTURES])
    read = bring(space, found)
    assert read > 200
    everyone = people.load(space.people_file)
    settings = Settings()
    done = prepare(messages(space), everyone, settings, tokenizer)
    assert done.ledger.balanced
    assert done.ledger.messages == messages(space).height
    assert bring(space, find([FIXTURES])) == read
    assert messages(space).height == done.ledger.messages


def test_an_archive_gives_what_the_folder_gives(space: Workspace, tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(FIXTURES.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(FIXTURES))
    (tmp_path / "all.zip").write_bytes(data.getvalue())
    packed, plain = find([tmp_path / "all.zip"]), find([FIXTURES])
    kinds = sorted((file.name, recognised.source) for file, recognised in packed.chats)
    assert kinds == sorted((file.name, recognised.source) for file, recognised in plain.chats)
    assert bring(space, packed) == bring(workspace.create(tmp_path / "again"), plain)
