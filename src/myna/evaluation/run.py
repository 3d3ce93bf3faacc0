"""The evaluation stage: how good a clone is, on the test split, into reports/.

    reports/NAME.json    every figure, with its definition
    reports/NAME.html    the same as a page, with examples

Likelihoods come from transformers, generations from the engine that serves. A metric that
cannot be taken leaves a note, and the rest of the report still comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from myna import config, stages, workspace
from myna.artifacts import AdapterInfo
from myna.engines.engine import SERVERS, open_engine
from myna.errors import WorkspaceError
from myna.evaluation import report as report_
from myna.evaluation.assistant_leak import measure_leak
from myna.evaluation.attribution import measure_attribution
from myna.evaluation.likelihood import Comparison, compare, draw_samples, interval, reply_bits
from myna.evaluation.measure import Size
from myna.evaluation.moments import (
    GeneratedReply,
    Moment,
    draw_moments,
    find_moments,
    generate_replies,
    generate_rooms,
    openings_of,
    real_stretches,
    signed_turns,
    with_engine,
)
from myna.evaluation.room_metrics import Room, measure_rooms
from myna.evaluation.turn_ends import measure_turn_ends
from myna.models.bases import find_base_of
from myna.models.loading import load, load_adapter
from myna.persona.clone import Clone, open_clone
from myna.preparing.prepare import read_samples
from myna.training.kernels.install import install_kernels

Progress = Callable[[str, int, int], None]
"""Called with what is under way, the number done and the number in all."""


@dataclass(frozen=True)
class _Generated:
    """What the clone and the base said."""

    moments: list[Moment]
    clone: list[GeneratedReply]
    base: list[GeneratedReply]
    rooms: Sequence[Room]


def run(
    space: workspace.Workspace,
    name: str,
    say: Callable[[str], None],
    progress: Progress,
    size: Size,
) -> dict[str, Any]:
    """Measure the adapter `name`, and write the report and its page; the report's plain data.

    Raises:
        WorkspaceError: no adapter of that name, or no test split.
        ModelError: base or adapter cannot be loaded, or do not belong together.
        EngineError: the engine of the settings cannot run it.
    """
    info = AdapterInfo.load(space, name)
    if not read_samples(space, "test").height:
        raise WorkspaceError("there is no test split: raise split.test and run `myna prepare`")
    bits = _likelihood(space, name, info, size.items, say, progress)
    messages = pl.read_parquet(space.prepared / "messages.parquet")
    test = messages.filter(pl.col("split") == "test")
    train = signed_turns(messages.filter(pl.col("split") == "train"), info.personas)
    real = signed_turns(test, info.personas)
    generated = _generate(space, name, info, test, size, say, progress)
    clone, base = ([r.text for r in some] for some in (generated.clone, generated.base))
    measures = [
        *measure_attribution(train, real, clone, base),
        measure_leak(clone, base, [*train, *real]),
        *measure_turn_ends(clone, [reply.is_cut for reply in generated.clone], real),
        *measure_rooms(
            generated.rooms, real_stretches(test, [len(room) for room in generated.rooms])
        ),
    ]
    report = {"adapter": name, **bits, "measures": report_.plain(measures)}
    manifest = {"inputs": stages.evaluate_inputs(space, name), "settings": asdict(size)}
    with workspace.clear_disk_errors(space.reports):
        workspace.write_json(space.reports / f"{name}.json", {**report, "manifest": manifest})
        page = report_.page(
            f"How good is '{name}'?", bits, measures, _examples(generated), generated.rooms
        )
        workspace.write_text(space.reports / f"{name}.html", page)
    return report


def _likelihood(
    space: workspace.Workspace,
    name: str,
    info: AdapterInfo,
    items: int,
    say: Callable[[str], None],
    progress: Progress,
) -> dict[str, Any]:
    """Bits per character of base and clone on the same replies, as plain data."""
    base = find_base_of(name, info, weights=True, say=say)
    samples = draw_samples(read_samples(space, "test"), items)
    tables: dict[str, list[pl.DataFrame]] = {"base": [], "clone": []}
    own_adapters: list[tuple[str | None, str]] = [*info.adapters.items()]
    for person, adapter in own_adapters or [(None, name)]:
        plain = load(base)
        model = load_adapter(plain, space.adapter(adapter))
        install_kernels(model)
        # Below a model whose every weight was trained lies no base.
        models = {"base": model if hasattr(model, "disable_adapter") else plain, "clone": model}
        for which, measured in models.items():
            found = reply_bits(
                measured,
                samples,
                adapter=which == "clone",
                watch=lambda done, count, which=which: progress(  # type: ignore[misc]
                    f"likelihood of the {which}", done, count
                ),
            )
            own = found if person is None else found.filter(pl.col("person") == person)
            tables[which].append(own)
    measured_base, measured_clone = (pl.concat(tables[which]) for which in ("base", "clone"))
    rows = compare(measured_base, measured_clone)
    return {
        **_bits(rows[0]),
        "interval": list(interval(measured_base, measured_clone)),
        "people": [{"person": row.person, **_bits(row)} for row in rows[1:]],
    }


def _bits(row: Comparison) -> dict[str, Any]:
    return {
        "base": row.base.bits_per_character,
        "clone": row.clone.bits_per_character,
        "change": row.change,
        "replies": row.clone.replies,
        "characters": row.clone.characters,
    }


def _generate(
    space: workspace.Workspace,
    name: str,
    info: AdapterInfo,
    test: pl.DataFrame,
    size: Size,
    say: Callable[[str], None],
    progress: Progress,
) -> _Generated:
    """Replies of clone and base to the same moments, and rooms of clones among themselves."""
    settings = space.settings()
    moments = draw_moments(find_moments(test, info.personas), size.items)
    with closing(open_clone(space, name, settings, seed=0, say=say)) as clone:
        replies = generate_replies(
            clone, moments, lambda done: progress("replies", done, len(moments))
        )
        openings = openings_of(find_moments(test, info.personas), size.rooms)
        rooms = generate_rooms(
            clone, openings, size.turns, lambda done: progress("rooms", done, len(openings))
        )
    base: list[GeneratedReply] = []
    if settings.chat.engine not in SERVERS:  # a server has the clone only
        half = moments[::2]
        with closing(_without_adapter(clone, name, info, settings, say)) as plain:
            base = generate_replies(
                plain, half, lambda done: progress("replies of the base", done, len(half))
            )
    return _Generated(moments, replies, base, rooms)


def _without_adapter(
    clone: Clone,
    name: str,
    info: AdapterInfo,
    settings: config.Settings,
    say: Callable[[str], None],
) -> Clone:
    """The base in the clone's place: the same prompts, answered without the adapter."""
    base = find_base_of(name, info, weights=False, say=say)
    engine = open_engine(settings.chat.engine, base, context=clone.engine.context, slots=1, say=say)
    return with_engine(clone, engine)


def _examples(generated: _Generated) -> Sequence[tuple[str, str, str, str]]:
    """(last line before, person, what the clone said, what was really said) of some moments."""
    return [
        (m.scene.said[-1].text, m.person, reply.text.text, m.reply.text)
        for m, reply in zip(generated.moments, generated.clone, strict=True)
    ]
