"""The same returns and advantages by fastpong, by plain loops and by other packages.

Every package gets its arguments in its own layout and dtype, made before the clock runs, and
allocates its own outputs, as fastpong does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpong import kernels

Array = NDArray[Any]
GAMMA, LAMBDA = 0.99, 0.95


@dataclass(frozen=True)
class Arm:
    """A call. ``result`` returns its outputs as (T, N), or (T,)."""

    run: Callable[[], Any]
    result: Callable[[], tuple[Array, ...]]


Arms = dict[str, Arm]


@dataclass(frozen=True)
class Data:
    """A rollout in float32, with episodes of a hundred steps on average."""

    rewards: Array
    values: Array
    terminated: Array
    last_value: Array
    log_rhos: Array

    @classmethod
    def draw(cls, steps: int, columns: int) -> Data:
        rng = np.random.default_rng(5)
        rewards, values, log_rhos = rng.standard_normal((3, steps, columns)).astype(np.float32)
        ends = rng.random((steps, columns)) < 0.01
        last = rng.standard_normal(columns).astype(np.float32)
        return cls(rewards, values, ends, last, 0.3 * log_rhos)

    @property
    def before(self) -> Array:
        """Return the ends as CleanRL and Stable-Baselines3 store them, in float32."""
        return np.concatenate([self.terminated[:1] * 0, self.terminated[:-1]]).astype(np.float32)

    def lines(self, array: Array, dtype: str = "float32") -> Array:
        """Return environment after environment, in one row."""
        return np.ascontiguousarray(array.T).astype(dtype).ravel()

    def rows(self, line: Any) -> Array:
        """Return (T, N) of such a row."""
        return np.asarray(line).reshape(self.rewards.shape[::-1]).T


def _arm(run: Callable[[], Any], shaped: Callable[[Any], Array] = np.asarray) -> Arm:
    def result() -> tuple[Array, ...]:
        got = run()
        return tuple(shaped(one) for one in (got if isinstance(got, tuple) else (got,)))

    return Arm(run, result)


def installed(*names: str) -> bool:
    return all(find_spec(name) is not None for name in names)


# --- advantages -----------------------------------------------------------------------------------


def gae(data: Data) -> Arms:
    """Return advantages by each of them. NumPy's is the first."""
    arms = {
        "NumPy": _arm(lambda: _plain_gae(data)),
        "fastpong": _arm(
            lambda: kernels.gae(
                data.rewards, data.values, data.terminated, data.last_value, GAMMA, LAMBDA
            )
        ),
    }
    for peer in (_sb3, _cleanrl, _tianshou_gae, _rlox_gae):
        arms |= peer(data)
    return arms


def _plain_gae(data: Data) -> Array:
    advantages, carried = np.zeros_like(data.rewards), np.zeros_like(data.last_value)
    following = data.last_value
    for t in reversed(range(len(data.rewards))):
        going = 1.0 - data.terminated[t]
        delta = data.rewards[t] + GAMMA * following * going - data.values[t]
        carried = delta + GAMMA * LAMBDA * going * carried
        advantages[t], following = carried, data.values[t]
    return advantages


def _sb3(data: Data) -> Arms:
    """Return its buffer's own method, and the same through ours: advantages and returns."""
    if not installed("stable_baselines3", "gymnasium"):
        return {}
    import torch
    from gymnasium import spaces
    from stable_baselines3.common.buffers import RolloutBuffer

    steps, columns = data.rewards.shape
    buffer = RolloutBuffer(
        steps, spaces.Box(0, 1, (1,)), spaces.Discrete(2), "cpu", LAMBDA, GAMMA, columns
    )
    buffer.rewards, buffer.values, buffer.episode_starts = data.rewards, data.values, data.before
    last, dones = torch.from_numpy(data.last_value)[:, None], data.terminated[-1]

    def theirs() -> Array:
        buffer.compute_returns_and_advantage(last, dones)
        return buffer.advantages

    def ours() -> Array:
        kernels.gae(
            buffer.rewards, buffer.values, None, last.numpy().ravel(), buffer.gamma,
            buffer.gae_lambda, buffer.advantages, dones_before=buffer.episode_starts,
            last_done=dones,
        )  # fmt: skip
        buffer.returns = buffer.advantages + buffer.values
        return buffer.advantages

    return {"SB3": _arm(theirs), "SB3 with fastpong": _arm(ours)}


