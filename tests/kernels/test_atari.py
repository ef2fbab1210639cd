"""Frames of any Atari game: on every backend and vector unit, against the oracle and OpenCV."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from atari_screens import GAMES, Screens, screens_of
from kernel_cases import ALL_BACKENDS, BACKENDS
from tolerances import assert_same

from fastpong import kernels, oracle
from fastpong.kernels.atari import COMPATS
from fastpong.kernels.cython import atari as compiled

pytestmark = pytest.mark.filterwarnings("error")

UNITS = compiled.VECTORS[: 1 + compiled.VECTORS.index(compiled.use_vectors("plain"))]
compiled.use_vectors(UNITS[-1])

SIZES = [
    (84, 84), (96, 96), (80, 80), (128, 128), (36, 120),  # whole numbers of 16 bits
    (64, 64), (42, 42), (84, 83), (209, 159), (100, 10), (1, 3),  # float32
    (105, 80), (70, 40), (210, 160), (1, 1), (30, 20), (7, 5),  # boxes
    (210, 84), (84, 160),  # one axis as it is
    (256, 256), (84, 200), (300, 84), (420, 320), (211, 161),  # at least one axis grows
]  # fmt: skip
ROWS = (210, 214, 220, 230, 250)


@pytest.fixture(params=(*UNITS, "numba"))
def backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Every backend, Cython's on every vector unit of this machine."""
    if request.param == "numba":
        yield kernels.get_backend("numba")
        return
    before = compiled.use_vectors(request.param)
    yield kernels.get_backend("cython")
    compiled.use_vectors(before)


def pictures(rows: int, columns: int, seed: int = 0) -> list[Any]:
    """Noise, flat pieces (many ties), repeated rows, one colour."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (rows, columns), dtype=np.uint8)
    pieces = noise[: rows // 5 + 1, : columns // 4 + 1].repeat(5, 0).repeat(4, 1)[:rows, :columns]
    lines = noise[: rows // 3 + 1].repeat(3, 0)[:rows].copy()
    lines[rng.integers(rows, size=9), rng.integers(columns, size=9)] ^= 64
    steps = (noise[:, :1] // 64 * 85).repeat(columns, 1)
    return [np.ascontiguousarray(one) for one in (noise, pieces, lines, steps, noise * 0 + 255)]


@cache
def resized(rows: int, columns: int, size: Any, seed: int = 0) -> list[tuple[Any, Any]]:
    """Return pictures, and what the oracle makes of them, once for all backends."""
    done = []
    for frame in pictures(rows, columns, seed):
        out = np.empty(size, np.uint8)
        oracle.resize_area(frame[None, ..., None], size, out[None, ..., None])
        done.append((frame, out))
    return done


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_the_oracles(backend: Any, size: Any) -> None:
    for frame, want in resized(210, 160, size):
        assert_same(backend.resize_area(frame, size), want)


@pytest.mark.parametrize("rows", ROWS)
def test_screens_of_any_height(backend: Any, rows: int) -> None:
    frames, want = (
        np.array(all_of) for all_of in zip(*resized(rows, 160, (84, 84), rows), strict=True)
    )
    assert_same(backend.resize_area(frames), want)
    colours = np.stack([frames, frames[::-1], 255 - frames], axis=-1)
    got = backend.resize_area(colours)
    for channel in range(3):
        assert_same(got[..., channel], backend.resize_area(colours[..., channel]))
    assert_same(got[..., 0], want)


@pytest.mark.parametrize("seed", range(12))
def test_any_sizes(backend: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns, *size = (int(n) for n in rng.integers(1, 270, 4))
    for frame, want in resized(rows, columns, tuple(size), seed):
        assert_same(backend.resize_area(frame, tuple(size)), want)


@cache
def calls_of_any_bytes(compat: str, size: Any) -> list[tuple[Any, Any]]:
    """Return arguments, and what the oracle makes of them, once for all backends."""
    exact, done = kernels.get_backend("numpy"), []
    rng = np.random.default_rng(2)
    palette = rng.integers(0, 256, (256, 3), dtype=np.uint8)
    frame = np.array(pictures(210, 160))
    previous = frame.copy()
    previous[:, 40:44] = rng.integers(0, 256, (4, 160))
    for mask in (255, 254):
        pair, colours = (frame & mask, previous & mask), (palette[frame], palette[previous])
        calls: list[Any] = [(*pair, palette), (*pair, None), (pair[0], None, palette), colours]
        calls += [[one[1] if one is not palette else one for one in calls[0]]]
        calls += [(colours[0][2], colours[1][2]), (pair[0][1],), (colours[0],)]
        for arguments in calls:
            want = exact.atari_frame(*arguments, size=size, compat=compat)
            done.append((arguments, want))
    return done


@pytest.mark.parametrize("compat", COMPATS)
@pytest.mark.parametrize("size", [(84, 84), (64, 50), (105, 80), (90, 200)])
def test_frames_of_any_bytes_are_the_oracles(backend: Any, compat: str, size: Any) -> None:
    """Screens of every kind, palettes of 128 colours and of 256, one and many at a time."""
    for arguments, want in calls_of_any_bytes(compat, size):
        assert_same(backend.atari_frame(*arguments, size=size, compat=compat), want)


# --- real screens ---------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=GAMES)
def title(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def screens(title: str) -> Screens:
    return screens_of(title)


@cache
def exact_frames(title: str, compat: str) -> Any:
    """Return the oracle's frames of a game, once for all backends."""
    screens = screens_of(title)
    exact = kernels.get_backend("numpy")
    return exact.atari_frame(screens.frame, screens.previous, screens.palette, compat=compat)


