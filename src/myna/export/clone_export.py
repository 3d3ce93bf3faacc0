"""Exports of a clone: a trained adapter for programs that run it, or character cards.

exports/FORMAT/
README.txt       contents, how to run it, and what was checked
manifest.json    by which a later export knows that it may replace the folder
…                the rest is the format's own
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from myna import config, people, stages
from myna.artifacts import AdapterInfo, Channel, check_is_clone, record_export
from myna.choices import DEFAULT_ADAPTER
from myna.config import Sampling
from myna.errors import ConsentError, ExportError
from myna.export.dataset_export import MANIFEST_KEY, choose_personas
from myna.export.prompt_templates import Voice, text_before_system
from myna.models.bases import Base
from myna.models.fetch import Reporter, silent
from myna.models.loading import FULL_MODEL_FOLDER
from myna.people.consent_checker import ConsentChecker, TrainedPerson
from myna.persona.clone import check_scale, find_adapter_base
from myna.rendering.tokenizer import Tokenizer
from myna.rendering.turns import MAX_PEOPLE_NAMED, system_line
from myna.workspace import (
    Workspace,
    atomic_folder,
    explain_disk_errors,
    write_manifest,
    write_text,
)

TARGETS: dict[str, str] = {
    "gguf": "a LoRA for llama.cpp and KoboldCpp",
    "ollama": "a Modelfile for Ollama for each persona, and a LoRA",
    "merged": "base and adapter in one, as transformers and vLLM load it",
    "textgen": "a LoRA, template and settings for text-generation-webui",
    "card": "character cards (V2, V3, JSON and PNG) for SillyTavern",
}
"""The description of each target; `export.NAME.write` writes it."""
LIMITATIONS = (
    "a line in a message that looks like somebody's turn: whoever types one can put words into "
    "another's mouth there (myna's own rooms prevent it)",
    "groups: there is one user, who speaks for one person, and nobody else is heard",
)
"""Of all programs that run a clone."""


REPETITION_SETTINGS = (
    "repetition_penalty", "presence_penalty", "frequency_penalty", "dry_multiplier",
)  # fmt: skip
"""The names in `Sampling` of what works against repetition."""


@dataclass(frozen=True)
class CloneSelection:
    """The adapter to export, and one or all of its personas."""

    adapter: str = DEFAULT_ADAPTER
    person: str | None = None
    everyone: bool = False


@dataclass(frozen=True)
class ExportedClone:
    """A trained adapter, or one for each persona, and what it takes to talk with it.

    Attributes:
        name: of the adapter.
        base: the model that it was trained on.
        voices: the personas that are exported.
        people: everyone whom the adapter has learned from, by their persona's name.
        chat: their sampling settings.
        report: is called with a line before what takes long.
    """

    name: str
    base: Base
    voices: tuple[Voice, ...]
    people: dict[str, TrainedPerson]
    chat: config.Chat
    report: Reporter = silent

    def sampling(self, voice: Voice) -> Sampling:
        """A persona's sampling parameters."""
        return self.chat.sampling(None, voice.persona)

    def not_carried(self, program: str, carries: Collection[str]) -> list[str]:
        """The settings of `[chat]` in use that a program lacks, one line each.

        `carries` are the names in `Sampling` of those that the export writes.
        """
        lines = [f"who speaks next: {program} lets the user speak after each reply"]
        for name in REPETITION_SETTINGS:
            off = getattr(Sampling(), name)
            used = {
                voice.persona: value
                for voice in self.voices
                if (value := getattr(self.sampling(voice), name)) != off
            }
            if used and name not in carries:
                values = ", ".join(f"{value:g} for {person}" for person, value in used.items())
                lines.append(f"{name} ({values}): {program} has none, or it is not set there")
        return lines

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
class CloneExportReport:
    """The contents of an export.

    Attributes:
        format: its target.
        folder: its path.
        adapter: the adapter in it; "" for cards.
        personas: those who speak.
        files: in the folder, without its manifest.
        checked: what was tried on it, and the result; "" where nothing could be.
        how: how to run it, line by line.
        lacks: limitations of the programs that run it.
    """

    format: str
    folder: str
    adapter: str = ""
    personas: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    checked: str = ""
    how: list[str] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)


