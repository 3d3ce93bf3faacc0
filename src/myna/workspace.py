"""A project folder: settings, and each stage's output with its manifest.

    friends/                 mode 0700, with a .gitignore of *
      myna.toml              settings
      people.toml            names, accounts, consent
      messages/              from `myna import`
      prepared/              from `myna prepare`
      adapters/NAME/         from `myna train`
      reports/               from `myna evaluate`
      rooms.sqlite           live rooms
      opt-outs.json          people who opted out of their clone on a platform
      exports.json           exports that were made, wherever they are
      bots/                  state of bots, from `myna bot`

A stage's manifest has the fingerprints of its inputs and its settings; the stage is stale
once one of them has changed. Files and folders are written whole or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from myna import __version__, config, leftovers
from myna.errors import WorkspaceError, first_line

MANIFEST = "manifest.json"
MIN_FREE_BYTES = 2**20
"""With less on the disk, an error of a library that writes is taken for one of a full disk."""
IMPORT_RECORD = "import.json"


@dataclass(frozen=True)
class ImportRecord:
    """The record of one import, in the folder of its message tables."""

    folder: Path
    imported_at: str
    """ISO time, in UTC."""
    files: list[dict[str, Any]]
    """The result for each file."""
    messages: int
    """Messages in the files."""
    stored: int
    """Messages in the tables."""

    @property
    def path(self) -> Path:
        """The file that holds the record."""
        return self.folder / IMPORT_RECORD

    @property
    def tables(self) -> list[Path]:
        """The message tables."""
        return sorted(self.folder.glob("[!.]*.parquet"))

    def save(self) -> None:
        """Write the record into its folder."""
        counts = {"messages": self.messages, "stored": self.stored}
        write_json(
            self.path, {"imported_at": self.imported_at, "files": self.files, "counts": counts}
        )

    @classmethod
    def load(cls, folder: Path) -> ImportRecord:
        """Read the record in a folder of tables.

        Raises:
            WorkspaceError: it is damaged.
        """
        path = folder / IMPORT_RECORD
        data = read_json(path)
        try:
            return cls(folder, data["imported_at"], data["files"], **data["counts"])
        except (KeyError, TypeError) as error:
            raise WorkspaceError(
                f"{path} is damaged ({error}): delete {folder} and import its files again"
            ) from error


@dataclass(frozen=True)
class Workspace:
    """The folder `root` of a project and the paths in it."""

    root: Path

    @property
    def settings_file(self) -> Path:
        """myna.toml"""
        return self.root / "myna.toml"

    @property
    def people_file(self) -> Path:
        """people.toml"""
        return self.root / "people.toml"

    @property
    def messages(self) -> Path:
        """The folder of imported message tables."""
        return self.root / "messages"

    def import_records(self) -> list[ImportRecord]:
        """The record of each import, one after the other.

        Raises:
            WorkspaceError: one is damaged.
        """
        folders = [path.parent for path in self.messages.glob(f"[!.]*/{IMPORT_RECORD}")]
        records = [ImportRecord.load(folder) for folder in folders]
        return sorted(records, key=lambda record: (record.imported_at, record.folder))

    def message_files(self) -> list[Path]:
        """The message tables, as imported one after the other."""
        return [table for record in self.import_records() for table in record.tables]

    @property
    def prepared(self) -> Path:
        """The folder of conversations, samples and the ledger."""
        return self.root / "prepared"

    @property
    def rooms_file(self) -> Path:
        """rooms.sqlite: live rooms, never trained on."""
        return self.root / "rooms.sqlite"

    @property
    def opt_outs_file(self) -> Path:
        """opt-outs.json: people who opted out of their clone on a platform."""
        return self.root / "opt-outs.json"

    @property
    def exports_file(self) -> Path:
        """exports.json: exports that were made, wherever they are."""
        return self.root / "exports.json"

    @property
    def bots(self) -> Path:
        """The folder of the state of bots, never trained on."""
        return self.root / "bots"

    @property
    def reports(self) -> Path:
        """The folder of reports."""
        return self.root / "reports"

    @property
    def jobs(self) -> Path:
        """The folder of commands that pages started, with their output."""
        return self.root / "jobs"

    @property
    def uploads(self) -> Path:
        """The folder of files that were dropped on a page; each is deleted once imported."""
        return self.root / "uploads"

    def adapter(self, name: str) -> Path:
        """The folder of an adapter.

        Raises:
            WorkspaceError: the name would lead out of the workspace.
        """
        if not re.fullmatch(r"[\w-][\w. -]{0,99}", name) or name != name.strip():
            raise WorkspaceError(
                f"'{name}' is not a name for an adapter: use letters, digits, - and _"
            )
        return self.root / "adapters" / name

    def training(self, name: str) -> Path:
        """The folder of an adapter's unfinished training: plan, log, checkpoints."""
        adapter = self.adapter(name)
        return adapter.with_name(f".{adapter.name}.training")

    def training_lock(self, name: str) -> Path:
        """The file that is locked while an adapter is trained; it holds the process's id."""
        training = self.training(name)
        return training.with_name(f"{training.name}.lock")

    def settings(self) -> config.Settings:
        """The settings in myna.toml."""
        return config.load(self.settings_file)


