"""The evaluation stage: base against clone on the test split, into reports/NAME.json."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from myna import stages, workspace
from myna.artifacts import AdapterInfo
from myna.errors import WorkspaceError
from myna.evaluation.likelihood import compare, interval, reply_bits
from myna.models.bases import find_adapter_base
from myna.models.loading import load_adapter, load_base
from myna.preparing.prepare import read_samples
from myna.training.kernels.install import install_kernels


def run(
    space: workspace.Workspace,
    name: str,
    say: Callable[[str], None],
    progress: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """Measure, and write the report; its plain data.

    `progress` hears who is measured ("base" or "clone"), samples done, and their number.

    Raises:
        WorkspaceError: no adapter of that name, or no test split.
        ModelError: base or adapter cannot be loaded, or do not belong together.
    """
    info = AdapterInfo.load(space, name)
    if info.adapters:
        raise WorkspaceError(
            f"'{name}' has an adapter for each person: measure one of them, such as with "
            f"`myna evaluate --adapter {next(iter(info.adapters.values()))}`"
        )
    samples = read_samples(space, "test")
    if not samples.height:
        raise WorkspaceError("there is no test split: raise split.test and run `myna prepare`")
    base = find_adapter_base(name, info, weights=True, report=say)
    plain = load_base(base)
    model = load_adapter(plain, space.adapter(name))
    install_kernels(model)
    # Below a model whose every weight was trained lies no base.
    models = {"base": model if hasattr(model, "disable_adapter") else plain, "clone": model}
    measured = {
        who: reply_bits(
            models[who],
            samples,
            adapter=who == "clone",
            watch=lambda done, all_, who=who: progress(who, done, all_),  # type: ignore[misc]
        )
        for who in ("base", "clone")
    }
    rows = compare(measured["base"], measured["clone"])
    low, high = interval(measured["base"], measured["clone"])
    overall = rows[0]
    report = {
        "measure": "bits per character of the test split's replies",
        "adapter": name,
        "base": overall.base.bits_per_character,
        "clone": overall.clone.bits_per_character,
        "change": overall.change,
        "interval": [low, high],
        "replies": overall.clone.replies,
        "characters": overall.clone.characters,
        "people": [
            {
                "person": row.person,
                "base": row.base.bits_per_character,
                "clone": row.clone.bits_per_character,
                "change": row.change,
                **{k: v for k, v in asdict(row.clone).items() if k != "bits"},
            }
            for row in rows[1:]
        ],
    }
    manifest = {"inputs": stages.evaluate_inputs(space, name), "settings": {}}
    with workspace.explain_disk_errors(space.reports):
        workspace.write_json(space.reports / f"{name}.json", {**report, "manifest": manifest})
    return report
