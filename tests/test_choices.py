"""Names that users choose among: each is there where it is chosen, and on the page about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna.choices import CLONE_FORMATS, DATASET_FORMATS, ENGINES, RENDERINGS, join_with_or
from myna.config import Settings
from myna.config.recipe_defaults import RECIPES
from myna.export.clone_export import TARGETS
from myna.export.formats import FORMATS

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {
    "engines": ENGINES,
    "exports": DATASET_FORMATS + CLONE_FORMATS,
    "renderings": RENDERINGS,
    "training": tuple(RECIPES),
}


def test_every_export_format_can_be_written() -> None:
    assert tuple(FORMATS) == DATASET_FORMATS
    assert tuple(TARGETS) == CLONE_FORMATS


def test_the_default_recipe_is_one() -> None:
    assert Settings().recipe in RECIPES


@pytest.mark.parametrize("page", PAGES)
def test_a_page_tells_of_all_there_are(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text("utf-8")
    assert [name for name in PAGES[page] if f"`{name}`" not in text] == []


def test_a_list_for_people() -> None:
    assert join_with_or(("a", "b", "c")) == "a, b or c"
    assert join_with_or(("a",)) == "a"
