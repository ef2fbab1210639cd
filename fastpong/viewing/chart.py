"""Learning curves as a picture, by Matplotlib (the ``plot`` extra).

The returns of episodes are drawn faint, their mean strong, so that a picture of 8,000 episodes
shows the trend and the spread. Matplotlib is imported only to draw. Its object interface is used,
never pyplot, so no display and no global state are touched.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fastpong.arrays import Doubles
from fastpong.envs.games import PONG
from fastpong.extras import how_to_install, unusable
from fastpong.storage import files
from fastpong.viewing.curves import Curve, PlotError, axis_scale
from fastpong.viewing.groups import Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Style: TypeAlias = str | tuple[float, tuple[float, float]]
"""Of a line: Matplotlib's name, or (offset, (points on, points off))."""

SUFFIXES = (".png", ".svg", ".pdf")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#333333")
"""Okabe and Ito's, which people of every colour vision tell apart. Yellow is too pale on white."""

_STYLES: tuple[Style, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))
DPI = 160
"""Pixels of an inch in a PNG."""

_TICK = 7  # points between two ticks
_INK, _FAINT = "#333333", "#B8B8B8"
_CLOUD = 300  # episodes from which dots are spread
_INSIDE = 7  # groups of a legend in the picture
_LEGEND_COLUMNS = 46


class Missing(PlotError):
    """Report that Matplotlib is not installed."""


def check_output(path: Path) -> None:
    """Raise PlotError, or OSError as ``files``, unless a picture can be written there."""
    if path.suffix.lower() not in SUFFIXES:
        raise PlotError(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
    files.check_output(path)


def save(path: Path, size: tuple[float, float], draw: Callable[[Figure], None]) -> None:
    """Write a figure as PNG, SVG or PDF.

    size : width and height in inches, of 160 pixels in a PNG
    draw : draws on Matplotlib's figure

    Equal figures make equal files. Raises PlotError for another suffix and a file that cannot be
    written, ``Missing`` without Matplotlib.
    """
    check_output(path)
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except Exception as error:  # a broken package's own
        raise Missing(
            f"{path}: needs Matplotlib, which {unusable('matplotlib', error)}: "
            f"{how_to_install('plot')}"
        ) from error
    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 10, "svg.hashsalt": "fp"}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        try:
            files.write_atomically(path, _rendered(figure, path))
        except OSError as error:
            raise PlotError(f"cannot write {path}: {files.reason(error)}") from error
        except ValueError as error:
            raise PlotError(f"cannot write {path}: {error}") from error


def _rendered(figure: Figure, path: Path) -> bytes:
    """Return the bytes of a figure's file."""
    kind, data = path.suffix.lower()[1:], io.BytesIO()
    figure.savefig(data, format=kind, dpi=DPI, metadata=_undated(path))
    return _shrunk(data) if kind == "png" else data.getvalue()


def _shrunk(data: io.BytesIO) -> bytes:
    """Return a PNG of few colours with a palette.

    It has a third of the size. Greys of letters are rounded, all other colours stay.
    """
    from PIL import Image

    with Image.open(data) as file:
        pixels = np.array(file.convert("RGB"))
    grey = (pixels == pixels[..., :1]).all(axis=2)
    pixels[grey] = np.rint(pixels[grey] / 5) * 5
    codes = pixels.astype(np.int64) @ [1 << 16, 1 << 8, 1]
    found, numbers = np.unique(codes, return_inverse=True)
    if len(found) <= 256:
        rows, columns = grey.shape
        small = Image.frombytes("P", (columns, rows), numbers.astype(np.uint8).tobytes())
        small.putpalette([int(code >> bits & 255) for code in found for bits in (16, 8, 0)])
        data = io.BytesIO()
        small.save(data, format="PNG", optimize=True)
    return data.getvalue()


def _undated(path: Path) -> dict[str, None]:
    keys = {".svg": "Date", ".pdf": "CreationDate"}
    key = keys.get(path.suffix.lower())
    return {key: None} if key else {}


def draw_groups(
    groups: Sequence[Group], path: Path, axis: str, *, window: int, band: str, title: str = ""
) -> None:
    """Draw groups of learning curves into a file.

    axis, window, band : that the groups were made with
    title              : by default the name of a single group

    Raises PlotError as ``save``.
    """
    wide = len(groups) > _INSIDE
    size = (8.0 + 3.0 * wide, 4.6)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        lines = _draw_axes(axes, groups, axis)
        note = "dots: episodes   line: mean of the last " + f"{window}"
        if any(group.band for group in groups):
            note += "   band: " + ("lowest to highest" if band == "range" else "± std of runs")
        _label(axes, groups, lines, title, note, wide)

    save(path, size, draw)


def score_ticks(groups: Sequence[Group]) -> list[int]:
    """Return the ticks of the returns.

    The last is the first one above the best episode.
    """
    highest = max(float(curve.returns.max()) for group in groups for curve in group.curves)
    low, high = PONG.score_range
    top = next((tick for tick in range(low + _TICK, high, _TICK) if tick > highest), high)
    return [*range(low, top + 1, _TICK)]