@pytest.mark.parametrize("compat", COMPATS)
def test_frames_of_games_are_the_oracles(
    backend: Any, title: str, screens: Screens, compat: str
) -> None:
    want = exact_frames(title, compat)
    got = backend.atari_frame(screens.frame, screens.previous, screens.palette, compat=compat)
    assert_same(got, want)
    assert_same(backend.atari_frame(screens.rgb, screens.previous_rgb, compat=compat), want)
    assert len(np.unique(want)) > 3 and (want[0] != want[-1]).any()


def test_greys_are_ales(screens: Screens) -> None:
    if (screens.frame % 2).any():
        return  # ALE's grey of an odd index is a byte of the next colour: Air Raid alone has them
    for name in ALL_BACKENDS:
        backend = kernels.get_backend(name)
        assert_same(backend.grayscale(screens.rgb), screens.grey)
        assert_same(backend.grayscale(screens.rgb[0]), screens.grey[0])


# --- OpenCV ---------------------------------------------------------------------------------------


def area(cv2: Any, frame: Any, size: Any = (84, 84)) -> Any:
    done = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
    return done.reshape(*size, *frame.shape[2:])


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_opencvs(backend: Any, size: Any) -> None:
    cv2 = pytest.importorskip("cv2")
    for frame in pictures(210, 160):
        assert_same(backend.resize_area(frame, size), area(cv2, frame, size))
        colours = np.stack([frame, frame[::-1], 255 - frame], axis=-1)
        assert_same(backend.resize_area(colours, size), area(cv2, colours, size))


@pytest.mark.parametrize("seed", range(40))
def test_any_sizes_are_opencvs(seed: int) -> None:
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(seed)
    rows, columns, *size = (int(n) for n in rng.integers(1, 270, 4))
    for frame in pictures(rows, columns, seed):
        got = kernels.resize_area(frame, tuple(size))
        assert_same(got, area(cv2, frame, tuple(size)))


def test_greys_are_opencvs() -> None:
    """All 2^24 colours."""
    cv2 = pytest.importorskip("cv2")
    levels = np.arange(256, dtype=np.uint8)
    frame = np.empty((256, 256, 3), np.uint8)
    frame[..., 1], frame[..., 2] = levels[:, None], levels
    for red in levels:
        frame[..., 0] = red
        want = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        for compat in ("sb3", "cleanrl"):
            assert_same(kernels.grayscale(frame, compat), want)


def test_frames_of_games_are_opencvs(backend: Any, screens: Screens) -> None:
    cv2 = pytest.importorskip("cv2")
    pair = screens.frame, screens.previous
    got = {name: backend.atari_frame(*pair, screens.palette, compat=name) for name in COMPATS[1:]}
    got["gymnasium"] = backend.atari_frame(*pair, screens.greys)
    pooled = np.maximum(screens.rgb, screens.previous_rgb)
    for n, colours in enumerate(pooled):
        grey = np.maximum(screens.grey[n], screens.previous_grey[n])
        assert_same(got["gymnasium"][n], area(cv2, grey))
        assert_same(got["sb3"][n], area(cv2, cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)))
        small = area(cv2, colours)
        assert_same(got["cleanrl"][n], cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))


