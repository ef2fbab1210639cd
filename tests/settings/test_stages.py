"""Stages: inheritance, schedules, round trips, and the rules that they keep."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from fastpong.recipes import load
from fastpong.settings.config import Config
from fastpong.settings.schedules import Schedule
from fastpong.settings.tables import override

DQN: dict[str, Any] = {"agent": "dqn", "env": "ALE/Pong-v5"}


def staged(*stages: dict[str, Any], **first: Any) -> Config:
    return Config.build({**DQN, **first, "stages": list(stages)})


def sticky() -> dict[str, Any]:
    return dict(load("pong-sticky").values)


def test_a_stage_inherits_and_a_schedule_counts_from_who_set_it() -> None:
    config = staged(
        {"from_step": 100_000, "frame_skip": 2, "gamma": 0.9},
        {"from_step": 200_000, "learning_rate": 1e-3},
        {"from_step": 300_000, "agent": "ppo", "vf_coef": 0.1},
        learning_rate="linear:2e-3:1e-3:5000",
    )
    rates = [stage.settings.learning_rate for stage in config.stages]  # type: ignore[attr-defined]
    assert rates == [Schedule(2e-3, 1e-3, 5000)] * 2 + [Schedule(1e-3, 1e-3)] * 2
    assert [stage.set_in["learning_rate"] for stage in config.stages] == [0, 0, 2, 2]
    assert config.stages[3].set_in == {"learning_rate": 2, "ent_coef": 3}
    assert [stage.frame_skip for stage in config.stages] == [None, 2, 2, 2]
    gammas = [stage.settings.gamma for stage in config.stages]  # type: ignore[attr-defined]
    assert gammas == [0.99, 0.9, 0.9, 0.9]
    last = config.stages[3].settings
    defaults = Config.build({"agent": "ppo"}).settings
    assert last.cell_size == 4, "as before"  # type: ignore[attr-defined]
    assert last.gae_lambda == defaults.gae_lambda  # type: ignore[attr-defined]


def test_the_same_schedule_again_starts_anew() -> None:
    rate = "linear:2e-3:1e-3:5000"
    config = staged({"from_step": 100_000, "learning_rate": rate}, learning_rate=rate)
    assert config.stages[1].set_in == {"learning_rate": 1}
    assert Config.build(config.flat()) == config


def test_stages_survive_toml() -> None:
    config = Config.build(sticky())
    text = config.to_toml()
    assert tomllib.loads(text) == config.flat()
    assert Config.build(tomllib.loads(text)) == config
    table = tomllib.loads(text)["stages"][0]
    assert table == {"from_step": 400_000, "frame_skip": 2, "gamma": 0.997**0.5, "n_step": 10}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"from_step": -1}, "stage 2: from_step: expected an integer >= 0, got -1"),
        ({"from_step": 0}, "stage 2: from_step: expected more than 0"),
        ({"gamma": 2}, r"stage 2: gamma: expected a number in \[0, 1\], got 2"),
        ({"n_step": 999}, "stage 2: n_step: expected at most n_steps"),
        ({"seed": 1}, "stage 2: seed: is a setting of the whole run; put it above"),
        ({"gama": 1}, "stage 2: gama: .* the nearest is gamma"),
        ({"vf_coef": 1}, "stage 2: vf_coef: expected a setting of agent dqn, got one of agent ppo"),
        ({"frame_skip": 3}, "stage 2: frame_skip: expected one of 4, 2, 1, .* got 3"),
        ({"frame_skip": 8}, "stage 2: frame_skip: expected one of 4, 2, 1, .* got 8"),
        ({"agent": "karpathy"}, "stages: expected none with agent karpathy"),
        (
            {"policy_temperature": 2},
            "stage 2: policy_temperature: expected it where ppo",
        ),
        ({"sharpening": 2}, "stage 2: sharpening: expected it where ppo takes over"),
        *(
            ({name: value}, f"stage 2: {name}: expected .*, as before, since network")
            for name, value in (
                *(("lag", 1), ("hidden", 64), ("n_envs", 8)),
                *(("cell_size", 2), ("coarse_cells", ""), ("coarse_cells", "8x8:0.5")),
                *(("frame_history", 0), ("last_action", False)),
            )
        ),
    ],
)
def test_a_wrong_stage_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        staged({"from_step": 100_000, **changes})


@pytest.mark.parametrize(
    ("first", "stage", "message"),
    [
        ({}, {"hidden": 64}, "stage 2: hidden: expected 128, as before"),
        ({}, {"cell_size": 2}, "stage 2: cell_size: expected 4, as before"),
        ({}, {"lag": 1}, "stage 2: lag: expected 0, as before"),
        ({"lag": 1}, {"lag": 0}, "stage 2: lag: expected 1, as before"),
        (
            {},
            {"from_step": 20_480},
            "stage 2: from_step: expected more than 20480, .*20000",
        ),
        ({}, {"sharpening": 2, "ent_coef": 1}, "stage 2: sharpening: expected ent_coef as linear"),
    ],
)
def test_ppo_takes_over_what_fits(
    first: dict[str, Any], stage: dict[str, Any], message: str
) -> None:
    staged({"from_step": 20_481, "agent": "ppo"})
    with pytest.raises(ValueError, match=message):
        staged({"from_step": 100_000, "agent": "ppo", **stage}, **first)


def test_other_agents_do_not_follow_each_other() -> None:
    with pytest.raises(ValueError, match="stage 2: agent: expected ppo, as before, or ppo after"):
        staged({"from_step": 100_000, "agent": "dqn"}, agent="ppo")
    with pytest.raises(ValueError, match="stages: expected none with agent karpathy, got 2"):
        staged({"from_step": 100_000}, agent="karpathy")


def test_stages_rise_and_control_gets_finer() -> None:
    finer = {"from_step": 100_000, "frame_skip": 2}
    with pytest.raises(ValueError, match="stage 3: from_step: expected more than 100352"):
        staged(finer, {"from_step": 100_001})
    with pytest.raises(ValueError, match=r"stage 3: frame_skip: expected one of 2, 1, .* got 4"):
        staged(finer, {"from_step": 200_000, "frame_skip": 4})
    with pytest.raises(ValueError, match=r"stage 2: frame_skip: .* plays an action for 2, 3, 4"):
        staged(finer, env="Pong-v0")
    with pytest.raises(
        ValueError, match=r"stage 2: from_step: expected the first step .* got none"
    ):
        staged({"frame_skip": 2})


def test_override_replaces_a_setting_in_all_stages() -> None:
    values = {**sticky()}
    values["stages"] = [*values["stages"][:2], {**values["stages"][2], "sharpening": 1.0}]
    changed = override(values, {"gamma": 0.5, "ent_coef": 0.1, "seed": 3})
    config = Config.build(changed)
    assert {stage.settings.gamma for stage in config.stages} == {0.5}  # type: ignore[attr-defined]
    assert config.stages[3].settings.ent_coef == Schedule(0.1, 0.1)  # type: ignore[attr-defined]
    assert sticky()["stages"][0]["gamma"] == 0.997**0.5, "the recipe itself stays"


def test_override_takes_stages_in_place_of_those_there_are() -> None:
    values = sticky()
    mine = [{"from_step": 500_000, "frame_skip": 2, "gamma": 0.9}]
    found = override(values, {"gamma": 0.5, "stages": mine})
    assert found["stages"] == mine and found["gamma"] == 0.5
    config = Config.build(found)
    assert [stage.from_step for stage in config.stages] == [0, 500_000]
    assert override({"agent": "dqn"}, {"stages": mine})["stages"] == mine
    assert override(values, {"stages": []})["stages"] == []


def test_fixed_settings_tell_stages_apart() -> None:
    run = Config.build(sticky())
    later = Config.build(override(sticky(), {"learning_rate": 1e-5, "episodes": 9}))
    assert later.fixed() == run.fixed()
    values = sticky()
    values["stages"] = [*values["stages"][:3]]
    values["stages"][2] = {**values["stages"][2], "from_step": 4_000_000}
    other = Config.build(values).fixed()
    assert {k for k in other if other[k] != run.fixed()[k]} == {"stage 4: from_step"}
