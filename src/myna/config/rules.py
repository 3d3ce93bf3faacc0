"""The cleaning rules: one entry each, and the section `[rules]` that is made of them.

To add a rule, add its entry to `RULES`, and to the module of its `stage` a detector with the
same name. The setting, the preset, the ledger's reason and the reports follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, create_model, model_validator

from myna.config.fields import Names, Section

RECIPE = "discord-mistral"
"""The preset that cleans as the recipe did that cloned a Discord server with Mistral 7B."""

ANY = ("keep", "context", "drop")
NEVER_TRAINED = ("context", "drop")


@dataclass(frozen=True)
class Rule:
    """A cleaning rule.

    Attributes:
        name: in `[rules]`, the ledger and reports.
        default: what it does: drop; context (stays in prompts, never trained); keep (nothing);
            end (the conversation ends there).
        why: the reason that the ledger gives, about one message.
        recipe: what it does in the preset `discord-mistral`, where that differs.
        example: what else the setting's description says.
        actions: those that `[rules]` may choose from; none where the rule is fixed.
        stage: the detector's module: `message` (cleaning.signs, or cleaning.rules where it
            takes other messages to tell),
            `conversation` (conversations.quality), `model` (conversations.llm_quality), `split`
            (samples.choosing).
    """

    name: str
    default: str
    why: str
    recipe: str = ""
    example: str = ""
    actions: tuple[str, ...] = ()
    stage: Literal["message", "conversation", "model", "split"] = "message"


# Of several rules that a message meets, one that drops it decides, and else the first.
RULES = (
    Rule("filtered", "drop", "left out by [filter]"),
    Rule("duplicate", "drop", "the same message in two exports"),
    Rule("system", "drop", "a notice of the platform", actions=NEVER_TRAINED),
    Rule("bot", "drop", "written by a bot", actions=NEVER_TRAINED),
    Rule("no-consent", "drop", "the author's consent is no"),
    Rule("call", "drop", "a call", actions=NEVER_TRAINED),
    Rule("deleted", "drop", "deleted by its author", actions=NEVER_TRAINED),
    Rule("command", "drop", "a bot was commanded", "", "as the platform marks it", NEVER_TRAINED),
    Rule("forward", "drop", "somebody else's words, passed on", actions=NEVER_TRAINED),
    Rule("empty", "drop", "nothing in it"),
    Rule("bot-command", "drop", "typed for a bot", "keep", "!play x, ?help", ANY),
    Rule("media-only", "context", "an attachment without words", actions=ANY),
    Rule("single-ping", "context", "nothing but a mention", "drop", "@ana", ANY),
    Rule("link-only", "context", "nothing but a link", "keep", "", ANY),
    Rule("paste", "context", "code or a log, pasted", "keep", "longer than long-paste", ANY),
    Rule("quotation", "context", "nothing but others' words", "keep", "", ANY),
    Rule("copypasta", "context", "a long text that goes round", "keep", "over long-copy", ANY),
    Rule("repeated", "context", "nearly a long text that was there before", "keep", "", ANY),
    Rule(
        "non-response",
        "context",
        "laughing, or a word that answers nothing",
        "drop",
        "lol, haha, gg",
        ANY,
    ),
    Rule("keyboard-mash", "context", "a run along the keyboard", "keep", "asdfghjkl", ANY),
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
    Rule("quality", "keep", "of a conversation that a model finds poor", stage="model"),
    Rule("near-duplicate", "context", "held out, but nearly stands in train", stage="split"),
)
BY_NAME: Mapping[str, Rule] = {rule.name: rule for rule in RULES}

_TEXTS: dict[str, tuple[Any, Any]] = {
    "at_sign": ("mentions", "all"),
    "repair": (True, False),
    "repeats": (3, 0),
    "non_response_anywhere": (False, True),
}
"""How texts are changed and read: by default, and in the preset."""


def key(name: str) -> str:
    """The attribute of `Rules` that says what a rule does."""
    return name.replace("-", "_")


def _values() -> dict[str, tuple[Any, Any]]:
    """By attribute: the value by default, and in the preset."""
    actions = {
        key(rule.name): (rule.default, rule.recipe or rule.default)
        for rule in RULES
        if rule.actions
    }
    return actions | _TEXTS


def _by_preset(name: str, says: str) -> Any:
    """A setting that is "" for the preset's value."""
    default, recipe = (str(value).lower() for value in _values()[name])
    other = f"; {RECIPE}: {recipe}" if recipe != default else ""
    return Field("", description=f"{says}. Default: {default}{other}")


def _repeats(value: Any) -> Any:
    if value == 1:
        raise ValueError("1 would make 'god' of 'good': take 2 or more, or 0 to leave all runs")
    return value


class _Preset(Section):
    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    preset: Literal["default", "discord-mistral"] = Field(
        "default",
        description='What all that is "" below does. discord-mistral: as the recipe did that '
        "cloned a Discord server with Mistral 7B.",
    )


if TYPE_CHECKING:
    _Actions = _Preset
else:
    _Actions = create_model(
        "_Actions",
        __base__=_Preset,
        **{
            key(rule.name): (
                Literal[("", *rule.actions)],
                _by_preset(
                    key(rule.name),
                    ": ".join(filter(None, (rule.why[0].upper() + rule.why[1:], rule.example))),
                ),
            )
            for rule in RULES
            if rule.actions
        },
    )


class Rules(_Actions):
    """Rules: keep (trained), context (in prompts, untrained), drop; "" is the preset's."""

    at_sign: Literal["", "keep", "mentions", "all"] = _by_preset(
        "at_sign", "The @ goes from mentions, or from all"
    )
    repair: Literal[""] | bool = _by_preset(
        "repair", "Mojibake is repaired, invisible characters go"
    )
    repeats: Annotated[
        Literal[""] | Annotated[int, Field(ge=0, le=9)], AfterValidator(_repeats)
    ] = _by_preset("repeats", 'Longest run of a letter ("sooo"); 0: any')
    non_response_anywhere: Literal[""] | bool = _by_preset(
        "non_response_anywhere", "A message is a non-response, too, that has one among other words"
    )
    non_response_words: Names = Field([], description="More words that are no response.")
    long_paste: int = Field(400, ge=1, description="Characters of code that are a paste.")
    long_copy: int = Field(80, ge=20, description="Characters of a text whose copies count.")
    ender_words: Names = Field([], description="More words that end a conversation.")

    @model_validator(mode="before")
    @classmethod
    def _hyphens(cls, data: object) -> object:
        """Names of rules have hyphens; underscores do as well, and the last one counts."""
        if not isinstance(data, dict):
            return data
        return {str(name).replace("_", "-"): value for name, value in data.items()}


def resolved(settings: Rules) -> Rules:
    """The settings with the preset's value for each that is ""."""
    place = settings.preset == RECIPE
    given = {name: getattr(settings, name) for name in _values()}
    return settings.model_copy(
        update={
            name: values[place] if given[name] == "" else given[name]
            for name, values in _values().items()
        }
    )


def action(settings: Rules, name: str) -> str:
    """What a rule does, by settings that are `resolved`."""
    rule = BY_NAME[name]
    return str(getattr(settings, key(name))) if rule.actions else rule.default
