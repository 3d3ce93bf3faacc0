"""The ledger: messages in, messages out, and the reason for each difference.

In = dropped + demoted to context + held out (validation, test) + trained, always, in messages
and in characters. A ledger that does not balance is a bug in myna, and says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Action = Literal["drop", "context", "validation", "test", "train"]
ACTIONS: tuple[Action, ...] = ("drop", "context", "validation", "test", "train")
MAX_EXAMPLES = 3


@dataclass
class LedgerRow:
    """The messages that met one rule, and its action."""

    rule: str
    action: Action
    why: str
    messages: int = 0
    characters: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class PersonShare:
    """One person's characters, by split."""

    person: str
    characters: int = 0
    train: int = 0
    validation: int = 0
    test: int = 0
    replies: dict[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> float:
        """The trained share of the characters that are not held out."""
        available = self.characters - self.validation - self.test
        return self.train / available if available else 0.0


@dataclass(frozen=True)
class Taken:
    """The characters of one person that one rule took, and the number of a message of these."""

    person: int
    rule: str
    action: Action
    characters: int
    example: int


@dataclass
class Ledger:
    """The account of all messages that a stage read."""

    messages: int = 0
    characters: int = 0
    rows: list[LedgerRow] = field(default_factory=list)
    people: list[PersonShare] = field(default_factory=list)
    redacted: dict[str, int] = field(default_factory=dict)
    """Replacements by type of personal data."""
    notes: list[str] = field(default_factory=list)
    """Further remarks, in sentences."""
    taken: list[Taken] = field(default_factory=list)
    """Characters of people that rules dropped or made context; not written to ledger.json."""

    def total(self, action: Action) -> int:
        """Count the messages with this action."""
        return sum(row.messages for row in self.rows if row.action == action)

    def imbalance(self) -> int:
        """Count the messages that came in and are in no row; 0 in a sound ledger."""
        return self.messages - sum(row.messages for row in self.rows)

    @property
    def balanced(self) -> bool:
        """True if all messages, and all of their characters, are accounted for."""
        return not self.imbalance() and self.characters == sum(r.characters for r in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ledger.json and `--json`."""
        return {
            "messages": self.messages,
            "characters": self.characters,
            "balanced": self.balanced,
            "totals": {action: self.total(action) for action in ACTIONS},
            "rows": [asdict(row) for row in self.rows],
            "redacted": self.redacted,
            "notes": self.notes,
            "people": [{**asdict(share), "kept": round(share.kept, 4)} for share in self.people],
        }


def from_json(data: dict[str, Any]) -> Ledger:
    """Read the ledger that `to_json` wrote."""
    people = [{k: v for k, v in share.items() if k != "kept"} for share in data["people"]]
    return Ledger(
        data["messages"],
        data["characters"],
        [LedgerRow(**row) for row in data["rows"]],
        [PersonShare(**share) for share in people],
        data["redacted"],
        data.get("notes", []),
    )
