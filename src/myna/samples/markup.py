r"""What stands between turns: a rendering as data, the same for training and for chats.

A markup says what goes before the system line, what goes from one turn to the next, and
which of it is trained. Renderings that make one sample for everybody know only `other`
turns; those that make one for each persona know the persona's `own` turns as well.

    transcript   A chat in tea: Ana, Ben.\nBen: tea?\nAna: always\n
    names        <|im_start|>Ben\ntea?<|im_end|>\n<|im_start|>Ana\nalways<|im_end|>\n
    mind-upload  <s>A chat in tea: Ana, Ben.\nBen: tea?\nAna: always</s>
    chat         by the base's own template: see `myna.samples.templates`
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from myna.errors import ModelError, SettingsError
from myna.samples.tokenizer import Tokenizer

Role = Literal["start", "own", "other", "end"]
"""What a turn is to a sample; and its two ends."""

CHATML = ("<|im_start|>", "<|im_end|>")
ROLES = frozenset(("system", "user", "assistant", "tool", "developer"))
"""ChatML's own roles: nobody may be called so there."""


@dataclass(frozen=True)
class Mark:
    """A piece of what stands between turns.

    Attributes:
        text: of it; of a control token, as it is written.
        control: whether it is a control token.
        named: whether the name of who speaks next stands before `text`.
        trained: with what it is trained: "ends" with the turn before, "opens" with the turn
            behind it.
    """

    text: str
    control: bool = False
    named: bool = False
    trained: Literal["", "ends", "opens"] = ""


@dataclass(frozen=True)
class Markup:
    """A rendering.

    Attributes:
        style: its name.
        opening: what goes before the system line.
        header_end: what the system line itself ends with.
        between: what goes from one turn to the next, by "role>role".
        own_lead: what a persona's own words begin with.
        other_lead: what everybody else's begin with.
        per_persona: whether each persona has samples of their own.
        escaped: the roles in whose text a line must not look like somebody's turn.
        bare: whether the tokens that the base wants around any text are not in `opening`
            and `between`.
    """

    style: str
    opening: tuple[Mark, ...]
    between: dict[str, tuple[Mark, ...]]
    header_end: str = ""
    own_lead: str = " "
    other_lead: str = " "
    per_persona: bool = False
    escaped: tuple[Role, ...] = field(default=("own", "other"))
    bare: bool = False

    @property
    def names_next(self) -> bool:
        """Whether the model itself names who speaks next."""
        return not self.per_persona

    @property
    def ends_by_token(self) -> bool:
        """Whether a control token ends a persona's turn, so that any line may stand in it."""
        ending = self.between["own>other" if self.per_persona else "other>other"]
        return any(mark.control and mark.trained == "ends" for mark in ending)

    def called(self, name: str) -> str:
        """A name as it stands in marks."""
        return f"{name}_" if self.style == "names" and name in ROLES else name

    def role(self, person: str, persona: str | None) -> Role:
        """What a person's turn is in the samples of a persona."""
        return "own" if self.per_persona and person == persona else "other"

    def lead(self, role: Role) -> str:
        """What the words of a turn begin with."""
        return self.own_lead if role == "own" else self.other_lead

    def to_json(self) -> dict[str, Any]:
        """Plain data, for a manifest."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data


def from_json(data: dict[str, Any]) -> Markup:
    """The markup that `to_json` wrote.

    Raises:
        ModelError: it is damaged.
    """
    try:
        return msgspec.convert(data, Markup)
    except msgspec.ValidationError as error:
        raise ModelError(f"the stored rendering is damaged ({error}): train anew") from error


_NEWLINE, _CUE = Mark("\n"), Mark(":", named=True)
_ENDING, _ENDING_CUE = Mark("\n", trained="ends"), Mark(":", named=True, trained="ends")
_OPENING, _OPENING_CUE = Mark("\n", trained="opens"), Mark(":", named=True, trained="opens")

TRANSCRIPT = Markup(
    style="transcript",
    opening=(),
    header_end="\n",
    between={
        "start>other": (_CUE,),
        "start>end": (),
        "other>other": (_ENDING, _ENDING_CUE),
        "other>end": (_ENDING,),
    },
    bare=True,
)


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
    from myna.samples.templates import chat  # jinja2, for those who use it

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
            "own>other": (_ENDING, _CUE),
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
