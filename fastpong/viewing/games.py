"""Games to watch, frame by frame.

A game shown is the very episode that evaluation plays with the same seed and number: the actor is
the same, its emulator only shows every frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fastpong.agents.protocol import Chance, PlannedStage, Thought
from fastpong.arrays import Arrays
from fastpong.console.palette import NTSC_PALETTE
from fastpong.envs.machine import Machine, Screen

FRAMES_PER_SECOND = 60
"""Of the console."""

SCREEN = (210, 160)
"""Rows and columns of a screen. Its pixels are not square: a television shows it as 4 to 3."""

COLOURS = NTSC_PALETTE[np.arange(256) >> 1]
"""Red, green and blue of every palette index, (256, 3) uint8."""

_UP, _DOWN = {3, 11}, {4, 12}
"""ALE's RIGHT and LEFT, with and without FIRE: they turn Pong's paddle up and down."""


@dataclass(frozen=True)
class Moment:
    """Describe one frame of a game.

    screen : (210, 160) uint8, palette indices
    score  : points of the left and of the right player
    frame  : its number in the game, from 1 on
    step   : number of the agent's step that it belongs to, from 1 on, 0 before the first
    thought: the agent's at that step, None before the first
    """

    screen: Screen
    score: tuple[int, int]
    frame: int
    step: int
    thought: Thought | None


@dataclass(frozen=True)
class Odds:
    """Hold the probabilities of the paddle's ways."""

    up: float
    down: float

    @property
    def stay(self) -> float:
        """Return the probability that it stays."""
        return max(0.0, 1 - self.up - self.down)


class Games(Protocol):
    """Games that can be shown."""

    def game(self, number: int) -> Iterator[Moment]:
        """Play a game, and yield its frames."""

    def odds(self, thought: Thought) -> Odds:
        """Return where the paddle will go."""


class Watcher:
    """Play games of an agent and show every frame.

    stage      : of the plan of its run
    parameters : of the agent. Changed in place, they count from the next step on
    chance     : as for actors
    machine    : to play on. None: the stage's emulator
    """

    def __init__(
        self,
        stage: PlannedStage,
        parameters: Arrays,
        chance: Chance,
        machine: Machine | None = None,
    ) -> None:
        self.parameters = parameters
        self.actor = stage.spec.actor(stage, chance)
        if machine is not None:
            self.actor.emulator.use(machine)

    def odds(self, thought: Thought) -> Odds:
        """Return where the paddle will go."""
        pairs = list(zip(self.actor.moves, thought.probabilities, strict=True))
        up, down = (float(sum(p for move, p in pairs if move in way)) for way in (_UP, _DOWN))
        return Odds(up, down)

    def game(self, number: int) -> Iterator[Moment]:
        """Play a game, and yield its frames.

        number : of the episode, from 0 on
        """
        emulator = self.actor.emulator
        screens: list[Screen] = []
        points: list[int] = []

        def see(reward: int) -> None:
            screen = np.empty(emulator.screen_shape, np.uint8)
            emulator.read_screen(screen)
            screens.append(screen)
            points.append(reward)

        left = right = frame = 0
        emulator.observe(see)
        try:
            for step, thought in enumerate(self.actor.steps(number, self.parameters), 1):
                for screen, reward in zip(screens, points, strict=True):
                    frame += 1
                    left, right = left + max(0, -reward), right + max(0, reward)
                    yield Moment(screen, (left, right), frame, step, thought)
                screens.clear()
                points.clear()
        finally:
            emulator.observe(None)
