"""The fast path: the same losses and gradients as the plain one, on any model."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers

from myna.config import Train
from myna.training import methods
from myna.training.kernels import install
from myna.training.kernels.attention import causal_model, is_packing
from myna.training.kernels.install import install_kernels
from myna.training.loss import token_losses
from myna.training.methods import add_lora

CPU = torch.device("cpu")
IDS = [[5, 6, 7, 8, 9, 10, 11], [11, 12, 13], [1], [4, 9, 4, 9, 4]]
MASKS = [[kind == "x" for kind in kinds] for kinds in ("--xxx-x", "-xx", "-", "---xx")]
SMALL = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILY: dict[str, dict[str, Any]] = {
    "Llama": {"attention_bias": True, "mlp_bias": True},
    "Mistral": {"sliding_window": 4},
    "Qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    "Qwen3": {"head_dim": 16},
}
OTHERS: dict[str, dict[str, Any]] = {
    "GPTNeoX": {},
    "Phi3": {},
    "Gemma": {"head_dim": 8},
    "Gemma3Text": {"head_dim": 8, "sliding_window": 4},
    "Gemma2": {"head_dim": 8},
    "Bloom": {"n_head": 4},
    "Mamba": {"state_size": 4},
    "FalconH1": {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_state": 8, "mamba_d_head": 8},
}


def small(kind: str, **options: Any) -> Any:
    torch.manual_seed(1)
    config = getattr(transformers, f"{kind}Config")(**SMALL | options)
    model = transformers.AutoModelForCausalLM.from_config(config).requires_grad_(False).eval()
    for name, value in model.named_parameters():
        if "norm" not in name.lower():
            value.mul_(4)  # a fresh one is too weak to tell any token from another
    return model


def with_some_lora(model: Any) -> Any:
    adapted = add_lora(model, Train(lora_r=4, lora_alpha=8))
    for name, value in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    return adapted


def step(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The losses of all samples at once, and the gradients of their sum."""
    model.zero_grad()
    losses = token_losses(model, IDS, MASKS, CPU)
    losses.sum().backward()
    return losses.detach(), {n: p.grad for n, p in model.named_parameters() if p.requires_grad}


def assert_close(found: Any, right: Any) -> None:
    torch.testing.assert_close(found[0], right[0], rtol=1e-4, atol=1e-5)
    assert found[1].keys() == right[1].keys()
    for name, value in right[1].items():
        difference = (found[1][name] - value).norm()
        assert difference <= 1e-4 * value.norm() + 1e-7, name


@pytest.mark.parametrize("kind", FAMILY)
def test_packed_samples_have_the_losses_and_gradients_that_they_have_padded(kind: str) -> None:
    model = with_some_lora(small(kind, **FAMILY[kind]))
    padded = step(model)
    lines = install_kernels(model)
    assert is_packing(model)
    assert lines[0].startswith("LoRA of 14 layers")
    assert lines[1].startswith("attention, mlp, norm of a Llama-like decoder")
    assert_close(step(model), padded)


@pytest.mark.parametrize("kind", OTHERS)
def test_any_other_model_has_too_packed_or_not(kind: str) -> None:
    model = with_some_lora(small(kind, **OTHERS[kind]))
    padded = step(model)
    install_kernels(model)
    assert is_packing(model) == (kind in {"GPTNeoX", "Phi3", "Gemma", "Gemma3Text"})
    assert_close(step(model), padded)


@pytest.mark.parametrize("kind", ["FalconH1", "Lfm2"])
def test_where_tokens_meet_outside_attention_nothing_is_packed(kind: str) -> None:
    options = SMALL | OTHERS.get(kind, {"full_attn_idxs": [1]})
    config = getattr(transformers, f"{kind}Config")(**options)
    # With weights as fresh as these one sample hardly hears another.
    model = transformers.AutoModelForCausalLM.from_config(config).requires_grad_(False)
    install_kernels(model)
    assert not is_packing(model)


@pytest.mark.parametrize("method", ["dora", "full"])
def test_other_methods_have_the_same_gradients(method: str) -> None:
    model = small("Llama")
    if method == "full":
        model.requires_grad_(True)
    else:
        model = add_lora(model, Train(lora_r=4, lora_alpha=8, method="dora"))
    plain = step(model)
    install_kernels(model)
    assert is_packing(model)
    assert_close(step(model), plain)


