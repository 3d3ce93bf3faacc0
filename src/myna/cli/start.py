"""`myna start`: from chats to a conversation with the clones, by at most four questions."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from myna.cli._terminal import ask_line, note, start_clock

if TYPE_CHECKING:
    from myna.people import People
    from myna.people.overview import MergeSuggestion, PersonSummary
    from myna.workspace import Workspace

NAME = "start"
T = TypeVar("T")
STEPS = ("new", "import", "people", "prepare", "train", "evaluate", "chat")
STOPPED = 130
"""Exit status of a command that Ctrl-C has stopped."""
MAX_CHOICES = 12
"""People who get a number of their own; others are chosen by name."""
DEFAULT_BUDGET = "15m"
EVALUATE = ["evaluate", "--items", "40", "--rooms", "4"]
"""A third of what `myna evaluate` measures: the first look may be rough."""


def command(
    ctx: typer.Context,
    folder: Annotated[
        Path, typer.Argument(help="The workspace to create, or to go on with.")
    ] = Path("clones"),
) -> None:
    """Go from your chats to a clone that answers, by four questions.

    Each step is printed as the command that it is; whatever stops it, the same command goes on
    from there. Answers may be piped in, a line each.
    """
    from myna import people, stages
    from myna.errors import MynaError
    from myna.workspace import Workspace, find

    here = Path(ctx.obj or ".")
    workspace = Workspace((here / folder).resolve())
    if folder == Path("clones") and not workspace.settings_file.exists():
        workspace = _around(here) or workspace
    run = _Runner(workspace)
    try:
        if not workspace.settings_file.exists() or not find(workspace.root).message_files():
            _import(run)
        if not people.persona_names(people.load(workspace.people_file)):
            _choose_people(run)
        todo = {stage.name: stage.state != "done" for stage in stages.status(workspace)}
        if todo["prepare"] or todo["train"]:
            budget = _ask_until("How long may it train? Longer is better.", DEFAULT_BUDGET, _budget)
            if todo["prepare"]:
                run(["prepare"])
            run(["train", "--budget", budget])
        if todo["prepare"] or todo["train"] or todo["evaluate"]:
            run(EVALUATE)
        run(["chat"])
    except (MynaError, typer.Abort, KeyboardInterrupt) as error:
        if run.last:
            note(f"stopped at `{run.last}`; `myna start` goes on from there")
        if not isinstance(error, MynaError):
            raise typer.Exit(130) from None
        raise


def _around(here: Path) -> Workspace | None:
    """The workspace that a folder is in; None if it is in none."""
    from myna.errors import WorkspaceError
    from myna.workspace import find

    try:
        return find(here)
    except WorkspaceError:
        return None


class _Runner:
    """Runs commands in a workspace, with a line above each that shows how far it is."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.last = ""
        """The command that runs, or ran last."""

    def __call__(self, words: Sequence[str], *, inside: bool = True) -> None:
        """Run a command: `words` without `myna`."""
        from myna.cli.commands import app

        reached = STEPS.index(words[0])
        is_next = not self.last.startswith(f"myna {words[0]}")
        marks = ("✓" if i < reached else "▸" if i == reached else "·" for i in range(len(STEPS)))
        self.last = f"myna {' '.join(_quoted(word) for word in words)}"
        if is_next:
            note("")
            note("  ".join(f"{mark} {step}" for mark, step in zip(marks, STEPS, strict=True)))
        note(f"$ {self.last}")
        start_clock()  # a budget counts from this command on
        where = ["-C", str(self.workspace.root)] if inside else []
        if app([*where, *words], prog_name="myna", standalone_mode=False) == STOPPED:
            raise KeyboardInterrupt  # which the program of the command has taken


def _quoted(word: str) -> str:
    """A word as people would type it: between double quotes only where it has to be."""
    if re.fullmatch(r"[\w@%+=:,./~-]+", word):
        return word
    return f'"{word}"' if not re.search(r'["$`\\!]', word) else shlex.quote(word)


def _ask_until(question: str, default: str, parse: Callable[[str], T]) -> T:
    """Ask until the answer can be parsed, and return what it means.

    Raises:
        SettingsError: the input ends before there is such an answer.
    """
    from myna.errors import MynaError, SettingsError

    shown = f"{question} [{default}]" if default else question
    while (answer := ask_line(shown)) is not None:
        try:
            return parse(answer or default)
        except MynaError as error:
            note(f"  {error}")
    if default:
        return parse(default)
    raise SettingsError(f"no answer to '{question}': type it, or pipe in a line for each question")


def _import(run: _Runner) -> None:
    """Ask for the chats, make the workspace and import them."""
    paths = _ask_until(
        "Where are your chats? Files, folders or zip archives, as exported:", "", _paths
    )
    if not run.workspace.settings_file.exists():
        root = run.workspace.root
        name = root.relative_to(Path.cwd()) if root.is_relative_to(Path.cwd()) else root
        run(["new", str(name)], inside=False)
        note(f"$ cd {_quoted(str(name))}")
    run(["import", *map(str, paths)])


