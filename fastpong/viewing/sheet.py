"""Images of weights on one sheet, red for positive and blue for negative ones.

A unit's weights have the colours of its own largest weight, because their size alone means nothing:
see ``weights``. The sheet is made by NumPy. Matplotlib writes it, with its texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Doubles
from fastpong.viewing.chart import save
from fastpong.viewing.weights import Section, Unit

STOPS = np.array(
    [[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]], np.float64
)
"""Colours of -1, -0.5, 0, 0.5 and 1: Brewer's RdBu, which all eyes tell apart."""

_CLIPPED = 0.2  # percent of a unit's weights that may be beyond the colours' ends
_FRAME, _PAPER = (190, 190, 190), (255, 255, 255)
_WIDTH = 9.0  # inches
_IMAGES = 8  # in a row of the sheet
_TEXT = 0.19  # inches of a line of text
_INK = "#333333"


class Mosaic(NamedTuple):
    """Hold a section as one picture.

    pixels : (rows, columns, 3) uint8
    places : top and left of each unit's first image
    step   : rows and columns from one image to the next
    """

    pixels: NDArray[np.uint8]
    places: list[tuple[int, int]]
    step: tuple[int, int]


def colours(values: Doubles) -> NDArray[np.uint8]:
    """Return the colours of values from -1 to 1, those beyond as -1 and 1.

    values : any shape

    Returns the shape and 3 more, uint8.
    """
    at = (np.clip(values, -1, 1) + 1) / 2 * (len(STOPS) - 1)
    parts = [np.interp(at, np.arange(len(STOPS)), stop) for stop in STOPS.T]
    found: NDArray[np.uint8] = np.rint(np.stack(parts, axis=-1)).astype(np.uint8)
    return found


def scaled(unit: Unit) -> list[Doubles]:
    """Return a unit's images divided by its largest weight.

    0.2 % of the weights may be larger, so that a single one does not pale all others.
    """
    values = np.abs(np.concatenate([image.ravel() for image in unit.images]))
    most = float(np.percentile(values, 100 - _CLIPPED)) or float(values.max()) or 1.0
    return [image / most for image in unit.images]


def mosaic(section: Section, across: int, text_rows: int) -> Mosaic:
    """Return a section as one picture.

    across    : units beside each other
    text_rows : pixels left free above each unit, for its name
    """
    height, width = section.units[0].images[0].shape
    gap = max(2, width // 16)
    step = height + text_rows + gap, width + gap
    columns = len(section.columns)
    block = columns * step[1] + (gap if columns > 1 else 0)
    down = math.ceil(len(section.units) / across)
    size = down * step[0], min(across, len(section.units)) * block - gap * (1 + (columns > 1))
    pixels = np.full((size[0], size[1] + gap, 3), _PAPER, np.uint8)
    places = []
    for n, unit in enumerate(section.units):
        row, column = n // across * step[0] + text_rows, n % across * block
        places.append((row, column))
        for k, image in enumerate(scaled(unit)):
            left = column + k * step[1]
            pixels[row - 1 : row + height + 1, max(left - 1, 0) : left + width + 1] = _FRAME
            pixels[row : row + height, left : left + width] = colours(image)
    return Mosaic(pixels, places, step)


def draw_sheet(sections: Sequence[Section], path: Path, title: str) -> None:
    """Draw sections below each other into a PNG, SVG or PDF.

    Raises PlotError as ``chart.save``.
    """
    drawn = [_fitted(section) for section in sections]
    heights = [_WIDTH * m.pixels.shape[0] / m.pixels.shape[1] + 2 * _TEXT for m in drawn]

    def draw(figure: Any) -> None:
        figure.set_layout_engine("none")
        total = figure.get_figheight()
        figure.text(0.02, 1 - 0.32 / total, title, fontsize=12, color=_INK, va="center")
        note = "red: positive, blue: negative, each unit by its own largest weight"
        figure.text(0.02, 1 - 0.58 / total, note, fontsize=8, color=_INK, va="center")
        top = total - 0.75
        for section, made, height in zip(sections, drawn, heights, strict=True):
            top -= height
            box = (0.02, top / total, 0.96, (height - 1.6 * _TEXT) / total)
            _draw_section(figure.add_axes(box), section, made)

    save(path, (_WIDTH, sum(heights) + 0.85), draw)


def _fitted(section: Section) -> Mosaic:
    """Return a section as a picture that fills the sheet's width."""
    height, width = section.units[0].images[0].shape
    images = _IMAGES if width < 3 * height else _IMAGES // 2
    across = max(1, images // len(section.columns))
    inch = across * len(section.columns) * width * 1.08 / _WIDTH  # pixels of an inch
    return mosaic(section, across, math.ceil(inch * _TEXT))


def _draw_section(axes: Any, section: Section, made: Mosaic) -> None:
    axes.imshow(made.pixels, interpolation="nearest", aspect="equal")
    axes.set_anchor("NW")
    axes.set_axis_off()
    axes.set_title(section.title, loc="left", fontsize=9.5, color=_INK, pad=4)
    for (row, column), unit in zip(made.places, section.units, strict=True):
        first, *others = section.columns
        names = [unit.name if not others else f"{unit.name}, {first}", *others]
        for k, name in enumerate(names):
            place = column + k * made.step[1], row - 2
            axes.text(*place, name, fontsize=7, color=_INK, va="bottom")
