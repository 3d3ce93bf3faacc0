"""What text-generation-webui needs: the LoRA, an instruction template, its settings.

Its folders are those of `user_data`: `loras/NAME/`, `instruction-templates/NAME.yaml`
(one key, `instruction_template`, in Jinja), `presets/NAME.yaml` (parameters of sampling),
`settings.yaml` (`custom_stopping_strings` are quoted strings with commas between them).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from myna.export.clone_export import NO_ESCAPES, ONE_USER, Trained, Written, slug
from myna.export.configs import yaml
from myna.export.prompt_templates import jinja
from myna.workspace import write_text

LORA_FILES = ("adapter_config.json", "adapter_model.safetensors")


def write(trained: Trained, new: Path, path: Path, done: Written) -> None:
    """Write it into the folder `new`, which will be at `path`; what was done goes to `done`.

    Raises:
        ExportError: it cannot be had of what is trained.
    """
    adapter = trained.lora()
    voice, name = trained.voices[0], f"myna-{slug(trained.voices[0].persona)}"
    lora = new / "loras" / name
    lora.mkdir(parents=True)
    for file in LORA_FILES:
        shutil.copyfile(adapter / file, lora / file)
    _without_paths(lora / LORA_FILES[0], trained.base.name)
    chat = trained.chat
    sampling = {
        "temperature": chat.temperature, "top_p": chat.top_p, "min_p": chat.min_p,
        "top_k": 0, "repetition_penalty": 1.0,
    }  # fmt: skip
    settings = {
        "mode": "instruct",
        "preset": name,
        "custom_system_message": voice.system,
        "custom_stopping_strings": ", ".join(_literal(stop) for stop in voice.stops()),
        "max_new_tokens": chat.max_new_tokens,
        "auto_max_new_tokens": False,
        "instruction_template_str": jinja(voice),
    }
    for folder, content in (
        ("instruction-templates", {"instruction_template": jinja(voice)}),
        ("presets", sampling),
    ):
        (new / folder).mkdir()
        write_text(new / folder / f"{name}.yaml", yaml(content))
    write_text(new / "settings.yaml", yaml(settings))
    done.how = [
        "Copy the folders of this one into user_data of text-generation-webui, and the base model,",
        f"{trained.base.folder}, into user_data/models. Then",
        "",
        f"  python server.py --model {trained.base.folder.name} --loader Transformers \\",
        f"    --lora {name} \\",
        f"    --settings {path / 'settings.yaml'}",
        "",
        f"It speaks as {voice.persona}, and the user for {voice.user}. In a running one, choose",
        f'the LoRA on the tab "Model", and the template {name} under "Instruction template".',
        'With its API (--api), myna\'s own rooms work over it: engine = "openai" under [chat],',
        'url = "http://127.0.0.1:5000" under [engine].',
    ]
    done.lacks = [NO_ESCAPES, ONE_USER]
    done.checked = _loaded(lora)


def _without_paths(file: Path, base: str) -> None:
    """Name the base in peft's settings by its name: not where it is on this machine."""
    settings = json.loads(file.read_text("utf-8"))
    settings["base_model_name_or_path"] = Path(base).name
    write_text(file, json.dumps(settings, indent=1) + "\n")


def _loaded(lora: Path) -> str:
    """Have peft read the settings, and count the weights."""
    from importlib.util import find_spec

    if find_spec("peft") is None:
        return ""
    import peft
    from safetensors import safe_open

    config = peft.PeftConfig.from_pretrained(str(lora))
    with safe_open(lora / LORA_FILES[1], "pt") as weights:
        count = len(list(weights.keys()))
    return f"peft reads the LoRA (rank {config.r}, {count} matrices)"


def _literal(text: str) -> str:
    """A string as the settings hold it: between double quotes, with backslashes."""
    return json.dumps(text, ensure_ascii=False)
