"""A LoRA as a GGUF file, for llama.cpp and programs built on it."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path

from myna.config import Sampling
from myna.engines.token_penalties import PENALTY_WINDOW
from myna.errors import EngineError, ExportError
from myna.export.clone_export import REPETITION_SETTINGS, CloneExportReport, ExportedClone
from myna.export.prompt_templates import Voice, as_json, jinja_template
from myna.models.adapter_gguf import ADAPTER_FILE, write_adapter_gguf
from myna.people import CLONE_MARK, clone_notice
from myna.workspace import write_text

TEMPLATE_FILE = "template.jinja"


def write(clone: ExportedClone, new: Path, path: Path, report: CloneExportReport) -> None:
    """Write the export into the folder `new`, which will be at `path`; fill in the report.

    Raises:
        ExportError: the adapter is no LoRA, or of an architecture that llama.cpp cannot run.
    """
    adapter = clone.lora()
    convert_adapter(clone, adapter, new)
    first = clone.voices[0]
    write_text(new / TEMPLATE_FILE, jinja_template(first))
    base = shlex.quote(str(clone.base.gguf or "BASE.gguf"))
    options = shlex.join(server_options(clone.sampling(first), first))
    lora, template = (shlex.quote(str(path / file)) for file in (ADAPTER_FILE, TEMPLATE_FILE))
    report.how = [
        "To chat, on a page or with the OpenAI API, at http://127.0.0.1:8080:",
        "",
        f"  llama-server -m {base} --lora {lora} \\",
        f"    --jinja --chat-template-file {template} \\",
        f"    {options}",
        "",
        f"The template speaks as {first.persona}, and the user for {first.user}. Requests need",
        f'"stop": {as_json(first.stops())}',
        "",
        "To have it continue a text of your own:",
        "",
        f"  llama-cli -m {base} --lora {lora} \\",
        f"    -no-cnv -p {shlex.quote(example_prompt(clone))}",
        "",
        "KoboldCpp takes the same two files: koboldcpp --model … --lora …",
    ]
    report.lacks += clone.not_carried("llama-server", REPETITION_SETTINGS)
    if clone.base.gguf is None:
        report.how += [
            "",
            f"BASE.gguf is {clone.base.name} as a GGUF file, which is not here: llama.cpp's",
            f"convert_hf_to_gguf.py makes it of {clone.base.folder}.",
        ]
    report.checked = check_loading(clone, new / ADAPTER_FILE)


def server_options(sampling: Sampling, voice: Voice) -> list[str]:
    """The options of llama-server and llama-cli for these sampling parameters.

    Reference: llama.cpp's tools/server/README.md, "Sampling params".
    """
    options = {
        "--temp": sampling.temperature,
        "--top-k": sampling.top_k,
        "--top-p": sampling.top_p,
        "--min-p": sampling.min_p,
        "--repeat-last-n": PENALTY_WINDOW,
        "--repeat-penalty": sampling.repetition_penalty,
        "--presence-penalty": sampling.presence_penalty,
        "--frequency-penalty": sampling.frequency_penalty,
    }
    words = [word for option, value in options.items() for word in (option, f"{value:g}")]
    if not sampling.dry_multiplier:
        return words
    words += ["--dry-multiplier", f"{sampling.dry_multiplier:g}"]
    words += ["--dry-base", f"{sampling.dry_base:g}"]
    words += ["--dry-allowed-length", str(sampling.dry_allowed_length)]
    words += ["--dry-penalty-last-n", str(sampling.dry_window)]
    for breaker in ("\n", *voice.stops(), voice.between("user", "assistant").strip()):
        words += ["--dry-sequence-breaker", breaker.replace("\n", "\\n")]
    return words


def convert_adapter(clone: ExportedClone, adapter: Path, new: Path) -> None:
    """Write the adapter as a GGUF file.

    Raises:
        ExportError: llama.cpp cannot run adapters of this architecture.
    """
    try:
        names = list(clone.people)
        about = {
            "general.name": f"{', '.join(names)}{CLONE_MARK}",
            "general.description": clone_notice(names),
        }
        scale = clone.chat.adapter_scale
        write_adapter_gguf(adapter, clone.base, new / ADAPTER_FILE, scale=scale, about=about)
    except EngineError as error:
        reason = str(error).partition(': use engine = "transformers"')[0]
        raise ExportError(f"{reason}: run `myna export merged` instead") from error


def check_loading(clone: ExportedClone, file: Path) -> str:
    """Load the adapter on its base with llama.cpp; the result, "" without llama.cpp or GGUF."""
    gguf = clone.base.gguf
    if gguf is None or importlib.util.find_spec("xllamacpp") is None:
        return ""
    from myna.engines.llamacpp import LlamaCpp

    engine = LlamaCpp(clone.base, file, 256)
    try:
        engine.next_probs([1], 1)
    finally:
        engine.close()
    return f"llama.cpp loads it on {gguf.name}"


def example_prompt(clone: ExportedClone) -> str:
    """A chat that the first persona continues."""
    voice = clone.voices[0]
    header = voice.before_system + voice.system + voice.spec.header_end
    message = voice.between("start", "user") + voice.lead("user") + "Hello!"
    return header + message + voice.between("user", "assistant")
