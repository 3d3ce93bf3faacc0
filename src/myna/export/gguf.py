"""A LoRA in GGUF's form, for llama.cpp and what is built on it."""

from __future__ import annotations

import importlib.util
import json
import shlex
from pathlib import Path

from myna.errors import EngineError, ExportError
from myna.export.clone_export import NO_ESCAPES, ONE_USER, Trained, Written
from myna.export.prompt_templates import jinja
from myna.models.adapter_gguf import ADAPTER_FILE, write_adapter_gguf
from myna.workspace import write_text

TEMPLATE = "template.jinja"


def write(trained: Trained, new: Path, path: Path, done: Written) -> None:
    """Write it into the folder `new`, which will be at `path`; what was done goes to `done`.

    Raises:
        ExportError: it cannot be had of what is trained.
    """
    adapter = trained.lora()
    convert_checked(trained, adapter, new)
    first = trained.voices[0]
    write_text(new / TEMPLATE, jinja(first))
    base = shlex.quote(str(trained.base.gguf or "BASE.gguf"))
    lora, template = (shlex.quote(str(path / file)) for file in (ADAPTER_FILE, TEMPLATE))
    stops = json_list(first.stops())
    done.how = [
        "To chat, on a page or with the OpenAI API, at http://127.0.0.1:8080:",
        "",
        f"  llama-server -m {base} --lora {lora} \\",
        f"    --jinja --chat-template-file {template}",
        "",
        f"The template speaks as {first.persona}, and the user for {first.user}. Requests need",
        f'"stop": {stops}',
        "",
        "To have it continue a text of your own:",
        "",
        f"  llama-cli -m {base} --lora {lora} \\",
        f"    -no-cnv -p {shlex.quote(prompt_of(trained))}",
        "",
        "KoboldCpp takes the same two files: koboldcpp --model … --lora …",
    ]
    if trained.base.gguf is None:
        done.how += [
            "",
            f"BASE.gguf is {trained.base.name} in GGUF's form, which is not here: llama.cpp's",
            f"convert_hf_to_gguf.py makes it of {trained.base.folder}.",
        ]
    done.lacks = [NO_ESCAPES, ONE_USER]
    done.checked = loaded(trained, new / ADAPTER_FILE)


def convert_checked(trained: Trained, adapter: Path, new: Path) -> None:
    """Write the adapter in GGUF's form.

    Raises:
        ExportError: llama.cpp cannot run adapters of this architecture.
    """
    try:
        write_adapter_gguf(adapter, trained.base, new / ADAPTER_FILE)
    except EngineError as error:
        what = str(error).partition(': use engine = "transformers"')[0]
        raise ExportError(f"{what}: run `myna export merged` instead") from error


def loaded(trained: Trained, file: Path) -> str:
    """Have llama.cpp load the adapter on its base; what that showed, "" where it cannot."""
    gguf = trained.base.gguf
    if gguf is None or importlib.util.find_spec("xllamacpp") is None:
        return ""
    from myna.engines.llamacpp import LlamaCpp

    engine = LlamaCpp(trained.base, file, 256)
    try:
        engine.next_probs([1], 1)
    finally:
        engine.close()
    return f"llama.cpp loads it on {gguf.name}"


def prompt_of(trained: Trained) -> str:
    """The beginning of a text that the first persona goes on with."""
    voice = trained.voices[0]
    said = voice.between("start", "user") + voice.lead("user") + "Hello!"
    line = voice.opening + voice.system + voice.spec.header_end
    return line + said + voice.between("user", "assistant")


def json_list(texts: list[str]) -> str:
    """Texts as a list in JSON."""
    return json.dumps(texts, ensure_ascii=False)
