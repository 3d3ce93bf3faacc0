"""The bot's log: on standard error, and never a secret in it."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from typing import TextIO

# A webhook's address holds its token ("Webhook Resource", Discord's developer reference);
# whoever has it can write in the channel. So does an interaction's.
_ADDRESS = re.compile(r"((?:webhooks|interactions)/[0-9]+/)[\w.-]+")


class _Redacting(logging.Formatter):
    """Formats a record with its trace, and takes secrets out of all of it."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")
        self._secrets = [secret for secret in secrets if secret]

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        return _ADDRESS.sub(r"\1[secret]", line)


def to(stream: TextIO, secrets: Collection[str], *, debug: bool = False) -> logging.Handler:
    """Write the log to a stream, without these secrets, from now on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Redacting(secrets))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.WARNING)
    logging.getLogger("myna").setLevel(logging.DEBUG if debug else logging.INFO)
    return handler
