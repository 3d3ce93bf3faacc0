"""The LoRA, an instruction template and settings for text-generation-webui.

Its folders are those of `user_data`: `loras/NAME/`, `instruction-templates/NAME.yaml`
(one key, `instruction_template`, in Jinja), `presets/NAME.yaml` (sampling parameters),
`settings.yaml` (`custom_stopping_strings` are quoted strings with commas between them).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from myna.engines.token_penalties import PENALTY_WINDOW
from myna.export.clone_export import (
    REPETITION_SETTINGS,
    CloneExportReport,
    ExportedClone,
    slug,
)
from myna.export.configs import yaml
from myna.export.prompt_templates import as_json, jinja_template
from myna.workspace import write_text

DRY_BREAKERS = '"\\n", ":"'
"""The ends of lines and names: of a breaker of several tokens only the last one counts there."""
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
    _adapt_config(lora / LORA_FILES[0], clone.base.name, clone.chat.adapter_scale)
    own = clone.sampling(voice)
    sampling = {
        "temperature": own.temperature, "top_p": own.top_p, "min_p": own.min_p,
        "top_k": own.top_k, "repetition_penalty": own.repetition_penalty,
        "presence_penalty": own.presence_penalty, "frequency_penalty": own.frequency_penalty,
        "repetition_penalty_range": own.dry_window if own.dry_multiplier else PENALTY_WINDOW,
        "dry_multiplier": own.dry_multiplier, "dry_base": own.dry_base,
        "dry_allowed_length": own.dry_allowed_length, "dry_sequence_breakers": DRY_BREAKERS,
    }  # fmt: skip
    settings = {
        "mode": "instruct",
        "preset": name,
        "custom_system_message": voice.system,
        "custom_stopping_strings": ", ".join(as_json(stop) for stop in voice.stops()),
        "max_new_tokens": own.max_new_tokens,
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
    report.lacks += clone.not_carried("text-generation-webui", REPETITION_SETTINGS)
    if own.dry_multiplier:
        report.lacks.append(
            "one window for all penalties (repetition_penalty_range): that of DRY is set"
        )
    report.checked = _check_loading(lora)


def _adapt_config(file: Path, base: str, scale: float) -> None:
    """Write the scale into peft's config, and the base's name for its path on this machine."""
    settings = json.loads(file.read_text("utf-8"))
    settings["base_model_name_or_path"] = Path(base).name
    if scale != 1:
        settings["lora_alpha"] *= scale
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
