"""Text to token ids and back, as a base model does it.

Control tokens are never read out of text: a typed ``<|im_end|>`` stays text. The ids
that end a conversation, or that a model wants before any text, are added by
`myna.samples.tokens`, never by the tokenizer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tokenizers

from myna.errors import ModelError

if TYPE_CHECKING:
    from myna.samples.many import Many, Tokens


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
        from myna.samples.many import Many  # who talks needs no numpy

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
