"""Returns and advantages against those of Stable-Baselines3, CleanRL, Tianshou, TorchRL and rlox.

Each test hands over what the package's users have, by the lines that docs/kernels.md shows them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rollouts import rollout
from tolerances import KERNEL, assert_close

from fastpong import kernels

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
GAMMA, LAMBDA = 0.99, 0.95
SHAPE = (128, 8)


@pytest.fixture(scope="module", params=["cython", "numba"])
def backend(request: pytest.FixtureRequest) -> Any:
    return kernels.get_backend(request.param)


def close(got: Any, want: Any, dtype: Any = F32) -> None:
    assert_close(np.asarray(got, F64), np.asarray(want, F64), KERNEL[np.dtype(dtype)])


# --- CleanRL --------------------------------------------------------------------------------------


def cleanrl(
    rewards: Any, values: Any, dones: Any, next_value: Any, next_done: Any
) -> tuple[Any, Any]:
    """Return advantages and returns by the loop of ppo_atari.py, which is in no package."""
    advantages, last = np.zeros_like(rewards), 0.0
    for t in reversed(range(len(rewards))):
        if t == len(rewards) - 1:
            going, following = 1.0 - next_done, next_value[0]
        else:
            going, following = 1.0 - dones[t + 1], values[t + 1]
        delta = rewards[t] + GAMMA * following * going - values[t]
        advantages[t] = last = delta + GAMMA * LAMBDA * going * last
    return advantages, advantages + values


def storage(dtype: Any = F32) -> tuple[Any, ...]:
    """Return what CleanRL has stored: all of one dtype, next_value (1, N)."""
    given = rollout(SHAPE, dtype, "dones before", often=0.05)
    dones, next_done = (given[name].astype(dtype) for name in ("dones_before", "last_done"))
    return given["rewards"], given["values"], dones, given["last_value"][None], next_done


@pytest.mark.parametrize("dtype", [F32, F64])
def test_cleanrl(backend: Any, dtype: Any) -> None:
    rewards, values, dones, next_value, next_done = storage(dtype)
    want, want_returns = cleanrl(*storage(dtype))
    got = backend.gae(
        rewards, values, None, next_value, GAMMA, LAMBDA, dones_before=dones, last_done=next_done
    )
    close(got, want, dtype)
    returns = backend.lambda_returns(
        rewards, values, None, next_value, GAMMA, LAMBDA, dones_before=dones, last_done=next_done
    )
    close(returns, want_returns, dtype)


def test_cleanrl_in_tensors(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    rewards, values, dones, next_value, next_done = map(torch.from_numpy, storage())
    advantages = torch.zeros_like(rewards)
    backend.gae(
        rewards, values, None, next_value, GAMMA, LAMBDA, advantages, dones_before=dones,
        last_done=next_done,
    )  # fmt: skip
    close(advantages, cleanrl(*storage())[0])


def test_flags_of_the_wrong_convention_differ(backend: Any) -> None:
    """Else the tests above would show nothing."""
    rewards, values, dones, next_value, _ = storage()
    wrong = backend.gae(rewards, values, dones, next_value, GAMMA, LAMBDA)
    want = cleanrl(*storage())[0]
    assert np.max(np.abs(wrong - want)) > 0.1 * np.max(np.abs(want))


# --- Stable-Baselines3 ----------------------------------------------------------------------------


def test_stable_baselines3(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    buffers = pytest.importorskip("stable_baselines3.common.buffers")
    spaces = pytest.importorskip("gymnasium.spaces")
    rewards, values, dones, next_value, next_done = storage()
    buffer = buffers.RolloutBuffer(
        len(rewards), spaces.Box(0, 1, (1,)), spaces.Discrete(2), "cpu", LAMBDA, GAMMA, SHAPE[1]
    )
    buffer.rewards, buffer.values, buffer.episode_starts = rewards, values, dones
    last_values = torch.from_numpy(next_value[0])[:, None]
    buffer.compute_returns_and_advantage(last_values, next_done.astype(bool))
    ends = {"dones_before": buffer.episode_starts, "last_done": next_done.astype(bool)}
    last = last_values.flatten()
    arguments = (buffer.rewards, buffer.values, None, last, buffer.gamma, buffer.gae_lambda)
    close(backend.gae(*arguments, **ends), buffer.advantages)
    close(backend.lambda_returns(*arguments, **ends), buffer.returns)


# --- Tianshou -------------------------------------------------------------------------------------


def tianshou() -> tuple[Any, dict[str, Any]]:
    """Return the module, and a rollout with both kinds of ends, as its collector has them."""
    base = pytest.importorskip("tianshou.algorithm.algorithm_base")
    return base, rollout((400,), F64, "truncated", often=0.03)


def test_tianshou_gae(backend: Any) -> None:
    base, given = tianshou()
    values, following = given["values"], np.append(given["values"][1:], given["last_value"])
    ended = given["terminated"] | given["truncated"]
    # Its batches store V(s') of every step, of the final observations too.
    following = np.where(ended, given["next_values"], following)
    masked = following * ~given["terminated"]
    ended[-1] = True
    want = base._gae(values, masked, given["rewards"], ended, GAMMA, LAMBDA)
    got = backend.gae(
        given["rewards"], values, given["terminated"], following[-1], GAMMA, LAMBDA,
        truncated=given["truncated"], next_values=following,
    )  # fmt: skip
    close(got, want, F64)


@pytest.mark.parametrize("n", [1, 3, 10])
def test_tianshou_n_step_returns(backend: Any, n: int) -> None:
    base, given = tianshou()
    steps = len(given["rewards"])
    ended = given["terminated"] | given["truncated"]
    ended[-1] = True  # the newest step of its buffer
    indices = [np.arange(steps)]
    for _ in range(n - 1):
        indices.append(np.where(ended[indices[-1]], indices[-1], indices[-1] + 1))
    following = np.append(given["values"][1:], given["last_value"])
    following = np.where(given["truncated"], given["next_values"], following)
    target = np.where(given["terminated"], 0, following)[indices[-1]][:, None]
    stacked = np.stack(indices)
    want = base._nstep_return(given["rewards"], ended, target, stacked, GAMMA, n)
    close(backend.n_step_returns(**given, n=n, gamma=GAMMA), want[:, 0], F64)
    # A sample of its buffer is n rows of steps that follow each other.
    last = ended[stacked]
    sample = backend.n_step_returns(
        given["rewards"][stacked], None, None, target[:, 0], n, GAMMA,
        truncated=last, next_values=np.broadcast_to(target[:, 0], last.shape),
    )  # fmt: skip
    close(sample[0], want[:, 0], F64)


# --- TorchRL --------------------------------------------------------------------------------------


def torchrl() -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return the module, a rollout, and what the functions take of it: (N, T, 1) each."""
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchrl.objectives.value.functional")
    given = rollout((60, 4), F64, "truncated", often=0.05)
    following = np.concatenate([given["values"][1:], given["last_value"][None]])
    following = np.where(given["truncated"], given["next_values"], following)
    arrays = {
        "state_value": given["values"], "next_state_value": following,
        "reward": given["rewards"], "done": given["terminated"] | given["truncated"],
        "terminated": given["terminated"],
    }  # fmt: skip
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(array.T[..., None]))
        for name, array in arrays.items()
    }
    return functional, given, tensors


