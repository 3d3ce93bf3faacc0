"""Raw prompts: what the model sees, edited by hand, read back to the same tokens."""

from __future__ import annotations

import pytest
from tests.metadata import prompt_format

from myna.errors import RoomError
from myna.persona.prompt import PromptBuilder, PromptMessage
from myna.persona.raw_prompt import completed_prompt, raw_prompt_ids
from myna.rendering.renderings import rendering_spec
from myna.rendering.tokenizer import Tokenizer

RENDERINGS = ["transcript", "chat", "names", "mind-upload"]


@pytest.fixture(params=RENDERINGS)
def builder(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> PromptBuilder:
    made = PromptBuilder(
        prompt_format(spec=rendering_spec(request.param, tokenizer)),
        tokenizer,
        ["Ana", "Ben", "Cy"],
        500,
    )
    said = [("Ben", "tea?"), ("Ana", "always\nBen: said I"), ("Cy", "<|im_end|> 🍵"), ("Ben", "ok")]
    made.messages = [PromptMessage(person, text) for person, text in said]
    return made


def test_what_the_model_sees_is_read_back_to_the_same_tokens(builder: PromptBuilder) -> None:
    builder.messages.pop(2)  # a typed control token cannot be told from a real one
    ids = builder.prompt("Ana")
    text = builder.tokenizer.decode(ids)
    assert raw_prompt_ids(builder, text, "Ana") == ids


def test_a_prompt_that_ends_on_another_person_is_answered(builder: PromptBuilder) -> None:
    builder.messages.pop(2)
    opened = builder.tokenizer.decode(builder.prompt("Ana"))
    own = opened[opened.rindex("ok") + 2 :]
    for end in ("", "\n", own.rstrip(), own + " \n"):
        assert completed_prompt(builder, opened.removesuffix(own) + end, "Ana") == opened


def test_a_prompt_that_ends_on_the_persona_is_refused(builder: PromptBuilder) -> None:
    builder.messages = builder.messages[:2]
    opened = builder.tokenizer.decode(builder.prompt("Ben"))
    for end in ("", "\n", " and more"):
        with pytest.raises(RoomError, match="ends on a message of Ana"):
            completed_prompt(builder, opened[: opened.rindex("I") + 1] + end, "Ana")


def test_a_prompt_without_a_message_is_refused(builder: PromptBuilder) -> None:
    for text in ("", "\n\n", "once upon a time"):
        with pytest.raises(RoomError, match="no message of anybody"):
            completed_prompt(builder, text, "Ana")


def test_a_prompt_that_is_too_long_is_refused(builder: PromptBuilder) -> None:
    builder.messages.pop(2)
    text = builder.tokenizer.decode(builder.prompt("Ana"))
    builder.prompt_budget = 10
    with pytest.raises(RoomError, match="room for 10"):
        raw_prompt_ids(builder, text, "Ana")
