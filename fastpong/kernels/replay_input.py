"""Steps and batches that a replay buffer is given, checked and converted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from fastpong.arrays import Array, Tuple
from fastpong.kernels import checks
from fastpong.kernels.arguments import F32, U8, DType
from fastpong.kernels.foreign import is_array, plain
from fastpong.kernels.replay_settings import ReplaySettings, Shape

Convert = Callable[[str, Array, DType], Array]

BOOL = np.dtype(np.bool_)


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


def empty_batch(settings: ReplaySettings, count: int) -> ReplayBatch:
    """Return room for so many transitions."""
    # Both in one piece: glibc keeps the memory of one, and gives that of two back each time.
    shape = (2, count, settings.frame_stack, *settings.observation_shape)
    observations, next_observations = np.empty(shape, settings.dtype)
    return ReplayBatch(
        observations,
        np.empty((count, *settings.action_shape), settings.action_dtype),
        np.empty(count, np.float32),
        next_observations,
        np.empty(count, np.float32),
        np.empty(count, np.bool_),
        np.empty(count, np.int64),
        np.empty(count, np.float32),
    )


def check_batch(settings: ReplaySettings, out: object, count: int) -> ReplayBatch:
    """Return a caller's batch as arrays in its memory, or raise if it has no room for so many."""
    if not isinstance(out, ReplayBatch):
        raise TypeError(f"out: expected a ReplayBatch, got {type(out).__name__}; call batch()")
    named = {
        f"out.{name}": plain(f"out.{name}", value, True) for name, value in out._asdict().items()
    }
    for (name, array), want in zip(named.items(), empty_batch(settings, count), strict=True):
        if array.dtype != want.dtype:
            raise TypeError(f"{name}: expected dtype {want.dtype}, got {array.dtype}")
        if array.shape != want.shape:
            raise ValueError(f"{name}: expected shape {want.shape}, got {array.shape}")
        if not array.flags.carray:
            raise ValueError(f"{name}: expected a writeable, C-contiguous array, got another")
    checks.no_overlap(named, {})
    return ReplayBatch(*named.values())


def raw_batch(settings: ReplaySettings, batch: ReplayBatch) -> Tuple:
    """Return a batch as the raw kernel takes it: observations, actions and flags as bytes."""
    count = len(batch.indices)
    stack = count, settings.frame_stack, settings.frame_items
    return (
        batch.observations.reshape(stack).view(U8),
        batch.actions.reshape(count, settings.action_items).view(U8),
        batch.rewards,
        batch.next_observations.reshape(stack).view(U8),
        batch.discounts,
        batch.terminated.view(U8),
    )


class Field:
    """Take one argument of ``ReplayBuffer.add``: a row for each environment.

    shape, dtype : of a row
    convert      : returns an array of another dtype in this one, or raises
    """

    def __init__(
        self, name: str, n_envs: int, shape: Shape, dtype: DType, convert: Convert
    ) -> None:
        self._name, self._n_envs, self._row, self._dtype = name, n_envs, shape, dtype
        self._shape, self._convert = (n_envs, *shape), convert

    def take(self, value: object) -> Array:
        """Return it C-contiguous, of this shape and dtype."""
        if (
            type(value) is ndarray
            and value.dtype is self._dtype
            and value.shape == self._shape
            and value.flags.c_contiguous
        ):
            return value
        array = per_env(self._name, as_array(self._name, value), self._n_envs, self._row)
        if array.dtype != self._dtype:
            array = self._convert(self._name, array, self._dtype)
        return np.ascontiguousarray(array)


class StepInput:
    """Take the arguments of ``ReplayBuffer.add``."""

    def __init__(self, settings: ReplaySettings) -> None:
        n, frame, dtype = settings.n_envs, settings.observation_shape, settings.dtype
        action, action_dtype = settings.action_shape, settings.action_dtype
        self._frames = Field("frames", n, frame, dtype, refused)
        self._next_frames = Field("next_frames", n, frame, dtype, refused)
        self._actions = Field("actions", n, action, action_dtype, converted)
        self._rewards = Field("rewards", n, (), F32, converted)
        self._terminated = Field("terminated", n, (), BOOL, truth)
        self._truncated = Field("truncated", n, (), BOOL, truth)
        self._valid = Field("valid", n, (), BOOL, truth)
        self._frame, self._action = (n, math.prod(frame)), (n, math.prod(action))
        self._all = np.ones(n, np.uint8)

    def take(
        self, frames: object, actions: object, rewards: object, terminated: object,
        truncated: object, next_frames: object, valid: object,
    ) -> Tuple:  # fmt: skip
        """Return them as the raw kernel takes them: frames, actions and flags as bytes."""
        return (
            self._frames.take(frames).reshape(self._frame).view(U8),
            self._actions.take(actions).reshape(self._action).view(U8),
            self._rewards.take(rewards),
            self._terminated.take(terminated).view(U8),
            self._truncated.take(truncated).view(U8),
            self._next_frames.take(next_frames).reshape(self._frame).view(U8),
            self._all if valid is None else self._valid.take(valid).view(U8),
        )


def refused(name: str, array: Array, dtype: DType) -> Array:
    """Refuse an array of another dtype."""
    raise TypeError(f"{name}: expected dtype {dtype}, got {array.dtype}; convert it first")


def converted(name: str, array: Array, dtype: DType) -> Array:
    """Return it in a dtype, if that can hold its values."""
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        refused(name, array, dtype)
    with np.errstate(over="ignore"):  # infinite rewards are refused later
        result: Array = array.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(result, array):
        raise ValueError(f"{name}: expected numbers that {dtype} can hold, got {array.tolist()}")
    return result


def truth(name: str, array: Array, dtype: DType) -> Array:
    """Return which numbers are not 0."""
    return np.asarray(array != 0)


def as_array(name: str, value: object) -> Array:
    """Return anything that NumPy reads as an array of numbers."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected an array without a mask, got one; use .filled()")
    try:
        array = plain(name, value) if is_array(value) else np.asarray(value)
    except ValueError as error:  # a ragged list
        raise TypeError(f"{name}: expected an array of numbers, got {error}") from error
    if array.dtype.kind not in "biuf":
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
