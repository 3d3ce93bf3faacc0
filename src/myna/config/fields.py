"""Types of settings that several sections share, and the sampling parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from myna.errors import SettingsError


class Section(BaseModel):
    """A table of myna.toml; an unknown key is an error, so that no typo is ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
MaxTokens = Annotated[int, Field(ge=1)]
Redraws = Annotated[int, Field(ge=0, le=20)]


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters of a reply.

    Applied in this order: repetition_penalty, top_k, top_p, min_p, temperature.
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
    """Penalty on the last 64 tokens; 1: none."""
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
