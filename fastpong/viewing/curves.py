"""Learning curves as numbers: metrics.csv, its x axes and the windowed mean.

    record = read_record(Path("runs/first"))      all columns, and the run's settings
    curve = make_curve(record, "time", window=40)

``groups`` has the mean and the band of several seeds. Drawings, pages and reports take their
numbers from here. Only NumPy is needed, and nothing of training is imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastpong.arrays import Doubles
from fastpong.printable import counted, printable
from fastpong.storage import files
from fastpong.storage.manifest import CONFIG
from fastpong.storage.opening import read_text, read_toml

WINDOW = 40
"""Episodes of the mean by default, as many as ``until_episodes`` has."""

COLUMNS = (
    "episode", "return", "length", "frames", "running_mean", "update", "total_steps",
    "total_frames", "wall_seconds", "cpu_seconds",
)  # fmt: skip
"""Columns of metrics.csv. Only ``return`` must be there."""

METRICS = "metrics.csv"
_CLOCK = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "hours"), (120, 60, "minutes"))
_DEPTH = 3
"""Directories below a named one in which runs are found."""


class PlotError(Exception):
    """Report a failure to draw or write a picture.

    The message names the file, the reason and the remedy.
    """


class Axis(NamedTuple):
    """Describe an x axis.

    column : of metrics.csv
    factor : of the column's numbers
    unit   : of the result, a column's name in written numbers
    label  : of the axis
    """

    column: str
    factor: float
    unit: str
    label: str


AXES = {
    "steps": Axis("total_steps", 1.0, "steps", "steps of the agent"),
    "frames": Axis("total_frames", 1.0, "frames", "emulator frames"),
    "episodes": Axis("episode", 1.0, "episodes", "episodes"),
    "time": Axis("wall_seconds", 1.0, "seconds", "time"),
    "core-minutes": Axis(
        "cpu_seconds", 1 / 60, "core_minutes", "core-minutes, the CPU time of all processes"
    ),
}
"""Names of x axes, rl-zoo's where it has one."""


@dataclass(frozen=True)
class Record:
    """Hold a run's metrics.csv.

    path     : of metrics.csv
    name     : of the run's directory, or of a file by another name
    columns  : by name, (N,) float64, N >= 1, one value per episode
    settings : the run's config.toml, empty without one
    damaged  : numbers of lines that were left out. A last line still being written is none
    """

    path: Path
    name: str
    columns: Mapping[str, Doubles]
    settings: Mapping[str, object] = field(default_factory=dict)
    damaged: tuple[int, ...] = ()


@dataclass(frozen=True)
class Curve:
    """Hold a run's curve.

    name     : of the run
    path     : of its metrics.csv
    x        : (N,) float64, ascending, in the axis's unit
    returns  : (N,) float64, of every episode
    means    : (N,) float64, of the last ``window`` episodes, of fewer at the start
    settings : the run's config.toml, empty without one
    at_goal  : it ended because it reached its goal
    """

    name: str
    path: Path
    x: Doubles
    returns: Doubles
    means: Doubles
    settings: Mapping[str, object] = field(default_factory=dict)
    at_goal: bool = False


def find_runs(source: Path) -> list[Path]:
    """Return the metrics.csv files that a path names, sorted.

    source : a run's directory, a metrics.csv, or a directory of runs, up to three levels deep.
             Nothing below a run is one

    Raises PlotError if there is none.
    """
    found = [] if _is_run(source) else sorted(_below(source, _DEPTH))
    return found or [_metrics_path(source)]


def _is_run(directory: Path) -> bool:
    return any((directory / name).is_file() for name in (METRICS, CONFIG))


def _below(directory: Path, depth: int) -> Iterator[Path]:
    """Yield the metrics.csv files of runs at any depth."""
    try:
        below = [path for path in directory.iterdir() if path.is_dir()]
    except OSError:  # no directory, or another user's
        return
    for path in below:
        if (path / METRICS).is_file():
            yield path / METRICS
        elif depth > 1 and not _is_run(path):
            yield from _below(path, depth - 1)


def _metrics_path(source: Path) -> Path:
    """Return a run's own metrics.csv. Raises PlotError without one."""
    if source.is_file():
        return source
    if (source / METRICS).is_file():
        return source / METRICS
    if _is_run(source):
        raise PlotError(f"{source}: has no {METRICS}, so no episodes yet, nothing to draw")
    raise PlotError(
        f"{source}: expected a run's directory or its metrics.csv, or a directory of runs, found "
        "none; name the directory that training made, by default one under runs/"
    )


def read_record(source: Path) -> Record:
    """Read a run's metrics.csv and settings.

    source : a run's directory, or a metrics.csv

    A byte-order mark and line ends of a spreadsheet are accepted. Damaged lines are left out and
    listed. Raises PlotError for a file that cannot be read, has no column ``return`` or no episode.
    """
    path = _metrics_path(source)
    header, lines = _read_lines(path)
    if "return" not in header:
        raise PlotError(
            f"{path}: expected a metrics.csv with a column return, got a first line of "
            f"{', '.join(header)[:80]!r}"
        )
    names = [name for name in COLUMNS if name in header]
    rows, damaged = _read_rows(lines, header, names)
    if not rows:
        raise PlotError(f"{path}: has no episodes yet, nothing to draw")
    table = np.array(rows)
    columns = {name: np.ascontiguousarray(table[:, n]) for n, name in enumerate(names)}
    return Record(path, _run_name(path), columns, _read_settings(path.parent), tuple(damaged))


