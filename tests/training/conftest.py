"""The small model, made anew for each test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.small_model import make


@pytest.fixture
def small_model() -> Callable[[], Any]:
    """Makes the same model again and again."""
    return make


@pytest.fixture
def model() -> Any:
    return make()
