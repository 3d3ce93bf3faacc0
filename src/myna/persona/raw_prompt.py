"""Raw prompts: the exact text that a model sees, edited by hand and continued as a persona.

The text has the rendering's control tokens as they are written. It has to end on somebody
else's message: then the persona's turn is opened behind it, as in training.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from myna.errors import RoomError
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.rendering.render import Segment, encode_segments

_PROBE = "\N{PILCROW SIGN}"
"""A text that stands for a message, to find what stands around it."""


def raw_prompt_ids(builder: PromptBuilder, text: str, persona: str) -> list[int]:
    """The token ids of a raw prompt, with the opening of the persona's turn at its end.

    Args:
        builder: of the chat; its messages do not matter.
        text: the prompt, with control tokens as they are written.
        persona: one of the builder's members.

    Raises:
        RoomError: the text does not end on another person's message, or is too long.
    """
    text = completed_prompt(builder, text, persona)
    tokenizer = builder.tokenizer
    bos = tokenizer.decode(tokenizer.bos_ids) if builder.spec.add_special_tokens else ""
    pieces = tokenizer.split_at_control_tokens(text.removeprefix(bos))
    segments = [Segment(piece, control=is_control) for piece, is_control in pieces]
    special = builder.spec.add_special_tokens
    ids = encode_segments(segments, tokenizer, add_special_tokens=special)[0]
    if len(ids) > builder.prompt_budget:
        raise RoomError(
            f"the prompt has {len(ids)} tokens, and there is room for {builder.prompt_budget}: "
            "shorten it"
        )
    return ids


def completed_prompt(builder: PromptBuilder, text: str, persona: str) -> str:
    """A raw prompt with the opening of the persona's turn at its end, if it is not there.

    Raises:
        RoomError: the text does not end on another person's message.
    """
    own = _opening(builder, persona, persona)
    text = text.rstrip()
    overlap = next((k for k in range(len(own), 0, -1) if text.endswith(own[:k].rstrip())), 0)
    before = text.removesuffix(own[:overlap].rstrip())
    marks = {n: _mark(_opening(builder, n, persona)) for n in _names(builder, persona)}
    last = last_speaker(before, marks)
    if last is None:
        raise RoomError(
            "the prompt has no message of anybody: it must end on one of somebody else than "
            f"{persona}"
        )
    if last == persona:
        raise RoomError(
            f"the prompt ends on a message of {persona}: it must end on somebody else's, "
            f"and {persona} answers it"
        )
    return before + own


def last_speaker(text: str, marks: dict[str, str]) -> str | None:
    """The person whose turn is the last in a text, by the marks of their turns; None if none."""
    places = {name: f"\n{text}".rfind(mark) for name, mark in marks.items()}
    last = max(places, key=lambda name: (places[name], len(marks[name])), default=None)
    return last if last is not None and places[last] >= 0 else None


def _mark(opening: str) -> str:
    """The last line of a turn's opening, which is the same at the beginning of a chat."""
    opening = opening.rstrip()
    return opening[max(opening.rfind("\n"), 0) :]


def _names(builder: PromptBuilder, persona: str) -> Sequence[str]:
    return list(dict.fromkeys([*builder.members, *(m.person for m in builder.messages), persona]))


def _opening(builder: PromptBuilder, name: str, persona: str) -> str:
    """The text between another person's message and the words of `name`."""
    other = next(m for m in (*builder.members, "Somebody", "Somebody else") if m != name)
    if other == persona:  # in a rendering per persona its turns look different
        other = "Somebody"
    messages = [PromptMessage(person, _PROBE) for person in (other, name)]
    if name == persona:
        messages.pop()
    chat = replace(builder, messages=messages, recalled=[], prompt_budget=sys.maxsize)
    return builder.tokenizer.decode(chat.prompt(persona)).split(_PROBE)[1]
