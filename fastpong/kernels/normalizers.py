"""Running statistics and normalizers that hold their state, on the kernels of ``statistics``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from fastpong.arrays import Array, Doubles
from fastpong.kernels import checks
from fastpong.kernels.backend import Backend, get_backend

Shape = tuple[int, ...]
State = Mapping[str, Any]
Compat = Literal["sb3", "gymnasium"]


class RunningMeanStd:
    """Mean and variance of all that was seen, element by element.

    shape   : of one observation, () for numbers
    epsilon : count to begin with, > 0: mean 0 and variance 1 weigh so much
    backend : None is the default one

    mean, var : float64, of this shape,  count : rows so far, a float

    As ``RunningMeanStd`` of gymnasium and Stable-Baselines3, but for roundings.
    """

    def __init__(
        self, shape: Shape = (), epsilon: float = 1e-4, backend: Backend | None = None
    ) -> None:
        self.shape, self.kernels = _shape(shape), backend or get_backend()
        self.mean: Doubles = np.zeros(self.shape)
        self.var: Doubles = np.ones(self.shape)
        self.counted: Doubles = np.full(1, _above_zero("epsilon", epsilon))

    @property
    def count(self) -> float:
        """Return how many rows were seen."""
        return float(self.counted[0])

    def update(self, batch: Array) -> None:
        """Add a batch, (N, *shape), of any kind of real numbers."""
        self.add(_floats(batch), "batch")

    def add(self, batch: Array, name: str) -> None:
        """Add a batch of floats, under the name that errors have for it."""
        if batch.shape[1:] != self.shape or not batch.ndim:
            raise ValueError(f"{name}: expected shape (N, *{self.shape}), got {batch.shape}")
        rows = batch.reshape(len(batch), self.mean.size)
        self.kernels.update_mean_var(
            rows, self.mean.reshape(-1), self.var.reshape(-1), self.counted
        )

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all that ``load_state_dict`` restores, by name."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state_dict(self, state: State) -> None:
        """Restore what ``state_dict`` returned."""
        _load(self._arrays(), state)

    def _arrays(self) -> dict[str, Array]:
        return {"mean": self.mean, "var": self.var, "count": self.counted}


class ObservationNormalizer:
    """Normalizes observations by their running mean and variance.

        (x - mean) / sqrt(var + epsilon),   cut to [-clip, clip]

    shape    : of one observation
    clip     : > 0, or None to clip nothing, as gymnasium's ``NormalizeObservation``
    training : update the statistics at each call. Set it to False for evaluation
    backend  : None is the default one

    As the observations of Stable-Baselines3's ``VecNormalize``, but for roundings.
    """

    def __init__(
        self,
        shape: Shape,
        epsilon: float = 1e-8,
        clip: float | None = 10.0,
        backend: Backend | None = None,
    ) -> None:
        self.statistics = RunningMeanStd(shape, backend=backend)
        self.epsilon, self.clip = _above_zero("epsilon", epsilon), _clip(clip)
        self.training = True

    def __call__(self, observations: Array) -> Array:
        """Update the statistics, if training, and return what ``normalize`` does.

        observations : (N, *shape), of N environments, or one, of this shape
        """
        floats = _floats(observations)
        if self.training:
            one = floats.shape == self.statistics.shape
            self.statistics.add(floats[None] if one else floats, "observations")
        return self._normalized(floats)

    def normalize(self, observations: Array) -> Array:
        """Return normalized observations in float32, in a new array."""
        return self._normalized(_floats(observations))

    def _normalized(self, floats: Array) -> Array:
        known = self.statistics
        if known.shape not in (floats.shape, floats.shape[1:]):
            raise ValueError(
                f"observations: expected shape {known.shape} or (N, *{known.shape}), "
                f"got {floats.shape}"
            )
        found = known.kernels.normalize_observations(
            floats.reshape(-1, known.mean.size), known.mean.reshape(-1), known.var.reshape(-1),
            self.epsilon, self.clip,
        )  # fmt: skip
        return found.reshape(floats.shape).astype(np.float32, copy=False)

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the statistics, by name."""
        return self.statistics.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Restore what ``state_dict`` returned."""
        self.statistics.load_state_dict(state)


class RewardNormalizer:
    """Normalizes rewards by the running deviation of their discounted returns.

        G_t = r_t + gamma G_{t-1},   r_t / sqrt(var of all G + epsilon),   cut to [-clip, clip]

    n_envs   : N, environments side by side
    gamma    : in [0, 1]
    clip     : > 0, or None to clip nothing, as gymnasium
    compat   : "sb3": G is 0 after a step that is done, as in ``VecNormalize``. "gymnasium": G is 0
               before the reward of a step that is terminated, as in ``NormalizeReward``
    training : update the statistics at each call. Set it to False for evaluation
    backend  : None is the default one
    """

    def __init__(
        self,
        n_envs: int = 1,
        gamma: float = 0.99,
        epsilon: float = 1e-8,
        clip: float | None = 10.0,
        compat: Compat = "sb3",
        backend: Backend | None = None,
    ) -> None:
        if compat not in ("sb3", "gymnasium"):
            raise ValueError(f"compat: expected 'sb3' or 'gymnasium', got {compat!r}")
        self.statistics, self.compat = RunningMeanStd(backend=backend), compat
        self.gamma, self.epsilon = checks.fraction("gamma", gamma), _above_zero("epsilon", epsilon)
        self.clip, self.training = _clip(clip), True
        self.returns: Doubles = np.zeros(checks.count("n_envs", n_envs))
        self.episode_starts = np.zeros(len(self.returns), np.uint8)

    def __call__(self, rewards: Array | float, dones: Array | bool) -> Array:
        """Return normalized rewards in float32, in a new array.

        rewards : (N,) of any kind of real numbers, or a number for one environment
        dones   : the same shape, bool or integer. With ``compat="gymnasium"`` terminated alone
        """
        floats, ends = _floats(rewards), np.asarray(dones)
        for name, array in (("rewards", floats), ("dones", ends)):
            if array.shape != self.returns.shape and (array.ndim or len(self.returns) > 1):
                raise ValueError(f"{name}: expected shape {self.returns.shape}, got {array.shape}")
        ended = (ends.reshape(-1) != 0).astype(np.uint8)
        starts = self.episode_starts if self.compat == "sb3" else ended
        found = self._normalized(floats.reshape(-1), starts)
        self.episode_starts[:] = ended
        return found.reshape(floats.shape).astype(np.float32, copy=False)

    def _normalized(self, rewards: Array, starts: Array) -> Array:
        known = self.statistics
        if not self.training and self.compat == "gymnasium":  # it follows the returns all the same
            self.returns[:] = self.returns * self.gamma * (1 - starts) + rewards
        elif not self.training:
            self.returns[starts != 0] = 0
        return known.kernels.normalize_rewards(
            rewards, starts, self.returns, known.mean.reshape(-1), known.var.reshape(-1),
            known.counted, self.gamma, self.epsilon, self.clip, self.training,
        )  # fmt: skip

    def reset(self) -> None:
        """Begin all returns anew, as all environments do. The statistics stay."""
        self.returns[:], self.episode_starts[:] = 0, 0

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all that ``load_state_dict`` restores, by name."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state_dict(self, state: State) -> None:
        """Restore what ``state_dict`` returned."""
        _load(self._arrays(), state)

    def _arrays(self) -> dict[str, Array]:
        own: dict[str, Array] = {"returns": self.returns, "episode_starts": self.episode_starts}
        return own | self.statistics._arrays()


def _floats(values: object) -> Array:
    """Return an array, integers and halves in a float dtype that holds them."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        return array  # the kernel says what is wrong with it
    return array.astype(np.result_type(array.dtype, np.float32), copy=False)


