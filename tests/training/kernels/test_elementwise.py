"""Norm, SwiGLU and rotary positions: the library's results, the formula's gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaRMSNorm, apply_rotary_pos_emb

from myna.training.kernels.elementwise import RmsNorm, Rotary, SwiGlu, rms_norm, rotate, swiglu


def given(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def test_gradients_are_those_of_the_formulas() -> None:
    angles = torch.randn(5, 3, dtype=torch.float64)
    check = torch.autograd.gradcheck
    assert check(lambda x, w: RmsNorm.apply(x, w, 1e-2), (given(2, 5, 6), given(6)))
    assert check(SwiGlu.apply, (given(4, 6), given(4, 6)))
    assert check(lambda x: Rotary.apply(x, angles.cos(), angles.sin()), given(5, 2, 6))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_norm_is_llamas(dtype: torch.dtype) -> None:
    x, theirs = given(2, 5, 6, dtype=dtype), LlamaRMSNorm(6, 1e-5).to(dtype)
    torch.nn.init.normal_(theirs.weight)
    torch.testing.assert_close(rms_norm(x, theirs.weight, 1e-5), theirs(x))
    way = torch.randn_like(x)
    torch.testing.assert_close(
        torch.autograd.grad(rms_norm(x, theirs.weight, 1e-5), x, way),
        torch.autograd.grad(theirs(x), x, way),
        rtol=torch.finfo(dtype).eps * 4,
        atol=torch.finfo(dtype).eps * 4,  # a gradient is a difference: it may be small itself
    )


def test_swiglu_is_a_gated_silu() -> None:
    gate, up = given(3, 8), given(3, 8)
    torch.testing.assert_close(swiglu(gate, up), functional.silu(gate) * up)


def test_positions_turn_as_llamas_do() -> None:
    x, angles = given(7, 2, 6), torch.randn(7, 3, dtype=torch.float64)
    full = torch.cat([angles, angles], -1)[None]
    theirs, _ = apply_rotary_pos_emb(
        x.transpose(0, 1)[None], x.transpose(0, 1)[None], full.cos(), full.sin()
    )
    torch.testing.assert_close(rotate(x, angles.cos(), angles.sin()), theirs[0].transpose(0, 1))
