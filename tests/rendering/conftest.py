"""Every rendering there is, for bases whose tokens are bytes."""

from __future__ import annotations

import pytest
from tests.bases import KINDS, make

from myna.rendering import renderings
from myna.rendering.spec import RenderingSpec
from myna.rendering.tokenizer import Tokenizer

RENDERINGS = {
    "transcript": ("transcript", "headers"),
    "names": ("names", "default-system"),
    "mind-upload": ("mind-upload", "text-markers"),
    "chat": ("chat", "default-system"),
    "chat-no-system": ("chat", "no-system"),
    "chat-text-markers": ("chat", "text-markers"),
}
"""Renderings by a name of their own: which, and for which kind of base."""


@pytest.fixture(scope="module", params=RENDERINGS)
def rendering_of(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RenderingSpec, Tokenizer]:
    style, kind = RENDERINGS[request.param]
    tokenizer = make(tmp_path_factory.mktemp(request.param), KINDS[kind])
    return renderings.rendering_spec(style, tokenizer), tokenizer
