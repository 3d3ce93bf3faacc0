"""One step's gradients: its batch shared out to the processes, in parts that fit the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator

from myna.errors import TrainingError
from myna.training import distributed, hardware
from myna.training.data import Samples
from myna.training.loss import sample_losses


class Steps:
    """Computes steps; what it learned of the memory holds for those that follow."""

    def __init__(
        self,
        model: Any,
        samples: Samples,
        accelerator: Accelerator,
        part_tokens: int,
        say: Callable[[str], None],
    ) -> None:
        self.part_tokens = part_tokens
        """Most tokens computed at once on a process; 0: a whole batch."""
        self._model, self._samples = model, samples
        self._accelerator, self._say = accelerator, say
        self._lengths, self._targets = samples.lengths(), samples.targets()
        self._told = False

    def gradients(self, batch: list[int]) -> float:
        """Have the gradients of the mean loss over a batch's trained tokens; that loss.

        Where memory runs out, on any process, the parts are halved and all is redone.

        Raises:
            TrainingError: one sample alone does not fit.
        """
        labelled = max(1, sum(self._targets[i] for i in batch))
        place = self._accelerator
        mine = distributed.share(batch, self._lengths, place.num_processes, place.process_index)
        while True:
            parts = distributed.split(mine, self._lengths, self.part_tokens)
            loss = self._tried(parts, batch, labelled)
            largest = max((len(part) * self._lengths[part[-1]] for part in parts), default=0)
            alone = all(len(part) == 1 for part in parts)
            failed, cannot, largest = distributed.most(
                [loss is None, loss is None and alone, largest], place
            )
            if loss is not None and not failed:
                distributed.add_up(self._model, place)
                return float(distributed.total(loss, place))
            self._model.zero_grad(set_to_none=True)
            hardware.release(place.device)
            self._halve(largest, bool(cannot))

    def _tried(self, parts: list[list[int]], batch: list[int], labelled: int) -> Any:
        """The loss of this process's parts; None where memory ran out."""
        place = self._accelerator
        loss = torch.zeros((), dtype=torch.float64, device=_doubles(place.device))
        if distributed.sharded(place):
            # All processes gather weights together, and gradients become their mean.
            [count] = distributed.most([len(parts)], place)
            work = [(part, float(place.num_processes)) for part in parts]
            work += [(batch[:1], 0.0)] * (count - len(parts))
        else:
            work = [(part, 1.0) for part in parts]
        try:
            for part, times in work:
                weight = sum(self._targets[i] for i in part) / labelled
                found = backward(self._model, self._samples, part, place, weight * times)
                loss += found.to(loss) * weight * bool(times)
        except (RuntimeError, MemoryError) as error:
            if not hardware.ran_out(error) or distributed.sharded(place):
                raise
            return None
        return loss.float()

    def _halve(self, largest: int, cannot: bool) -> None:
        if cannot:
            raise TrainingError(
                f"a sample of {max(self._lengths):,} tokens does not fit the memory: lower "
                'samples.max_length and run `myna prepare`, or use train.method = "qlora"'
            )
        self.part_tokens = max(1, largest // 2)
        if not self._told:
            self._say(
                f"memory ran out: steps are computed in parts of {self.part_tokens:,} tokens "
                "from here on, with the same result"
            )
            self._told = True


def backward(
    model: Any, samples: Samples, batch: list[int], accelerator: Accelerator, weight: float
) -> torch.Tensor:
    """Add the gradients of the mean loss over a batch's trained tokens, times `weight`.

    Returns that loss, without the weight.
    """
    ids, masks = [samples.ids[i] for i in batch], [samples.loss_masks[i] for i in batch]
    losses: torch.Tensor = distributed.within(
        model, accelerator, lambda: sample_losses(model, ids, masks, accelerator.device)
    )
    loss = losses.sum() / max(1, losses.numel())
    accelerator.backward(loss * weight)
    return loss.detach()


def _doubles(device: torch.device) -> torch.device:
    """Where numbers in float64 can lie: Apple's GPUs have none."""
    return torch.device("cpu") if device.type == "mps" else device
