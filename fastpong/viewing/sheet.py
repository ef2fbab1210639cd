"""Images of weights on one sheet, red for positive and blue for negative ones.

A unit's weights have the colours of its own largest weight, because their size alone means nothing:
see ``weights``. The sheet is made by NumPy. Matplotlib writes it, with its texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Doubles
from fastpong.viewing.chart import save
from fastpong.viewing.weights import Section, Unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STOPS = np.array(
    [[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]], np.float64
)
"""Colours of -1, -0.5, 0, 0.5 and 1: Brewer's RdBu, which all eyes tell apart."""

_LEVELS = 32  # of colours on either side of zero
_CLIPPED = 0.2  # percent of a unit's weights that may be beyond the colours' ends
_FRAME, _PAPER = (190, 190, 190), (255, 255, 255)
_WIDTH, _MARGIN, _DPI = 9.0, 0.18, 160  # inches, and their pixels in a PNG
_HEAD, _BETWEEN, _TEXT = 1.0, 0.45, 0.16  # inches of the title, below a section, of a line
_IMAGES, _MOST_IMAGES = 8, 14  # in a row of the sheet
_GAP = 8  # pixels between images
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
    """Return the colours of values from -1 to 1.

    They come in steps of 1/32, since few colours make small files. Values beyond have those of -1
    and 1.

    values : any shape

    Returns the shape and 3 more, uint8.
    """
    at = (np.rint(np.clip(values, -1, 1) * _LEVELS) / _LEVELS + 1) / 2 * (len(STOPS) - 1)
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


def mosaic(section: Section, across: int, text_rows: int = 0, zoom: int = 1) -> Mosaic:
    """Return a section as one picture.

    across    : units beside each other
    text_rows : pixels left free above each unit, for its name
    zoom      : pixels along a side of a weight
    """
    height, width = (zoom * size for size in section.units[0].images[0].shape)
    columns, gap = len(section.columns), _GAP
    step = height + text_rows + gap, width + gap
    block = columns * step[1] + (2 * gap if columns > 1 else 0)
    down = math.ceil(len(section.units) / across)
    pixels = np.full((down * step[0] + 1, across * block, 3), _PAPER, np.uint8)
    places = []
    for n, unit in enumerate(section.units):
        row, column = n // across * step[0] + text_rows + 1, n % across * block + 1
        places.append((row, column))
        for k, image in enumerate(scaled(unit)):
            left = column + k * step[1]
            pixels[row - 1 : row + height + 1, left - 1 : left + width + 1] = _FRAME
            shown = colours(image).repeat(zoom, axis=0).repeat(zoom, axis=1)
            pixels[row : row + height, left : left + width] = shown
    return Mosaic(pixels, places, step)


def draw_sheet(sections: Sequence[Section], path: Path, title: str) -> None:
    """Write sections as a PNG, SVG or PDF.

    Raises PlotError as ``chart.save``.
    """
    drawn = [_fitted(section) for section in sections]
    width = _WIDTH - 2 * _MARGIN
    heights = [width * m.pixels.shape[0] / m.pixels.shape[1] for m in drawn]
    total = _HEAD + sum(heights) + _BETWEEN * len(heights)

    def draw(figure: Figure) -> None:
        figure.set_layout_engine("none")
        left, top = _MARGIN / _WIDTH, total
        figure.text(left, 1 - 0.3 / total, title, fontsize=12, color=_INK, va="center")
        _draw_key(figure, total - 0.6, total)
        top -= _HEAD
        for section, made, height in zip(sections, drawn, heights, strict=True):
            top -= height
            axes = figure.add_axes((left, top / total, width / _WIDTH, height / total))
            _draw_section(axes, section, made)
            top -= _BETWEEN

    save(path, (_WIDTH, total), draw)


def _fitted(section: Section) -> Mosaic:
    """Return a section in the sheet's width."""
    height, width = section.units[0].images[0].shape
    columns = len(section.columns)
    images = _IMAGES if width < 3 * height else _IMAGES // 2
    across = max(1, images // columns)
    if across == 1 and 2 * columns <= _MOST_IMAGES:
        across = 2
    pixels = _DPI * (_WIDTH - 2 * _MARGIN) / (across * columns) - _GAP
    return mosaic(section, across, round(_DPI * _TEXT), max(1, round(pixels / width)))


def _draw_key(figure: Figure, middle: float, total: float) -> None:
    """Draw the key of the colours.

    middle : its height above the bottom, in inches
    """
    left, bar = _MARGIN / _WIDTH, 0.1
    texts = ((left, "-1", "left"), (left + bar + 0.05, "+1  of the unit's largest weight", "left"))
    for place, text, side in texts:
        figure.text(place, middle / total, text, fontsize=8, color=_INK, va="center", ha=side)
    axes = figure.add_axes((left + 0.022, (middle - 0.06) / total, bar + 0.02, 0.12 / total))
    axes.imshow(colours(np.linspace(-1, 1, 256)[None]), aspect="auto")
    axes.set_axis_off()


def _draw_section(axes: Axes, section: Section, made: Mosaic) -> None:
    axes.imshow(made.pixels, interpolation="nearest", aspect="equal")
    axes.set_anchor("NW")
    axes.set_axis_off()
    axes.set_title(section.title, loc="left", fontsize=9.5, color=_INK, pad=5)
    shown = made.pixels.shape[1] / made.step[1]
    size = 7 if shown < 10.5 else 5.5
    for (row, column), unit in zip(made.places, section.units, strict=True):
        first, *others = section.columns
        names = [", ".join(filter(None, (unit.name, first if others else ""))), *others]
        for k, name in enumerate(names):
            place = column + k * made.step[1], row - 3
            axes.text(*place, name, fontsize=size, color=_INK, va="bottom")
