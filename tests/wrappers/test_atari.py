"""AtariFrame beside gymnasium's AtariPreprocessing: all that both return, to the last byte."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import AtariPreprocessing, RecordEpisodeStatistics, TimeLimit
from wrapped_games import RALLIES, assert_alike, make

import fastpong.wrappers.drive as drive
from fastpong.console import palette
from fastpong.wrappers import AtariFrame, MaxAndSkipFrame

needs_cv2 = pytest.mark.skipif(
    not pytest.importorskip("importlib.util").find_spec("cv2"), reason="needs OpenCV"
)


@needs_cv2
@pytest.mark.parametrize(
    ("game", "life_loss"),
    [
        ("Breakout", False), ("Breakout", True), ("Seaquest", False), ("Qbert", True),
        ("AirRaid", False), ("SpaceInvaders", True),
    ],
)  # fmt: skip
def test_it_is_atari_preprocessing(game: str, life_loss: bool) -> None:
    theirs, ours = (
        kind(make(game), terminal_on_life_loss=life_loss)
        for kind in (AtariPreprocessing, AtariFrame)
    )
    assert type(ours._drive) is drive.AleDrive
    assert assert_alike(theirs, ours, 900) >= 1 + life_loss


@needs_cv2
@pytest.mark.parametrize(
    "arguments",
    [
        {"grayscale_obs": False},
        {"grayscale_obs": False, "scale_obs": True, "frame_skip": 1},
        {"screen_size": (64, 96)},
        {"screen_size": 200},
        {"frame_skip": 1},
        {"frame_skip": 2, "noop_max": 0},
        {"frame_skip": 3, "grayscale_newaxis": True, "terminal_on_life_loss": True},
        {"scale_obs": True, "grayscale_newaxis": True, "terminal_on_life_loss": True},
    ],
    ids=str,
)
def test_with_any_arguments(arguments: dict[str, Any]) -> None:
    theirs, ours = (
        kind(make("Breakout"), **arguments) for kind in (AtariPreprocessing, AtariFrame)
    )
    assert_alike(theirs, ours, 300)


@needs_cv2
@pytest.mark.parametrize(
    ("kind", "life_loss", "sticky"),
    [
        (AtariFrame, False, 0.0), (AtariFrame, True, 0.0), (AtariFrame, True, 0.25),
        (AtariPreprocessing, False, 0.25), (AtariPreprocessing, True, 0.0),
    ],
)  # fmt: skip
def test_on_the_console_it_is_theirs_on_ale(kind: Any, life_loss: bool, sticky: float) -> None:
    """And theirs is the same on the console, too."""
    options = {"repeat_action_probability": sticky, "max_num_frames_per_episode": RALLIES}
    theirs = AtariPreprocessing(make("Pong", **options), terminal_on_life_loss=life_loss)
    ours = kind(make("fastpong/Pong", **options), terminal_on_life_loss=life_loss)
    assert assert_alike(theirs, ours, 1300) > 1


@needs_cv2
@pytest.mark.parametrize(
    ("limit", "frame_skip"), [(60 + k, skip) for skip in (2, 3, 4) for k in range(skip)]
)
def test_an_end_in_any_frame_of_a_step(limit: int, frame_skip: int) -> None:
    options = {"max_num_frames_per_episode": limit}
    theirs, ours = (
        kind(make("Breakout", **options), noop_max=1, frame_skip=frame_skip)
        for kind in (AtariPreprocessing, AtariFrame)
    )
    assert assert_alike(theirs, ours, 100) > 2


def end_sooner(env: Any) -> Any:
    return TimeLimit(RecordEpisodeStatistics(env), 500)


def double(env: Any) -> Any:
    return gym.wrappers.TransformReward(env, lambda reward: 2 * reward)


@needs_cv2
@pytest.mark.parametrize("wrap, quiet", [(end_sooner, True), (double, False)])
@pytest.mark.parametrize("game", ["Breakout", "fastpong/Pong"])
def test_other_wrappers_under_it(game: str, wrap: Any, quiet: bool) -> None:
    theirs, ours = (
        kind(wrap(make(game)), terminal_on_life_loss=True)
        for kind in (AtariPreprocessing, AtariFrame)
    )
    assert type(ours._drive) is drive.StepDrive and bool(ours._drive._lowest) == quiet
    assert_alike(theirs, ours, 500, after_ends=0)
    assert "Frames" not in str(ours)  # all is as it was


@needs_cv2
def test_colours_that_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then greys are read as ALE shows them."""
    monkeypatch.setattr(palette, "NTSC_PALETTE", palette.PAL_PALETTE)
    theirs, ours = (
        kind(make("Breakout"), terminal_on_life_loss=True)
        for kind in (AtariPreprocessing, AtariFrame)
    )
    assert assert_alike(theirs, ours, 400) > 5
    assert ours._screens._palette is None


