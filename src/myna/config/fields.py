"""Kinds of settings that several sections have."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from myna.errors import SettingsError


class Section(BaseModel):
    """A table of myna.toml: unknown keys are errors, so that a slip is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def seconds(duration: str) -> float:
    """The seconds in "4m", "90s", "1h30m" or "1.5h".

    Raises:
        SettingsError: it is none of these.

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
    """A list, as `--set` gives it: with commas."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


Day = Annotated[str, AfterValidator(_day)]
LISTED = BeforeValidator(_listed)
"""Takes text with commas for a list."""

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


def is_here(url: str) -> bool:
    """Whether an address is this machine's own."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
