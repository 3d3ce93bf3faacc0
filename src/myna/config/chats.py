"""The settings for messages: filter, redaction, quality, conversations and splits."""

from __future__ import annotations

import zoneinfo
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from myna.config.fields import COMMA_SEPARATED, Address, Day, Names, Section, is_loopback

_NAMES = 'Names with * and ?; "!name" excludes; [] is all.'


class Filter(Section):
    """The messages that count. `myna channels` and `myna people` list the names."""

    spaces: Names = Field([], description=f"Servers and groups. {_NAMES}")
    channels: Names = Field([], description=f"Channels and chats. {_NAMES}")
    threads: Names = Field([], description=f"Threads. {_NAMES}")
    people: Names = Field([], description=f"Authors. {_NAMES}")
    since: Day = Field("", description='The first day, such as "2020-01-31" (in UTC).')
    until: Day = Field("", description="The last day.")
    min_messages: int = Field(
        100,
        ge=0,
        description="Who has fewer messages to train on than this, and than a tenth of the "
        "busiest person's, is not cloned: too little to tell them from others. 0: all are.",
    )


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
"""The types of personal data that redaction knows."""


class Redaction(Section):
    """Personal data in messages, replaced before training."""

    style: Literal["placeholder", "fake", "off"] = Field(
        "placeholder",
        description="placeholder: [email] and the like; fake: made-up values; off: no redaction.",
    )
    types: Annotated[list[PersonalData], COMMA_SEPARATED] = Field(
        list(get_args(PersonalData)), description="Types of personal data to replace."
    )
    presidio: bool = Field(
        False, description="Also search with Microsoft's Presidio: pip install 'myna[presidio]'."
    )
    seed: str = Field("", description='Seed of the made-up values; "": new values each time.')


class Quality(Section):
    """A model that scores conversations, so that poor ones can be left out; optional."""

    action: Literal["keep", "context", "drop"] = Field(
        "keep",
        description="Action for conversations with a low score; keep: no model is asked.",
    )
    url: Address = Field(
        "http://127.0.0.1:8080/v1",
        description="An OpenAI-compatible server; its API key, if any, is in $MYNA_QUALITY_KEY.",
    )
    model: str = Field("", description='Model name on the server; "": its only one.')
    threshold: float = Field(3, ge=0, le=10, description="Lower scores are poor; 10 is the best.")
    batch: int = Field(4, ge=1, le=64, description="Conversations in one request.")
    timeout: float = Field(120, gt=0, le=3600, description="Seconds to wait for an answer.")
    allow_remote: bool = Field(
        False,
        description="Let redacted texts leave this machine if url is another one.",
    )

    @model_validator(mode="after")
    def _check_is_local(self) -> Quality:
        if self.action != "keep" and not self.allow_remote and not is_loopback(self.url):
            raise ValueError(
                f"{self.url} is another machine, and would read your chats: "
                "set allow_remote = true to allow it"
            )
        return self


def _zone(entry: str) -> str:
    """Check a time zone, perhaps behind a source and a sign of equality."""
    name = entry.rpartition("=")[2].strip()
    known = zoneinfo.available_timezones()  # empty on Windows without tzdata
    if known and name not in known:
        raise ValueError(f"'{name}' is no time zone: write it as Europe/Berlin")
    return entry


class Conversations(Section):
    """The borders of conversations."""

    zones: Annotated[list[Annotated[str, AfterValidator(_zone)]], COMMA_SEPARATED] = Field(
        [],
        description="The time zone of exports that do not say theirs: "
        '"Europe/Berlin", or of one source "whatsapp=Europe/Berlin".',
    )

    gap_minutes: Annotated[float, Field(gt=0, le=1e9)] | Literal["auto"] = Field(
        60.0,
        description="A longer silence in a channel ends the conversation; "
        '"auto": estimated for each channel.',
    )
    disentangle: bool = Field(
        False,
        description="Separate simultaneous conversations, by names, replies, times and words.",
    )


class Split(Section):
    """Shares held out, by time and per channel: the newest is `test`, before it `validation`."""

    validation: float = Field(0.05, ge=0, lt=0.5, description="Share held out for early stopping.")
    test: float = Field(0.10, ge=0, lt=0.5, description="Share held out for reports only.")
    min_replies: int = Field(
        20,
        ge=0,
        description="The test share grows (up to 0.2) until each person has so many messages.",
    )
