"""The benchmark of training: it runs, at a tiny size, without a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "training.py"


def test_it_measures_contenders_in_turns_and_leaves_out_what_is_not_installed() -> None:
    pytest.importorskip("bitsandbytes")
    # No Python is there: a contender that cannot start is named, and the others go on.
    options = ["--gpu", "--tiny", "--rounds", "1", "--threads", "1", "--factory-python", "false"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *options, "--only", "myna", "peft", "factory"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert [*result["missing"]] == ["factory"]
    ours, theirs = result["contenders"]["myna"], result["contenders"]["peft"]
    assert ours["myna_is_times"] == 1
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-2)
    assert ours["tokens_s"] > 0
    assert ours["hours"] > 0
