"""A config for `accelerate launch`: one training on several cards, or several machines."""

from __future__ import annotations

from myna.config import Train
from myna.errors import SettingsError

KINDS = ("fsdp",)

NO_DEEPSPEED = (
    "DeepSpeed takes the optimiser's step within the backward pass, where no step can be redone "
    "or resumed exactly: use `myna train --write-config fsdp`, which splits the same"
)

_FSDP = """\
# Written by `myna train --write-config fsdp`. Start it in the workspace with
#   accelerate launch --config_file fsdp.yaml -m myna train
# Several machines: set num_machines, and on each its machine_rank and the first one's
# main_process_ip.
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
num_machines: 1
num_processes: 2
machine_rank: 0
main_process_port: 29500
rdzv_backend: static
same_network: true
# The base is loaded in the number format it is computed in; nothing is cast again.
mixed_precision: "no"
main_training_function: main
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_reshard_after_forward: true
  # Only the first process of a machine reads the weights; in 4 bits each makes its own.
  fsdp_cpu_ram_efficient_loading: {efficient}
  fsdp_offload_params: false
  fsdp_state_dict_type: SHARDED_STATE_DICT
"""


def config_text(kind: str, settings: Train) -> str:
    """The text of a config, for the method of the settings.

    Raises:
        SettingsError: there is no config of that kind.
    """
    if kind == "deepspeed":
        raise SettingsError(NO_DEEPSPEED)
    if kind not in KINDS:
        raise SettingsError(f"--write-config {kind}: choose {' or '.join(KINDS)}")
    return _FSDP.format(efficient="false" if settings.method == "qlora" else "true")
