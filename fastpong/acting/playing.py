"""Playing steps: any policy on any emulator, and without Python where both are compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastpong.envs.draws import Draw
from fastpong.envs.emulator import Emulator

try:
    # Before the loop, and not from _kernels: that imports parts of fastpong.kernels.
    from fastpong.kernels.cython.linear import Step as CompiledStep  # noqa: I001
    from fastpong.acting.loop import ConsoleLoop
    from fastpong.envs.uniforms import Uniforms

    COMPILED = True
except Exception:  # built without a C compiler, or for another NumPy
    COMPILED = False

if TYPE_CHECKING:
    from fastpong.console.machine import Machine as Console

NO_ACTION = -1
"""The last action at the beginning of an episode: there is none."""


@dataclass(frozen=True)
class Policy:
    """Describe how actions are chosen.

    step    : ``step(t, uniform)`` records step t and returns its action, see the kernels
              ``policy_step``, ``conv_step``. -1: there is no room
    history : it is called as ``step(t, uniform, fresh, last_action)``, see ``cells_step``
    epsilon : share of random actions of two, else the likelier one. None: sample
    greedy  : take the likelier action, and draw nothing for the policy
    """

    step: Callable[..., int]
    history: bool = False
    epsilon: float | None = None
    greedy: bool = False

    def explored(self, uniform: float) -> float:
        """Return what the step samples by.

        It takes action 1 if that is below its probability: at 0.5 where that is likelier.
        """
        if self.epsilon is None:
            return uniform
        return 0.5 if uniform >= self.epsilon else float(2 * uniform < self.epsilon)

    def probability(self, logit: float) -> float:
        """Return the probability of action 1 by its log odds.

        Of a greedy policy too it is the network's, and not 0 or 1.
        """
        if self.epsilon is not None:
            return (1 - self.epsilon) * (logit > 0) + self.epsilon / 2
        return float(1 / (1 + np.exp(-np.clip(logit, -700, 700))))


class StepPlayer:
    """Play steps of one emulator, from an episode's begin on.

    moves       : ALE's numbers of the policy's actions 0, 1, ...
    last_action : the policy's, of the step before, or NO_ACTION
    """

    def __init__(self, emulator: Emulator, moves: tuple[int, ...]) -> None:
        self.emulator, self.moves = emulator, moves
        self.last_action = NO_ACTION
        self._waiting = -1.0  # a uniform drawn for a step that had no room, or -1
        self._loop: ConsoleLoop | None = None
        self._bound: tuple[object, ...] = (None, None, None)

    def begin(self) -> None:
        """Forget the episode before."""
        self.last_action, self._waiting = NO_ACTION, -1.0

    def play(
        self,
        policy: Policy,
        draw: Draw,
        screens: npt.NDArray[np.uint8],
        rewards: npt.NDArray[np.float32],
        t: int,
        end: int,
    ) -> int:
        """Play from step ``t`` up to ``end``, the episode's end or a step without room.

        Each step draws first the policy's uniform and then the emulator's.

        screens : (K, height, width), the ring that the policy reads. Step t sees t % K
        rewards : (cap,), written

        Returns the step reached.
        """
        console = self.emulator.console
        if self.emulator.over:
            return t
        if (
            COMPILED
            and console is not None
            and isinstance(policy.step, CompiledStep)
            and isinstance(draw, Uniforms)
        ):
            return self._play_compiled(console, policy, draw, screens, rewards, t, end)
        emulator = self.emulator
        while t < end and not emulator.over:
            uniform = self._waiting
            if uniform < 0:
                uniform = 0.5 if policy.greedy else draw()
            choice = self._choose(policy, t, policy.explored(uniform))
            if choice < 0:
                self._waiting = uniform
                break
            self._waiting, self.last_action = -1.0, choice
            rewards[t] = emulator.step(self.moves[choice])
            t += 1
            if not emulator.over:
                emulator.read_screen(screens[t % len(screens)])
        return t

    def _choose(self, policy: Policy, t: int, uniform: float) -> int:
        if policy.history:
            return policy.step(t, uniform, self.last_action == NO_ACTION, self.last_action)
        return policy.step(t, uniform)

    def _play_compiled(
        self,
        console: Console,
        policy: Policy,
        draw: Uniforms,
        screens: npt.NDArray[np.uint8],
        rewards: npt.NDArray[np.float32],
        t: int,
        end: int,
    ) -> int:
        emulator, variant = self.emulator, self.emulator.variant
        bound = console, screens, rewards
        loop = self._loop
        if loop is None or any(a is not b for a, b in zip(self._bound, bound, strict=True)):
            loop = ConsoleLoop(*bound, self.moves, variant.frameskip, variant.sticky)
            self._loop, self._bound = loop, bound
        loop.last_action, loop.executed = self.last_action, emulator.last_action
        loop.waiting = self._waiting
        epsilon = -1.0 if policy.epsilon is None else policy.epsilon
        t = loop.play(policy.step, draw, t, end, epsilon, policy.greedy)
        self.last_action, emulator.last_action = loop.last_action, loop.executed
        self._waiting = loop.waiting
        emulator.over = emulator.machine.over
        return t
