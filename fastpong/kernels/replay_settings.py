"""Settings of a replay buffer, checked, and the arrays that follow from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike

from fastpong.arrays import Array, Doubles, Flags, Tuple
from fastpong.kernels import checks
from fastpong.kernels.arguments import DType

Shape = tuple[int, ...]

LARGEST_PRIORITY = 2.0**900
LARGEST_STACK = 256
"""Frames of an observation: an age is a byte."""


class Prioritized(NamedTuple):
    """Settings of prioritised sampling.

    P(i) ~ p_i = (|td_error_i| + epsilon)^alpha,   w_i = (p_i / min_k p_k)^-beta

    alpha   : in [0, 1], 0 samples uniformly
    beta    : in [0, 1], 1 corrects all of the bias
    epsilon : > 0, so that no transition is never sampled again

    Source: Schaul et al., "Prioritized Experience Replay" (2016), section 3.3 and 3.4.
    """

    alpha: float = 0.6
    beta: float = 0.4
    epsilon: float = 1e-6


def priorities_of(td_errors: Doubles, settings: Prioritized) -> Doubles:
    """Return (|td_error| + epsilon)^alpha.

    Raises ValueError for errors that are not finite, or too large.
    """
    with np.errstate(over="ignore"):
        priorities = (np.abs(td_errors) + settings.epsilon) ** settings.alpha
    good = priorities <= LARGEST_PRIORITY  # False for NaN
    if not good.all():
        raise ValueError(
            f"td_errors: expected finite numbers whose priority is at most 2**900, got "
            f"{td_errors[~good][0]}"
        )
    return np.asarray(priorities)


class ReplaySettings(NamedTuple):
    """Settings of a replay buffer. See ``ReplayBuffer``."""

    capacity: int
    observation_shape: Shape
    dtype: DType
    n_envs: int
    frame_stack: int
    padding_type: str
    n_step: int
    gamma: float
    action_shape: Shape
    action_dtype: DType
    prioritized: Prioritized | None

    @property
    def slots(self) -> int:
        """Return the slots of one environment."""
        return self.capacity // self.n_envs

    @property
    def rows(self) -> int:
        """Return the slots of all environments."""
        return self.n_envs * self.slots

    @property
    def frame_items(self) -> int:
        """Return the numbers in a frame."""
        return math.prod(self.observation_shape)

    @property
    def stack_bytes(self) -> int:
        """Return the bytes of the observations before and after a step."""
        return 2 * self.frame_stack * self.frame_items * self.dtype.itemsize

    @property
    def action_items(self) -> int:
        """Return the numbers in an action."""
        return math.prod(self.action_shape)

    def checked(self) -> Self:
        """Return them as they are stored, or raise."""
        found = self._replace(
            capacity=checks.count("capacity", self.capacity),
            observation_shape=_shape("observation_shape", self.observation_shape),
            dtype=_dtype("dtype", self.dtype),
            n_envs=checks.count("n_envs", self.n_envs),
            frame_stack=checks.count("frame_stack", self.frame_stack),
            n_step=checks.count("n_step", self.n_step),
            gamma=checks.fraction("gamma", self.gamma),
            action_shape=tuple(checks.whole("action", size) for size in self.action_shape),
            action_dtype=_dtype("action", self.action_dtype),
            padding_type=checks.choice("padding_type", self.padding_type, ("reset", "zero")),
            prioritized=_prioritized(self.prioritized),
        )
        if found.frame_stack > LARGEST_STACK:
            raise ValueError(
                f"frame_stack: expected at most {LARGEST_STACK} frames, got {self.frame_stack}"
            )
        checks.addressable("observation_shape", found.frame_items, found.dtype.itemsize)
        checks.addressable("capacity", found.capacity, found.stack_bytes)
        least = max(found.frame_stack, found.n_step) + 1
        if found.slots < least:
            raise ValueError(
                f"capacity: expected at least {least} frames for each of {found.n_envs} "
                f"environments (one more than frame_stack and n_step), got {self.capacity} in all"
            )
        return found

    def plain(self) -> dict[str, object]:
        """Return them as JSON."""
        priority = None if self.prioritized is None else list(self.prioritized)
        dtypes = {"dtype": self.dtype.str, "action_dtype": self.action_dtype.str}
        return self._asdict() | dtypes | {"prioritized": priority}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """Return the settings that ``plain`` gave."""
        priority = plain["prioritized"]
        found = cls(*(plain[name] for name in cls._fields))
        return found._replace(
            prioritized=None if priority is None else Prioritized(*priority)
        ).checked()

    def storage(self) -> tuple[Array, Array, Array, Flags, Flags]:
        """Return zeros: bytes of frames and of actions, rewards, flags, ages."""
        return (
            np.zeros((self.rows, self.frame_items * self.dtype.itemsize), np.uint8),
            np.zeros((self.rows, self.action_items * self.action_dtype.itemsize), np.uint8),
            np.zeros(self.rows, np.float32),
            np.zeros(self.rows, np.uint8),
            np.zeros(self.rows, np.uint8),
        )

    def views(self, storage: Tuple, used: int) -> dict[str, Array]:
        """Return the first slots of a storage by name, (n_envs, used, ...)."""
        frames, actions, rewards, flags, ages = storage
        held = {
            "frames": (frames.view(self.dtype), self.observation_shape),
            "actions": (actions.view(self.action_dtype), self.action_shape),
            "rewards": (rewards, ()),
            "flags": (flags, ()),
            "ages": (ages, ()),
        }
        return {
            name: array.reshape(self.n_envs, self.slots, *shape)[:, :used]
            for name, (array, shape) in held.items()
        }

    def check_heads(self, heads: Array) -> int:
        """Return the most slots in use of an environment, or raise for heads of no buffer."""
        newest, used, open_ = heads.T
        filling = (used >= 0) & (used < self.slots) & (newest == used - 1)
        full = (used == self.slots) & (newest >= 0) & (newest < self.slots)
        if not ((filling | full) & (open_ >= 0) & (open_ <= np.minimum(used, 1))).all():
            raise ValueError("heads that lie beyond the slots")
        return int(used.max())


def generator_of(seed: object) -> np.random.Generator:
    """Return a generator, itself or by its seed."""
    if seed is None or isinstance(seed, np.random.Generator):
        return np.random.default_rng(seed)
    return np.random.default_rng(checks.whole("seed", seed))


def _shape(name: str, value: object) -> Shape:
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name}: expected a tuple of integers, got {type(value).__name__}")
    return tuple(checks.count(name, size) for size in value)


def _dtype(name: str, value: DTypeLike) -> DType:
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: expected a NumPy dtype, got {type(value).__name__}") from error
    if dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected a dtype of numbers, got {dtype}")
    return dtype


def _prioritized(value: object) -> Prioritized | None:
    if value is None:
        return None
    if not isinstance(value, Prioritized):
        raise TypeError(f"prioritized: expected Prioritized or None, got {type(value).__name__}")
    return Prioritized(
        checks.fraction("prioritized.alpha", value.alpha),
        checks.fraction("prioritized.beta", value.beta),
        checks.not_tiny("prioritized.epsilon", value.epsilon),
    )
