r"""The renderings by name, and the parser of a base's own chat template.

A template is split into the strings that stand between contents:

    <|im_start|>system\n SYSTEM <|im_end|>\n<|im_start|>user\n USER <|im_end|>\n<|im_start|>
    assistant\n ASSISTANT <|im_end|>\n<|im_start|>user\n USER …

It is rendered once with stand-ins for messages and split at them: so messages never pass
through it, and cannot end a turn. A rendering of many turns must come out byte for byte as
the pieces put together; a template that looks at the contents, or at their number, cannot be
split. A reply ends with the first control token behind it; that much is trained.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from myna.errors import SettingsError
from myna.rendering import template_process
from myna.rendering.spec import TRANSCRIPT, Delimiter, RenderingSpec
from myna.rendering.tokenizer import Tokenizer

FIRST_USER_MESSAGE = "[start]"
"""The user's message in front of a persona's if the template wants a user first."""

TEMPLATE_DATE = date(2024, 7, 26)
"""Today's date for templates that write it, as samples must not change with the day.
Llama 3.1's own default."""

CHATML = ("<|im_start|>", "<|im_end|>")

TEMPLATE_SECONDS = 20
"""Time of a template's process, where the system does not end it before."""
_SHORT, _LONG, _OPENED = "uauau", "ua" * 5 + "u", "auau"
_CONVERSATIONS = ((_SHORT, False), (_LONG, False), (_OPENED, False), (_SHORT, True), (_LONG, True))
"""Conversations that are rendered: their roles, and True if the system line is folded in."""

_GENERATION = re.compile(r"\{%(-?)\s*(end)?generation\s*(-?)%\}")
"""Tags for trainers that read loss masks out of templates; other programs do not know them."""


def rendering_spec(name: str, tokenizer: Tokenizer) -> RenderingSpec:
    """The rendering of this name for a base.

    Raises:
        SettingsError: the base cannot be trained with it.
        ModelError: the base's files are damaged.
    """
    if name == "transcript":
        return TRANSCRIPT
    if name == "names":
        return _names_spec(tokenizer)
    if name == "mind-upload":
        return _mind_upload_spec(tokenizer)
    return _chat_spec(tokenizer)


def _chat_spec(tokenizer: Tokenizer) -> RenderingSpec:
    """The base's chat template: the persona is `assistant`, everybody else `user`.

    If the template has no role for a system line, it opens the first user's content.

    Raises:
        SettingsError: there is no template, or it cannot be split.
        ModelError: the files of the tokenizer are damaged.
    """
    template = _Template(tokenizer)
    pieces = template.split(folded=False) or template.split(folded=True)
    if pieces is None:
        raise SettingsError(
            f"the chat template of {tokenizer.folder.name} cannot be split into turns "
            f'({template.why}): use rendering = "transcript"'
        )
    own_prefix = pieces.to_own[len(pieces.to_own.rstrip(" ")) :]
    to_user = _delimiters(pieces.to_user, tokenizer)
    ending = _ending(to_user)
    if not ending:
        raise SettingsError(
            f"the chat template of {tokenizer.folder.name} ends replies with no control token: "
            'use rendering = "transcript"'
        )
    if tokenizer.control_id(ending[-1].text) not in tokenizer.end_ids:
        raise SettingsError(
            f"the chat template of {tokenizer.folder.name} ends replies with {ending[-1].text}, "
            "where no engine would stop: add its id to eos_token_id in generation_config.json, "
            'or use rendering = "transcript"'
        )
    return RenderingSpec(
        name="chat",
        opening=_delimiters(pieces.before, tokenizer),
        between={
            "start>other": (*_delimiters(pieces.start_user, tokenizer), _NAME),
            "start>own": _delimiters(pieces.start_own.removesuffix(own_prefix), tokenizer),
            "start>end": (),
            "own>other": (*ending, *to_user[len(ending) :], _NAME),
            "own>own": (_NEWLINE,),
            "own>end": ending,
            "other>own": _delimiters(pieces.to_own.removesuffix(own_prefix), tokenizer),
            "other>other": (_NEWLINE, _NAME),
            "other>end": (),
        },
        own_prefix=own_prefix,
        per_persona=True,
        escaped=("other",),
    )


