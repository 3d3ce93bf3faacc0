"""The data page and its API: imports, people and consent, channels, the ledger, samples."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from myna import config, stages, workspace
from myna import people as people_
from myna.choices import SPLITS
from myna.cleaning import rules
from myna.errors import MynaError
from myna.models.bases import find_base
from myna.people import SCOPES, consent, overview
from myna.preparing import statistics
from myna.rendering.tokenizer import Tokenizer
from myna.serving.errors import ApiError, JsonResponse
from myna.serving.room_routes import RequestBody
from myna.web import jobs, shell, uploads
from myna.web.commands import OwnerRoute, Space, run_response, start_response
from myna.web.job_runner import command_line
from myna.workspace import Workspace, read_json

MAX_SAMPLES = 50

router = APIRouter(prefix="/api/data", tags=["Data"], route_class=OwnerRoute)
"""The paths of data."""
page = APIRouter(include_in_schema=False)
"""The page."""

_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Scope = Literal["owner", "group", "publish"]


class PersonChange(RequestBody):
    """A change of people: the options of `myna people …`."""

    action: Literal["allow", "context", "deny", "me", "merge", "rename"]
    name: _Name
    other: str = Field("", max_length=200)
    """The second person of `merge`, the new name of `rename`."""
    asked: str = Field("", max_length=500)
    scope: list[_Scope] = Field(default_factory=list)
    until: str = Field("", max_length=10)
    pseudonym: str | None = Field(None, max_length=200)

    def arguments(self) -> list[str]:
        """The command's arguments; names come last, behind `--`."""
        options = {
            "allow": [
                *([f"--asked={self.asked}"] if self.asked else []),
                *(f"--scope={word}" for word in SCOPES if word in self.scope),
                *([f"--until={self.until}"] if self.until else []),
            ],
            "context": [f"--pseudonym={self.pseudonym}"] if self.pseudonym is not None else [],
        }
        names = [self.name, *([self.other] if self.action in ("merge", "rename") else [])]
        return ["people", self.action, *options.get(self.action, []), "--", *names]


class NewImport(RequestBody):
    """An import: of an upload, or of a file or folder on the server's machine."""

    upload: str = Field("", max_length=100)
    path: str = Field("", max_length=4000)
    consent: Literal["context", "no"] | None = None
    source: str = Field("", max_length=100)
    zone: str = Field("", max_length=100)
    columns: str = Field("", max_length=500)


class NewFilter(RequestBody):
    """The messages that count: the table `[filter]` of myna.toml."""

    spaces: list[str] | None = None
    channels: list[str] | None = None
    threads: list[str] | None = None
    people: list[str] | None = None
    since: str | None = None
    until: str | None = None
    min_messages: int | None = None


@page.get("/data")
async def data_page(request: Request) -> Response:
    """Show the data."""
    reads_paths = request.app.state.pages.access.listens_on_loopback
    return shell.render(request, "data.html", reads_paths=reads_paths)


@router.get("")
def get_overview(space: Space) -> Response:
    """Get the stages, the imports, the ledger, the filter, and the job that runs."""
    settings = space.settings()
    ledger = read_json(space.prepared / "ledger.json")
    busy = jobs.running(space)
    states = stage_states(space)
    return JsonResponse({
        "workspace": space.root.name,
        "stages": [asdict(stage) for stage in states],
        "next": stages.next_command(states),
        "imports": [_import_json(record) for record in space.import_records()],
        "ledger": ledger,
        "labels": ACTION_LABELS,
        "filter": settings.filter.model_dump(),
        "splits": SPLITS,
        "job": busy.to_json() if busy else None,
    })  # fmt: skip


ACTION_LABELS = {
    "train": "trained",
    "validation": "held out to stop in time",
    "test": "held out to measure",
    "context": "context",
    "drop": "left out",
}
"""The actions of the ledger in plain words, in the order of the picture."""


def _import_json(record: workspace.ImportRecord) -> dict[str, Any]:
    files = [
        {key: file.get(key) for key in ("source", "messages", "stored", "trouble", "notes")}
        | {"name": Path(str(file.get("file", ""))).name}
        for file in record.files
    ]
    counts = {"messages": record.messages, "stored": record.stored}
    return {"at": record.imported_at, **counts, "files": files[:50], "more": len(files[50:])}


@router.get("/people")
def list_people(space: Space) -> Response:
    """List everyone with counts, consent and its record, and the suggestions."""
    everyone, tables = people_.load(space.people_file), space.message_files()
    merges = overview.suggest_merges(everyone, overview.account_names(tables))
    records = {person.name: person.record for person in everyone.persons}
    now = {person.name: person.consent_now for person in everyone.persons}
    lines = [
        {
            **summary.to_json(),
            "first": str(summary.first or ""),
            "last": str(summary.last or ""),
            "consent": now[summary.person],
            "record": _record_json(records[summary.person]),
        }
        for summary in overview.summarize_persons(everyone, tables)
    ]
    return JsonResponse({
        "people": lines,
        "me": everyone.me,
        "merges": [asdict(found) for found in merges],
        "bots": [
            {"name": name, "because": why} for name, why in overview.suggest_bots(everyone, tables)
        ],
        "opted_out": [asdict(entry) for entry in consent.load_opt_outs(space.opt_outs_file)],
        "meaning": consent.MEANING,
    })  # fmt: skip