def test_layers_may_be_computed_anew_on_the_way_back() -> None:
    model = with_some_lora(small("Llama"))
    plain = step(model)
    install_kernels(model)
    methods.enable_gradient_checkpointing(model)
    computed: list[None] = []
    layer = model.get_base_model().model.layers[0]
    layer.self_attn.register_forward_pre_hook(lambda *_: computed.append(None))
    assert_close(step(model), plain)
    assert len(computed) == 2


def test_a_model_that_is_not_what_it_seems_keeps_its_own_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = with_some_lora(small("Llama"))
    plain = step(model)
    monkeypatch.setattr(install, "swiglu", lambda gate, up: gate * up)
    assert install_kernels(model)[0].startswith("the model's own code")
    assert_close(step(model), plain)


def test_it_can_be_taken_back() -> None:
    model = with_some_lora(small("Llama"))
    install_kernels(model)
    assert is_packing(model)
    for module in model.modules():
        module.__dict__.pop("forward", None)
    causal_model(model).set_attn_implementation("sdpa")
    assert not is_packing(model)
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_generation_goes_on_as_it_did() -> None:
    model = with_some_lora(small("Llama")).eval()
    text = torch.tensor([IDS[0]])
    options = {"max_new_tokens": 8, "do_sample": False}
    before = model.generate(input_ids=text, **options)
    install_kernels(model)
    torch.testing.assert_close(model.generate(input_ids=text, **options), before)


def test_an_adapter_that_it_trained_is_the_same_in_plain_peft(tmp_path: Path) -> None:
    model = add_lora(small("Llama"), Train(lora_r=4, lora_alpha=8))
    install_kernels(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(3):
        step(model)
        optimizer.step()
    model.save_pretrained(tmp_path)
    plain = peft.PeftModel.from_pretrained(small("Llama"), str(tmp_path)).eval()
    text = torch.tensor([IDS[0]])
    with torch.inference_mode():
        torch.testing.assert_close(
            model.eval()(input_ids=text).logits,
            plain(input_ids=text).logits,
            rtol=1e-5,
            atol=1e-5,
        )


def test_training_ends_where_a_plain_loop_of_peft_ends() -> None:
    """The same samples, steps and settings: the loss on held-out samples within 1 %."""
    chance = random.Random(0)

    def text() -> list[int]:
        start = chance.randrange(97)
        return [(start + i) % 97 for i in range(chance.randrange(6, 40))]

    texts = [text() for _ in range(48)]
    train, test = texts[:40], texts[40:]

    def masks(of: list[list[int]]) -> list[list[bool]]:
        return [[i > 1 for i in range(len(tokens))] for tokens in of]

    def plain_loss(model: Any, some: list[list[int]]) -> torch.Tensor:
        longest = max(map(len, some))
        ids = torch.tensor([[*tokens, *[0] * (longest - len(tokens))] for tokens in some])
        targets = torch.tensor([[*m, *[False] * (longest - len(m))] for m in masks(some)])
        mask = torch.tensor([[1] * len(t) + [0] * (longest - len(t)) for t in some])
        return model(
            input_ids=ids, attention_mask=mask, labels=ids.masked_fill(~targets, -100)
        ).loss

    def fast_loss(model: Any, some: list[list[int]]) -> torch.Tensor:
        return token_losses(model, some, masks(some), CPU).mean()

    ends = []
    for loss_of in (plain_loss, fast_loss):
        model = add_lora(small("Llama"), Train(lora_r=4, lora_alpha=8))
        if loss_of is fast_loss:
            install_kernels(model)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
        before = float(plain_loss(model, test).detach())
        for step in range(60):
            loss_of(model, [train[(4 * step + i) % 40] for i in range(4)]).backward()
            optimizer.step()
            optimizer.zero_grad()
        ends.append(float(plain_loss(model, test).detach()))
        assert ends[-1] < 0.8 * before
    assert ends[1] == pytest.approx(ends[0], rel=0.01)
