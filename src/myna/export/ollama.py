"""A Modelfile for Ollama, with the adapter in GGUF's form.

Reference: https://docs.ollama.com/modelfile. `ADAPTER` takes a GGUF file; the template is
Go's and is filled with `.System` and `.Messages`.
"""

from __future__ import annotations

import json
from pathlib import Path

from myna.errors import ExportError
from myna.export.clone_export import NO_ESCAPES, ONE_USER, Trained, Written, slugs
from myna.export.gguf import convert_checked, loaded
from myna.export.prompt_templates import Voice, go
from myna.models.adapter_gguf import ADAPTER_FILE
from myna.workspace import write_text


def write(trained: Trained, new: Path, done: Written) -> None:
    """Write it into the folder `new`; what was done goes to `done`.

    Raises:
        ExportError: it cannot be had of what is trained.
    """
    adapter = trained.lora()
    if trained.base.gguf is None:
        raise ExportError(
            f"Ollama needs {trained.base.name} as a GGUF file, and {trained.base.folder} has "
            "none, or several: put one there, or run `myna export merged`"
        )
    convert_checked(trained, adapter, new)
    names = slugs([voice.persona for voice in trained.voices])
    several = len(names) > 1
    for name, voice in zip(names, trained.voices, strict=True):
        file = f"{name}.Modelfile" if several else "Modelfile"
        write_text(new / file, modelfile(trained, voice))
        done.how += [
            f"To chat with {voice.persona}, as {voice.user}, in this folder:",
            "",
            f"  ollama create {name} -f {file}",
            f"  ollama run {name}",
            "",
        ]
    done.lacks = [NO_ESCAPES, ONE_USER]
    done.checked = loaded(trained, new / ADAPTER_FILE)


def modelfile(trained: Trained, voice: Voice) -> str:
    """The Modelfile with which a voice speaks."""
    chat = trained.chat
    lines = [
        f"FROM {_word(str(trained.base.gguf))}",
        f"ADAPTER ./{ADAPTER_FILE}",
        f'TEMPLATE """{go(voice)}"""',
        f"SYSTEM {_text(voice.system)}",
        *(f"PARAMETER stop {_text(stop)}" for stop in voice.stops()),
        f"PARAMETER temperature {chat.temperature}",
        f"PARAMETER top_p {chat.top_p}",
        f"PARAMETER min_p {chat.min_p}",
        "PARAMETER top_k 0",
        "PARAMETER repeat_penalty 1",
        f"PARAMETER num_predict {chat.max_new_tokens}",
        f"PARAMETER num_ctx {min(trained.base.context, 4096)}",
    ]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """A value: between three quotes, in which nothing is special but three of them."""
    text = text.replace('"""', "”””")
    text = text[:-1] + "”" if text.endswith('"') else text
    return f'"""{text}"""'


def _word(path: str) -> str:
    return json.dumps(path, ensure_ascii=False) if any(c.isspace() for c in path) else path
