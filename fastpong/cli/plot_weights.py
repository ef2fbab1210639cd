"""The command ``fastpong plot weights``: what hidden units see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastpong.cli.checkpoints import PATH, find_checkpoint
from fastpong.cli.display import announce
from fastpong.printable import counted

if TYPE_CHECKING:
    from fastpong.training.trained import Trained


@click.command(short_help="Draw what hidden units see.")
@click.argument("run", type=PATH)
@click.option("-o", "--output", type=PATH, metavar="FILE",
              help="Picture to write: .png, .svg or .pdf.  [default: weights.png in the run]",
              )  # fmt: skip
@click.option("--units", type=click.IntRange(min=1), metavar="INTEGER",
              help="Hidden units, the strongest ones.  [default: as many as fit a page]",
              )  # fmt: skip
@click.option("--title", default="", help="Title.  [default: the agent and its training]")
def weights(run: Path, output: Path | None, units: int | None, title: str) -> int:
    """Draw what hidden units see.

    Their weights are shown as images of the field.

    RUN is a run directory, for its newest whole checkpoint, a checkpoint's file, exported weights,
    or the name of pretrained ones. Needs Matplotlib.
    """
    from fastpong.training.trained import read_trained
    from fastpong.viewing.chart import check_output
    from fastpong.viewing.sheet import draw_sheet
    from fastpong.viewing.weights import read_sections

    output = output or default_output(run)
    check_output(output)
    trained = read_trained(find_checkpoint(run), "numpy")
    draw_sheet(read_sections(trained, units), output, title or _title(trained))
    announce(f"wrote {output}")
    return 0


def default_output(run: Path) -> Path:
    """Return a path in the run, or beside the file."""
    if run.is_dir():
        return run / "weights.png"
    if run.parent.name == "checkpoints":
        return run.parent.parent / f"weights-{run.stem}.png"
    return run.with_name(f"weights-{run.stem}.png")


def _title(trained: Trained) -> str:
    agent = trained.planned.stage.agent
    return (
        f"What the hidden units of {agent} see, after {counted(trained.episode, 'episode')} of "
        f"{trained.config.env}"
    )
