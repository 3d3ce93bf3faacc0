"""Sections on clones: how samples are written, how they train, speak and behave."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from myna.choices import EngineName, RenderingName
from myna.config.fields import (
    Address,
    Budget,
    DryAllowedLength,
    DryBase,
    DryMultiplier,
    DryWindow,
    Duration,
    MaxTokens,
    MinP,
    Names,
    Redraws,
    RepetitionPenalty,
    Sampling,
    Section,
    Temperature,
    TokenPenalty,
    TopP,
    check_fields,
)
from myna.config.recipe_defaults import default

SYSTEM = "A chat in {channel}: {people}."
CHAT_SYSTEM = "You are {name} in a chat in {channel}: {people}."
"""The default of the rendering `chat`, whose text does not name the speaker."""

SYSTEM_FIELDS = ("name", "people", "channel", "space", "date", "platform")
"""Fields of a system line's template."""


def _system(value: str | list[str]) -> str | list[str]:
    lines = [value] if isinstance(value, str) else value
    if not lines:
        raise ValueError("give one system line, or a list of several")
    for line in lines:
        try:
            check_fields(line, SYSTEM_FIELDS)
        except ValueError as error:
            known = ", ".join(f"{{{name}}}" for name in SYSTEM_FIELDS)
            raise ValueError(f"only {known} are filled in ({error})") from error
    return value


class Samples(Section):
    """Rendering of conversations as training samples."""

    rendering: RenderingName = Field(
        "transcript",
        description="transcript: `Name: text` lines; chat: the base's own chat template; "
        "names: ChatML with names as roles; mind-upload: the format of that project.",
    )
    system: Annotated[str | list[str], AfterValidator(_system)] = Field(
        SYSTEM,
        description="The system line, or a list from which each conversation gets one. Fields: "
        "{name} (the persona), {people} (present), {channel}, {space}, {date}, {platform}. The "
        'default for chat begins with "You are {name}".',
    )
    window: Literal["fit", "random"] = Field(
        "fit",
        description="fit: as long as max_length allows; random: 2 to 10 turns, drawn at random.",
    )
    seed: int = Field(0, description="Seed of random windows and of the choice of system lines.")
    max_length: int = Field(
        default("samples.max_length"),
        ge=64,
        description="Longest sample, in the base model's own tokens.",
    )
    overlap_tokens: int = Field(
        64, ge=0, description="Tokens of the previous window that a window repeats, untrained."
    )

    @property
    def system_lines(self) -> list[str]:
        """Templates of the system line; live chats use the first."""
        if self.system == SYSTEM and self.rendering == "chat":
            return [CHAT_SYSTEM]  # nothing else names the persona
        return [self.system] if isinstance(self.system, str) else self.system


class Train(Section):
    """Training settings, named as in Hugging Face's TrainingArguments and peft's LoraConfig."""

    method: Literal["lora", "qlora", "dora", "full"] = Field(
        default("train.method"),
        description="lora; qlora: over a base in 4 bits; dora: weight-decomposed LoRA; "
        "full: every weight of the base.",
    )
    per_person: bool = Field(
        False, description="One adapter for each persona, instead of one for all of them."
    )
    budget: Budget = Field(
        "",
        description='Time from `myna train` to the adapter, such as "4m" or "2h"; "" for as long '
        "as it takes.",
    )
    num_train_epochs: float = Field(
        default("train.num_train_epochs"),
        gt=0,
        description="Times that each sample is seen, if the budget allows.",
    )
    lora_r: int = Field(default("train.lora_r"), ge=1, description="Rank of the LoRA matrices.")
    lora_alpha: float = Field(
        default("train.lora_alpha"),
        gt=0,
        description="The update is scaled by lora_alpha / lora_r.",
    )
    learning_rate: float = Field(
        default("train.learning_rate"), gt=0, description="Peak learning rate."
    )
    warmup_ratio: float = Field(
        0.05, ge=0, lt=1, description="Share of the run in which the learning rate rises to it."
    )
    decay_ratio: float = Field(
        0.95, ge=0, le=1, description="Share of the run, its end, in which the rate falls to 0."
    )
    weight_decay: float = Field(0.0, ge=0, description="Weight decay of what is trained.")
    optim: Literal["auto", "adamw", "paged"] = Field(
        "auto",
        description="adamw; paged: its moments may move out of a CUDA card's memory; auto takes "
        "paged for qlora on such a card.",
    )
    batch_tokens: int = Field(
        default("train.batch_tokens"), ge=64, description="Tokens of one step, padding included."
    )
    micro_batch_tokens: int = Field(
        0, ge=0, description="Most tokens of a step computed at once; 0: what the memory holds."
    )
    weights: Literal["equal", "recent"] = Field(
        "equal",
        description="Weight of the samples in the loss; recent: from a half for the oldest to "
        "double for the newest.",
    )
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    seed: int = Field(0, description="Seed of the sample order and of the LoRA initialisation.")
    checkpoint_every: Duration = Field("60s", description="Time between two checkpoints.")
    previews: int = Field(3, ge=0, description="Times that sample replies are shown on the way.")
    validations: int = Field(6, ge=0, description="Validation runs on the way; the best stays.")
    patience: int = Field(
        3, ge=0, description="Validation runs without a lower loss that stop training; 0: never."
    )
    tensorboard: bool = Field(True, description="Log metrics for TensorBoard.")
    wandb: str = Field(
        "",
        description="Weights & Biases project to log metrics to (never a word of a chat); set "
        "its key in WANDB_API_KEY.",
    )


