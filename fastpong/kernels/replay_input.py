"""What a replay buffer is given: settings, steps and batches, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike

from fastpong.arrays import Array, Flags, Tuple
from fastpong.kernels import checks
from fastpong.kernels.arguments import F32, DType

Shape = tuple[int, ...]

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


class ReplayBatch(NamedTuple):
    """Hold B transitions, ready for ``torch.from_numpy``.

    observations      : (B, frame_stack, ...), the oldest frame first
    actions           : (B, ...)
    rewards           : (B,) float32, sum over j < k of gamma^j r_{t+j}
    next_observations : (B, frame_stack, ...), those k steps later
    discounts         : (B,) float32, gamma^k, or 0 where the episode was terminated
    terminated        : (B,) bool, whether it was within these k steps
    indices           : (B,) int64, for ``ReplayBuffer.update_priorities``
    weights           : (B,) float32, of importance sampling, 1 at most

    k is n_step, less where an episode or the buffer ends before. The target of Q-learning is
    rewards + discounts * max_a Q(next_observations, a).
    """

    observations: Array
    actions: Array
    rewards: Array
    next_observations: Array
    discounts: Array
    terminated: Array
    indices: Array
    weights: Array


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
            action_dtype=_dtype("action", self.action_dtype),
            prioritized=_prioritized(self.prioritized),
        )
        if found.padding_type not in ("reset", "zero"):
            raise ValueError(f"padding_type: expected reset or zero, got {self.padding_type!r}")
        if found.frame_stack > LARGEST_STACK:
            raise ValueError(
                f"frame_stack: expected at most {LARGEST_STACK} frames, got {self.frame_stack}"
            )
        least = max(found.frame_stack, found.n_step) + 1
        if found.slots < least:
            raise ValueError(
                f"capacity: expected at least {least} frames for each of {found.n_envs} "
                f"environments (one more than frame_stack and n_step), got {self.capacity} in all"
            )
        return found

    def plain(self) -> dict[str, Any]:
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

    def steps(
        self,
        frames: object,
        actions: object,
        rewards: object,
        terminated: object,
        truncated: object,
        next_frames: object,
        valid: object,
    ) -> Tuple:
        """Return a step of all environments as the raw kernel takes it."""
        n = self.n_envs
        return (
            self._frames("frames", frames),
            self._actions(actions),
            _rewards(rewards, n),
            flags_of("terminated", terminated, n),
            flags_of("truncated", truncated, n),
            self._frames("next_frames", next_frames),
            np.ones(n, np.uint8) if valid is None else flags_of("valid", valid, n),
        )

    def _frames(self, name: str, value: object) -> Flags:
        array = as_array(name, value)
        if array.dtype != self.dtype:
            raise TypeError(f"{name}: expected dtype {self.dtype}, got {array.dtype}")
        array = per_env(name, array, self.n_envs, self.observation_shape)
        return as_bytes(array, self.n_envs, self.frame_items)

    def _actions(self, value: object) -> Flags:
        array = per_env("actions", as_array("actions", value), self.n_envs, self.action_shape)
        array = converted("actions", array, self.action_dtype)
        return as_bytes(array, self.n_envs, self.action_items)

    def batch(self, count: int) -> ReplayBatch:
        """Return room for so many transitions."""
        observations = (count, self.frame_stack, *self.observation_shape)
        return ReplayBatch(
            np.empty(observations, self.dtype),
            np.empty((count, *self.action_shape), self.action_dtype),
            np.empty(count, np.float32),
            np.empty(observations, self.dtype),
            np.empty(count, np.float32),
            np.empty(count, np.bool_),
            np.empty(count, np.int64),
            np.empty(count, np.float32),
        )

    def check_batch(self, out: object, count: int) -> ReplayBatch:
        """Return a caller's batch, or raise."""
        if not isinstance(out, ReplayBatch):
            raise TypeError(f"out: expected a ReplayBatch, got {type(out).__name__}; call batch()")
        for name, array, want in zip(out._fields, out, self.batch(count), strict=True):
            name = f"out.{name}"
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{name}: expected a NumPy array, got {type(array).__name__}")
            if array.dtype != want.dtype:
                raise TypeError(f"{name}: expected dtype {want.dtype}, got {array.dtype}")
            if array.shape != want.shape:
                raise ValueError(f"{name}: expected shape {want.shape}, got {array.shape}")
            if not array.flags.carray:
                raise ValueError(f"{name}: expected a writeable, C-contiguous array, got another")
        named = {f"out.{name}": array for name, array in out._asdict().items()}
        checks.no_overlap(named, {})
        return out


def as_array(name: str, value: object) -> Array:
    """Return anything that NumPy reads as an array of numbers."""
    try:
        array = np.asarray(value)
    except Exception as error:  # of a tensor on a GPU, a ragged list, ...
        raise TypeError(
            f"{name}: expected an array, got {type(value).__name__}: {error}"
        ) from error
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{name}: expected an array of numbers, got {type(value).__name__}")
    return array


def per_env(name: str, array: Array, n_envs: int, shape: Shape = ()) -> Array:
    """Return (n_envs, *shape). The axis of a single environment may be missing."""
    if array.shape == (n_envs, *shape):
        return array
    if n_envs == 1 and array.shape == shape:
        return array[None]
    wanted = f"{(n_envs, *shape)}" + (f" or {shape}" if n_envs == 1 else "")
    raise ValueError(f"{name}: expected shape {wanted}, got {array.shape}")


def converted(name: str, array: Array, dtype: DType) -> Array:
    """Return it in a dtype, if that can hold its values."""
    if array.dtype == dtype:
        return array
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise TypeError(f"{name}: expected dtype {dtype}, got {array.dtype}; convert it first")
    result: Array = array.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(result, array):
        raise ValueError(f"{name}: expected numbers that {dtype} can hold, got {array.tolist()}")
    return result


def flags_of(name: str, value: object, n_envs: int) -> Flags:
    """Return booleans, or numbers that are 0 where false, as bytes."""
    array = per_env(name, as_array(name, value), n_envs)
    return np.asarray(array != 0).view(np.uint8)


def _rewards(value: object, n_envs: int) -> Array:
    array = per_env("rewards", as_array("rewards", value), n_envs)
    return np.ascontiguousarray(finite("rewards", converted("rewards", array, F32)))


def finite(name: str, array: Array) -> Array:
    """Return numbers that are neither infinite nor NaN."""
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got {array.tolist()}")
    return array


def as_bytes(array: Array, *shape: int) -> Flags:
    """Return an array's bytes in another shape. The last axis counts numbers of its dtype."""
    return np.ascontiguousarray(array).reshape(shape).view(np.uint8)


def _shape(name: str, value: object) -> Shape:
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name}: expected a tuple of integers, got {type(value).__name__}")
    return tuple(checks.count(name, size) for size in value)


def _dtype(name: str, value: DTypeLike) -> DType:
    try:
        dtype = np.dtype(value)
    except TypeError as error:
        raise TypeError(f"{name}: expected a NumPy dtype, got {value!r}") from error
    if dtype.kind not in "biufc":
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
