"""Prioritised replay in the DQN of Stable-Baselines3."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.env_util import make_vec_env

from fastpong.wrappers.sb3 import PrioritizedDQN, PrioritizedReplayBuffer

SCREENS = spaces.Box(0, 255, (2, 6, 5), np.uint8)
ACTIONS = spaces.Discrete(4)
FIELDS = ("observations", "actions", "next_observations", "dones", "rewards")


def add_steps(buffers: list[Any], steps: int, n_envs: int, seed: int = 1) -> None:
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 256, (n_envs, 2, 6, 5), np.uint8)
    for _ in range(steps):
        after = rng.integers(0, 256, before.shape, np.uint8)
        actions, rewards, dones = rng.integers(0, 4, n_envs), rng.random(n_envs), rng.random(n_envs)
        infos = [{"TimeLimit.truncated": bool(rng.random() < 0.5)} for _ in range(n_envs)]
        for buffer in buffers:
            buffer.add(before, after, actions, rewards, dones < 0.2, infos)
        before = after


def buffers(n_envs: int, optimize: bool, **settings: Any) -> tuple[Any, Any]:
    """Return SB3's buffer and ours, of the same arguments."""
    shared: dict[str, Any] = {
        "n_envs": n_envs,
        "device": "cpu",
        "optimize_memory_usage": optimize,
        "handle_timeout_termination": not optimize,
    }
    given = 20 * n_envs, SCREENS, ACTIONS
    return ReplayBuffer(*given, **shared), PrioritizedReplayBuffer(*given, **shared, **settings)


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("n_envs, steps", [(1, 5), (1, 50), (3, 33)])
def test_with_alpha_0_the_samples_are_sb3s(n_envs: int, steps: int, optimize: bool) -> None:
    theirs, ours = buffers(n_envs, optimize, alpha=0.0)
    add_steps([theirs, ours], steps, n_envs)
    for seed in range(3):
        np.random.seed(seed)
        want, after = theirs.sample(11), np.random.random()
        np.random.seed(seed)
        got = ours.sample(11)
        assert np.random.random() == after  # no more was drawn, and no less
        for name in FIELDS:
            assert torch.equal(getattr(got, name), getattr(want, name))
        assert got.discounts is None and bool((got.weights == 1).all())
        ours.update_priorities(got.indices, torch.randn(11, 1))


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("n_envs, steps", [(1, 7), (3, 50)])
def test_a_sample_is_the_stored_transition(n_envs: int, steps: int, optimize: bool) -> None:
    theirs, ours = buffers(n_envs, optimize)
    add_steps([theirs, ours], steps, n_envs)
    np.random.seed(4)
    batch = ours.sample(200)
    rows, envs = np.divmod(batch.indices, n_envs)
    after = (rows + 1) % 20
    ends = theirs.dones[rows, envs] * (1 - theirs.timeouts[rows, envs])
    wanted = {
        "observations": theirs.observations[rows, envs],
        "actions": theirs.actions[rows, envs],
        "next_observations": (
            theirs.observations[after, envs] if optimize else theirs.next_observations[rows, envs]
        ),
        "dones": ends[:, None],
        "rewards": theirs.rewards[rows, envs][:, None],
    }
    for name, want in wanted.items():
        np.testing.assert_array_equal(getattr(batch, name).numpy(), want)
    if optimize and theirs.full:  # the observation there is the successor of the newest one
        assert theirs.pos not in rows


def test_priorities_and_weights_are_the_papers() -> None:
    _, ours = buffers(2, False, alpha=0.5, beta=0.3, epsilon=0.01)
    add_steps([ours], 20, 2)
    errors = torch.linspace(-2, 3, 40).reshape(-1, 1)
    ours.update_priorities(np.arange(40), errors)
    held = (np.abs(errors.numpy().ravel().astype(np.float64)) + 0.01) ** 0.5
    np.testing.assert_array_equal(ours.tree.get(np.arange(40)), held)
    np.random.seed(1)
    draws = np.random.random_sample(5000)
    np.random.seed(1)
    batch = ours.sample(5000)
    edges = np.cumsum(held)
    expected = np.searchsorted(edges, (np.arange(5000) + draws) / 5000 * edges[-1], "right")
    assert (batch.indices != expected).mean() < 0.001
    weights = (held.min() / held[batch.indices]) ** 0.3
    np.testing.assert_allclose(batch.weights.numpy().ravel(), weights, rtol=1e-6)
    add_steps([ours], 1, 2)
    assert (ours.tree.get(np.array([0, 1])) == held.max()).all()


