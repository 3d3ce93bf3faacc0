"""Text to token ids and back, as a base model does it.

Control tokens are never read out of text: a typed ``<|im_end|>`` stays text. The ids
that end a conversation, or that a model wants before any text, are added by
`myna.rendering.encode`, never by the tokenizer.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import tokenizers

from myna.errors import ModelError, first_line

if TYPE_CHECKING:  # talking needs no numpy
    import numpy as np
    import numpy.typing as npt

END_TOKENS = (
    "<|im_end|>", "<|endoftext|>", "</s>", "<|eot_id|>", "<|end|>", "<end_of_turn>",
    "<|end_of_text|>",
)  # fmt: skip
"""Control tokens that end a generation besides the base's own end token, as in llama.cpp."""


@dataclass(frozen=True)
class Encoding:
    """Token ids of a text, with the characters [start, end) that each one covers."""

    ids: list[int]
    offsets: list[tuple[int, int]]


class Tokenizer:
    """The tokenizer of a base model's folder (`tokenizer.json` and its settings).

    Raises:
        ModelError: the folder has no tokenizer.json, or one that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ModelError(
                f"{folder} has no tokenizer.json: choose a base that has one, or save it "
                "there with the transformers library (tokenizer.save_pretrained)"
            )
        try:
            self._model = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise ModelError(f"cannot read {path}: {error}") from error
        self._model.no_truncation()
        self._model.no_padding()
        # Of tokens such as <think> not all bases say that they control something.
        plain = [t for t in self._model.get_added_tokens_decoder().values() if not t.special]
        self._model.add_special_tokens([t for t in plain if t.content.strip()])
        with_special = self._model.encode("", add_special_tokens=True).ids
        self._model.encode_special_tokens = True
        self.eos_id = self._end_id()
        self.bos_ids: tuple[int, ...] = tuple(t for t in with_special if t != self.eos_id)
        """The tokens that the model wants before any text; often none."""

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        """Pickle only the folder: other processes open their own tokenizer, once."""
        return _opened, (self.folder,)

    def _read(self, file: str) -> dict[str, Any]:
        path = self.folder / file
        try:
            data = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        except (ValueError, RecursionError, OSError) as error:
            raise ModelError(f"cannot read {path}: {first_line(error)}") from error
        return data if isinstance(data, dict) else {}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The contents of tokenizer_config.json.

        Raises:
            ModelError: it is damaged.
        """
        return self._read("tokenizer_config.json")

    def _end_id(self) -> int:
        configured = self._configured_end_ids()
        if configured:
            return configured[0]
        named = self.settings.get("eos_token")
        name = named.get("content") if isinstance(named, dict) else named
        end = self._model.token_to_id(name) if name else None
        if end is None:
            raise ModelError(
                f"{self.folder} names no end-of-text token: add eos_token_id to its config.json"
            )
        return int(end)

    def _configured_end_ids(self) -> list[int]:
        for file in ("generation_config.json", "config.json"):
            end = self._read(file).get("eos_token_id")
            if end is not None:
                return [int(one) for one in (end if isinstance(end, list) else [end])]
        return []

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """The ids at which an engine ends a generation: those of the base, and the usual ones."""
        usual = (number for name in END_TOKENS if (number := self.control_id(name)) is not None)
        return frozenset((self.eos_id, *self._configured_end_ids(), *usual))

    @cached_property
    def control_ids(self) -> frozenset[int]:
        """The ids of control tokens."""
        added = self._model.get_added_tokens_decoder()
        return frozenset(number for number, token in added.items() if token.special)

    def control_id(self, text: str) -> int | None:
        """The id of a control token, as it is written; None if there is no such token."""
        number: int | None = self._model.token_to_id(text) if text in self._added else None
        return number

    def require_control_id(self, text: str) -> int:
        """The id of a control token, as it is written.

        Raises:
            ModelError: there is no such token.
        """
        number = self.control_id(text)
        if number is None:
            raise ModelError(f"{self.folder} has no token {text}: run `myna prepare` again")
        return number

    def control_token(self, number: int) -> str:
        """A control token, as it is written."""
        return str(self._model.id_to_token(number))

    def split_at_control_tokens(self, text: str) -> list[tuple[str, bool]]:
        """Split a piece of a template into (text, True for a control token).

        Some tokens swallow the blanks beside them: those go, as they do for the base.
        """
        tokens = sorted(self._added, key=len, reverse=True)
        pieces = re.split("(" + "|".join(map(re.escape, tokens)) + ")", text) if tokens else [text]
        for i in range(1, len(pieces), 2):
            token = self._added[pieces[i]]
            if token.lstrip:
                pieces[i - 1] = pieces[i - 1].rstrip()
            if token.rstrip:
                pieces[i + 1] = pieces[i + 1].lstrip()
        return [(piece, i % 2 == 1) for i, piece in enumerate(pieces) if piece]

    @cached_property
    def after_control_token(self) -> Tokenizer:
        """The tokenizer for text behind a control token: some bases put no blank before it."""
        metaspace = self._model.pre_tokenizer
        is_metaspace = isinstance(metaspace, tokenizers.pre_tokenizers.Metaspace)
        if not is_metaspace or metaspace.prepend_scheme != "first":
            return self
        other = Tokenizer(self.folder)
        other._model.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(
            metaspace.replacement, "never", metaspace.split
        )
        return other

    @cached_property
    def _added(self) -> dict[str, Any]:
        """The tokens that are found in templates before all else, by their text."""
        return {token.content: token for token in self._model.get_added_tokens_decoder().values()}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of tokenizer.json: data prepared with another one must be prepared again."""
        return hashlib.sha256((self.folder / "tokenizer.json").read_bytes()).hexdigest()

    @property
    def size(self) -> int:
        """Number of tokens in the vocabulary."""
        return self._model.get_vocab_size()

    def encode(self, text: str) -> Encoding:
        """Ids and character offsets of `text`, nothing added."""
        encoding = self._model.encode(text, add_special_tokens=False)
        return Encoding(encoding.ids, encoding.offsets)

    def encode_batch(self, texts: Sequence[str]) -> BatchEncoding:
        """The ids of many texts, nothing added, on all cores."""
        return self._batch.encode(texts)

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text."""
        counts: list[int] = self.encode_batch(texts).counts.tolist()
        return counts

    @cached_property
    def _batch(self) -> BatchTokenizer:
        return BatchTokenizer(self.folder, self._model)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, control tokens shown as they are written."""
        return str(self._model.decode(list(ids), skip_special_tokens=False))


@cache
def _opened(folder: Path) -> Tokenizer:
    return Tokenizer(folder)


@dataclass(frozen=True)
class BatchEncoding:
    """Token ids of many texts, one after the other.

    `counts` has the number of tokens of each text, `starts` and `ends` the bytes
    [start, end) that each token covers of all texts joined, in UTF-8.
    """

    ids: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


_PROBES = (
    *("It's 10:30, isn't it?  I'd say so...", "a\n\nb\r\n c\t d ", "   x", "x   ", "1234567 3.14"),
    *(
        "Привет, мир!",
        "日本語のテキスト",
        "مرحبا بالعالم",
        "👩\u200d🚀🏳️\u200d🌈",
        "e\u0301ﬁ\u200b\ufeff\xa0",
    ),
    *("<|im_end|> </s> [INST]", "https://x.example/?a=b&c=%20", "snake_case camelCase __init__"),
    *("¯\\_(ツ)_/¯", "!!!???...", "ÀÉÎõü", "नमस्ते", "ประเทศไทย", "\u3000", "#tag @name :emoji:"),
)
"""Texts on which two tokenizers differ if they differ at all."""
_BLANKS = tuple(sign for sign in map(chr, range(0x3001)) if sign.isspace())


class BatchTokenizer:
    """A tokenizer for many texts at once: the model of `folder`'s tokenizer.json."""

    def __init__(self, folder: Path, model: tokenizers.Tokenizer) -> None:
        self.folder, self.model = folder, model

    def encode(self, texts: Sequence[str]) -> BatchEncoding:
        """The ids of many texts, nothing added, on all cores."""
        import numpy as np

        data = "".join(texts).encode()
        if self._tokie is not None and not any(sign in data for sign in self._unsafe):
            ids, counts = self._tokie.encode_batch_flat(list(texts), add_special_tokens=False)
            ends = np.cumsum(self._bytes[ids])
            sizes = pl.Series(texts, dtype=pl.String).str.len_bytes().to_numpy()
            text_ends = np.append(0, ends)[np.cumsum(counts).astype(np.int64)]
            if np.array_equal(text_ends, np.cumsum(sizes, dtype=np.int64)):
                return BatchEncoding(ids, counts.astype(np.int64), ends - self._bytes[ids], ends)
        return self.encode_standard(texts)

    def encode_standard(self, texts: Sequence[str]) -> BatchEncoding:
        """The same as `encode`, by Hugging Face's library."""
        import numpy as np

        encodings = self.model.encode_batch(list(texts), add_special_tokens=False)
        counts = np.array([len(e.ids) for e in encodings], dtype=np.int64)
        starts, ends, before = [], [], 0
        for text, encoding in zip(texts, encodings, strict=True):
            letters = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
            sizes = 1 + (letters > 0x7F) + (letters > 0x7FF) + (letters > 0xFFFF)
            byte = before + np.append(0, np.cumsum(sizes))
            first, last = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2).T
            starts.append(byte[first])
            ends.append(byte[last])
            before = int(byte[-1])
        ids = np.array([i for e in encodings for i in e.ids], dtype=np.uint32)
        none = [np.zeros(0, dtype=np.int64)]
        return BatchEncoding(
            ids, counts, np.concatenate(starts or none), np.concatenate(ends or none)
        )

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.model.encode(text, add_special_tokens=False).ids
        return ids

    @cached_property
    def _tokie(self) -> Any:
        """The same tokenizer in tokie, some forty times as fast; None if it differs.

        Without the control tokens, which are never read out of text.
        """
        try:
            import tokie
        except ImportError:
            return None
        plain = json.loads((self.folder / "tokenizer.json").read_text("utf-8"))
        plain["added_tokens"] = []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "tokenizer.json")
            path.write_text(json.dumps(plain), "utf-8")
            try:
                fast = tokie.Tokenizer.from_json(str(path))
            except Exception:  # something in this tokenizer that it does not know
                return None
        same = [fast.encode(t, add_special_tokens=False).ids == self._ids(t) for t in _PROBES]
        return fast if all(same) else None

    @cached_property
    def _missing(self) -> list[bytes]:
        """The bytes of UTF-8 without a token of their own: the two libraries differ there."""
        letters = [*map(chr, range(0x800)), *(chr(n << 12) for n in range(1, 0x110) if n != 0xD)]
        whole = [self._bytes[self._ids(letter)].sum() == len(letter.encode()) for letter in letters]
        present = {
            byte
            for letter, is_whole in zip(letters, whole, strict=True)
            if is_whole
            for byte in letter.encode()
        }
        every = {byte for letter in letters for byte in letter.encode()}
        return [bytes([byte]) for byte in every - present]

    @cached_property
    def _unsafe(self) -> list[bytes]:
        """The bytes in texts that tokie may encode in another way than the standard library.

        Besides the missing ones, blanks that it splits off the blanks before or behind them.
        """
        blanks = [
            sign.encode()
            for sign in _BLANKS
            for text in (f"  {sign}", f"{sign}  a", sign + sign, f"a {sign} b")
            if self._tokie.encode(text, add_special_tokens=False).ids != self._ids(text)
        ]
        return [*self._missing, *dict.fromkeys(blanks)]

    @cached_property
    def _bytes(self) -> npt.NDArray[np.int64]:
        """The bytes that each token stands for, if its letters are bytes (GPT-2's alphabet)."""
        import numpy as np

        sizes = [len(self.model.id_to_token(i) or "") for i in range(self.model.get_vocab_size())]
        return np.array(sizes, dtype=np.int64)
