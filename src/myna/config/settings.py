"""All settings: read from myna.toml, overridden on the command line, written with comments."""

from __future__ import annotations

import re
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

from myna.choices import join_with_or
from myna.config.chats import Conversations, Filter, Quality, Redaction, Split
from myna.config.clones import Bot, Chat, EngineServer, Samples, Train
from myna.config.fields import Section
from myna.config.recipe_defaults import DEFAULT_RECIPE, RECIPES, Choice, default
from myna.config.rules import Rules
from myna.errors import SettingsError, first_line


def _recipe(name: str) -> str:
    if name not in RECIPES:
        raise ValueError(f"there is no such recipe: choose {join_with_or(tuple(RECIPES))}")
    return name


class Settings(Section):
    """All settings in myna.toml."""

    recipe: Annotated[str, AfterValidator(_recipe)] = Field(
        DEFAULT_RECIPE,
        description=f"The machine to train on ({join_with_or(tuple(RECIPES))}). Sets the base, the "
        "method, lengths and rates for it, unless they are set below.",
    )
    base: str = Field(
        default("base"),
        description="The base model: smollm2-135m (built in), a folder, a GGUF file, or an id on "
        "the Hugging Face Hub.",
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
        """Give unset fields the recipe's values; they still count as unset."""
        recipe = (
            RECIPES.get(str(data.get("recipe", DEFAULT_RECIPE))) if isinstance(data, dict) else None
        )
        if not recipe:
            return make(data)
        filled, missing = _fill_from_recipe(data, recipe)
        settings = make(filled)
        for section, key in missing:
            table = getattr(settings, section) if section else settings
            table.__pydantic_fields_set__.discard(key)
        return settings


def _fill_from_recipe(
    data: dict[str, Any], recipe: Mapping[str, Choice]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return `data` completed from a recipe, and (section, key) of what was missing."""
    filled, missing = dict(data), []
    for name, choice in recipe.items():
        section, _, key = name.rpartition(".")
        table: Any = filled
        if section:
            table = filled.get(section, {})
            if isinstance(table, Section):
                table = table.model_dump(exclude_unset=True)
            if not isinstance(table, dict):
                continue  # no table: validation reports it
            filled[section] = table = dict(table)
        if key not in table:
            table[key] = choice.value
            missing.append((section, key))
    return filled, missing


def parse(text: str, origin: str) -> Settings:
    """Parse the text of a myna.toml; `origin` names it in errors.

    Raises:
        SettingsError: invalid TOML, an unknown setting, or a wrong value.
    """
    try:
        return Settings.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise SettingsError(_message(error, origin)) from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{origin} is no valid TOML: {first_line(error)}") from error


def load(path: Path) -> Settings:
    """Load settings from a file.

    Raises:
        SettingsError: as `parse`, or the file cannot be read.
    """
    try:
        return parse(path.read_text("utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error


def override(settings: Settings, assignments: list[str]) -> Settings:
    """Override settings by `section.key=value` assignments of the command line.

    Raises:
        SettingsError: another form, an unknown setting, or a wrong value.
    """
    data = settings.model_dump(exclude_unset=True)
    for assignment in assignments:
        path, sign, value = assignment.partition("=")
        *sections, key = _dotted_keys(path.strip())
        if not sign:
            raise SettingsError(f"--set {assignment}: write it as section.key=value")
        table: Any = data
        if sections and isinstance(getattr(settings, sections[0], None), Section):
            data.setdefault(sections[0], {})
        if len(sections) == 3 and sections[:2] == ["chat", "personas"]:
            data["chat"].setdefault("personas", {}).setdefault(sections[2], {})
        for section in sections:
            table = table.get(section) if isinstance(table, dict) else None
        if not isinstance(table, dict):
            raise SettingsError(f"--set {assignment}: there is no section '{'.'.join(sections)}'")
        table[key] = value.strip()
    return _validated(data, "--set")


def _dotted_keys(path: str) -> list[str]:
    """The keys of a path; one between quotes may have dots: chat.personas."Dr. Who".top_p."""
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|([^."]+)', path)] or [path]


def updated(
    settings: Settings, section: str, values: Mapping[str, Any], origin: str = "the command line"
) -> Settings:
    """Replace values in one section; `origin` names their origin in errors.

    Raises:
        SettingsError: a wrong value.
    """
    data = settings.model_dump(exclude_unset=True)
    data[section] = {**data.get(section, {}), **values}
    return _validated(data, origin)


def changes(before: Settings, after: Settings) -> dict[str, Any]:
    """The settings that are set in `after` to something else than in `before`, by dotted name."""
    old, new = (
        _by_name(settings.model_dump(exclude_unset=True, by_alias=True))
        for settings in (before, after)
    )
    return {name: value for name, value in new.items() if name not in old or old[name] != value}


def _by_name(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Values of sections by `section.key`, and those of no section by `key`."""
    named: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, dict):
            named |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            named[name] = value
    return named


def with_choices(text: str, choices: Mapping[str, Any]) -> str:
    """The text of a myna.toml with these settings, by dotted name; all else in it stays.

    A setting takes the place of the line that has it, also of one behind a `#`.
    """
    import tomlkit

    for name, value in choices.items():
        section, _, key = name.rpartition(".")
        document = tomlkit.parse(text)
        table: Any = document.get(section, {}) if section else document
        if key in table:
            old: Any = (table.value if section else document).item(key)  # also of a bool
            item = tomlkit.item(value)
            item.trivia.comment_ws, item.trivia.comment = old.trivia.comment_ws, old.trivia.comment
            table[key] = item
            text = document.as_string()
        else:
            text = _with_line(text, section, f"{key} = {tomlkit.item(value).as_string()}")
    return text


def _with_line(text: str, section: str, line: str) -> str:
    """The text with another line in a section, in the place of the same setting behind a #."""
    lines = text.splitlines()
    headers = [number for number, old in enumerate(lines) if re.match(r"\s*\[", old)]
    named = [n for n in headers if re.fullmatch(rf"\s*\[{re.escape(section)}\]\s*(#.*)?", lines[n])]
    if section and not named:
        gap = [""] if lines and lines[-1] else []
        return "\n".join([*lines, *gap, f"[{section}]", line]) + "\n"
    first = named[0] + 1 if section else 0
    end = next((number for number in headers if number >= first), len(lines))
    key = line.partition(" =")[0]
    for number in range(first, end):
        if re.match(rf"#\s*{re.escape(key)}\s*=", lines[number]):
            return "\n".join([*lines[:number], line, *lines[number + 1 :]]) + "\n"
    gap = [""] if not section and lines[first:] and re.match(r"\s*\[", lines[first]) else []
    return "\n".join([*lines[:first], line, *gap, *lines[first:]]) + "\n"


def _validated(data: dict[str, Any], origin: str) -> Settings:
    try:
        # The command line gives strings: let pydantic parse numbers.
        return Settings.model_validate(data, strict=False)
    except ValidationError as error:
        raise SettingsError(_message(error, origin)) from error


def _message(error: ValidationError, origin: str) -> str:
    problem = error.errors()[0]
    # The rest are indexes of a list and types of a union.
    path = problem["loc"][: 4 if problem["loc"][:2] == ("chat", "personas") else 2]
    name = ".".join(map(str, path))
    if problem["type"] == "extra_forbidden":
        return f"{origin}: there is no setting '{name}': `myna new` writes them all"
    alternatives = [other for other in error.errors() if other["loc"][: len(path)] == path]
    why = ", or ".join(other["msg"].removeprefix("Value error, ") for other in alternatives)
    return f"{origin}: {name} = {problem['input']!r}: {why}"


def template(settings: Settings | None = None) -> str:
    """Write a myna.toml with every setting and its description."""
    settings = settings or Settings()
    lines = [
        "# Settings of this myna workspace. Changing one makes the stages that use it stale.",
        "# A setting behind a # comes from the recipe: remove the # to set it here.",
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
        entries = {key: value for key, value in table if not isinstance(value, dict)}
        for key, value in entries.items():
            lines += _entry(table, f"{name}.", key, value)
        for key, value in table:
            if key not in entries:
                lines += _subtables(table, f"{name}.{key}", key, value)
    return "\n".join(lines) + "\n"


def _subtables(section: Section, table: str, key: str, value: Mapping[str, Section]) -> list[str]:
    """The tables of a setting by name, or an example of one behind #."""
    from tomlkit import dumps

    lines = [f"# {type(section).model_fields[key].description}"]
    for name, values in value.items():
        body = values.model_dump(exclude_none=True)
        lines += dumps({"table": {name: body}}).replace("[table.", f"[{table}.").splitlines()
    return lines if value else [*lines, f'# [{table}."NAME"]', "# temperature = 0.8"]


def _entry(section: Section, table: str, key: str, value: object) -> list[str]:
    from tomlkit import item  # only `myna new` writes settings

    written = item(value).as_string()
    field = type(section).model_fields[key]
    line = f"{field.alias or key} = {written}"
    if f"{table}{key}" in RECIPES[DEFAULT_RECIPE] and key not in section.model_fields_set:
        line = f"# {line}"  # the recipe's
    return [f"# {field.description}", line]
