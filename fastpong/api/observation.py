"""Observations of gymnasium's Pong as screens of one byte a pixel.

A policy sees of a screen only the difference between background and foreground. One table tells
them apart in palette indices, in red values and in both usual kinds of gray, since none of Pong's
colours has a value in one of them that is background in another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastpong.arrays import Array
from fastpong.envs.games import PONG

SHAPE = PONG.geometry.screen

_BACKGROUND = {
    "red of RGB": (0, 109, 144),
    "palette indices of ALE": (0, 228, 34),
    "gray of ALE and OpenCV": (0, 107, 87),
    "gray of gymnasium's GrayscaleObservation": (0, 110, 83),
}
"""Values of Pong's three backgrounds: black, the field of the first frames, the field."""

_WAY_OUT = (
    "give the screen as gymnasium.make('ALE/Pong-v5') returns it, without wrappers that resize, "
    "stack or scale it"
)


def foreground_values() -> Array:
    """Return a (256,) uint8 table: 0 background, 1 foreground."""
    table = np.ones(256, np.uint8)
    for values in _BACKGROUND.values():
        table[list(values)] = 0
    return table


class Screens(NamedTuple):
    """Hold screens, and whether they came as a batch.

    screens : (n, 210, 160) uint8 views
    """

    screens: Array
    batch: bool


def read_screens(observation: object) -> Screens:
    """Return the screens of an observation.

    observation : uint8 of shape (210, 160) for palette indices or gray values, (210, 160, 1), or
                  (210, 160, 3) for RGB. A batch has one more dimension in front, and may have its
                  colours before the rows as Stable-Baselines3 transposes them

    Raises TypeError for another dtype, ValueError for another shape.
    """
    array = given = np.asarray(observation)
    if array.dtype != np.uint8:
        raise TypeError(
            f"observation: expected uint8 screens, got {_named(observation, array)}; {_WAY_OUT}"
        )
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[2:] == SHAPE:
        array = array[:, 0]  # red, or the one channel
    elif array.ndim >= 3 and array.shape[-1] in (1, 3) and array.shape[-3:-1] == SHAPE:
        array = array[..., 0]
    if array.ndim not in (2, 3) or array.shape[-2:] != SHAPE or not array.size:
        raise ValueError(
            f"observation: expected a screen of shape (210, 160, 3), (210, 160) or a batch of "
            f"them, got {given.shape}; {_WAY_OUT}"
        )
    batch = array.ndim == 3
    return Screens(array if batch else array[None], batch)


def _named(observation: object, array: Array) -> str:
    if isinstance(observation, dict):
        return f"a dict of {', '.join(map(str, observation))}"
    return f"{array.dtype} of shape {array.shape}"
