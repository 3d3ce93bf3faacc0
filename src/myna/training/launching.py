"""Configs for `accelerate launch`: several cards, or several machines, for one training."""

from __future__ import annotations

from myna.config import Train
from myna.errors import SettingsError

KINDS = ("fsdp", "deepspeed")

_COMMON = """\
# Written by `myna train --write-config {kind}`. Start it in the workspace with
#   accelerate launch --config_file {kind}.yaml -m myna train
# Several machines: set num_machines, and on each its machine_rank and the first one's
# main_process_ip.
compute_environment: LOCAL_MACHINE
distributed_type: {type}
num_machines: 1
num_processes: 2
machine_rank: 0
main_process_port: 29500
rdzv_backend: static
same_network: true
mixed_precision: "{precision}"
main_training_function: main
"""

_FSDP = """\
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_reshard_after_forward: true
  fsdp_cpu_ram_efficient_loading: {efficient}
  fsdp_offload_params: false
  fsdp_state_dict_type: SHARDED_STATE_DICT
"""

_DEEPSPEED = """\
deepspeed_config:
  zero_stage: 2
  offload_optimizer_device: none
  offload_param_device: none
  gradient_accumulation_steps: 1
  gradient_clipping: {clip:g}
"""


def config_text(kind: str, settings: Train) -> str:
    """The text of a config, for the method of the settings.

    Raises:
        SettingsError: the method cannot be trained that way.
    """
    types = {"fsdp": "FSDP", "deepspeed": "DEEPSPEED"}
    if kind == "deepspeed" and settings.method == "qlora":
        raise SettingsError(
            'DeepSpeed splits no 4-bit weights: use --write-config fsdp, or train.method = "lora"'
        )
    # The base is loaded in the number format it is computed in; nothing is cast again.
    text = _COMMON.format(kind=kind, type=types[kind], precision="no")
    if kind == "fsdp":
        efficient = "false" if settings.method == "qlora" else "true"
        return text + _FSDP.format(efficient=efficient)
    return text + _DEEPSPEED.format(clip=settings.clip)
