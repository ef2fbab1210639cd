"""Players for the lockstep tests: each sees the RAM and returns one of ALE's actions."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastpong.envs.draws import Draw
from fastpong.envs.variants import Variant

Player = Callable[[NDArray[np.uint8]], int]
Maker = Callable[[random.Random], Player]
Stepper = Callable[[NDArray[np.uint8] | None], list[int]]

NOOP, FIRE, UP, RIGHT, LEFT, DOWN, RIGHTFIRE, LEFTFIRE = 0, 1, 2, 3, 4, 5, 11, 12
ACTIONS = range(18)
EFFECTIVE = (NOOP, FIRE, RIGHT, LEFT, RIGHTFIRE, LEFTFIRE)

BALL, PADDLE = 54, 51
"""RAM addresses of Pong's heights."""


def holding(rng: random.Random, mean: int, actions: Sequence[int] = ACTIONS) -> Player:
    """Return a player that holds a random action for 1 to 2 * mean - 1 frames."""
    action, left = NOOP, 0

    def act(ram: NDArray[np.uint8]) -> int:
        nonlocal action, left
        if not left:
            action, left = rng.choice(actions), rng.randrange(1, 2 * mean)
        left -= 1
        return action

    return act


def reversing(rng: random.Random, longest: int) -> Player:
    """Return a player that turns back every 1 to ``longest`` frames."""
    action, left = RIGHT, 0

    def act(ram: NDArray[np.uint8]) -> int:
        nonlocal action, left
        if not left:
            action, left = RIGHT + LEFT - action, rng.randrange(1, longest + 1)
        left -= 1
        return action

    return act


def mashing(rng: random.Random) -> Player:
    """Return a player that presses and releases FIRE, moving now and then."""
    fired, move = False, NOOP

    def act(ram: NDArray[np.uint8]) -> int:
        nonlocal fired, move
        fired = not fired
        if rng.random() < 0.1:
            move = rng.choice((NOOP, RIGHT, LEFT))
        return {NOOP: FIRE, RIGHT: RIGHTFIRE, LEFT: LEFTFIRE}[move] if fired else move

    return act


def rallying(rng: random.Random) -> Player:
    """Return a player whose game reaches the cap of 108,000 frames."""

    def act(ram: NDArray[np.uint8]) -> int:
        above = int(ram[BALL]) - int(ram[PADDLE]) - 4
        return NOOP if abs(above) < 3 else LEFT if above > 0 else RIGHT

    return act


def tracking(rng: random.Random, noise: float, mirrored: bool = False) -> Player:
    """Return a player that follows the ball, or flees it, with random moves in between.

    noise : probability that a frame begins a random action of up to 12 frames
    """
    action, left = NOOP, 0

    def act(ram: NDArray[np.uint8]) -> int:
        nonlocal action, left
        if left:
            left -= 1
            return action
        if rng.random() < noise:
            action, left = rng.choice(EFFECTIVE), rng.randrange(12)
            return action
        above = int(ram[BALL]) - int(ram[PADDLE]) - 6
        move = NOOP if abs(above) < 3 else LEFT if (above > 0) != mirrored else RIGHT
        if rng.random() < 0.1:
            move = {NOOP: FIRE, RIGHT: RIGHTFIRE, LEFT: LEFTFIRE}[move]
        return move

    return act


def variant_frames(variant: Variant, act: Player, draw: Draw) -> Stepper:
    """Return a function that draws the frames of a step, as ``envs.emulator`` does.

    It is given RAM, and told to begin a game by None.
    """
    last = NOOP

    def step(ram: NDArray[np.uint8] | None) -> list[int]:
        nonlocal last
        if ram is None:
            last = NOOP
            return []
        action, skip = act(ram), variant.frameskip
        count = skip[int(draw() * len(skip))] if len(skip) > 1 else skip[0]
        frames = []
        for _ in range(count):
            last = last if variant.sticky and draw() < variant.sticky else action
            frames.append(last)
        return frames

    return step


PLAYERS: dict[str, Maker] = {
    "random, every frame": partial(holding, mean=1),
    "random, 4 frames": partial(holding, mean=4),
    "random, 30 frames": partial(holding, mean=30, actions=EFFECTIVE),
    "held button": partial(holding, mean=1000),
    "reversals every frame": partial(reversing, longest=1),
    "reversals, up to 8 frames": partial(reversing, longest=8),
    "FIRE mashed": mashing,
    "endless rally": rallying,
    "tracker": partial(tracking, noise=0.0),
    "tracker, noise 0.02": partial(tracking, noise=0.02),
    "tracker, noise 0.05": partial(tracking, noise=0.05),
    "tracker, noise 0.1": partial(tracking, noise=0.1),
    "tracker, noise 0.2": partial(tracking, noise=0.2),
    "tracker, mirrored": partial(tracking, noise=0.05, mirrored=True),
}
"""Policies by their names. The trained agents come beside them."""
