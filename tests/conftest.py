"""What the tests share: the embedded base with its real weights, and no hurry."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from myna.models.bases import DEFAULT, Base, find
from myna.samples.tokenizer import Tokenizer

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
