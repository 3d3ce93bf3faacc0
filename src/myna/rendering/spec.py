r"""A rendering as data: all text that stands around what people wrote, and what of it is trained.

Samples and prompts are made by the same spec. A rendering that makes one sample for
everybody has only `other` turns; one with samples per persona has that persona's `own` too.

    transcript   A chat in tea: Ana, Ben.\nBen: tea?\nAna: always\n
    names        <|im_start|>Ben\ntea?<|im_end|>\n<|im_start|>Ana\nalways<|im_end|>\n
    mind-upload  <s>A chat in tea: Ana, Ben.\nBen: tea?\nAna: always</s>
    chat         by the base's own template: see `myna.rendering.renderings`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["start", "own", "other", "end"]
"""The role of a turn in a sample; "start" and "end" stand for the ends of the sample."""

CHATML_ROLES = frozenset(("system", "user", "assistant", "tool", "developer"))
"""ChatML's own roles: there, no person can have such a name."""


@dataclass(frozen=True)
class Delimiter:
    """A piece of the text between turns.

    Attributes:
        text: its text; of a control token, the token as it is written.
        control: True for a control token.
        named: True if the name of the next speaker stands before `text`.
        trained: "ends" if it is trained as the end of the turn before it, "opens" if as the
            opening of the turn behind it, "" if it is context.
    """

    text: str
    control: bool = False
    named: bool = False
    trained: Literal["", "ends", "opens"] = ""


@dataclass(frozen=True)
class RenderingSpec:
    """A rendering.

    Attributes:
        name: the name in the settings.
        opening: the delimiters before the system line.
        header_end: the text that ends the system line.
        between: the delimiters from one turn to the next, by "role>role".
        own_prefix: the text before the persona's own words.
        other_prefix: the text before everybody else's words.
        per_persona: True if each persona has samples of their own.
        escaped: the roles in whose text no line may look like the beginning of a turn.
        add_special_tokens: True if the tokens that the base wants around any text (BOS, EOS)
            are added, as they are not in `opening` and `between`.
    """

    name: str
    opening: tuple[Delimiter, ...]
    between: dict[str, tuple[Delimiter, ...]]
    header_end: str = ""
    own_prefix: str = " "
    other_prefix: str = " "
    per_persona: bool = False
    escaped: tuple[Role, ...] = ("own", "other")
    add_special_tokens: bool = False

    @property
    def predicts_next_speaker(self) -> bool:
        """True if the model itself writes the name of the next speaker."""
        return not self.per_persona

    @property
    def ends_with_control_token(self) -> bool:
        """True if a control token ends a persona's turn, so that any line may stand in it."""
        ending = self.between["own>other" if self.per_persona else "other>other"]
        return any(delimiter.control and delimiter.trained == "ends" for delimiter in ending)

    def written_name(self, person: str) -> str:
        """The name of a person as delimiters have it."""
        return f"{person}_" if self.name == "names" and person in CHATML_ROLES else person

    def role(self, person: str, persona: str | None) -> Role:
        """The role of a person's turns in the samples of a persona."""
        return "own" if self.per_persona and person == persona else "other"

    def prefix(self, role: Role) -> str:
        """The text before the words of a turn."""
        return self.own_prefix if role == "own" else self.other_prefix


TRANSCRIPT = RenderingSpec(
    name="transcript",
    opening=(),
    header_end="\n",
    between={
        "start>other": (Delimiter(":", named=True),),
        "start>end": (),
        "other>other": (
            Delimiter("\n", trained="ends"),
            Delimiter(":", named=True, trained="ends"),
        ),
        "other>end": (Delimiter("\n", trained="ends"),),
    },
    add_special_tokens=True,
)
