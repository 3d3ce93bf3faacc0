"""Rules for the repository as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import click
import pytest
import typer.main
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from myna.cli import app
from myna.config import Settings
from myna.config.fields import Section

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.md")]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MAX_FRAME_FILES = 160
"""Of all but plug-ins: a new reader, command, engine, export target or metric is a file."""
MAX_FILE_LINES = 420
MAX_FUNCTION_LINES = 80
MIN_FILE_LINES = 60
"""Of a module that only one other imports: shorter ones belong into that one."""

COMMANDS = typer.main.get_command(app).commands
PLUGIN_FOLDERS = ("sources", "sources/_shared", "cli", "engines", "export", "evaluation", "web")
"""Folders with one file for each reader, command, engine, export target, metric and page, and
what several readers share."""

CLAUSE = re.compile(r"\W*(What|Who|Whom|Whose|Whether|How|Where|When|Which)\b")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Docstrings of a module, its classes and functions, its constants and fields."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            match statement:
                case ast.Expr(value=ast.Constant(value=str()) as docstring):
                    yield docstring


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_module_has_a_docstring_and_short_functions_and_stays_short(path: Path) -> None:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "no docstring"
    assert len(text.splitlines()) <= MAX_FILE_LINES, "split it: one noun, one file"
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    lines = {function.name: function.end_lineno - function.lineno + 1 for function in functions}
    assert [name for name, count in lines.items() if count > MAX_FUNCTION_LINES] == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_docstring_begins_with_a_noun_or_an_imperative(path: Path) -> None:
    """Not with a clause, such as "What the commands share" or "Whether it is an entry"."""
    found = docstrings(ast.parse(path.read_text("utf-8")))
    clauses = [
        (doc.lineno, doc.value.partition("\n")[0]) for doc in found if CLAUSE.match(doc.value)
    ]
    assert clauses == []


def test_the_tree_has_few_files_and_none_that_another_could_hold() -> None:
    frame = [path for path in SOURCES if not is_plugin(path)]
    assert len(frame) <= MAX_FRAME_FILES, "merge small files into those that use them"
    modules = {module_name(path): path for path in SOURCES}
    importers: dict[str, set[str]] = defaultdict(set)
    for importer, path in modules.items():
        for imported in imports(ast.parse(path.read_text("utf-8"))) & modules.keys() - {importer}:
            importers[imported].add(importer)
    closets = [
        relative(path)
        for name, path in modules.items()
        if len(importers[name]) == 1
        and len(path.read_text("utf-8").splitlines()) < MIN_FILE_LINES
        and path.name != "__init__.py"
        and not is_plugin(path)
    ]
    assert closets == [], "merge it into the file that imports it"


def is_plugin(path: Path) -> bool:
    return path.parent.relative_to(ROOT / "src/myna").as_posix() in PLUGIN_FOLDERS


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module) -> set[str]:
    """Every name that a module imports, wherever it does; `from a import b` is a and a.b."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module)):
                names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name == "__init__.py"], ids=relative)
def test_a_package_only_documents_and_exports(path: Path) -> None:
    for statement in ast.parse(path.read_text("utf-8")).body:
        match statement:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant(value=str())):
                pass
            case ast.Assign(targets=[ast.Name(id="__all__" | "__version__")]):
                pass
            case _:
                pytest.fail(f"line {statement.lineno}: move it into a module")


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_data_can_run_code(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"\b(import|from) (pickle|shelve|marshal|joblib|dill)\b", text)
    assert not re.search(r"\btorch\.(load|save)\(|\btrust_remote_code\s*=\s*True", text)


def test_no_group_is_possessive() -> None:
    """Such groups go wrong before Python 3.11.5; quantifiers of single characters do not."""
    assert [path for path in SOURCES if re.search(r"\)[?*+]\+", path.read_text("utf-8"))] == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_the_commands_and_options_of_a_page_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    lines = re.findall(r"^(?: {4,}|.*&& | .*-m )myna ([^#|&\n]*)", text, re.MULTILINE)
    for use in [*lines, *re.findall(r"`(?:[^`]*-m )?myna ([^`]*)`", text)]:
        words = re.sub(r"^-C \S+ ", "", use).split()
        if words and re.fullmatch("[a-z]+", words[0]):
            assert words[0] in COMMANDS, f"myna has no command {words[0]}"
            missing = {w for w in words if w.startswith("--")} - options(COMMANDS[words[0]])
            assert missing == set(), f"myna {use} has no such option"
    scripts = "".join(path.read_text("utf-8") for path in (ROOT / "benchmarks").glob("*.py"))
    known = {option for command in COMMANDS.values() for option in options(command)}
    known |= {"--debug", "--folder", "--version", "--api"}  # the last is text-generation-webui's
    known |= set(re.findall(r"--[a-z][\w-]*", scripts))
    assert set(re.findall(r"`(--[a-z][\w-]*)", text)) <= known


def test_the_files_and_settings_named_in_pages_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    names = re.findall(r"`(?:src/myna/)?([a-z_]+/[\w/]*(?:\.py)?|\w+\.py)`", text)
    made = re.compile(r"NAME|telegram|^build/")  # by those who follow the page
    folders = (ROOT, ROOT / "src/myna", ROOT / "src/myna/sources")
    named = [name for name in names if not made.search(name)]
    assert [name for name in named if not any((f / name).exists() for f in folders)] == []
    settings = Settings()
    for page in PAGES:
        for section, key in re.findall(r"[`\s]([a-z]+)\.([a-z_]+)[`=]", page.read_text("utf-8")):
            is_file = key in ("html", "sqlite", "toml", "yaml")
            if isinstance(table := getattr(settings, section, None), Section) and not is_file:
                assert hasattr(table, key), f"{page.name} names the setting {section}.{key}"


def options(command: click.Command) -> set[str]:
    """All options of a command and of its own commands."""
    names = {n for p in command.params for n in (*p.opts, *p.secondary_opts)} | {"--help"}
    for inner in getattr(command, "commands", {}).values():
        names |= options(inner)
    return names


def test_the_page_of_commands_is_current(tmp_path: Path) -> None:
    """`make docs` writes it."""
    page = tmp_path / "commands.md"
    document = ["utils", "docs", "--name", "myna", "--title", "Commands", "--output", str(page)]
    subprocess.run([sys.executable, "-m", "typer", "myna.cli", *document], check=True, timeout=60)
    assert (ROOT / "docs/commands.md").read_text("utf-8") == page.read_text("utf-8"), "make docs"


def test_the_page_of_sources_is_current(tmp_path: Path) -> None:
    """`make docs` writes it."""
    page = tmp_path / "sources.md"
    subprocess.run([sys.executable, str(ROOT / "docs/sources.py"), str(page)], check=True)
    assert (ROOT / "docs/sources.md").read_text("utf-8") == page.read_text("utf-8"), "make docs"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
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
