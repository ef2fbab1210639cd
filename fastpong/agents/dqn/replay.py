"""Decisions that are kept to be learned from again: a ring of rounds, each a segment of every lane.

A round is L segments of T decisions, lane by lane; lane k of round r goes on in lane k of round
r + 1. So the decision n after another one, n <= T, is found by arithmetic, and that before the
newest round every decision has one.

All is plain arrays, ``state``, that a checkpoint holds. Inputs stand one round after the other in
one array; where a round does not fit before its end it begins at the front. The rounds that it
overwrites are forgotten, and with them all before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fastpong.acting.rollout import Rollout
from fastpong.arrays import Array

ENTRIES = 96
"""Inputs that there is room for, to a decision, on average; with more fewer rounds are kept.

With the agent's settings there are about 87."""


ROUNDS = 4
"""The fewest rounds that a replay buffer has to have room for."""

NAMES = ("indptr", "indices", "counts", "actions", "rewards", "ends", "stored")
"""Of its arrays. ``stored``: the first round that is stored and the one after the last."""


class Sample(NamedTuple):
    """M decisions and what came of them.

    now, later : (M,) int64, numbers in the replay's inputs, of the decisions and those n after
    actions    : (M,) uint8
    rewards    : (M,) float64, sum over j < n of gamma^j r_j, up to the first point
    discount   : (M,) float64, gamma^n, or 0 where a point or a game's end came before
    """

    now: NDArray[np.int64]
    later: NDArray[np.int64]
    actions: NDArray[np.uint8]
    rewards: NDArray[np.float64]
    discount: NDArray[np.float64]


class Replay:
    """A replay buffer: a view of its arrays, which nobody else may write.

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
        """Return an empty one with room for ``buffer_size`` steps, at least 4 rounds."""
        size = n_envs * n_steps
        rounds = buffer_size // size
        arrays = (
            np.zeros((rounds, size + 1), np.int64),
            np.zeros(rounds * size * ENTRIES, np.uint16),
            np.zeros(rounds * size * ENTRIES, np.int8),
            np.zeros((rounds, size), np.uint8),
            np.zeros((rounds, size), np.float32),
            np.zeros((rounds, size), np.uint8),
            np.zeros(2, np.int64),
        )
        return cls(n_envs, n_steps, dict(zip(NAMES, arrays, strict=True)))

    def arrays(self) -> dict[str, Array]:
        """Return its arrays by name."""
        return {f"replay/{name}": array for name, array in self._arrays.items()}

    @property
    def indptr(self) -> NDArray[np.int64]:
        """Where the inputs of a decision begin and the next one's: all rounds in one row."""
        return self.starts.reshape(-1)

    @property
    def steps(self) -> int:
        """The number of decisions that can be drawn: all but those of the newest round."""
        first, end = self.stored
        return int(max(0, end - first - 1)) * self.size

    def verify(self, base: int) -> None:
        """Raise ValueError where a file's arrays would lead kernels out of theirs.

        base : inputs are numbered below this
        """
        first, end = self.stored.tolist()
        # Once something was put the newest round is kept: the next one is written behind it.
        sound = 0 <= first <= end <= first + len(self.starts) and (first < end or not end)
        sound = sound and bool((self.indices < base).all() and (self.actions <= 1).all())
        for number in range(first, end) if sound else ():
            row = self.starts[number % len(self.starts)]
            inside = row[0] >= 0 and row[-1] <= len(self.indices)
            sound = sound and bool(inside and (row[1:] >= row[:-1]).all())
        if not sound:
            raise ValueError("replay: expected what training keeps, got arrays that cannot be")

    def add(self, segments: Sequence[Rollout]) -> None:
        """Add a round; raises MemoryError where it takes up more than a third of the room."""
        used = [int(s.indptr[self.n_steps]) for s in segments]
        total, room = sum(used), len(self.indices)
        if 3 * total > room:  # or the round before, which ends somewhere, might have to go
            raise MemoryError(
                f"replay: expected at most {room // 3} inputs in a round of {self.size} decisions, "
                f"got {total}; begin a run with larger cells, less history or a larger replay"
            )
        first, end = self.stored.tolist()
        rounds = len(self.starts)
        start = int(self.starts[(end - 1) % rounds, -1]) if end else 0
        if start + total > room:
            start = 0
        first = max(first, end - rounds + 1)
        for number in range(first, end):
            if self._overlaps(number, start, total):
                first = number + 1
        slot, at = end % rounds, start
        for k, (s, n) in enumerate(zip(segments, used, strict=True)):
            mine = slice(k * self.n_steps, (k + 1) * self.n_steps)
            self.starts[slot, mine] = at + s.indptr[: self.n_steps]
            self.indices[at : at + n], self.counts[at : at + n] = s.indices[:n], s.counts[:n]
            self.actions[slot, mine], self.rewards[slot, mine] = s.actions, s.rewards
            self.ends[slot, mine] = (s.rewards != 0) | (s.dones != 0)
            at += n
        self.starts[slot, -1] = at
        self.stored[:] = first, end + 1

    def forget(self) -> None:
        """Keep nothing but the newest round."""
        self.stored[0] = max(0, self.stored[1] - 1)

    def _overlaps(self, number: int, start: int, total: int) -> bool:
        mine = self.starts[number % len(self.starts)]
        return bool(mine[0] < start + total and start < mine[-1])

    def sample(self, rng: np.random.Generator, count: int, n: int, gamma: float) -> Sample:
        """Draw ``count`` decisions, each as likely, with their returns over n, at most T."""
        rounds, place = np.divmod(rng.integers(0, self.steps, count), self.size)
        rounds += self.stored[0]
        rewards, discount = self._outcomes(n, gamma)
        slots, held = rounds % len(self.starts), len(self.starts)
        over = place % self.n_steps + n >= self.n_steps
        later = (rounds + over) % held * (self.size + 1) + place + n - self.n_steps * over
        return Sample(
            slots * (self.size + 1) + place, later, self.actions[slots, place],
            rewards[slots, place], discount[slots, place],
        )  # fmt: skip

    def _outcomes(self, n: int, gamma: float) -> tuple[Array, Array]:
        """Return what came of every decision that can be drawn: (rounds, L T), as in ``Sample``.

        A round's are made once: made for each minibatch they took 5 % of learning.
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

    def _outcomes_of(self, number: int, n: int, gamma: float) -> tuple[Array, Array]:
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
