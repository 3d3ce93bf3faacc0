"""Attention over packed samples: each has what it has alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from myna.training.kernels import attention
from myna.training.kernels.attention import PackedAttention, packed_attention

HEADS, KEY_HEADS, SIZE = 6, 2, 8


def inputs(tokens: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shapes = [(tokens, heads, SIZE) for heads in (HEADS, KEY_HEADS, KEY_HEADS)]
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def alone(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, window: int | None) -> torch.Tensor:
    """torch's attention of one sample."""
    place = torch.arange(len(q))
    seen = place[:, None] >= place
    if window is not None:
        seen &= place[:, None] - place < window
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    out = scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=0.3, enable_gqa=True)
    return out[0].transpose(0, 1)


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
    st.none() | st.integers(1, 12),
    st.sampled_from([4, 5, 128]),
)
@settings(deadline=None, max_examples=40)
def test_each_sample_has_the_results_and_gradients_that_it_has_alone(
    lengths: list[int], window: int | None, block: int
) -> None:
    given = inputs(sum(lengths))
    ends = torch.tensor([0, *lengths]).cumsum(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "BLOCK_QUERIES", block)
        packed = packed_attention(*given, ends, max(lengths), 0.3, window)
        parts = zip(*(x.split(lengths) for x in given), strict=True)
        apart = torch.cat([alone(*part, window) for part in parts])
        torch.testing.assert_close(packed, apart)
        way = torch.randn_like(packed)
        torch.testing.assert_close(
            torch.autograd.grad(packed, given, way), torch.autograd.grad(apart, given, way)
        )


def test_its_gradients_are_those_of_its_formula() -> None:
    assert torch.autograd.gradcheck(
        lambda q, k, v: PackedAttention.apply(q, k, v, [3, 7], 0.3, None), inputs(7)
    )


def test_weights_are_computed_in_32_bits_of_16_bit_inputs() -> None:
    wide = inputs(40, torch.float32)
    narrow = [x.detach().bfloat16() for x in wide]
    ends = torch.tensor([0, 40])
    found = packed_attention(*narrow, ends, 40, 0.3, None)
    assert found.dtype == torch.bfloat16
    right = packed_attention(*(x.float() for x in narrow), ends, 40, 0.3, None)
    torch.testing.assert_close(found.float(), right, rtol=2e-2, atol=2e-2)
