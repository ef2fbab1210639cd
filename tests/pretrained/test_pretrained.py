"""The weights that ship: they load, they play as their metadata says, the page says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import fastpong
from fastpong import pretrained, recipes
from fastpong.storage.weights import exported

SHIPPED = [name for name in pretrained.NAMES if pretrained.path(name).exists()]
PAGE = Path(__file__).parents[2] / "docs" / "pretrained.md"


def test_weights_ship_small_and_for_recipes_only() -> None:
    assert list(pretrained.NAMES) == SHIPPED and set(SHIPPED) <= set(recipes.RECIPES)
    assert sum(pretrained.path(name).stat().st_size for name in SHIPPED) < 3_000_000
    with pytest.raises(ValueError, match=r"^pretrained: expected one of karpathy, .*, got 'x'"):
        pretrained.path("x")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_play_as_well_as_they_say(name: str) -> None:
    """Two of the very games that were played when the file was written."""
    about = exported.read(pretrained.path(name)).about
    facts = about["trained"]
    assert about["config"]["recipe"] == name
    assert facts["command"].startswith(f"fastpong train --recipe {name}")
    assert facts["sampled"]["games"] == facts["deterministic"]["games"] >= 100
    played = fastpong.evaluate(name, episodes=2)
    assert abs(played.mean - facts["sampled"]["mean"]) < 5 * facts["sampled"]["deviation"] + 1
    figures = [f"{facts[kind]['mean']:+.2f}" for kind in ("sampled", "deterministic")]
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{name}` "))
    assert all(figure in row for figure in figures) and facts["command"] in row


def test_the_default_wins_its_games() -> None:
    assert fastpong.evaluate(pretrained.DEFAULT, episodes=4).wins == 4
