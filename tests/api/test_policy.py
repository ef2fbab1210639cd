"""A policy in somebody else's loop plays as the workers do, whatever its screens look like."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import (
    FrameStackObservation,
    GrayscaleObservation,
    MaxAndSkipObservation,
    ResizeObservation,
)
from policy_cases import (
    AGENTS,
    begin,
    make_env,
    make_player,
    make_policy,
    random_parameters,
    screens,
    worker_plays,
)

import fastpong
from fastpong.api.observation import foreground_values, read_screens
from fastpong.api.policy import Policy
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import find_variant

SCREENS = screens(80)


def actions(policy: Policy, observations: list[Any], **options: Any) -> list[int]:
    policy.reset(seed=1)
    return [int(policy.predict(observation, **options)[0]) for observation in observations]


# --- the same game ------------------------------------------------------------------------------


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("name", AGENTS)
def test_gymnasium_plays_the_games_of_evaluation(name: str, greedy: bool) -> None:
    """The same returns and steps, step by step, given the same randomness."""
    player = make_player(name, greedy)
    parameters = random_parameters(player)
    policy = Policy(player, parameters)
    env = make_env(**policy.env_kwargs, obs_type="grayscale" if greedy else "rgb")
    assert policy.check(env) == []
    for number in range(2):
        observation, draw = begin(env, player, number)
        policy.draw_from(lambda episode, draw=draw: draw)
        policy.reset()
        score, length, over = 0.0, 0, False
        while not over:
            action, state = policy.predict(observation, deterministic=greedy)
            assert state is None
            observation, reward, terminated, truncated, _ = env.step(action)
            score, length, over = score + float(reward), length + 1, terminated or truncated
        assert (score, length) == worker_plays(player, parameters, number)


def test_episodes_draw_as_those_of_evaluation_and_seeds_differ() -> None:
    policy = make_policy("ppo")
    first = actions(policy, SCREENS)
    assert actions(policy, SCREENS) == first and len(set(first)) == 2
    policy.reset()  # the next episode of the same seed
    assert [int(policy.predict(s)[0]) for s in SCREENS] != first
    policy.reset(seed=2)
    assert [int(policy.predict(s)[0]) for s in SCREENS] != first


# --- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AGENTS)
def test_a_batch_has_a_history_for_each_environment(name: str) -> None:
    """Three environments, of which the second begins anew in between."""
    policy = make_policy(name)
    streams = [SCREENS[:40], SCREENS[20:60], SCREENS[40:80]]
    starts = np.zeros((40, 3), bool)
    starts[0] = True
    starts[25, 1] = True
    policy.reset(seed=1)
    chosen = np.stack(
        [
            policy.predict(np.stack(now), episode_start=start)[0]
            for now, start in zip(zip(*streams, strict=True), starts, strict=True)
        ]
    )
    assert chosen.shape == (40, 3) and chosen.dtype == np.int64

    def alone(number: int, observations: list[Any]) -> list[int]:
        policy.reset(seed=1)
        for _ in range(number):  # the episodes before
            policy.predict(SCREENS[0])
            policy.reset()
        return [int(policy.predict(observation)[0]) for observation in observations]

    assert chosen[:, 0].tolist() == alone(0, streams[0])
    assert chosen[:25, 1].tolist() == alone(1, streams[1][:25])
    assert chosen[25:, 1].tolist() == alone(3, streams[1][25:])
    assert chosen[:, 2].tolist() == alone(2, streams[2])


def test_a_batch_of_another_size_is_refused_until_reset() -> None:
    policy = make_policy("karpathy")
    policy.predict(np.stack(SCREENS[:2]))
    with pytest.raises(ValueError, match=r"expected 2 environments as before, got 3; call reset"):
        policy.predict(np.stack(SCREENS[:3]))
    with pytest.raises(ValueError, match=r"^episode_start: expected one flag for each of 2"):
        policy.predict(np.stack(SCREENS[:2]), episode_start=[True])
    policy.reset()
    assert len(policy.predict(np.stack(SCREENS[:3]))[0]) == 3
    start = np.ones(2, bool)  # where all begin there is no history to lose
    assert len(policy.predict(np.stack(SCREENS[:2]), episode_start=start)[0]) == 2


# --- screens ------------------------------------------------------------------------------------


def palettes() -> list[Any]:
    env = make_env()
    env.reset(seed=0)
    rng, found = np.random.default_rng(0), []
    for _ in range(80):
        found.append(env.unwrapped.ale.getScreen())
        env.step(int(rng.integers(6)))
    return found


def test_every_kind_of_screen_gives_the_same_actions() -> None:
    policy = make_policy("dqn")
    expected = actions(policy, SCREENS, deterministic=True)
    assert len(set(expected)) == 2
    gray = screens(80, "grayscale")
    rounded = GrayscaleObservation(make_env())
    kinds = {
        "gray": gray,
        "gray with a channel": [screen[..., None] for screen in gray],
        "gymnasium's gray": [rounded.observation(screen) for screen in SCREENS],
        "palette": palettes(),
        "not contiguous": [np.asfortranarray(screen) for screen in SCREENS],
    }
    for kind, observations in kinds.items():
        assert actions(policy, observations, deterministic=True) == expected, kind
    transposed = [screen.transpose(2, 0, 1)[None] for screen in SCREENS]
    policy.reset()
    found = [policy.predict(screen, deterministic=True)[0].tolist() for screen in transposed]
    assert found == [[action] for action in expected]


def test_one_table_tells_objects_apart_in_all_kinds_of_screens() -> None:
    """As the emulator's own table of palette indices does, on every pixel of a game."""
    emulator = Emulator(find_variant("PongDeterministic-v4"))
    table, ours = emulator.foreground_table(), foreground_values()
    rounded = GrayscaleObservation(make_env())
    for palette, gray, rgb in zip(palettes(), screens(80, "grayscale"), SCREENS, strict=True):
        expected = table[palette]
        for screen in (palette, gray, rgb[..., 0], rounded.observation(rgb)):
            assert np.array_equal(ours[screen], expected)
        assert expected[35:195].any()


