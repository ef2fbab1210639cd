"""Frames against the oracle, on a real game and on any bytes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernel_cases import (
    PIXELS,
    table,
)
from recorded_game import Game
from tolerances import assert_same

from fastpong import geometry, oracle
from fastpong.geometry import PONG

pytestmark = pytest.mark.filterwarnings("error")

F64 = np.dtype(np.float64)


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
def test_preprocessing_is_the_oracles(backend: Any, game: Game, kind: str) -> None:
    want, out = np.zeros(PIXELS, kind), np.full(PIXELS, 9, kind)
    lit = 0
    for palette, rgb in zip(game.palette, game.rgb, strict=True):
        oracle.preprocess_frame_rgb(rgb, want)
        assert_same(backend.preprocess_frame(rgb, out=out), want)
        assert_same(backend.preprocess_frame(palette, game.table, out=out), want)
        lit += int(np.count_nonzero(want))
    assert 0 < lit < 0.2 * want.size * len(game.palette)  # paddles, ball: not everything


def test_preprocessing_of_any_bytes_is_the_oracles(backend: Any) -> None:
    rng = np.random.default_rng(5)
    want = np.zeros(PIXELS, np.float32)
    for _ in range(20):
        frame = rng.integers(0, 256, (210, 160, 3), dtype=np.uint8)
        frame[rng.random((210, 160)) < 0.5, 0] = rng.choice([0, 109, 144])
        oracle.preprocess_frame_rgb(frame, want)
        assert_same(backend.preprocess_frame(frame), want)
        colours = table(rng)
        oracle.preprocess_frame(frame[..., 1], colours, want)
        assert_same(backend.preprocess_frame(frame[..., 1], colours), want)


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
def test_difference_is_the_oracles_in_place_too(backend: Any, kind: str) -> None:
    current, previous = np.random.default_rng(1).integers(0, 2, (2, PIXELS)).astype(kind)
    want = np.zeros(PIXELS, np.int8 if kind == "uint8" else kind)
    oracle.difference_frame(current, previous, want)
    assert set(np.unique(want)) == {-1, 0, 1}
    assert_same(backend.difference_frame(current, previous), want)
    assert_same(backend.difference_frame(current, None), np.zeros_like(want))
    for reused in (current, previous):
        pair = [current.copy(), previous.copy()]
        out = pair[0 if reused is current else 1].view(want.dtype)
        assert backend.difference_frame(*pair, out=out) is out
        assert_same(out, want)


def test_sparse_difference_is_the_oracles(backend: Any, game: Game) -> None:
    rng = np.random.default_rng(2)
    pairs = [*zip(game.palette[1:], game.palette[:-1], strict=True)]
    trials = [(now, before, game.table) for now, before in pairs]
    trials += [(*rng.integers(0, 256, (2, 210, 160), dtype=np.uint8), table(rng))]
    everything = np.array([0] + [1] * 255, np.uint8)
    trials += [(np.ones((210, 160), np.uint8), np.zeros((210, 160), np.uint8), everything)]
    counts = []
    for trial in trials:
        want = np.full(PIXELS, 9, np.uint16), np.full(PIXELS, 9, np.int8)
        n = oracle.sparse_difference_frame(*trial, *want)
        out = np.full(PIXELS, 9, np.uint16), np.full(PIXELS, 9, np.int8)
        got = backend.sparse_difference_frame(*trial, out=out)
        for part, whole, exact in zip(got, out, want, strict=True):
            assert_same(part, exact[:n])
            assert np.shares_memory(part, whole) or n == 0
            assert_same(whole[n + 1 :], exact[n + 1 :])  # a kernel may write one element too many
        counts.append(n)
    assert counts[-1] == PIXELS and 1000 < counts[-2] < 5000 and 3 < np.median(counts) < 60


def test_sparse_difference_sees_exactly_the_kept_pixels(backend: Any) -> None:
    colours = np.array([0] + [1] * 255, np.uint8)
    blank = np.zeros((210, 160), np.uint8)
    for y in (0, 33, 34, 35, 36, 37, 113, 192, 193, 194, 195, 209):
        for x in (0, 1, 2, 31, 32, 79, 80, 157, 158, 159):
            screen = blank.copy()
            screen[y, x] = 200
            indices, signs = backend.sparse_difference_frame(screen, blank, colours)
            kept = 35 <= y < 195 and (y - 35) % 2 == 0 and x % 2 == 0
            assert indices.tolist() == ([(y - 35) // 2 * 80 + x // 2] if kept else [])
            assert signs.tolist() == [1] * kept
    # Another background is no difference, another foreground neither.
    assert backend.sparse_difference_frame(blank + 1, blank + 2, colours)[0].size == 0


def test_compiled_code_has_the_same_geometry() -> None:
    """``_geometry.pxd`` is a copy, since constants help the compiler."""
    copy = Path(geometry.__file__).with_name("_geometry.pxd").read_text()
    found = {name: int(n) for name, n in re.findall(r"^ +([A-Z]+) = (\d+)", copy, re.M)}
    assert found == {
        "TOP": PONG.top,
        "FIELD": PONG.height,
        "WORDS": PONG.width // 8,
        "STRIDE": PONG.stride,
        "SIDE": PONG.rows,
        "PIXELS": PONG.pixels,
    }
    assert (PONG.left, PONG.width, PONG.columns) == (0, PONG.height, PONG.rows)
