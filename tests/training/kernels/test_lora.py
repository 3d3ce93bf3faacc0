"""The fused LoRA layers: peft's results and gradients, by a formula of our own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from myna.training.kernels.lora import (
    FrozenLinear,
    LoraLinears,
    is_lora_active,
    is_plain_lora,
    lora_linears,
    replace_forward,
)


class Two(nn.Module):
    """Two linear layers that read the same x."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 5, bias=bias), nn.Linear(6, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.one(x), self.two(x)], -1)


def with_lora(**options: Any) -> Any:
    torch.manual_seed(0)
    settings = {"r": 2, "lora_alpha": 6, "target_modules": ["one", "two"]} | options
    model = get_peft_model(Two().requires_grad_(False), LoraConfig(**settings))
    for name, value in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(value)
    return model.get_base_model()


def gradients(model: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    trained = [x, *(p for p in model.parameters() if p.requires_grad)]
    return list(torch.autograd.grad(model(x).square().sum(), trained))


def test_its_gradients_are_those_of_its_formula() -> None:
    def given(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    one, two = (nn.Linear(6, out).double().requires_grad_(False) for out in (5, 3))
    layers = [FrozenLinear(one, 0.5), FrozenLinear(two, 3.0)]
    pairs = [given(2, 6), given(5, 2), given(4, 6), given(3, 4)]
    assert torch.autograd.gradcheck(
        lambda x, *pairs: LoraLinears.apply(x, layers, *pairs), (given(2, 4, 6), *pairs)
    )


def test_layers_give_what_pefts_give() -> None:
    model, x = with_lora(), torch.randn(2, 4, 6, requires_grad=True)
    ours = copy.deepcopy(model)
    for module in (ours.one, ours.two):
        assert is_plain_lora(module)
        replace_forward(module)
    torch.testing.assert_close(ours(x), model(x))
    torch.testing.assert_close(gradients(ours, x), gradients(model, x))
    torch.testing.assert_close(torch.cat(lora_linears(x, [model.one, model.two]), -1), model(x))


def test_in_16_bits_everything_is_computed_in_them_and_gradients_keep_their_own() -> None:
    model = with_lora()
    model.one.base_layer.bfloat16()
    replace_forward(model.one)
    x = torch.randn(4, 6, dtype=torch.bfloat16)
    y = model.one(x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert model.one.lora_A["default"].weight.grad.dtype == torch.float32


@pytest.mark.parametrize(("needed", "times"), [(False, 1), (True, 2)])
def test_frozen_weights_are_read_backwards_only_for_an_input_that_needs_a_gradient(
    needed: bool, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[torch.dtype] = []
    weight = FrozenLinear.weight
    monkeypatch.setattr(
        FrozenLinear, "weight", lambda self, kind: read.append(kind) or weight(self, kind)
    )
    model = with_lora()
    lora_linears(torch.randn(4, 6, requires_grad=needed), [model.one])[0].sum().backward()
    assert len(read) == times


@pytest.mark.parametrize(
    "options",
    [
        {"use_dora": True},
        {"lora_dropout": 0.1},
        {"lora_bias": True, "target_modules": ["one"]},
        {"bias": "all"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_other_kinds_of_lora_are_left_to_peft(options: dict[str, Any]) -> None:
    assert not is_plain_lora(with_lora(**options).one)


def test_so_are_layers_without_lora_or_with_a_trained_base() -> None:
    model = with_lora(target_modules=["one"])
    assert not is_plain_lora(model.two)
    model.one.base_layer.requires_grad_(True)
    assert not is_plain_lora(model.one)


def test_an_adapter_that_is_switched_off_adds_nothing() -> None:
    model, x = with_lora(), torch.randn(4, 6)
    replace_forward(model.one)
    model.one.enable_adapters(False)
    assert not is_lora_active(model.one)
    torch.testing.assert_close(model.one(x), model.one.base_layer(x))


def test_a_base_in_4_bits_gives_what_pefts_gives() -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    torch.manual_seed(0)
    model = nn.ModuleDict({"one": nn.Linear(128, 64, bias=False)})
    packed = bitsandbytes.nn.Linear4bit(
        128, 64, bias=False, quant_type="nf4", compute_dtype=torch.float32
    )
    packed.load_state_dict(model["one"].state_dict())
    model["one"] = packed.to("cpu")
    model["one"].weight.requires_grad_(False)
    model.forward = model["one"].forward  # type: ignore[method-assign]
    lora = get_peft_model(model, LoraConfig(r=4, target_modules=["one"]))
    module = lora.get_base_model()["one"]
    nn.init.normal_(module.lora_B["default"].weight)
    assert is_plain_lora(module)
    x = torch.randn(3, 128, requires_grad=True)
    theirs = gradients(module, x), module(x)
    replace_forward(module)
    torch.testing.assert_close((gradients(module, x), module(x)), theirs)
