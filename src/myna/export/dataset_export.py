"""Exports of datasets: prepared messages for other trainers.

exports/FORMAT/
train.jsonl         (or .json, .parquet) and eval.jsonl, from the split `validation`
test.jsonl          only with --with-test
README.txt          contents, limitations of the format, how to train
axolotl.yml, …      configs, if the format has them
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
from myna.artifacts import PreparedInfo, record_export
from myna.errors import (
    ConsentError,
    ExportError,
    PeopleError,
    SettingsError,
    WorkspaceError,
    first_line,
)
from myna.export import configs
from myna.export.dialogues import Dialogue, check_system, dialogues
from myna.export.formats import Format, Row
from myna.people import Scope
from myna.people.consent_checker import TrainedPerson
from myna.workspace import Workspace

SPLITS = {"train": "train", "validation": "eval", "test": "test"}
"""The file name of each split."""
MANIFEST_KEY = "export"
"""The key in a manifest's settings that only an export has."""
MIN_SEQUENCE_LEN = 1024
"""Enough for a system line, a question and an answer."""

CONTEXT_ONLY = "context only, and the format would train them"
NO_ANSWER = "in conversations in which nothing of a persona is trained"
NO_SPACE = "after the last answer, or too long a lead-up to one"
HELD_BACK = "held out as test (--with-test writes them)"


@dataclass(frozen=True)
class DatasetOptions:
    """Options of a dataset export.

    Attributes:
        format: of the rows.
        personas: those who answer; with several, each in their own dialogues.
        with_test: export the test split, too.
        system: template of the system line; "" for the format's own.
        sequence_len: of the trainer; None for the format's own.
    """

    format: Format
    personas: tuple[str, ...]
    with_test: bool = False
    system: str = ""
    sequence_len: int | None = None


@dataclass
class DatasetExportReport:
    """The contents of an export, and by reason the number of messages that were left out.

    `messages` is the number of prepared messages: `exported` and all of `left_out`.
    """

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


def choose_personas(
    workspace: Workspace, name: str | None, *, everyone: bool = False, scope: Scope = "owner"
) -> tuple[str, ...]:
    """The personas to export: the named one, else "me", else the only persona, else all.

    Raises:
        WorkspaceError: `prepare` has not been run, or no longer holds.
        PeopleError: unknown person.
        ConsentError: one who may not be cloned, or not for this `scope`.
    """
    chosen = _choose_personas(workspace, name, everyone=everyone)
    scopes = {p.display_name: p.scope for p in people_.load(workspace.people_file).persons}
    for persona in chosen:
        if scope not in scopes.get(persona, ()):
            to_what = "that their clone may be passed on" if scope == "publish" else "to be cloned"
            raise ConsentError(
                f"{persona} has not agreed {to_what}: ask them, then type "
                f'`myna people allow "{persona}" --scope {scope} --asked "who, how, when"`'
            )
    return chosen


def _choose_personas(workspace: Workspace, name: str | None, *, everyone: bool) -> tuple[str, ...]:
    """The personas to export, by name."""
    changed = stages.stale_samples(workspace)
    if changed:  # consent may have been withdrawn since
        raise WorkspaceError(f"{'; '.join(changed)}: run `myna prepare` before exporting")
    people = people_.load(workspace.people_file)
    prepared = PreparedInfo.load(workspace).personas
    if not prepared:
        raise PeopleError("nobody has messages to learn from: see `myna people`")
    if everyone:
        return tuple(prepared)
    if name is not None:
        return (people_.match_name(name, prepared),)
    me = people_.find_person(people, people.me).display_name if people.me else None
    return (me,) if me in prepared else tuple(prepared)


def export_folder(workspace: Workspace, name: str, folder: Path | None) -> Path:
    """The folder to write, which is not there yet, is empty, or holds nothing but an export.

    Raises:
        ExportError: something else is there.
    """
    path = (folder or workspace.root / "exports" / name).resolve()
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return path
    known: set[str] = set()
    if path.is_dir():
        manifest = workspace_.read_json(path / workspace_.MANIFEST)
        if isinstance(manifest, dict) and MANIFEST_KEY in manifest.get("settings", {}):
            known = {workspace_.MANIFEST, *manifest.get("outputs", ())}
        unknown = sorted({entry.name for entry in path.iterdir()} - known)
        if not unknown:
            return path
        reason = f"holds {unknown[0]}, which no export wrote"
    else:
        reason = "is no folder"
    raise ExportError(f"{path} {reason}: move it away, or choose another folder with --to")


