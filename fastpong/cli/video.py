"""The command ``fastpong video``: episodes as a film."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastpong.cli.checkpoints import PATH
from fastpong.cli.display import announce, say
from fastpong.cli.interrupt import Interrupt
from fastpong.cli.names import Names
from fastpong.cli.shown import find_shown

if TYPE_CHECKING:
    from fastpong.viewing.film import Frame, Part
    from fastpong.viewing.shown import Shown

_SECONDS = 20.0
"""Length of a GIF and a WebP by default: their size grows with it, and whole episodes are long."""

_REPORT_SECONDS = 2.0


@click.command(short_help="Make a film of an agent's episodes.")
@click.argument("runs", nargs=-1, type=PATH, metavar="[RUN]...")
@click.option("-o", "--output", required=True, type=PATH, metavar="FILE",
              help="File to write: .mp4, .gif or .webp.")  # fmt: skip
@click.option("--checkpoint", "checkpoints", multiple=True, metavar="EPISODE",
              help="The run's checkpoint of that episode, or its file; several stand side by "
              "side.  [default: the newest]",
              )  # fmt: skip
@click.option("--caption", "captions", multiple=True, metavar="TEXT",
              help="Words above a picture, in their order.  [default: how long it was trained]",
              )  # fmt: skip
@click.option("--episodes", type=click.IntRange(min=1), default=1, show_default=True,
              help="Episodes one after the other.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(min=0.1), metavar="NUMBER",
              help="Length of the film at most.  [default: 20 for .gif and .webp, else whole "
              "episodes]",
              )  # fmt: skip
@click.option("--fps", type=click.Choice(["60", "30", "20", "15", "12", "10"]), metavar="NUMBER",
              help="Frames a second: 60, 30, 20, 15, 12, 10.  [default: 60 for .mp4, else 30]",
              )  # fmt: skip
@click.option("--speed", type=click.IntRange(1, 60), default=1, show_default=True,
              help="Factor of the game's own speed.")  # fmt: skip
@click.option("--scale", type=click.IntRange(1, 8),
              help="Columns of a picture by 160.  [default: 4 for one picture's .mp4, else 2]",
              )  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the episodes, which are those of eval with the same seed.")  # fmt: skip
@click.option("--greedy", "--deterministic", is_flag=True,
              help="Take the likeliest action; else it is sampled.")  # fmt: skip
@click.option("--env", type=Names("fastpong.envs.variants", "VARIANTS"),
              help="Environment to play.  [default: the run's]")  # fmt: skip
def video(
    runs: tuple[Path, ...],
    output: Path,
    checkpoints: tuple[str, ...],
    captions: tuple[str, ...],
    episodes: int,
    seconds: float | None,
    fps: str | None,
    speed: int,
    scale: int | None,
    seed: int,
    greedy: bool,
    env: str | None,
) -> int:
    """Make a film of an agent's episodes.

    RUN is as for fastpong play. Several stand side by side, and so do several checkpoints of one.

    A minute has 60 seconds in all kinds of files: a GIF's delays are 3, 4 and 3 hundredths of a
    second in turn.

    Needs Pillow, for .mp4 PyAV, too: pip install av pillow
    """
    with Interrupt() as interrupt:
        from fastpong.viewing.film import Film, steps_between
        from fastpong.viewing.writers import check_kind, write

        kind = check_kind(output)
        rate = _rate(kind, fps)
        agents = [
            find_shown(run, checkpoint, seed=seed, greedy=greedy, env=env)
            for run, checkpoint in _pairs(runs, checkpoints)
        ]
        parts = _parts(agents, captions, episodes)
        film = Film(parts, scale or (4 if kind == ".mp4" and len(parts) == 1 else 2))
        if seconds is None and kind != ".mp4":
            seconds = _SECONDS
        most = None if seconds is None else max(1, round(seconds * rate))
        frames = film.frames(steps_between(rate, speed), most)
        interrupt.deferred = True
        count = write(output, _reported(frames, output, rate, interrupt), rate)
        height, width = film.size
        announce(
            f"wrote {output}: {count / rate:.1f} s, {count:,} frames of {width}x{height}, "
            f"{output.stat().st_size / 1000:,.0f} kB"
            + (f"; stopped early by {interrupt.name}" if interrupt() else "")
        )
        return interrupt.status


def _rate(kind: str, fps: str | None) -> int:
    from fastpong.viewing.writers import FASTEST, RATES

    rate = RATES[kind] if fps is None else int(fps)
    if rate > FASTEST[kind]:
        raise click.UsageError(
            f"--fps: expected up to {FASTEST[kind]} for a {kind} file, whose delays are whole "
            f"hundredths of a second, got {rate}; .mp4 and .webp have {rate}"
        )
    return rate


def _pairs(
    runs: Sequence[Path], checkpoints: Sequence[str]
) -> list[tuple[Path | None, str | None]]:
    """Return run and checkpoint of each picture.

    Raises click.UsageError for several of both.
    """
    if len(runs) > 1 and checkpoints:
        raise click.UsageError(
            "--checkpoint: expected one run with several checkpoints, or several runs without; "
            "to mix them, name files of their checkpoints/ as runs"
        )
    run = runs[0] if runs else None
    if len(runs) > 1:
        return [(path, None) for path in runs]
    return [(run, checkpoint) for checkpoint in checkpoints] or [(run, None)]


def _parts(agents: Sequence[Shown], captions: Sequence[str], episodes: int) -> list[Part]:
    from fastpong.viewing.film import Part

    if captions and len(captions) != len(agents):
        raise click.UsageError(
            f"--caption: expected one for each of {len(agents)} pictures, got {len(captions)}"
        )
    return [
        Part(
            agent.watcher(),
            captions[n] if captions else agent.trained,
            "computer",
            agent.player.agent,
            range(episodes),
        )
        for n, agent in enumerate(agents)
    ]


def _reported(
    frames: Iterator[Frame], output: Path, rate: int, interrupt: Interrupt
) -> Iterator[Frame]:
    """Pass frames on until a signal comes, and say now and then how many there are."""
    told = time.monotonic()
    for n, frame in enumerate(frames):
        if interrupt() and n:
            return
        if time.monotonic() - told >= _REPORT_SECONDS:
            told = time.monotonic()
            say(f"{output}: {n / rate:.0f} s")
        yield frame
