"""The stage: prepared messages into a folder that another tool reads.

exports/FORMAT/
train.jsonl         (or .json, .parquet) and eval.jsonl, from the split `validation`
test.jsonl          only where it is asked for
README.txt          what is in it, what the format cannot hold, how to train
axolotl.yml, …      configs, where the format has them
manifest.json       by which a later export knows that it may replace the folder
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from myna import people as people_
from myna import stages
from myna import workspace as workspace_
from myna.artifacts import PreparedInfo
from myna.errors import ExportError, PeopleError, SettingsError, WorkspaceError, first_line
from myna.export import configs
from myna.export.dialogues import Dialogue, check_system, dialogues
from myna.export.formats import Format, Row
from myna.workspace import Workspace

SPLITS = {"train": "train", "validation": "eval", "test": "test"}
"""The file that each split goes to."""

MARK = "export"
"""The key in a manifest's settings that only an export has."""

SHORTEST = 1024
"""Least sequence length: room for a system line, a question and an answer."""

CONTEXT_ONLY = "context only, and the format would train them"
NO_ANSWER = "in conversations in which nothing of a persona is trained"
BESIDE = "after the last answer, or too long a lead-up to one"
HELD_BACK = "held out as test (--with-test writes them)"


@dataclass(frozen=True)
class Wanted:
    """What to export.

    Attributes:
        format: in which format.
        personas: who answers; with several, each in their own dialogues.
        with_test: also the split that is only ever reported on.
        system: template of the system line; "" for the format's own.
        length: the trainer's sequence length; None for the format's own.
    """

    format: Format
    personas: tuple[str, ...]
    with_test: bool = False
    system: str = ""
    length: int | None = None


@dataclass
class Exported:
    """What an export wrote. `left_out` counts messages by the reason; all are accounted for."""

    format: str
    folder: str
    personas: list[str]
    files: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    messages: int = 0
    exported: int = 0
    answers: int = 0
    opened: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    lacks: list[str] = field(default_factory=list)


def personas(workspace: Workspace, name: str | None, *, everyone: bool = False) -> tuple[str, ...]:
    """Whom to export: who is named, else "me", else the only persona, else all of them.

    Raises:
        WorkspaceError: `prepare` has not been run, or no longer holds.
        PeopleError: nobody of that name may be cloned.
    """
    changed = stages.stale_samples(workspace)
    if changed:  # consent may have been withdrawn since
        raise WorkspaceError(f"{'; '.join(changed)}: run `myna prepare` before exporting")
    people = people_.load(workspace.people_file)
    known = PreparedInfo.load(workspace).personas
    if not known:
        raise PeopleError("nobody has messages to learn from: see `myna people`")
    if everyone:
        return tuple(known)
    if name is not None:
        return (people_.find(name, known),)
    me = people_.person(people, people.me).shown if people.me else None
    return (me,) if me in known else tuple(known)


def target(workspace: Workspace, name: str, folder: Path | None) -> Path:
    """Where to write: a folder that is not there, is empty, or holds an export and nothing else.

    Raises:
        ExportError: something else is there.
    """
    path = (folder or workspace.root / "exports" / name).resolve()
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return path
    ours: set[str] = set()
    if path.is_dir():
        manifest = workspace_.read_json(path / workspace_.MANIFEST)
        if isinstance(manifest, dict) and MARK in manifest.get("settings", {}):
            ours = {workspace_.MANIFEST, *manifest.get("outputs", ())}
        strange = sorted({entry.name for entry in path.iterdir()} - ours)
        if not strange:
            return path
        what = f"holds {strange[0]}, which no export wrote"
    else:
        what = "is no folder"
    raise ExportError(f"{path} {what}: move it away, or choose another folder with --to")