# --- gymnasium ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")
@pytest.mark.parametrize("game", ["ALE/Breakout-v5", "fastpong/Pong-v5"])
def test_gymnasiums_check_passes(game: str) -> None:
    check_env(AtariFrame(gym.make(game, frameskip=1)), skip_render_check=True)


@pytest.mark.parametrize("game", ["ALE/Breakout-v5", "fastpong/Pong-v5"])
def test_it_is_made_again_from_its_spec(game: str) -> None:
    env = AtariFrame(gym.make(game, frameskip=1), screen_size=(40, 60), noop_max=5)
    assert env.spec is not None
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again, AtariFrame) and again.screen_size == (40, 60)
    np.testing.assert_array_equal(again.reset(seed=5)[0], env.reset(seed=5)[0])


@pytest.mark.parametrize("kind", [AtariFrame, MaxAndSkipFrame])
@pytest.mark.parametrize("game", ["ALE/Breakout-v5", "fastpong/Pong-v5"])
def test_copies_begin_anew(game: str, kind: Any) -> None:
    env = kind(gym.make(game, frameskip=1), screen_size=40)
    first = env.reset(seed=5)[0]
    env.step(1)
    for again in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert again.unwrapped.ale is not env.unwrapped.ale
        np.testing.assert_array_equal(again.reset(seed=5)[0], first)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("game", ["ALE/Breakout-v5", "fastpong/Pong-v5"])
def test_many_at_once(game: str, mode: str) -> None:
    alone = [AtariFrame(gym.make(game, frameskip=1)) for _ in range(2)]
    many = gym.make_vec(game, 2, mode, wrappers=[AtariFrame], frameskip=1)
    try:
        frames, _ = many.reset(seed=7)
        for n, env in enumerate(alone):
            np.testing.assert_array_equal(frames[n], env.reset(seed=7 + n)[0])
        for step in range(20):
            actions = np.array([step % 4, (step + 1) % 4])
            frames, rewards, *_ = many.step(actions)
            for n, env in enumerate(alone):
                frame, reward, *_ = env.step(int(actions[n]))
                np.testing.assert_array_equal(frames[n], frame)
                assert rewards[n] == reward
    finally:
        many.close()


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"frame_skip": 0}, "frame_skip: expected an integer of 1 or more, got 0"),
        ({"frame_skip": 2.5}, "frame_skip: expected an integer of 1 or more, got 2.5"),
        ({"noop_max": -1}, "noop_max: expected an integer of 0 or more, got -1"),
        ({"noop_max": None}, "noop_max: expected an integer of 0 or more, got None"),
        ({"screen_size": 0}, "screen_size: expected one or two integers above 0, got 0"),
        ({"screen_size": (84,)}, "screen_size: expected one or two"),
        ({"screen_size": (84, 84.0)}, "screen_size: expected one or two"),
        ({"screen_size": True}, "screen_size: expected one or two"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        AtariFrame(make("fastpong/Pong"), **arguments)


def test_environments_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"^env: expected an environment of frame skip 1.*got 4"):
        AtariFrame(gym.make("ALE/Pong-v5"))
    with pytest.raises(TypeError, match=r"^env: expected an Atari environment.*got CartPoleEnv"):
        AtariFrame(gym.make("CartPole-v1"))
    for game in ("ALE/Pong-v5", "fastpong/Pong-v5"):
        env = AtariFrame(gym.make(game, frameskip=1))
        with pytest.raises(gym.error.ResetNeeded, match=r"reset\(\)"):
            env.step(0)
        env.reset()
        with pytest.raises(IndexError):
            env.step(99)
