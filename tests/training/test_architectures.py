"""Bases of many kinds: each is trained in all of its LoRA matrices, and resumed exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from tests.training.cases import EACH_STEP, SETTINGS, losses, samples, train

from myna.errors import TrainingError
from myna.training.checkpoints import trainable_parameters
from myna.training.kernels.install import install_kernels
from myna.training.methods import add_lora
from myna.training.progress import StepMetrics, TrainingCallbacks

PLAIN = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2}
USUAL = {
    **PLAIN, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 128, "pad_token_id": 0,
}  # fmt: skip

BASES: dict[str, Callable[[], transformers.PreTrainedConfig]] = {
    "dropout and Conv1D": lambda: transformers.GPT2Config(
        vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=128, eos_token_id=0
    ),
    "biases": lambda: transformers.PhiConfig(**USUAL),
    "soft caps": lambda: transformers.Gemma2Config(**USUAL, head_dim=8),
    "experts": lambda: transformers.MixtralConfig(**USUAL, num_local_experts=4),
    "many experts": lambda: transformers.Qwen3MoeConfig(
        **USUAL, moe_intermediate_size=32, num_experts=4, num_experts_per_tok=2, head_dim=8
    ),
    "state space": lambda: transformers.Mamba2Config(
        **PLAIN, state_size=8, num_heads=8, head_dim=8, n_groups=2, chunk_size=8
    ),
    "state space beside attention": lambda: transformers.FalconH1Config(
        **USUAL, mamba_d_ssm=64, mamba_n_heads=4, mamba_d_head=16, mamba_d_state=8,
        mamba_chunk_size=8,
    ),
    "state space between attention": lambda: transformers.JambaConfig(
        **USUAL, attn_layer_period=2, attn_layer_offset=1, num_experts=2, num_experts_per_tok=1,
        use_mamba_kernels=False, mamba_d_state=8, mamba_dt_rank=4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BASES)
def test_all_matrices_learn_and_a_stop_changes_nothing(kind: str, tmp_path: Path) -> None:
    def run(
        work: Path, callbacks: TrainingCallbacks | None = None
    ) -> dict[str, torch.nn.Parameter]:
        work.mkdir(exist_ok=True)
        torch.manual_seed(1)
        base = transformers.AutoModelForCausalLM.from_config(BASES[kind]())
        model = add_lora(base.requires_grad_(False), SETTINGS)
        install_kernels(model)
        settings = EACH_STEP.model_copy(update={"num_train_epochs": 1})
        train(model, samples(), samples(2), settings, work, callbacks)
        return trainable_parameters(model)

    def stop(now: StepMetrics) -> None:
        if now.step == 2:
            raise KeyboardInterrupt

    learned = run(tmp_path / "unbroken")
    assert all(value.detach().abs().sum() > 0 for value in learned.values())
    with pytest.raises(TrainingError):
        run(tmp_path / "broken", TrainingCallbacks(on_step=stop))
    run(tmp_path / "broken")
    assert losses(tmp_path / "broken") == pytest.approx(losses(tmp_path / "unbroken"), abs=1e-6)
