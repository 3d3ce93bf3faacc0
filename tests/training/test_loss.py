"""The loss: only what is trained, whatever is padded around it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from myna.training.loss import sample_losses

CPU = torch.device("cpu")
IDS = [[5, 6, 7, 8, 9, 10], [11, 12, 13]]
MASKS = [[False, False, True, True, True, False], [False, True, True]]


def test_it_is_the_models_own_loss_on_trained_tokens(model: Any) -> None:
    for tokens, mask in zip(IDS, MASKS, strict=True):
        ids = torch.tensor([tokens])
        theirs = model(input_ids=ids, labels=ids.masked_fill(~torch.tensor([mask]), -100)).loss
        losses = sample_losses(model, [tokens], [mask], CPU)
        assert losses.mean().item() == pytest.approx(theirs.item(), rel=1e-5)


def test_a_batch_gives_each_sample_the_losses_it_has_alone(model: Any) -> None:
    together = sample_losses(model, IDS, MASKS, CPU)
    alone = [sample_losses(model, IDS[i : i + 1], MASKS[i : i + 1], CPU) for i in range(2)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_scaled_logits_are_the_models_own(model: Any) -> None:
    plain = sample_losses(model, IDS, MASKS, CPU)
    model.config.logit_scale = 1.0  # as in models that do more after their last layer
    torch.testing.assert_close(sample_losses(model, IDS, MASKS, CPU), plain)
