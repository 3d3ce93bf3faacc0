"""Typed metadata of the artifacts in a workspace: prepared samples and trained adapters.

    prepared/prepared.json         PreparedInfo
    adapters/NAME/adapter.json     AdapterInfo
    adapters/NAME/canaries.json    only of a throwaway adapter: the secrets in its training data
    exports.json                   ExportRecord, one for each export

Each is written by its stage and read by all later ones, with the same checks and messages.
Nothing in them depends on the defaults of the version that reads: a file that lacks a field,
or has one too many, is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from myna.config import PersonaSampling, Redaction, Rules, Samples
from myna.errors import ModelError, WorkspaceError
from myna.people import Person
from myna.people.accounts import account_hash
from myna.people.consent_checker import Trained, TrainedPerson
from myna.rendering.spec import TRANSCRIPT, RenderingSpec
from myna.workspace import Workspace, read_json, read_manifest, write_json

PREPARED_FILE, ADAPTER_FILE = "prepared.json", "adapter.json"
CANARIES_FILE = "canaries.json"
"""In an adapter's folder: it has random secrets in it, to be measured and never to be used."""

Info = TypeVar("Info")


@dataclass(frozen=True)
class PromptFormat:
    """The settings by which messages become prompt tokens, besides the tokenizer.

    Samples are made with it, adapters keep it, and every prompt at chat time is made with it.
    """

    samples: Samples
    """With the system lines of the rendering filled in."""
    rules: Rules
    """With the preset and the defaults of the version that made the samples filled in."""
    redaction: Redaction
    """Without its secret, so that made-up values cannot be traced back."""
    spec: RenderingSpec = TRANSCRIPT


@dataclass(frozen=True)
class Channel:
    """A channel that samples come from, with the people in it, the most active first."""

    space: str
    channel: str
    people: list[str]
    source: str = ""
    """The platform."""
    messages: int = 0


@dataclass(frozen=True)
class SpeakingHabits:
    """A persona's amounts of lines and repeats in the train split, for drawing turns."""

    messages: int
    """Messages counted."""
    short_repeats: float = 0.0
    """Share of short lines that repeat one of the twelve before, by anybody."""
    long_repeats: float = 0.0
    """Share of longer lines that do, or of which most word pairs were just said."""
    max_lines: int = 20
    """Lines of a turn that 99 of 100 of their turns do not exceed."""


@dataclass(frozen=True)
class PreparedInfo:
    """Metadata of prepared samples."""

    tokenizer_fingerprint: str
    samples_fingerprint: str
    """SHA-256 of samples.parquet."""
    format: PromptFormat
    personas: list[str]
    """The people who may be cloned and have words in the train split."""
    channels: list[Channel]
    """The busiest first."""
    messages: int
    """Messages read, before any was left out."""
    conversations: int
    samples: dict[str, int]
    """Number of samples by split."""
    tokens: int
    trained_tokens: int
    habits: dict[str, SpeakingHabits] = field(default_factory=dict)
    """Of each persona."""

    def save(self, folder: Path) -> None:
        """Write the metadata into the folder of the samples."""
        write_json(folder / PREPARED_FILE, _plain(self))

    @classmethod
    def load(cls, workspace: Workspace) -> PreparedInfo:
        """Read the metadata of a workspace's samples.

        Raises:
            WorkspaceError: there are none, or their metadata is damaged or incomplete.
        """
        samples_manifest(workspace)
        return _load(cls, workspace.prepared / PREPARED_FILE, "run `myna prepare --force`")


@dataclass(frozen=True)
class TrainingPlan:
    """The steps of a training run, and why there are as many."""

    steps: int
    tokens: int
    epochs: float
    reason: str
    tokens_per_second: float | None
    """Padded tokens, as measured in its steps."""
    seconds: float | None = None
    """From the command to the end of the last step; None of a plan."""


@dataclass(frozen=True)
class TrainingResult:
    """A finished training, or with `--dry-run` the plan of one."""

    plan: TrainingPlan
    loss: float | None
    """Mean over the last tenth of the steps, nats per trained token; None of a plan."""
    shortfall: str = ""
    """A line if there were too few steps to sound like anybody, with what would be enough."""


@dataclass(frozen=True)
class SpeakerWeights:
    """Weights of the log-odds of speaking next; see `myna.persona.next_speaker.features`."""

    model: float = 1.0
    """Of the log-probability of the name by the model."""
    share: float = 0.0
    """Of the log-share of all turns."""
    silence: float = 0.0
    """Of the log-number of turns since they last spoke."""
    addressed: float = 0.0
    """Added for those whom the last message addresses."""
    before_last: float = 0.0
    """Added for the one who spoke before last."""


@dataclass(frozen=True)
class TurnTaking:
    """The order in which people speak, as fitted to the validation split."""

    shares: dict[str, float] = field(default_factory=dict)
    """Each person's share of the turns in the train split."""
    with_model: SpeakerWeights = SpeakerWeights()
    without_model: SpeakerWeights | None = None
    """For engines and renderings without probabilities of names; None: not fitted."""
    turns: int = 0
    """Turns that the weights were fitted to."""


