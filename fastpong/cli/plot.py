"""Learning curves of one or several runs, drawn from their metrics.csv.

The return of every episode is drawn light, its running mean strong, so that a picture of 8,000
episodes shows the trend and the spread. Matplotlib (the ``plot`` extra) is imported only to draw.
Its object interface is used, never pyplot, so no display and no global state are touched.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from fastpong.cli.checkpoints import PATH
from fastpong.cli.display import say
from fastpong.envs.games import PONG
from fastpong.extras import how_to_install
from fastpong.storage.files import check_output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Axes: TypeAlias = Any
"""Matplotlib's, imported only when needed and without types."""

AXES = {
    "steps": ("total_steps", "steps of the agent"),
    "frames": ("total_frames", "emulated frames"),
    "episodes": ("episode", "episodes"),
    "wall": ("wall_seconds", "wall time"),
}
SUFFIXES = (".png", ".svg", ".pdf")
_NO_RUN = "found none; name the directory that training made, by default one under runs/"
# Okabe and Ito's colours, which people of every colour vision tell apart (yellow left out: too
# pale on white).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#333333")
_TICK = 7  # points between two ticks
_INK, _FAINT = "#333333", "#B8B8B8"
_CLOCK = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "hours"), (120, 60, "minutes"))


class PlotError(Exception):
    """Report a curve that cannot be drawn.

    The message names the file and the reason.
    """


@dataclass(frozen=True)
class Curve:
    """Hold one run's metrics.

    ``x`` (N,), ``returns`` (N,), ``means`` (N,), all float64.
    """

    name: str
    x: NDArray[np.float64]
    returns: NDArray[np.float64]
    means: NDArray[np.float64]


