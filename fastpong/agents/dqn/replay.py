"""The replay buffer: a ring of batches of rollouts.

A batch is N rollouts of T steps, environment by environment. The rollout of an environment goes on
in the next batch. So the step n after another one, n <= T, is found by arithmetic, and every step
before the newest batch has one.

All is plain arrays, which a checkpoint holds. Inputs stand one batch after the other in one array.
A batch that does not fit before its end begins at the front. The batches that it overwrites are
dropped, and with them all before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fastpong.acting.rollout import Rollout
from fastpong.arrays import Array, Doubles, Order

INPUTS_PER_STEP = 96
"""The inputs of a step that there is room for on average. With more, fewer batches are stored.

With the agent's settings there are about 87.
"""

BATCHES = 4
"""The fewest batches that a replay buffer has to have room for."""

NAMES = ("indptr", "indices", "counts", "actions", "rewards", "ends", "stored")
"""Of its arrays. ``stored`` is the first batch that is stored and the one after the last."""


class Sample(NamedTuple):
    """Hold M steps (transitions) for one minibatch.

    now, later : (M,) int64, numbers in the buffer's inputs, of the steps and those n after
    actions    : (M,) uint8
    rewards    : (M,) float64, sum over j < n of gamma^j r_j, up to the end of the return
    discount   : (M,) float64, gamma^n, or 0 where the return ends before
    """

    now: Order
    later: Order
    actions: NDArray[np.uint8]
    rewards: Doubles
    discount: Doubles


class Replay:
    """Hold a replay buffer in given arrays.

    Nobody else may write them.

    n_envs, n_steps : environments, and steps of a rollout
    """

    def __init__(self, n_envs: int, n_steps: int, arrays: Mapping[str, Array]) -> None:
        self.n_steps, self.size = n_steps, n_envs * n_steps
        self._arrays = dict(arrays)
        (
            self.starts,
            self.indices,
            self.counts,
            self.actions,
            self.rewards,
            self.ends,
            self.stored,
        ) = (arrays[name] for name in NAMES)
        self._made_for: tuple[int, float] | None = None

    @classmethod
    def empty(cls, n_envs: int, n_steps: int, buffer_size: int) -> Self:
        """Return an empty buffer for ``buffer_size`` steps."""
        size = n_envs * n_steps
        batches = buffer_size // size
        arrays = (
            np.zeros((batches, size + 1), np.int64),
            np.zeros(batches * size * INPUTS_PER_STEP, np.uint16),
            np.zeros(batches * size * INPUTS_PER_STEP, np.int8),
            np.zeros((batches, size), np.uint8),
            np.zeros((batches, size), np.float32),
            np.zeros((batches, size), np.uint8),
            np.zeros(2, np.int64),
        )
        return cls(n_envs, n_steps, dict(zip(NAMES, arrays, strict=True)))

    def arrays(self) -> dict[str, Array]:
        """Return its arrays by name."""
        return {f"replay/{name}": array for name, array in self._arrays.items()}

    @property
    def indptr(self) -> Order:
        """Return the beginnings of all inputs."""
        return self.starts.reshape(-1)

    @property
    def steps(self) -> int:
        """Return the number of steps that can be sampled.

        Those of the newest batch cannot.
        """
        first, end = self.stored
        return int(max(0, end - first - 1)) * self.size

    def verify(self, base: int) -> None:
        """Raise ValueError for arrays that lead kernels astray.

        base : inputs are numbered below this
        """
        first, end = self.stored.tolist()
        # The newest batch is never dropped: the next one is written behind it.
        sound = 0 <= first <= end <= first + len(self.starts) and (first < end or not end)
        # No comparison of arrays: it takes a byte for each of the inputs.
        sound = sound and bool(self.indices.max() < base and self.actions.max() <= 1)
        for number in range(first, end) if sound else ():
            row = self.starts[number % len(self.starts)]
            inside = row[0] >= 0 and row[-1] <= len(self.indices)
            sound = sound and bool(inside and (row[1:] >= row[:-1]).all())
        if not sound:
            raise ValueError("replay: expected what training stores, got arrays that cannot be")

    def add(self, rollouts: Sequence[Rollout], point_ends_return: bool = True) -> None:
        """Add a batch.

        Raises MemoryError, with nothing changed, for one that takes up more than a third of the
        room.
        """
        used = [int(rollout.indptr[self.n_steps]) for rollout in rollouts]
        start = self._make_room(sum(used))
        end = int(self.stored[1])
        slot, at = end % len(self.starts), start
        for env, (rollout, n) in enumerate(zip(rollouts, used, strict=True)):
            mine = slice(env * self.n_steps, (env + 1) * self.n_steps)
            self.starts[slot, mine] = at + rollout.indptr[: self.n_steps]
            self.indices[at : at + n] = rollout.indices[:n]
            self.counts[at : at + n] = rollout.counts[:n]
            self.actions[slot, mine], self.rewards[slot, mine] = rollout.actions, rollout.rewards
            points = (rollout.rewards != 0) & point_ends_return
            self.ends[slot, mine] = points | (rollout.dones != 0)
            at += n
        self.starts[slot, -1] = at
        self.stored[1] = end + 1

    def _make_room(self, total: int) -> int:
        """Drop the batches in a new one's way.

        Returns the beginning of its inputs.
        """
        room, batches = len(self.indices), len(self.starts)
        if 3 * total > room:  # or the batch before, which ends somewhere, might have to go
            raise MemoryError(
                f"replay: expected at most {room // 3} inputs in a batch of {self.size} steps, "
                f"got {total}; begin a run with larger cells, less history or a larger buffer"
            )
        first, end = self.stored.tolist()
        start = int(self.starts[(end - 1) % batches, -1]) if end else 0
        if start + total > room:
            start = 0
        first = max(first, end - batches + 1)
        for number in range(first, end):
            if self._overlaps(number, start, total):
                first = number + 1
        self.stored[0] = first
        return start

    def _overlaps(self, number: int, start: int, total: int) -> bool:
        mine = self.starts[number % len(self.starts)]
        return bool(mine[0] < start + total and start < mine[-1])

    def sample(self, rng: np.random.Generator, count: int, n: int, gamma: float) -> Sample:
        """Sample ``count`` steps uniformly, with n-step returns.

        n : at most T
        """
        batches, place = np.divmod(rng.integers(0, self.steps, count), self.size)
        batches += self.stored[0]
        rewards, discount = self._outcomes(n, gamma)
        slots, held = batches % len(self.starts), len(self.starts)
        over = place % self.n_steps + n >= self.n_steps
        later = (batches + over) % held * (self.size + 1) + place + n - self.n_steps * over
        return Sample(
            slots * (self.size + 1) + place, later, self.actions[slots, place],
            rewards[slots, place], discount[slots, place],
        )  # fmt: skip

    def _outcomes(self, n: int, gamma: float) -> tuple[Doubles, Doubles]:
        """Return rewards and discounts of ``Sample``, (batches, N T).

        Those of a batch are computed once. Computed for each minibatch they took 5 % of learning.
        """
        if self._made_for != (n, gamma):
            self._made_for = n, gamma
            self._made = np.full(len(self.starts), -1)
            self._outcome = np.zeros((2, *self.actions.shape))
        first, end = self.stored.tolist()
        for number in range(first, end - 1):
            slot = number % len(self.starts)
            if self._made[slot] != number:
                self._outcome[:, slot] = self._outcomes_of(number, n, gamma)
                self._made[slot] = number
        return self._outcome[0], self._outcome[1]

    def _outcomes_of(self, number: int, n: int, gamma: float) -> tuple[Doubles, Doubles]:
        """Return rewards and discounts of a batch's steps."""
        place = np.arange(self.size)
        after = place % self.n_steps + np.arange(n)[:, None]
        over = after >= self.n_steps
        slots = (number + over) % len(self.starts)
        places = place - place % self.n_steps + after - self.n_steps * over
        points = self.rewards[slots, places].astype(np.float64)
        going = np.cumprod(1.0 - self.ends[slots, places], axis=0)
        weight = gamma ** np.arange(1, n)[:, None]
        rewards = points[0] + (weight * going[:-1] * points[1:]).sum(axis=0)
        return rewards, gamma**n * going[-1]
