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

import numpy as np
import numpy.typing as npt
import polars as pl
import tokenizers

from myna.errors import ModelError

if TYPE_CHECKING:
    pass


ENDS = (
    "<|im_end|>", "<|endoftext|>", "</s>", "<|eot_id|>", "<|end|>", "<end_of_turn>",
    "<|end_of_text|>",
)  # fmt: skip
"""Control tokens that end a text besides the base's own end token, as in llama.cpp."""


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
        self.eos = self._end_token()
        self.bos: tuple[int, ...] = tuple(t for t in with_special if t != self.eos)
        """What the model wants before any text; often nothing."""

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        """Of a pickle only the folder is in it: other processes open their own, once."""
        return _opened, (self.folder,)

    def _setting(self, file: str, key: str) -> Any:
        return self._read(file).get(key)

    def _read(self, file: str) -> dict[str, Any]:
        path = self.folder / file
        try:
            found = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        except ValueError as error:
            raise ModelError(f"cannot read {path}: {error}") from error
        return found if isinstance(found, dict) else {}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What tokenizer_config.json says.

        Raises:
            ModelError: it is damaged.
        """
        return self._read("tokenizer_config.json")

    def _end_token(self) -> int:
        configured = self._configured_ends()
        if configured:
            return configured[0]
        named = self._setting("tokenizer_config.json", "eos_token")
        name = named.get("content") if isinstance(named, dict) else named
        end = self._model.token_to_id(name) if name else None
        if end is None:
            raise ModelError(
                f"{self.folder} names no end-of-text token: add eos_token_id to its config.json"
            )
        return int(end)

    def _configured_ends(self) -> list[int]:
        for file in ("generation_config.json", "config.json"):
            end = self._setting(file, "eos_token_id")
            if end is not None:
                return [int(one) for one in (end if isinstance(end, list) else [end])]
        return []

    @cached_property
    def ends(self) -> frozenset[int]:
        """The ids at which an engine ends a text: those of the base, and the usual ones."""
        usual = (number for name in ENDS if (number := self.control_id(name)) is not None)
        return frozenset((self.eos, *self._configured_ends(), *usual))

    @cached_property
    def control(self) -> frozenset[int]:
        """The ids of control tokens."""
        added = self._model.get_added_tokens_decoder()
        return frozenset(number for number, token in added.items() if token.special)

    def control_id(self, text: str) -> int | None:
        """The id of a control token, as it is written; None where there is none."""
        found: int | None = self._model.token_to_id(text) if text in self._added else None
        return found

    def token(self, number: int) -> str:
        """A control token, as it is written."""
        return str(self._model.id_to_token(number))

    def apart(self, text: str) -> list[tuple[str, bool]]:
        """A piece of a template, cut where the base reads a token: (text, whether it is one).

        Some tokens swallow the blanks beside them: those go, as they do for the base.
        """
        tokens = sorted(self._added, key=len, reverse=True)
        pieces = re.split("(" + "|".join(map(re.escape, tokens)) + ")", text) if tokens else [text]
        for place in range(1, len(pieces), 2):
            token = self._added[pieces[place]]
            if token.lstrip:
                pieces[place - 1] = pieces[place - 1].rstrip()
            if token.rstrip:
                pieces[place + 1] = pieces[place + 1].lstrip()
        return [(piece, place % 2 == 1) for place, piece in enumerate(pieces) if piece]

    @cached_property
    def within(self) -> Tokenizer:
        """The same for text behind a control token, where some bases put no blank before it."""
        blank = self._model.pre_tokenizer
        is_first = isinstance(blank, tokenizers.pre_tokenizers.Metaspace)
        if not is_first or blank.prepend_scheme != "first":
            return self
        other = Tokenizer(self.folder)
        other._model.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(
            blank.replacement, "never", blank.split
        )
        return other

    @cached_property
    def _added(self) -> dict[str, Any]:
        """The tokens that are read out of templates, before all else."""
        return {token.content: token for token in self._model.get_added_tokens_decoder().values()}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of tokenizer.json: data prepared with another one must be made anew."""
        return hashlib.sha256((self.folder / "tokenizer.json").read_bytes()).hexdigest()

    def encode(self, text: str) -> Encoding:
        """Ids and character offsets of `text`, nothing added."""
        done = self._model.encode(text, add_special_tokens=False)
        return Encoding(done.ids, done.offsets)

    def encode_all(self, texts: Sequence[str]) -> Tokens:
        """The ids of many texts, nothing added, on all cores."""
        return self._many.encode(texts)

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text."""
        counts: list[int] = self.encode_all(texts).counts.tolist()
        return counts

    @cached_property
    def _many(self) -> Many:
        # who talks needs no numpy

        return Many(self.folder, self._model)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, control tokens shown as they are written."""
        return str(self._model.decode(list(ids), skip_special_tokens=False))

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Each id's own piece of text, for people to look at."""
        return [self.decode([i]) for i in ids]