def _paths(answer: str) -> list[Path]:
    """The paths in an answer, which terminals quote when files are dropped on them."""
    from myna.errors import SourceError
    from myna.importing.discover import discover_chats

    whole = Path(answer).expanduser()
    if answer and whole.exists():
        paths = [whole]
    else:
        try:
            paths = [Path(word).expanduser() for word in shlex.split(answer)]
        except ValueError:
            paths = [whole]
    if not answer or not paths:
        raise SourceError("name a file or a folder, such as ~/Downloads/chats")
    if not discover_chats(paths).chats:
        raise SourceError(f"{answer}: no chat exports found: see `myna import --list`")
    return [path.resolve() for path in paths]


def _choose_people(run: _Runner) -> None:
    """Ask who the user is, and who agreed to be cloned; merge those with several names."""
    from myna import people
    from myna.people import overview

    everyone = people.load(run.workspace.people_file)
    tables = run.workspace.message_files()
    summaries = [line for line in overview.summarize_persons(everyone, tables) if not line.is_bot]
    suggestions = overview.suggest_merges(everyone, overview.account_names(tables))
    groups = _groups(summaries, suggestions)
    note("")
    note("People in these chats, and the names that seem to be of one person:")
    for number, names in enumerate(groups[:MAX_CHOICES], 1):
        messages = sum(line.messages for line in summaries if line.person in names)
        note(f"  {number:2}  {' = '.join(names)}  ({messages:,} messages)")
    if len(groups) > MAX_CHOICES:
        note(f"      and {len(groups) - MAX_CHOICES:,} others, by name")
    note("Answer with numbers or names; 2+5 if both are one person.")

    def one(answer: str) -> list[str]:
        [found] = _chosen(answer, groups, everyone, most=1)
        return found

    mine = next((str(i) for i, names in enumerate(groups, 1) if everyone.me in names), "")
    me = _ask_until("Who are you? You may then be cloned, too.", mine, one)
    _merge(run, me)
    run(["people", "me", me[0]])
    left = [names for names in groups if not set(names) & set(me)]
    if not left:
        return

    def agreed(answer: str) -> tuple[list[list[str]], str]:
        return _agreed(answer, groups, everyone)

    others, asked = _ask_until(
        "Who else agreed to be cloned, and how did you ask? Such as: 2, 4: in the group, 3 May.",
        "nobody",
        agreed,
    )
    for names in others:
        _merge(run, names)
    if others:
        run(["people", "allow", *(names[0] for names in others), "--asked", asked])


def _groups(
    summaries: Sequence[PersonSummary], suggestions: Sequence[MergeSuggestion]
) -> list[list[str]]:
    """Names that seem to be of one person each; whoever wrote most comes first."""
    groups = {line.person: [line.person] for line in summaries}
    for suggestion in suggestions:
        first, second = groups[suggestion.first], groups[suggestion.second]
        if first is not second:
            first += second
            groups |= dict.fromkeys(second, first)
    counts = {line.person: line.messages for line in summaries}
    each = list({id(names): names for names in groups.values()}.values())
    return sorted(each, key=lambda names: -sum(counts[name] for name in names))


def _chosen(
    answer: str, groups: Sequence[list[str]], everyone: People, most: int = 10_000
) -> Iterator[list[str]]:
    """The names of each human in an answer such as "1, 3+4, Ana"."""
    from myna.errors import PeopleError
    from myna.people import find_person

    parts = [part.strip() for part in answer.split(",") if part.strip()]
    if not parts or len(parts) > most:
        raise PeopleError("answer with one number or name" if most == 1 else "answer with numbers")
    for part in parts:
        names: list[str] = []
        for word in part.split("+"):
            if word.strip().isdecimal():
                number = int(word)
                if not 1 <= number <= len(groups):
                    raise PeopleError(f"there is no number {number}: they go to {len(groups)}")
                names += groups[number - 1]
            else:
                names.append(find_person(everyone, word.strip()).name)
        yield list(dict.fromkeys(names))


def _agreed(
    answer: str, groups: Sequence[list[str]], everyone: People
) -> tuple[list[list[str]], str]:
    """The people who agreed, and how they were asked, in "2, 4: in the group, 3 May"."""
    from myna.errors import PeopleError

    if answer.casefold() in ("nobody", "none", "no", "-", "0"):
        return [], ""
    who, _, asked = answer.partition(":")
    chosen = list(_chosen(who, groups, everyone))
    if not asked.strip():
        raise PeopleError(f"add how you asked them: {who.strip()}: in the group, 3 May")
    return chosen, asked.strip()


def _merge(run: _Runner, names: Sequence[str]) -> None:
    """Merge all names into the first."""
    for other in names[1:]:
        run(["people", "merge", names[0], other])


def _budget(answer: str) -> str:
    """A duration, as `--budget` takes it; a bare number is of minutes.

    Raises:
        SettingsError: it is none.
    """
    from myna.config import seconds

    text = re.sub(r"\s+|in(?:ute)?s?|ours?", "", answer.casefold())
    text = f"{text}m" if re.fullmatch(r"[\d.]+", text) else text
    seconds(text)
    return text
