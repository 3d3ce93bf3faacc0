r"""A base's own chat template, taken apart into the strings that stand between contents.

    <|im_start|>system\n SYSTEM <|im_end|>\n<|im_start|>user\n USER <|im_end|>\n<|im_start|>
    assistant\n ASSISTANT <|im_end|>\n<|im_start|>user\n USER …

The template is rendered once with stand-ins for what people say, and cut at them: so what
people say never passes through it, and cannot end a turn. A rendering of many turns must
come out byte for byte as the pieces put together; a template that looks at the contents, or
at how many there are, cannot be taken apart.

A reply ends with the first control token behind it; that much is trained.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from myna.errors import SettingsError
from myna.rendering.spec import TRANSCRIPT, Mark, Markup
from myna.rendering.tokenizer import Tokenizer

OPENING = "[start]"
"""What a user says where the persona opens, and the template wants a user first."""

DAY = date(2024, 7, 26)
"""The day that templates see which write today's: what is trained must not change with it.
Llama 3.1's own default."""

_GENERATION = re.compile(r"\{%(-?)\s*(end)?generation\s*(-?)%\}")
"""Marks for trainers that read masks out of templates; nothing else knows them."""


def chat(tokenizer: Tokenizer) -> Markup:
    """The markup of the base's chat template: the persona is `assistant`, all else `user`.

    Where the template has no role for a system line, it opens the first user's content.

    Raises:
        SettingsError: there is no template, or it cannot be taken apart.
        ModelError: the files of the tokenizer are damaged.
    """
    template = _Template(tokenizer)
    found = template.apart(folded=False) or template.apart(folded=True)
    if found is None:
        raise SettingsError(
            f"the chat template of {tokenizer.folder.name} cannot be taken apart "
            f'({template.why}): use rendering = "transcript"'
        )
    lead = found.to_own[len(found.to_own.rstrip(" ")) :]
    to_user = _marks(found.to_user, tokenizer)
    ending = _ending(to_user)
    if not ending:
        raise SettingsError(
            f"the chat template of {tokenizer.folder.name} ends replies with no control token: "
            'use rendering = "transcript"'
        )
    if tokenizer.control_id(ending[-1].text) not in tokenizer.ends:
        raise SettingsError(
            f"the chat template of {tokenizer.folder.name} ends replies with {ending[-1].text}, "
            "where no engine would stop: add its id to eos_token_id in generation_config.json, "
            'or use rendering = "transcript"'
        )
    name = Mark(":", named=True)
    return Markup(
        style="chat",
        opening=_marks(found.before, tokenizer),
        between={
            "start>other": (*_marks(found.start_user, tokenizer), name),
            "start>own": _marks(found.start_own.removesuffix(lead), tokenizer),
            "start>end": (),
            "own>other": (*ending, *to_user[len(ending) :], name),
            "own>own": (Mark("\n"),),
            "own>end": ending,
            "other>own": _marks(found.to_own.removesuffix(lead), tokenizer),
            "other>other": (Mark("\n"), name),
            "other>end": (),
        },
        own_lead=lead,
        per_persona=True,
        escaped=("other",),
    )


@dataclass(frozen=True)
class _Pieces:
    """What stands before the system line, and from one content to the next."""

    before: str
    start_user: str
    start_own: str
    to_own: str
    to_user: str


