"""Bits per character."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest
import torch
from tests.small_model import make

from myna.evaluation.likelihood import compare, confidence_interval, reply_bits
from myna.training.kernels.install import install_kernels


def span(person: str, start: int, words_end: int, end: int, characters: int) -> dict[str, Any]:
    places = {"start": start, "end": end, "words_start": start, "words_end": words_end}
    return {"person": person, **places, "characters": characters}


SAMPLES = pl.DataFrame(
    {
        "ids": [[1, 2, 3, 4, 5, 6, 7], [8, 9, 10]],
        "target_spans": [
            [span("ana", 2, 4, 6, characters=9), span("ben", 6, 7, 7, characters=4)],
            [span("ana", 1, 2, 3, characters=5)],
        ],
    }
)


@pytest.mark.parametrize("packed", [False, True])
def test_only_the_words_of_a_reply_count(packed: bool) -> None:
    model = make()
    if packed:
        install_kernels(model)
    bits = reply_bits(model, SAMPLES, adapter=True)
    with torch.inference_mode():
        ids = torch.tensor([SAMPLES["ids"][0].to_list()])
        chances = make()(input_ids=ids).logits[0].log_softmax(-1)
    first = -(chances[1, 3] + chances[2, 4]).item() / math.log(2)
    second = -chances[5, 7].item() / math.log(2)
    assert bits["bits"].to_list()[:2] == pytest.approx([first, second], rel=1e-4)
    assert bits["person"].to_list() == ["ana", "ben", "ana"]


def test_a_comparison_of_everyone_comes_first_then_each_person() -> None:
    base = pl.DataFrame(
        {"sample": [0, 0, 1], "person": ["a", "b", "a"], "characters": [10, 5, 10],
         "bits": [20.0, 10.0, 10.0]}
    )  # fmt: skip
    clone = base.with_columns(pl.col("bits") / 2)
    everyone, first, second = compare(base, clone)
    assert everyone.base.bits_per_character == pytest.approx(40 / 25)
    assert everyone.change == pytest.approx(-0.5)
    assert (first.person, second.person) == ("a", "b")
    assert confidence_interval(base, clone) == pytest.approx((-0.5, -0.5))
