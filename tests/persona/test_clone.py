"""Settings of a clone that do not work as they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna import config
from myna.config import PersonaSampling
from myna.errors import SettingsError
from myna.models.loading import FULL_MODEL_FOLDER
from myna.persona.clone import check_scale, setting_notes


def test_a_persona_who_is_not_there_is_named() -> None:
    chat = config.Chat(personas={"Bne": PersonaSampling(top_p=0.5), "Ben": PersonaSampling()})
    (note,) = setting_notes(chat, ["Ana", "Ben"], "llama.cpp", frozenset({"dry", "penalties"}))
    assert note == '[chat.personas."Bne"] is not used: Bne is no persona here, only Ana, Ben'


def test_a_control_that_the_engine_lacks_is_named_once_with_its_substitute() -> None:
    chat = config.Chat(personas={"Ben": PersonaSampling(dry_multiplier=0.8)})
    everyone = ["Ana", "Ben", "Cy"]
    (note,) = setting_notes(chat, everyone, "vllm", frozenset({"penalties"}))
    assert note.startswith("the engine vllm lacks DRY: instead a frequency_penalty")
    assert setting_notes(config.Chat(), everyone, "vllm", frozenset()) == []


def test_a_model_trained_whole_has_no_scale(tmp_path: Path) -> None:
    (tmp_path / FULL_MODEL_FOLDER).mkdir()
    check_scale(tmp_path, config.Chat())
    with pytest.raises(SettingsError, match="set adapter_scale = 1 under"):
        check_scale(tmp_path, config.Chat(adapter_scale=1.2))
