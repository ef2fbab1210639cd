"""``fastpong train --seeds``: the runs of a sweep, as many at a time as there are cores for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastpong.cli.display import announce, say, warn
from fastpong.cli.ending import resume_command
from fastpong.cli.interrupt import Interrupt
from fastpong.cli.options import NEVER, flag
from fastpong.cli.sweep_display import open_sweep_display, results
from fastpong.printable import counted
from fastpong.runtime.cluster.address import in_cluster
from fastpong.runtime.interpreter import python_command
from fastpong.runtime.parent import die_with_parent
from fastpong.runtime.signals import STOPS
from fastpong.settings.config import CHANGEABLE, Config, available_cores
from fastpong.settings.fields import fields
from fastpong.storage.opening import open_descriptor, read_regular
from fastpong.storage.sweep import Sweep, read_rows

if TYPE_CHECKING:
    from fastpong.cli.choice import Choice

POLL_SECONDS = 0.1
PICTURE = "curves.png"
_STOPS = {128 + number for number in STOPS}


@dataclass
class Job:
    """Hold a run of a sweep.

    arguments : of its command, after ``fastpong``
    status    : the exit status, 128 and the signal that killed it, None before
    asked     : whether it was asked to stop
    """

    seed: int
    directory: Path
    log: Path
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    status: int | None = None
    asked: bool = False

    @property
    def running(self) -> bool:
        """Return whether it has begun and not ended."""
        return self.process is not None and self.status is None

    @property
    def failed(self) -> bool:
        """Return whether it ended, neither at its own end nor by a request."""
        if self.status is None or self.status < 128:
            return bool(self.status)
        return not self.asked and self.status not in _STOPS

    @property
    def state(self) -> str:
        """Return its state in a word."""
        if self.process is None:
            return "waiting"
        if self.status is None:
            return "running"
        return "finished" if self.status == 0 else "failed" if self.failed else "stopped"

    def start(self) -> None:
        """Begin the run, in a session of its own.

        So a terminal's Ctrl-C does not reach it twice.
        """
        with os.fdopen(self._open_log(), "ab") as log:
            self.process = subprocess.Popen(
                python_command("from fastpong.__main__ import main; main()", *self.arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Weights & Biases shows the runs of a sweep as a group.
                env={"WANDB_RUN_GROUP": self.directory.parent.name} | os.environ,
                start_new_session=True,
                preexec_fn=_follower(),
            )

    def _open_log(self) -> int:
        return open_descriptor(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def stop(self) -> None:
        """Ask the run to save a checkpoint and end."""
        if self.running and self.process is not None:
            self.asked = True
            with contextlib.suppress(OSError):
                self.process.terminate()

    def poll(self) -> bool:
        """Return whether it has ended just now."""
        if not self.running or self.process is None or (code := self.process.poll()) is None:
            return False
        self.status = code if code >= 0 else 128 - code
        return True

    def complaint(self) -> str:
        """Return what killed the run, or what it said last."""
        with contextlib.suppress(ValueError):
            return f"{signal.Signals((self.status or 0) - 128).name} killed it"
        with contextlib.suppress(OSError):
            lines = read_regular(self.log).decode(errors="replace").splitlines()
            if lines:
                return lines[-1].removeprefix("fastpong: error: ")
        return f"exit status {self.status}"


def begin_sweep(
    choice: Choice,
    seeds: Sequence[int],
    run_dir: Path | None,
    workers: int | None,
    track: str | None,
    progress: bool,
    interrupt: Interrupt,
) -> int:
    """Begin a sweep, and return the exit status.

    workers : of each run, None for as many as suit the number of seeds
    track   : the service that all runs are sent to
    """
    for note in choice.notes:
        say(note)
    workers, _ = share(_cores(choice.config), len(seeds), workers)
    config = replace(choice.config, seed=seeds[0], workers=workers)
    weights = None
    if config.init_from is not None and Path(config.init_from).exists():
        weights = _exported(config.init_from)
    with contextlib.closing(Sweep.create(run_dir, config, seeds, weights)) as sweep:
        return _run(sweep, track, progress, interrupt)


def _exported(source: str) -> bytes:
    """Return weights as they are now, since their run may go on while seeds wait."""
    from fastpong.storage.weights import exported
    from fastpong.training.beginning import find_weights

    trained = find_weights(source)
    about = {**trained.about(), "source": str(trained.path.resolve())}
    return exported.dump(trained.parameters, about)


def resume_sweep(
    directory: Path,
    asked: dict[str, object],
    track: str | None,
    progress: bool,
    interrupt: Interrupt,
) -> int:
    """Go on with a sweep, and return the exit status.

    asked : settings to change in all runs
    """
    with contextlib.closing(Sweep.open(directory)) as sweep:
        if asked:
            sweep = sweep.changed(changed(sweep, asked))
        return _run(sweep, track, progress, interrupt)


def changed(sweep: Sweep, asked: dict[str, object]) -> Config:
    """Return a sweep's settings with others in their place.

    Runs that move between this machine and a cluster share its CPUs anew.

    Raises ValueError for wrong settings, WorkerError where no cluster answers.
    """
    config = sweep.config.changed(asked)
    if "workers" in asked or in_cluster(config.pool) == in_cluster(sweep.config.pool):
        return config
    workers, _ = share(_cores(config), len(sweep.seeds), None)
    return replace(config, workers=workers)


def _cores(config: Config) -> int:
    """Return the cores that all runs share: of this machine, or of a cluster."""
    if not in_cluster(config.pool):
        return available_cores()
    from fastpong.runtime.cluster.connection import Connection

    with contextlib.closing(Connection(config.pool)) as connection:
        return connection.signs.cpus


def share(cores: int, runs: int, workers: int | None) -> tuple[int, int]:
    """Return the workers of each run, and the number of runs at a time.

    workers : asked for, or None
    """
    if workers is None:
        workers = max(1, cores // runs)
    return workers, max(1, min(runs, cores // workers))


def _run(sweep: Sweep, track: str | None, progress: bool, interrupt: Interrupt) -> int:
    config = sweep.config
    if track is not None:
        from fastpong.storage.tracking import prepare

        prepare(track)
    _, at_once = share(_cores(config), len(sweep.seeds), config.workers)
    jobs = [_job(sweep, seed, track) for seed in sweep.seeds]
    say(
        f"sweep of {counted(len(jobs), 'seed')}, {at_once} at a time with "
        f"{counted(config.workers, 'worker')} each; directory {sweep.directory}"
    )
    interrupt.pids = lambda: [job.process.pid for job in jobs if job.process and job.running]
    interrupt.deferred = True
    display = open_sweep_display(jobs, config.until_episodes, progress=progress)
    interrupt.restore = display.restore
    try:
        for job in play(jobs, at_once, interrupt, display.tick):
            display.ended(job)
    finally:
        display.close()
    words = ["--no-progress"] * (not progress) + (["--track", track] if track is not None else [])
    return _report(sweep, jobs, interrupt, words)


def _job(sweep: Sweep, seed: int, track: str | None) -> Job:
    run = sweep.run(seed)
    place = "--resume" if sweep.begun(seed) else "--run-dir"
    settings = ["--config", str(sweep.settings), "--seed", str(seed), place, str(run)]
    arguments = ["train", *settings, *_cleared(sweep.config), "--no-progress"]
    return Job(seed, run, sweep.log(seed), arguments + (["--track", track] if track else []))


def _cleared(config: Config) -> list[str]:
    """Return the options of limits that are None, which a settings file cannot say."""
    names = CHANGEABLE & {name for name, field in fields(Config).items() if field.optional}
    return [
        word for name in sorted(names) if getattr(config, name) is None
        for word in (flag(name), NEVER[0])
    ]  # fmt: skip


def play(
    jobs: Sequence[Job], at_once: int, stop: Callable[[], bool], tick: Callable[[], None]
) -> Iterator[Job]:
    """Run jobs, and yield each when it has ended.

    stop : polled several times a second. Once it is true, running jobs are asked to end, and no
           other begins
    tick : called as often
    """
    waiting, asked = list(jobs), False
    try:
        while waiting or any(job.running for job in jobs):
            if stop() and not asked:
                asked = True
                waiting.clear()
                for job in jobs:
                    job.stop()
            while waiting and sum(job.running for job in jobs) < at_once:
                waiting.pop(0).start()
            for job in jobs:
                if job.poll():
                    yield job
            tick()
            time.sleep(POLL_SECONDS)
    finally:  # whatever went wrong here, no run is left alone
        for job in jobs:
            job.stop()


def _report(sweep: Sweep, jobs: Sequence[Job], interrupt: Interrupt, words: Sequence[str]) -> int:
    """Say how all ended, and return the exit status.

    words : options for the command to go on
    """
    window = sweep.config.until_episodes
    for line in results(jobs, window):
        announce(line)
    _draw(sweep, jobs)
    failed = [job for job in jobs if job.failed]
    for job in failed:
        warn(f"seed {job.seed} failed: {job.complaint()}; see {job.log}")
    if any(job.status != 0 for job in jobs):
        announce(f"to go on: {resume_command(sweep.directory, words)}")
    return interrupt.status or (1 if failed else 0)


def _draw(sweep: Sweep, jobs: Sequence[Job]) -> None:
    from fastpong.viewing.chart import draw_groups
    from fastpong.viewing.curves import WINDOW, PlotError, read_curves
    from fastpong.viewing.groups import make_groups

    runs = [job.directory for job in jobs if read_rows(job.directory, newest=True)]
    if not runs:
        return
    picture = sweep.directory / PICTURE
    try:
        curves, _ = read_curves(runs, "steps", WINDOW)
        groups = make_groups(curves, "settings", "std")
        draw_groups(groups, picture, "steps", window=WINDOW, band="std")
    except PlotError as error:
        say(f"no picture: {error}")
    else:
        announce(f"curves: {picture}")


def _follower() -> Callable[[], None] | None:
    """Return what makes a child end with its parent, however that ends. None: not on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    parent = os.getpid()
    return lambda: die_with_parent(signal.SIGTERM, parent)