def longest_x(groups: Sequence[Group]) -> float:
    """Return the largest x of some groups."""
    return max(float(curve.x[-1]) for group in groups for curve in group.curves)


def _draw_axes(axes: Axes, groups: Sequence[Group], axis: str) -> list[Line2D]:
    """Draw groups, and return a line of each."""
    scale, label = axis_scale(axis, longest_x(groups))
    runs = [curve for group in groups for curve in group.curves]
    cloud = sum(len(curve.x) for curve in runs) >= _CLOUD
    lines = []
    for place, group in enumerate(groups):
        colour = COLOURS[place % len(COLOURS)]
        style = _STYLES[place // len(COLOURS) % len(_STYLES)]
        for curve in group.curves:
            _draw_dots(axes, curve, scale, colour, len(runs), cloud)
        lines.append(_draw_group(axes, group, scale, colour, style))
    ticks = score_ticks(groups)
    if ticks[-1] >= 0:
        _draw_parity(axes)
    axes.set_ylim(ticks[0] - 0.8, ticks[-1] + 0.8)
    axes.set_yticks(ticks)
    axes.margins(x=0.02)
    axes.set_xlim(left=0)
    axes.set_xlabel(label, color=_INK)
    axes.set_ylabel("points per episode", color=_INK)
    _dress(axes, axis)
    return lines


def _draw_parity(axes: Axes) -> None:
    axes.axhline(0, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        "parity with the built-in player",
        (0.995, 0),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        color=_INK,
        fontsize=8,
        bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1},
        zorder=6,
    )


def _draw_dots(
    axes: Axes, curve: Curve, scale: float, colour: str, curves: int, cloud: bool
) -> None:  # fmt: skip
    """Draw a run's episodes.

    They fade as there are more of them, so that the mean stays on top.
    """
    count = len(curve.x)
    # Returns are whole points: spread over the unit around each (by the golden ratio, so that a
    # picture is reproducible) they show as a cloud, and no longer as 43 stripes.
    spread = (np.arange(count) * 0.618034) % 1 - 0.5
    axes.scatter(
        curve.x / scale,
        curve.returns + (spread if cloud else 0),
        s=5 if cloud else 12,
        color=colour,
        alpha=min(0.5, max(0.12, 60 / count**0.75)) / curves**0.5,
        linewidths=0,
        zorder=2,
        rasterized=True,
    )


def _draw_group(axes: Axes, group: Group, scale: float, colour: str, style: Style) -> Line2D:
    """Draw a group's band, or its runs' means, and return one of its lines."""
    band = group.band
    if band is None:
        lines = [_draw_line(axes, c.x / scale, c.means, colour, style) for c in group.curves]
        return lines[0]
    x = band.x / scale
    axes.fill_between(x, band.low, band.high, color=colour, alpha=0.2, linewidth=0, zorder=2.5)
    return _draw_line(axes, x, band.mean, colour, style)


def _draw_line(
    axes: Axes, x: Doubles, y: Doubles, colour: str, style: Style
) -> Line2D:  # fmt: skip
    # A white edge keeps the mean readable where it crosses its own episodes or another run.
    axes.plot(x, y, color="white", linewidth=3.6, zorder=3, solid_capstyle="round", alpha=0.85)
    (line,) = axes.plot(
        x,
        y,
        color=colour,
        linewidth=2.0,
        linestyle=style,
        zorder=4,
        solid_capstyle="round",
        marker="o" if len(x) < 3 else None,
    )
    return line


def _dress(axes: Axes, axis: str) -> None:
    from matplotlib.ticker import EngFormatter, FuncFormatter

    if axis in ("steps", "frames"):
        axes.xaxis.set_major_formatter(EngFormatter(sep="\u2009"))
    elif axis == "episodes":
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:+.0f}" if value else "0")
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_FAINT)
    axes.tick_params(colors=_INK, length=3, color=_FAINT)
    axes.grid(axis="y", color=_FAINT, alpha=0.35, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)


def _label(
    axes: Axes, groups: Sequence[Group], lines: Sequence[Line2D], title: str, note: str, wide: bool
) -> None:
    """Name one group above, several in a legend.

    Names are no formulas, and the legend has those too that begin with an underscore.
    """
    if len(groups) == 1:
        title = title or groups[0].label
    else:
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)} if wide else {"loc": "best"}
        labels = [textwrap.fill(group.label, _LEGEND_COLUMNS) for group in groups]
        legend = axes.legend(
            lines, [" "] * len(lines), labelcolor=_INK, fontsize=8 if wide else 9,
            frameon=not wide, **place,
        )  # fmt: skip
        for text, label in zip(legend.get_texts(), labels, strict=True):
            text.set(text=label, parse_math=False)
        legend.get_frame().set(alpha=0.85, linewidth=0)
    axes.set_title(title, loc="left", color=_INK, fontsize=11, pad=18, parse_math=False)
    axes.annotate(
        note,
        (1, 1),
        xycoords="axes fraction",
        xytext=(0, 6),
        textcoords="offset points",
        ha="right",
        color=_INK,
        fontsize=8,
    )
