"""Shared fixtures: the embedded base with its real weights, and no deadlines."""

from __future__ import annotations

import os
import random
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from myna.models.bases import DEFAULT_BASE, Base, find_base
from myna.rendering.tokenizer import Tokenizer

# Tests side by side each keep to a core: threads that wait for each other, in torch and
# llama.cpp, spin, and would take the others' cores.
if hasattr(os, "sched_setaffinity") and (worker := os.environ.get("PYTEST_XDIST_WORKER")):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

# A busy machine is no failure. Tests always try the same examples; `make fuzz` tries others,
# and prints the one that failed: it becomes an @example of its test.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
settings.register_profile("same", patient, derandomize=True)
settings.register_profile("fuzz", patient, max_examples=500, print_blob=True)
settings.load_profile(os.environ.get("MYNA_EXAMPLES", "same"))


@pytest.fixture(autouse=True)
def _same_chances() -> None:
    """Every test draws the same numbers, whichever ran before it."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def base() -> Base:
    """SmolLM2-135M-Instruct, out of the user's cache or fetched into it."""
    return find_base(DEFAULT_BASE, weights=True)


@pytest.fixture(scope="session")
def tokenizer(base: Base) -> Tokenizer:
    return Tokenizer(base.folder)
