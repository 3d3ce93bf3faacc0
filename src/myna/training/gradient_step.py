"""Gradient accumulation: a batch over processes, in micro-batches that fit the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator

from myna.errors import TrainingError
from myna.training import distributed, hardware
from myna.training.data import Samples
from myna.training.loss import token_losses


class GradientAccumulator:
    """Computes the gradients of batches; micro-batches stay as small as memory made them."""

    def __init__(
        self,
        model: Any,
        samples: Samples,
        accelerator: Accelerator,
        micro_batch_tokens: int,
        report: Callable[[str], None],
    ) -> None:
        self.micro_batch_tokens = micro_batch_tokens
        """Most tokens of a micro-batch on a process, padding included; 0: a whole batch."""
        self._model, self._samples = model, samples
        self._accelerator, self._report = accelerator, report
        self._lengths = samples.lengths()
        weights = samples.weights or [1.0] * len(self._lengths)
        self._targets = [n * w for n, w in zip(samples.target_counts(), weights, strict=True)]
        self._is_reported = False

    def accumulate(self, batch: list[int]) -> float:
        """Compute the gradients of the mean loss over a batch's trained tokens; return the loss.

        The mean is weighted by the samples' weights.

        If memory runs out on any process, the micro-batches are halved and all is redone.

        Raises:
            TrainingError: one sample alone does not fit.
        """
        targets = sum(self._targets[i] for i in batch) or 1.0
        accelerator = self._accelerator
        share = distributed.process_share(
            batch, self._lengths, accelerator.num_processes, accelerator.process_index
        )
        while True:
            micro_batches = distributed.micro_batches(share, self._lengths, self.micro_batch_tokens)
            loss = self._try_micro_batches(micro_batches, batch, targets)
            largest = max(
                (len(each) * self._lengths[each[-1]] for each in micro_batches), default=0
            )
            is_smallest = all(len(each) == 1 for each in micro_batches)
            failed, cannot_halve, largest = distributed.all_reduce_max(
                [loss is None, loss is None and is_smallest, largest], accelerator
            )
            if loss is not None and not failed:
                distributed.all_reduce_gradients(self._model, accelerator)
                return float(distributed.all_reduce_sum(loss, accelerator))
            self._model.zero_grad(set_to_none=True)
            hardware.empty_cache(accelerator.device)
            self._halve(largest, bool(cannot_halve))

    def _try_micro_batches(
        self, micro_batches: list[list[int]], batch: list[int], targets: float
    ) -> Any:
        """The loss of this process's micro-batches; None if memory ran out.

        `targets` are the trained tokens of the whole batch, times their weights.
        """
        accelerator = self._accelerator
        loss = torch.zeros((), dtype=torch.float64, device=_float64_device(accelerator.device))
        if distributed.is_sharded(accelerator):
            # All processes gather weights together, and gradients become their mean.
            [count] = distributed.all_reduce_max([len(micro_batches)], accelerator)
            scaled = [(each, float(accelerator.num_processes)) for each in micro_batches]
            scaled += [(batch[:1], 0.0)] * (count - len(micro_batches))
        else:
            scaled = [(each, 1.0) for each in micro_batches]
        try:
            for each, scale in scaled:
                weight = sum(self._targets[i] for i in each) / targets
                mean = backward(self._model, self._samples, each, accelerator, weight * scale)
                loss += mean.to(loss) * weight * bool(scale)
        except (RuntimeError, MemoryError) as error:
            if not hardware.is_out_of_memory(error) or distributed.is_sharded(accelerator):
                raise
            return None
        return loss.float()

    def _halve(self, largest: int, cannot_halve: bool) -> None:
        if cannot_halve:
            raise TrainingError(
                f"a sample of {max(self._lengths):,} tokens does not fit the memory: lower "
                'samples.max_length and run `myna prepare`, or use train.method = "qlora"'
            )
        self.micro_batch_tokens = max(1, largest // 2)
        if not self._is_reported:
            self._report(
                f"out of memory: steps are computed in micro-batches of "
                f"{self.micro_batch_tokens:,} tokens from here on, with the same result"
            )
            self._is_reported = True


def backward(
    model: Any, samples: Samples, batch: list[int], accelerator: Accelerator, weight: float
) -> torch.Tensor:
    """Add the gradients of the mean loss over a batch's trained tokens, times `weight`.

    Returns that loss, without the weight.
    """
    ids, masks = [samples.ids[i] for i in batch], [samples.loss_masks[i] for i in batch]
    losses: torch.Tensor = distributed.with_gathered_weights(
        model, accelerator, lambda: token_losses(model, ids, masks, accelerator.device)
    )
    if samples.weights:
        counts = torch.tensor([sum(mask) for mask in masks], device=losses.device)
        weights = torch.tensor([samples.weights[i] for i in batch], device=losses.device)
        each = weights.repeat_interleave(counts)
        loss = (losses * each).sum() / each.sum().clamp(min=1e-9)
    else:
        loss = losses.sum() / max(1, losses.numel())
    accelerator.backward(loss * weight)
    return loss.detach()


def _float64_device(device: torch.device) -> torch.device:
    """The device for float64 sums: the CPU beside Apple's GPUs, which have no float64."""
    return torch.device("cpu") if device.type == "mps" else device
