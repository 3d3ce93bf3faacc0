"""Modules that a command loads: no torch to read and prepare chats, hardly any for `--help`.

That the core imports where no torch is installed is tested in test_packaging.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "peft", "accelerate", "safetensors", "gguf", "xllamacpp"}


def loaded(program: str, folder: Path) -> set[str]:
    """The top-level modules that a program of its own has loaded when it ends."""
    report = "\nimport json, sys\nprint(json.dumps([*sys.modules]), file=sys.__stderr__)"
    done = subprocess.run(
        [sys.executable, "-c", program + report],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def commands(*lines: list[str]) -> str:
    """A program that runs `myna` once for each line of arguments."""
    return f"""
import sys
from myna.cli import main
for line in {lines!r}:
    sys.argv = ["myna", *line]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (line, end.code)
"""


@pytest.mark.model  # preparing needs the base's tokenizer
def test_the_road_from_export_to_samples_loads_no_torch(tmp_path: Path) -> None:
    people = ("ana", "ben", "cy")
    said = [
        {
            "author": people[i % 3],
            "text": f"and that was thing number {i}, all in all",
            "timestamp": f"2024-05-{1 + i // 20:02}T18:{i % 20 * 2:02}:00Z",
        }
        for i in range(400)
    ]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, said)), "utf-8")
    road = commands(
        ["new", "friends"],
        ["-C", "friends", "import", "chat.jsonl", "--consent", "clone"],
        ["-C", "friends", "prepare"],
        ["-C", "friends", "status"],
    )
    modules = loaded(road, tmp_path)
    assert "polars" in modules
    assert not modules & HEAVY


def test_help_loads_next_to_nothing(tmp_path: Path) -> None:
    slow = {"polars", "pydantic", "tokenizers", "numpy", "platformdirs", "tomlkit", *HEAVY}
    assert not loaded(commands(["--help"]), tmp_path) & slow