def _shape(shape: Shape) -> Shape:
    if not isinstance(shape, tuple):
        raise TypeError(f"shape: expected a tuple of integers, got {type(shape).__name__}")
    return tuple(checks.count("shape", length) for length in shape)


def _above_zero(name: str, value: object) -> float:
    number = checks.real(name, value)
    if not number > 0:
        raise ValueError(f"{name}: expected a number > 0, got {value!r}")
    return number


def _clip(value: float | None) -> float | None:
    return None if value is None else _above_zero("clip", value)


def _load(arrays: Mapping[str, Array], state: State) -> None:
    """Copy a state into arrays, all of it or nothing."""
    if set(arrays) != set(state):
        raise ValueError(f"state: expected {', '.join(arrays)}, got {', '.join(map(str, state))}")
    for name, array in arrays.items():
        given = np.asarray(state[name])
        if given.shape != array.shape or given.dtype.kind not in "biuf":
            raise ValueError(
                f"{name}: expected numbers of shape {array.shape}, got {given.dtype} of shape "
                f"{given.shape}"
            )
        if not np.all(np.isfinite(given)) or (name in ("var", "count") and np.any(given < 0)):
            raise ValueError(f"{name}: expected finite numbers, of var and count >= 0, got others")
    for name, array in arrays.items():
        array[...] = state[name]
