"""Moments of Atari games: from an emulator's two screens to one frame, in the ways there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from shared import load

from fastpong import kernels
from fastpong.console.palette import greys_of, palette_of

Array = NDArray[Any]
Run = Callable[[], object]

GAMES = load("atari_screens").GAMES[:12]
MOMENTS = 6
"""Pairs of screens of a game, ``APART`` steps of four frames from each other."""
APART = 40
SIZE = (84, 84)


@dataclass
class Moment:
    """Two emulators, of which one has played one frame more."""

    before: Any
    now: Any

    def gymnasium(self) -> Array:
        """The statements of AtariPreprocessing."""
        older, newer = _buffers(self, 2)
        self.before.getScreenGrayscale(older)
        self.now.getScreenGrayscale(newer)
        np.maximum(newer, older, out=newer)
        return _resized(newer)

    def sb3(self) -> Array:
        """The statements of MaxAndSkipEnv and WarpFrame."""
        both = _buffers(self, 3)
        self.before.getScreenRGB(both[0])
        self.now.getScreenRGB(both[1])
        return _resized(cv2.cvtColor(both.max(axis=0), cv2.COLOR_RGB2GRAY))

    def screens(self) -> tuple[Array, Array]:
        return self.now.getScreen(), self.before.getScreen()


def _buffers(moment: Moment, axes: int) -> Array:
    shape = moment.now.getScreenDims() + (3,) * (axes - 2)
    kept = _KEPT.get(shape)
    if kept is None:
        kept = _KEPT[shape] = np.empty((2, *shape), np.uint8)
    return kept


_KEPT: dict[tuple[int, ...], Array] = {}


def _resized(grey: Array) -> Array:
    return np.asarray(cv2.resize(grey, SIZE, interpolation=cv2.INTER_AREA))


class Ours:
    """The same by ``kernels.atari_frame``, into buffers that are used again."""

    def __init__(self, moments: list[Moment], compat: str) -> None:
        shape = moments[0].now.getScreenDims()
        self.newer, self.older = np.empty((2, *shape), np.uint8)
        self.palette = (greys_of if compat == "gymnasium" else palette_of)(shape[0])
        self.compat = compat
        self.stored = [moment.screens() for moment in moments]
        self.moments, self.out = moments, np.empty(SIZE, np.uint8)

    def frame(self, moment: Moment) -> Array:
        moment.before.getScreen(self.older)
        moment.now.getScreen(self.newer)
        return kernels.atari_frame(
            self.newer, self.older, self.palette, compat=self.compat, out=self.out
        )

    def every(self) -> None:
        for moment in self.moments:
            self.frame(moment)

    def every_stored(self) -> None:
        """The kernel alone."""
        for newer, older in self.stored:
            kernels.atari_frame(newer, older, self.palette, compat=self.compat, out=self.out)


def moments_of(game: str) -> list[Moment]:
    """Play at random, always the same, and stop in some places."""
    return [
        Moment(*(_played(game, 4 * APART * (n + 1) - 1 + more) for more in (0, 1)))
        for n in range(MOMENTS)
    ]


def _played(game: str, frames: int) -> Any:
    """Return an emulator that has played so many frames."""
    ale, rng = load("atari_screens").load(game), np.random.default_rng(0)
    actions = [action.value for action in ale.getMinimalActionSet()]
    for frame in range(frames):
        if frame % 4 == 0:
            if ale.game_over():
                ale.reset_game()
            action = actions[rng.integers(len(actions))]
        ale.act(action)
    return ale


def arms(moments: list[Moment], compat: str) -> dict[str, Run]:
    """Return theirs, ours, and the kernel alone, each over all moments, checked to be equal."""
    ours, theirs = Ours(moments, compat), getattr(Moment, compat)
    for moment in moments:
        np.testing.assert_array_equal(ours.frame(moment), theirs(moment), strict=True)

    def every() -> None:
        for moment in moments:
            theirs(moment)

    return {"theirs": every, "ours": ours.every, "kernel": ours.every_stored}
