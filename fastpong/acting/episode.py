"""Play one episode: an emulator and a policy in, a `Trajectory` out.

The loop knows neither weights nor network. The policy is a `Step`, bound to buffers: it reads
screens from them and writes its sparse frames to them. The compiled kernels' ``PolicyStep`` is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fastpong.acting.playing import Policy, StepPlayer
from fastpong.acting.trajectory import PIXELS, Trajectory
from fastpong.envs.draws import Draw
from fastpong.envs.emulator import Emulator
from fastpong.envs.games import PONG

_Scalar = TypeVar("_Scalar", bound=np.generic)

Step = Callable[[int, float], int]
"""``step(t, uniform)``: encode the screen of step t, record an action and return it, from 0 on.

The screen is ``screens[t & 1]``, the one before ``screens[(t - 1) & 1]``, and at t = 0 none.
Writes indices and signs from ``indptr[t]`` on, ``indptr[t + 1]`` and ``actions[t]``. Returns -1,
with nothing written, if ``t`` is beyond the actions or fewer than 6400 entries are left.
"""

BindStep = Callable[
    [
        npt.NDArray[np.uint8],
        npt.NDArray[np.int64],
        npt.NDArray[np.uint16],
        npt.NDArray[np.int8],
        npt.NDArray[np.uint8],
    ],
    Step,
]
"""``bind_step(screens, indptr, indices, signs, actions)`` -> a `Step` over these buffers."""


class Buffers:
    """Hold the episode being played.

    Buffers grow by doubling. A worker has one for its lifetime: after its longest episode nothing
    more is allocated.

    steps   : capacity in steps at first
    entries : capacity in entries of sparse frames at first. A step needs 6400 free ones and uses a
              few dozen. Memory never written to costs none.
    """

    __slots__ = ("actions", "indices", "indptr", "rewards", "screens", "signs")

    def __init__(
        self,
        screen_shape: tuple[int, int] = PONG.geometry.screen,
        *,
        steps: int = 4096,
        entries: int = 1 << 18,
    ) -> None:
        """Allocate.

        Raises ValueError when steps or entries is below 1.
        """
        for name, value in (("steps", steps), ("entries", entries)):
            if value < 1:
                raise ValueError(f"{name}: expected 1 or more, got {value}")
        self.screens = np.zeros((2, *screen_shape), np.uint8)
        self.indptr = np.zeros(steps + 1, np.int64)
        self.actions = np.empty(steps, np.uint8)
        self.rewards = np.empty(steps, np.float32)
        self.indices = np.empty(entries, np.uint16)
        self.signs = np.empty(entries, np.int8)

    @property
    def steps(self) -> int:
        """Return the capacity in steps."""
        return len(self.actions)

    def bind(self, bind_step: BindStep) -> Step:
        """Return ``bind_step``'s step over the present buffers."""
        return bind_step(self.screens, self.indptr, self.indices, self.signs, self.actions)

    def make_room(self, t: int) -> None:
        """Double the arrays too small for step ``t``.

        The t steps recorded so far stay. Raises RuntimeError when nothing is too small: the step
        that asked for room is wrong, and would ask for ever.
        """
        steps, entries, used = self.steps, len(self.indices), int(self.indptr[t])
        if t < steps and used + PIXELS <= entries:
            raise RuntimeError(
                f"step {t} found no room, but {steps} steps and {entries} entries ({used} used) "
                f"are enough: a step may return -1 only when t >= len(actions) or "
                f"indptr[t] + {PIXELS} > len(indices)"
            )
        if t >= steps:
            self.indptr = _grown(self.indptr, t + 1, 2 * steps + 1)
            self.actions = _grown(self.actions, t, 2 * steps)
            self.rewards = _grown(self.rewards, t, 2 * steps)
        if used + PIXELS > entries:
            size = max(2 * entries, used + PIXELS)
            self.indices = _grown(self.indices, used, size)
            self.signs = _grown(self.signs, used, size)


def play_episode(
    emulator: Emulator,
    bind_step: BindStep,
    draw: Draw,
    *,
    ale_actions: tuple[int, ...] | None = None,
    buffers: Buffers | None = None,
    epsilon: float | None = None,
) -> Trajectory:
    """Play one episode to its end and return it.

    Each step draws first the policy's uniform and then the emulator's, from the one ``draw``: an
    episode is a function of it, of the variant and of the policy. The arrays of the result are
    copies, trimmed to size.

    ale_actions : ALE's numbers for the policy's 0, 1, ..., by default the game's two moves
    buffers     : to record into, the same ones every time
    epsilon     : as for `Policy`

    Raises ValueError when the game does not know one of ``ale_actions``.
    """
    if buffers is None:
        buffers = Buffers(emulator.screen_shape)
    *_, steps = episode_steps(
        emulator, bind_step, draw, buffers, ale_actions=ale_actions, epsilon=epsilon
    )
    return _trajectory(buffers, steps, emulator)


def episode_steps(
    emulator: Emulator,
    bind_step: BindStep,
    draw: Draw,
    buffers: Buffers,
    *,
    ale_actions: tuple[int, ...] | None = None,
    epsilon: float | None = None,
    stride: int | None = None,
) -> Iterator[int]:
    """Play the episode of ``play_episode``, and yield the steps so far.

    stride : steps from one yield to the next. None: as many as there is room for

    After t steps the last one is in row t - 1 of the buffers.
    """
    if ale_actions is None:
        ale_actions = emulator.variant.game.move_actions
    _check_actions(emulator, ale_actions)
    player = StepPlayer(emulator, ale_actions)
    emulator.reset(draw)
    emulator.read_screen(buffers.screens[0])
    t = stuck = 0
    while not emulator.over:
        policy = Policy(buffers.bind(bind_step), epsilon=epsilon)
        end = buffers.steps if stride is None else min(t + stride, buffers.steps)
        reached = player.play(policy, draw, buffers.screens, buffers.rewards, t, end)
        if not emulator.over:
            stuck = stuck + 1 if reached == t else 0
            if stuck > 1:
                raise RuntimeError(f"step {t} found no room in buffers that were just enlarged")
            if reached < end or reached == buffers.steps:
                buffers.make_room(reached)
        t = reached
        yield t


def _trajectory(buffers: Buffers, steps: int, emulator: Emulator) -> Trajectory:
    """Copy the first ``steps`` steps out of the buffers."""
    used = int(buffers.indptr[steps])
    return Trajectory(
        indptr=buffers.indptr[: steps + 1].copy(),
        indices=buffers.indices[:used].copy(),
        signs=buffers.signs[:used].copy(),
        actions=buffers.actions[:steps].copy(),
        rewards=buffers.rewards[:steps].copy(),
        frames=emulator.frames,
        truncated=emulator.truncated,
    )


def _check_actions(emulator: Emulator, ale_actions: tuple[int, ...]) -> None:
    # ALE takes any number in silence: with its 2, UP, Pong's paddle never moves.
    for action in ale_actions:
        if action not in emulator.actions:
            raise ValueError(
                f"ale_actions: expected numbers among {emulator.actions}, those of the game "
                f"{emulator.variant.game.rom!r}, got {action!r}"
            )


def _grown(array: npt.NDArray[_Scalar], used: int, size: int) -> npt.NDArray[_Scalar]:
    """Copy the first ``used`` elements to a larger array."""
    larger = np.empty(size, array.dtype)
    larger[:used] = array[:used]
    return larger
