"""The command ``fastpong train``: begin a run or go on with one, until its end or a signal."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from fastpong.cli.checkpoints import PATH, newest_run
from fastpong.cli.choice import Choice, changes, choose, named_env, sets_workers
from fastpong.cli.display import open_display, say, warn
from fastpong.cli.ending import nothing_left, report
from fastpong.cli.interrupt import Interrupt
from fastpong.cli.names import Names
from fastpong.cli.options import SettingsCommand
from fastpong.cli.panel import Heading
from fastpong.cli.seeds import Seeds, check_alone, refuse_watch

if TYPE_CHECKING:
    from fastpong.storage.run import Run
    from fastpong.storage.tracking import Tracking
    from fastpong.training.session import Session

NEWEST = "newest"
SWEEP, SWEEP_SETTINGS = "sweep.json", "settings.toml"
"""Files of a sweep's directory, see ``storage.sweep``. Named here to keep the help light."""


class Outlets(NamedTuple):
    """Hold what a training is shown on and sent to."""

    progress: bool
    watch: bool
    track: str | None

    def check(self) -> None:
        """Raise click.UsageError for a package that is not installed."""
        if self.track is not None:
            from fastpong.storage.tracking import missing

            if (reason := missing(self.track)) is not None:
                raise click.UsageError(reason)

    @property
    def words(self) -> list[str]:
        """Return the options that name them, which no run keeps."""
        shown = ["--no-progress"] * (not self.progress) + ["--watch"] * self.watch
        return shown + (["--track", self.track] if self.track is not None else [])

    def tracking(self, run: Run) -> AbstractContextManager[Tracking | None]:
        """Begin to track a run, if asked to."""
        if self.track is None:
            return nullcontext()
        from fastpong.storage.tracking import track

        return track(run, self.track)


@click.command(
    cls=SettingsCommand,
    short_help="Train an agent.",
    epilog="""\b
Examples:
  fastpong train --recipe pong --run-dir runs/first
  fastpong train --resume runs/first --until 20
More:
  fastpong train --agent ppo --help    all settings of an agent, with its defaults
  fastpong recipes                     the recipes, and what they reach in what time
Ctrl-C (or SIGTERM, SIGUSR1, SIGUSR2) saves and ends. A second Ctrl-C ends at once.""",
)
@click.option("--recipe", type=Names("fastpong.recipes", "RECIPES"),
              help="Settings to begin with: karpathy (default), keras, pong, pong-sticky.",
              )  # fmt: skip
@click.option("--agent", type=Names("fastpong.agents", "AGENTS", "ALIASES"),
              help="Learning algorithm: karpathy, keras, ppo, dqn. Alone it takes its recipe.",
              )  # fmt: skip
@click.option("--frame-skip", "--frameskip", type=click.IntRange(min=1), metavar="FRAMES",
              help="Beside --env: the environment of that game with this frame skip.")  # fmt: skip
@click.option("--sticky", "--repeat-action-probability", type=click.FloatRange(0, 1),
              metavar="PROBABILITY",
              help="Beside --env: the environment of that game with such sticky actions.",
              )  # fmt: skip
@click.option("--config", "config_file", type=PATH, metavar="FILE.toml",
              help="Settings from a file in the form of a recipe.")  # fmt: skip
@click.option("--run-dir", type=PATH, metavar="DIRECTORY",
              help="Directory of the new run.  [default: runs/<env>__<agent>__<seed>__<time>]",
              )  # fmt: skip
@click.option("--resume", is_flag=False, flag_value=NEWEST, type=PATH, metavar="[RUN]",
              help="Go on with a run, or with the newest. Limits, workers, learning rate and "
              "emulator may change.",
              )  # fmt: skip
@click.option("--track", type=Names("fastpong.storage.tracking", "TRACKERS"),
              help="Send the run to wandb or mlflow, too.")  # fmt: skip
@click.option("--seeds", type=Seeds(), metavar="N N...",
              help="A run per seed, side by side: 1 2 3, or 1-3.")  # fmt: skip
@click.option("--progress/--no-progress", default=True,
              help="A live display or a line per episode.",
              )  # fmt: skip
@click.option("--watch", is_flag=True,
              help="A game of the newest weights beside the display.",
              )  # fmt: skip