def rows(tensor: Any) -> Any:
    """Return (T, N)."""
    return tensor.numpy()[..., 0].T


def test_torchrl_gae(backend: Any) -> None:
    functional, given, tensors = torchrl()
    want, targets = functional.generalized_advantage_estimate(GAMMA, LAMBDA, **tensors)
    # It holds discounts in float32.
    close(backend.gae(**given, gamma=GAMMA, lambda_=LAMBDA), rows(want), F32)
    close(backend.lambda_returns(**given, gamma=GAMMA, lambda_=LAMBDA), rows(targets), F32)


def test_torchrl_lambda_returns(backend: Any) -> None:
    functional, given, tensors = torchrl()
    del tensors["state_value"]
    want = functional.td_lambda_return_estimate(GAMMA, LAMBDA, **tensors)
    close(backend.lambda_returns(**given, gamma=GAMMA, lambda_=LAMBDA), rows(want), F64)


@pytest.mark.parametrize("clip_rho, clip_c", [(1.0, 1.0), (1.2, 0.9)])
def test_torchrl_vtrace(backend: Any, clip_rho: float, clip_c: float) -> None:
    torch = pytest.importorskip("torch")
    functional, given, tensors = torchrl()
    log_pi, log_mu = (-np.random.default_rng(k).exponential(1, (60, 4)) for k in (1, 2))
    logs = {
        name: torch.from_numpy(np.ascontiguousarray(array.T[..., None]))
        for name, array in (("log_pi", log_pi), ("log_mu", log_mu))
    }
    advantages, targets = functional.vtrace_advantage_estimate(
        GAMMA, **logs, **tensors, rho_thresh=clip_rho, c_thresh=clip_c
    )
    vs, pg_advantages = backend.vtrace(
        log_pi - log_mu, **given, gamma=GAMMA, clip_rho=clip_rho, clip_c=clip_c,
        clip_pg_rho=clip_rho,
    )  # fmt: skip
    # Its discounts are float32, too.
    close(vs, rows(targets), F32)
    close(pg_advantages, rows(advantages), F32)


# --- rlox -----------------------------------------------------------------------------------------


def test_rlox_gae(backend: Any) -> None:
    rlox = pytest.importorskip("rlox")
    given = rollout(SHAPE, F32, often=0.05)
    flat = [np.ascontiguousarray(given[name].T, F32).ravel()
            for name in ("rewards", "values", "terminated")]  # fmt: skip
    want, returns = rlox.compute_gae_batched_f32(
        *flat, given["last_value"], SHAPE[0], GAMMA, LAMBDA
    )
    close(backend.gae(**given, gamma=GAMMA, lambda_=LAMBDA), want.reshape(SHAPE[::-1]).T)
    got = backend.lambda_returns(**given, gamma=GAMMA, lambda_=LAMBDA)
    close(got, returns.reshape(SHAPE[::-1]).T)


def test_rlox_vtrace(backend: Any) -> None:
    rlox = pytest.importorskip("rlox")
    given = rollout((128,), F32, often=0.05)
    log_rhos = (0.5 * np.random.default_rng(1).standard_normal(128)).astype(F32)
    want = rlox.compute_vtrace(
        log_rhos, given["rewards"], given["values"], given["terminated"].astype(F32),
        given["last_value"], GAMMA, 1.0, 1.0,
    )  # fmt: skip
    for got, theirs in zip(backend.vtrace(log_rhos, **given, gamma=GAMMA), want, strict=True):
        close(got, theirs)
