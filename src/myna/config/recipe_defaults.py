"""Recipes: settings that fit a machine, each with its reason.

`recipe = "3090"` in myna.toml selects a recipe; settings in myna.toml or `--set` override
it. The recipe `DEFAULT_RECIPE` has the defaults of all settings in recipes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

DEFAULT_RECIPE = "laptop"


class Choice(NamedTuple):
    """A value of a setting in a recipe, with the reason for it."""

    value: str | int | float
    reason: str


MISTRAL = "mistralai/Mistral-7B-v0.1"
LLAMA_70B = "meta-llama/Llama-3.1-70B"

RECIPES: dict[str, dict[str, Choice]] = {
    "laptop": {
        "base": Choice("smollm2-135m", "small enough to train in minutes on two CPU cores"),
        "samples.max_length": Choice(512, "the last twenty lines or so; attention is cheap"),
        "train.method": Choice("lora", "at 270 MB the base needs no quantisation"),
        "train.lora_r": Choice(16, "room for a few people's ways of talking"),
        "train.lora_alpha": Choice(32.0, "twice the rank: the update counts double"),
        "train.learning_rate": Choice(1e-3, "a small base and few steps want a high rate"),
        "train.batch_tokens": Choice(1024, "small batches learn most from few steps"),
        "train.num_train_epochs": Choice(3.0, "a fourth pass over few chats memorises them"),
    },
    "3090": {
        "base": Choice(MISTRAL, "the strongest base that one 24 GB card trains with ease"),
        "samples.max_length": Choice(8192, "as long as that base was trained on"),
        "train.method": Choice("qlora", "in 4 bits the base takes 4 GB of the 24"),
        "train.lora_r": Choice(32, "a whole server's people in one adapter"),
        "train.lora_alpha": Choice(16.0, "half the rank, as the example that this follows has it"),
        "train.learning_rate": Choice(2e-4, "what QLoRA of a 7B base is usually trained with"),
        "train.batch_tokens": Choice(65_536, "4 times 2 samples of 8,192 tokens"),
        "train.num_train_epochs": Choice(10.0, "200,000 messages ten times over took a night"),
    },
    "a40": {
        "base": Choice(MISTRAL, "a base model: it has no assistant's manners to unlearn"),
        "samples.max_length": Choice(2048, "two people's talk in windows of a few turns"),
        "train.method": Choice("lora", "48 GB hold the base in 16 bits, nothing is rounded"),
        "train.lora_r": Choice(32, "one person's ways and what they know"),
        "train.lora_alpha": Choice(16.0, "half the rank, as for the 3090"),
        "train.learning_rate": Choice(2e-4, "what LoRA of a 7B base is usually trained with"),
        "train.batch_tokens": Choice(16_384, "8 samples of full length"),
        "train.num_train_epochs": Choice(4.0, "one person writes little: ten would overfit"),
    },
    "h100": {
        "base": Choice(
            "mistralai/Mistral-Nemo-Base-2407", "12B in 16 bits leaves 50 of 80 GB for long samples"
        ),
        "samples.max_length": Choice(8192, "long rooms; the memory is there"),
        "train.method": Choice("lora", "16 bits are faster than 4 where they fit"),
        "train.lora_r": Choice(64, "a large base and many chats can use it"),
        "train.lora_alpha": Choice(32.0, "half the rank"),
        "train.learning_rate": Choice(2e-4, "ten times that of full fine-tuning"),
        "train.batch_tokens": Choice(65_536, "keeps the card busy and the steps many"),
        "train.num_train_epochs": Choice(4.0, "early stopping ends sooner if that is too much"),
    },
    "70b": {
        "base": Choice(LLAMA_70B, "the hub wants its licence accepted once"),
        "samples.max_length": Choice(4096, "longer samples would not fit beside the weights"),
        "train.method": Choice("qlora", "in 4 bits 70B take 38 GB: one 80 GB card, or two of 48"),
        "train.lora_r": Choice(16, "a large base needs few new directions"),
        "train.lora_alpha": Choice(16.0, "the rank: the update counts once"),
        "train.learning_rate": Choice(1e-4, "larger bases want lower rates"),
        "train.batch_tokens": Choice(32_768, "8 samples of full length"),
        "train.num_train_epochs": Choice(3.0, "a large base memorises sooner"),
    },
    "mac": {
        "base": Choice(
            "HuggingFaceTB/SmolLM2-360M-Instruct", "1.5 GB beside all else in 8 GB of shared memory"
        ),
        "samples.max_length": Choice(1024, "a chat's last forty lines or so"),
        "train.method": Choice("lora", "4-bit training needs bitsandbytes, which Macs lack"),
        "train.lora_r": Choice(16, "room for a few people's ways of talking"),
        "train.lora_alpha": Choice(32.0, "twice the rank: the update counts double"),
        "train.learning_rate": Choice(5e-4, "half that of the smallest base"),
        "train.batch_tokens": Choice(4096, "keeps the GPU busy"),
        "train.num_train_epochs": Choice(3.0, "a fourth pass over few chats memorises them"),
    },
    "cluster": {
        "base": Choice(LLAMA_70B, "split over the cards (myna train --write-config fsdp)"),
        "samples.max_length": Choice(8192, "long rooms"),
        "train.method": Choice("lora", "16 bits, split by FSDP: 140 GB over eight cards"),
        "train.lora_r": Choice(64, "many chats can use it"),
        "train.lora_alpha": Choice(32.0, "half the rank"),
        "train.learning_rate": Choice(1e-4, "larger bases want lower rates"),
        "train.batch_tokens": Choice(262_144, "8 cards with 4 samples of full length each"),
        "train.num_train_epochs": Choice(3.0, "a large base memorises sooner"),
    },
}


def default(name: str) -> Any:
    """The default of a setting that recipes set, such as "train.learning_rate"."""
    return RECIPES[DEFAULT_RECIPE][name].value
