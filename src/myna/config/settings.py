"""All settings: read from a file, set on the command line, written with what they do."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from myna.choices import listed
from myna.config.chats import Conversations, Filter, Quality, Redaction, Split
from myna.config.clones import Bot, Chat, EngineServer, Samples, Train
from myna.config.fields import Section
from myna.config.recipes import DEFAULT, RECIPES, Choice, default
from myna.config.rules import Rules
from myna.errors import SettingsError


def _recipe(name: str) -> str:
    if name not in RECIPES:
        raise ValueError(f"there is no such recipe: take {listed(tuple(RECIPES))}")
    return name


class Settings(Section):
    """Everything in myna.toml."""

    recipe: Annotated[str, AfterValidator(_recipe)] = Field(
        DEFAULT,
        description=f"The machine to train on ({listed(tuple(RECIPES))}): sets the base, the "
        "method, lengths and rates that fit it, where these are not set below.",
    )
    base: str = Field(
        default("base"),
        description="The base model: smollm2-135m (built in), a folder, a GGUF file, or an id on "
        "a model hub.",
    )
    filter: Filter = Filter()
    redaction: Redaction = Redaction()
    rules: Rules = Rules()
    conversations: Conversations = Conversations()
    quality: Quality = Quality()
    split: Split = Split()
    samples: Samples = Samples()
    train: Train = Train()
    chat: Chat = Chat()
    engine: EngineServer = EngineServer()
    bot: Bot = Bot()

    @model_validator(mode="wrap")
    @classmethod
    def _with_recipe(cls, data: Any, make: ModelWrapValidatorHandler[Settings]) -> Settings:
        """What is not set has the recipe's value, and still counts as not set."""
        recipe = RECIPES.get(str(data.get("recipe", DEFAULT))) if isinstance(data, dict) else None
        if not recipe:
            return make(data)
        filled, missing = _filled(data, recipe)
        settings = make(filled)
        for section, key in missing:
            table = getattr(settings, section) if section else settings
            table.__pydantic_fields_set__.discard(key)
        return settings


def _filled(
    data: dict[str, Any], recipe: Mapping[str, Choice]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """`data` with what it lacks of a recipe, and (section, key) of all that it lacked."""
    filled, missing = dict(data), []
    for name, choice in recipe.items():
        section, _, key = name.rpartition(".")
        table: Any = filled
        if section:
            table = filled.get(section, {})
            if isinstance(table, Section):
                table = table.model_dump(exclude_unset=True)
            if not isinstance(table, dict):
                continue  # wrong, and validation says so
            filled[section] = table = dict(table)
        if key not in table:
            table[key] = choice.value
            missing.append((section, key))
    return filled, missing


def parse(text: str, place: str) -> Settings:
    """Settings from the text of a myna.toml; `place` names it in errors.

    Raises:
        SettingsError: no TOML, an unknown setting, or a value that cannot be.

    """
    try:
        return Settings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{place} is no valid TOML: {error}") from error
    except ValidationError as error:
        raise SettingsError(_first(error, place)) from error


def load(path: Path) -> Settings:
    """Settings from a file.

    Raises:
        SettingsError: as `parse`, or the file cannot be read.

    """
    try:
        return parse(path.read_text("utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error


def override(settings: Settings, assignments: list[str]) -> Settings:
    """Settings with `section.key=value` assignments of the command line on top.

    Raises:
        SettingsError: not of that form, an unknown setting, or a wrong value.

    """
    data = settings.model_dump(exclude_unset=True)
    for assignment in assignments:
        path, sign, value = assignment.partition("=")
        *sections, key = path.strip().split(".")
        if not sign:
            raise SettingsError(f"--set {assignment}: write it as section.key=value")
        table: Any = data
        if sections and isinstance(getattr(settings, sections[0], None), Section):
            data.setdefault(sections[0], {})
        for section in sections:
            table = table.get(section) if isinstance(table, dict) else None
        if not isinstance(table, dict):
            raise SettingsError(f"--set {assignment}: there is no section '{'.'.join(sections)}'")
        table[key] = value.strip()
    return _validated(data, "--set")


def updated(
    settings: Settings, section: str, values: Mapping[str, Any], place: str = "the command line"
) -> Settings:
    """Settings with other values in one section, which come from `place`.

    Raises:
        SettingsError: a wrong value.

    """
    data = settings.model_dump(exclude_unset=True)
    data[section] = {**data.get(section, {}), **values}
    return _validated(data, place)


def _validated(data: dict[str, Any], place: str) -> Settings:
    try:
        # Values arrive as strings, so numbers are read out of them.
        return Settings.model_validate(data, strict=False)
    except ValidationError as error:
        raise SettingsError(_first(error, place)) from error


def _first(error: ValidationError, place: str) -> str:
    problem = error.errors()[0]
    where = problem["loc"][:2]  # what follows are places in a list, and kinds that it may be of
    name = ".".join(map(str, where))
    if problem["type"] == "extra_forbidden":
        return f"{place}: there is no setting '{name}': `myna new` writes all there are"
    alike = [other for other in error.errors() if other["loc"][:2] == where]
    why = ", or ".join(other["msg"].removeprefix("Value error, ") for other in alike)
    return f"{place}: {name} = {problem['input']!r}: {why}"


def template(settings: Settings | None = None) -> str:
    """A myna.toml with every setting and what it does."""
    settings = settings or Settings()
    lines = [
        "# Settings of this myna workspace. A changed one re-runs the stages from there.",
        "# Where a # stands before a name, the recipe sets it: take the # away to set it here.",
        "",
    ]
    tables: list[tuple[str, Section]] = []
    for name, value in settings:
        if isinstance(value, Section):
            tables.append((name, value))
        else:
            lines += _entry(settings, "", name, value)
    for name, table in tables:
        lines += ["", f"# {(type(table).__doc__ or '').strip()}", f"[{name}]"]
        for key, value in table:
            lines += _entry(table, f"{name}.", key, value)
    return "\n".join(lines) + "\n"


def _entry(section: Section, table: str, key: str, value: object) -> list[str]:
    from tomlkit import item  # only `myna new` writes settings

    written = item(value).as_string()
    field = type(section).model_fields[key]
    line = f"{field.alias or key} = {written}"
    if f"{table}{key}" in RECIPES[DEFAULT] and key not in section.model_fields_set:
        line = f"# {line}"  # the recipe's
    return [f"# {field.description}", line]
