"""Rollouts: a fixed number of steps of one environment, whose episodes follow each other.

The state of an environment is plain data, an `EnvState`. It goes out with a task and comes back
with its result. So any worker may play any environment, and play it again after a crash, with the
same result. Restoring the emulator takes microseconds, a rollout of 128 steps milliseconds.

A rollout draws its randomness from a source of its own, `uniforms(seed, stream, task number)`. It
draws the policy's uniform and then the emulator's for each step, and the number of no-op frames
for each episode that begins. So an `EnvState` need not carry the position in an episode's source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong.acting.playing import NO_ACTION, Policy, StepPlayer
from fastpong.envs.draws import Draw
from fastpong.envs.emulator import Emulator
from fastpong.envs.games import PONG


@dataclass(frozen=True)
class Game:
    """Describe an ended episode: score, steps and frames."""

    score: float
    length: int
    frames: int


@dataclass(frozen=True)
class EnvState:
    """Hold an environment's state between two rollouts.

    ``EnvState(env)`` has yet to begin its first episode.

    env         : the environment's number, from 0 on
    saved       : of ``Emulator.save``, empty before the first episode
    screens     : (K, 210, 160) uint8, the newest screen and those of the K - 1 steps before. An
                  episode's first screen also stands for those before it
    last_action : of the step before, NO_ACTION at an episode's beginning
    score, length : of the episode so far
    """

    env: int = 0
    saved: bytes = b""
    screens: NDArray[np.uint8] | None = None
    last_action: int = NO_ACTION
    score: float = 0.0
    length: int = 0

    def __reduce__(self) -> tuple[Callable[..., EnvState], tuple[object, ...]]:
        """Pickle the newest screen and the differences to it.

        The differences are words of eight pixels. They are some two hundred of 55,000 in thirteen
        screens. Whole screens would be 437 kB in and out for every 128 steps.
        """
        rest = self.last_action, self.score, self.length
        if self.screens is None:
            return EnvState, (self.env, self.saved, None, *rest)
        words = np.ascontiguousarray(self.screens).reshape(len(self.screens), -1).view(np.uint64)
        places = np.flatnonzero(words != words[0])
        others = words.reshape(-1)[places]
        shape = self.screens.shape
        return _unpacked, (words[0], shape, places, others, self.env, self.saved, *rest)


def _unpacked(
    newest: NDArray[np.uint64], shape: tuple[int, ...], places: NDArray[np.int64],
    others: NDArray[np.uint64], env: int, saved: bytes, last_action: int, score: float,
    length: int,
) -> EnvState:  # fmt: skip
    words = np.repeat(newest[None], shape[0], axis=0)
    words.reshape(-1)[places] = others
    screens = words.view(np.uint8).reshape(shape)
    return EnvState(env, saved, screens, last_action, score, length)


@dataclass(eq=False)
class Rollout:
    """Hold T steps of one environment.

    And its state after them.

    indptr, indices, counts : the inputs of T + 1 observations in CSR form, (T+2,) int64, (nnz,)
                uint16 and int8. The last observation is the one after the last step
    actions   : (T,) uint8, 1 for RIGHT
    logits    : (T,), log odds of RIGHT when played
    values    : (T + 1,), the value estimates when played
    rewards   : (T,) float32, points
    dones     : (T,) uint8, 1 for the last step of an episode
    games     : the episodes that ended in the rollout
    frames    : emulated in the rollout
    state     : of the environment, for its next rollout
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.uint16]
    counts: NDArray[np.int8]
    actions: NDArray[np.uint8]
    logits: NDArray[np.floating]
    values: NDArray[np.floating]
    rewards: NDArray[np.float32]
    dones: NDArray[np.uint8]
    games: list[Game]
    frames: int
    state: EnvState

    @property
    def env(self) -> int:
        """Return the number of its environment."""
        return self.state.env

    @property
    def length(self) -> int:
        """Return the number of steps, T."""
        return len(self.actions)


class Buffers:
    """Hold a rollout being played.

    There are T steps and one more observation. A player reuses them for every rollout.

    max_inputs  : most entries of one observation
    frames_kept : screens in the ring, the newest and its predecessors
    """

    def __init__(
        self, n_steps: int, max_inputs: int, dtype: DTypeLike, frames_kept: int = 2
    ) -> None:
        self.screens = np.zeros((frames_kept, *PONG.geometry.screen), np.uint8)
        rows = max(n_steps + 1, frames_kept)  # a whole episode uses the rows as a ring of screens
        self.indptr = np.zeros(rows + 1, np.int64)
        # Memory never written to costs none: an observation has a few dozen entries.
        self.indices = np.empty(rows * max_inputs, np.uint16)
        self.counts = np.empty(rows * max_inputs, np.int8)
        self.actions = np.empty(rows, np.uint8)
        self.logits = np.empty(rows, dtype)
        self.values = np.empty(rows, dtype)
        self.n_steps = n_steps
        self.rewards = np.empty(rows, np.float32)
        self.dones = np.empty(n_steps, np.uint8)


