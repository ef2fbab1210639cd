"""The environments by name, by frame skip and stickiness, and as gymnasium makes them."""

from __future__ import annotations

from typing import Any

import ale_py
import gymnasium
import numpy as np
import pytest

from fastpong.envs.variants import VARIANTS, find_like

gymnasium.register_envs(ale_py)


@pytest.mark.parametrize("name", [n for n in VARIANTS if n != "PongDeterministic-v4"])
def test_gymnasium_registers_these_names_with_our_settings(name: str) -> None:
    spec = gymnasium.spec(name)
    ours = VARIANTS[name].gymnasium_kwargs
    for key in ("frameskip", "repeat_action_probability"):
        assert spec.kwargs[key] == ours[key]
    assert spec.kwargs["max_num_frames_per_episode"] == VARIANTS[name].max_frames


def test_one_name_is_ours_alone() -> None:
    with pytest.raises(gymnasium.error.Error):
        gymnasium.make("PongDeterministic-v4")


@pytest.mark.parametrize("name", VARIANTS)
def test_the_line_for_gymnasium_makes_that_environment(name: str) -> None:
    line = VARIANTS[name].gymnasium_make
    assert line.startswith("gymnasium.make('ALE/Pong-v5', frameskip=")
    env: Any = eval(line, {"gymnasium": gymnasium})
    observation, _ = env.reset(seed=0)
    assert observation.shape == (210, 160, 3)
    kwargs = env.spec.kwargs
    made = kwargs["frameskip"], kwargs["repeat_action_probability"]
    skips = VARIANTS[name].frameskip
    assert made == (skips[0] if len(skips) == 1 else (2, 5), VARIANTS[name].sticky)
    assert np.any(observation)
    env.close()


@pytest.mark.parametrize(
    ("name", "frame_skip", "sticky", "expected"),
    [
        ("ALE/Pong-v5", 4, 0.0, "PongDeterministic-v4"),
        ("ALE/Pong-v5", None, 0, "PongDeterministic-v4"),
        ("ALE/Pong-v5", 1, 0.0, "PongNoFrameskip-v4"),
        ("ALE/Pong-v5", 4, 0.25, "ALE/Pong-v5"),
        ("Pong-v0", None, 0.0, "Pong-v4"),
        ("PongDeterministic-v4", 4, 0.25, "ALE/Pong-v5"),
        ("Pong-v4", None, None, "Pong-v4"),
    ],
)
def test_frame_skip_and_stickiness_name_an_environment(
    name: str, frame_skip: int | None, sticky: float | None, expected: str
) -> None:
    assert find_like(name, frame_skip, sticky) is VARIANTS[expected]


def test_others_are_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"4 and 0 \(PongDeterministic-v4\).*, got 3 and 0.1;"):
        find_like("ALE/Pong-v5", 3, 0.1)
