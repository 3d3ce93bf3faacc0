"""`myna doctor`: what works on this machine, and which bases it can train."""

from __future__ import annotations

from typing import Any

from myna.cli._progress import working
from myna.cli._terminal import Json, console, print_json

NAME = "doctor"


def command(as_json: Json = False) -> None:
    """Check what is installed and works here, and which bases fit the memory."""
    with working("checking this machine"):
        from myna.training.doctor import diagnose

        report = diagnose()
    if as_json:
        print_json(report)
    else:
        print_report(report)


def print_report(report: dict[str, Any]) -> None:
    """Print a report for people."""
    from rich.table import Table

    from myna.training.doctor import recommended_recipe

    screen = console()
    screen.print(report["answer"], style="bold")
    screen.print(f"myna       {report['myna']}, Python {report['python']}")
    packages = report["packages"].items()
    screen.print("installed  " + ", ".join(f"{name} {v}" for name, v in packages if v))
    for line in report["missing"]:
        screen.print(f"missing    {line}")
    if "device" not in report:
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
    nights = ", ".join(
        f"{_rounded(tokens)} tokens of {base.rpartition('/')[2]}"
        for base, tokens in report["night"].items()
    )
    if nights:
        screen.print(f"a night    8 hours of method lora bring about {nights}")
    screen.print(f"advice     {recommended_recipe(report)}")


def _rounded(count: int) -> str:
    """A number with two digits that count, such as 3.1M or 840k."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return (
                f"{count / size:.0f}{unit}" if count >= 10 * size else f"{count / size:.1f}{unit}"
            )
    return str(count)
