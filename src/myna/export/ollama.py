"""A Modelfile for Ollama, with the adapter as a GGUF file.

Reference: https://docs.ollama.com/modelfile. `ADAPTER` takes a GGUF file; the template is
Go's and is filled with `.System` and `.Messages`. A parameter is any field of `Options` in
Ollama's api/types.go.
"""

from __future__ import annotations

from pathlib import Path

from myna.engines.token_penalties import PENALTY_WINDOW
from myna.errors import ExportError
from myna.export.clone_export import CloneExportReport, ExportedClone, slugs
from myna.export.gguf import check_loading, convert_adapter
from myna.export.prompt_templates import Voice, as_json, go_template
from myna.models.adapter_gguf import ADAPTER_FILE
from myna.people import clone_notice
from myna.workspace import write_text

OLLAMA_CARRIES = ("repetition_penalty", "presence_penalty", "frequency_penalty")


def write(clone: ExportedClone, new: Path, _path: Path, report: CloneExportReport) -> None:
    """Write the export into the folder `new`; fill in the report.

    Raises:
        ExportError: the adapter is no LoRA, llama.cpp cannot run it, or the base has no GGUF file.
    """
    adapter = clone.lora()
    if clone.base.gguf is None:
        raise ExportError(
            f"Ollama needs {clone.base.name} as a GGUF file, and {clone.base.folder} has "
            "none, or several: put one there, or run `myna export merged`"
        )
    convert_adapter(clone, adapter, new)
    names = slugs([voice.persona for voice in clone.voices])
    for name, voice in zip(names, clone.voices, strict=True):
        name += "-clone"
        file = f"{name}.Modelfile" if len(names) > 1 else "Modelfile"
        write_text(new / file, modelfile(clone, voice))
        report.how += [
            f"To chat with {voice.persona}, as {voice.user}, in this folder:",
            "",
            f"  ollama create {name} -f {file}",
            f"  ollama run {name}",
            "",
        ]
    report.lacks += clone.not_carried("Ollama", OLLAMA_CARRIES)
    report.checked = check_loading(clone, new / ADAPTER_FILE)


def modelfile(clone: ExportedClone, voice: Voice) -> str:
    """The Modelfile of a persona."""
    own = clone.sampling(voice)
    lines = [
        f"FROM {_path(str(clone.base.gguf))}",
        f"ADAPTER ./{ADAPTER_FILE}",
        f'TEMPLATE """{go_template(voice)}"""',
        f"SYSTEM {_quoted(voice.system)}",
        *(f"PARAMETER stop {_quoted(stop)}" for stop in voice.stops()),
        f"PARAMETER temperature {own.temperature}",
        f"PARAMETER top_p {own.top_p}",
        f"PARAMETER min_p {own.min_p}",
        f"PARAMETER top_k {own.top_k}",
        f"PARAMETER repeat_penalty {own.repetition_penalty}",
        f"PARAMETER repeat_last_n {PENALTY_WINDOW}",
        f"PARAMETER presence_penalty {own.presence_penalty}",
        f"PARAMETER frequency_penalty {own.frequency_penalty}",
        f"PARAMETER num_predict {own.max_new_tokens}",
        f"PARAMETER num_ctx {min(clone.base.context, 4096)}",
        f"LICENSE {_quoted(clone_notice([voice.persona]))}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A value between three quotes, in which only three quotes are special."""
    text = text.replace('"""', "”””")
    text = text[:-1] + "”" if text.endswith('"') else text
    return f'"""{text}"""'


def _path(path: str) -> str:
    return as_json(path) if any(c.isspace() for c in path) else path
