"""The settings of a run from recipe, config file and command line."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from fastpong.cli.choice import changes, choose
from fastpong.recipes import load
from fastpong.settings.config import Config
from fastpong.settings.schedules import Schedule


def written(directory: Path, text: str) -> Path:
    path = directory / "my.toml"
    path.write_text(text)
    return path


def test_a_bare_command_takes_the_reference() -> None:
    config, notes = choose(None, None, {})
    assert (config, notes) == (Config(recipe="karpathy"), [])


@pytest.mark.parametrize(
    ("given", "recipe", "note"),
    [
        ({"agent": "ppo"}, "pong", "recipe pong: PPO .* PongDeterministic-v4"),
        ({"agent": "dqn"}, "pong-sticky", "recipe pong-sticky: .* ALE/Pong-v5"),
        ({"agent": "keras"}, "keras", "recipe keras: .* Pong-v0"),
        ({"env": "ALE/Pong-v5"}, "karpathy", "recommended for ALE/Pong-v5: .*--recipe pong-sticky"),
        ({"env": "Pong-v4"}, "karpathy", "agent karpathy was never tried in Pong-v4; .* Pong-v0"),
        ({"agent": "ppo", "env": "Pong-v0"}, "", "agent ppo was never tried in Pong-v0"),
        ({"agent": "dqn", "env": "ALE/Pong-v5"}, "", "recommended .* --recipe pong-sticky"),
    ],
)
def test_one_line_names_the_recipe(given: dict[str, str], recipe: str, note: str) -> None:
    config, notes = choose(None, None, given)
    assert config.recipe == recipe
    assert len(notes) == 1
    assert re.search(note, notes[0]), notes
    assert config.env == given.get("env", load(recipe).env if recipe else "")


def test_a_known_pair_needs_no_line() -> None:
    assert choose(None, None, {"agent": "ppo", "env": "PongDeterministic-v4"}).notes == []


def test_options_override_a_recipe_in_all_stages() -> None:
    recipe = Config.build(load("pong-sticky").values)
    given = {"gamma": "0.9", "vf_coef": "0.25", "learning_rate": "1e-4", "total_timesteps": "1e6"}
    config = choose("pong-sticky", None, given).config
    assert [getattr(stage.settings, "gamma") for stage in config.stages] == [0.9] * 4  # noqa: B009
    rates = {getattr(stage.settings, "learning_rate") for stage in config.stages}  # noqa: B009
    assert rates == {Schedule(1e-4, 1e-4)}
    assert config.flat()["stages"][-1]["vf_coef"] == 0.25  # type: ignore[index]
    assert config.total_timesteps == 1_000_000
    assert [s.from_step for s in config.stages] == [s.from_step for s in recipe.stages]


def test_a_goal_can_be_taken_away() -> None:
    assert choose("pong", None, {}).config.until == 18
    assert choose("pong", None, {"until": "20.5"}).config.until == 20.5
    assert choose("pong", None, {"until": "never"}).config.until is None


def test_a_file_can_override_a_recipe(tmp_path: Path) -> None:
    path = written(tmp_path, 'recipe = "pong"\nhidden = 64\n')
    config = choose(None, path, {"seed": "3"}).config
    expected = Config.build({**load("pong").values, "hidden": 64, "seed": 3})
    assert config == expected
    path.write_text(config.to_toml())
    assert choose(None, path, {}).config == expected, "a run's own file is whole"


def test_a_printed_recipe_is_a_config_file(tmp_path: Path) -> None:
    path = written(tmp_path, load("pong-sticky").text)
    assert choose(None, path, {}).config.stages == choose("pong-sticky", None, {}).config.stages


def test_a_resumed_run_may_lower_its_learning_rate(tmp_path: Path) -> None:
    run = Config.build(load("pong-sticky").values)
    own = written(tmp_path, run.to_toml())
    asked = changes(own, None, None, {"learning_rate": "1e-5", "until": "never"})
    config = Config.build({**run.flat(), **asked})
    assert config.fixed() == run.fixed()
    assert "learning_rate" not in str(asked["stages"])
    assert config.until is None
    asked = changes(own, None, None, {"clip_range": "0.1"})
    assert Config.build({**run.flat(), **asked}).fixed() != run.fixed()
    assert changes(own, None, None, {}) == {}


def test_a_models_settings_are_fixed() -> None:
    fixed = {"agent": "karpathy", "hidden": 5}
    assert choose(None, None, {"hidden": "5"}, fixed).config.flat()["hidden"] == 5
    with pytest.raises(click.UsageError, match="--hidden: expected 5, the model's, or none"):
        choose(None, None, {"hidden": "6"}, fixed)
