"""The loss: only what is labelled, whatever is padded around it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from myna.training.loss import sample_losses

CPU = torch.device("cpu")
IDS = [[5, 6, 7, 8, 9, 10], [11, 12, 13]]
LABELS = [[0, 0, 1, 1, 2, 0], [0, 1, 2]]


def test_it_is_the_models_own_loss_on_labelled_tokens(model: Any) -> None:
    for tokens, marks in zip(IDS, LABELS, strict=True):
        ids, labels = torch.tensor([tokens]), torch.tensor([marks])
        theirs = model(input_ids=ids, labels=ids.masked_fill(labels == 0, -100)).loss
        losses = sample_losses(model, [tokens], [marks], CPU)
        assert losses.mean().item() == pytest.approx(theirs.item(), rel=1e-5)


def test_a_batch_gives_each_sample_the_losses_it_has_alone(model: Any) -> None:
    together = sample_losses(model, IDS, LABELS, CPU)
    alone = [sample_losses(model, IDS[i : i + 1], LABELS[i : i + 1], CPU) for i in range(2)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_scaled_logits_are_the_models_own(model: Any) -> None:
    plain = sample_losses(model, IDS, LABELS, CPU)
    model.config.logit_scale = 1.0  # as in models that do more after their last layer
    torch.testing.assert_close(sample_losses(model, IDS, LABELS, CPU), plain)
