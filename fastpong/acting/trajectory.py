"""The record of one episode: sparse difference frames, actions and rewards, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpong.geometry import PONG

PIXELS = PONG.pixels
"""Pixels of a frame, 80 x 80."""


@dataclass(slots=True, eq=False)
class Trajectory:
    """Hold one episode of T steps.

    nnz is the number of pixels that changed, over all its steps.

    indptr    : (T+1,) int64, step t's pixels are indices[indptr[t]:indptr[t+1]]
    indices   : (nnz,) uint16 in [0, 6400), ascending within a step
    signs     : (nnz,) int8, -1 or +1: the difference to the frame of the step before
    actions   : (T,) uint8, by the agent's numbers
    rewards   : (T,) float32, points of each step
    frames    : emulated frames
    truncated : cut off at the variant's limit of frames, before the game had ended
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.uint16]
    signs: npt.NDArray[np.int8]
    actions: npt.NDArray[np.uint8]
    rewards: npt.NDArray[np.float32]
    frames: int
    truncated: bool

    @property
    def length(self) -> int:
        """Return the number of steps, T."""
        return len(self.actions)

    @property
    def score(self) -> float:
        """Return the episodic return, points won minus lost."""
        return float(self.rewards.sum(dtype=np.float64))

    @property
    def games(self) -> tuple[Trajectory]:
        """Return the one episode itself."""
        return (self,)

    def check(self, choices: int = 2) -> None:
        """Raise ValueError for an impossible episode.

        choices : number of the agent's actions

        O(T + nnz).
        """
        steps, entries = len(self.actions), len(self.indices)
        dtypes = {
            "indptr": np.int64,
            "indices": np.uint16,
            "signs": np.int8,
            "actions": np.uint8,
            "rewards": np.float32,
        }
        for name, dtype in dtypes.items():
            array = getattr(self, name)
            if array.ndim != 1 or array.dtype != dtype:
                raise ValueError(
                    f"{name}: expected one dimension of {np.dtype(dtype)}, "
                    f"got {array.ndim} of {array.dtype}"
                )
        for name, expected in (("indptr", steps + 1), ("rewards", steps), ("signs", entries)):
            if len(getattr(self, name)) != expected:
                raise ValueError(
                    f"{name}: expected length {expected}, got {len(getattr(self, name))}"
                )
        widths = np.diff(self.indptr)
        if self.indptr[0] != 0 or self.indptr[-1] != entries or (widths < 0).any():
            raise ValueError(f"indptr: expected to rise from 0 to {entries}, got {self.indptr!r}")
        self._check_values(choices)
        if self.frames < steps:
            raise ValueError(f"frames: expected at least one a step, {steps}, got {self.frames}")

    def _check_values(self, choices: int) -> None:
        if (self.indices >= PIXELS).any():
            raise ValueError(f"indices: expected below {PIXELS}, got {self.indices.max()}")
        step = np.repeat(np.arange(len(self.actions)), np.diff(self.indptr))
        if (np.diff(step * PIXELS + self.indices) <= 0).any():
            raise ValueError("indices: expected to ascend within a step, they do not")
        if (np.abs(self.signs) != 1).any():
            raise ValueError("signs: expected -1 or +1, got something else")
        if (self.actions >= choices).any():
            raise ValueError(f"actions: expected below {choices}, got {self.actions.max()}")
