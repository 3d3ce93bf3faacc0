"""Control tokens that somebody typed, unable to control anything.

Other trainers read their control tokens out of the text itself, so a typed `<|im_end|>`
or `</s>` would end a turn there. A zero-width space behind its first sign makes it text;
one that is typed so already gets one more, so nothing is lost.
"""

from __future__ import annotations

import re

from myna.engines.plain_text import GAP

OPENING = "[start]"
"""What a human says where the persona opens and a format wants a human first."""

_TYPED = re.compile(
    rf"<{GAP}*+(?=[|｜][^\s|｜<>\[\]{GAP}]{{1,40}}+[|｜]>"
    r"|/?s>|(?:unk|pad|mask|bos|eos|(?:start|end)_of_turn)>)"
    rf"|\[{GAP}*+(?=/?INST\]|start\])"
)


def harmless(text: str) -> str:
    """Text in which no trainer finds a control token, nor a reader an `OPENING`."""
    if "<" not in text and "[" not in text:
        return text
    return _TYPED.sub(lambda sign: sign[0] + GAP, text)