def run(
    workspace: Workspace,
    options: DatasetOptions,
    path: Path,
    say: Callable[[str], None] = lambda _: None,
) -> DatasetExportReport:
    """Write an export into the folder `path`, which appears whole or not at all.

    Raises:
        SettingsError: the sequence length is too short, or the system line not valid.
        ExportError: there is nothing to export.
        WorkspaceError: the disk is full, or forbidden.
    """
    sequence_len = options.sequence_len or options.format.sequence_len
    if sequence_len < MIN_SEQUENCE_LEN:
        raise SettingsError(
            f"--sequence-len {sequence_len} is too short: allow {MIN_SEQUENCE_LEN} at least"
        )
    system = check_system(options.system or options.format.system)
    messages = pl.read_parquet(workspace.prepared / "messages.parquet").with_row_index("row")
    splits = [split for split in SPLITS if split != "test" or options.with_test]
    selected = messages.filter(pl.col("split").is_in(splits))
    report = DatasetExportReport(options.format.name, str(path), list(options.personas))
    report.lacks = list(options.format.lacks)
    with workspace_.explain_disk_errors(path), workspace_.atomic_folder(path) as new:
        placed: set[int] = set()
        for split in splits:
            file = f"{SPLITS[split]}.{options.format.file}"
            if options.format.rows is None:
                table = _table(selected.filter(pl.col("split") == split), options.personas)
                placed.update(table["row"])
                report.rows[file] = table.height
                if table.height:
                    table.drop("row").write_parquet(new / file)
            else:
                dialogues_ = _dialogues(
                    selected, options, split, system, sequence_len, report, placed
                )
                rows = (row for dialogue in dialogues_ for row in options.format.rows(dialogue))
                report.rows[file] = _write_rows(rows, new / file)
            say(f"wrote {file}")
        _account(messages, selected, placed, options, report)
        if not report.answers:
            raise ExportError(
                f"nothing of {' or '.join(options.personas)} is trained: see `myna prepare`"
            )
        written = [name for name, rows in report.rows.items() if rows]
        stems = [name.partition(".")[0] for name in written]
        for name, text in configs.files(options.format, stems, sequence_len).items():
            workspace_.write_text(new / name, text)
            written.append(name)
        report.files = [*written, "README.txt"]
        workspace_.write_text(new / "README.txt", _readme(options, report))
        workspace_.write_manifest(
            new,
            inputs=stages.train_inputs(workspace),
            settings={MANIFEST_KEY: options.format.name, "system": system, "length": sequence_len},
        )
    record_dataset(workspace, report, str(path))
    return report


def record_dataset(workspace: Workspace, report: DatasetExportReport, path: str) -> None:
    """Note that everyone whose messages are prepared stands in an export at `path`."""
    everyone = people_.load(workspace.people_file).persons
    held = [TrainedPerson.of(person) for person in everyone if person.consent != "no"]
    record_export(workspace, report.format, path, held)


def _dialogues(
    messages: pl.DataFrame,
    options: DatasetOptions,
    split: str,
    system: str,
    sequence_len: int,
    report: DatasetExportReport,
    placed: set[int],
) -> Iterator[Dialogue]:
    """The dialogues of all personas; their messages are noted in `report` and `placed`."""
    for persona in options.personas:
        for dialogue in dialogues(
            messages,
            persona,
            split=split,
            system=system,
            max_bytes=sequence_len,
            keeps_context=options.format.holds_loss_mask,
            draw=options.format.draw,
        ):
            placed.update(dialogue.rows)
            report.opened += not dialogue.exchanges[0].others
            yield dialogue


def _write_rows(rows: Iterator[Row], file: Path) -> int:
    """Write JSON lines, or one array into a .json file; no file without rows."""
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
    """The messages of conversations in which a persona is trained; `role` is theirs or others'."""
    is_own = pl.col("person").is_in(personas)
    role = pl.when(is_own).then(pl.lit("assistant")).otherwise(pl.lit("user"))
    return messages.filter((is_own & pl.col("trained")).any().over("conversation")).select(
        "row",
        *("conversation", "source", "space", "channel", "thread", "id", "sent_at", "person"),
        role=role,
        text="text",
        trained=is_own & pl.col("trained"),
    )


def _account(
    messages: pl.DataFrame,
    selected: pl.DataFrame,
    placed: set[int],
    options: DatasetOptions,
    report: DatasetExportReport,
) -> None:
    """Count in the report what became of all prepared `messages`.

    `selected` are those of the exported splits, `placed` the row numbers of the exported ones.
    """
    is_placed = pl.col("row").is_in(list(placed))
    is_own = pl.col("person").is_in(options.personas)
    is_unmarked = is_own & ~pl.col("trained") & (not options.format.holds_loss_mask)
    reason = (
        pl.when(is_placed)
        .then(None)
        .when(~is_placed.any().over("conversation"))
        .then(pl.lit(NO_ANSWER))
        .when(is_unmarked)
        .then(pl.lit(CONTEXT_ONLY))
        .otherwise(pl.lit(NO_SPACE))
    )
    reasons = selected.select(reason.alias("reason"))["reason"].drop_nulls().value_counts(sort=True)
    report.left_out = dict(reasons.iter_rows())
    if messages.height > selected.height:
        report.left_out[HELD_BACK] = messages.height - selected.height
    exported = selected.filter(is_placed)
    report.messages = messages.height
    report.exported = exported.height
    report.answers = exported.filter(is_own & pl.col("trained")).height


def _readme(options: DatasetOptions, report: DatasetExportReport) -> str:
    """The README.txt of an export."""
    lines = [
        f"{report.format}: {options.format.about}",
        "",
        f"{report.answers:,} messages of {', '.join(report.personas)} to learn from, among "
        f"{report.exported:,} of a chat. They are private: keep this folder so.",
        "",
        *(f"  {name:<14}{rows:>9,} rows" for name, rows in report.rows.items() if rows),
        "",
        "eval is held out from training, to tell when to stop.",
        "",
        "What the format cannot hold:",
        "",
        *(f"  - {what}" for what in report.lacks),
        "",
    ]
    return "\n".join(lines) + "\n" + configs.commands(report.files)


_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_REPOSITORY = re.compile(rf"{_NAME}/{_NAME}")


def check_repository(repository: str) -> str:
    """Check the name of a repository; returns it.

    Raises:
        ExportError: it is not of the form OWNER/NAME, or huggingface_hub is missing.
    """
    if not _REPOSITORY.fullmatch(repository) or "--" in repository or ".." in repository:
        raise ExportError(f"--push '{repository}': write it as OWNER/NAME, such as ana/my-chats")
    _hub()
    return repository


def push(folder: Path, files: Sequence[str], repository: str) -> str:
    """Upload the files of an export; returns their URL.

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