def export_clone(
    workspace: Workspace, target: str, selection: CloneSelection, path: Path, say: Reporter = silent
) -> CloneExportReport:
    """Write one of `TARGETS` into the folder `path`, which appears whole or not at all.

    Raises:
        ExportError: the target cannot hold what is trained.
        PeopleError: unknown person.
        ConsentError: a person who may not be cloned now; of cards: whose clone may not be
            passed on.
        ModelError: the base or the adapter is missing or damaged.
        WorkspaceError: nothing is trained or prepared, or the disk is full.
    """
    report = CloneExportReport(target, str(path))
    # Merging needs torch, the others do not: each is imported where it is used.
    module = import_module(f"myna.export.{target}")
    if target == "card":
        everyone = selection.everyone
        chosen = choose_personas(workspace, selection.person, everyone=everyone, scope="publish")
        report.personas = list(chosen)
        quoted = [p for p in people.load(workspace.people_file).persons if p.scope]
        learned = list(map(TrainedPerson.of, quoted))
        _write_folder(workspace, report, lambda new: module.write(workspace, new, report))
    else:
        clone = load_clone(workspace, selection.adapter, selection.person, say)
        report.adapter, report.personas = clone.name, [voice.persona for voice in clone.voices]
        learned = list(clone.people.values())
        report.lacks = [*LIMITATIONS]
        _write_folder(workspace, report, lambda new: module.write(clone, new, path, report))
    record_export(workspace, target, str(path), learned)
    return report


def load_clone(
    workspace: Workspace, name: str, persona: str | None, report: Reporter = silent
) -> ExportedClone:
    """Read a trained adapter, with the persona who is asked for, or with all of them.

    Raises:
        WorkspaceError: there is no such adapter, or it has canaries.
        PeopleError: unknown person.
        ConsentError: somebody whom the adapter has learned from may not be cloned now.
        ModelError: the base is missing, or not the one that it was trained on.
    """
    info = AdapterInfo.load(workspace, name)
    check_is_clone(workspace, name)
    base = find_adapter_base(name, info, weights=False, report=report)
    chosen = [people.match_name(persona, info.personas)] if persona else info.personas
    consents = ConsentChecker(workspace, info.trained(name), "owner")
    for person in chosen:
        if reason := consents.refusal(person):
            raise ConsentError(reason)
    voices = tuple(
        _voice(workspace.adapter(info.adapters.get(person, name)), info, base, person)
        for person in chosen
    )
    learned = {p: info.people[p] for p in (chosen if info.adapters else info.people)}
    chat = workspace.settings().chat.with_calibration(info.sampling)
    for voice in voices:
        check_scale(voice.adapter, chat)
    return ExportedClone(name, base, voices, learned, chat, report)


def _voice(adapter: Path, info: AdapterInfo, base: Base, persona: str) -> Voice:
    """A persona in the busiest channel that they were trained in."""
    channel = next(
        (channel for channel in info.channels if persona in channel.people),
        Channel("", "", [persona]),
    )
    others = [person for person in channel.people if person != persona]
    user = others[0] if others else "User"
    members = tuple(dict.fromkeys([*channel.people[:MAX_PEOPLE_NAMED], persona, user]))
    system = system_line(
        info.format.samples.system_lines[0],
        people=members,
        space=channel.space,
        channel=channel.channel,
        name=persona,
    )
    return Voice(
        persona=persona,
        user=user,
        system=system,
        people=members,
        spec=info.format.spec,
        adapter=adapter,
        before_system=text_before_system(info.format.spec, Tokenizer(base.folder)),
    )


def _write_folder(
    workspace: Workspace, report: CloneExportReport, write: Callable[[Path], None]
) -> None:
    """Write `report.folder`, which appears whole or not at all; `write` fills it and the report.

    Raises:
        ExportError, ModelError: as `export_clone`.
        WorkspaceError: the disk is full, or forbidden.
    """
    path = Path(report.folder)
    with explain_disk_errors(path), atomic_folder(path) as new:
        write(new)
        write_text(new / "README.txt", _readme(report))
        report.files = sorted(
            file.relative_to(new).as_posix() for file in new.rglob("*") if file.is_file()
        )
        settings = {MANIFEST_KEY: report.format}
        write_manifest(new, inputs=stages.train_inputs(workspace), settings=settings)


def _readme(report: CloneExportReport) -> str:
    """The README.txt of an export."""
    speakers = ", ".join(report.personas)
    lines = [f"{report.format}: {TARGETS[report.format]}", ""]
    lines += [*textwrap.wrap(people.clone_notice(report.personas), 90), ""]
    lines += [f"It speaks as {speakers}, people of a private chat: it remembers"]
    lines += ["things that they said. Keep this folder as private as their chats. Say that it is a"]
    lines += ["clone wherever others can hear it; never let it pass for the person.", ""]
    lines += [*report.how, ""]
    if report.checked:
        lines += [f"Checked: {report.checked}", ""]
    if report.lacks:
        lines += ["What it cannot hold:", "", *(f"  - {what}" for what in report.lacks), ""]
    return "\n".join(lines)


def slug(name: str) -> str:
    """A name for files and commands: letters, digits and hyphens."""
    words = "".join(c if c.isalnum() and c.isascii() else " " for c in name.lower()).split()
    return "-".join(words)[:40] or f"u{name.encode().hex()[:12]}"


def slugs(names: Sequence[str]) -> list[str]:
    """A file name for each name, all different."""
    unique: list[str] = []
    for name in names:
        candidate = base = slug(name)
        number = 2
        while candidate in unique:
            candidate, number = f"{base}-{number}", number + 1
        unique.append(candidate)
    return unique
