"""The stage: a trained adapter into what another program runs.

exports/FORMAT/
README.txt       what is in it, how to run it, what was checked
manifest.json    by which a later export knows that it may replace the folder
…                the rest is the format's own
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from myna import config, people, stages
from myna import workspace as workspace_
from myna.artifacts import AdapterInfo, Channel
from myna.errors import ExportError, PeopleError
from myna.export.dataset_export import MARK
from myna.export.prompt_templates import Voice, opening
from myna.models.bases import Base, find_adapter_base
from myna.models.fetch import Reporter, silent
from myna.models.loading import FULL_MODEL_FOLDER
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import MAX_PEOPLE_NAMED, system_line
from myna.workspace import Workspace


@dataclass(frozen=True)
class Trained:
    """A trained adapter, or one for each persona, and what it takes to talk with it.

    Attributes:
        name: of the adapter.
        base: what it was trained on.
        voices: the personas that are exported.
        chat: how they speak.
        say: is told what takes long.
    """

    name: str
    base: Base
    voices: tuple[Voice, ...]
    chat: config.Chat
    say: Reporter = silent

    def only_adapter(self) -> Path:
        """The folder of the adapter.

        Raises:
            ExportError: there is one for each persona, and several are asked for.
        """
        folders = {voice.adapter for voice in self.voices}
        if len(folders) > 1:
            raise ExportError(
                f"'{self.name}' has an adapter for each person: name one of them with --person"
            )
        return folders.pop()

    def lora(self) -> Path:
        """The folder of the adapter, which is a LoRA.

        Raises:
            ExportError: as `only_adapter`, or every weight was trained.
        """
        folder = self.only_adapter()
        if (folder / FULL_MODEL_FOLDER).is_dir():
            raise ExportError(
                f"'{folder.name}' is no LoRA, every weight of it was trained: run `myna export "
                "merged` instead"
            )
        return folder


@dataclass
class Written:
    """What a runner's export holds.

    Attributes:
        format: its name.
        folder: where it is.
        adapter: what was exported.
        personas: who speaks.
        files: in the folder, without its manifest.
        checked: what was tried on it, and how that went; "" where nothing could be.
        how: how to run it, line by line.
        lacks: what the runner cannot do.
    """

    format: str
    folder: str
    adapter: str = ""
    personas: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    checked: str = ""
    how: list[str] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)


NO_ESCAPES = (
    "a line in a message that looks like somebody's turn: whoever types one can put words into "
    "another's mouth there (myna's own rooms prevent it)"
)
ONE_USER = "groups: there is one user, who speaks for one person, and nobody else is heard"


def read(space: Workspace, name: str, persona: str | None, say: Reporter = silent) -> Trained:
    """The adapter `name` of a workspace, with one persona or, without, all who speak with it.

    Raises:
        WorkspaceError: there is no such adapter.
        PeopleError: nobody of that name speaks with it.
        ModelError: the base is missing, or another one than it was trained on.
    """
    info = AdapterInfo.load(space, name)
    base = find_adapter_base(name, info, weights=False, report=say)
    allowed = people.personas(people.load(space.people_file))
    gone = [person for person in info.personas if person not in allowed]
    if gone:
        raise PeopleError(
            f"{', '.join(gone)}, whom '{name}' has learned to speak like, may no longer be cloned: "
            "train it anew with `myna train`"
        )
    chosen = [people.find(persona, info.personas)] if persona else info.personas
    voices = [
        _voice(space.adapter(info.adapters.get(one, name)), info, base, one) for one in chosen
    ]
    return Trained(name, base, tuple(voices), space.settings().chat, say)


def _voice(adapter: Path, info: AdapterInfo, base: Base, persona: str) -> Voice:
    """A persona in the busiest channel that they were trained in."""
    place = next(
        (channel for channel in info.channels if persona in channel.people),
        Channel("", "", [persona]),
    )
    others = [person for person in place.people if person != persona]
    user = others[0] if others else "User"
    members = tuple(dict.fromkeys([*place.people[:MAX_PEOPLE_NAMED], persona, user]))
    line = system_line(
        info.format.samples.system_lines[0],
        people=members,
        space=place.space,
        channel=place.channel,
        name=persona,
    )
    return Voice(
        persona=persona,
        user=user,
        system=line,
        people=members,
        spec=info.format.spec,
        adapter=adapter,
        opening=opening(info.format.spec, Tokenizer(base.folder)),
    )


def run(space: Workspace, done: Written, about: str, write: Callable[[Path], None]) -> Written:
    """Write an export into `done.folder`, which appears whole or not at all.

    Args:
        space: where it comes from.
        done: what it is; `write` fills in the rest.
        about: the format in half a sentence.
        write: writes it into a new folder.

    Raises:
        ExportError: the runner cannot have it.
        ModelError: the base or the adapter is missing or damaged.
        WorkspaceError: the disk is full, or forbidden.
    """
    path = Path(done.folder)
    with workspace_.explain_disk_errors(path), workspace_.atomic_folder(path) as new:
        write(new)
        workspace_.write_text(new / "README.txt", _readme(done, about))
        done.files = sorted(
            found.relative_to(new).as_posix() for found in new.rglob("*") if found.is_file()
        )
        workspace_.write_manifest(
            new,
            inputs=stages.train_inputs(space),
            settings={MARK: done.format},
        )
    return done


def _readme(done: Written, about: str) -> str:
    """What is in the folder, for whoever opens it."""
    lines = [f"{done.format}: {about}", ""]
    lines += [f"It speaks as {', '.join(done.personas)}, people of a private chat: it remembers"]
    lines += ["things that they said. Keep this folder as private as their chats.", ""]
    lines += [*done.how, ""]
    if done.checked:
        lines += [f"Checked: {done.checked}", ""]
    if done.lacks:
        lines += ["What it cannot hold:", "", *(f"  - {what}" for what in done.lacks), ""]
    return "\n".join(lines)


def slug(name: str) -> str:
    """A name as a file's, and in commands: letters, digits and hyphens."""
    words = "".join(c if c.isalnum() and c.isascii() else " " for c in name.lower()).split()
    return "-".join(words)[:40] or f"u{name.encode().hex()[:12]}"


def slugs(names: Sequence[str]) -> list[str]:
    """A file name for each name, all different."""
    found: list[str] = []
    for name in names:
        word = wanted = slug(name)
        number = 2
        while word in found:
            word, number = f"{wanted}-{number}", number + 1
        found.append(word)
    return found
