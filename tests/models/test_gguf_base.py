"""A GGUF file as a base."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from myna.errors import ModelError
from myna.models import embedded
from myna.models.bases import Base, find
from myna.models.loading import load
from myna.samples.tokenizer import Tokenizer


def header(path: Path, architecture: str) -> Path:
    """A GGUF file that holds nothing but the name of its architecture."""
    import gguf

    writer = gguf.GGUFWriter(str(path), architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "base" not in request.fixturenames:
        monkeypatch.setenv("MYNA_CACHE", str(tmp_path / "cache"))


@pytest.mark.model
def test_a_file_gives_the_model_and_the_tokenizer_that_are_in_it(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = embedded.gguf_file()
    monkeypatch.setenv("MYNA_CACHE", str(tmp_path))
    found = find(str(file), weights=True)
    assert found.gguf == file.resolve()
    assert found.context == base.context
    text = "Roger, 1202 <|im_end|> naïve 🙂\n"
    ours, theirs = Tokenizer(found.folder), Tokenizer(base.folder)
    assert ours.encode(text).ids == theirs.encode(text).ids
    assert ours.eos == theirs.eos
    ids = torch.tensor([theirs.encode(text).ids])
    with torch.inference_mode():
        one, other = (
            load(b, dtype=torch.float32, device="cpu")(input_ids=ids).logits for b in (found, base)
        )
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
    made = (found.folder / "model.safetensors").stat().st_mtime_ns
    assert find(str(file), weights=True).fingerprint == found.fingerprint
    assert (found.folder / "model.safetensors").stat().st_mtime_ns == made


def test_an_unknown_architecture_is_one_clear_line(tmp_path: Path) -> None:
    file = header(tmp_path / "bird.gguf", "birdsong")
    with pytest.raises(ModelError, match="of the architecture 'birdsong', which transformers"):
        find(str(file), weights=True)
    assert not list((tmp_path / "cache").rglob("config.json"))


def test_a_file_that_is_no_gguf_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "bird.gguf").write_text("no such thing")
    with pytest.raises(ModelError, match=r"bird\.gguf is (not a GGUF file|damaged)"):
        find(str(tmp_path / "bird.gguf"), weights=False)
