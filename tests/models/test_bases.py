"""Finding a base by its name: the embedded one, a folder, a model hub's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from myna.errors import ModelError
from myna.models.bases import DEFAULT_BASE, Base, find_base


@pytest.mark.model
def test_the_default_is_the_embedded_base(base: Base) -> None:
    light = find_base(DEFAULT_BASE, weights=False)
    assert light.context == 8192
    assert light.gguf is not None
    assert light.gguf.is_file()
    assert not light.weights
    assert light.fingerprint == base.fingerprint, "the same base with and without weights"


@pytest.fixture
def folder(base: Base, tmp_path: Path) -> Path:
    """The embedded base as a user's own folder."""
    for path in base.folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


@pytest.mark.model
def test_a_local_folder_is_a_base(folder: Path, base: Base) -> None:
    found = find_base(str(folder), weights=True)
    assert (found.folder, found.context, found.gguf) == (folder, 8192, None)
    assert found.fingerprint == find_base(str(folder), weights=False).fingerprint
    assert base.gguf is not None
    (folder / "model.gguf").symlink_to(base.gguf)
    assert find_base(str(folder), weights=True).gguf == folder / "model.gguf"


@pytest.mark.model
def test_other_weights_are_another_fingerprint(folder: Path) -> None:
    before = find_base(str(folder), weights=True).fingerprint
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert find_base(str(folder), weights=True).fingerprint != before


@pytest.mark.model
def test_a_folder_that_lacks_something_says_what(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no \*\.safetensors"):
        find_base(str(folder), weights=True)
    find_base(str(folder), weights=False)  # is enough to tokenise
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ModelError, match="does not say max_position_embeddings"):
        find_base(str(folder), weights=False)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        find_base(str(folder), weights=False)


@pytest.mark.parametrize("name", ["no-such-model", "./nowhere/here", "", "a/b/c"])
def test_a_name_that_nothing_goes_by(name: str) -> None:
    with pytest.raises(ModelError, match="no base model called"):
        find_base(name, weights=False)


def test_a_hub_that_cannot_be_reached_is_one_clear_line(tmp_path: Path) -> None:
    """In a process of its own: the hub's library reads its settings when it is imported."""
    code = (
        "from myna.errors import ModelError\n"
        "from myna.models.bases import find_base\n"
        "try:\n"
        "    find_base('someone/some-model', weights=False)\n"
        "except ModelError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
    )
    assert done.stdout.startswith("cannot fetch someone/some-model from the model hub: ")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
