"""The LoRA, an instruction template and settings for text-generation-webui.

Its folders are those of `user_data`: `loras/NAME/`, `instruction-templates/NAME.yaml`
(one key, `instruction_template`, in Jinja), `presets/NAME.yaml` (sampling parameters),
`settings.yaml` (`custom_stopping_strings` are quoted strings with commas between them).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from myna.export.clone_export import CloneExportReport, ExportedClone, slug
from myna.export.configs import yaml
from myna.export.prompt_templates import as_json, jinja_template
from myna.workspace import write_text

LORA_FILES = ("adapter_config.json", "adapter_model.safetensors")


def write(clone: ExportedClone, new: Path, path: Path, report: CloneExportReport) -> None:
    """Write the export into the folder `new`, which will be at `path`; fill in the report.

    Raises:
        ExportError: the adapter is no LoRA, or there is one for each persona.
    """
    adapter = clone.lora()
    voice, name = clone.voices[0], f"myna-clone-{slug(clone.voices[0].persona)}"
    lora = new / "loras" / name
    lora.mkdir(parents=True)
    for file in LORA_FILES:
        shutil.copyfile(adapter / file, lora / file)
    _remove_paths(lora / LORA_FILES[0], clone.base.name)
    chat = clone.chat
    sampling = {
        "temperature": chat.temperature, "top_p": chat.top_p, "min_p": chat.min_p,
        "top_k": 0, "repetition_penalty": 1.0,
    }  # fmt: skip
    settings = {
        "mode": "instruct",
        "preset": name,
        "custom_system_message": voice.system,
        "custom_stopping_strings": ", ".join(as_json(stop) for stop in voice.stops()),
        "max_new_tokens": chat.max_new_tokens,
        "auto_max_new_tokens": False,
        "instruction_template_str": jinja_template(voice),
    }
    for folder, content in (
        ("instruction-templates", {"instruction_template": jinja_template(voice)}),
        ("presets", sampling),
    ):
        (new / folder).mkdir()
        write_text(new / folder / f"{name}.yaml", yaml(content))
    write_text(new / "settings.yaml", yaml(settings))
    report.how = [
        "Copy the folders of this one into user_data of text-generation-webui, and the base model,",
        f"{clone.base.folder}, into user_data/models. Then",
        "",
        f"  python server.py --model {clone.base.folder.name} --loader Transformers \\",
        f"    --lora {name} \\",
        f"    --settings {path / 'settings.yaml'}",
        "",
        f"It speaks as {voice.persona}, and the user for {voice.user}. In a running one, choose",
        f'the LoRA on the tab "Model", and the template {name} under "Instruction template".',
        'With its API (--api), myna\'s own rooms work over it: engine = "openai" under [chat],',
        'url = "http://127.0.0.1:5000" under [engine].',
    ]
    report.checked = _check_loading(lora)


def _remove_paths(file: Path, base: str) -> None:
    """Name the base in peft's config by its name, not by its path on this machine."""
    settings = json.loads(file.read_text("utf-8"))
    settings["base_model_name_or_path"] = Path(base).name
    write_text(file, json.dumps(settings, indent=1) + "\n")


def _check_loading(lora: Path) -> str:
    """Load the config with peft, and count the matrices; the result, "" without peft."""
    from importlib.util import find_spec

    if find_spec("peft") is None:
        return ""
    import peft
    from safetensors import safe_open

    config = peft.PeftConfig.from_pretrained(str(lora))
    with safe_open(lora / LORA_FILES[1], "pt") as weights:
        count = len(list(weights.keys()))
    return f"peft reads the LoRA (rank {config.r}, {count} matrices)"
