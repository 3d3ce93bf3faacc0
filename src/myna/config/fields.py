"""Types of settings that several sections share, and the sampling parameters."""

from __future__ import annotations

import re
import string
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
)

from myna.errors import SettingsError

MAX_INTEGER = 2**53
"""The largest whole number that JSON, TOML and every library agree on."""


def check_fields(template: str, known: Collection[str]) -> None:
    """Check that a template has only plain fields, such as {name}: a format can be endless.

    Raises:
        ValueError: there is another field, a format, a conversion, or a single brace.
    """
    for _, name, form, conversion in string.Formatter().parse(template):
        if name is not None and (name not in known or form or conversion):
            raise ValueError(f"not {{{name}{'!' * bool(conversion)}{':' * bool(form)}}}")


class Section(BaseModel):
    """A table of myna.toml; an unknown key is an error, so that no typo is ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _check_size(cls, value: Any) -> Any:
        """Refuse numbers that no library takes: of more than 53 bits."""
        if type(value) is int and abs(value) > MAX_INTEGER:
            raise ValueError(f"is at most {MAX_INTEGER:,}")
        return value


def seconds(duration: str) -> float:
    """Parse a duration such as "4m", "90s", "1h30m" or "1.5h" into seconds.

    Raises:
        SettingsError: the text is no duration.
    """
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", duration.strip())
    try:
        total = sum(
            float(number) * unit
            for number, unit in zip(match.groups() if match else (), (3600, 60, 1), strict=False)
            if number
        )
    except ValueError:
        total = 0.0
    if total <= 0:
        raise SettingsError(f"'{duration}' is no duration: write it as 4m, 90s or 1h30m")
    return total


def _duration(value: str) -> str:
    try:
        seconds(value)
    except SettingsError as error:
        raise ValueError(str(error)) from error
    return value


Duration = Annotated[str, AfterValidator(_duration)]
Budget = Annotated[str, AfterValidator(lambda value: value and _duration(value))]


def _day(value: str) -> str:
    if value and date.fromisoformat(value).isoformat() != value:
        raise ValueError(f"'{value}' is no day: write it as 2024-01-31")
    return value


def _split_at_commas(value: object) -> object:
    """Split text at commas; `--set` gives lists as such text."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


Day = Annotated[str, AfterValidator(_day)]
COMMA_SEPARATED = BeforeValidator(_split_at_commas)

Names = Annotated[list[str], COMMA_SEPARATED]


def _address(value: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("write it as http://127.0.0.1:8000")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("write only the address: a key belongs into the environment")
    _ = parts.port  # raises ValueError for an invalid port
    return value.rstrip("/")


Address = Annotated[str, AfterValidator(_address)]


def is_loopback(url: str) -> bool:
    """True if the host of a URL is this machine."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


MAX_TEMPERATURE = 2

Temperature = Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)]
TopP = Annotated[float, Field(ge=0, le=1)]
TopK = Annotated[int, Field(ge=0)]
MinP = Annotated[float, Field(ge=0, le=1)]
RepetitionPenalty = Annotated[float, Field(gt=0, le=10)]
TokenPenalty = Annotated[float, Field(ge=-2, le=2)]
DryMultiplier = Annotated[float, Field(ge=0, le=10)]
DryBase = Annotated[float, Field(ge=1, le=4)]
DryAllowedLength = Annotated[int, Field(ge=1, le=100)]
DryWindow = Annotated[int, Field(ge=1, le=100_000)]
MaxTokens = Annotated[int, Field(ge=1)]
Redraws = Annotated[int, Field(ge=0, le=20)]


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters of a reply.

    Applied in this order: penalties (repetition, presence, frequency), DRY, top_k, top_p,
    min_p, temperature. The defaults of the penalties and of `dry_multiplier` are "off".

    DRY ("don't repeat yourself"): a token that would continue a repeat of n tokens loses
    dry_multiplier * dry_base ** (n - dry_allowed_length) of its logit, if n is at least
    dry_allowed_length. A repeat begins after the last sequence breaker, and tokens that hold
    a breaker are never penalised. Formula: the pull request that proposed it,
    https://github.com/oobabooga/text-generation-webui/pull/5677.
    """

    temperature: Temperature = 0.9
    """Higher is more random; 0 is greedy decoding."""
    top_p: TopP = 0.95
    """Nucleus threshold: keep the most probable tokens of this total probability; 1: all."""
    top_k: TopK = 0
    """Keep the k most probable tokens; 0: all."""
    min_p: MinP = 0.05
    """Drop tokens less probable than this share of the most probable one; 0: none."""
    repetition_penalty: RepetitionPenalty = 1.0
    """Divides positive logits (multiplies negative ones) of the last 64 tokens; 1: none."""
    presence_penalty: TokenPenalty = 0.0
    """Taken off the logit of each of the last 64 tokens, as in OpenAI's API; 0: none."""
    frequency_penalty: TokenPenalty = 0.0
    """The same once for each time that the token is among them; 0: none."""
    dry_multiplier: DryMultiplier = 0.0
    """Strength of DRY; 0: off."""
    dry_base: DryBase = 1.75
    """Growth of DRY's penalty with each repeated token."""
    dry_allowed_length: DryAllowedLength = 3
    """Repeats of fewer tokens are free of DRY."""
    dry_window: DryWindow = 768
    """Number of last tokens, prompt included, in which DRY looks for repeats."""
    dry_sequence_breakers: tuple[str, ...] = ("\n",)
    """Texts after which DRY begins to count anew: the ends of lines, and the names before them."""
    max_new_tokens: MaxTokens = 160
    """Longest reply, in tokens."""
    seed: int | None = None
    """Seed of the sampling; None: another one each time."""
    max_redraws: Redraws = 3
    """Times that a line which was just said is drawn again; 0: never. Not for engines."""

    def narrowed(self, max_new_tokens: int | None = None, **changes: Any) -> Sampling:
        """Return a copy with `changes` and the smaller of both `max_new_tokens`."""
        own = self.max_new_tokens
        smaller = own if max_new_tokens is None else min(max_new_tokens, own)
        return replace(self, max_new_tokens=smaller, **changes)