def _cleanrl(data: Data) -> Arms:
    """Return the loop of ppo_atari.py on tensors, and the same through ours."""
    if not installed("torch"):
        return {}
    import torch

    arrays = (data.rewards, data.values, data.before, data.last_value[None])
    rewards, values, dones, next_value = map(torch.from_numpy, arrays)
    next_done = torch.from_numpy(data.terminated[-1].astype(np.float32))

    def theirs() -> Any:
        with torch.no_grad():
            advantages, last = torch.zeros_like(rewards), 0
            for t in reversed(range(len(rewards))):
                if t == len(rewards) - 1:
                    going, following = 1.0 - next_done, next_value
                else:
                    going, following = 1.0 - dones[t + 1], values[t + 1]
                delta = rewards[t] + GAMMA * following * going - values[t]
                advantages[t] = last = delta + GAMMA * LAMBDA * going * last
            _ = advantages + values
        return advantages

    def ours() -> Any:
        advantages = torch.zeros_like(rewards)
        kernels.gae(
            rewards, values, None, next_value, GAMMA, LAMBDA, advantages, dones_before=dones,
            last_done=next_done,
        )  # fmt: skip
        _ = advantages + values
        return advantages

    return {"CleanRL": _arm(theirs), "CleanRL with fastpong": _arm(ours)}


def _tianshou_gae(data: Data) -> Arms:
    if not installed("tianshou"):
        return {}
    from tianshou.algorithm.algorithm_base import _gae

    following = np.concatenate([data.values[1:], data.last_value[None]]) * ~data.terminated
    rewards, values, after = (
        data.lines(array, "float64") for array in (data.rewards, data.values, following)
    )
    ends = data.terminated.copy()
    ends[-1] = True  # its environments stand one after the other
    flags = data.lines(ends, "bool")
    return {"Tianshou": _arm(lambda: _gae(values, after, rewards, flags, GAMMA, LAMBDA), data.rows)}


def _rlox_gae(data: Data) -> Arms:
    if not installed("rlox"):
        return {}
    import rlox

    arrays = [data.lines(array) for array in (data.rewards, data.values, data.terminated)]
    steps = len(data.rewards)

    def run() -> Any:
        return rlox.compute_gae_batched_f32(*arrays, data.last_value, steps, GAMMA, LAMBDA)

    return {"rlox": Arm(run, lambda: (data.rows(run()[0]),))}


# --- V-trace --------------------------------------------------------------------------------------


def vtrace(data: Data) -> Arms:
    """Return targets and advantages by each of them. The oracle is the first."""
    given = (data.log_rhos, data.rewards, data.values, data.terminated, data.last_value, GAMMA)
    oracle = kernels.get_backend("numpy")
    arms = {
        "NumPy": _arm(lambda: oracle.vtrace(*given)),
        "fastpong": _arm(lambda: kernels.vtrace(*given)),
    }
    return arms | _rlox_vtrace(data) | _torchrl_vtrace(data)


def _rlox_vtrace(data: Data) -> Arms:
    """Return its function, environment by environment, as its IMPALA calls it."""
    if not installed("rlox"):
        return {}
    import rlox

    arrays = (data.log_rhos, data.rewards, data.values, data.terminated)
    columns = [np.ascontiguousarray(array.T, np.float32) for array in arrays]
    last = data.last_value.tolist()

    def run() -> Any:
        return [
            rlox.compute_vtrace(*each, value, GAMMA, 1.0, 1.0)
            for *each, value in zip(*columns, last, strict=True)
        ]

    return {"rlox": Arm(run, lambda: tuple(np.stack(part).T for part in zip(*run(), strict=True)))}


