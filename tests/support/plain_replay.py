"""A replay buffer that stores every stack whole, in lists: what the kernels' buffer is held to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass
class Step:
    """One step, with whole stacks. ``first``: the oldest frame of its stack, counted from 0."""

    number: int
    first: int
    stack: Array
    action: Any
    reward: float
    terminated: bool
    next_stack: Array


class PlainEnv:
    """The episodes of one environment, each a list of steps."""

    def __init__(self, frame_stack: int, zero: bool) -> None:
        self.frame_stack, self.zero = frame_stack, zero
        self.episodes: list[list[Step]] = []
        self.history: list[Array] = []  # frames of the episode that goes on
        self.frames = 0

    def stack(self) -> Array:
        missing = max(0, self.frame_stack - len(self.history))
        pad = np.zeros_like(self.history[0]) if self.zero else self.history[0]
        return np.stack([pad] * missing + self.history[-self.frame_stack :])

    def add(
        self,
        frame: Array,
        action: Any,
        reward: float,
        terminated: bool,
        truncated: bool,
        after: Array,
    ) -> None:
        if not self.history:
            self.episodes.append([])
            self.history.append(frame.copy())
            self.frames += 1
        number, stack = self.frames - 1, self.stack()
        first = number - min(len(self.history), self.frame_stack) + 1
        self.history.append(after.copy())
        self.frames += 1
        step = Step(number, first, stack, action, reward, terminated, self.stack())
        self.episodes[-1].append(step)
        if terminated or truncated:
            self.history = []


class PlainReplay:
    """Stacks stored whole; transitions found by walking along episodes."""

    def __init__(self, slots: int, n_envs: int, frame_stack: int, zero: bool) -> None:
        self.slots = slots
        self.envs = [PlainEnv(frame_stack, zero) for _ in range(n_envs)]

    def cut(self) -> None:
        for env in self.envs:
            env.history = []

    def transitions(self, n_step: int, gamma: float) -> dict[int, tuple[Any, ...]]:
        """Return what may be sampled: its index, and the fields of a batch up to ``terminated``."""
        found = {}
        for place, env in enumerate(self.envs):
            oldest = env.frames - self.slots
            for episode in env.episodes:
                for k, step in enumerate(episode):
                    if step.first >= oldest:
                        index = place * self.slots + step.number % self.slots
                        found[index] = self._transition(episode[k : k + n_step], gamma)
        return found

    def _transition(self, steps: list[Step], gamma: float) -> tuple[Any, ...]:
        total, power = 0.0, 1.0
        for step in steps:
            total += power * float(np.float32(step.reward))
            power *= gamma
        last = steps[-1]
        discount = 0.0 if last.terminated else power
        return (
            steps[0].stack, steps[0].action, np.float32(total), last.next_stack,
            np.float32(discount), last.terminated,
        )  # fmt: skip
