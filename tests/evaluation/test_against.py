"""Two adapters side by side: paired differences, and what cannot be compared."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests.cli.conftest import run
from tests.evaluation.conftest import SIZE

from myna.errors import WorkspaceError
from myna.evaluation.against import compare, paired_difference
from myna.evaluation.measure import Estimate, Item, Measure, bootstrap, mean
from myna.workspace import Workspace


def items(values: list[float], shift: float = 0.0) -> tuple[Item, ...]:
    return tuple(Item("Ana", i // 2, value + shift) for i, value in enumerate(values))


HARD = [float(i % 10) for i in range(60)]


def figure(better: str = "lower", shift: float = 0.0, ceiling: float = math.nan) -> Measure:
    found = items(HARD, shift)
    value = Estimate(mean([item.value for item in found]))
    return Measure("bits", "Bits", better, value, "", ceiling=Estimate(ceiling), items=found)  # type: ignore[arg-type]


def test_what_makes_an_item_hard_for_both_cancels_out() -> None:
    pairs = list(zip(items(HARD, 0.1), items(HARD), strict=True))
    found = paired_difference(pairs)
    assert found.value == pytest.approx(0.1)
    assert (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.1))
    alone = bootstrap(HARD, [i // 2 for i in range(60)], mean)
    assert alone.high - alone.low > 1


def test_a_figure_is_the_sum_of_values_over_that_of_weights() -> None:
    ours = [Item("Ana", 0, 10.0, 2.0), Item("Ana", 1, 20.0, 8.0)]
    theirs = [replace(item, value=10.0) for item in ours]
    assert paired_difference(list(zip(ours, theirs, strict=True))).value == pytest.approx(3 - 2)


@pytest.mark.parametrize(
    ("better", "shift", "ceiling", "wins"),
    [
        ("lower", -0.5, math.nan, "this"),
        ("lower", 0.5, math.nan, "other"),
        ("higher", 0.5, math.nan, "this"),
        ("lower", 0.0, math.nan, ""),
        ("real", 0.5, 6.0, "this"),  # 5.0 against 4.5, and people 6.0
        ("real", 0.5, 3.0, "other"),
    ],
)
def test_the_better_one_is_named_only_where_the_interval_says_so(
    better: str, shift: float, ceiling: float, wins: str
) -> None:
    ours, theirs = figure(better, shift, ceiling), figure(better, 0.0, ceiling)
    [difference], notes = compare(("draw", [ours]), ("draw", [theirs]))
    assert difference.better == wins
    assert notes == []


def test_another_draw_is_refused_and_other_items_are_left_out_with_a_line() -> None:
    with pytest.raises(WorkspaceError, match="other chats, other people or another draw"):
        compare(("draw", [figure()]), ("other", [figure()]))
    fewer = replace(figure(), items=figure().items[1:])
    assert compare(("draw", [figure()]), ("draw", [fewer])) == (
        [],
        ["Bits: not the same items, so not compared"],
    )


def test_a_figure_of_nothing_is_left_out_with_a_line() -> None:
    nothing = replace(
        figure(), items=tuple(replace(i, value=0.0, weight=0.0) for i in figure().items)
    )
    assert compare(("draw", [nothing]), ("draw", [nothing])) == (
        [],
        ["Bits: this draw has nothing to compare it by"],
    )


def test_two_adapters_of_a_workspace(measured: Workspace) -> None:
    done = run(measured.root, ["evaluate", "--against", "short", *SIZE])
    assert done.status == 0, done.err
    assert "Bits per character" in done.out
    again = run(measured.root, ["evaluate", "--against", "short", "--json"])
    found = {entry["name"]: entry for entry in again.json()["measures"]}
    bits = found["bits_per_character"]
    assert bits["difference"]["value"] == pytest.approx(
        bits["this"]["value"] - bits["other"]["value"]
    )
    assert bits["better"] == "this"  # it was trained four times as long
    assert set(bits["people"]) == {"Ana", "Ben"}
    assert {"repeats", "cut_by_limit", "assistant_leak", "message_length"} <= found.keys()
    assert {"bits_change", "leaked_strings"} <= found.keys()
    change = found["bits_change"]
    assert change["difference"]["value"] == pytest.approx(
        change["this"]["value"] - change["other"]["value"]
    )
    elsewhere = run(
        measured.root, ["evaluate", "--against", f"{measured.root}:group", "--json", *SIZE]
    )
    assert all(entry["difference"]["value"] == 0 for entry in elsewhere.json()["measures"])


def test_an_adapter_that_is_not_there_is_one_line(measured: Workspace) -> None:
    done = run(measured.root, ["evaluate", "--against", "nobody", *SIZE])
    assert done.status != 0
    assert "there is no adapter 'nobody'" in done.err
