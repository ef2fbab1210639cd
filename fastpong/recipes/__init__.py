"""Recipes: named settings as TOML files, with what they reach and in what time.

The same format serves ``fastpong train --config FILE`` and a run's config.toml.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from fastpong.printable import brief, shorten

RECIPES = ("karpathy", "keras", "pong", "pong-sticky")
"""Names, in the order of the list. Each is a file of that name here."""

DEFAULT = "karpathy"

TRIED = {
    "karpathy": ("Pong-v0",),
    "keras": ("Pong-v0",),
    "ppo": ("PongDeterministic-v4", "ALE/Pong-v5"),
    "dqn": ("ALE/Pong-v5",),
}
"""Agent -> the environments that it was ever trained in for long."""


@dataclass(frozen=True)
class Recipe:
    """A recipe.

    description, reaches : one line each
    values               : the settings, as ``Config.build`` takes them
    text                 : the file
    """

    name: str
    description: str
    reaches: str
    values: Mapping[str, object]
    text: str

    @property
    def agent(self) -> str:
        """Return the agent of the first stage."""
        return str(self.values["agent"])

    @property
    def env(self) -> str:
        """Return the environment."""
        return str(self.values["env"])


def load(name: str) -> Recipe:
    """Load a recipe.

    Raises ValueError with the names there are for an unknown one.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(shorten(name), RECIPES, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"recipe: expected one of {', '.join(RECIPES)}, got {brief(name)}{hint}")
    text = files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    values: dict[str, object] = {"recipe": name, **tomllib.loads(text)}
    description, reaches = str(values.pop("description")), str(values.pop("reaches"))
    return Recipe(name, description, reaches, values, text)


def for_agent(agent: str) -> Recipe:
    """Return the recipe recommended for an agent."""
    return next(recipe for recipe in map(load, RECIPES) if recipe.agent == agent)


def for_env(env: str) -> Recipe | None:
    """Return the recipe recommended for an environment, or None."""
    return next((recipe for recipe in map(load, RECIPES) if recipe.env == env), None)
