"""What the tests share: the embedded base with its real weights, and no hurry."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from myna.models.bases import DEFAULT, Base, find
from myna.samples.tokenizer import Tokenizer

# Tests side by side each keep to a core: threads that wait for each other, in torch and
# llama.cpp, spin, and would take the others' cores.
if hasattr(os, "sched_setaffinity") and (worker := os.environ.get("PYTEST_XDIST_WORKER")):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

# A busy machine is no failure.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def base() -> Base:
    """SmolLM2-135M-Instruct, out of the user's cache or fetched into it."""
    return find(DEFAULT, weights=True)


@pytest.fixture(scope="session")
def tokenizer(base: Base) -> Tokenizer:
    return Tokenizer(base.folder)
