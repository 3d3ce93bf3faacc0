"""The evaluation stage: how good a clone is, on the test split, into reports/.

    reports/NAME.json    every figure, with its definition
    reports/NAME.html    the same as a page, with examples
    reports/NAME.items.parquet    what the figures are taken of, to compare adapters
    reports/NAME.deck.json        moments with two replies, for the blind game

Likelihoods come from transformers, generations from the engine that serves. A metric that
cannot be taken leaves a note, and the rest of the report still comes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from myna import stages, workspace
from myna.artifacts import has_canaries
from myna.errors import MynaError, WorkspaceError
from myna.evaluation import (
    against,
    assistant_leak,
    attribution,
    blind,
    copying,
    exposure,
    identification,
    in_jokes,
    leaks,
    likelihood,
    membership,
    prompted_base,
    room_metrics,
    speaker_order,
    style,
    turn_ends,
)
from myna.evaluation.evidence import Evidence, Progress
from myna.evaluation.measure import Measure, Size
from myna.evaluation.page import page
from myna.evaluation.report import Example, Report
from myna.preparing.prepare import read_samples

Metric = Callable[[Evidence], list[Measure]]

LIKELIHOODS: dict[str, Metric] = {"bits per character": likelihood.measure}
"""Metrics of a model in transformers, by their names; an empty list where there is nothing."""
GENERATIONS: dict[str, Metric] = {
    "who said it": attribution.measure,
    "assistant leak": assistant_leak.measure,
    "in-jokes": in_jokes.measure,
    "style": style.measure,
    "turn ends": turn_ends.measure,
    "rooms": room_metrics.measure,
    "copying": copying.measure,
    "leaks": leaks.measure,
}
"""Metrics of text that the serving engine generates."""
FULL_LIKELIHOODS: dict[str, Metric] = {
    "under whose name": identification.measure,
    "next speaker": speaker_order.measure,
    "membership": membership.measure,
    "base with examples": prompted_base.measure,
}
"""Further ones, with `--full`."""
CANARY_LIKELIHOODS: dict[str, Metric] = {
    "exposure": exposure.measure,
    "membership": membership.measure,
}
"""Further ones of an adapter with canaries, which never speaks."""


def run(
    space: workspace.Workspace,
    name: str,
    report: Callable[[str], None],
    progress: Progress,
    size: Size,
) -> dict[str, Any]:
    """Measure the adapter `name`, and write the report and its page; returns its plain data.

    Raises:
        WorkspaceError: no adapter of that name, or no test split.
        ModelError: base or adapter cannot be loaded, or do not belong together.
        EngineError: the engine of the settings cannot run it.
    """
    evidence = Evidence(space, name, size, report, progress)
    if not read_samples(space, "test").height:
        raise WorkspaceError("there is no test split: raise split.test and run `myna prepare`")
    manifest = {"inputs": stages.report_inputs(space, name), "settings": asdict(size)}
    _forget_other_runs(evidence, manifest)
    measures, notes = _measure_all(evidence)
    speaks = not has_canaries(space, name)
    spoken = (_examples(evidence), evidence.rooms) if speaks else ([], [])
    made = Report(name, measures, notes, *spoken)
    data = {**made.plain(), "draw": against.draw_fingerprint(evidence), "manifest": manifest}
    with workspace.explain_disk_errors(space.reports):
        against.save_items(against.items_path(space, name), measures)
        if speaks:
            blind.save_deck(space, name, blind.make_deck(evidence))
        workspace.write_json(space.reports / f"{name}.json", data)
        workspace.write_text(space.reports / f"{name}.html", page(made))
    shutil.rmtree(evidence.folder, ignore_errors=True)
    return data


def _measure_all(evidence: Evidence) -> tuple[list[Measure], list[str]]:
    """Every metric in the order of the report; a note for each that cannot be taken."""
    measures: list[Measure] = []
    notes: list[str] = []
    full = FULL_LIKELIHOODS if evidence.size.full else {}
    all_metrics = [{**LIKELIHOODS, **full}, GENERATIONS]
    if has_canaries(evidence.workspace, evidence.name):
        all_metrics = [{**LIKELIHOODS, **CANARY_LIKELIHOODS}]
    try:
        for metrics in all_metrics:
            for name, metric in metrics.items():
                try:
                    measures += metric(evidence)
                except MynaError as error:
                    if metric is likelihood.measure:
                        raise  # a clone that cannot be loaded has no figures at all
                    notes.append(f"{name}: {error}")
                    evidence.report(f"{name} cannot be measured: {error}")
            evidence.release()  # two engines at once would need the memory of both
    finally:
        evidence.release()
    return measures, notes


def _forget_other_runs(evidence: Evidence, manifest: dict[str, Any]) -> None:
    """Remove what a stopped run left, unless it measured the same."""
    path = evidence.folder / "manifest.json"
    if workspace.read_json(path) != manifest:
        shutil.rmtree(evidence.folder, ignore_errors=True)
        evidence.folder.mkdir(parents=True, mode=0o700)
        workspace.write_json(path, manifest)


def _examples(evidence: Evidence) -> list[Example]:
    """Replies of the clone beside the real ones."""
    examples = []
    for moment, reply in zip(evidence.moments, evidence.replies, strict=True):
        last = moment.scene.before[-1]
        before = f"{last.person}: {last.text}"
        examples.append(Example(before, moment.person, reply.text, moment.reply.text))
    return examples
