"""The Keras reference's agent over real workers and the real emulator: exact, however run."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from training_cases import SEED, Stages, Trained, same_arrays, stages_of
from training_cases import train as train_stages

from fastpong import oracle
from fastpong.acting.trajectory import Trajectory
from fastpong.agents import make_plan
from fastpong.agents.keras import agent as keras
from fastpong.agents.keras.agent import shapes
from fastpong.agents.keras.settings import KerasSettings
from fastpong.agents.protocol import Chance
from fastpong.envs.draws import TRAIN
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import find_variant
from fastpong.kernels import NETWORK
from fastpong.settings.config import Config
from fastpong.training.evaluation import Player, evaluate
from fastpong.training.goal import Goal

ENV = "Pong-v0"


def conv(env: str = ENV, **settings: Any) -> Stages:
    return stages_of("keras", env=env, **settings)


def train(stages: Stages, episodes: int, **how: Any) -> Trained:
    return train_stages(ENV, stages, goal=Goal(episodes), **how)


def scores(stats: Any) -> Any:
    return [(item.score, item.length, item.frames, item.update) for item in stats]


def learner_of(**changes: Any) -> Any:
    stage = make_plan(ENV, conv(**changes), "cython", "float64").stages[0]
    return stage.spec.learner(stage, stage.spec.initial_parameters(1), 1)


def actor_of(env: str, backend: str = "cython", greedy: bool = False, **changes: Any) -> Any:
    stage = make_plan(env, conv(env, **changes), backend, "float64").stages[0]
    return stage.spec.actor(stage, Chance(SEED, TRAIN, greedy))


# --- mathematics --------------------------------------------------------------------------------


def test_the_settings_are_the_references() -> None:
    found = dataclasses.asdict(KerasSettings())
    assert found == {
        **{"batch_size": 1, "lag": 0, "learning_rate": 1e-3, "target_step": 1e-3, "gamma": 0.99},
        **{"adam_beta1": 0.9, "adam_beta2": 0.999, "adam_eps": 1e-7, "image_conv": False},
    }
    assert Config.build({"agent": "keras"}).save_every == 10
    assert Config.build({"agent": "keras", "save_every": 7}).save_every == 7


def test_weights_begin_as_keras_draws_them() -> None:
    for image_conv in (False, True):
        weights = learner_of(image_conv=image_conv).spec.initial_parameters(3)
        assert {name: array.shape for name, array in weights.items()} == shapes(image_conv)
        fan = {"kernel": 36 if image_conv else 2880, "w2": 64, "w3": 32 + 6}
        fan["w1"] = (729 if image_conv else 27) * 32
        for name, size in fan.items():
            limit, values = np.sqrt(6 / size), weights[name]
            assert 0.97 * limit < np.abs(values).max() < limit
            assert values.std() == pytest.approx(limit / np.sqrt(3), rel=0.15)
        assert not any(weights[f"b{k}"].any() for k in (1, 2, 3)) and not weights["bias"].any()


def trajectory(rewards: Any, actions: Any, seed: int = 1) -> Trajectory:
    rng = np.random.default_rng(seed)
    frames = [np.sort(rng.choice(6400, 20, replace=False)) for _ in rewards]
    return Trajectory(
        np.arange(len(rewards) + 1, dtype=np.int64) * 20,
        np.concatenate(frames).astype(np.uint16),
        rng.choice(np.array([-1, 1], np.int8), 20 * len(rewards)),
        np.array(actions, np.uint8),
        np.array(rewards, np.float32),
        frames=len(rewards),
        truncated=False,
    )


def loss_of(weights: Any, targets: Any, frames: Any) -> float:
    """Return the mean cross-entropy, from the oracle's dense network."""
    x = oracle.dense_frames(*frames).reshape(-1, 1, 80, 80)
    maps = np.maximum(oracle.convolve(x, weights["kernel"], weights["bias"]), 0)
    h = maps.reshape(len(x), -1)
    for k in (1, 2):
        h = np.maximum(h @ weights[f"w{k}"] + weights[f"b{k}"], 0)
    p = np.zeros((len(x), 6))
    oracle.softmax(h @ weights["w3"] + weights["b3"], p)
    if targets is None:
        return p  # type: ignore[return-value]
    return float(np.mean(oracle.cross_entropy(targets, p)))


def test_the_gradient_is_the_loss_differentiated() -> None:
    learner = learner_of(batch_size=2, target_step=0.5, gamma=0.8)
    weights, state = learner.parameters, learner.state()
    episodes = [
        trajectory([0, 0, 1, 0, -1], [0, 5, 3, 1, 2]), trajectory([0, -1, -1], [4, 4, 0], 2)
    ]  # fmt: skip
    returns = [np.array([0.64, 0.8, 1, -0.8, -1]), np.array([-0.8, -1, -1])]
    for name in ("bias", "b1", "b2", "b3"):  # away from the ReLUs' kink, where slopes are halved
        weights[name][:] = np.random.default_rng(4).uniform(-0.2, 0.2, len(weights[name]))
    losses = [learner.add(e, weights)["loss"] for e in episodes]
    targets = []
    for episode, value, loss in zip(episodes, returns, losses, strict=True):
        frames = episode.indptr, episode.indices, episode.signs
        advantage = value / np.std(value)
        p = loss_of(weights, None, frames)
        targets.append(oracle.soft_targets(p, episode.actions, advantage, 0.5))
        assert loss == pytest.approx(loss_of(weights, targets[-1], frames), rel=1e-12)
    rng = np.random.default_rng(2)
    for name in NETWORK:
        lit = np.flatnonzero(state[f"gradient/{name}"].reshape(-1))
        for place in rng.choice(lit, 4):
            ends = []
            for move in (1e-5, -1e-5):
                moved = {key: array.copy() for key, array in weights.items()}
                moved[name].reshape(-1)[place] += move
                parts = [
                    len(e.actions) * loss_of(moved, y, (e.indptr, e.indices, e.signs))
                    for e, y in zip(episodes, targets, strict=True)
                ]
                ends.append(sum(parts))
            slope = (ends[0] - ends[1]) / 2e-5
            assert state[f"gradient/{name}"].reshape(-1)[place] == pytest.approx(slope, abs=1e-7)
    before = {name: array.copy() for name, array in weights.items()}
    mean = {name: state[f"gradient/{name}"] / 8 for name in NETWORK}  # over all 8 steps
    learner.update()
    for name in NETWORK:
        want = 1e-3 * mean[name] / (np.abs(mean[name]) + 1e-7 / np.sqrt(1e-3))
        np.testing.assert_allclose(before[name] - weights[name], want, rtol=1e-6, atol=1e-15)
        assert not state[f"gradient/{name}"].any()