@cache
def _opened(folder: Path) -> Tokenizer:
    return Tokenizer(folder)


@dataclass(frozen=True)
class Tokens:
    """Token ids of many texts, one after the other.

    `counts` has the number of tokens of each text, `starts` and `ends` the bytes
    [start, end) that each token covers of all texts joined, in UTF-8.
    """

    ids: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


_ODD = (
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


class Many:
    """A tokenizer for many texts at once: the model of `folder`'s tokenizer.json."""

    def __init__(self, folder: Path, model: tokenizers.Tokenizer) -> None:
        self.folder, self.model = folder, model

    def encode(self, texts: Sequence[str]) -> Tokens:
        """The ids of many texts, nothing added, on all cores."""
        data = "".join(texts).encode()
        if self._fast is not None and not any(sign in data for sign in self._unlike):
            ids, counts = self._fast.encode_batch_flat(list(texts), add_special_tokens=False)
            ends = np.cumsum(self._bytes[ids])
            sizes = pl.Series(texts, dtype=pl.String).str.len_bytes().to_numpy()
            if np.array_equal(_ends(ends, counts), np.cumsum(sizes, dtype=np.int64)):
                return Tokens(ids, counts.astype(np.int64), ends - self._bytes[ids], ends)
        return self.standard(texts)

    def standard(self, texts: Sequence[str]) -> Tokens:
        """The same by the standard library."""
        done = self.model.encode_batch(list(texts), add_special_tokens=False)
        counts = np.array([len(e.ids) for e in done], dtype=np.int64)
        starts, ends, before = [], [], 0
        for text, encoding in zip(texts, done, strict=True):
            letters = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
            sizes = 1 + (letters > 0x7F) + (letters > 0x7FF) + (letters > 0xFFFF)
            place = before + np.concatenate(([0], np.cumsum(sizes)))
            first, last = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2).T
            starts.append(place[first])
            ends.append(place[last])
            before = int(place[-1])
        ids = np.array([i for e in done for i in e.ids], dtype=np.uint32)
        nothing = [np.zeros(0, dtype=np.int64)]
        return Tokens(
            ids, counts, np.concatenate(starts or nothing), np.concatenate(ends or nothing)
        )

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.model.encode(text, add_special_tokens=False).ids
        return ids

    @cached_property
    def _fast(self) -> Any:
        """The same tokenizer in tokie, some forty times as fast; None where it differs.

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
            except Exception:  # whatever it does not know of this one
                return None
        same = [fast.encode(t, add_special_tokens=False).ids == self._ids(t) for t in _ODD]
        return fast if all(same) else None

    @cached_property
    def _missing(self) -> list[bytes]:
        """The bytes of UTF-8 that there is no token for: the ways to encode differ there."""
        letters = [*map(chr, range(0x800)), *(chr(n << 12) for n in range(1, 0x110) if n != 0xD)]
        whole = [self._bytes[self._ids(letter)].sum() == len(letter.encode()) for letter in letters]
        known = {
            byte
            for letter, is_whole in zip(letters, whole, strict=True)
            if is_whole
            for byte in letter.encode()
        }
        every = {byte for letter in letters for byte in letter.encode()}
        return [bytes([byte]) for byte in every - known]

    @cached_property
    def _unlike(self) -> list[bytes]:
        """The bytes of texts that tokie may encode in another way than the standard library.

        Besides the missing ones, blanks that it splits off the blanks before or behind them.
        """
        blanks = [
            sign.encode()
            for sign in _BLANKS
            for text in (f"  {sign}", f"{sign}  a", sign + sign, f"a {sign} b")
            if self._fast.encode(text, add_special_tokens=False).ids != self._ids(text)
        ]
        return [*self._missing, *dict.fromkeys(blanks)]

    @cached_property
    def _bytes(self) -> npt.NDArray[np.int64]:
        """The bytes that each token stands for, if its letters are bytes (GPT-2's alphabet)."""
        known = range(self.model.get_vocab_size())
        return np.array([len(self.model.id_to_token(i) or "") for i in known], dtype=np.int64)


def _ends(ends: npt.NDArray[np.int64], counts: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Where each text's last token ends."""
    return np.concatenate(([0], ends))[np.cumsum(counts).astype(np.int64)]