@dataclass(frozen=True)
class AdapterInfo:
    """Metadata of a trained adapter: all that a clone needs besides its weights."""

    base: str
    """The base model as the settings name it."""
    base_fingerprint: str
    format: PromptFormat
    people: dict[str, TrainedPerson]
    """Those whom it has learned to speak like, by the name of their persona."""
    channels: list[Channel]
    """The busiest first."""
    training: TrainingResult
    turn_taking: TurnTaking = field(default_factory=TurnTaking)
    adapters: dict[str, str] = field(default_factory=dict)
    """The adapter of each persona, where each has one of their own; else empty."""
    habits: dict[str, SpeakingHabits] = field(default_factory=dict)
    """Of each persona."""
    sampling: dict[str, PersonaSampling] = field(default_factory=dict)
    """Fitted to each persona by `myna evaluate --calibrate`; empty before."""

    @property
    def personas(self) -> list[str]:
        """The names of the personas."""
        return list(self.people)

    def trained(self, name: str) -> Trained:
        """The adapter `name` as its consent is checked."""
        plan = self.training.plan
        speed = plan.tokens_per_second
        seconds = plan.tokens / speed if speed else None
        return Trained(name, self.people, bool(self.adapters), seconds)

    def save(self, folder: Path) -> None:
        """Write the metadata into the folder of the adapter."""
        write_json(folder / ADAPTER_FILE, _plain(self))

    @classmethod
    def load(cls, workspace: Workspace, name: str) -> AdapterInfo:
        """Read the metadata of the adapter `name`.

        Raises:
            WorkspaceError: there is no such adapter, or its metadata is damaged or incomplete.
        """
        folder = workspace.adapter(name)
        if not folder.is_dir():
            raise WorkspaceError(f"there is no adapter '{name}': make it with `myna train`")
        return _load(cls, folder / ADAPTER_FILE, "train it again with `myna train --force`")

    def check_base(self, name: str, base_fingerprint: str) -> None:
        """Check that the base at hand is the one that the adapter `name` was trained on.

        Raises:
            ModelError: it is another one.
        """
        if base_fingerprint != self.base_fingerprint:
            raise ModelError(
                f"adapter '{name}' was trained on another {self.base} than is here now: bring "
                "that one back, or train again with `myna train --force`"
            )


def has_canaries(workspace: Workspace, name: str) -> bool:
    """True if the adapter `name` was trained on random secrets, to be measured."""
    return (workspace.adapter(name) / CANARIES_FILE).exists()


def check_is_clone(workspace: Workspace, name: str) -> None:
    """Check that the adapter `name` may speak and be passed on.

    Raises:
        WorkspaceError: it was trained with canaries.
    """
    if has_canaries(workspace, name):
        raise WorkspaceError(
            f"adapter '{name}' has canaries in it, so it can only be measured: "
            f"`myna evaluate --adapter {name}`, or train a clone with `myna train`"
        )


def adapters_of(workspace: Workspace, person: Person) -> dict[str, AdapterInfo]:
    """The adapters that have learned from a person, by name; damaged ones are left out."""
    hashes = set(map(account_hash, person.accounts))
    found = {}
    for path in sorted((workspace.root / "adapters").glob(f"[!.]*/{ADAPTER_FILE}")):
        try:
            info = AdapterInfo.load(workspace, path.parent.name)
        except WorkspaceError:
            continue
        if any(hashes & set(trained.accounts) for trained in info.people.values()):
            found[path.parent.name] = info
    return found


@dataclass(frozen=True)
class ExportRecord:
    """An export that was made: where it is and whose words it holds.

    Attributes:
        at: time in UTC (ISO 8601).
        format: its format.
        path: of its folder, or the address that it was uploaded to.
        accounts: hashes of the accounts of those who speak in it: names may be forgotten.
    """

    at: str
    format: str
    path: str
    accounts: tuple[str, ...]


def record_export(
    workspace: Workspace, format_: str, path: str, persons: Sequence[TrainedPerson]
) -> None:
    """Note an export, so that it can be named when somebody withdraws their consent."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    accounts = tuple(sorted({account for person in persons for account in person.accounts}))
    earlier = [r for r in export_records(workspace) if (r.format, r.path) != (format_, path)]
    records = [*earlier, ExportRecord(at, format_, path, accounts)]
    write_json(workspace.exports_file, [_plain(record) for record in records])


def drop_export_record(workspace: Workspace, record: ExportRecord) -> None:
    """Remove the note of an export that was deleted."""
    kept = [_plain(other) for other in export_records(workspace) if other != record]
    write_json(workspace.exports_file, kept)


def export_records(workspace: Workspace, of: Collection[str] = ()) -> list[ExportRecord]:
    """The exports that were made, oldest first; with `of`, those that hold one of these accounts.

    Raises:
        WorkspaceError: the record of exports is damaged.
    """
    path = workspace.exports_file
    try:
        records = [_schema(ExportRecord).validate_python(r) for r in read_json(path) or ()]
    except ValueError as error:
        raise WorkspaceError(f"{path} is damaged: correct it, or delete it") from error
    hashes = set(map(account_hash, of))
    return [record for record in records if not of or hashes & set(record.accounts)]


def samples_manifest(workspace: Workspace) -> dict[str, Any]:
    """Read the manifest of a workspace's samples.

    Raises:
        WorkspaceError: there are no samples, or the manifest is damaged.
    """
    manifest = read_manifest(workspace.prepared)
    if manifest is None:
        raise WorkspaceError(f"{workspace.root} has no samples: make them with `myna prepare`")
    return manifest


_schema: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def _plain(info: object) -> Any:
    return _schema(type(info)).dump_python(info, mode="json")


def _load(kind: type[Info], path: Path, remedy: str) -> Info:
    """Read metadata.

    Raises:
        WorkspaceError: the file is missing, damaged, or has not exactly the fields of `kind`.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        info: Info = _schema(kind).validate_python(data)
        if _plain(info) != data:  # a default would fill in what is missing
            raise ValueError("not the fields that this version writes")
    except (OSError, ValueError, RecursionError) as error:
        raise WorkspaceError(
            f"{path} is missing, damaged or of another version of myna: {remedy}"
        ) from error
    return info
