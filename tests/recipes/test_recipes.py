"""Recipes: whole, true to the references, and listed."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

import pytest

from fastpong import recipes
from fastpong.agents import AGENTS
from fastpong.cli import errors as cli
from fastpong.settings.config import Config
from fastpong.settings.tables import settings_of


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_recipe_is_whole(name: str) -> None:
    recipe = recipes.load(name)
    config = Config.build(recipe.values)
    assert config.recipe == name
    assert {*settings_of(config.agent), "env", "episodes", "save_every"} <= {*recipe.values}
    assert Config.build(config.flat()) == config
    assert "2 cores" in recipe.reaches
    assert recipe.env in recipes.TRIED[recipe.agent]


def test_every_file_is_listed() -> None:
    found = {p.name for p in files("fastpong.recipes").iterdir() if p.name.endswith(".toml")}
    assert found == {f"{name}.toml" for name in recipes.RECIPES}


def test_every_agent_has_a_recipe() -> None:
    assert [recipes.for_agent(agent).agent for agent in AGENTS] == [*AGENTS]
    advised = recipes.for_env("ALE/Pong-v5")
    assert advised is not None and advised.name == "pong-sticky"
    assert recipes.for_env("Pong-v4") is None


@pytest.mark.parametrize("name", ["karpathy", "keras"])
def test_the_references_are_the_defaults(name: str) -> None:
    assert Config.build(recipes.load(name).values) == Config.build({"agent": name, "recipe": name})


def test_pong_is_ppo_by_default_with_a_goal() -> None:
    values: dict[str, Any] = {"recipe": "pong", "env": "PongDeterministic-v4", "until": 18}
    assert Config.build(recipes.load("pong").values) == Config.build({"agent": "ppo", **values})


def test_discounts_of_the_sticky_game_are_roots() -> None:
    *_, two, one, policy = Config.build(recipes.load("pong-sticky").values).stages
    assert two.settings.gamma == 0.997 ** (1 / 2)  # type: ignore[attr-defined]
    assert one.settings.gamma == policy.settings.gamma == 0.999 ** (1 / 4)  # type: ignore[attr-defined]
    assert policy.settings.gae_lambda == 0.96 ** (1 / 4)  # type: ignore[attr-defined]


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(ValueError, match=r"recipe: expected one of .*did you mean pong-sticky"):
        recipes.load("pong-stiky")


def test_the_command_lists_and_prints(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["recipes"]) == 0
    listed = capfd.readouterr().out
    for recipe in map(recipes.load, recipes.RECIPES):
        assert f"\n{recipe.name} " in "\n" + listed
        assert recipe.description in listed and recipe.reaches in listed
        assert cli.run(["recipes", recipe.name]) == 0
        printed = tomllib.loads(capfd.readouterr().out)
        assert printed == tomllib.loads(recipe.text)
