"""The cleaning rules: one entry each, and the section `[rules]` generated from them.

To add a rule, add its entry to `RULES`, and to the module of its `stage` a detector with the
same name. The setting, the preset, the ledger's reason and the reports follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, create_model, model_validator

from myna.config.fields import Names, Section

DISCORD_MISTRAL = "discord-mistral"
"""The preset that cleans as the project did that cloned a Discord server with Mistral 7B."""

ANY = ("keep", "context", "drop")
UNTRAINED = ("context", "drop")


@dataclass(frozen=True)
class Rule:
    """A cleaning rule.

    Attributes:
        name: in `[rules]`, the ledger and reports.
        default: the default action: drop; context (stays in prompts, never trained); keep (no
            effect); end (the conversation ends there).
        reason: the ledger's reason, said of one message.
        preset: the action in the preset `discord-mistral`, if another.
        detail: the end of the setting's description, such as examples.
        actions: the choices in `[rules]`; empty if the action is fixed.
        stage: the detector's module: `message` (cleaning.message_features, or cleaning.rules
            if it compares messages), `conversation` (conversations.quality), `model`
            (conversations.llm_quality), `split` (preparing.select_messages).
    """

    name: str
    default: str
    reason: str
    preset: str = ""
    detail: str = ""
    actions: tuple[str, ...] = ()
    stage: Literal["message", "conversation", "model", "split"] = "message"


# If a message meets several rules, the first that drops it decides, or else the first.
RULES = (
    Rule("filtered", "drop", "left out by [filter]"),
    Rule("duplicate", "drop", "the same message in two exports"),
    Rule("system", "drop", "a notice of the platform", actions=UNTRAINED),
    Rule("bot", "drop", "written by a bot", actions=UNTRAINED),
    Rule("no-consent", "drop", "the author's consent is no"),
    Rule("call", "drop", "a call", actions=UNTRAINED),
    Rule("deleted", "drop", "deleted by its author", actions=UNTRAINED),
    Rule("command", "drop", "a command to a bot", "", "as the platform marks it", UNTRAINED),
    Rule("forward", "drop", "forwarded from somebody else", actions=UNTRAINED),
    Rule("empty", "drop", "nothing in it"),
    Rule("bot-command", "drop", "typed for a bot", "keep", "!play x, ?help", ANY),
    Rule("media-only", "context", "an attachment without words", actions=ANY),
    Rule("single-ping", "context", "nothing but a mention", "drop", "@ana", ANY),
    Rule("link-only", "context", "nothing but a link", "keep", "", ANY),
    Rule("paste", "context", "code or a log, pasted", "keep", "longer than long-paste", ANY),
    Rule("quotation", "context", "nothing but a quotation", "keep", "", ANY),
    Rule("copypasta", "context", "a long text that many paste", "keep", "over long-copy", ANY),
    Rule(
        "likely-notice",
        "context",
        "names its author as notices do, and recurs with only names and emoji changing",
        "keep",
        "see the examples in the ledger",
        ANY,
    ),
    Rule("repeated", "context", "nearly a copy of an earlier long text", "keep", "", ANY),
    Rule("non-response", "context", "laughter, or an empty word", "drop", "lol, haha, gg", ANY),
    Rule("keyboard-mash", "context", "keys in a row", "keep", "asdfghjkl", ANY),
    Rule("consent-context", "context", "the author's consent is context"),
    Rule(
        "ender",
        "end",
        "of a conversation that somebody ends",
        "drop",
        "gtg, good night; end: the conversation ends there, and nothing is lost",
        ("keep", "end", "context", "drop"),
        "conversation",
    ),
    Rule(
        "low-quality",
        "keep",
        "of a conversation of less than 5 messages, all under 30 characters",
        "drop",
        "",
        ANY,
        "conversation",
    ),
    Rule("quality", "keep", "of a conversation that a model scored low", stage="model"),
    Rule("few-messages", "context", "the author said too little to be cloned", stage="split"),
    Rule("near-duplicate", "context", "held out, but nearly the same in train", stage="split"),
)
RULES_BY_NAME: Mapping[str, Rule] = {rule.name: rule for rule in RULES}

_TEXT_SETTINGS: dict[str, tuple[Any, Any]] = {
    "at_sign": ("mentions", "all"),
    "repair": (True, False),
    "repeats": (3, 0),
    "non_response_anywhere": (False, True),
}
"""Settings for texts: the default, and the value in the preset."""


def setting_name(name: str) -> str:
    """Return the attribute of `Rules` that holds the action of a rule."""
    return name.replace("-", "_")


def _preset_values() -> dict[str, tuple[Any, Any]]:
    """Return for each attribute the default and the value in the preset."""
    actions = {
        setting_name(rule.name): (rule.default, rule.preset or rule.default)
        for rule in RULES
        if rule.actions
    }
    return actions | _TEXT_SETTINGS


def _preset_field(name: str, description: str) -> Any:
    """Return the field of a setting whose "" means the preset's value."""
    default, preset = (str(value).lower() for value in _preset_values()[name])
    other = f"; {DISCORD_MISTRAL}: {preset}" if preset != default else ""
    return Field("", description=f"{description}. Default: {default}{other}")


