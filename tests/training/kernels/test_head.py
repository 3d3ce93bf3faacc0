"""The loss of the output layer: torch's own, in pieces."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from myna.training.kernels import head
from myna.training.kernels.head import HeadLosses, head_losses


@pytest.mark.parametrize("most", [1, 40, 10**6])
@pytest.mark.parametrize("bias", [True, False])
def test_losses_and_gradients_are_torchs_however_many_logits_there_may_be(
    most: int, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "LOGITS", most)
    torch.manual_seed(0)
    layer = nn.Linear(5, 17, bias=bias).requires_grad_(False)
    hidden = (4 * torch.randn(9, 5)).requires_grad_()
    targets, way = torch.randint(0, 17, (9,)), torch.randn(9)
    theirs = cross_entropy(layer(hidden), targets, reduction="none")
    ours = head_losses(layer, hidden, targets)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours, hidden, way), torch.autograd.grad(theirs, hidden, way)
    )


def test_its_gradient_is_that_of_its_formula() -> None:
    layer = nn.Linear(4, 6).double().requires_grad_(False)
    hidden = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 5, 2])
    assert torch.autograd.gradcheck(
        lambda h: HeadLosses.apply(h, layer.weight, layer.bias, targets), hidden
    )


def test_a_trained_output_layer_gets_its_own_gradient() -> None:
    layer = nn.Linear(4, 6)
    head_losses(layer, torch.randn(3, 4), torch.tensor([0, 5, 2])).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum() > 0


def test_no_labelled_token_gives_no_loss() -> None:
    layer = nn.Linear(4, 6).requires_grad_(False)
    hidden = torch.randn(0, 4, requires_grad=True)
    head_losses(layer, hidden, torch.zeros(0, dtype=torch.long)).sum().backward()
    assert hidden.grad is not None
