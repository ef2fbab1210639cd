"""Play segments: a fixed number of decisions of one lane, an endless row of games on one emulator.

Where a lane stands is plain data, a `Lane`: it goes in with a task and comes back with its result.
So any worker may play any lane, and play it again after a crash, with the same result. Restoring
the emulator takes 0.1 ms, a segment of 128 decisions 25.

A segment draws its randomness from a source of its own, `uniforms(seed, stream, task number)`: for
each decision the chooser's uniform and then what the emulator draws, for each game that begins the
number of frames during which nothing is done. So a lane need not carry how far a game's source has
been used up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpong.acting.episode import LEFT_RIGHT
from fastpong.envs.draws import Draw
from fastpong.envs.emulator import Emulator

NOBODY = -1
"""The last action at the beginning of a game: there is none."""

SCREEN = (210, 160)

Step = Callable[[int, float, bool, int], int]
"""``step(t, uniform, fresh, last_action)``: see ``kernels.actor_step``."""


@dataclass(frozen=True)
class Game:
    """A game that ended: points won minus lost, decisions, emulated frames."""

    score: float
    length: int
    frames: int


@dataclass(frozen=True)
class Lane:
    """A lane between two segments, in the middle of a game; ``Lane()`` has yet to begin one.

    saved       : of ``Emulator.save``; empty where no game has begun
    screens     : (K, 210, 160) uint8, what is seen now, what was seen one decision before, and so
                  on; what was before a game's beginning looks like its beginning
    last_action : chosen one decision before, NOBODY at a game's beginning
    score, length : of the game so far
    """

    saved: bytes = b""
    screens: npt.NDArray[np.uint8] | None = None
    last_action: int = NOBODY
    score: float = 0.0
    length: int = 0

    def __reduce__(self) -> Any:
        """Travel as the newest screen and the words of eight pixels in which others differ from it.

        They are some two hundred of 55,000 in thirteen screens, which would be 437 kB in and out
        for every 128 decisions.
        """
        rest = self.last_action, self.score, self.length
        if self.screens is None:
            return Lane, (self.saved, None, *rest)
        words = np.ascontiguousarray(self.screens).reshape(len(self.screens), -1).view(np.uint64)
        places = np.flatnonzero(words != words[0])
        others = words.reshape(-1)[places]
        return _unpacked, (words[0], len(words), places, others, self.saved, *rest)


def _unpacked(
    newest: npt.NDArray[np.uint64], kept: int, places: npt.NDArray[np.int64],
    others: npt.NDArray[np.uint64], saved: bytes, *rest: Any,
) -> Lane:  # fmt: skip
    words = np.repeat(newest[None], kept, axis=0)
    words.reshape(-1)[places] = others
    return Lane(saved, words.view(np.uint8).reshape(kept, *SCREEN), *rest)


@dataclass(eq=False)
class Segment:
    """T decisions of a lane, and where it stands after them.

    indptr, indices, values : the inputs of T + 1 observations in CSR form, (T+2,) int64, (nnz,)
                uint16 and int8; the last one is what is seen after the segment
    actions   : (T,) uint8, 1 for RIGHT
    logits    : (T,), estimates : (T + 1,): log odds of RIGHT and values, as they were when played
    rewards   : (T,) float32, points;  dones : (T,) uint8, 1 where the decision ended a game
    games     : that ended in it;  frames : emulated in it;  lane : where the next one goes on
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.uint16]
    values: npt.NDArray[np.int8]
    actions: npt.NDArray[np.uint8]
    logits: npt.NDArray[np.floating]
    estimates: npt.NDArray[np.floating]
    rewards: npt.NDArray[np.float32]
    dones: npt.NDArray[np.uint8]
    games: list[Game]
    frames: int
    lane: Lane

    @property
    def length(self) -> int:
        """Decisions of the segment, T."""
        return len(self.actions)


class Buffers:
    """Room for a segment of T decisions, and the observation after it; reused for the next ones.

    base : entries that one observation may have at most
    kept : screens that are kept, a ring: the newest and its predecessors
    """

    def __init__(self, steps: int, base: int, dtype: npt.DTypeLike, kept: int = 2) -> None:
        self.screens = np.zeros((kept, *SCREEN), np.uint8)
        seen = max(steps + 1, kept)  # a whole game goes round as many as are kept
        self.indptr = np.zeros(seen + 1, np.int64)
        # Memory never written to costs none: an observation has a few dozen entries.
        self.indices = np.empty(seen * base, np.uint16)
        self.values = np.empty(seen * base, np.int8)
        self.actions = np.empty(seen, np.uint8)
        self.logits = np.empty(seen, dtype)
        self.estimates = np.empty(seen, dtype)
        self.rewards = np.empty(steps, np.float32)
        self.dones = np.empty(steps, np.uint8)


