"""What clients of the room API send. Fields that nobody here knows are errors: a slip is
not ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from myna.persona.histories import LONGEST, LONGEST_ID

MOST_PEOPLE = 100
MOST_TURNS = 50


def _in_a_path(text: str) -> str:
    if not text.isprintable() or not text.strip(". ") or "/" in text:
        raise ValueError("use printable characters without /, and not dots alone")
    return text


_Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID), AfterValidator(_in_a_path)]
"""What paths name: clients resolve `.` and `..`, and servers take `/` for the next part."""
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_People = Annotated[list[_Name], Field(max_length=MOST_PEOPLE)]
_Audience = Literal["owner"] | _People | None


class _Sent(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class NewRoom(_Sent):
    """A room to be made."""

    id: _Id
    humans: _People = []
    personas: _People | None = None
    audience: _Audience = None
    """Who can read the room: "owner", or people by name; null: unknown."""


class Changes(_Sent):
    """What is to be otherwise in a room."""

    chat: dict[str, Any] | None = None
    """Settings of `[chat]` for this room alone; null goes back to the clone's."""
    notes: dict[str, Any] | None = None
    """What a front end wants to keep with the room."""
    audience: _Audience = None


class Who(_Sent):
    """Somebody."""

    name: _Name


class Said(_Sent):
    """A message."""

    person: _Name | None = None
    text: str = Field(max_length=LONGEST)
    key: _Id | None = None
    to: _People = []


class NewText(_Sent):
    """Other words."""

    text: str = Field(max_length=LONGEST)


class Speak(_Sent):
    """A turn that is asked for."""

    person: _Name | None = None
    among: _People | None = None
    opening: str = Field("", max_length=LONGEST)


class Play(_Sent):
    """Turns that are asked for."""

    turns: int = Field(6, ge=1, le=MOST_TURNS)
    among: _People | None = None
    until_human: bool = False
