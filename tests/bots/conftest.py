"""Fixtures of the bots' tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bots.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A workspace of four clones, who repeat what they hear."""
    return World(tmp_path)