class RolloutPlayer:
    """Play rollouts and whole episodes on one emulator.

    noop_max : an episode begins with 0 to so many no-op frames, each number as likely

    The policies of its methods are bound to ``buffers``.
    """

    def __init__(self, emulator: Emulator, buffers: Buffers, noop_max: int) -> None:
        self.emulator, self.buffers, self.noop_max = emulator, buffers, noop_max
        self._player = StepPlayer(emulator, emulator.variant.game.move_actions)
        self._score, self._length = 0.0, 0

    def play_rollout(self, policy: Policy, state: EnvState, draw: Draw) -> Rollout:
        """Play T steps from ``state`` on."""
        buffers, emulator, player = self.buffers, self.emulator, self._player
        steps, t = buffers.n_steps, 0
        games: list[Game] = []
        frames = -self._resume(state, draw)
        buffers.dones[...] = 0
        while t < steps:
            t = self._play(policy, t, steps, draw)
            if emulator.over:
                buffers.dones[t - 1] = 1
                games.append(Game(self._score, self._length, emulator.frames))
                frames += emulator.frames
                self._begin(draw, t)
        last = player.last_action
        policy.step(steps, 0.0, last == NO_ACTION, last)
        frames += emulator.frames
        return self._rollout(state.env, games, frames)

    def play_episode(self, policy: Policy, draw: Draw) -> Game:
        """Play one whole episode."""
        for _ in self.episode_steps(policy, draw):
            pass
        return Game(self._score, self._length, self.emulator.frames)

    def episode_steps(self, policy: Policy, draw: Draw, stride: int | None = None) -> Iterator[int]:
        """Play one whole episode, and yield the buffers' row of the last step.

        stride : steps from one yield to the next, or fewer. None: as many as there is room for
        """
        emulator, ring = self.emulator, len(self.buffers.screens)
        self._begin(draw, 0)
        t = 0
        while not emulator.over:
            # The buffers are used as a ring: no step of the episode is stored.
            t %= ring
            end = ring if stride is None else min(t + stride, ring)
            t = self._play(policy, t, end, draw)
            yield t - 1

    def _play(self, policy: Policy, t: int, end: int, draw: Draw) -> int:
        """Play from step ``t`` up to ``end`` or the episode's end."""
        b = self.buffers
        reached = self._player.play(policy, draw, b.screens, b.rewards, t, end)
        if reached < end and not self.emulator.over:
            raise RuntimeError(f"step {reached} found no room in buffers made for it")
        self._score += float(b.rewards[t:reached].sum(dtype=np.float64))
        self._length += reached - t
        return reached

    def _begin(self, draw: Draw, t: int) -> None:
        """Begin an episode at step ``t``.

        Its first screen fills the ring.
        """
        self.emulator.reset(draw)
        if self.noop_max:
            self.emulator.idle(int(draw() * (self.noop_max + 1)))
        screens = self.buffers.screens
        self.emulator.read_screen(screens[t % len(screens)])
        screens[...] = screens[t % len(screens)]
        self._player.begin()
        self._score, self._length = 0.0, 0

    def _resume(self, state: EnvState, draw: Draw) -> int:
        """Restore ``state``, or begin the environment's first episode.

        Returns the frames of the episode so far.
        """
        self.buffers.indptr[0] = 0
        if state.screens is None:
            self._begin(draw, 0)
            return 0
        self.emulator.restore(state.saved, draw)
        for age, screen in enumerate(state.screens):
            self.buffers.screens[-age % len(state.screens)] = screen
        self._player.begin()
        self._player.last_action = state.last_action
        self._score, self._length = state.score, state.length
        return self.emulator.frames

    def _rollout(self, env: int, games: list[Game], frames: int) -> Rollout:
        """Copy the rollout out of the buffers."""
        b = self.buffers
        steps, ring = b.n_steps, len(b.screens)
        used = int(b.indptr[steps + 1])
        state = EnvState(
            env,
            self.emulator.save(),
            np.stack([b.screens[(steps - age) % ring] for age in range(ring)]),
            self._player.last_action,
            self._score,
            self._length,
        )
        return Rollout(
            indptr=b.indptr[: steps + 2].copy(),
            indices=b.indices[:used].copy(),
            counts=b.counts[:used].copy(),
            actions=b.actions[:steps].copy(),
            logits=b.logits[:steps].copy(),
            values=b.values[: steps + 1].copy(),
            rewards=b.rewards[:steps].copy(),
            dones=b.dones.copy(),
            games=games,
            frames=frames,
            state=state,
        )
