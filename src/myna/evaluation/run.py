"""The evaluation stage: base and clone on the test split, into reports/NAME.json."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from myna import stages, workspace
from myna.artifacts import AdapterInfo
from myna.errors import WorkspaceError
from myna.evaluation.likelihood import compare, confidence_interval, reply_bits
from myna.models.loading import load_adapter, load_base
from myna.persona.clone import find_adapter_base
from myna.preparing.prepare import read_samples
from myna.training.kernels.install import install_kernels


def run(
    space: workspace.Workspace,
    name: str,
    report: Callable[[str], None],
    progress: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """Evaluate an adapter; returns the report as it is written.

    `progress` is called with the model ("base" or "clone"), the samples done, and all samples.

    Raises:
        WorkspaceError: there is no such adapter, or no test split.
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
    base = find_adapter_base(name, info, weights=True, report=report)
    plain = load_base(base)
    model = load_adapter(plain, space.adapter(name))
    install_kernels(model)
    # A model whose every weight was trained has no adapter to disable.
    models = {"base": model if hasattr(model, "disable_adapter") else plain, "clone": model}
    base_bits, clone_bits = (
        reply_bits(model, samples, adapter=kind == "clone", progress=partial(progress, kind))
        for kind, model in models.items()
    )
    overall, *people = compare(base_bits, clone_bits)
    result = {
        "measure": "bits per character of the test split's replies",
        "adapter": name,
        "base": overall.base.bits_per_character,
        "clone": overall.clone.bits_per_character,
        "change": overall.change,
        "interval": [*confidence_interval(base_bits, clone_bits)],
        "replies": overall.clone.replies,
        "characters": overall.clone.characters,
        "people": [
            {
                "person": own.person,
                "base": own.base.bits_per_character,
                "clone": own.clone.bits_per_character,
                "change": own.change,
                "characters": own.clone.characters,
                "replies": own.clone.replies,
            }
            for own in people
        ],
    }
    manifest = {"inputs": stages.evaluate_inputs(space, name), "settings": {}}
    with workspace.explain_disk_errors(space.reports):
        workspace.write_json(space.reports / f"{name}.json", {**result, "manifest": manifest})
    return result