def run(
    workspace: Workspace,
    wanted: Wanted,
    path: Path,
    say: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Write an export into the folder `path`, which appears whole or not at all.

    Raises:
        SettingsError: a sequence length or a system line that cannot be.
        ExportError: there is nothing to export.
        WorkspaceError: the disk is full, or forbidden.
    """
    length = wanted.length or wanted.format.length
    if length < SHORTEST:
        raise SettingsError(f"--sequence-len {length} is too short: allow {SHORTEST} at least")
    system = check_system(wanted.system or wanted.format.system)
    messages = pl.read_parquet(workspace.prepared / "messages.parquet").with_row_index("row")
    chosen_splits = [split for split in SPLITS if split != "test" or wanted.with_test]
    shown = messages.filter(pl.col("split").is_in(chosen_splits))
    done = Exported(wanted.format.name, str(path), list(wanted.personas))
    done.lacks = list(wanted.format.lacks)
    with workspace_.explain_disk_errors(path), workspace_.atomic_folder(path) as new:
        placed: set[int] = set()
        for split in chosen_splits:
            file = f"{SPLITS[split]}.{wanted.format.file}"
            if wanted.format.rows is None:
                table = _table(shown.filter(pl.col("split") == split), wanted.personas)
                placed.update(table["row"])
                done.rows[file] = _write_table(table.drop("row"), new / file)
            else:
                made = _dialogues(shown, wanted, split, system, length, done, placed)
                rows = (row for dialogue in made for row in wanted.format.rows(dialogue))
                done.rows[file] = _write_rows(rows, new / file)
            say(f"wrote {file}")
        _account(messages, shown, placed, wanted, done)
        if not done.answers:
            raise ExportError(
                f"nothing of {' or '.join(wanted.personas)} is trained: see `myna prepare`"
            )
        written = [name for name, rows in done.rows.items() if rows]
        stems = [name.partition(".")[0] for name in written]
        for name, text in configs.files(wanted.format, stems, length).items():
            workspace_.write_text(new / name, text)
            written.append(name)
        done.files = [*written, "README.txt"]
        workspace_.write_text(new / "README.txt", _readme(wanted, done))
        workspace_.write_manifest(
            new,
            inputs=stages.train_inputs(workspace),
            settings={MARK: wanted.format.name, "system": system, "length": length},
        )
    return done


def _dialogues(
    messages: pl.DataFrame,
    wanted: Wanted,
    split: str,
    system: str,
    length: int,
    done: Exported,
    placed: set[int],
) -> Iterator[Dialogue]:
    """The dialogues of all personas; what is in them is counted on the way."""
    for persona in wanted.personas:
        for dialogue in dialogues(
            messages,
            persona,
            split=split,
            system=system,
            length=length,
            keeps_context=wanted.format.holds_loss_mask,
            draw=wanted.format.draw,
        ):
            placed.update(dialogue.rows)
            done.opened += not dialogue.exchanges[0].others
            yield dialogue


def _write_rows(rows: Iterator[Row], file: Path) -> int:
    """Write JSON lines, or one array into a .json file; without rows no file."""
    is_array = file.suffix == ".json"
    count = 0
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            text = json.dumps(row, ensure_ascii=False, indent=1 if is_array else None)
            stream.write((",\n" if count else "[\n") + text if is_array else text + "\n")
            count += 1
        if is_array:
            stream.write("\n]\n")
    if not count:
        file.unlink()
    return count


def _table(messages: pl.DataFrame, personas: Sequence[str]) -> pl.DataFrame:
    """The messages of conversations in which a persona is trained; `role` says who answers."""
    is_own = pl.col("person").is_in(personas)
    role = pl.when(is_own).then(pl.lit("assistant")).otherwise(pl.lit("user"))
    return messages.filter((is_own & pl.col("trained")).any().over("conversation")).select(
        "row",
        *("conversation", "source", "space", "channel", "thread", "id", "sent_at", "person"),
        role=role,
        text="text",
        trained=is_own & pl.col("trained"),
    )


def _write_table(table: pl.DataFrame, file: Path) -> int:
    """Write Parquet; without rows no file."""
    if table.height:
        table.write_parquet(file)
    return table.height


def _account(
    messages: pl.DataFrame,
    shown: pl.DataFrame,
    placed: set[int],
    wanted: Wanted,
    done: Exported,
) -> None:
    """Enter what became of every message.

    Args:
        messages: all that are prepared.
        shown: those of the splits that are exported.
        placed: the rows of those that are in the export.
        wanted: what was asked for.
        done: where to enter it.
    """
    is_placed = pl.col("row").is_in(list(placed))
    is_own = pl.col("person").is_in(wanted.personas)
    cannot = is_own & ~pl.col("trained") & (not wanted.format.holds_loss_mask)
    fate = (
        pl.when(is_placed)
        .then(None)
        .when(~is_placed.any().over("conversation"))
        .then(pl.lit(NO_ANSWER))
        .when(cannot)
        .then(pl.lit(CONTEXT_ONLY))
        .otherwise(pl.lit(BESIDE))
    )
    reasons = shown.select(fate.alias("reason"))["reason"].drop_nulls().value_counts(sort=True)
    done.left_out = dict(reasons.iter_rows())
    if messages.height > shown.height:
        done.left_out[HELD_BACK] = messages.height - shown.height
    used = shown.filter(is_placed)
    done.messages = messages.height
    done.exported = used.height
    done.answers = used.filter(is_own & pl.col("trained")).height


def _readme(wanted: Wanted, done: Exported) -> str:
    """What is in the folder, for whoever opens it."""
    lines = [
        f"{done.format}: {wanted.format.about}",
        "",
        f"{done.answers:,} messages of {', '.join(done.personas)} to learn from, among "
        f"{done.exported:,} of a chat. They are private: keep this folder so.",
        "",
        *(f"  {name:<14}{rows:>9,} rows" for name, rows in done.rows.items() if rows),
        "",
        "eval is held out from training, to tell when to stop.",
        "",
        "What the format cannot hold:",
        "",
        *(f"  - {what}" for what in done.lacks),
        "",
    ]
    return "\n".join(lines) + "\n" + configs.commands(done.files)


_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_PART}/{_PART}")


def checked(repository: str) -> str:
    """The name of a repository, if it can be one.

    Raises:
        ExportError: it is not of the form OWNER/NAME, or huggingface_hub is missing.
    """
    if not _NAME.fullmatch(repository) or "--" in repository or ".." in repository:
        raise ExportError(f"--push '{repository}': write it as OWNER/NAME, such as ana/my-chats")
    _hub()
    return repository


def push(folder: Path, files: Sequence[str], repository: str) -> str:
    """Upload the files of an export; the address of where they are.

    Raises:
        ExportError: the repository can be read by others, or the hub refuses.
    """
    hub = _hub()
    try:
        api: Any = hub.HfApi()
        api.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        is_private = api.repo_info(repository, repo_type="dataset").private
        if is_private is True:
            api.upload_folder(
                repo_id=repository,
                repo_type="dataset",
                folder_path=str(folder),
                allow_patterns=list(files),
                commit_message="myna export",
            )
    except Exception as error:  # the hub's, the network's and the disk's, of many kinds
        reason = first_line(error, 160)
        raise ExportError(
            f"cannot push to {repository}: {reason}; check its name, the network, and that you "
            "are logged in (`hf auth login`)"
        ) from error
    if is_private is not True:
        raise ExportError(
            f"{repository} is there and others can read it: make it private on the hub, or "
            "choose another name. Nothing was uploaded"
        )
    return f"https://huggingface.co/datasets/{repository}"


def _hub() -> ModuleType:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise ExportError(
            "pushing needs huggingface_hub, and it is not installed: pip install 'myna[train]'"
        ) from error
    return huggingface_hub