def _torchrl_vtrace(data: Data) -> Arms:
    if not installed("torchrl"):
        return {}
    import torch
    from torchrl.objectives.value.functional import vtrace_advantage_estimate

    following = np.concatenate([data.values[1:], data.last_value[None]])
    arrays = (data.log_rhos, 0 * data.log_rhos, data.values, following, data.rewards)
    ends = (data.terminated, data.terminated)
    tensors = [
        torch.from_numpy(np.ascontiguousarray(array.T[..., None])) for array in (*arrays, *ends)
    ]

    def run() -> Any:
        return vtrace_advantage_estimate(GAMMA, *tensors)

    def result() -> tuple[Array, ...]:
        advantages, targets = run()
        return targets.numpy()[..., 0].T, advantages.numpy()[..., 0].T

    return {"TorchRL": Arm(run, result)}


# --- n-step and discounted returns ----------------------------------------------------------------


def n_step(data: Data, n: int = 3) -> Arms:
    """Return n-step returns of all steps of a rollout, (T, 1), by each of them."""
    given = (data.rewards, data.values, data.terminated, data.last_value, n, GAMMA)
    oracle = kernels.get_backend("numpy")
    arms = {
        "NumPy": _arm(lambda: oracle.n_step_returns(*given)),
        "fastpong": _arm(lambda: kernels.n_step_returns(*given)),
    }
    return arms | _tianshou_samples(data, n)


def _tianshou_samples(data: Data, n: int) -> Arms:
    """Return its function, and ours on the n rows of steps that it gathers.

    Gathering is the first thing that its function does, and is part of both.
    """
    if not installed("tianshou"):
        return {}
    from tianshou.algorithm.algorithm_base import _nstep_return

    ends = data.terminated[:, 0].copy()
    ends[-1] = True
    stacked = [np.arange(len(ends))]
    for _ in range(n - 1):
        stacked.append(np.where(ends[stacked[-1]], stacked[-1], stacked[-1] + 1))
    following = np.append(data.values[1:, 0], data.last_value)
    target = np.where(data.terminated[:, 0], 0, following)[stacked[-1]]
    rewards, indices = data.rewards[:, 0].astype(np.float64), np.stack(stacked)
    column = target[:, None].astype(np.float64)
    row, none = column[:, 0].copy(), np.zeros((n, len(ends)))

    def theirs() -> Array:
        return _nstep_return(rewards, ends, column, indices, GAMMA, n)

    def ours() -> Array:
        last = ends[indices]
        return kernels.n_step_returns(
            rewards[indices], None, None, row, n, GAMMA, truncated=last, next_values=none + row
        )

    return {
        "Tianshou": _arm(theirs),
        "Tianshou with fastpong": _arm(ours, lambda returns: returns[0][:, None]),
    }


def discounted(data: Data) -> Arms:
    """Return discounted returns by the reference's loop and ours, (T,).

    The reference stacks its rewards as (T, 1) in float64, so that each of them is an array.
    """
    rewards = (data.rewards[:, 0] * data.terminated[:, 0]).astype(np.float32)
    stacked = np.vstack(rewards.tolist())
    return {
        "NumPy": _arm(lambda: _reference(stacked), np.ravel),
        "NumPy, (T,)": _arm(lambda: _reference(rewards)),
        "fastpong": _arm(lambda: kernels.discount_rewards(rewards, GAMMA)),
    }


def _reference(rewards: Array) -> Array:
    out, running = np.zeros_like(rewards), 0
    for t in reversed(range(rewards.size)):
        if rewards[t] != 0:
            running = 0  # a point was made
        running = running * GAMMA + rewards[t]
        out[t] = running
    return out
