"""What users do today where they could call our optimizers and statistics, and the same with ours.

PyTorch's arms are there where it is installed, on one thread.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.wrappers.utils import RunningMeanStd as TheirMeanStd
from numpy.typing import NDArray
from shared import tolerances

from fastpong import kernels

Array = NDArray[Any]

OURS = "fastpong"
WEIGHTS = 1_280_200
"""Of the network of ``karpathy``."""
NATURE_CNN = (
    *((32, 4, 8, 8), (32,), (64, 32, 4, 4), (64,), (64, 64, 3, 3), (64,)),
    *((512, 3136), (512,), (6, 512), (6,), (1, 512), (1,)),
)
"""Shapes of the weights of CleanRL's and Stable-Baselines3's PPO on Atari."""
MLP = ((64, 4), (64,), (64, 64), (64,), (2, 64), (2,))
HAS_TORCH = importlib.util.find_spec("torch") is not None


@dataclass(frozen=True)
class Contest:
    """The same work in several ways.

    arms    : by name, ours is ``OURS``. They may change their own arrays, time after time
    results : the same ways, once each from fresh arrays, for the check
    rtol    : within which they give the same
    """

    what: str
    arms: dict[str, Callable[[], object]]
    results: dict[str, Callable[[], Array]]
    rtol: float

    def check(self) -> None:
        """Raise AssertionError unless all give the same."""
        mine = self.results[OURS]()
        for theirs in self.results.values():
            tolerances.assert_close(mine, theirs(), self.rtol)


def contests(dtype: str) -> Iterator[Contest]:
    """Yield all of them."""
    for size in (1_024, 100_000):
        yield _standardize(size, dtype)
    yield _adam(dtype)
    yield _rmsprop(dtype)
    for network, shapes in (("NatureCNN", NATURE_CNN), ("a small MLP", MLP)):
        yield _clip(network, shapes, dtype)
    yield _observations(dtype)
    yield _rewards(dtype)


def _normal(dtype: str, *shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def _torch() -> Any:
    import torch

    torch.set_num_threads(1)
    return torch


def _standardize(size: int, dtype: str) -> Contest:
    values, out = _normal(dtype, size), np.empty(size, dtype)
    arms: dict[str, Callable[[], Any]] = {
        OURS: lambda: kernels.standardize(values, out, ddof=1, epsilon=1e-8),
        "NumPy": lambda: (values - values.mean()) / (values.std(ddof=1) + 1e-8),
    }
    if HAS_TORCH:
        tensor = _torch().from_numpy(values)
        arms["PyTorch"] = lambda: ((tensor - tensor.mean()) / (tensor.std() + 1e-8)).numpy()
    return Contest(f"standardize, {size:,}", arms, arms, tolerances.TORCH[out.dtype])


def _adam(dtype: str) -> Contest:
    rates = {"learning_rate": 1e-3, "epsilon": 1e-5, "epsilon_hat": False}

    def ours() -> tuple[Callable[[], object], Array]:
        weights, gradient = _normal(dtype, WEIGHTS), _normal(dtype, WEIGHTS, seed=2)
        moments = np.zeros_like(weights), np.zeros_like(weights)
        return lambda: kernels.adam_update(weights, gradient, *moments, 1, **rates), weights

    peers = {
        "PyTorch, fused": {"fused": True},
        "PyTorch, for-loop": {"foreach": False},
    }
    return _steps("adam_update", dtype, ours, "Adam", {"lr": 1e-3, "eps": 1e-5}, peers)


def _rmsprop(dtype: str) -> Contest:
    rates = {"learning_rate": 1e-3, "epsilon": 1e-5, "maximize": False}

    def ours() -> tuple[Callable[[], object], Array]:
        weights, gradient = _normal(dtype, WEIGHTS), _normal(dtype, WEIGHTS, seed=2)
        cache = np.zeros_like(weights)
        return lambda: kernels.rmsprop_update(weights, gradient, cache, **rates), weights

    peers = {"PyTorch, for-loop": {"foreach": False}}
    return _steps("rmsprop_update", dtype, ours, "RMSprop", {"lr": 1e-3, "eps": 1e-5}, peers)


def _steps(
    what: str, dtype: str, ours: Callable[[], tuple[Callable[[], object], Array]], kind: str,
    given: dict[str, Any], peers: dict[str, dict[str, Any]],
) -> Contest:  # fmt: skip
    """Return a contest of an optimizer's steps, on the same weights and gradient."""
    makers = {OURS: ours}
    for name, more in peers.items() if HAS_TORCH else ():
        makers[name] = lambda more=more: _torch_step(kind, dtype, given | more)

    def first(make: Callable[[], tuple[Callable[[], object], Array]]) -> Array:
        step, weights = make()
        step()
        return weights

    return Contest(
        f"{what}, {WEIGHTS:,}",
        {name: make()[0] for name, make in makers.items()},
        {name: lambda make=make: first(make) for name, make in makers.items()},
        tolerances.TORCH[np.dtype(dtype)],
    )