class LanePlayer:
    """Plays segments and whole games on one emulator.

    step  : bound to ``buffers``, and chosen anew for every segment: see ``play_segment``
    noops : at the beginning of a game nothing is done for 0 to so many frames, each as likely
    """

    def __init__(self, emulator: Emulator, buffers: Buffers, noops: int) -> None:
        self.emulator, self.buffers, self.noops = emulator, buffers, noops
        self._last_action, self._score, self._length = NOBODY, 0.0, 0

    def play_segment(self, step: Step, lane: Lane, draw: Draw) -> Segment:
        """Play as many decisions as there is room for, from where ``lane`` stands."""
        buffers, emulator = self.buffers, self.emulator
        steps = len(buffers.rewards)
        games: list[Game] = []
        frames = -self._go_on(lane, draw)
        for t in range(steps):
            points = self._decide(step, t, draw)
            buffers.rewards[t], buffers.dones[t] = points, emulator.over
            if emulator.over:
                games.append(Game(self._score, self._length, emulator.frames))
                frames += emulator.frames
                self._begin(draw, t + 1)
            else:
                emulator.read_screen(buffers.screens[(t + 1) % len(buffers.screens)])
        step(steps, 0.0, self._last_action == NOBODY, self._last_action)
        frames += emulator.frames
        return self._segment(steps, games, frames)

    def play_game(self, step: Step, draw: Draw, greedy: bool = False) -> Game:
        """Play one game from its beginning to its end; ``greedy``: always the likelier action."""
        emulator, screens = self.emulator, self.buffers.screens
        self._begin(draw, 0)
        chance = (lambda: 0.5) if greedy else draw
        t = 0
        while not emulator.over:
            # The buffers are used as a ring: of a game nothing is kept.
            self._decide(step, t, chance)
            t = (t + 1) % len(screens)
            if not emulator.over:
                emulator.read_screen(screens[t])
        return Game(self._score, self._length, emulator.frames)

    def _decide(self, step: Step, t: int, draw: Draw) -> float:
        """Choose and play; return the points made."""
        last = self._last_action
        choice = step(t, draw(), last == NOBODY, last)
        if choice < 0:
            raise RuntimeError(f"step {t} found no room in buffers made for it")
        points = self.emulator.step(LEFT_RIGHT[choice])
        self._last_action = choice
        self._score += points
        self._length += 1
        return points

    def _begin(self, draw: Draw, t: int) -> None:
        """Begin a game, whose first screen is that of step ``t``; before it nothing moved."""
        self.emulator.reset(draw)
        if self.noops:
            self.emulator.idle(int(draw() * (self.noops + 1)))
        screens = self.buffers.screens
        self.emulator.read_screen(screens[t % len(screens)])
        screens[...] = screens[t % len(screens)]
        self._last_action, self._score, self._length = NOBODY, 0.0, 0

    def _go_on(self, lane: Lane, draw: Draw) -> int:
        """Take up a lane, or begin its first game; return the frames of its game so far."""
        self.buffers.indptr[0] = 0
        if lane.screens is None:
            self._begin(draw, 0)
            return 0
        self.emulator.restore(lane.saved, draw)
        for age, screen in enumerate(lane.screens):
            self.buffers.screens[-age % len(lane.screens)] = screen
        self._last_action, self._score, self._length = lane.last_action, lane.score, lane.length
        return self.emulator.frames

    def _segment(self, steps: int, games: list[Game], frames: int) -> Segment:
        b = self.buffers
        used = int(b.indptr[steps + 1])
        kept = len(b.screens)
        lane = Lane(
            self.emulator.save(),
            np.stack([b.screens[(steps - age) % kept] for age in range(kept)]),
            self._last_action,
            self._score,
            self._length,
        )
        return Segment(
            indptr=b.indptr[: steps + 2].copy(),
            indices=b.indices[:used].copy(),
            values=b.values[:used].copy(),
            actions=b.actions[:steps].copy(),
            logits=b.logits[:steps].copy(),
            estimates=b.estimates[: steps + 1].copy(),
            rewards=b.rewards.copy(),
            dones=b.dones.copy(),
            games=games,
            frames=frames,
            lane=lane,
        )
