r"""What stands between turns: a rendering as data, the same for training and for chats.

A markup says what goes before the system line, what goes from one turn to the next, and
which of it is trained. Renderings that make one sample for everybody know only `other`
turns; those that make one for each persona know the persona's `own` turns as well.

    transcript   A chat in tea: Ana, Ben.\nBen: tea?\nAna: always\n
    names        <|im_start|>Ben\ntea?<|im_end|>\n<|im_start|>Ana\nalways<|im_end|>\n
    mind-upload  <s>A chat in tea: Ana, Ben.\nBen: tea?\nAna: always</s>
    chat         by the base's own template: see `myna.rendering.renderings`
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["start", "own", "other", "end"]
"""What a turn is to a sample; and its two ends."""

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


_NEWLINE, _CUE = Mark("\n"), Mark(":", named=True)
_ENDING, _ENDING_CUE = Mark("\n", trained="ends"), Mark(":", named=True, trained="ends")

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
