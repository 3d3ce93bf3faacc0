"""The report of `myna doctor`."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from typer.testing import CliRunner

from myna.cli import app
from myna.training import doctor
from myna.training.doctor import (
    BASES,
    _base_shape,
    memory_by_base,
    recommended_recipe,
    tokens_in_a_night,
)

GB = 10**9


def test_the_sizes_are_those_of_the_models() -> None:
    millions = {name: round(_base_shape(name).parameters / 1e6) for name in BASES}
    assert millions == {
        "smollm2-135m": 135,
        "HuggingFaceTB/SmolLM2-360M-Instruct": 362,
        "HuggingFaceTB/SmolLM2-1.7B": 1711,
        "mistralai/Mistral-7B-v0.1": 7242,
        "mistralai/Mistral-Nemo-Base-2407": 12248,
        "meta-llama/Llama-3.1-70B": 70554,
    }


@pytest.mark.parametrize(
    ("card", "recipe"), [(24, "3090"), (47, "a40"), (79, "h100"), (2, "laptop")]
)
def test_the_advice_is_the_largest_recipe_that_fits(card: int, recipe: str) -> None:
    rows = memory_by_base(card * GB, 2, four_bits=True)
    report = {"bases": rows, "accelerator": "CUDA", "free_memory": card * GB}
    assert recommended_recipe(report) == f'recipe = "{recipe}"'


def test_a_smaller_card_is_advised_shorter_samples() -> None:
    rows = memory_by_base(12 * GB, 2, four_bits=True)
    report = {"bases": rows, "accelerator": "CUDA", "free_memory": 12 * GB}
    assert recommended_recipe(report) == 'recipe = "3090" with samples.max_length = 1024'


def test_without_bitsandbytes_nothing_is_advised_that_needs_it() -> None:
    rows = memory_by_base(24 * GB, 2, four_bits=False)
    assert all(row["qlora"] is None for row in rows)
    report = {"bases": rows, "accelerator": "CUDA", "free_memory": 24 * GB}
    assert recommended_recipe(report) == 'recipe = "laptop"'


def test_a_night_brings_more_tokens_of_a_smaller_base() -> None:
    night = tokens_in_a_night(200e9, ["smollm2-135m", "HuggingFaceTB/SmolLM2-1.7B"])
    assert night["smollm2-135m"] == pytest.approx(8 * 3600 * 0.4 * 200e9 / (4 * 135e6), rel=0.01)
    assert night["HuggingFaceTB/SmolLM2-1.7B"] < night["smollm2-135m"] / 10


def test_everything_is_tried_and_told() -> None:
    done = CliRunner().invoke(app, ["doctor", "--json"], catch_exceptions=False)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["packages"]["torch"]
    assert report["free_memory"] > 0
    assert {check["name"] for check in report["checks"]} == {
        "gradients", "bitsandbytes", "flash attention",
    }  # fmt: skip
    shown = CliRunner().invoke(app, ["doctor"], catch_exceptions=False)
    assert "advice     recipe = " in shown.stdout
    assert "a night    8 hours of method lora bring about" in shown.stdout
    first, *_ = shown.stdout.splitlines()
    assert re.fullmatch(
        r"This machine trains \S+ .*on 100,000 tokens \(some 8,000 messages\) in about [\d,]+ min, "
        r"and chats with it at (over|about) \d+ tokens/s\.",
        first,
    )


@pytest.mark.parametrize(
    ("accelerator", "memory", "teraflops", "rate", "told"),
    [
        (
            *("CPU", 8, 0.19, 9e9),
            "smollm2-135m on 100,000 tokens (some 8,000 messages) in about 12 min, and chats with "
            "it at about 56 tokens/s.",
        ),
        (
            *("CUDA", 24, 70, 9e11),
            "mistralai/Mistral-7B-v0.1 in 4 bits on 100,000 tokens (some 8,000 messages) in about "
            "2 min, and chats with it at over 100 tokens/s.",
        ),
    ],
)
def test_the_answer_comes_first(
    accelerator: str, memory: int, teraflops: float, rate: float, told: str
) -> None:
    report = {
        "accelerator": accelerator,
        "free_memory": memory * GB,
        "teraflops": teraflops,
        "bytes_per_second": rate,
        "bases": memory_by_base(memory * GB, 2, four_bits=accelerator == "CUDA"),
    }
    assert doctor.answer(report) == f"This machine trains {told}"


def test_what_is_missing_is_told_with_how_to_install_it_where_it_is_of_use() -> None:
    report = {"packages": dict.fromkeys(doctor.PACKAGES)}
    on_a_card = doctor.missing_packages(report, "CUDA")
    assert "bitsandbytes, for training in 4 bits (QLoRA): pip install 'myna[gpu]'" in on_a_card
    assert set(doctor.missing_packages(report, "CPU")) < set(on_a_card)


def test_bases_stand_in_the_order_of_their_sizes() -> None:
    rows = memory_by_base(9000 * GB, 2, four_bits=True)
    for method in ("qlora", "lora", "full"):
        sizes = [row[method] for row in rows]
        assert sizes == sorted(sizes)


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    version = doctor._installed_version
    monkeypatch.setattr(
        doctor, "_installed_version", lambda name: None if name == "torch" else version(name)
    )
    done = CliRunner().invoke(app, ["doctor"], catch_exceptions=False)
    assert "pip install 'myna[train]'" in done.stdout