class PersonaSampling(Section):
    """Sampling of one persona, where it differs from that of all."""

    temperature: Temperature | None = None
    top_p: TopP | None = None
    min_p: MinP | None = None
    max_new_tokens: MaxTokens | None = None
    max_redraws: Redraws | None = None
    repetition_penalty: RepetitionPenalty | None = None
    presence_penalty: TokenPenalty | None = None
    frequency_penalty: TokenPenalty | None = None
    dry_multiplier: DryMultiplier | None = None
    dry_base: DryBase | None = None
    dry_allowed_length: DryAllowedLength | None = None
    dry_window: DryWindow | None = None


class Chat(Section):
    """The engine, sampling and memory of personas that speak."""

    engine: EngineName = Field(
        "auto",
        description="The engine that runs the model: llama.cpp, transformers, or a server that "
        "[engine] names (vllm, openai); auto: llama.cpp if the base has a GGUF file.",
    )
    slots: int = Field(
        4, ge=1, le=256, description="Turns generated at once; each takes memory for a context."
    )
    temperature: Temperature = Field(
        Sampling.temperature, description="Sampling temperature; 0: greedy decoding."
    )
    top_p: TopP = Field(Sampling.top_p, description="Nucleus (top-p) threshold; 1: all tokens.")
    min_p: MinP = Field(
        Sampling.min_p,
        description="Leave out tokens less probable than this share of the best; 0: none.",
    )
    max_new_tokens: MaxTokens = Field(
        Sampling.max_new_tokens, description="Longest turn of a persona, in tokens."
    )
    max_redraws: Redraws = Field(
        Sampling.max_redraws,
        description="Times that a line which repeats one of the twelve before is drawn again, "
        "beyond the person's real share of repeats; 0: never.",
    )
    repetition_penalty: RepetitionPenalty = Field(
        Sampling.repetition_penalty,
        description="Makes each of the last 64 tokens less likely, names among them; 1: off.",
    )
    presence_penalty: TokenPenalty = Field(
        Sampling.presence_penalty,
        description="Taken off the logit of each of the last 64 tokens, as in OpenAI's API; 0: "
        "off.",
    )
    frequency_penalty: TokenPenalty = Field(
        Sampling.frequency_penalty,
        description="The same once for each time that the token is among them; 0: off.",
    )
    dry_multiplier: DryMultiplier = Field(
        Sampling.dry_multiplier,
        description="DRY, against repeats within a line, such as 0.8: a token that continues a "
        "repeat of n tokens loses dry_multiplier * dry_base ^ (n - dry_allowed_length); 0: off.",
    )
    dry_base: DryBase = Field(Sampling.dry_base, description="See dry_multiplier.")
    dry_allowed_length: DryAllowedLength = Field(
        Sampling.dry_allowed_length,
        description="Repeats of fewer tokens are free: a person's own phrases are short.",
    )
    dry_window: DryWindow = Field(
        Sampling.dry_window, description="Number of last tokens in which DRY looks for repeats."
    )
    personas: dict[str, PersonaSampling] = Field(
        {},
        description="Sampling of single personas, where it differs: any setting from temperature "
        "to dry_window.",
    )
    adapter_scale: float = Field(
        1.0,
        ge=0,
        le=4,
        description="Strength of what was learned: the adapter's change of the base is multiplied "
        "by this; 1: as trained.",
    )
    memory: bool = Field(
        False,
        description="Live rooms recall past chats like the latest messages, from channels where "
        "everybody who can read the room was.",
    )
    memory_exchanges: int = Field(2, ge=1, description="The most exchanges recalled for a turn.")
    memory_tokens: int = Field(128, ge=16, description="The most tokens of these exchanges.")
    memory_embeddings: str = Field(
        "",
        description='An embedding model, to recall by meaning, too: "wordllama" (pip install '
        "'myna[memory]') or a folder of model2vec or sentence-transformers; \"\": none.",
    )

    def sampling(self, seed: int | None, person: str = "") -> Sampling:
        """The sampling parameters of a persona; "": of those without parameters of their own."""
        values = {name: getattr(self, name) for name in PersonaSampling.model_fields}
        return Sampling(**{**values, **self._own(person)}, seed=seed)

    @property
    def longest_turn(self) -> int:
        """The most tokens of anybody's turn."""
        own = (persona.max_new_tokens or 0 for persona in self.personas.values())
        return max(self.max_new_tokens, *own, 0)

    def with_changes(self, values: Mapping[str, Any]) -> Chat:
        """These settings with `values`, which hold for every persona.

        So they win over what `personas` says of the same settings.
        """
        left = {
            person: PersonaSampling(
                **{name: own for name, own in self._own(person).items() if name not in values}
            )
            for person in self.personas
        }
        return self.model_copy(update={**values, "personas": left})

    def with_calibration(self, fitted: Mapping[str, PersonaSampling]) -> Chat:
        """These settings with what was fitted to each persona, wherever nothing else is set.

        A value other than the default wins, and so does one in `personas`.
        """
        default = Sampling()
        personas = dict(self.personas)
        for person, sampling in fitted.items():
            free = {
                name: value
                for name, value in sampling.model_dump(exclude_none=True).items()
                if getattr(self, name) == getattr(default, name)
            }
            personas[person] = PersonaSampling(**{**free, **self._own(person)})
        return self.model_copy(update={"personas": personas})

    def _own(self, person: str) -> dict[str, Any]:
        """The parameters that `personas` has for a person."""
        own = self.personas.get(person)
        return own.model_dump(exclude_none=True) if own else {}


