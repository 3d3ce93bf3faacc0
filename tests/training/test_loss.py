"""The loss: only what is labelled, whatever is padded around it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from myna.training.loss import collate, token_losses

CPU = torch.device("cpu")
IDS = [[5, 6, 7, 8, 9, 10], [11, 12, 13]]
LABELS = [[0, 0, 1, 1, 2, 0], [0, 1, 2]]


def test_it_is_the_models_own_loss_on_labelled_tokens(model: Any) -> None:
    for tokens, marks in zip(IDS, LABELS, strict=True):
        ids, labels = collate([tokens], [marks], CPU)
        losses, _ = token_losses(model, ids, labels > 0)
        theirs = model(input_ids=ids, labels=ids.masked_fill(labels == 0, -100)).loss
        assert losses.mean().item() == pytest.approx(theirs.item(), rel=1e-5)


def test_a_batch_gives_each_sample_the_losses_it_has_alone(model: Any) -> None:
    ids, labels = collate(IDS, LABELS, CPU)
    together, rows = token_losses(model, ids, labels > 0)
    for row in range(2):
        one, marks = collate([IDS[row]], [LABELS[row]], CPU)
        alone, _ = token_losses(model, one, marks > 0)
        torch.testing.assert_close(together[rows == row], alone)


def test_scaled_logits_are_the_models_own(model: Any) -> None:
    ids, labels = collate(IDS, LABELS, CPU)
    plain, _ = token_losses(model, ids, labels > 0)
    model.config.logit_scale = 1.0  # as in models that do more after their last layer
    torch.testing.assert_close(token_losses(model, ids, labels > 0)[0], plain)
