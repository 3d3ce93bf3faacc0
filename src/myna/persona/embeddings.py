"""Text embeddings, which find texts of the same meaning without a word in common.

Most models are static: a table with a vector for each token; a text's vector is the mean of
its tokens'. All that takes is numpy, so these are read here:

    wordllama                 the 16 MB of weights in the PyPI wheel of that name. The package
                              itself is not imported: it can download others.
    a folder of model2vec     model.safetensors with `embeddings` (and `weights`, `mapping`,
                              as its StaticModel has them), tokenizer.json
    of sentence-transformers  the same with `embedding.weight`, perhaps in 0_StaticEmbedding

Any other folder of sentence-transformers is left to that library. Nothing is downloaded,
unpickled or run from a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myna import workspace
from myna.errors import EngineError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORDLLAMA = "wordllama"
MAX_TEXT_CHARS = 2000
"""The first characters of a text, which are embedded."""


@dataclass(frozen=True)
class Embedder:
    """An embedding model: vectors of length one, or zero where a text has no known token.

    `id` identifies the model: vectors of different models cannot be compared.
    """

    id: str
    _means: Callable[[list[str]], NDArray[Any]]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts: shape (texts, dimensions)."""
        import numpy as np

        means = np.asarray(self._means([text[:MAX_TEXT_CHARS] for text in texts]), np.float32)
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        vectors: NDArray[np.float32] = means / np.maximum(lengths, np.finfo(np.float32).tiny)
        return vectors


def open_embedder(name: str) -> Embedder:
    """Open the model that a setting names: "wordllama", or a folder.

    Raises:
        EngineError: what it needs is not installed.
        ModelError: there is no such folder, or it is damaged.
    """
    folder = Path(name).expanduser()
    try:
        files = _wordllama() if name == WORDLLAMA else _static(folder)
        if files is None:
            return _by_sentence_transformers(folder)
        weights, tokenizer = files
        return Embedder(workspace.fingerprint(weights), _table(weights, tokenizer))
    except ModuleNotFoundError as error:
        raise EngineError(
            f"chat.memory_embeddings = {name!r} needs {error.name}, which is not installed: run "
            f"`pip install {error.name}`"
        ) from error
    except (EngineError, ModelError):
        raise
    except Exception as error:  # of safetensors, tokenizers and sentence-transformers: any kind
        raise ModelError(
            f"chat.memory_embeddings: cannot read a model in {name} ({error}): it takes "
            "'wordllama', or a folder of model2vec or sentence-transformers"
        ) from error


def _wordllama() -> tuple[Path, Path]:
    spec = find_spec(WORDLLAMA)
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(
            "chat.memory_embeddings = 'wordllama' needs a package that is not installed: run "
            "`pip install 'myna[memory]'`"
        )
    folder = Path(spec.submodule_search_locations[0])
    return (
        folder / "weights" / "l2_supercat_256.safetensors",
        folder / "tokenizers" / "l2_supercat_tokenizer_config.json",
    )


def _static(folder: Path) -> tuple[Path, Path] | None:
    """A static model's weights and tokenizer; None where a folder holds another model."""
    if not folder.is_dir():
        raise ModelError(
            f"chat.memory_embeddings: there is no folder {folder}: it takes 'wordllama', or a "
            "folder of model2vec or sentence-transformers"
        )
    for subfolder in (folder, folder / "0_StaticEmbedding"):
        weights, tokenizer = subfolder / "model.safetensors", subfolder / "tokenizer.json"
        if weights.is_file() and tokenizer.is_file() and _table_key(weights):
            return weights, tokenizer
    return None


def _table_key(weights: Path) -> str | None:
    from safetensors import safe_open

    with safe_open(weights, framework="np") as tensors:
        names = set(tensors.keys())
    keys = ("embeddings", "embedding.weight")
    return next((key for key in keys if key in names <= {key, "weights", "mapping"}), None)


def _table(weights: Path, tokenizer: Path) -> Callable[[list[str]], NDArray[Any]]:
    """A function that embeds texts by a static model's table."""
    import numpy as np
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    tensors = load_file(weights)
    table = tensors.get("embeddings", tensors.get("embedding.weight"))
    assert table is not None  # noqa: S101  # by `_static`
    scale, mapping = tensors.get("weights"), tensors.get("mapping")
    encoder = Tokenizer.from_file(str(tokenizer))
    encoder.no_padding()
    encoder.no_truncation()
    unknown = encoder.token_to_id("[UNK]")

    def means(texts: list[str]) -> NDArray[Any]:
        result = np.zeros((len(texts), table.shape[1]), np.float32)
        for i, encoded in enumerate(encoder.encode_batch(texts, add_special_tokens=False)):
            ids = np.array([token for token in encoded.ids if token != unknown], np.int64)
            if len(ids):
                vectors = table[ids if mapping is None else mapping[ids]].astype(np.float32)
                result[i] = (vectors if scale is None else vectors * scale[ids, None]).mean(0)
        return result

    return means


def _by_sentence_transformers(folder: Path) -> Embedder:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        str(folder),
        device="cpu",
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True},
    )
    files = sorted(folder.rglob("*.safetensors"))
    id_ = " ".join(workspace.fingerprint(file) for file in files)
    return Embedder(id_, lambda texts: model.encode(texts, show_progress_bar=False))
