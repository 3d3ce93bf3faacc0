"""Embeddings: texts as vectors, from weights that are already on this machine."""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from myna.errors import EngineError, ModelError
from myna.persona import embeddings
from myna.persona.embeddings import WORDLLAMA, open_embedder

UNKNOWN = "[UNK]"
WORDS = [UNKNOWN, "tea", "soup", "moon"]


def static(folder: Path, **tensors: list[list[float]] | list[float] | list[int]) -> str:
    """A static model of four words."""
    folder.mkdir(parents=True, exist_ok=True)
    words = models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token=UNKNOWN)
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(2)
    tokenizer.save(str(folder / "tokenizer.json"))
    arrays = {name: np.array(values) for name, values in tensors.items()}
    save_file(
        {
            name.replace("_", "."): array if name == "mapping" else array.astype(np.float16)
            for name, array in arrays.items()
        },
        folder / "model.safetensors",
    )
    return str(folder)


TABLE = [[9.0, 9.0], [3.0, 0.0], [0.0, 4.0], [-1.0, 0.0]]


class TestStaticModels:
    def test_a_text_is_the_mean_of_its_tokens_of_length_one(self, tmp_path: Path) -> None:
        found = open_embedder(static(tmp_path, embeddings=TABLE)).embed(["tea soup", "moon"])
        assert found.dtype == np.float32
        assert found == pytest.approx(np.array([[0.6, 0.8], [-1.0, 0.0]]))

    def test_what_no_token_is_known_of_has_length_zero(self, tmp_path: Path) -> None:
        found = open_embedder(static(tmp_path, embeddings=TABLE)).embed(["", "xyz", "xyz tea"])
        assert found.tolist() == [[0, 0], [0, 0], [1, 0]]

    def test_all_of_a_text_counts(self, tmp_path: Path) -> None:
        [found] = open_embedder(static(tmp_path, embeddings=TABLE)).embed(["tea tea soup soup"])
        assert found == pytest.approx([0.6, 0.8])

    def test_tokens_may_have_weights_and_share_vectors(self, tmp_path: Path) -> None:
        folder = static(
            tmp_path, embeddings=[[3.0, 0.0], [0.0, 4.0]], weights=[1.0, 1.0, 0.5, 1.0],
            mapping=[0, 0, 1, 0],
        )  # fmt: skip
        found = open_embedder(folder).embed(["tea moon", "tea soup"])
        assert found == pytest.approx(np.array([[1, 0], [3 / 13**0.5, 2 / 13**0.5]]))

    @pytest.mark.parametrize("place", [".", "0_StaticEmbedding"])
    def test_those_of_sentence_transformers_are_read_too(self, tmp_path: Path, place: str) -> None:
        static(tmp_path / place, embedding_weight=TABLE)
        assert open_embedder(str(tmp_path)).embed(["tea"]).tolist() == [[1, 0]]

    def test_models_are_told_apart_by_their_weights(self, tmp_path: Path) -> None:
        one, same = (static(tmp_path / name, embeddings=TABLE) for name in "ab")
        other = static(tmp_path / "c", embeddings=[*TABLE[:3], [1.0, 1.0]])
        assert open_embedder(one).id == open_embedder(same).id != open_embedder(other).id


class TestWordllama:
    def test_what_means_the_same_is_near_without_a_word_in_common(self) -> None:
        asked, meal, engine = open_embedder(WORDLLAMA).embed(
            ["what did you have for dinner?", "we ate salmon and bread", "engine stop, reset"]
        )
        assert asked @ meal > asked @ engine + 0.1

    def test_its_code_is_not_run_and_nothing_is_fetched(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "socket", None)
        assert open_embedder(WORDLLAMA).embed(["tea"]).shape == (1, 256)
        assert WORDLLAMA not in sys.modules

    def test_where_it_is_not_installed_one_line_says_so(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embeddings, "find_spec", lambda _: None)
        with pytest.raises(EngineError, match=r"run `pip install 'myna\[memory\]'`"):
            open_embedder(WORDLLAMA)


class TestOtherFolders:
    def test_there_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="there is no folder"):
            open_embedder(str(tmp_path / "none"))

    def test_a_damaged_one_is_one_line(self, tmp_path: Path) -> None:
        folder = static(tmp_path, embeddings=TABLE)
        (tmp_path / "model.safetensors").write_bytes(b"\xff" * 40)
        with pytest.raises(ModelError, match="cannot read a model in"):
            open_embedder(folder)

    @pytest.mark.skipif(
        importlib.util.find_spec("sentence_transformers") is not None, reason="it is installed"
    )
    def test_networks_need_a_library_which_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
        with pytest.raises(EngineError, match="pip install sentence_transformers"):
            open_embedder(str(tmp_path))