def read_curve(source: Path, axis: str) -> Curve:
    """Read a run directory or a metrics.csv.

    axis : one of ``AXES``

    A last line that is still being written is left out. Raises PlotError with the file and the line
    when there is nothing to draw.
    """
    import numpy as np

    path = source / "metrics.csv" if source.is_dir() else source
    columns = (AXES[axis][0], "return", "running_mean")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = _rows(path, csv.reader(file), columns)
    except (FileNotFoundError, NotADirectoryError) as error:
        from fastpong.storage.finding import list_runs

        listed = list_runs(source) if source.is_dir() else ""
        raise PlotError(
            f"{source}: expected a run's directory or its metrics.csv, "
            + (f"got {listed}" if listed else _NO_RUN)
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PlotError(f"cannot read {path}: {error}") from error
    if not rows:
        raise PlotError(f"{path} has no episodes yet: nothing to draw")
    table = np.array(rows)
    return Curve(_run_name(path), table[:, 0], table[:, 1], table[:, 2])


def _rows(path: Path, lines: Iterator[list[str]], columns: Sequence[str]) -> list[list[float]]:
    header: list[str] = next(lines, [])
    missing = [name for name in columns if name not in header]
    if missing:
        raise PlotError(
            f"{path}: expected a metrics.csv with the columns {', '.join(columns)}; "
            f"{', '.join(missing)} not found in its first line"
        )
    places = [header.index(name) for name in columns]
    rows: list[list[float]] = []
    torn: PlotError | None = None
    for number, line in enumerate(lines, start=2):
        if torn:
            raise torn
        try:
            rows.append([float(line[place]) for place in places])
            if len(line) != len(header):
                raise IndexError
        except (ValueError, IndexError):
            torn = PlotError(f"{path}, line {number}: expected {len(header)} columns of numbers")
            rows = rows[: number - 2]
    return rows


def _run_name(path: Path) -> str:
    folder = path.resolve().parent
    return folder.name if path.name == "metrics.csv" else path.stem


def draw(sources: Sequence[Path], output: Path, axis: str = "steps", title: str = "") -> None:
    """Draw learning curves into a PNG, SVG or PDF.

    Raises PlotError when a source cannot be read, the suffix of ``output`` is another one, the
    picture cannot be written or Matplotlib is not installed, OSError as ``check_output``.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise PlotError(f"{output}: expected a name that ends in {', '.join(SUFFIXES)}")
    check_output(output)
    curves = [read_curve(source, axis) for source in sources]
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PlotError(
            f"drawing needs Matplotlib, which is not installed: {how_to_install('plot')}"
        ) from error
    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 10, "svg.hashsalt": "fp"}):
        figure = Figure(figsize=(8.0, 4.6), layout="constrained")
        _draw_axes(figure.add_subplot(), curves, axis, title)
        try:
            figure.savefig(output, dpi=160)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PlotError(f"{output}: cannot be written ({reason})") from error


def _draw_axes(axes: Axes, curves: Sequence[Curve], axis: str, title: str) -> None:
    scale, label = _scale(curves, axis)
    for place, curve in enumerate(curves):
        _draw_curve(axes, curve, scale, _COLOURS[place % len(_COLOURS)], len(curves))
    highest = max(float(curve.returns.max()) for curve in curves)
    low, high = PONG.score_range
    top = next((tick for tick in range(low + _TICK, high, _TICK) if tick > highest), high)
    if top >= 0:
        _draw_parity(axes)
    axes.set_ylim(low - 0.8, top + 0.8)
    axes.set_yticks(range(low, top + 1, _TICK))
    axes.set_xlim(left=0)
    axes.margins(x=0.02)
    axes.set_xlabel(label, color=_INK)
    axes.set_ylabel("points per episode", color=_INK)
    _dress(axes, axis)
    _legend(axes, curves, title)


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
    )


def _draw_curve(axes: Axes, curve: Curve, scale: float, colour: str, curves: int) -> None:
    """Draw one run.

    The episodes fade as there are more of them, so that the mean stays on top.
    """
    import numpy as np

    x = curve.x / scale
    # Returns are whole points: spread over the unit around each (by the golden ratio, so that a
    # picture is reproducible) they show as a cloud, and no longer as 43 stripes.
    spread = (np.arange(len(x)) * 0.618034) % 1 - 0.5
    axes.scatter(
        x,
        curve.returns + (spread if len(x) >= 300 else 0),
        s=5 if len(x) >= 300 else 12,
        color=colour,
        alpha=min(0.5, max(0.12, 60 / len(x) ** 0.75)) / curves**0.5,
        linewidths=0,
        zorder=2,
        rasterized=True,
    )
    # A white edge keeps the mean readable where it crosses its own episodes or another run.
    axes.plot(x, curve.means, color="white", linewidth=3.6, zorder=3, solid_capstyle="round")
    axes.plot(
        x,
        curve.means,
        color=colour,
        linewidth=2.0,
        zorder=4,
        label=curve.name,
        solid_capstyle="round",
        marker="o" if len(x) < 3 else None,
    )


def _scale(curves: Sequence[Curve], axis: str) -> tuple[float, str]:
    """Return the divisor of x and the axis's label.

    Wall time gets a unit that fits.
    """
    label = AXES[axis][1]
    if axis != "wall":
        return 1.0, label
    longest = max(float(curve.x[-1]) for curve in curves)
    for least, seconds, unit in _CLOCK:
        if longest >= least:
            return float(seconds), f"{label} ({unit})"
    return 1.0, f"{label} (seconds)"


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


def _legend(axes: Axes, curves: Sequence[Curve], title: str) -> None:
    """Name one run in the title, several beside."""
    if len(curves) == 1:
        title = title or curves[0].name
    else:
        axes.legend(frameon=False, loc="upper left", labelcolor=_INK, fontsize=9)
    axes.set_title(title, loc="left", color=_INK, fontsize=11, pad=10)
    axes.annotate(
        "dots: episodes   line: running mean",
        (1, 1),
        xycoords="axes fraction",
        xytext=(0, 10),
        textcoords="offset points",
        ha="right",
        color=_INK,
        fontsize=8,
    )


@click.command(short_help="Draw learning curves of one or several runs.")
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option("-o", "--output", required=True, type=PATH, metavar="FILE",
              help="Picture to write: .png, .svg or .pdf.")  # fmt: skip
@click.option("--x", "axis", type=click.Choice(list(AXES)), default="steps", show_default=True,
              help="Axis to draw against.")  # fmt: skip
@click.option("--title", default="", help="Title of the picture.  [default: the run's name]")
def plot(runs: tuple[Path, ...], output: Path, axis: str, title: str) -> int:
    """Draw learning curves of one or several runs.

    RUN is a run directory or a metrics.csv file. Every episode is a dot, the line is their running
    mean. Needs Matplotlib: pip install matplotlib.
    """
    draw(runs, output, axis, title)
    say(f"wrote {output}")
    return 0