def test_an_episode_of_equal_returns_changes_no_weight() -> None:
    """The reference divides by zero here, and all its weights become NaN."""
    for rewards in ([0, 0, 0], [-1, -1, -1]):
        learner = learner_of()
        weights = learner.parameters
        before = {name: array.copy() for name, array in weights.items()}
        learner.add(trajectory(rewards, [0, 1, 2]), weights)
        learner.update()
        for name in NETWORK:
            assert np.array_equal(weights[name], before[name])


def test_long_episodes_are_learned_from_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    rewards = rng.choice([0, 0, 0, 1, -1], 1100)
    whole = trajectory(rewards, rng.integers(0, 6, 1100))
    learner = learner_of()
    learner.add(whole, learner.parameters)
    monkeypatch.setattr(keras, "CHUNK", 1100)
    at_once = learner_of()
    at_once.add(whole, at_once.parameters)
    for name, array in at_once.state().items():
        np.testing.assert_allclose(learner.state()[name], array, rtol=1e-9, atol=1e-12)


# --- playing ------------------------------------------------------------------------------------


def test_all_six_actions_are_played_in_gyms_order() -> None:
    weights = learner_of().parameters
    actor = actor_of("PongDeterministic-v4")
    episode = actor.play(0, weights)
    episode.check(choices=6)
    assert np.bincount(episode.actions, minlength=6).min() > 50
    assert Emulator(find_variant(ENV)).actions == (0, 1, 3, 4, 11, 12)
    for biased, score in ((3, -21), (2, -21)):  # one that always goes one way loses
        weights["b3"][:], weights["b3"][biased] = 0, 100
        episode = actor.play(0, weights)
        assert set(episode.actions) == {biased} and episode.score == score


def test_greedy_plays_the_likeliest_action() -> None:
    weights = learner_of().parameters
    weights["w3"][:] = 0
    weights["b3"][:] = [0, 1e-3, 0, 0, 0, 0]
    episode = actor_of("PongDeterministic-v4", greedy=True).play(0, weights)
    assert set(episode.actions) == {1}


def test_actions_agree_with_the_oracle() -> None:
    """With the convolution of images. ``test_weights`` plays and learns with the other one."""
    env = "PongDeterministic-v4"
    weights = learner_of(image_conv=True).spec.initial_parameters(SEED)
    weights["bias"][:] = np.linspace(-0.1, 0.1, 32)
    exact = actor_of(env, "numpy", image_conv=True).play(0, weights)
    for backend in ("cython", "numba"):
        episode = actor_of(env, backend, image_conv=True).play(0, weights)
        for name in ("actions", "rewards", "indptr", "indices", "signs"):
            assert np.array_equal(getattr(episode, name), getattr(exact, name)), name


# --- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("image_conv", [False, True])
def test_weights_do_not_depend_on_the_workers(image_conv: bool) -> None:
    stages = conv(lag=1, batch_size=2, image_conv=image_conv)
    first, *others = [train(stages, 5, workers=workers) for workers in (1, 2, 3)]
    for found in others:
        assert scores(found.stats) == scores(first.stats)
        assert same_arrays(found.arrays, first.arrays)


@pytest.mark.parametrize(("lag", "batch_size", "stop_after"), [(0, 1, 2), (1, 2, 3)])
def test_an_interrupted_run_goes_on_bit_for_bit(lag: int, batch_size: int, stop_after: int) -> None:
    stages = conv(lag=lag, batch_size=batch_size)
    whole = train(stages, 5)
    half = train(stages, 5, stop_after=stop_after)
    rest = train(stages, 5, state=half.snapshot)
    assert scores(half.stats + rest.stats) == scores(whole.stats)
    assert same_arrays(whole.arrays, rest.arrays)
    assert int(whole.arrays["state/updates"][0]) == 5 // batch_size


def test_evaluation_plays_the_same_games_with_any_workers() -> None:
    stages = tuple(conv())
    player = Player(ENV, stages, 0, "cython", "float32", SEED)
    weights = player.plan().stages[0].spec.initial_parameters(1)
    runs = [list(evaluate(player, weights, episodes=3, workers=workers)) for workers in (1, 2)]
    assert runs[0] == runs[1] and len({game.length for game in runs[0]}) > 1


@pytest.mark.parametrize("name, value", [
    ("batch_size", 0), ("lag", -1), ("lag", 17), ("learning_rate", 0.0), ("target_step", 0.0),
    ("target_step", "far"), ("gamma", 1.1), ("adam_beta1", 1.0), ("adam_beta2", -0.1),
    ("adam_eps", 0.0), ("image_conv", 1), ("image_conv", "yes"), ("hidden", 200),
])  # fmt: skip
def test_wrong_settings_are_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: expected"):
        Config.build({"agent": "keras", name: value})
