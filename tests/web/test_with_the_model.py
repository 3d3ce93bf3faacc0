"""The chat page over the real engine: what a scripted one cannot show."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.serving.conftest import Starter
from tests.web.conftest import Browsing, pages_of, web_options

from myna.engines.open_engine import open_engine
from myna.models.bases import Base
from myna.rendering.tokenizer import Tokenizer

pytestmark = pytest.mark.model


def test_a_chat_is_answered_said_anew_and_its_prompt_continued(
    base: Base, tokenizer: Tokenizer, browse: Browsing, tmp_path: Path
) -> None:
    starter = Starter(tokenizer, tmp_path, pages_of(tmp_path))
    engine = open_engine("llama.cpp", base, context=512, slots=2)
    try:
        browse.url = starter(web_options(), engine=engine, context=512).url
        page = browse.open("/")
        page.set_default_timeout(60_000)
        page.get_by_role("button", name="New chat").click()
        page.get_by_role("button", name="Begin").click()
        page.get_by_label("Message", exact=True).fill("Ana, what do you see out there?")
        page.keyboard.press("Enter")
        page.locator("#log .message:not(.live):not(.mine) .text").first.wait_for()
        page.locator("#stop").wait_for(state="hidden")
        page.get_by_role("button", name="Retry", exact=True).click()
        page.locator(".versions", has_text="2 of 2").wait_for()
        page.locator("#stop").wait_for(state="hidden")
        page.get_by_role("button", name="More about").click()
        page.get_by_role("menuitem", name="Raw prompt").click()
        page.locator("#to-chat[href*=room]").wait_for()
        page.get_by_role("button", name="Tokens").click()
        page.locator("#chances tr").nth(9).wait_for()
        page.get_by_role("button", name="Continue").click()
        page.locator("#output:not(:empty)").wait_for()
        page.get_by_role("button", name="Stop").click()
        page.locator("#stop").wait_for(state="hidden")
    finally:
        browse.close()
        starter.end()
        engine.close()
