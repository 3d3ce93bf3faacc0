"""Recipes: the settings that they set, and what overrides them."""

from __future__ import annotations

import tomllib

import pytest

from myna.config import Settings, override, parse, template
from myna.config.recipe_defaults import DEFAULT_RECIPE, RECIPES
from myna.errors import SettingsError


def setting(settings: Settings, name: str) -> object:
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_a_recipe_sets_what_it_names(recipe: str) -> None:
    settings = parse(f"recipe = '{recipe}'", "x.toml")
    for name, choice in RECIPES[recipe].items():
        assert setting(settings, name) == choice.value, name
        assert choice.reason


def test_all_recipes_set_the_same_settings() -> None:
    assert {tuple(recipe) for recipe in RECIPES.values()} == {tuple(RECIPES[DEFAULT_RECIPE])}


def test_without_a_recipe_there_is_the_laptops() -> None:
    assert Settings() == parse(f"recipe = '{DEFAULT_RECIPE}'", "x.toml")
    for section in ("samples", "train"):
        assert getattr(Settings(), section) == type(getattr(Settings(), section))()


def test_the_file_goes_before_the_recipe_and_the_command_line_before_both() -> None:
    settings = parse("recipe = '3090'\nbase = 'mine'\n[train]\nnum_train_epochs = 3", "x.toml")
    assert (settings.base, settings.train.num_train_epochs, settings.train.lora_r) == (
        "mine",
        3,
        32,
    )
    overridden = override(settings, ["train.lora_r=8"])
    assert (overridden.base, overridden.train.num_train_epochs, overridden.train.lora_r) == (
        "mine",
        3,
        8,
    )
    assert overridden.train.learning_rate == RECIPES["3090"]["train.learning_rate"].value


def test_another_recipe_leaves_what_is_set_and_nothing_of_the_one_before() -> None:
    settings = override(
        parse("recipe = '3090'\n[train]\nlearning_rate = 0.5", "x.toml"), ["recipe=h100"]
    )
    assert settings.train.learning_rate == 0.5
    assert settings.train.lora_r == RECIPES["h100"]["train.lora_r"].value
    assert settings.base == RECIPES["h100"]["base"].value


def test_a_new_file_leaves_what_recipes_set_to_them() -> None:
    written = template(parse("recipe = '70b'\n[train]\nlora_r = 5", "x.toml"))
    assert "# learning_rate = 0.0001" in written
    assert tomllib.loads(written)["train"]["lora_r"] == 5
    changed = parse(written.replace('recipe = "70b"', 'recipe = "mac"'), "x.toml")
    assert (changed.train.lora_r, changed.samples.max_length) == (5, 1024)


def test_a_recipe_that_does_not_exist_is_named() -> None:
    with pytest.raises(SettingsError, match="recipe = '4090'"):
        parse("recipe = '4090'", "x.toml")
