"""Who took themselves out."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna.errors import WorkspaceError
from myna.people.opt_outs import OptOut, add, load

ANA = OptOut("discord:1", "ana", "Ana", "2024-05-01T00:00:00+00:00")
EVE = OptOut("discord:2", "eve", "", "2024-05-02T00:00:00+00:00")


def test_they_are_written_down_once_in_order(tmp_path: Path) -> None:
    file = tmp_path / "opt-outs.json"
    assert load(file) == []
    add(file, [ANA])
    add(file, [EVE, ANA])
    assert load(file) == [ANA, EVE]


@pytest.mark.parametrize("text", ["{", '[{"account": "x"}]', '[{"who": "x"}]'])
def test_a_damaged_file_is_an_error_and_not_nobody(tmp_path: Path, text: str) -> None:
    file = tmp_path / "opt-outs.json"
    file.write_text(text, "utf-8")
    with pytest.raises(WorkspaceError, match=r"opt-outs\.json is damaged"):
        load(file)
