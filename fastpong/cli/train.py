"""The command ``fastpong train``: begin a run or go on with one, until its end or a signal."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastpong.cli.display import Heading, announce, open_display, say, warn
from fastpong.cli.interrupt import Interrupt
from fastpong.cli.options import SettingsCommand, build, overrides

if TYPE_CHECKING:
    from fastpong.settings.config import Config
    from fastpong.storage.checkpoint import Checkpoint
    from fastpong.storage.run import Run
    from fastpong.training.session import Session

NEWEST = "newest"
_PATH = click.Path(path_type=Path)


@click.command(
    cls=SettingsCommand,
    epilog="""\b
Examples:
  fastpong train --workers 8
  fastpong train --episodes 20000 --learning-rate 3e-4 --run-dir runs/faster
  fastpong train --agent ppo --env PongDeterministic-v4 --until 18
  fastpong train --agent dqn --env ALE/Pong-v5
  fastpong train --resume                    the newest run under runs/
  fastpong train --resume runs/faster --episodes 40000

Ctrl-C (or SIGTERM) writes a checkpoint and ends within two seconds; a second Ctrl-C ends at once.
"fastpong --help" says how to turn on completion.""",
)
@click.option("--config", "config_file", type=_PATH, metavar="FILE.toml",
              help="Settings from a file; those of the command line come first.")  # fmt: skip
@click.option("--run-dir", type=_PATH, metavar="DIRECTORY",
              help="Directory of the new run.  [default: runs/<env>__<agent>__<seed>__<UTC time>]",
              )  # fmt: skip
@click.option("--resume", is_flag=False, flag_value=NEWEST, type=_PATH, metavar="[RUN]",
              help="Go on with a run, with its own settings; without RUN, with the newest one "
              "under runs/. Only --workers, --episodes, --until, --until-games, --save-every and "
              "--backend may change.",
              )  # fmt: skip
@click.option("--progress/--no-progress", default=True,
              help="A live display, on a terminal; else a line per episode.  [default: progress]",
              )  # fmt: skip
def train(
    config_file: Path | None,
    run_dir: Path | None,
    resume: Path | None,
    progress: bool,
    **given: Any,
) -> int:
    """Train an agent; begin a run, or go on with one.

    A run is a directory with its settings, metrics.csv (a row per episode), TensorBoard events and
    checkpoints. The running mean of scores is 0.99 old + 0.01 new, the reference's, and lags far
    behind; --until goes by the last games. Rates are per second of the last moments: frames are
    emulated frames, steps are decisions of the agent.
    """
    if resume is not None and run_dir is not None:
        raise click.UsageError(
            "--resume and --run-dir: expected one of them; a resumed run keeps its directory"
        )
    with Interrupt() as interrupt:
        if resume is not None:
            return _resume(_find_run(resume), config_file, given, progress, interrupt)
        return _begin(build(config_file, given), run_dir, progress, interrupt)


def _begin(config: Config, run_dir: Path | None, progress: bool, interrupt: Interrupt) -> int:
    from fastpong.storage.run import Run
    from fastpong.training.session import Session

    with Session(config) as session, Run.create(run_dir, config, warn=warn) as run:
        return _train(session, run, progress, interrupt)


def _resume(
    directory: Path,
    config_file: Path | None,
    given: dict[str, str | None],
    progress: bool,
    interrupt: Interrupt,
) -> int:
    from fastpong.storage.run import Run
    from fastpong.training.session import Session

    changes = overrides(directory / "config.toml", config_file, given)
    with Run.resume(directory, overrides=changes, warn=warn) as run:
        assert run.checkpoint is not None
        for refusal in run.refusals:
            warn(f"checkpoint refused: {refusal}")
        if (said := _nothing_left(directory, run.config, run.checkpoint)) is not None:
            say(said)
            return 0
        say(f"going on after episode {run.checkpoint.episode:,} of {directory}")
        with Session(run.config) as session:
            return _train(session, run, progress, interrupt)


def _nothing_left(directory: Path, config: Config, found: Checkpoint) -> str | None:
    """Return what to say of a run that has all it was asked for; None where it has not."""
    from fastpong.training.trainer import Goal

    again = f"to train on: fastpong train --resume {shlex.quote(str(directory))}"
    if found.episode >= config.episodes:
        return (
            f"{directory} has {found.episode:,} episodes, and {config.episodes:,} were asked for; "
            f"{again} --episodes {2 * max(found.episode, 1)}"
        )
    if Goal(config.until, config.until_games).reached(found.manifest["counters"]):
        return (
            f"{directory} has reached a mean score of {config.until:g} over {config.until_games} "
            f"games after {found.episode:,} episodes; {again} --until {config.until + 1:g}"
        )
    return None


def _train(session: Session, run: Run, progress: bool, interrupt: Interrupt) -> int:
    """Train with a display; say where the checkpoint is and how to go on."""
    config = run.config
    heading = Heading(
        config.env,
        config.agent,
        config.backend,
        config.dtype,
        config.workers,
        config.episodes,
        str(run.directory),
        config.until,
        config.until_games,
    )
    interrupt.pids = lambda: session.pool.pids
    display = open_display(heading, progress=progress)
    try:
        interrupt.deferred = True
        outcome = session.train(run, display=display, stop=interrupt)
    finally:
        display.close()
    manifest = run.directory / "checkpoints" / f"{outcome.saved:08d}.json"
    where = str(manifest) if outcome.saved >= 0 else "none, see above"
    run_name = shlex.quote(str(run.directory))
    if outcome.reached:
        announce(
            f"reached a mean score of {config.until:g} over the last {config.until_games} games"
        )
    if outcome.finished:
        announce(f"trained {outcome.episode:,} episodes; checkpoint {where}")
        announce(f"to see how well it plays: fastpong eval {run_name}")
        return 0
    announce(f"stopped by {interrupt.name} after episode {outcome.episode:,}; checkpoint {where}")
    announce(f"to go on: fastpong train --resume {run_name}")
    return interrupt.status


def _find_run(resume: Path) -> Path:
    """Return the run to go on with: the one named, or the one begun or resumed last."""
    from fastpong.storage.run import ROOT, RunError

    if resume != Path(NEWEST) or resume.is_dir():
        return resume
    found = [
        (path.stat().st_mtime_ns, path.parent)
        for path in ROOT.glob("*/config.toml")
        if any(path.parent.glob("checkpoints/*.json"))
    ]
    if not found:
        raise RunError(
            f"--resume: expected a run with a checkpoint under {ROOT}/, found none; "
            "name the run to go on with"
        )
    return max(found)[1]