def create(root: Path, settings: config.Settings | None = None) -> Workspace:
    """Create a workspace in the folder `root`, which is made if it is missing.

    Raises:
        WorkspaceError: there is one already, or a repository, or it cannot be written.
    """
    workspace = Workspace(root)
    if workspace.settings_file.exists():
        raise WorkspaceError(f"{root} is a myna workspace already: cd there and go on")
    if (root / ".gitignore").exists():
        raise WorkspaceError(
            f"{root} has a .gitignore of its own, and chats do not belong in a repository: "
            "make the workspace in a new folder"
        )
    with explain_disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o700)  # chats are private
        write_text(root / ".gitignore", "*\n")
        write_text(workspace.settings_file, config.template(settings))
    return workspace


def find(start: Path) -> Workspace:
    """Find the workspace that `start` is in, and clear what killed processes left in it.

    Raises:
        WorkspaceError: there is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "myna.toml").is_file():
            for stage in (folder / "prepared", *(folder / "adapters").glob(".*.old")):
                recover(stage.with_name(stage.name.removeprefix(".").removesuffix(".old")))
            leftovers.clear(folder)
            return Workspace(folder)
    raise WorkspaceError(
        f"{start} is not in a myna workspace: make one with `myna new NAME`, or type `myna start`"
    )


@contextmanager
def explain_disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's error for a full or forbidden disk into one line.

    Raises:
        WorkspaceError: in place of OSError.
    """
    try:
        yield
    except Exception as error:
        number = _system_error(error, path)
        if number is None:
            raise
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise WorkspaceError(
                f"the disk is full at {path}: free some space and run the command again; "
                "the old files are unchanged"
            ) from error
        reason = os.strerror(number) if number else error
        path = getattr(error, "filename", None) or path
        raise WorkspaceError(f"cannot write {path}: {reason}") from error


def _system_error(error: Exception, path: Path) -> int | None:
    """The operating system's number for an error, 0 for an unknown one; None for others."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    match = re.search(r"\(os error (\d+)\)", str(error))  # polars has it in its text only
    if match:
        return int(match[1])
    if isinstance(error, OSError):
        return 0
    # Or not even there, and the libraries for weights tell as little.
    is_library = type(error).__module__.partition(".")[0] in ("polars", "safetensors", "sqlite3")
    return errno.ENOSPC if is_library and _free_bytes(path) < MIN_FREE_BYTES else None


def _free_bytes(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    leftovers.write_bytes(path, text.encode())


def write_json(path: Path, data: Any) -> None:
    """Write JSON whole or not at all, indented for people."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; None if there is no file.

    Raises:
        WorkspaceError: the file is damaged.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise WorkspaceError(
            f"{path} is damaged ({first_line(error)}): delete it and run its stage again"
        ) from error


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which replaces `target` once it is whole.

    A failure leaves the old folder, and so does a kill: see `replace_folder`.
    """
    recover(target)
    with leftovers.temporary_folder(target) as new:
        yield new
        replace_folder(new, target)


def replace_folder(new: Path, target: Path) -> None:
    """Put the folder `new` in `target`'s place.

    A kill in the instant between two renames leaves the old one under another name, from
    which `recover` brings it back.
    """
    old = target.parent / f".{target.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def recover(target: Path) -> None:
    """Bring back a folder that a kill left between two renames."""
    old = target.parent / f".{target.name}.old"
    if old.exists() and not target.exists() and not leftovers.is_being_written(target):
        old.rename(target)


def fingerprint(path: Path) -> str:
    """SHA-256 of a file; "" if there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def prepare_inputs(workspace: Workspace) -> dict[str, str]:
    """Fingerprints of what `prepare` reads."""
    imports = {
        f"messages/{record.folder.name}": fingerprint(record.path)
        for record in workspace.import_records()
        if record.stored
    }
    return {**imports, "people.toml": fingerprint(workspace.people_file)}


def prepare_settings(settings: config.Settings) -> dict[str, Any]:
    """The settings that prepared data depends on."""
    sections = ("base", "filter", "rules", "redaction", "conversations", "split", "samples")
    judged = {"action", "url", "model", "threshold"}
    return settings.model_dump(include={**dict.fromkeys(sections, True), "quality": judged})


def write_manifest(stage: Path, *, inputs: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    """Write the inputs and settings of a stage into its folder."""
    write_json(
        stage / MANIFEST,
        {
            "myna": __version__,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "inputs": dict(inputs),
            "settings": dict(settings),
            "outputs": sorted(path.name for path in stage.glob("*")),
        },
    )


def read_manifest(stage: Path) -> dict[str, Any] | None:
    """A stage's manifest; None if it has not been run, or one of its files is missing."""
    manifest: dict[str, Any] | None = read_json(stage / MANIFEST)
    if not manifest or not manifest.keys() >= {"inputs", "settings", "outputs"}:
        return None
    return manifest if all((stage / name).exists() for name in manifest["outputs"]) else None


def stale_reasons(
    manifest: dict[str, Any], inputs: Mapping[str, str], settings: Mapping[str, Any]
) -> list[str]:
    """The reasons to run a stage again; empty if its manifest still holds."""
    reasons = []
    before = manifest["inputs"]
    for name in sorted(before.keys() | inputs.keys()):
        if name not in before:
            reasons.append(f"{name} is new")
        elif name not in inputs:
            reasons.append(f"{name} is gone")
        elif before[name] != inputs[name]:
            reasons.append(f"{name} has changed")
    old, new = _flat(manifest["settings"]), _flat(json.loads(json.dumps(settings)))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            reasons.append(f"{key} is now {new.get(key)!r}, was {old.get(key)!r}")
    return reasons


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
