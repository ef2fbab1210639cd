"""Scaled pictures: means over areas, and only what changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastpong.viewing.games import COLOURS
from fastpong.viewing.scaling import Scaler

SIZES = st.tuples(st.integers(1, 30), st.integers(1, 30))


def whole(scaler: Scaler) -> NDArray[np.uint8]:
    return np.zeros((*scaler.target, 3), np.uint8)


def apply(scaler: Scaler, canvas: NDArray[np.uint8], picture: NDArray[np.uint8]) -> int:
    rows, columns, colours = scaler.update(picture)
    canvas[rows, columns] = colours
    return len(rows)


def means(picture: NDArray[np.uint8], target: tuple[int, int]) -> NDArray[np.float64]:
    """Return the mean colours, by pictures enlarged to a common multiple."""
    large = np.repeat(np.repeat(COLOURS[picture], target[0], 0), target[1], 1).astype(float)
    rows, columns = picture.shape
    parts: NDArray[np.float64] = large.reshape(target[0], rows, target[1], columns, 3)
    return parts.mean(axis=(1, 3))


@given(SIZES, SIZES, st.integers(0, 2**32 - 1))
def test_means_over_areas(source: tuple[int, int], target: tuple[int, int], seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, source, np.uint8)
    scaler = Scaler(source, target, COLOURS)
    canvas = whole(scaler)
    assert apply(scaler, canvas, picture) == target[0] * target[1]
    base = COLOURS[scaler.background].astype(float)
    found = means(picture, target)
    large = np.repeat(np.repeat(picture != scaler.background, target[0], 0), target[1], 1)
    objects = large.reshape(target[0], source[0], target[1], source[1]).mean(axis=(1, 3))
    more = np.minimum(scaler.emphasis, 1 / np.maximum(objects, 1e-6))[..., None]
    expected = base + more * (found - base)
    assert np.abs(canvas - expected).max() <= 0.51


@pytest.mark.parametrize("blend", [True, False])
@given(SIZES, SIZES, st.integers(0, 2**32 - 1))
def test_changes_alone_give_the_same_picture(
    blend: bool, source: tuple[int, int], target: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scaler = Scaler(source, target, COLOURS, blend=blend)
    canvas = whole(scaler)
    picture = np.zeros(source, np.uint8)
    apply(scaler, canvas, picture)
    for _ in range(4):
        picture = picture.copy()
        for _ in range(picture.size // 8 + 1):
            picture[rng.integers(source[0]), rng.integers(source[1])] = rng.integers(256)
        apply(scaler, canvas, picture)
        again = Scaler(source, target, COLOURS, blend=blend)
        expected = whole(again)
        apply(again, expected, picture)
        if scaler.background == again.background:
            assert np.array_equal(canvas, expected)


def test_nothing_changes_where_nothing_changed() -> None:
    scaler = Scaler((210, 160), (44, 58), COLOURS)
    canvas = whole(scaler)
    picture = np.full((210, 160), 34, np.uint8)
    apply(scaler, canvas, picture)
    assert apply(scaler, canvas, picture.copy()) == 0
    ball = picture.copy()
    ball[100:104, 80:82] = 14
    assert 1 <= apply(scaler, canvas, ball) <= 6


@pytest.mark.parametrize("target", [(44, 58), (30, 40), (76, 100), (16, 24)])
def test_without_blending_only_the_pictures_colours_appear_and_a_ball_is_always_seen(
    target: tuple[int, int],
) -> None:
    known = {tuple(COLOURS[value]) for value in (34, 14)}
    for row in range(40, 55, 2):
        for column in range(70, 77, 2):
            scaler = Scaler((210, 160), target, COLOURS, blend=False)
            canvas = whole(scaler)
            picture = np.full((210, 160), 34, np.uint8)
            picture[row : row + 4, column : column + 2] = 14
            apply(scaler, canvas, picture)
            assert {tuple(colour) for colour in canvas.reshape(-1, 3)} == known
