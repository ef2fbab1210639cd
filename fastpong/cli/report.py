"""The command ``fastpong report``: all that there is to see of a run, in one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from fastpong.cli.checkpoints import PATH, newest_run
from fastpong.cli.display import announce, say
from fastpong.cli.interrupt import Interrupt


@click.command(short_help="Write a run's report, one HTML file.")
@click.argument("run", type=PATH, required=False)
@click.option("-o", "--output", required=True, type=PATH, metavar="FILE",
              help="File to write, .html.")  # fmt: skip
@click.option("--episodes", type=click.IntRange(min=0), default=20, show_default=True,
              help="Episodes to play on each of up to six checkpoints; 0 plays none.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0, 120), default=15, show_default=True,
              help="Length of the film at most; 0 makes none.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1),
              help="Processes that play; the episodes are the same for any number.  "
              "[default: cores, 1 while the run is trained]",
              )  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the episodes, as of eval: the same seed, the same ones.")  # fmt: skip
def report(
    run: Path | None, output: Path, episodes: int, seconds: float, workers: int | None, seed: int
) -> int:
    """Write a run's report, one HTML file.

    RUN is a run directory, by default the newest one under runs/. It may still be trained: then
    the episodes are played at a low priority.

    The file holds everything and asks for nothing over the network. Its film needs Pillow and
    PyAV: pip install av pillow
    """
    with Interrupt() as interrupt:
        _check(output)
        directory = run or newest_run()
        if directory is None:
            raise click.UsageError(
                "RUN: expected a run, and there is none under runs/; train one first: fastpong "
                "train --recipe pong"
            )
        from fastpong.report.gathering import Asked, gather
        from fastpong.report.page import render
        from fastpong.runtime.priority import lower
        from fastpong.settings.config import available_cores
        from fastpong.storage.files import write_atomically
        from fastpong.storage.reading import is_training

        training = is_training(directory)
        if training:
            lower()
        asked = Asked(episodes, seconds, workers or (1 if training else available_cores()), seed)
        interrupt.deferred = True
        text = render(gather(directory, asked, interrupt, say))
        write_atomically(output, text.encode(errors="replace"))
        announce(
            f"wrote {output}: {output.stat().st_size / 1000:,.0f} kB"
            + (f"; stopped early by {interrupt.name}" if interrupt() else "")
        )
        return interrupt.status


def _check(output: Path) -> None:
    if output.suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"-o: expected a file .html, got {output}")
    if not output.absolute().parent.is_dir():
        raise click.UsageError(f"-o: expected a directory that exists, got {output.parent}")
    from fastpong.storage.files import check_output

    check_output(output)
