"""What hidden units see: the weights of trained agents as images of the field.

A picture has sections, a section has units, and a unit has images of one size. Weights of a cell
fill its pixels. Units stand in the order of their influence, the strongest first: the length of the
weights that lead to a unit, times the length of those that lead away. Either alone says nothing,
since a ReLU unit computes the same with twice the one and half the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fastpong.agents.pyramid import Pyramid
from fastpong.arrays import Array, Arrays, Doubles
from fastpong.geometry import PONG
from fastpong.training.trained import Trained

SIDE = PONG.rows
"""Pixels along a side of an image."""

STRIDE, SIZE = 3, 6  # of the convolution of agent keras
_BY_SCALE = 4  # units that are shown by scale


@dataclass(frozen=True)
class Unit:
    """Hold the images of a unit.

    name   : its number, from 0, and its meaning if that is known
    images : of one shape, float64
    """

    name: str
    images: tuple[Doubles, ...]


@dataclass(frozen=True)
class Section:
    """Hold the images of some units.

    title   : what is shown, in a sentence
    columns : names of a unit's images
    units   : at least one
    """

    title: str
    columns: tuple[str, ...]
    units: tuple[Unit, ...]


def read_sections(trained: Trained, count: int | None = None) -> list[Section]:
    """Return the images of a trained agent's hidden units.

    count : units at most, by default as many as make a good picture
    """
    agent = trained.planned.stage.agent
    sections: dict[str, Callable[[Trained, int | None], list[Section]]] = {
        "karpathy": _karpathy, "keras": _keras, "ppo": _cells, "dqn": _cells,
    }  # fmt: skip
    return sections[agent](trained, count)


def strongest(inputs: Array, outputs: Array, count: int) -> list[int]:
    """Return the units of most influence.

    inputs  : (N, U), weights that lead to them
    outputs : (U,) or (U, M), weights that lead away
    """
    away = np.abs(outputs) if outputs.ndim == 1 else np.linalg.norm(outputs, axis=1)
    influence = np.linalg.norm(inputs, axis=0) * away
    order: list[int] = np.argsort(-influence, kind="stable")[:count].tolist()
    return order


def _of(count: int, total: int, noun: str) -> str:
    if count == total:
        return f"all {total} {noun}"
    return f"{count} of {total} {noun}, the strongest first"


def _push(weight: float) -> str:
    """Return the paddle's way for an output weight."""
    return "up" if weight > 0 else "down"


def _karpathy(trained: Trained, count: int | None) -> list[Section]:
    w1, w2 = (trained.parameters[name].astype(np.float64) for name in ("w1", "w2"))
    best = strongest(w1, w2, count or 40)
    units = tuple(
        Unit(f"{unit}: {_push(w2[unit])}", (w1[:, unit].reshape(SIDE, SIDE),)) for unit in best
    )
    title = f"Weights of the difference frame, {_of(len(best), len(w2), 'hidden units')}"
    return [Section(title, ("difference",), units)]


