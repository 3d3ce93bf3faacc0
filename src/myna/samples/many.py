"""Many texts to token ids, fast."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import tokenizers


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
