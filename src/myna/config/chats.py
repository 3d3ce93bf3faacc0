"""Sections on messages: which count, what is redacted, where conversations are split."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from myna.config.fields import LISTED, Address, Day, Names, Section, is_local

_NAMES = 'Names with * and ?; "!name" leaves out. None means all.'


class Filter(Section):
    """Which messages count. `myna channels` and `myna people` print what there is."""

    spaces: Names = Field([], description=f"Servers and groups. {_NAMES}")
    channels: Names = Field([], description=f"Channels and chats. {_NAMES}")
    threads: Names = Field([], description=f"Threads. {_NAMES}")
    people: Names = Field([], description=f"Whose messages. {_NAMES}")
    since: Day = Field("", description='The first day, such as "2020-01-31" (in UTC).')
    until: Day = Field("", description="The last day.")


PersonalData = Literal[
    "email",
    "phone",
    "address",
    "ip",
    "card",
    "iban",
    "id",
    "token",
    "private-key",
    "password",
    "location",
    "invite",
]
"""The types of personal data that are looked for."""


class Redaction(Section):
    """Personal data in messages, replaced before anything is learned from them."""

    style: Literal["placeholder", "fake", "off"] = Field(
        "placeholder",
        description="[email] and the like; values that are plainly made up; or no redaction.",
    )
    types: Annotated[list[PersonalData], LISTED] = Field(
        list(get_args(PersonalData)), description="What to look for."
    )
    presidio: bool = Field(
        False, description="Look with Microsoft's Presidio, too: pip install 'myna[presidio]'."
    )
    seed: str = Field(
        "", description='Of the made-up values; "" takes others each time, and no way leads back.'
    )


class Quality(Section):
    """A model that reads conversations and leaves out the poor ones; nobody needs it."""

    action: Literal["keep", "context", "drop"] = Field(
        "keep",
        description="What becomes of conversations that it finds poor; keep: it is not asked.",
    )
    url: Address = Field(
        "http://127.0.0.1:8080/v1",
        description="Its server, as OpenAI's; the key, if any, is in $MYNA_QUALITY_KEY.",
    )
    model: str = Field("", description='What the server calls the model; "" for its only one.')
    threshold: float = Field(3, ge=0, le=10, description="Scores below are poor; 10 is the best.")
    batch: int = Field(4, ge=1, le=64, description="Conversations that it reads at once.")
    timeout: float = Field(120, gt=0, le=3600, description="Seconds to wait for an answer.")
    allow_remote: bool = Field(
        False,
        description="Let redacted texts leave this machine, where url is another's.",
    )

    @model_validator(mode="after")
    def _near(self) -> Quality:
        if self.action != "keep" and not self.allow_remote and not is_local(self.url):
            raise ValueError(
                f"{self.url} is another machine, and would get your chats to read: "
                "set allow_remote = true if that is meant"
            )
        return self


class Conversations(Section):
    """Where a conversation begins and ends."""

    gap_minutes: Annotated[float, Field(gt=0, le=1e9)] | Literal["auto"] = Field(
        60.0,
        description="A silence longer than this in a channel ends the conversation; "
        '"auto": as the channel\'s own rhythm tells.',
    )
    disentangle: bool = Field(
        False,
        description="Pull apart what is said at once, where people call each other by name.",
    )


class Split(Section):
    """What is held out, by time and per channel: the newest is `test`, before it `validation`."""

    validation: float = Field(
        0.05, ge=0, lt=0.5, description="Share held out to stop training early."
    )
    test: float = Field(0.10, ge=0, lt=0.5, description="Share held out to report on, only.")
    min_replies: int = Field(
        20, ge=0, description="The test share grows (to 0.2 at most) until each person has these."
    )
