"""Long trainings that are watched from outside: nothing of them may grow.

Each agent trains for its share of the time, with a checkpoint and an evaluation on workers of its
own every few episodes. Memory, descriptors and threads of all processes are summed up, and the
files of the run and of the temporary directory counted, but not while an evaluation adds to them.
The least of the last third of these looks is compared with that of the second. The first third is
left to warm up.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from reliability.processes import Started, helpers, started, vanish
from reliability.trainings import Training, end_of, left_behind

ENDLESS = (
    *("--episodes", "100000000", "--total-timesteps", "never", "--until", "never"),
    *("--save-every", "3", "--eval-every", "12", "--eval-episodes", "2"),
)
SAMPLE_SECONDS = 0.25
LOOKS, PATIENCE_SECONDS = 15, 120.0
"""Looks at least, and how much longer they may take on a busy machine."""

GROWTH_MB = 2.0
"""Growth of memory that is none: of the trainer, and of all workers together."""


@dataclass
class Samples:
    """What was seen from outside, one value a look.

    trainer     : its own memory, in MB
    workers     : the same of those that play its episodes all along
    descriptors : of the trainer
    threads     : of the trainer
    files : in the run and in the temporary directory
    """

    trainer: list[float] = field(default_factory=list)
    workers: list[float] = field(default_factory=list)
    descriptors: list[float] = field(default_factory=list)
    threads: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)


LIMITS = {
    "trainer": GROWTH_MB, "workers": GROWTH_MB, "descriptors": 0.0, "threads": 0.0, "files": 0.0,
}  # fmt: skip

IN_A_SAVE = 2 * (3 + 1)
"""Files of checkpoints: those that are kept, and one that is being saved. Each look may fall into a
save on a slow disk, so that fewer count as many."""


@dataclass
class Soak:
    """What a long training came to.

    growth : of each kind, from the second third of the time to the last
    peak   : the most of each kind
    """

    episodes: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    growth: dict[str, float] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def soak(training: Training, seconds: float, directory: Path) -> Soak:
    """Train for so long, end it as Ctrl-C does, and say what has grown."""
    home = directory / f"soak-{training.agent}-{training.emulator}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    found, samples = Soak(), Samples()
    with started([*training.begin(home), *ENDLESS], home, f"{home}") as it:
        if not it.wait(lambda: end_of_first(home)):
            found.faults.append(f"no episode ended: {it.printed[-2000:]}")
            return found
        begun, workers = time.monotonic(), helpers(it)[0]
        while it.alive and found.seconds < seconds + PATIENCE_SECONDS:
            workers = look(it, home, workers, samples)
            time.sleep(SAMPLE_SECONDS)
            found.seconds = time.monotonic() - begun
            if found.seconds > seconds and len(samples.trainer) >= LOOKS:
                break
        it.process.send_signal(signal.SIGINT)
        status, stays = it.status(), vanish(f"{home}")
    if status != 130 or stays is None or "Traceback" in it.printed:
        found.faults.append(f"exit status {status}, expected 130; {it.printed[-2000:]}")
    if left := left_behind(home):
        found.faults.append(f"files are left: {left}")
    _compare(samples, found)
    end = end_of(home / "run")
    if end is not None:
        found.episodes, found.evaluations = len(end.rows), len(end.evaluations)
    if not found.faults:
        shutil.rmtree(home)
    return found


def end_of_first(home: Path) -> bool:
    """Return whether an evaluation is over."""
    path = home / "run" / "evaluations.csv"
    return path.exists() and path.read_text().count("\n") > 1


def look(it: Started, home: Path, workers: list[int], samples: Samples) -> list[int]:
    """Add what is seen between two evaluations, and return the workers that are still there.

    Those of an evaluation may have been among them.
    """
    workers = [pid for pid in workers if psutil.pid_exists(pid)]
    if set(helpers(it)[0]) - set(workers):
        return workers
    with contextlib.suppress(psutil.Error):
        main = psutil.Process(it.process.pid)
        values = {
            "trainer": main.memory_full_info().uss / 1e6,
            "workers": sum(psutil.Process(pid).memory_full_info().uss for pid in workers) / 1e6,
            "descriptors": main.num_fds(),
            "threads": main.num_threads(),
            "files": count_files(home),
        }
        for name, value in values.items():
            getattr(samples, name).append(value)
    return workers


def count_files(home: Path) -> int:
    """Count files, those of checkpoints as if one were being saved."""
    paths = [path for path in home.rglob("*") if path.is_file()]
    saved = sum(path.parent.name == "checkpoints" for path in paths)
    return len(paths) - saved + max(saved, IN_A_SAVE)


def _compare(samples: Samples, found: Soak) -> None:
    """Compare the second and the last third."""
    for name, limit in LIMITS.items():
        values = getattr(samples, name)
        if len(values) < LOOKS:
            found.faults.append(f"{name}: {len(values)} looks are too few")
            return
        third = len(values) // 3
        second, last = min(values[third:-third]), min(values[-third:])
        found.growth[name], found.peak[name] = last - second, max(values)
        if last - second > limit:
            found.faults.append(f"{name} grew by {last - second:.2f}, from {second:.2f}")