def _torch_step(kind: str, dtype: str, given: dict[str, Any]) -> tuple[Callable[[], object], Array]:
    torch = _torch()
    weights = torch.from_numpy(_normal(dtype, WEIGHTS)).requires_grad_()
    weights.grad = torch.from_numpy(_normal(dtype, WEIGHTS, seed=2))
    return getattr(torch.optim, kind)([weights], **given).step, weights.detach().numpy()


def _clip(network: str, shapes: tuple[tuple[int, ...], ...], dtype: str) -> Contest:
    def gradients() -> list[Array]:
        return [_normal(dtype, *shape) for shape in shapes]

    def parameters() -> list[Any]:
        torch, made = _torch(), []
        for gradient in gradients():
            made.append(torch.zeros(gradient.shape, dtype=getattr(torch, dtype)))
            made[-1].grad = torch.from_numpy(gradient)
        return made

    def ours() -> Array:
        arrays = gradients()
        kernels.clip_grad_norm(arrays, 0.5)
        return np.concatenate([array.reshape(-1) for array in arrays])

    def theirs() -> Array:
        made = parameters()
        _torch().nn.utils.clip_grad_norm_(made, 0.5)
        return np.concatenate([one.grad.numpy().reshape(-1) for one in made])

    mine = gradients()
    arms: dict[str, Callable[[], object]] = {OURS: lambda: kernels.clip_grad_norm(mine, 0.5)}
    results = {OURS: ours}
    if HAS_TORCH:
        clip, other = _torch().nn.utils.clip_grad_norm_, parameters()
        arms["PyTorch"], results["PyTorch"] = lambda: clip(other, 0.5), theirs
    # PyTorch adds up float32 in float32: its norm of 1.7 million numbers is 2e-5 off.
    rtol = 1e-4 if dtype == "float32" else tolerances.TORCH[np.dtype(dtype)]
    return Contest(f"clip_grad_norm, {network}", arms, results, rtol)


def _observations(dtype: str) -> Contest:
    """As VecNormalize of Stable-Baselines3 has it: 16 environments, 17 numbers each."""
    batch = _normal(dtype, 16, 17)

    def ours() -> Callable[[], Array]:
        normalizer = kernels.ObservationNormalizer((17,))
        return lambda: normalizer(batch)

    def theirs() -> Callable[[], Array]:
        moments = TheirMeanStd(shape=(17,))

        def normalize() -> Array:
            moments.update(batch)
            scaled = (batch - moments.mean) / np.sqrt(moments.var + 1e-8)
            return np.clip(scaled, -10, 10).astype(np.float32)

        return normalize

    return _stateful("ObservationNormalizer, 16 x 17", ours, theirs)


def _rewards(dtype: str) -> Contest:
    rewards, dones = _normal(dtype, 16), np.zeros(16, bool)

    def ours() -> Callable[[], Array]:
        normalizer = kernels.RewardNormalizer(16)
        return lambda: normalizer(rewards, dones)

    def theirs() -> Callable[[], Array]:
        moments, returns = TheirMeanStd(shape=()), np.zeros(16)

        def normalize() -> Array:
            returns[:] = returns * 0.99 + rewards
            moments.update(returns)
            scaled = np.clip(rewards / np.sqrt(moments.var + 1e-8), -10, 10).astype(np.float32)
            returns[dones] = 0
            return scaled

        return normalize

    return _stateful("RewardNormalizer, 16", ours, theirs)


def _stateful(
    what: str, ours: Callable[[], Callable[[], Array]], theirs: Callable[[], Callable[[], Array]]
) -> Contest:
    makers = {OURS: ours, "VecNormalize's NumPy": theirs}
    arms = {name: make() for name, make in makers.items()}
    results = {name: lambda make=make: make()() for name, make in makers.items()}
    return Contest(what, arms, results, tolerances.NORMALIZED)
