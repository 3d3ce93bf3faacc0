"""The ledger: what came in, what went out, and why the rest did not.

In = dropped + demoted to context + held out (validation, test) + trained, always, in messages
and in characters. A ledger that does not balance is a defect of myna, and says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Action = Literal["drop", "context", "validation", "test", "train"]
ACTIONS: tuple[Action, ...] = ("drop", "context", "validation", "test", "train")
EXAMPLES = 3


@dataclass
class Row:
    """What one rule did."""

    rule: str
    action: Action
    why: str
    messages: int = 0
    characters: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class Share:
    """What became of one person's words, in characters."""

    person: str
    characters: int = 0
    train: int = 0
    validation: int = 0
    test: int = 0
    replies: dict[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> float:
        """The share that is trained, of all that is not held out."""
        open_ = self.characters - self.validation - self.test
        return self.train / open_ if open_ else 0.0


@dataclass
class Ledger:
    """A stage's account."""

    messages: int = 0
    characters: int = 0
    rows: list[Row] = field(default_factory=list)
    people: list[Share] = field(default_factory=list)
    redacted: dict[str, int] = field(default_factory=dict)
    """How many of each type of personal data were replaced."""
    notes: list[str] = field(default_factory=list)
    """What else is to say, in sentences."""

    def total(self, action: Action) -> int:
        """The messages that met this action."""
        return sum(row.messages for row in self.rows if row.action == action)

    def imbalance(self) -> int:
        """Messages that came in and are nowhere; 0 in a sound ledger."""
        return self.messages - sum(row.messages for row in self.rows)

    @property
    def balanced(self) -> bool:
        """Whether all messages, and all of their characters, are accounted for."""
        return not self.imbalance() and self.characters == sum(r.characters for r in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Plain data for ledger.json and `--json`."""
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
    """The ledger that `to_json` wrote."""
    people = [{k: v for k, v in share.items() if k != "kept"} for share in data["people"]]
    return Ledger(
        data["messages"],
        data["characters"],
        [Row(**row) for row in data["rows"]],
        [Share(**share) for share in people],
        data["redacted"],
        data.get("notes", []),
    )
