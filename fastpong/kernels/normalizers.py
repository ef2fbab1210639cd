"""Running statistics and normalizers that hold their state, on the kernels of ``statistics``."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from fastpong.arrays import Array, Doubles
from fastpong.kernels import checks
from fastpong.kernels.backend import Backend, get_backend
from fastpong.kernels.foreign import is_array, plain

Shape = tuple[int, ...]
State = Mapping[str, object]
Compat = Literal["sb3", "gymnasium"]


class Stateful(abc.ABC):
    """Saves and restores a state of arrays."""

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all that ``load_state_dict`` restores, by name."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state_dict(self, state: State) -> None:
        """Restore what ``state_dict`` returned."""
        _load(self._arrays(), state)

    @abc.abstractmethod
    def _arrays(self) -> dict[str, Array]:
        """Return the arrays themselves, by name."""


class RunningMeanStd(Stateful):
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
        self.shape = _shape(shape)
        self.backend = (backend or get_backend()).name
        self.raw = get_backend(self.backend).raw.family("statistics")
        size = math.prod(self.shape)
        self.row_mean: Doubles = np.zeros(size)
        self.row_var: Doubles = np.ones(size)
        self.counted: Doubles = np.full(1, _above_zero("epsilon", epsilon))

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "raw"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self.raw = get_backend(self.backend).raw.family("statistics")

    @property
    def mean(self) -> Doubles:
        """Return the means, to be read or written into."""
        return self.row_mean.reshape(self.shape)

    @property
    def var(self) -> Doubles:
        """Return the variances, to be read or written into."""
        return self.row_var.reshape(self.shape)

    @property
    def count(self) -> float:
        """Return how many rows were seen."""
        return float(self.counted[0])

    def update(self, batch: Array) -> None:
        """Add a batch, (N, *shape), of any kind of real numbers."""
        rows = _floats("batch", batch)
        if rows.shape[1:] != self.shape or not rows.ndim:
            raise ValueError(f"batch: expected shape (N, *{self.shape}), got {rows.shape}")
        self.add(rows.reshape(-1, len(self.row_mean)))

    def add(self, rows: Array) -> None:
        """Add checked rows, (N, D) float32 or float64 and C-contiguous."""
        self.raw.update_mean_var(rows, self.row_mean, self.row_var, self.counted)

    def _arrays(self) -> dict[str, Array]:
        return {"mean": self.mean, "var": self.var, "count": self.counted}


class ObservationNormalizer(Stateful):
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
        self.epsilon, self.clip = _above_zero("epsilon", epsilon), checks.limit("clip", clip)
        self.training = True

    def __call__(self, observations: Array) -> Array:
        """Update the statistics, if training, and return what ``normalize`` does.

        observations : (N, *shape), of N environments, or one, of this shape
        """
        rows, shape = self._rows(observations)
        if self.training:
            self.statistics.add(rows)
        return self._normalized(rows, shape)

    def normalize(self, observations: Array) -> Array:
        """Return normalized observations in float32, in a new array."""
        return self._normalized(*self._rows(observations))

    def _rows(self, observations: Array) -> tuple[Array, Shape]:
        """Return (N, D) and the shape before."""
        floats, shape = _floats("observations", observations), self.statistics.shape
        if shape not in (floats.shape, floats.shape[1:]):
            raise ValueError(
                f"observations: expected shape {shape} or (N, *{shape}), got {floats.shape}"
            )
        return floats.reshape(-1, len(self.statistics.row_mean)), floats.shape

    def _normalized(self, rows: Array, shape: Shape) -> Array:
        known, out = self.statistics, np.empty_like(rows)
        known.raw.normalize_observations(
            rows, known.row_mean, known.row_var, self.epsilon, self.clip, out
        )
        return out.reshape(shape).astype(np.float32, copy=False)

    def _arrays(self) -> dict[str, Array]:
        return self.statistics._arrays()


class RewardNormalizer(Stateful):
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
        self.compat = checks.choice("compat", compat, ("sb3", "gymnasium"))
        self.statistics = RunningMeanStd(backend=backend)
        self.gamma, self.epsilon = checks.fraction("gamma", gamma), _above_zero("epsilon", epsilon)
        self.clip, self.training = checks.limit("clip", clip), True
        number = checks.count("n_envs", n_envs)
        checks.addressable("n_envs", number, 8)
        self.returns: Doubles = np.zeros(number)
        self.episode_starts = np.zeros((1, len(self.returns)), np.uint8)

    def __call__(self, rewards: Array | float, dones: Array | bool) -> Array:
        """Return normalized rewards in float32, in a new array.

        rewards : (N,) of any kind of real numbers, or a number for one environment
        dones   : the same shape, bool or integer. With ``compat="gymnasium"`` terminated alone
        """
        floats, ends = _floats("rewards", rewards), _numbers("dones", dones)
        for name, array in (("rewards", floats), ("dones", ends)):
            if array.shape != self.returns.shape and (array.ndim or len(self.returns) > 1):
                raise ValueError(f"{name}: expected shape {self.returns.shape}, got {array.shape}")
        ended = (ends.reshape(1, -1) != 0).view(np.uint8)
        starts = self.episode_starts if self.compat == "sb3" else ended
        out = self._normalized(floats.reshape(1, -1), starts)
        self.episode_starts[:] = ended
        return out.reshape(floats.shape).astype(np.float32, copy=False)

    def _normalized(self, rewards: Array, starts: Array) -> Array:
        known, out = self.statistics, np.empty_like(rewards)
        if not self.training and self.compat == "gymnasium":  # it follows the returns all the same
            self.returns[:] = self.returns * self.gamma * (1 - starts[0]) + rewards[0]
        elif not self.training:
            self.returns[starts[0] != 0] = 0
        known.raw.normalize_rewards(
            rewards, starts, self.returns, known.row_mean, known.row_var, known.counted,
            self.gamma, self.epsilon, self.clip, bool(self.training), out,
        )  # fmt: skip
        return out

    def reset(self) -> None:
        """Begin all returns anew, as all environments do. The statistics stay."""
        self.returns[:], self.episode_starts[:] = 0, 0

    def _arrays(self) -> dict[str, Array]:
        own: dict[str, Array] = {"returns": self.returns, "episode_starts": self.episode_starts}
        return own | self.statistics._arrays()


def _numbers(name: str, values: object) -> Array:
    """Return an array of real numbers."""
    try:
        array = plain(name, values) if is_array(values) else np.asarray(values)
    except ValueError as error:
        raise TypeError(f"{name}: expected an array of real numbers: {error}") from error
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"{name}: expected real numbers of up to 64 bits, got {array.dtype}")
    return array


def _floats(name: str, values: object) -> Array:
    """Return float32 or float64, C-contiguous and aligned. Of integers one that holds them."""
    array = _numbers(name, values)
    if array.dtype.char not in "fd" or not array.dtype.isnative:
        array = array.astype(np.result_type(array.dtype, np.float32))
    return array if array.flags.c_contiguous and array.flags.aligned else array.copy()


def _shape(shape: Shape) -> Shape:
    if not isinstance(shape, tuple):
        raise TypeError(f"shape: expected a tuple of integers, got {type(shape).__name__}")
    lengths = tuple(checks.count("shape", length) for length in shape)
    checks.addressable("shape", *lengths, 8)
    return lengths


def _above_zero(name: str, value: object) -> float:
    number = checks.real(name, value)
    if not number > 0:
        raise ValueError(f"{name}: expected a number > 0, got {value!r}")
    return number


def _load(arrays: Mapping[str, Array], state: State) -> None:
    """Copy a state into arrays, all of it or nothing."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state: expected arrays by name, got {type(state).__name__}")
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