@dataclass(frozen=True)
class _Pieces:
    """The strings before the system line, and from one content to the next."""

    before: str
    start_user: str
    start_own: str
    to_own: str
    to_user: str


class _Template:
    """A base's template, rendered by another process (`template_process`).

    Raises:
        SettingsError: it cannot be read, or does not end within its limits.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.why = ""
        asked = {
            "source": _source(tokenizer),
            "date": TEMPLATE_DATE.isoformat(),
            "tokens": _named_tokens(tokenizer),
            "conversations": [_stand_ins(*kind)[1] for kind in _CONVERSATIONS],
        }
        try:
            done = subprocess.run(  # noqa: S603  # our own program
                [sys.executable, "-I", template_process.__file__],
                input=json.dumps(asked),
                capture_output=True,
                encoding="utf-8",
                timeout=TEMPLATE_SECONDS,
                check=False,
            )
            answer = json.loads(done.stdout)
        except (subprocess.TimeoutExpired, ValueError):  # no answer: the system has ended it
            answer = {"error": "it takes longer than a template may"}
        if "error" in answer:
            raise SettingsError(
                f"the chat template of {tokenizer.folder.name} cannot be used "
                f'({answer["error"]}): use rendering = "transcript"'
            )
        self._rendered = dict(zip(_CONVERSATIONS, answer["rendered"], strict=True))
        """By the conversation: its text and "", or None and the reason of the refusal."""

    def split(self, *, folded: bool) -> _Pieces | None:
        """The template in pieces; None if that is not all that it does.

        With `folded`, the system line opens the first user's content.
        """
        pieces = self._split(_SHORT, folded)
        if pieces is None:
            return None
        before, start_user, to_own, to_user, *following = pieces
        if following[:2] != [to_own, to_user]:
            self.why = "the text between two turns is not always the same"
            return None
        many = self._split(_LONG, folded)
        if many is None or many[:-1] != [before, start_user, *[to_own, to_user] * 5]:
            self.why = self.why or "many turns are not written as each one is"
            return None
        # A system line that is in the user's role already may stand there alone.
        start_own = to_own if folded else f"{start_user}{FIRST_USER_MESSAGE}{to_own}"
        opened = None if folded else self._split(_OPENED, folded)
        if opened and [opened[0], *opened[2:5]] == [before, to_user, to_own, to_user]:
            start_own = opened[1]
        return _Pieces(before, start_user, start_own, to_own, to_user)

    def _split(self, roles: str, folded: bool) -> list[str] | None:
        """A rendering split at its contents: the system line and a turn for each of `roles`."""
        rest, why = self._rendered[roles, folded]
        if rest is None:
            self.why = why
            return None
        contents, _ = _stand_ins(roles, folded)
        pieces = []
        for content in contents:
            piece, found, rest = rest.partition(content)
            if not found:
                self.why = "it changes contents, or puts them in another order"
                return None
            pieces.append(piece)
        return [*pieces, rest]


def _stand_ins(roles: str, folded: bool) -> tuple[list[str], list[dict[str, str]]]:
    """The contents of a conversation of stand-ins, and its messages."""
    odd = " – a {{ b }}\n\n<c> %" if roles == _LONG else ""
    contents = [f"Qx{number}{odd}xQ" for number in range(len(roles) + 1)]
    names = {"u": "user", "a": "assistant"}
    messages = [
        {"role": names[role], "content": text}
        for role, text in zip(roles, contents[1:], strict=True)
    ]
    if folded:
        messages[0]["content"] = f"{contents[0]}\n\n{contents[1]}"
    else:
        messages.insert(0, {"role": "system", "content": contents[0]})
    return contents, messages


def _source(tokenizer: Tokenizer) -> str:
    path = tokenizer.folder / "chat_template.jinja"
    if path.is_file():
        source: Any = path.read_text("utf-8")
    else:
        source = tokenizer.settings.get("chat_template")
    if isinstance(source, list):  # several by name
        source = next((one["template"] for one in source if one.get("name") == "default"), None)
    if not isinstance(source, str):
        raise SettingsError(
            f"{tokenizer.folder.name} has no chat template: use rendering = "
            '"transcript", the best for bases that never learned to chat'
        )
    return _GENERATION.sub(
        lambda tag: f"{{%{tag[1]} {'endif' if tag[2] else 'if true'} {tag[3]}%}}", source
    )


def _named_tokens(tokenizer: Tokenizer) -> dict[str, str]:
    """The tokens that templates know by name, such as bos_token."""
    named = {
        name: token.get("content") if isinstance(token, dict) else token
        for name, token in tokenizer.settings.items()
        if name.endswith("_token")
    }
    return {name: token for name, token in named.items() if isinstance(token, str)}


def _delimiters(literal: str, tokenizer: Tokenizer) -> tuple[Delimiter, ...]:
    """The delimiters of a literal piece of a template."""
    return tuple(Delimiter(*piece) for piece in tokenizer.split_at_control_tokens(literal))


def _ending(to_user: Sequence[Delimiter]) -> tuple[Delimiter, ...]:
    """The end-of-turn tokens of a reply: all up to the first control token behind it."""
    for count, delimiter in enumerate(to_user, 1):
        if delimiter.control:
            return tuple(replace(one, trained="ends") for one in to_user[:count])
    return ()


_NEWLINE, _NAME = Delimiter("\n"), Delimiter(":", named=True)
_OPENING = (replace(_NEWLINE, trained="opens"), replace(_NAME, trained="opens"))


def _names_spec(tokenizer: Tokenizer) -> RenderingSpec:
    """ChatML with names as roles.

    Without its tokens the model would have to learn the delimiters from scratch: for those
    bases a transcript is the better text.
    """
    missing = [token for token in CHATML if tokenizer.control_id(token) is None]
    if missing:
        raise SettingsError(
            f'rendering = "names" needs the control token {missing[0]}, which '
            f'{tokenizer.folder.name} does not have: use "transcript" or "chat"'
        )
    start, end = (Delimiter(token, control=True) for token in CHATML)
    to_next = (end, _NEWLINE, start, Delimiter("\n", named=True))
    ending = tuple(replace(delimiter, trained="ends") for delimiter in to_next)
    return RenderingSpec(
        name="names",
        opening=(*_bos(tokenizer), start, Delimiter("system\n")),
        between={
            "start>other": to_next,
            "start>end": to_next[:2],
            "other>other": ending,
            "other>end": ending[:2],
        },
        own_prefix="",
        other_prefix="",
        escaped=(),
    )


def _mind_upload_spec(tokenizer: Tokenizer) -> RenderingSpec:
    eos = tokenizer.control_token(tokenizer.eos_id)
    return RenderingSpec(
        name="mind-upload",
        opening=_bos(tokenizer),
        between={
            "start>other": (_NEWLINE, _NAME),
            "start>own": _OPENING,
            "start>end": (),
            "own>other": (Delimiter("\n", trained="ends"), _NAME),
            "own>own": (_NEWLINE,),
            "own>end": (Delimiter(eos, control=True, trained="ends"),),
            "other>own": _OPENING,
            "other>other": (_NEWLINE, _NAME),
            "other>end": (),
        },
        per_persona=True,
    )


def _bos(tokenizer: Tokenizer) -> tuple[Delimiter, ...]:
    tokens = map(tokenizer.control_token, tokenizer.bos_ids)
    return tuple(Delimiter(token, control=True) for token in tokens)
