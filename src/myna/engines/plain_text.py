"""A prompt of token ids as text, for servers that take nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from myna.samples.tokenizer import Tokenizer

GAP = "\u200b"
"""Zero-width space: behind its first sign, it makes a typed control token mere text."""


class PlainText:
    """Writes prompts of one tokenizer as text.

    Who reads text finds control tokens in it, so those that stand in a chat as words
    get a gap, and those that steer the model do not. What the server puts before any
    text by itself is left out.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        names = [tokenizer.decode([number]) for number in tokenizer.control]
        self._names = dict(zip(tokenizer.control, names, strict=True))
        longest_first = sorted(filter(None, names), key=len, reverse=True)
        self._typed = re.compile(f"(?=(?:{'|'.join(map(re.escape, longest_first))}))")
        self._any = bool(longest_first)

    def of(self, prompt: Sequence[int]) -> str:
        """The text of `prompt`."""
        bos = self._tokenizer.bos
        ids = list(prompt)
        if bos and tuple(ids[: len(bos)]) == bos:
            ids = ids[len(bos) :]
        text, words = "", list[int]()
        for number in ids:
            if number in self._names:
                text += self._words(words) + self._names[number]
                words = []
            else:
                words.append(number)
        return text + self._words(words)

    def _words(self, ids: list[int]) -> str:
        text = self._tokenizer.decode(ids) if ids else ""
        if not self._any:
            return text
        starts = {match.start() for match in self._typed.finditer(text)}
        if not starts:
            return text
        return "".join(sign + GAP if at in starts else sign for at, sign in enumerate(text))
