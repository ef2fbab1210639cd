"""Parts that declarations share: arguments, rules for their values, examples."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fastpong.arrays import Array
from fastpong.geometry import PONG
from fastpong.kernels.arguments import (
    FLOAT,
    I8,
    I64,
    U8,
    U16,
    Bound,
    Call,
    In,
    InPlace,
    Item,
    Values,
)

Sizes = Mapping[str, int]
Generator = np.random.Generator

PIXELS, SCREEN = PONG.pixels, PONG.screen
OUT = 27
"""Positions of the convolution along an axis."""

# --- rules and draws ------------------------------------------------------------------------------


def two_colours(call: Call, table: Array) -> None:
    """Check that a palette table has two colours."""
    if table.max() > 1:
        raise ValueError(f"table: expected only 0 and 1, got {table.max()}")


def sparse_below(call: Call, limit: int) -> None:
    """Check CSR frames, whose indices are below a limit."""
    indptr, indices = call.arrays["indptr"], call.arrays["indices"]
    if indptr[0] < 0 or indptr[-1] > indices.size or np.any(indptr[1:] < indptr[:-1]):
        raise ValueError(
            f"indptr: expected a rising sequence within 0..{indices.size} (the length of "
            f"indices), got {indptr[0]}..{indptr[-1]}, or a falling step between them"
        )
    used = indices[indptr[0] : indptr[-1]]
    if used.size and used.max() >= limit:
        raise ValueError(f"indices: expected numbers below {limit}, got {used.max()}")


def sparse_frames(call: Call, array: Array) -> None:
    """Check sparse frames of D pixels."""
    sparse_below(call, call.sizes.get("D", PIXELS))


def channels(call: Call, kernel: Array) -> None:
    """Set P, the positions of the convolution."""
    channels, filters = kernel.shape[2:]
    if channels not in (1, 80):
        raise ValueError(f"kernel: expected shape (6, 6, 80 or 1, F), got {kernel.shape}")
    call.sizes["P"] = OUT if channels == 80 else OUT * OUT
    call.sizes["P F"] = call.sizes["P"] * filters


def actions_below(call: Call, actions: Array) -> None:
    """Check that actions are below A."""
    limit = call.sizes["A"]
    if actions.size and actions.max() >= limit:
        raise ValueError(f"actions: expected numbers below {limit}, got {actions.max()}")


def some_actions(call: Call, bias: Array) -> None:
    """Check that there are 1 to 255 actions."""
    if not 1 <= call.sizes["A"] <= 255:
        raise ValueError(f"w3: expected 1 to 255 actions, got {call.sizes['A']}")


def variances(call: Call, var: Array) -> None:
    """Check that variances are finite and not negative."""
    _none_negative("var", var)


def row_count(call: Call, count: Array) -> None:
    """Check that a count of rows is finite and not negative."""
    _none_negative("count", count)


def _none_negative(name: str, values: Array) -> None:
    wrong = values[~((values >= 0) & np.isfinite(values))]
    if wrong.size:
        raise ValueError(f"{name}: expected finite numbers >= 0, got {wrong[0]}")


def lines(array: Array) -> Array:
    """Return it as rows of its last axis."""
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def ravel(array: Array) -> Array:
    """Return all elements in one row."""
    return array.reshape(-1)


def column(array: Array) -> Array:
    """Return a row as a column: (T, 1)."""
    return array.reshape(-1, 1)


def batch_of_one(array: Array) -> Array:
    """Return it with an axis before the others."""
    return array.reshape(1, *array.shape)


def images(array: Array) -> Array:
    """Return it with an axis of one channel after the others."""
    return array.reshape(*array.shape, 1)


def one_image(array: Array) -> Array:
    """Return a batch of one, with one channel."""
    return array.reshape(1, *array.shape, 1)


def any_bytes(rng: Generator, shape: tuple[int, ...]) -> Array:
    """Draw bytes."""
    return rng.integers(0, 256, shape, np.uint8)


def bits(rng: Generator, shape: tuple[int, ...]) -> Array:
    """Draw zeros and ones."""
    return rng.integers(0, 2, shape, np.uint8)


def few_actions(rng: Generator, shape: tuple[int, ...]) -> Array:
    """Draw actions of six."""
    return rng.integers(0, 6, shape, np.uint8)


def zeros(rng: Generator, shape: tuple[int, ...]) -> Array:
    """Return zeros."""
    return np.zeros(shape, np.int64)


def any_order(rng: Generator, shape: tuple[int, ...]) -> Array:
    """Draw a minibatch of steps."""
    return rng.permutation(shape[0])


def points(rng: Generator, shape: tuple[int, ...]) -> Array:
    """Draw points of a game."""
    return rng.choice([-1, 0, 0, 0, 1], shape)


def positive(rng: Generator, shape: tuple[int, ...]) -> Array:
    """Draw positive numbers."""
    return np.abs(rng.standard_normal(shape))


def shares(rng: Generator, shape: tuple[int, ...]) -> Array:
    """Draw probabilities, row by row."""
    return np.asarray(rng.dirichlet(np.ones(shape[1]), shape[0]))


def draw_sparse_frames(rng: Generator, counts: list[int], pixels: int = PIXELS) -> Values:
    """Draw sparse frames that have so many pixels each."""
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    frames = [np.sort(rng.choice(pixels, size, replace=False)) for size in counts]
    indices = np.concatenate([np.zeros(0), *frames]).astype(np.uint16)
    signs = rng.choice(np.array([-1, 1], np.int8), indices.size)
    return {"indptr": indptr, "indices": indices, "signs": signs}


def frames_of(rng: Generator, sizes: Sizes) -> Values:
    """Draw T sparse frames of D pixels."""
    counts = [(3, 0, 40, 1)[t % 4] for t in range(sizes["T"])]
    return draw_sparse_frames(rng, counts, sizes.get("D", PIXELS))


# --- parts ----------------------------------------------------------------------------------------

INDPTR = In("indptr", I64, ("T+1",))
INDICES = In("indices", U16, ("nnz",))
SIGNS = In("signs", I8, ("nnz",))
FRAMES: tuple[Item, ...] = (INDPTR, INDICES, SIGNS)
CHECKED_FRAMES: tuple[Item, ...] = (INDPTR, INDICES, In("signs", I8, ("nnz",), sparse_frames))
TABLE = In("table", U8, (256,), two_colours, bits)
SCREENS = Bound("screens", U8, (2, *SCREEN), None, any_bytes)
EPISODE: tuple[Item, ...] = (
    InPlace("indptr", I64, ("cap+1",), None, zeros),
    InPlace("indices", U16, ("room",), None, lambda rng, shape: np.zeros(shape, np.uint16)),
    InPlace("signs", I8, ("room",), None, lambda rng, shape: np.zeros(shape, np.int8)),
    InPlace("actions", U8, ("cap",), None, lambda rng, shape: np.zeros(shape, np.uint8)),
)
"""Buffers of an episode, which a step writes."""
CONV: tuple[Item, ...] = (
    In("kernel", FLOAT, (6, 6, "C", "F"), channels, shaped=lines),
    In("bias", FLOAT, ("F",)),
)
ROW = {"T": 4, "F": 3, "H": 5, "C": 80, "P": OUT, "P F": OUT * 3}
IMAGE = ROW | {"C": 1, "P": OUT * OUT, "P F": OUT * OUT * 3}
POLICY = {"": {"T": 4, "D": PIXELS, "H": 5}}
EPISODE_SIZES = {"cap": 3, "room": 3 * PIXELS}
