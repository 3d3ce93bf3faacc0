"""The optimiser: AdamW, with its moments paged where a card's memory is short.

Paged moments (QLoRA, section 3) lie in memory that a card and the CPU share: in a spike
the driver moves them out, where a step would have run out of memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from myna.config import Train
from myna.errors import ModelError, TrainingError
from myna.models.loading import check_four_bits

BETAS = (0.9, 0.99)


def make(
    parameters: Iterable[torch.nn.Parameter], settings: Train, device: torch.device, *, split: bool
) -> tuple[torch.optim.Optimizer, str]:
    """The optimiser of `parameters`, and which it is and why, as a line.

    `split` says that they lie in pieces on several devices.

    Raises:
        TrainingError: paged moments are asked for and cannot be had.
    """
    paged, reason = choose(settings, device, split=split)
    options: dict[str, Any] = {
        "lr": settings.lr,
        "betas": BETAS,
        "weight_decay": settings.weight_decay,
    }
    if not paged:
        return torch.optim.AdamW(parameters, **options), f"AdamW: {reason}"
    from bitsandbytes.optim import PagedAdamW

    return PagedAdamW(parameters, **options), f"AdamW, paged by bitsandbytes: {reason}"


def choose(settings: Train, device: torch.device, *, split: bool) -> tuple[bool, str]:
    """Whether the moments are paged, and why.

    Raises:
        TrainingError: that is asked for and cannot be had.
    """
    asked = settings.optimizer == "paged"
    if device.type != "cuda":
        lacking = "only a CUDA card's memory is paged"
    elif split:
        lacking = "bitsandbytes cannot page what FSDP splits"
    else:
        lacking = _lacking(device) if asked or settings.method == "qlora" else ""
    if asked and lacking:
        raise TrainingError(
            f'train.optimizer = "paged" cannot be had: {lacking}; use "adamw" or "auto"'
        )
    if asked or settings.optimizer == "adamw":
        return asked, "as train.optimizer asks"
    if settings.method != "qlora":
        return False, "beside a base that is not in 4 bits its moments are the smaller part"
    if lacking:
        return False, lacking
    return True, "in 4 bits the base leaves them the larger part, and a spike may move them out"


def _lacking(device: torch.device) -> str:
    try:
        check_four_bits(device)
    except ModelError as error:
        return str(error)
    return ""