class _Template:
    """A base's template, rendered in a sandbox: no file, no module, no code of the base's."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        from jinja2 import TemplateError
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = DAY.strftime
        environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
        self.why = ""
        self._error = TemplateError
        self._tokens = _named_tokens(tokenizer)
        try:
            self._template = environment.from_string(_source(tokenizer))
        except TemplateError as error:
            raise SettingsError(
                f"the chat template of {tokenizer.folder.name} cannot be read ({error}): "
                'use rendering = "transcript"'
            ) from error

    def rendered(self, messages: Sequence[dict[str, str]]) -> str | None:
        """The text of messages, or None where the template refuses them."""
        try:
            return self._template.render(
                messages=messages,
                add_generation_prompt=False,
                enable_thinking=False,
                tools=None,
                documents=None,
                **self._tokens,
            )
        except (self._error, ValueError, TypeError, LookupError, ArithmeticError) as error:
            self.why = " ".join(str(error).split())[:80]
            return None

    def apart(self, *, folded: bool) -> _Pieces | None:
        """The template in pieces; None where that is not all that it does.

        `folded` says that the system line opens the first user's content.
        """
        found = self._cut("uauau", folded=folded)
        if found is None:
            return None
        before, start_user, to_own, to_user, *again = found
        if again[:2] != [to_own, to_user]:
            self.why = "what stands between two turns is not always the same"
            return None
        many = self._cut("ua" * 5 + "u", folded=folded, odd=" – a {{ b }}\n\n<c> %")
        if many is None or many[:-1] != [before, start_user, *[to_own, to_user] * 5]:
            self.why = self.why or "what it makes of many turns is not what it makes of each"
            return None
        # Where the system line is a user's already, it may stand there alone.
        start_own = to_own if folded else f"{start_user}{OPENING}{to_own}"
        opened = None if folded else self._cut("auau", folded=False)
        if opened and [opened[0], *opened[2:5]] == [before, to_user, to_own, to_user]:
            start_own = opened[1]
        return _Pieces(before, start_user, start_own, to_own, to_user)

    def _cut(self, roles: str, *, folded: bool, odd: str = "") -> list[str] | None:
        """A rendering cut at its contents: the system line and a turn for each of `roles`."""
        contents = [f"Qx{number}{odd}xQ" for number in range(len(roles) + 1)]
        names = {"u": "user", "a": "assistant"}
        talk = [
            {"role": names[role], "content": text}
            for role, text in zip(roles, contents[1:], strict=True)
        ]
        if folded:
            talk[0]["content"] = f"{contents[0]}\n\n{contents[1]}"
        else:
            talk.insert(0, {"role": "system", "content": contents[0]})
        left = self.rendered(talk)
        if left is None:
            return None
        pieces = []
        for content in contents:
            piece, found, left = left.partition(content)
            if not found:
                self.why = "it changes contents, or puts them in another order"
                return None
            pieces.append(piece)
        # What comes after the last content is of no interest: there the next turn follows.
        return [*pieces, left]


def _refuse(why: str) -> None:
    raise ValueError(why)


def _source(tokenizer: Tokenizer) -> str:
    path = tokenizer.folder / "chat_template.jinja"
    if path.is_file():
        found: Any = path.read_text("utf-8")
    else:
        found = tokenizer.settings.get("chat_template")
    if isinstance(found, list):  # several by name
        found = next((one["template"] for one in found if one.get("name") == "default"), None)
    if not isinstance(found, str):
        raise SettingsError(
            f"{tokenizer.folder.name} has no chat template: use rendering = "
            '"transcript", the best for bases that never learned to chat'
        )
    return _GENERATION.sub(
        lambda tag: f"{{%{tag[1]} {'endif' if tag[2] else 'if true'} {tag[3]}%}}", found
    )


def _named_tokens(tokenizer: Tokenizer) -> dict[str, str]:
    """The tokens that templates know by name, such as bos_token."""
    named = {
        name: token.get("content") if isinstance(token, dict) else token
        for name, token in tokenizer.settings.items()
        if name.endswith("_token")
    }
    return {name: token for name, token in named.items() if isinstance(token, str)}


def _marks(literal: str, tokenizer: Tokenizer) -> tuple[Mark, ...]:
    """A literal piece of a template, its control tokens apart."""
    return tuple(Mark(text, control) for text, control in tokenizer.apart(literal))


def _ending(to_user: Sequence[Mark]) -> tuple[Mark, ...]:
    """What ends a reply, of what follows it: all up to its first control token."""
    for place, mark in enumerate(to_user, 1):
        if mark.control:
            return tuple(replace(one, trained="ends") for one in to_user[:place])
    return ()


CHATML = ("<|im_start|>", "<|im_end|>")

_NEWLINE, _CUE = Mark("\n"), Mark(":", named=True)
_OPENING, _OPENING_CUE = Mark("\n", trained="opens"), Mark(":", named=True, trained="opens")


def of(rendering: str, tokenizer: Tokenizer) -> Markup:
    """The markup of a rendering for a base.

    Raises:
        SettingsError: the base cannot be trained with it.
        ModelError: the base's files are damaged.
    """
    if rendering == "transcript":
        return TRANSCRIPT
    if rendering == "names":
        return _names(tokenizer)
    if rendering == "mind-upload":
        return _mind_upload(tokenizer)
    return chat(tokenizer)


def _names(tokenizer: Tokenizer) -> Markup:
    """ChatML with names as roles.

    Without its tokens the model would have to learn the markers from scratch: for those
    bases a transcript is the better text.
    """
    missing = [token for token in CHATML if tokenizer.control_id(token) is None]
    if missing:
        raise SettingsError(
            f'rendering = "names" needs the control token {missing[0]}, which '
            f'{tokenizer.folder.name} does not have: use "transcript" or "chat"'
        )
    start, end = (Mark(token, control=True) for token in CHATML)
    ending = tuple(
        Mark(mark.text, mark.control, mark.named, "ends")
        for mark in (end, _NEWLINE, start, Mark("\n", named=True))
    )
    header = (end, _NEWLINE)
    return Markup(
        style="names",
        opening=(*_bos(tokenizer), start, Mark("system\n")),
        between={
            "start>other": (*header, start, Mark("\n", named=True)),
            "start>end": header,
            "other>other": ending,
            "other>end": ending[:2],
        },
        own_lead="",
        other_lead="",
        escaped=(),
    )


def _mind_upload(tokenizer: Tokenizer) -> Markup:
    return Markup(
        style="mind-upload",
        opening=_bos(tokenizer),
        between={
            "start>other": (_NEWLINE, _CUE),
            "start>own": (_OPENING, _OPENING_CUE),
            "start>end": (),
            "own>other": (Mark("\n", trained="ends"), _CUE),
            "own>own": (_NEWLINE,),
            "own>end": (Mark(tokenizer.token(tokenizer.eos), control=True, trained="ends"),),
            "other>own": (_OPENING, _OPENING_CUE),
            "other>other": (_NEWLINE, _CUE),
            "other>end": (),
        },
        per_persona=True,
    )


def _bos(tokenizer: Tokenizer) -> tuple[Mark, ...]:
    return tuple(Mark(tokenizer.token(number), control=True) for number in tokenizer.bos)
