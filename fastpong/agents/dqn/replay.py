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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpong.acting.rollout import Rollout

Array = NDArray[Any]

ENTRIES = 96
"""Inputs that there is room for, to a decision, on average; with more fewer rounds are kept.

With the agent's settings there are about 87."""


ROUNDS = 4
"""The fewest rounds that a replay has to have room for."""


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
    """A view of ``state``, which it reads and writes, and which nobody else may write meanwhile.

    lanes, segment : L and T
    """

    @staticmethod
    def initial(lanes: int, segment: int, decisions: int) -> dict[str, Array]:
        """Return the arrays of an empty one with room for so many decisions, at least 4 rounds."""
        size = lanes * segment
        rounds = decisions // size
        return {
            "replay/indptr": np.zeros((rounds, size + 1), np.int64),
            "replay/indices": np.zeros(rounds * size * ENTRIES, np.uint16),
            "replay/values": np.zeros(rounds * size * ENTRIES, np.int8),
            "replay/actions": np.zeros((rounds, size), np.uint8),
            "replay/rewards": np.zeros((rounds, size), np.float32),
            "replay/ends": np.zeros((rounds, size), np.uint8),
            "replay/kept": np.zeros(2, np.int64),
        }

    def __init__(self, state: Mapping[str, Array], lanes: int, segment: int) -> None:
        self.segment, self.size = segment, lanes * segment
        self.starts, self.indices, self.values, self.actions, self.rewards, self.ends, self.kept = (
            state[f"replay/{name}"]
            for name in ("indptr", "indices", "values", "actions", "rewards", "ends", "kept")
        )
        self._made_for: tuple[int, float] | None = None

    def is_of(self, state: Mapping[str, Array]) -> bool:
        """Return whether this is a view of that state."""
        return self.kept is state["replay/kept"]

    @property
    def indptr(self) -> NDArray[np.int64]:
        """Where the inputs of a decision begin and the next one's: all rounds in one row."""
        return self.starts.reshape(-1)

    @property
    def decisions(self) -> int:
        """The number of decisions that can be drawn: all but those of the newest round."""
        first, end = self.kept
        return int(max(0, end - first - 1)) * self.size

    def verify(self, base: int) -> None:
        """Raise ValueError where a file's arrays would lead kernels out of theirs.

        base : inputs are numbered below this
        """
        first, end = self.kept.tolist()
        # Once something was put the newest round is kept: the next one is written behind it.
        sound = 0 <= first <= end <= first + len(self.starts) and (first < end or not end)
        sound = sound and bool((self.indices < base).all() and (self.actions <= 1).all())
        for number in range(first, end) if sound else ():
            row = self.starts[number % len(self.starts)]
            inside = row[0] >= 0 and row[-1] <= len(self.indices)
            sound = sound and bool(inside and (row[1:] >= row[:-1]).all())
        if not sound:
            raise ValueError("replay: expected what training keeps, got arrays that cannot be")

    def put(self, segments: Sequence[Rollout]) -> None:
        """Add a round; raises MemoryError where it takes up more than a third of the room."""
        used = [int(s.indptr[self.segment]) for s in segments]
        total, room = sum(used), len(self.indices)
        if 3 * total > room:  # or the round before, which ends somewhere, might have to go
            raise MemoryError(
                f"replay: expected at most {room // 3} inputs in a round of {self.size} decisions, "
                f"got {total}; begin a run with larger cells, less history or a larger replay"
            )
        first, end = self.kept.tolist()
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
            mine = slice(k * self.segment, (k + 1) * self.segment)
            self.starts[slot, mine] = at + s.indptr[: self.segment]
            self.indices[at : at + n], self.values[at : at + n] = s.indices[:n], s.counts[:n]
            self.actions[slot, mine], self.rewards[slot, mine] = s.actions, s.rewards
            self.ends[slot, mine] = (s.rewards != 0) | (s.dones != 0)
            at += n
        self.starts[slot, -1] = at
        self.kept[:] = first, end + 1

    def forget(self) -> None:
        """Keep nothing but the newest round."""
        self.kept[0] = max(0, self.kept[1] - 1)

    def _overlaps(self, number: int, start: int, total: int) -> bool:
        mine = self.starts[number % len(self.starts)]
        return bool(mine[0] < start + total and start < mine[-1])

    def draw(self, rng: np.random.Generator, count: int, n: int, gamma: float) -> Sample:
        """Draw ``count`` decisions, each as likely, with their returns over n, at most T."""
        rounds, place = np.divmod(rng.integers(0, self.decisions, count), self.size)
        rounds += self.kept[0]
        rewards, discount = self._outcomes(n, gamma)
        slots, held = rounds % len(self.starts), len(self.starts)
        over = place % self.segment + n >= self.segment
        later = (rounds + over) % held * (self.size + 1) + place + n - self.segment * over
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
        first, end = self.kept.tolist()
        for number in range(first, end - 1):
            slot = number % len(self.starts)
            if self._made[slot] != number:
                self._outcome[:, slot] = self._outcomes_of(number, n, gamma)
                self._made[slot] = number
        return self._outcome[0], self._outcome[1]

    def _outcomes_of(self, number: int, n: int, gamma: float) -> tuple[Array, Array]:
        place = np.arange(self.size)
        after = place % self.segment + np.arange(n)[:, None]
        over = after >= self.segment
        slots = (number + over) % len(self.starts)
        places = place - place % self.segment + after - self.segment * over
        points = self.rewards[slots, places].astype(np.float64)
        going = np.cumprod(1.0 - self.ends[slots, places], axis=0)
        weight = gamma ** np.arange(1, n)[:, None]
        rewards = points[0] + (weight * going[:-1] * points[1:]).sum(axis=0)
        return rewards, gamma**n * going[-1]