def _keras(trained: Trained, count: int | None) -> list[Section]:
    p = {name: array.astype(np.float64) for name, array in trained.parameters.items()}
    kernel, image = p["kernel"], p["kernel"].shape[2] == 1
    # A frame as one row of 80 columns and 80 channels meets the kernel's third row alone: the
    # others meet padding. Its columns are the frame's rows, its channels the frame's columns.
    filters = kernel[:, :, 0] if image else kernel[SIZE // 2 - 1]
    total = filters.shape[-1]
    order = np.argsort(-np.linalg.norm(filters.reshape(-1, total), axis=0), kind="stable")
    seen = "6x6 pixels" if image else "6 rows of the frame, as wide as the field"
    first = Section(
        f"Filters of the convolution on {seen}, all {total}, the longest first",
        ("difference",),
        tuple(Unit(str(n), (filters[..., n],)) for n in order.tolist()),
    )
    projected = project(kernel, p["w1"])
    best = strongest(projected.reshape(-1, projected.shape[2]), p["w2"], count or 32)
    units = tuple(Unit(str(n), (projected[:, :, n],)) for n in best)
    title = (
        f"Units of the first dense layer, seen through the convolution without its ReLU, "
        f"{_of(len(best), projected.shape[2], 'units')}"
    )
    return [first, Section(title, ("difference",), units)]


def project(kernel: Doubles, w: Doubles) -> Doubles:
    """Return a convolution and a dense layer as one.

    It is what the two compute together without the ReLU between them, less the bias: the transposed
    convolution of the dense layer's weights.

    kernel : (6, 6, C, F): C = 80 for a frame as one row of 80 columns with 80 channels, C = 1 for
             an image
    w      : (P F, U), position by position

    Returns (80, 80, U).
    """
    channels, filters = kernel.shape[2:]
    height = SIDE * SIDE // (SIDE * channels)
    down, across = -(-height // STRIDE), -(-SIDE // STRIDE)
    top, left = (_padding(n, m) for n, m in ((height, down), (SIDE, across)))
    size = STRIDE * (down - 1) + SIZE, STRIDE * (across - 1) + SIZE
    padded = np.zeros((*size, channels, w.shape[1]))
    for place, weights in enumerate(w.reshape(down * across, filters, -1)):
        row, column = (STRIDE * n for n in divmod(place, across))
        padded[row : row + SIZE, column : column + SIZE] += kernel @ weights
    found: Doubles = padded[top : top + height, left : left + SIDE].reshape(SIDE, SIDE, -1)
    return found


def _padding(inputs: int, outputs: int) -> int:
    """Return the padding before the input, Keras's "same"."""
    return max(0, STRIDE * (outputs - 1) + SIZE - inputs) // 2


def _cells(trained: Trained, count: int | None) -> list[Section]:
    tree: Pyramid = trained.planned.spec.pyramid  # type: ignore[attr-defined]
    rows, (_, a, v) = _cell_weights(trained.parameters)
    best = strongest(rows, np.stack([a, v], axis=1), count or 16)
    images = {unit: channel_images(tree, rows[:, unit]) for unit in best}
    names = channel_names(tree)
    units = tuple(Unit(f"{n}: {_push(a[n])}", tuple(images[n])) for n in best)
    whole = Section(f"Weights of the cells, {_of(len(best), len(a), 'hidden units')}", names, units)
    parts = [
        Unit(
            f"{unit}, {names[channel]}",
            (images[unit][channel], *split(tree, rows[:, unit], channel)),
        )
        for unit in best[:_BY_SCALE]
        for channel in (0, 1)
    ]
    title = "The same by scale: means over the largest cells, then of what they leave over the next"
    return [whole, Section(title, ("", *scale_names(tree)), tuple(parts))]


def _cell_weights(parameters: Arrays) -> tuple[Doubles, Doubles]:
    rows, units = (parameters[name].astype(np.float64) for name in ("rows", "units"))
    return rows, units


def channel_names(tree: Pyramid) -> tuple[str, ...]:
    """Return the names of the cells' channels."""
    earlier = (f"{n} earlier" for n in range(1, tree.channels - 1))
    return ("frame", "difference", *earlier)


def scale_names(tree: Pyramid) -> tuple[str, ...]:
    """Return the sizes of cells, from the largest on."""
    sizes = [f"{tree.levels[n].height}x{tree.levels[n].width}" for n in _largest_first(tree)]
    return (*sizes, f"{tree.cell_size}x{tree.cell_size}")


def channel_images(tree: Pyramid, weights: Doubles) -> list[Doubles]:
    """Return a unit's weights, an image a channel.

    weights : (B,), those of the last action are left out
    """
    places = tree.side**2
    return [_image(tree, weights[n * places : (n + 1) * places]) for n in range(tree.channels)]


def split(tree: Pyramid, weights: Doubles, channel: int) -> list[Doubles]:
    """Return a channel's weights by scale.

    The images add up to the whole. From the largest cells to the smallest they are the mean over
    each cell of what the larger cells leave, and what all leave at last. The weights of the coarser
    cells themselves are nowhere stored, see ``agents.pyramid``.

    weights : (B,)
    """
    own = slice(channel * tree.side**2, (channel + 1) * tree.side**2)
    rest, parts = weights[own].copy(), []
    for level in _largest_first(tree):
        parents = tree.parents[level, own]
        cells = parents - parents.min()
        means = np.bincount(cells, rest) / np.maximum(np.bincount(cells), 1)
        parts.append(_image(tree, means[cells]))
        rest -= means[cells]
    return [*parts, _image(tree, rest)]


def _largest_first(tree: Pyramid) -> Sequence[int]:
    areas = [level.height * level.width for level in tree.levels]
    return sorted(range(len(areas)), key=lambda n: -areas[n])


def _image(tree: Pyramid, cells: Doubles) -> Doubles:
    """Return cells as an image of about 80x80."""
    factor = max(1, SIDE // tree.side)
    image = cells.reshape(tree.side, tree.side)
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
