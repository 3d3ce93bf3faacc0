"""What a clone can be exported to besides data sets: programs that run it, and cards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from myna.choices import DEFAULT_ADAPTER
from myna.export.clone_export import Trained, Written, read, run, slugs
from myna.export.dataset_export import personas
from myna.models.fetch import Reporter, silent
from myna.workspace import Workspace

TARGETS: dict[str, str] = {
    "gguf": "a LoRA for llama.cpp and KoboldCpp",
    "ollama": "a Modelfile for Ollama for each persona, and a LoRA",
    "merged": "base and adapter in one, as transformers and vLLM load it",
    "textgen": "a LoRA, template and settings for text-generation-webui",
    "card": "character cards (V2, V3, JSON and PNG) for SillyTavern",
}
"""Each target, and what it is."""


@dataclass(frozen=True)
class Chosen:
    """Whom to export: an adapter, and of those who speak with it one or all."""

    adapter: str = DEFAULT_ADAPTER
    person: str | None = None
    everyone: bool = False


def export(
    space: Workspace, target: str, chosen: Chosen, path: Path, say: Reporter = silent
) -> Written:
    """Write one of `TARGETS` into the folder `path`, which appears whole or not at all.

    Raises:
        ExportError: it cannot be had of what is trained.
        PeopleError: nobody of that name, or who may no longer be cloned.
        ModelError: the base or the adapter is missing or damaged.
        WorkspaceError: nothing is trained or prepared, or the disk is full.
    """
    done = Written(target, str(path))
    if target == "card":
        done.personas = list(personas(space, chosen.person, everyone=chosen.everyone))
        return run(space, done, TARGETS[target], lambda new: _cards(space, new, done))
    trained = read(space, chosen.adapter, chosen.person, say)
    done.adapter, done.personas = trained.name, [voice.persona for voice in trained.voices]
    return run(space, done, TARGETS[target], lambda new: _write(target, trained, new, path, done))


def _write(target: str, trained: Trained, new: Path, path: Path, done: Written) -> None:
    # Merging needs torch, the others do not: each is imported where it is wanted.
    if target == "gguf":
        from myna.export import gguf

        gguf.write(trained, new, path, done)
    elif target == "ollama":
        from myna.export import ollama

        ollama.write(trained, new, done)
    elif target == "merged":
        from myna.export import merged

        merged.write(trained, new, path, done)
    else:
        from myna.export import textgen

        textgen.write(trained, new, path, done)


def _cards(space: Workspace, new: Path, done: Written) -> None:
    from myna.export import card

    names = slugs(done.personas)
    for persona, name in zip(done.personas, names, strict=True):
        card.write(space, persona, name, new)
    done.checked = "each picture was read back: it holds its cards"
    done.how = [
        "In SillyTavern: Character Management, Import Character from File, and choose a PNG.",
        "Chat with a model that speaks for itself, or with the clone: myna's own API",
        '(`myna serve`) as a "Chat Completion" source of the kind "Custom (OpenAI-compatible)".',
        "There, under Additional Parameters, Include Body Parameters, the line",
        "",
        '  model: "{{char}}"',
        "",
        "lets each character speak as the persona of its name, in groups, too.",
    ]
    done.lacks = [
        "the voice: a card describes it and shows a few examples; the clone itself is the adapter",
        "words of people who may not be cloned themselves",
    ]
