"""The command ``fastpong recipes``: named settings, and what they reach."""

from __future__ import annotations

import click

from fastpong.cli.display import say
from fastpong.cli.names import Names


@click.command(short_help="List the recipes, or print one.")
@click.argument("name", required=False, type=Names("fastpong.recipes", "RECIPES"))
def recipes(name: str | None) -> int:
    """List the recipes, or print one as TOML.

    The list has what each one reaches, and in what time.

    fastpong train --recipe NAME trains with one, and any option overrides its value. To change
    more, write it to a file: fastpong recipes pong > my.toml, fastpong train --config my.toml.
    """
    from fastpong.recipes import DEFAULT, RECIPES, load

    if name is not None:
        say(load(name).text.rstrip())
        return 0
    width = max(map(len, RECIPES))
    for recipe in map(load, RECIPES):
        default = " (the default)" if recipe.name == DEFAULT else ""
        say(f"{recipe.name:<{width}}  {recipe.description}{default}")
        say(f"{'':<{width}}  {recipe.agent} in {recipe.env}; reaches {recipe.reaches}")
    say("to train: fastpong train --recipe NAME; to see its settings: fastpong recipes NAME")
    return 0