# --- pooling and stacks ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (2, 5, 7), (2, 5, 7, 3)])
def test_pooling(shape: Any) -> None:
    rng = np.random.default_rng(0)
    for name in ALL_BACKENDS:
        backend = kernels.get_backend(name)
        frame, previous = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
        want = np.maximum(frame, previous)
        assert_same(backend.max_pool_frames(frame, previous), want)
        assert backend.max_pool_frames(frame, previous, out=frame) is frame
        assert_same(frame, want)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("padding", ["reset", "zero"])
def test_stacks(depth: int, padding: str) -> None:
    """A stack holds the last frames of its episode, and the padding before its first."""
    rng = np.random.default_rng(depth)
    for name in ALL_BACKENDS:
        backend = kernels.get_backend(name)
        stacks = np.full((3, depth, 6, 5), 9, np.uint8)
        alone = stacks[1].copy()
        episodes: list[list[Any]] = [[], [], []]
        for step in range(12):
            frames = rng.integers(0, 256, (3, 6, 5), dtype=np.uint8)
            fresh = np.array([step % 5 == 0, step % 7 == 0, step == 0])
            backend.frame_stack_push(stacks, frames, fresh, padding)
            backend.frame_stack_push(alone, frames[1], bool(fresh[1]), padding)
            for n in range(3):
                before = frames[n] if padding == "reset" else frames[n] * 0
                episodes[n] = [before] * (depth - 1) if fresh[n] else episodes[n]
                episodes[n].append(frames[n])
                assert_same(stacks[n], np.array(episodes[n][-depth:]))
            assert_same(alone, stacks[1])
        backend.frame_stack_push(stacks, frames)
        assert_same(stacks[:, -1], frames)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL_BACKENDS)
def test_sizes_that_are_none(name: str) -> None:
    backend, frame = kernels.get_backend(name), np.zeros((210, 160), np.uint8)
    for size in (0, -1, (84, 0), (84,), (84, 84, 1), (32768, 84), 2**70):
        with pytest.raises(ValueError, match=r"^size: expected"):
            backend.resize_area(frame, size)
    for size in (84.0, None, "84", True, (84, None)):
        with pytest.raises(TypeError, match=r"^size: expected"):
            backend.atari_frame(frame, size=size)
    for shape in ((0, 160), (210, 0), (0, 0)):
        with pytest.raises(ValueError, match=r"^frame: expected"):
            backend.resize_area(np.zeros(shape, np.uint8))
    assert backend.resize_area(np.zeros((0, 210, 160), np.uint8)).shape == (0, 84, 84)
    assert backend.atari_frame(np.zeros((0, 210, 160, 3), np.uint8)).shape == (0, 84, 84)


@pytest.mark.parametrize("name", ALL_BACKENDS)
def test_names_that_are_none(name: str) -> None:
    backend, frame = kernels.get_backend(name), np.zeros((210, 160), np.uint8)
    for compat, error in (("SB3", ValueError), (None, TypeError), (1, TypeError)):
        with pytest.raises(error, match=r"^compat: expected one of 'gymnasium'"):
            backend.atari_frame(frame, compat=compat)
    with pytest.raises(ValueError, match=r"^padding: expected one of 'reset'"):
        backend.frame_stack_push(frame[None], frame, padding="edge")


def test_vector_units_that_are_none() -> None:
    for name in ("sse9", "", None):
        with pytest.raises(ValueError, match=r"^name: expected one of plain"):
            compiled.use_vectors(name)


def test_compats_are_in_order_everywhere() -> None:
    """C, Numba and the oracle have the numbers, the public functions the names."""
    from fastpong.kernels.numba import atari as jitted
    from fastpong.oracle import atari as exact

    for number, name in enumerate(COMPATS):
        assert getattr(jitted, name.upper()) == getattr(exact, name.upper()) == number
    default = inspect.signature(kernels.atari_frame).parameters["compat"].default
    assert default == COMPATS[0] and set(BACKENDS) < set(ALL_BACKENDS)