def _check_repeats(value: Any) -> Any:
    if value == 1:
        raise ValueError("1 would turn 'good' into 'god': take 2 or more, or 0 for no limit")
    return value


class _Preset(Section):
    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    preset: Literal["default", "discord-mistral"] = Field(
        "default",
        description='The value of each "" below. discord-mistral: as in the project that cloned '
        "a Discord server with Mistral 7B.",
    )


if TYPE_CHECKING:
    _Actions = _Preset
else:
    _Actions = create_model(
        "_Actions",
        __base__=_Preset,
        **{
            setting_name(rule.name): (
                Literal[("", *rule.actions)],
                _preset_field(
                    setting_name(rule.name),
                    ": ".join(
                        filter(None, (rule.reason[0].upper() + rule.reason[1:], rule.detail))
                    ),
                ),
            )
            for rule in RULES
            if rule.actions
        },
    )


class Rules(_Actions):
    """Cleaning rules: keep (train), context (prompts only), drop; "" is the preset's action."""

    at_sign: Literal["", "keep", "mentions", "all"] = _preset_field(
        "at_sign", "Remove the @ of mentions, or every @"
    )
    repair: Literal[""] | bool = _preset_field(
        "repair", "Repair mojibake, remove invisible characters"
    )
    repeats: Annotated[
        Literal[""] | Annotated[int, Field(ge=0, le=9)], AfterValidator(_check_repeats)
    ] = _preset_field("repeats", 'Longest run of one letter ("sooo"); 0: no limit')
    non_response_anywhere: Literal[""] | bool = _preset_field(
        "non_response_anywhere", "Non-response words count among other words, too"
    )
    non_response_words: Names = Field([], description="More non-response words.")
    long_paste: int = Field(
        400, ge=1, description="Characters from which code or a log is a paste."
    )
    long_copy: int = Field(80, ge=20, description="Characters from which copies of a text count.")
    ender_words: Names = Field([], description="More words that end a conversation.")

    @model_validator(mode="before")
    @classmethod
    def _hyphens(cls, data: object) -> object:
        """Take underscores in names for hyphens; of a name given twice, the last counts."""
        if not isinstance(data, dict):
            return data
        return {str(name).replace("_", "-"): value for name, value in data.items()}


def resolve_preset(settings: Rules) -> Rules:
    """Return the settings with the preset's value for each that is ""."""
    column = settings.preset == DISCORD_MISTRAL
    given = {name: getattr(settings, name) for name in _preset_values()}
    return settings.model_copy(
        update={
            name: values[column] if given[name] == "" else given[name]
            for name, values in _preset_values().items()
        }
    )


def rule_action(settings: Rules, name: str) -> str:
    """Return the action of a rule, given settings from `resolve_preset`."""
    rule = RULES_BY_NAME[name]
    return str(getattr(settings, setting_name(name))) if rule.actions else rule.default
