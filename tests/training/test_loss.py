"""The loss: only what is trained, whatever is padded around it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from myna.training import loss
from myna.training.loss import LinearCrossEntropy, linear_cross_entropy, token_losses

CPU = torch.device("cpu")
IDS = [[5, 6, 7, 8, 9, 10], [11, 12, 13]]
MASKS = [[False, False, True, True, True, False], [False, True, True]]


def test_it_is_the_models_own_loss_on_trained_tokens(model: Any) -> None:
    for tokens, mask in zip(IDS, MASKS, strict=True):
        ids = torch.tensor([tokens])
        theirs = model(input_ids=ids, labels=ids.masked_fill(~torch.tensor([mask]), -100)).loss
        losses = token_losses(model, [tokens], [mask], CPU)
        assert losses.mean().item() == pytest.approx(theirs.item(), rel=1e-5)


def test_a_batch_gives_each_sample_the_losses_it_has_alone(model: Any) -> None:
    together = token_losses(model, IDS, MASKS, CPU)
    alone = [token_losses(model, IDS[i : i + 1], MASKS[i : i + 1], CPU) for i in range(2)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_scaled_logits_are_the_models_own(model: Any) -> None:
    plain = token_losses(model, IDS, MASKS, CPU)
    model.config.logit_scale = 1.0  # as in models that do more after their last layer
    torch.testing.assert_close(token_losses(model, IDS, MASKS, CPU), plain)


@pytest.mark.parametrize("most", [1, 40, 10**6])
@pytest.mark.parametrize("bias", [True, False])
def test_losses_and_gradients_are_torchs_however_many_logits_there_may_be(
    most: int, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "MAX_LOGITS", most)
    torch.manual_seed(0)
    layer = nn.Linear(5, 17, bias=bias).requires_grad_(False)
    hidden = (4 * torch.randn(9, 5)).requires_grad_()
    targets, way = torch.randint(0, 17, (9,)), torch.randn(9)
    theirs = cross_entropy(layer(hidden), targets, reduction="none")
    ours = linear_cross_entropy(layer, hidden, targets)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours, hidden, way), torch.autograd.grad(theirs, hidden, way)
    )


def test_its_gradient_is_that_of_its_formula() -> None:
    layer = nn.Linear(4, 6).double().requires_grad_(False)
    hidden = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 5, 2])
    assert torch.autograd.gradcheck(
        lambda h: LinearCrossEntropy.apply(h, layer.weight, layer.bias, targets), hidden
    )


def test_a_trained_output_layer_gets_its_own_gradient() -> None:
    layer = nn.Linear(4, 6)
    linear_cross_entropy(layer, torch.randn(3, 4), torch.tensor([0, 5, 2])).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum() > 0


def test_no_labelled_token_gives_no_loss() -> None:
    layer = nn.Linear(4, 6).requires_grad_(False)
    hidden = torch.randn(0, 4, requires_grad=True)
    linear_cross_entropy(layer, hidden, torch.zeros(0, dtype=torch.long)).sum().backward()
    assert hidden.grad is not None