def test_bad_arguments_are_refused() -> None:
    for name, value in (("alpha", 1.5), ("beta", -0.1), ("epsilon", 0.0), ("alpha", np.nan)):
        with pytest.raises(ValueError, match=rf"^{name}: expected"):
            buffers(1, False, **{name: value})
    _, ours = buffers(1, False)
    with pytest.raises(ValueError, match=r"^priorities: expected one above 0"):
        ours.sample(1)
    add_steps([ours], 5, 1)
    with pytest.raises(ValueError, match=r"^td_errors: expected .* got nan"):
        ours.update_priorities(np.array([0]), torch.tensor([float("nan")]))
    with pytest.raises(ValueError, match=r"^indices: expected"):
        ours.update_priorities(np.array([20]), torch.tensor([1.0]))
    ours.reset()
    assert ours.tree.sum() == 0 and ours.size() == 0


def test_priorities_come_too_late_for_an_overwritten_observation() -> None:
    _, ours = buffers(2, True)
    add_steps([ours], 47, 2)
    before = ours.tree.get(np.arange(20))
    assert (before == 0).sum() == 2  # the row whose observations are the newest successors
    ours.update_priorities(np.arange(20), np.ones(20))
    assert ((ours.tree.get(np.arange(20)) > 0) == (before > 0)).all()
    _, empty = buffers(1, False)
    empty.update_priorities(np.array([5]), np.ones(1))
    assert empty.tree.sum() == 0


def learned(kind: Any, n_envs: int, steps: int = 600, **settings: Any) -> Any:
    torch.set_num_threads(1)
    env = make_vec_env("CartPole-v1", n_envs=n_envs, seed=3)
    model = kind(
        "MlpPolicy", env, seed=3, learning_starts=100, buffer_size=300, train_freq=4,
        target_update_interval=50, policy_kwargs={"net_arch": [8]}, device="cpu", **settings,
    )  # fmt: skip
    return model.learn(steps)


@pytest.mark.parametrize("n_envs", [1, 2])
def test_dqn_with_alpha_0_learns_sb3s_weights(n_envs: int) -> None:
    theirs = learned(DQN, n_envs).policy.state_dict()
    ours = learned(PrioritizedDQN, n_envs, replay_buffer_kwargs={"alpha": 0.0}).policy.state_dict()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


def test_dqn_updates_priorities_and_raises_beta(tmp_path: Any) -> None:
    model = learned(PrioritizedDQN, 1, replay_buffer_kwargs={"beta": 0.2}, final_beta=0.8)
    assert len(set(model.replay_buffer.tree.get(np.arange(300)).tolist())) > 100
    assert model.replay_buffer.beta == pytest.approx(0.8)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer")
    again = PrioritizedDQN.load(tmp_path / "model")
    again.load_replay_buffer(tmp_path / "buffer")
    assert again.final_beta == 0.8
    for buffer in (again.replay_buffer, pickle.loads(pickle.dumps(model.replay_buffer))):
        assert buffer.tree.sum() == model.replay_buffer.tree.sum()


def test_dqn_prefers_large_errors() -> None:
    """The loss weighs by w: with beta 1 the expected gradient is the uniform one's."""
    model = learned(PrioritizedDQN, 1)
    buffer = model.replay_buffer
    buffer.update_priorities(np.arange(300), np.where(np.arange(300) < 3, 1e3, 1e-3))
    np.random.seed(0)
    batch = buffer.sample(100)
    assert (batch.indices < 3).mean() > 0.5
    errors, loss = model._loss(batch)
    plain = torch.nn.functional.smooth_l1_loss(errors, torch.zeros_like(errors), reduction="none")
    assert float(loss.detach()) == pytest.approx(float((batch.weights * plain).mean().detach()))


def test_dqn_refuses_another_buffer() -> None:
    with pytest.raises(TypeError, match=r"^replay_buffer_class: expected PrioritizedReplayBuffer"):
        PrioritizedDQN("MlpPolicy", "CartPole-v1", replay_buffer_class=ReplayBuffer)
