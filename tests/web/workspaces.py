"""A workspace as the owner's pages show it: chats of three, samples, a clone, its figures, a deck.

The chats are imported and prepared for real; the clone and its figures are written by hand,
which takes no time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import polars as pl
from tests.chats import walks
from tests.cli.conftest import run
from tests.metadata import adapter_info

from myna import people, stages
from myna.artifacts import TrainingPlan, TrainingResult
from myna.evaluation import against, blind
from myna.evaluation.blind import Card, Deck
from myna.evaluation.measure import Estimate, Item, Measure
from myna.evaluation.report import Report
from myna.people.consent_checker import TrainedPerson
from myna.workspace import Workspace, write_json, write_manifest

FRIENDS = ["Ana", "Ben", "Cy"]
HOSTILE = "<img src=x onerror=alert(1)>\"'&"
"""A name and text that would be markup if anything took it for that."""
STEPS = 40


def prepared(root: Path, other: str = HOSTILE) -> Workspace:
    """A workspace with prepared chats of three friends, and another, whose name is hostile."""
    root.parent.mkdir(parents=True, exist_ok=True)
    said = [*walks(160), *({**line, "author": other, "id": f"x{line['id']}",
                            "text": f"{other} {line['text']}"} for line in walks(8))]  # fmt: skip
    export = root.parent / "walks.jsonl"
    export.write_text("".join(json.dumps(line) + "\n" for line in said), "utf-8")
    for line in (
        ["new", str(root)],
        ["-C", str(root), "import", str(export)],
        *(["-C", str(root), "people", "allow", "--asked", "by me, in the kitchen", name]
          for name in FRIENDS),
        ["-C", str(root), "prepare", "--set", "samples.max_length=128"],
    ):  # fmt: skip
        done = run(root.parent, line)
        assert done.status == 0, done.err
    space = Workspace(root)
    text = space.settings_file.read_text("utf-8")
    space.settings_file.write_text(text.replace("# max_length = 512", "max_length = 128"), "utf-8")
    return space


def log_lines(steps: Iterable[int], of: int = STEPS) -> str:
    """Lines of a training's log."""
    return "".join(
        json.dumps({
            "step": step, "steps": of, "loss": 2 + 2 / step, "learning_rate": 1e-3,
            "tokens": 100 * step, "tokens_per_second": 300.0, "seconds_left": 2.0 * (of - step),
            "validation_loss": 2.1 + 1 / step if step % 10 == 0 else None, "peak_share": 0.5,
        }) + "\n"
        for step in steps
    )  # fmt: skip


def preview(step: int, reply: str) -> str:
    """A line of a training's sample replies."""
    line = {"step": step, "asked": f"Ben: {HOSTILE} {step}", "person": "Ana", "reply": reply}
    return json.dumps(line) + "\n"


def add_clone(space: Workspace, name: str, loss: float = 2.0) -> None:
    """An adapter that was never trained, with its log."""
    everyone = people.load(space.people_file).persons
    trained = {p.name: TrainedPerson.of(p) for p in everyone if p.name in FRIENDS}
    folder = space.adapter(name)
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_text(f"weights of {name}")
    (folder / "log.jsonl").write_text(log_lines(range(1, STEPS + 1)))
    (folder / "previews.jsonl").write_text(preview(20, f"{HOSTILE} soup"))
    plan = TrainingPlan(STEPS, 4000, 1.0, "1 epochs", 300.0)
    adapter_info(people=trained, training=TrainingResult(plan, loss)).save(folder)
    settings = stages.train_settings(space.settings())
    write_manifest(folder, inputs=stages.train_inputs(space), settings=settings)


def add_report(space: Workspace, name: str, clone: float) -> None:
    """A report of an adapter with a few figures, as `myna evaluate` writes it."""
    items = tuple(Item("Ana", number, clone + number / 100) for number in range(12))
    measures = [
        Measure(
            "bits_per_character", "Bits per character", "lower", Estimate(clone, 1.2, 1.4, 12),
            "bits by character", Estimate(1.6), None, {"Ana": {"clone": Estimate(clone)}},
            unit="bits", items=items, section="likelihood",
        ),
        Measure("bits_change", "Change", "lower", Estimate(-0.01), "less than its base",
                section="likelihood"),
        Measure("who_said_it", f"Named {HOSTILE}", "higher", Estimate(0.7, 0.6, 0.8, 12),
                "who said it", Estimate(0.3), Estimate(0.9), {HOSTILE: {"clone": Estimate(0.5)}}),
        Measure("collapsed", "Collapsed", "lower", Estimate(math.nan), "rooms", section="rooms"),
    ]  # fmt: skip
    report = Report(name, measures, [f"speaker: {HOSTILE}"])
    manifest = {"inputs": stages.report_inputs(space, name), "settings": {"items": 12}}
    against.save_items(against.items_path(space, name), measures)
    write_json(
        space.reports / f"{name}.json", {**report.plain(), "draw": "d", "manifest": manifest}
    )
    (space.reports / f"{name}.html").write_text("<p>pictures</p><script>alert(1)</script>")


def add_deck(space: Workspace, name: str, *, shown: bool | None = None) -> Deck:
    """A deck of cards of all friends' chat, and one of a chat of two."""
    messages = pl.read_parquet(space.prepared / "messages.parquet")
    tests = messages.filter(pl.col("split") == "test")["conversation"].unique().sort().to_list()
    cards = [
        Card(
            f"{number:016}", FRIENDS[number % 3], tests[number % len(tests)],
            [(FRIENDS[(number + 1) % 3], f"what about {HOSTILE} {number}")],
            f"really {number}", f"as a clone {number} and longer", is_private=number == 7,
            is_shown=shown,
        )
        for number in range(8)
    ]  # fmt: skip
    deck = Deck(stages.evaluate_inputs(space, name)[f"adapter {name}"], cards)
    blind.save_deck(space, name, deck)
    return deck


def friends(root: Path, other: str = HOSTILE) -> Workspace:
    """A workspace with everything."""
    space = prepared(root, other)
    for name, bits in (("group", 1.3), ("short", 1.4)):
        add_clone(space, name)
        add_report(space, name, bits)
        add_deck(space, name)
    return space
