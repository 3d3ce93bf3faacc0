"""What holds for the repository as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
import typer.main
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from myna.cli import app

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LONGEST = 420


def where(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=where)
def test_a_module_says_what_it_is_and_stays_short(path: Path) -> None:
    text = path.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert len(text.splitlines()) <= LONGEST, "split it: one noun, one file"


@pytest.mark.parametrize("path", SOURCES, ids=where)
def test_no_data_can_run_code(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"\b(import|from) (pickle|shelve|marshal|joblib|dill)\b", text)
    assert not re.search(r"\btorch\.(load|save)\(|\btrust_remote_code\s*=\s*True", text)


def test_no_group_is_possessive() -> None:
    """Such groups go wrong before Python 3.11.5; quantifiers of single characters do not."""
    assert [path for path in SOURCES if re.search(r"\)[?*+]\+", path.read_text("utf-8"))] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/README.md"])
def test_the_commands_of_a_page_exist(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    known = set(typer.main.get_command(app).commands)
    lines = re.findall(r"^(?: {4,}|\$ ?|.*&& )?myna (.*)", text, re.MULTILINE)
    quoted = re.findall(r"`myna ([^`]*)`", text)
    named = {m[1] for use in lines + quoted if (m := re.match(r"(?:-C \S+ )?([a-z]+)\b", use))}
    assert named <= known, f"{page} names commands that myna lacks"


def test_the_page_of_commands_is_current(tmp_path: Path) -> None:
    """`make docs` writes it anew."""
    page = tmp_path / "commands.md"
    document = ["utils", "docs", "--name", "myna", "--title", "Commands", "--output", str(page)]
    subprocess.run([sys.executable, "-m", "typer", "myna.cli", *document], check=True, timeout=60)
    assert (ROOT / "docs/commands.md").read_text("utf-8") == page.read_text("utf-8"), "make docs"


def test_the_page_of_sources_is_current(tmp_path: Path) -> None:
    """`make docs` writes it anew."""
    page = tmp_path / "sources.md"
    subprocess.run([sys.executable, str(ROOT / "docs/sources.py"), str(page)], check=True)
    assert (ROOT / "docs/sources.md").read_text("utf-8") == page.read_text("utf-8"), "make docs"


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def needed(package: str, extras: frozenset[str], seen: set[tuple[str, str]]) -> None:
    """Collect what `package[extras]` pulls in here, all the way down."""
    for requirement in map(Requirement, requires(package) or []):
        for extra in ("", *extras):
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            asked = (canonicalize_name(requirement.name), ",".join(sorted(requirement.extras)))
            if asked not in seen:
                seen.add(asked)
                needed(asked[0], frozenset(requirement.extras), seen)


def test_the_constraints_pin_every_dependency_once() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[0-9][\w.]*", pin) for pin in pins)
    names = [canonicalize_name(pin.partition("==")[0]) for pin in pins]
    assert len(names) == len(set(names))
    wanted: set[tuple[str, str]] = set()
    needed("myna", frozenset({"dev"}), wanted)
    assert {name for name, _ in wanted} - {"myna"} <= set(names)
