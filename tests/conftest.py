"""What the tests share: the embedded base, with its real weights."""

from __future__ import annotations

import pytest

from myna.models.bases import DEFAULT, Base, find
from myna.samples.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def base() -> Base:
    """SmolLM2-135M-Instruct, out of the user's cache or fetched into it."""
    return find(DEFAULT, weights=True)


@pytest.fixture(scope="session")
def tokenizer(base: Base) -> Tokenizer:
    return Tokenizer(base.folder)