def test_other_observations_are_refused_with_the_way_out() -> None:
    policy = make_policy("ppo")
    screen = SCREENS[0]
    for bad, error, words in (
        (
            screen / 255.0,
            TypeError,
            r"expected uint8 screens, got float64 of shape \(210, 160, 3\)",
        ),
        ({"image": screen}, TypeError, "got a dict of image"),
        (ResizeObservation(make_env(), (84, 84)).observation(screen), ValueError, "84, 84"),
        (np.stack([screen[..., 0]] * 4, -1), ValueError, r"got \(210, 160, 4\)"),
        (np.zeros((0, 210, 160), np.uint8), ValueError, r"got \(0, 210, 160\)"),
        (np.zeros(128, np.uint8), ValueError, r"got \(128,\)"),
    ):
        with pytest.raises(error, match=f"^observation: .*{words}.*; give the screen as"):
            policy.predict(bad)
    assert read_screens(screen).batch is False and read_screens(screen[None]).batch is True


# --- environments -------------------------------------------------------------------------------


def test_another_environment_is_told_once() -> None:
    policy = make_policy("ppo")
    env = make_env(frameskip=2, repeat_action_probability=0.25)
    with pytest.warns(UserWarning, match="frameskip is 2, the agent was trained with 4") as seen:
        told = policy.check(env)
    assert len(seen) == 1 and seen[0].filename == __file__
    assert told == [
        "env: frameskip is 2, the agent was trained with 4",
        "env: repeat_action_probability is 0.25, the agent was trained with 0",
    ]
    assert "gymnasium.make('ALE/Pong-v5', frameskip=4, " in str(seen[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert policy.check(env) == told
        assert make_policy("ppo").check(make_env()) == []


def test_what_an_environment_was_made_with_is_found_through_wrappers_and_vectors() -> None:
    policy = make_policy("karpathy")
    stacked = FrameStackObservation(MaxAndSkipObservation(make_env()), 4)
    with pytest.warns(UserWarning, match="FrameStackObservation, MaxAndSkipObservation changes"):
        policy.check(stacked)
    kwargs = {"frameskip": 3, "repeat_action_probability": 0.0}
    for mode in ("sync", "async"):
        vector: Any = gymnasium.make_vec(
            "ALE/Pong-v5", num_envs=2, vectorization_mode=mode, **kwargs
        )
        assert policy.check(vector) == ["env: frameskip is 3, the agent was trained with 4"]
        vector.close()
    assert policy.check(make_env(frameskip=(2, 5)).unwrapped) == [
        "env: frameskip is 2 or 3 or 4, the agent was trained with 4"
    ]
    assert policy.check(Unknown()) == []


class Unknown:
    """An environment that says nothing about itself."""

    def step(self, action: int) -> None:
        pass


def test_actions_are_numbered_as_the_environment_has_them() -> None:
    policy = make_policy("dqn")
    few = actions(policy, SCREENS)
    assert policy.check(make_env(full_action_space=True)) == []
    meanings = make_env().unwrapped.get_action_meanings()
    all_meanings = make_env(full_action_space=True).unwrapped.get_action_meanings()
    many = actions(policy, SCREENS)
    assert [all_meanings[k] for k in many] == [meanings[k] for k in few]
    assert set(many) == {3, 4} and set(few) == {2, 3}
    assert policy.check(make_env()) == [] and actions(policy, SCREENS) == few


def test_what_cannot_be_played_is_refused() -> None:
    policy = make_policy("ppo")
    with pytest.raises(ValueError, match=r"^env: expected the game pong, got breakout; make"):
        policy.check(gymnasium.make("ALE/Breakout-v5"))
    with pytest.raises(ValueError, match=r"^env: expected discrete actions"):
        policy.check(make_env(continuous=True))


@pytest.mark.parametrize("env", ["ALE/Pong-v5", {"id": "ALE/Pong-v5"}, object(), 3])
def test_what_is_no_environment_is_refused(env: Any) -> None:
    with pytest.raises(TypeError, match=r"^env: expected an environment, got .*; give what gymnas"):
        fastpong.load("pong", env=env)


def test_an_environment_that_is_no_atari_game_is_refused() -> None:
    for env in (gymnasium.make("CartPole-v1"), gymnasium.make_vec("CartPole-v1", num_envs=2)):
        with pytest.raises(ValueError, match=r"^env: expected the game pong, got CartPole-v1;"):
            fastpong.load("pong", env=env)
        env.close()
    vectors = pytest.importorskip("stable_baselines3.common.vec_env")
    with pytest.raises(ValueError, match=r"^env: expected the game pong, got CartPole-v1;"):
        fastpong.load("pong", env=vectors.DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))


def test_the_environment_of_training_is_named() -> None:
    player = make_player("karpathy", env="Pong-v0")
    policy = Policy(player, random_parameters(player))
    expected = {"id": "ALE/Pong-v5", "frameskip": (2, 5), "repeat_action_probability": 0.25}
    assert policy.env_kwargs == expected
    assert policy.check(gymnasium.make(**expected)) == []
    assert make_policy("dqn, finer").env_kwargs["frameskip"] == 2


def test_evaluate_policy_of_stable_baselines3_takes_it() -> None:
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation")
    vectors = pytest.importorskip("stable_baselines3.common.vec_env")
    policy = make_policy("ppo", seed=3)
    env = vectors.DummyVecEnv([make_env, make_env])
    assert policy.check(env) == []
    env.seed(0)  # the second one gets 1
    returns, lengths = evaluation.evaluate_policy(
        policy, env, 2, deterministic=False, return_episode_rewards=True, warn=False
    )
    policy.reset(seed=3)
    single = make_env()
    expected = []
    for episode in range(2):
        observation, _ = single.reset(seed=episode)
        score, length, over = 0.0, 0, False
        while not over:
            action, _ = policy.predict(observation, episode_start=length == 0)
            observation, reward, over, _, _ = single.step(action)
            score, length = score + float(reward), length + 1
        expected.append((score, length))
    assert sorted(zip(returns, lengths, strict=True)) == sorted(expected)
