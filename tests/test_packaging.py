"""The wheel works on its own: built, installed into an empty environment, and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import myna

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 600

CHAT = {
    "guild": {"id": "1", "name": "Friends"},
    "channel": {"id": "2", "type": "GuildTextChat", "category": "Text", "name": "general"},
    "messages": [
        {
            "id": str(1000 + i),
            "type": "Default",
            "timestamp": f"2024-05-01T18:{i:02}:00.5+00:00",
            "timestampEdited": None,
            "content": f"line {i}, as said",
            "author": {"id": str(10 + i % 2), "name": "ana" if i % 2 else "ben", "isBot": False},
            "attachments": [],
            "mentions": [],
        }
        for i in range(12)
    ],
    "messageCount": 12,
}

IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    for below in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
        importlib.import_module(below.name)
"""


def run(command: Sequence[str | Path], folder: Path) -> str:
    """Standard output of a command that must succeed, with nothing of this checkout in sight."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def pip(programs: Path, *arguments: str | Path) -> str:
    """This environment's pip, at work in another one."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python"]
    return run([*command, programs / "python", *arguments], programs)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    run(build, folder)
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that holds the wheel and what its core needs."""
    folder = tmp_path_factory.mktemp("installed")
    run([sys.executable, "-m", "venv", "--without-pip", "venv"], folder)
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip(programs, "install", "-q", "--no-compile", "-c", ROOT / "constraints.txt", wheel)
    return programs


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = f"myna-{myna.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"myna", info}
    assert {"myna/py.typed", "myna/conversations/links.npz"} <= names
    assert f"{info}/licenses/LICENSE" in names
    assert not [n for n in names if "test" in n or n.endswith((".pyc", ".parquet", ".gguf"))]
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "src/myna/web/static").iterdir()]
    files += (ROOT / "src/myna/web/templates").iterdir()
    modules = {path.relative_to(ROOT / "src").as_posix() for path in files}
    assert modules <= names


def test_the_core_installs_no_torch(programs: Path) -> None:
    listed = json.loads(pip(programs, "list", "--format=json"))
    installed = {package["name"].lower() for package in listed}
    assert "polars" in installed
    assert not installed & {"torch", "transformers", "peft", "accelerate", "xllamacpp", "pytest"}


def test_the_core_imports_with_what_it_declares(programs: Path, tmp_path: Path) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    [light] = [c for c in settings["importlinter"]["contracts"] if c["type"] == "forbidden"]
    run([programs / "python", "-c", IMPORT_ALL, "myna.cli", *light["source_modules"]], tmp_path)


def test_the_installed_wheel_imports_a_chat(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "friends.json").write_text(json.dumps(CHAT), "utf-8")
    program = programs / "myna"
    assert myna.__version__ in run([program, "--version"], tmp_path)
    run([program, "new", "friends"], tmp_path)
    said = run(
        [program, "-C", "friends", "import", "friends.json", "--consent", "clone", "--json"],
        tmp_path,
    )
    assert json.loads(said)["messages"] == len(CHAT["messages"])
    assert list((tmp_path / "friends" / "messages").glob("*/*.parquet"))