def _record_json(record: people_.ConsentRecord | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {
        "asked": record.asked,
        "asked_on": str(record.asked_on),
        "scope": list(record.scope),
        "until": str(record.until) if record.until else None,
    }


@router.post("/people")
def change_person(change: PersonChange, space: Space) -> Response:
    """Change a person's consent or name, as `myna people` does."""
    if change.action == "allow" and not change.asked.strip():
        raise ApiError(400, "note who asked them, how and when: it stays in people.toml")
    return run_response(space, change.arguments())


@router.post("/people/command")
def person_command(change: PersonChange) -> Response:
    """Tell the command that a change would be."""
    return JsonResponse({"command": command_line(change.arguments())})


@router.get("/people/request")
def request_page(space: Space, name: str) -> Response:
    """Get the page that asks a person whether they may be cloned, as plain text."""
    everyone = people_.load(space.people_file)
    person = people_.find_person(everyone, name)
    summaries = overview.summarize_persons(everyone, space.message_files())
    count = next(s.messages for s in summaries if s.person == person.name)
    return JsonResponse({"text": consent.request_page(person.name, everyone.me, count)})


@router.get("/channels")
def list_channels(space: Space) -> Response:
    """List the channels, the busiest first."""
    found = rules.list_channels(space.message_files(), people_.load(space.people_file))
    rows = [{**row, "first": str(row["first"] or ""), "last": str(row["last"] or "")}
            for row in found.iter_rows(named=True)]  # fmt: skip
    return JsonResponse({"channels": rows})


@router.put("/filter")
def change_filter(new: NewFilter, space: Space) -> Response:
    """Change `[filter]` in myna.toml; its comments stay. `myna prepare` applies it."""
    changes = {key: value for key, value in new.model_dump().items() if value is not None}
    config.updated(space.settings(), "filter", changes, "the filter")  # says what is wrong
    choices = {f"filter.{key}": value for key, value in changes.items()}
    text = space.settings_file.read_text("utf-8-sig")
    workspace.write_text(space.settings_file, config.with_choices(text, choices))
    return JsonResponse({"filter": space.settings().filter.model_dump()})


@router.post("/import", status_code=202)
def start_import(new: NewImport, request: Request, space: Space) -> Response:
    """Import an upload that has arrived, or a path of this machine, as a job."""
    options = {"consent": new.consent, "source": new.source, "zone": new.zone,
               "columns": new.columns}  # fmt: skip
    flags = [f"--{key}={value}" for key, value in options.items() if value]
    if new.upload:
        upload = uploads.load(space, new.upload)
        path = uploads.complete_path(space, upload)
        folder = uploads.upload_folder(space, upload)
        shown = path.relative_to(space.root)
        return start_response(space, ["import", *flags, "--", str(shown)], delete=[folder])
    if not request.app.state.pages.access.listens_on_loopback:
        raise ApiError(403, "a path is read only for pages on the server's own machine")
    if not new.path or not Path(new.path).expanduser().exists():
        raise ApiError(400, f"there is no file or folder {new.path!r} on this machine")
    return start_response(space, ["import", *flags, "--", str(Path(new.path).expanduser())])


@router.post("/prepare", status_code=202)
def start_prepare(space: Space) -> Response:
    """Prepare the samples as a job."""
    return start_response(space, ["prepare"])


@router.get("/samples")
def list_samples(
    space: Space,
    split: Literal["train", "validation", "test"] = "train",
    search: Annotated[str, Query(max_length=200)] = "",
    start: Annotated[int, Query(ge=0)] = 0,
    count: Annotated[int, Query(ge=1, le=MAX_SAMPLES)] = 10,
) -> Response:
    """Get samples from the number `start` on that contain a text, with what is trained in them."""
    path = space.prepared / "samples.parquet"
    if not path.exists():
        return JsonResponse({"samples": [], "total": 0, "next": None})
    texts = pl.col("segments").list.eval(pl.element().struct["text"]).list.join("")
    found = pl.scan_parquet(path).filter(pl.col("split") == split).with_row_index("number")
    if search:
        found = found.filter(texts.str.to_lowercase().str.contains(search.lower(), literal=True))
    total = found.select(pl.len()).collect().item()
    rows = found.filter(pl.col("number") >= start).head(count + 1).collect().to_dicts()
    return JsonResponse({
        "samples": [_sample_json(row) for row in rows[:count]],
        "total": total,
        "next": rows[count]["number"] if len(rows) > count else None,
    })  # fmt: skip


def _sample_json(row: dict[str, Any]) -> dict[str, Any]:
    spans = row["target_spans"]
    return {
        "number": row["number"],
        "channel": row["channel"],
        "tokens": len(row["ids"]),
        "trained": sum(span["end"] - span["start"] for span in spans),
        "segments": [
            {"text": s["text"], "kind": ("context", "reply", "end")[s["kind"]],
             "control": s["control"]}
            for s in row["segments"]
        ],
    }  # fmt: skip


@router.get("/audit")
def audit_samples(
    space: Space, split: Literal["train", "validation", "test"] = "train"
) -> Response:
    """Check all samples of a split, as `myna inspect --audit` does."""
    path = space.prepared / "samples.parquet"
    if not path.exists():
        raise ApiError(409, "there are no samples yet: prepare them first", code="refused")
    settings = space.settings()
    samples = pl.read_parquet(path).filter(pl.col("split") == split)
    tokenizer = Tokenizer(find_base(settings.base, weights=False).folder)
    findings = statistics.audit(
        samples,
        max_length=settings.samples.max_length,
        bos_ids=tokenizer.bos_ids,
        control=tokenizer.control_ids,
    )
    return JsonResponse(findings.to_json())


def stage_states(space: Workspace) -> list[stages.Stage]:
    """The state of every stage; an adapter that cannot be read counts as none."""
    try:
        return stages.status(space)
    except MynaError:
        return stages.status(space, "-")  # a name that nobody gives
