"""`myna doctor`: what this machine can train, and what is missing."""

from __future__ import annotations

from typing import Any

from myna.cli._terminal import Json, console, emit, say

NAME = "doctor"


def command(json_: Json = False) -> None:
    """Say what is installed, what works here, and which bases fit the memory."""
    say("trying things out")
    from myna.training.doctor import diagnose

    report = diagnose()
    if json_:
        emit(report)
    else:
        show(report)


def show(report: dict[str, Any]) -> None:
    """Print a report for people."""
    from rich.table import Table

    from myna.training.doctor import recommended_recipe

    screen = console()
    screen.print(f"myna {report['myna']}, Python {report['python']}")
    packages = report["packages"].items()
    screen.print("installed  " + ", ".join(f"{name} {v}" for name, v in packages if v))
    screen.print("missing    " + ", ".join(name for name, v in packages if not v))
    if "training" in report:
        screen.print(report["training"])
        return
    several = f", {report['devices']} of them" if report["devices"] > 1 else ""
    screen.print(
        f"device     {report['device']}{several}: {report['free_memory'] / 1e9:.1f} GB free, "
        f"{report['teraflops']:.2f} TFLOP/s in matrix products"
    )
    screen.print(f"precision  {report['precision']}")
    for check in report["checks"]:
        screen.print(f"{'works' if check['works'] else 'NO':9}  {check['name']}: {check['told']}")
    table = Table(title="Memory to train with, in GB (–: does not fit)", title_justify="left")
    for column in ("base", "qlora", "lora", "full"):
        table.add_column(column, justify="left" if column == "base" else "right")
    for row in report["bases"]:
        needs = (row[method] for method in ("qlora", "lora", "full"))
        table.add_row(row["base"], *(f"{n / 1e9:.1f}" if n else "–" for n in needs))
    screen.print(table)
    screen.print(f"advice     {recommended_recipe(report)}")