def _read_lines(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the cells of the header and of all whole lines.

    Quotes mean nothing: training writes none, and a stray one would take in the lines after it. A
    last line without its end is still being written.
    """
    try:
        text = read_text(path)
    except ValueError as error:
        raise PlotError(f"{path}: expected a metrics.csv, but it is no text ({error})") from error
    except OSError as error:
        raise PlotError(f"{path}: cannot be read: {files.reason(error)}") from error
    if not text:
        raise PlotError(f"{path}: expected a metrics.csv, but it is empty")
    header, _, rest = text.partition("\n")
    return header.split(","), [line.split(",") for line in rest.split("\n")[:-1]]


def _read_rows(
    lines: Sequence[Sequence[str]], header: Sequence[str], names: Sequence[str]
) -> tuple[list[list[float]], list[int]]:
    """Return whole lines' values, and damaged lines' numbers."""
    places = [header.index(name) for name in names]
    rows, damaged = [], []
    for number, line in enumerate(lines, start=2):
        row = _read_row(line, places) if len(line) == len(header) else None
        if row is not None:
            rows.append(row)
        elif any(line):
            damaged.append(number)
    return rows, damaged


def _read_row(line: Sequence[str], places: Sequence[int]) -> list[float] | None:
    try:
        row = [float(line[place]) for place in places]
    except ValueError:
        return None
    return row if all(map(math.isfinite, row)) else None


def _run_name(path: Path) -> str:
    if path.name != METRICS:
        return printable(path.stem)
    name = path.parent.name  # of a link, if it is one
    return printable(name if name not in ("", "..") else path.resolve().parent.name)


def _read_settings(directory: Path) -> Mapping[str, object]:
    """Return a run's settings, empty if there are none."""
    try:
        return read_toml(directory / CONFIG)
    except (OSError, ValueError):
        return {}


def make_curve(record: Record, axis: str = "steps", window: int = WINDOW) -> Curve:
    """Return a run's curve.

    axis   : one of ``AXES``
    window : episodes of the mean, >= 1

    Raises ValueError for another axis or window, PlotError for a run without the axis's column.
    """
    if axis not in AXES:
        raise ValueError(f"axis: expected one of {', '.join(AXES)}, got {axis!r}")
    column, factor, *_ = AXES[axis]
    x = record.columns.get(column, np.zeros(0))
    if not (x > 0).any():
        there = [name for name, other in AXES.items() if other.column in record.columns]
        raise PlotError(
            f"{record.path}: has no {column}{' above 0' * bool(x.any())}, which --x {axis} needs; "
            f"it has {', '.join(there) or 'none of the axes'}"
        )
    if (fall := np.flatnonzero(np.diff(x) < 0)).size:
        raise PlotError(
            f"{record.path}: {column} falls after row {fall[0] + 1}; expected the rows of one run, "
            "in order"
        )
    returns = record.columns["return"]
    return Curve(
        record.name,
        record.path,
        x * factor,
        returns,
        windowed_mean(returns, window),
        record.settings,
        _at_goal(returns, record.settings),
    )


def windowed_mean(values: Doubles, window: int = WINDOW) -> Doubles:
    """Return the mean of the last values.

        mean_i = (v_i + v_{i-1} + ... + v_{i-n+1}) / n,   n = min(window, i + 1)

    values : (N,) float64
    window : n at most, >= 1

    Returns (N,) float64. Raises ValueError for another window. O(N).
    """
    if window < 1:
        raise ValueError(f"window: expected an integer >= 1, got {window}")
    # Returns are whole numbers, whose sums are exact.
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    means: Doubles = (sums[ends] - sums[starts]) / (ends - starts)
    return means


def axis_scale(axis: str, longest: float) -> tuple[float, str]:
    """Return the divisor of x, and the axis's label.

    Time gets a unit that fits.

    longest : largest x
    """
    label = AXES[axis].label
    if axis != "time":
        return 1.0, label
    for least, seconds, unit in _CLOCK:
        if longest >= least:
            return float(seconds), f"{label} ({unit})"
    return 1.0, f"{label} (seconds)"


def _at_goal(returns: Doubles, settings: Mapping[str, object]) -> bool:
    """Return whether a run reached its ``training.goal``."""
    until, episodes = settings.get("until"), settings.get("until_episodes")
    if not isinstance(until, (int, float)) or not isinstance(episodes, int):
        return False
    return len(returns) >= episodes and bool(returns[-episodes:].mean() >= until)


def read_curves(
    sources: Sequence[Path], axis: str = "steps", window: int = WINDOW
) -> tuple[list[Curve], list[str]]:
    """Read the curves of all readable runs.

    sources : runs, metrics.csv files or directories of runs. A run named twice is taken once

    Returns curves, and sentences about what was left out.
    """
    curves: dict[Path, Curve] = {}
    notes = []
    for source in sources:
        try:
            paths = find_runs(source)
        except PlotError as error:
            notes.append(str(error))
            continue
        for path in paths:
            try:
                record = read_record(path)
                curves.setdefault(path.resolve(), make_curve(record, axis, window))
                notes += _damage(record)
            except PlotError as error:
                notes.append(str(error))
    return [*curves.values()], list(dict.fromkeys(notes))


def _damage(record: Record) -> Iterator[str]:
    if record.damaged:
        many = len(record.damaged)
        yield (
            f"{record.path}: {counted(many, 'damaged line')}, the first is line {record.damaged[0]}"
        )
