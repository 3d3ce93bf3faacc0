"""Types of settings that several sections share."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from myna.errors import SettingsError


class Section(BaseModel):
    """A table of myna.toml: unknown keys are errors, so that a slip is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def seconds(duration: str) -> float:
    """Read a duration such as "4m", "90s", "1h30m" or "1.5h".

    Raises:
        SettingsError: it is no duration.

    """
    parts = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", duration.strip())
    try:
        total = sum(
            float(number) * unit
            for number, unit in zip(parts.groups() if parts else (), (3600, 60, 1), strict=False)
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


def _listed(value: object) -> object:
    """Split a comma-separated text, as `--set` gives it."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


Day = Annotated[str, AfterValidator(_day)]
LISTED = BeforeValidator(_listed)
"""Also accepts a comma-separated text."""

Names = Annotated[list[str], LISTED]


def _address(value: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("write it as http://127.0.0.1:8000")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("nothing but the address: a key goes into the environment")
    _ = parts.port  # raises ValueError where it is no number
    return value.rstrip("/")


Address = Annotated[str, AfterValidator(_address)]


def is_local(url: str) -> bool:
    """Return True if an address is this machine's own."""
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


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters, and the length of the text.

    The penalty comes first, then top_k, top_p and min_p, each of the tokens that the one
    before it left; the temperature acts on those that remain.
    """

    temperature: Temperature = 0.9
    """Above 1 flattens the probabilities, below sharpens them; 0 is greedy decoding."""
    top_p: TopP = 0.95
    """Nucleus (top-p) threshold: keep the most probable tokens of this total; 1 keeps all."""
    top_k: TopK = 0
    """Keep the k most probable tokens; 0 keeps all."""
    min_p: MinP = 0.05
    """Drop tokens less probable than this share of the most probable one; 0 drops none."""
    repetition_penalty: RepetitionPenalty = 1.0
    """Lowers the odds of the last 64 tokens; 1 leaves them."""
    max_new_tokens: MaxTokens = 160
    """The longest text, in tokens."""
    seed: int | None = None
    """The same seed gives the same text; None draws one."""

    def narrowed(self, max_new_tokens: int | None = None, **changes: Any) -> Sampling:
        """The same with `changes`, and with the smaller of both `max_new_tokens`."""
        own = self.max_new_tokens
        longest = own if max_new_tokens is None else min(max_new_tokens, own)
        return replace(self, max_new_tokens=longest, **changes)