class EngineServer(Section):
    """The server of `engine = "vllm"` or "openai"; its API key is in $MYNA_ENGINE_KEY."""

    url: Address = Field(
        "", description='URL, such as "http://127.0.0.1:8000"; all prompts are sent to it.'
    )
    model: str = Field(
        "", description='Model id on the server; "" for the adapter\'s name, or the only model.'
    )
    timeout: float = Field(120, gt=0, le=3600, description="Seconds to wait for the next tokens.")


def _check_hours(value: str) -> str:
    span, _, zone = value.partition(" ")
    if value and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", span):
        raise ValueError(f"'{value}' are no hours: write them as 23:00-07:00")
    try:
        ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"no time zone '{zone}' is known here: write it as Europe/Berlin"
        ) from None
    return value


class Bot(Section):
    """Behaviour of the clones in Discord servers and IRC channels: `myna bot`."""

    servers: Names = Field(
        [], description='Ids of the Discord servers where they may speak; "*" for all servers.'
    )
    owners: Names = Field(
        [],
        description="Users who may switch them off: ids on Discord (besides the application's "
        "owner), nicks on IRC.",
    )
    chattiness: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Probability that they join in unasked; 0: never, 1: as in the chats.",
    )
    typing_speed: float = Field(
        20, ge=0, description="Characters that they type per second; 0: no typing pauses."
    )
    quiet_hours: Annotated[str, AfterValidator(_check_hours)] = Field(
        "",
        description='Hours in which they are silent, such as "23:00-07:00" by this machine\'s '
        'clock, or "23:00-07:00 Europe/Berlin".',
    )
    daily_tokens: int = Field(
        200_000, ge=0, description="Limit of tokens that all clones generate in a day; 0: none."
    )