def train(
    recipe: str | None,
    frame_skip: int | None,
    sticky: float | None,
    config_file: Path | None,
    run_dir: Path | None,
    resume: Path | None,
    seeds: tuple[int, ...] | None,
    progress: bool,
    watch: bool,
    track: str | None,
    **given: str | bool | None,
) -> int:
    """Train an agent, in a new or a resumed run.

    A run is a directory of settings, metrics.csv, event files and checkpoints.
    """
    if resume is not None and run_dir is not None:
        raise click.UsageError(
            "--resume and --run-dir: expected one of them; a resumed run keeps its directory"
        )
    if resume is not None and given.get("init_from") is not None:
        raise click.UsageError(
            "--resume and --init-from: expected one of them; a resumed run has its own weights"
        )
    given["env"] = named_env(given.get("env"), frame_skip, sticky)
    outlets = Outlets(progress, watch, track)
    outlets.check()
    with Interrupt() as interrupt:
        if seeds is not None:
            from fastpong.cli.sweep import begin_sweep

            check_alone(given, resume)
            refuse_watch(watch)
            choice = choose(recipe, config_file, given)
            workers = choice.config.workers if sets_workers(config_file, given) else None
            return begin_sweep(choice, seeds, run_dir, workers, track, progress, interrupt)
        if resume is None:
            return _begin(choose(recipe, config_file, given), run_dir, outlets, interrupt)
        directory = _find_run(resume)
        if (directory / SWEEP).is_file():
            from fastpong.cli.sweep import resume_sweep

            refuse_watch(watch)
            asked = changes(directory / SWEEP_SETTINGS, recipe, config_file, given)
            return resume_sweep(directory, asked, track, progress, interrupt)
        asked = changes(directory / "config.toml", recipe, config_file, given)
        return _resume(directory, asked, outlets, interrupt)


def _begin(choice: Choice, run_dir: Path | None, outlets: Outlets, interrupt: Interrupt) -> int:
    from fastpong.storage.run import Run
    from fastpong.training.session import Session

    config = choice.config
    with Session(config) as session, Run.create(run_dir, config, warn=warn) as run:
        for note in choice.notes:
            say(note)
        return _train(session, run, outlets, interrupt)


def _resume(
    directory: Path, asked: dict[str, object], outlets: Outlets, interrupt: Interrupt
) -> int:
    from fastpong.storage.run import Run
    from fastpong.training.session import Session

    with Run.resume(directory, overrides=asked, warn=warn) as run:
        assert run.checkpoint is not None
        for refusal in run.refusals:
            warn(f"checkpoint refused: {refusal}")
        if (reason := nothing_left(run, run.checkpoint, outlets.words)) is not None:
            say(reason)
            return 0
        with Session(run.config) as session:
            say(f"going on after episode {run.checkpoint.episode:,} of {directory}")
            before = run.checkpoint.manifest["config"].get("learning_rate")
            if asked.get("learning_rate", before) != before:
                recipe = f", and the run is no longer that of recipe {run.config.recipe}"
                say(
                    f"learning rate {asked['learning_rate']} from here on"
                    + (recipe if run.config.recipe else "")
                )
            return _train(session, run, outlets, interrupt)


def _train(session: Session, run: Run, outlets: Outlets, interrupt: Interrupt) -> int:
    """Train with a display, and report the end."""
    config = run.config
    heading = Heading(
        config.env,
        " then ".join(dict.fromkeys(stage.agent for stage in config.stages)),
        config.backend,
        config.dtype,
        session.workers,
        config.episodes,
        str(run.directory),
        config.until,
        config.until_episodes,
        config.total_timesteps,
        tuple((stage.from_step, stage.about) for stage in config.stages),
    )
    surface = None
    if outlets.watch:
        from fastpong.cli.watching import beside

        surface = beside(session)
    if outlets.track is not None:
        session.save_first(run)
    with outlets.tracking(run) as tracking:
        display = open_display(heading, progress=outlets.progress, surface=surface)
        interrupt.restore = display.restore
        try:
            interrupt.deferred = True
            outcome = session.train(run, display=display, stop=interrupt)
        finally:
            display.close()
        if tracking is not None and outcome.finished:
            tracking.finished()
    return report(run, outcome, interrupt, outlets.words)


def _find_run(resume: Path) -> Path:
    """Return the run named, by itself or a file of it, or the newest."""
    from fastpong import pretrained
    from fastpong.storage.finding import run_of
    from fastpong.storage.run import ROOT, RunError

    if resume != Path(NEWEST) or resume.is_dir():
        run = run_of(resume)
        if run.is_file() or (not run.exists() and str(run) in pretrained.NAMES):
            _refuse_weights(run)
        return run
    found = _newest()
    if found is None:
        raise RunError(
            f"--resume: expected a run with a checkpoint under {ROOT}/, found none; "
            "name the run to go on with"
        )
    return found


def _refuse_weights(path: Path) -> None:
    """Refuse to resume an agent without a run, and say what it is good for.

    Raises CheckpointError for a file that is none, with what it is.
    """
    from fastpong.storage.finding import find
    from fastpong.storage.run import RunError

    find(path)
    raise RunError(
        f"--resume: expected a run's directory, got weights, {path}; to begin a new run with them: "
        f"fastpong train --init-from {shlex.quote(str(path))}"
    )


def _newest() -> Path | None:
    """Return the newest run or sweep under runs/.

    A sweep counts from its beginning, and a run of it as the sweep.
    """
    from fastpong.storage.run import ROOT

    found = {path.parent: path.stat().st_mtime_ns for path in ROOT.glob(f"*/{SWEEP}")}
    run = newest_run()
    if run is not None:
        own = run.parent if run.parent in found else run
        found[own] = max(found.get(own, 0), (run / "config.toml").stat().st_mtime_ns)
    return max(found, key=lambda path: found[path], default=None)
