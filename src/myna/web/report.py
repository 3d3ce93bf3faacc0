"""The report page and its API: figures of `myna evaluate`, and two adapters side by side."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from myna import stages
from myna.choices import DEFAULT_ADAPTER
from myna.errors import MynaError
from myna.evaluation import against
from myna.evaluation.measure import Measure
from myna.evaluation.report import (
    SECTIONS,
    grade,
    lines_of,
    measures_of,
    number,
    without_nan,
    written,
)
from myna.evaluation.style import largest_gaps
from myna.evaluation.verdict import find_faults
from myna.serving.errors import ApiError, JsonResponse
from myna.serving.room_routes import RequestBody
from myna.web import jobs, shell
from myna.web.commands import OwnerRoute, Space, start_response
from myna.web.job_runner import command_line
from myna.web.training import adapter_names
from myna.workspace import Workspace, read_json, read_manifest, stale_reasons

BETTER = {
    "higher": "Higher is better.",
    "lower": "Lower is better.",
    "real": "Best where it is nearest to real text.",
}
_PICTURES_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; sandbox; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Reports have their style within them, and nothing else: no script runs on their path."""

router = APIRouter(prefix="/api/reports", tags=["Reports"], route_class=OwnerRoute)
"""The paths of reports."""
page = APIRouter(include_in_schema=False, route_class=OwnerRoute)
"""The page, and the pages that `myna evaluate` and `myna prepare` wrote."""


class NewReport(RequestBody):
    """An evaluation to run: the options of `myna evaluate`."""

    adapter: str = Field(DEFAULT_ADAPTER, min_length=1, max_length=100)
    items: int = Field(120, ge=10, le=100_000)
    rooms: int = Field(10, ge=0, le=1000)
    full: bool = False
    against: str = Field("", max_length=100)

    def arguments(self) -> list[str]:
        """The command's arguments."""
        fields = NewReport.model_fields
        return [
            "evaluate",
            *([f"--adapter={self.adapter}"] if self.adapter != DEFAULT_ADAPTER else []),
            *([f"--items={self.items}"] if self.items != fields["items"].default else []),
            *([f"--rooms={self.rooms}"] if self.rooms != fields["rooms"].default else []),
            *(["--full"] if self.full else []),
            *([f"--against={self.against}"] if self.against else []),
        ]


@page.get("/report")
async def report_page(request: Request) -> Response:
    """Show the reports."""
    return shell.render(request, "report.html")


@page.get("/reports/{name}")
def written_page(name: str, space: Space) -> Response:
    """Send the page that `myna evaluate` (or `prepare`) wrote, under a policy of its own."""
    path = space.reports / f"{name}.html"
    if name != "prepare" and name not in adapter_names(space):
        raise ApiError(404, "there is no such report", code="not_found")
    if not path.exists():
        raise ApiError(404, f"{name} has no page yet: measure it first", code="not_found")
    headers = shell.page_headers(_PICTURES_POLICY)
    return HTMLResponse(path.read_bytes(), headers=headers)


@router.get("")
def list_reports(space: Space) -> Response:
    """List the trained adapters, and which are measured as they are now."""
    busy = jobs.running(space)
    adapters = [
        _adapter_json(space, name)
        for name in adapter_names(space)
        if read_manifest(space.adapter(name)) is not None
    ]
    job = busy.to_json() if busy else None
    return JsonResponse({"adapters": adapters, "default": DEFAULT_ADAPTER, "job": job})


@router.post("/evaluate", status_code=202)
def start_evaluation(new: NewReport, space: Space) -> Response:
    """Measure an adapter as a job."""
    return start_response(space, new.arguments())


@router.post("/command")
def evaluation_command(new: NewReport) -> Response:
    """Tell the command that an evaluation with these fields would be."""
    return JsonResponse({"command": command_line(new.arguments())})


@router.get("/compare")
def compare(
    space: Space,
    adapter: Annotated[str, Query(max_length=100)],
    other: Annotated[str, Query(max_length=100)],
) -> Response:
    """Get the paired differences of two measured adapters, on the same items."""
    pair = (against.load_measures(space, name) for name in (adapter, other))
    differences, notes = against.compare(*pair)
    rows = [
        {
            "title": found.measure.title + (" (distance)" if found.is_distance else ""),
            "section": found.measure.section,
            "is_detail": found.measure.is_detail,
            "this": written(found.measure.clone, found.measure.unit),
            "other": written(found.other, found.measure.unit),
            "difference": written(found.difference, found.measure.unit, "+"),
            "low": found.difference.low,
            "high": found.difference.high,
            "value": found.difference.value,
            "better": {"this": adapter, "other": other, "": ""}[found.better],
        }
        for found in differences
    ]
    return JsonResponse(without_nan(
        {"this": adapter, "other": other, "rows": rows, "notes": notes, "sections": SECTIONS}
    ))  # fmt: skip


@router.get("/{name}")
def get_report(name: str, space: Space) -> Response:
    """Get an adapter's report: faults first, every figure with its grade and its scale."""
    space.adapter(name)  # refuses names that would lead elsewhere
    data = read_json(space.reports / f"{name}.json")
    if data is None:
        raise ApiError(404, f"adapter '{name}' is not measured yet", code="not_measured")
    measures = measures_of(data)
    gaps = largest_gaps(measures)
    return JsonResponse(without_nan({
        **_adapter_json(space, name),
        "sections": SECTIONS,
        "faults": [vars(fault) for fault in find_faults(measures)],
        "measures": [measure_json(measure) for measure in measures],
        "gaps": [
            {"person": person, "feature": gap.feature, "clone": gap.clone, "real": gap.real,
             "remedy": gap.remedy}
            for person, own in gaps.items()
            for gap in own
        ],
        "notes": data["notes"],
    }))  # fmt: skip


def measure_json(measure: Measure) -> dict[str, Any]:
    """A figure for the page: numbers for its picture, and the same as text."""
    lines = lines_of(measure)
    return {
        "name": measure.name,
        "title": measure.title,
        "section": measure.section,
        "is_detail": measure.is_detail,
        "is_known": not math.isnan(measure.clone.value),
        "unit": measure.unit,
        "grade": grade(measure),
        "value": number(measure.clone.value, measure.unit) if lines else "–",
        "text": written(measure.clone, measure.unit),
        "low": measure.clone.low,
        "high": measure.clone.high,
        "definition": measure.definition,
        "better": BETTER[measure.better],
        "notes": list(measure.notes),
        "lines": [
            {"name": name, "kind": kind, "value": estimate.value,
             "text": written(estimate, measure.unit)}
            for name, (kind, estimate) in lines.items()
        ],
        "people": {
            person: {key: written(found, measure.unit) for key, found in own.items()
                     if not key.startswith("as ")}
            for person, own in measure.people.items()
        },
    }  # fmt: skip


def _adapter_json(space: Workspace, name: str) -> dict[str, Any]:
    """An adapter, and the state of its report: missing, stale or done."""
    manifest = read_manifest(space.adapter(name))
    report: dict[str, Any] | None
    try:
        report = read_json(space.reports / f"{name}.json")
    except MynaError:
        report = None
    reasons = []
    if report:
        inputs = stages.report_inputs(space, name)
        reasons = stale_reasons(report["manifest"], inputs, report["manifest"]["settings"])
    return {
        "adapter": name,
        "made_at": manifest["made_at"] if manifest else None,
        "state": "missing" if report is None else "stale" if reasons else "done",
        "reasons": reasons,
        "size": report["manifest"]["settings"] if report else None,
        "has_page": (space.reports / f"{name}.html").exists(),
    }
