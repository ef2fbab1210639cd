"""The command ``fastpong plot``: learning curves as a picture, in characters and as numbers."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from fastpong.cli.checkpoints import PATH
from fastpong.cli.display import announce, say, warn
from fastpong.cli.plot_weights import weights

if TYPE_CHECKING:
    from fastpong.viewing.groups import Group

OTHER_AXES = {
    "core_minutes": "core-minutes", "cpu": "core-minutes", "cpu_seconds": "core-minutes",
    "episode": "episodes", "minutes": "time", "seconds": "time", "timesteps": "steps",
    "total_frames": "frames", "total_steps": "steps", "wall": "time", "wall_seconds": "time",
    "walltime": "time", "walltime_hrs": "time",
}  # fmt: skip
"""Other names of x axes, rl-zoo's and those of version 0.1 -> ours."""

_ROWS = (8, 20)  # of a chart in characters
_AROUND = 7  # lines above and below it
_TOLD = 3  # runs left out that are named


class AxisName(click.ParamType):  # type: ignore[type-arg]
    """Describe the name of an x axis."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name. click.BadParameter answers other programs' names."""
        from fastpong.viewing.curves import AXES

        if value in AXES:
            return value
        if ours := OTHER_AXES.get(value.lower().replace("-", "_")):
            self.fail(f"{value!r} is called {ours} here", param, ctx)
        self.fail(f"expected one of {', '.join(AXES)}, got {value!r}", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete a name."""
        from fastpong.viewing.curves import AXES

        return [CompletionItem(name) for name in AXES if name.startswith(incomplete)]


class PlotCommand(click.Command):
    """Draw curves, or weights after the word ``weights``."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        """Return the context of this command, or of ``weights``."""
        if args[:1] == ["weights"]:
            return weights.make_context(f"{info_name} weights", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=PlotCommand, short_help="Draw learning curves of runs, or weights.")
@click.argument("runs", nargs=-1, type=PATH, metavar="[RUN]...")
@click.option("-o", "--output", type=PATH, metavar="FILE",
              help="Picture to write: .png, .svg or .pdf. Needs Matplotlib.")  # fmt: skip
@click.option("--x", "axis", type=AxisName(), default="steps", show_default=True,
              help="Axis to draw against: steps, frames, episodes, time, core-minutes.",
              )  # fmt: skip
@click.option("--window", type=click.IntRange(min=1), default=40, show_default=True,
              metavar="INTEGER", help="Episodes of the mean.")  # fmt: skip
@click.option("--group-by", "by", default="settings", show_default=True,
              type=click.Choice(["settings", "directory", "env", "agent", "recipe", "run"]),
              help="Runs that make one mean with a band.")  # fmt: skip
@click.option("--band", type=click.Choice(["std", "range"]), default="std", show_default=True,
              help="Band of several runs: standard deviation, or lowest to highest.",
              )  # fmt: skip
@click.option("--title", default="", help="Title.  [default: the name of a single run or group]")
@click.option("--csv", "numbers", metavar="FILE",
              help="Write the numbers drawn as CSV; - is standard output.")  # fmt: skip
@click.option("--terminal", is_flag=True,
              help="Draw in characters, also beside -o and --csv.  [default without both]",
              )  # fmt: skip
def plot(
    runs: tuple[Path, ...],
    output: Path | None,
    axis: str,
    window: int,
    by: str,
    band: str,
    title: str,
    numbers: str | None,
    terminal: bool,
) -> int:
    """Draw learning curves of runs.

    RUN is a run directory, a metrics.csv file, or a directory of runs. Without one: the newest run
    under runs/. Every episode is a faint dot, the line is the mean of the last 40. Runs that differ
    in nothing but their seed become a mean with a band.

    fastpong plot weights RUN draws what hidden units see: fastpong plot weights --help
    """
    from fastpong.storage import files
    from fastpong.viewing.chart import Missing, check_output, draw_groups
    from fastpong.viewing.curves import PlotError, read_curves
    from fastpong.viewing.groups import make_groups

    if numbers == "-" and terminal:
        raise click.UsageError("--terminal and --csv -: expected one of them, both are printed")
    if output is not None:
        check_output(output)
    if numbers not in (None, "-") and not _is_special(Path(str(numbers))):
        files.check_output(Path(str(numbers)))
    curves, notes = read_curves(runs or [_newest()], axis, window)
    if not curves:
        raise PlotError(_joined(notes) + _hint(runs))
    if notes:
        warn(f"{_joined(notes)}; all else is drawn")
    groups = make_groups(curves, by, band)
    note = _explained(groups, window, band)
    if numbers is not None:
        _write_numbers(numbers, groups, axis)
    if output is not None:
        try:
            draw_groups(groups, output, axis, window=window, band=band, title=title)
        except Missing as error:
            if not terminal and numbers != "-":
                _print_chart(groups, axis, title, note)
            raise PlotError(f"{error}; without it, fastpong plot draws in characters") from error
        wrote = f"wrote {output}"
        if numbers == "-":
            say(wrote, error=True)
        else:
            announce(wrote)
    if terminal or (output is None and numbers is None):
        _print_chart(groups, axis, title, note)
    return 0


def _newest() -> Path:
    """Return the newest run under runs/.

    Raises click.UsageError without one.
    """
    from fastpong.storage.finding import SEEDS
    from fastpong.storage.run import ROOT

    found = [
        (path.stat().st_mtime_ns, path.parent)
        for pattern in ("*", SEEDS)
        for path in ROOT.glob(f"{pattern}/metrics.csv")
    ]
    if not found:
        raise click.UsageError(
            "RUN: expected a run, and there is none under runs/; train one first: fastpong train "
            "--recipe pong"
        )
    return max(found)[1]


def _joined(notes: Sequence[str]) -> str:
    more = len(notes) - _TOLD
    told = [*notes[:_TOLD], *([f"and {more} more"] if more > 0 else [])]
    return "; ".join(told)


def _hint(runs: Sequence[Path]) -> str:
    if Path("weights") in runs:
        return "; for weights, the word comes first: fastpong plot weights RUN"
    return ""


def _write_numbers(target: str, groups: Sequence[Group], axis: str) -> None:
    """Write the numbers to a file, or print them.

    Raises PlotError for a file that cannot be written.
    """
    from fastpong.storage.files import reason
    from fastpong.viewing.curves import PlotError
    from fastpong.viewing.groups import table

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table(groups, axis))
    if target == "-":
        say(text.getvalue().rstrip("\n"))
        return
    try:
        _put(Path(target), text.getvalue().encode("utf-8", errors="replace"))
    except OSError as error:
        raise PlotError(f"--csv: cannot write {target}: {reason(error)}") from error
    announce(f"wrote {target}")


def _is_special(path: Path) -> bool:
    """Return whether it is a pipe to another program, or a device."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _put(path: Path, data: bytes) -> None:
    """Write a file whole, or into a pipe that someone reads."""
    from fastpong.storage.files import write_atomically

    if not _is_special(path):
        write_atomically(path, data)
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)  # never wait for a reader
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _explained(groups: Sequence[Group], window: int, band: str) -> str:
    """Explain a chart, in lines of 40 columns."""
    lines = [f"points per episode: mean of the last {window}"]
    if any(group.band for group in groups):
        kind = "lowest to highest run" if band == "range" else "standard deviation"
        lines.append(f"shaded: {kind}")
    return "\n".join(lines)


def _print_chart(groups: Sequence[Group], axis: str, title: str, note: str) -> None:
    from fastpong.viewing.colours import Painter
    from fastpong.viewing.terminal import ascii_only, depth
    from fastpong.viewing.text_chart import draw_text

    columns, lines = shutil.get_terminal_size((80, 24))
    rows = min(max(lines - _AROUND - len(groups), _ROWS[0]), _ROWS[1])
    painter = Painter(depth(), ascii_only=ascii_only())
    title = title or (groups[0].label if len(groups) == 1 else "")
    drawn = draw_text(groups, axis, painter, width=columns, rows=rows, title=title, note=note)
    say("\n".join(drawn))
