"""What limits training: core time of a step, divided among its parts.

Real runs in this process, with their workers. Their parts are measured where they are: CPU time of
the trainer's process in calls of the learner and of the pool, and of the workers as the system
counts it.
"""

from __future__ import annotations

import pickle
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

from claims import console
from claims.trainer_step import Stopwatch
from measure import Effort, Report, Table, figure

from fastpong import recipes
from fastpong.runtime.cputime import cpu_seconds
from fastpong.settings.config import Config
from fastpong.storage.run import Run
from fastpong.training.session import Session
from fastpong.training.trainer import Trainer

HOW = """\
Two workers on two cores, as `fastpong train` runs them, with checkpoints and logs. The table
divides the core time of a step, two cores times the wall time by the steps, from the first result
to the last. "Emulation" is what the console takes by itself for as many frames, drawing each
step's last one. "Play" is the rest of the workers' CPU time: reset, draws, encoding, the network,
recording. "Learning" is the trainer's CPU time in gradients and updates. "Transport" is pickling,
pipes and published weights, on both sides. "Rest" is the trainer's logs, checkpoints and loop.
"Idle" is what both cores wait. A run limited by its emulator alone would take the first column."""

EPISODES = {"karpathy": (20, 2_000), "keras": (20, 600), "pong": (40, 600)}
"""Recipes, and episodes of a quick and of a full run."""

PARTS = ("emulation", "play", "learning", "transport", "rest", "idle")
CORES = 2


def measure(effort: Effort) -> Report:
    """Measure each agent; returns the shares of its emulation and a table of all parts."""
    figures, rows = [], []
    rates = emulation(1 if effort == "quick" else 5, 400 if effort == "quick" else 20_000)
    for recipe, (few, many) in EPISODES.items():
        episodes, times = (few, 1) if effort == "quick" else (many, 3)
        rounds = [run(recipe, episodes, rates) for _ in range(times)]
        middle = sorted(rounds, key=lambda parts: sum(parts.values()))[len(rounds) // 2]
        shares = [parts["emulation"] / sum(parts.values()) for parts in rounds]
        figures.append(figure(f"{recipe}: emulation / core time of a step", shares))
        rows.append(
            [recipe, *(f"{middle[part]:.2f}" for part in PARTS), f"{sum(middle.values()):.2f}"]
        )
    header = ["recipe", *PARTS, "sum"]
    return Report("Limits", HOW, figures, [Table("Core time, µs a step", header, rows)])


def emulation(rounds: int, frames: int) -> dict[int, float]:
    """Return the µs of a frame, by the frames of a step."""
    translated = console.cartridge(True)
    found = {}
    for skip in (2, 3, 4):
        machine = console.machine(translated)
        rates = [console.single(machine, skip, frames) for _ in range(rounds)]
        found[skip] = 1e6 / sorted(rates)[rounds // 2]
    return found


class WatchedSession(Session):
    """A session whose trainer's calls are timed, in CPU seconds of this process.

    began    : wall time, CPU seconds of the workers and the trainer's at the first result
    messages : the last results, as pickles
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.watch = Stopwatch(time.process_time)
        self.began: tuple[float, float, float] | None = None
        self.results: deque[Any] = deque(maxlen=16)
        self.steps = self.frames = self.taken = 0
        for method in ("submit", "publish"):
            self.watch.wrap(self.pool, method, "transport")
        collect = self.pool.collect

        def collected(timeout: float) -> list[tuple[Any, Any]]:
            start = time.process_time()
            found = collect(timeout)
            if self.began is None and found:
                self.begin()
            elif found:
                self.watch.seconds["transport"] += time.process_time() - start
                self.taken += len(found)
                self.steps += sum(result.length for _, result in found)
                self.frames += sum(result.frames for _, result in found)
                self.results.extend(result for _, result in found)
            return found

        self.pool.collect = collected  # type: ignore[method-assign]

    def begin(self) -> None:
        """Count from here on."""
        self.watch.seconds.clear()
        self.began = self.now()

    @staticmethod
    def now() -> tuple[float, float, float]:
        """Return wall time, CPU seconds of all processes, CPU seconds of this one."""
        return time.perf_counter(), cpu_seconds(), time.process_time()

    def _trainer(self, run: Run) -> tuple[Trainer, int]:
        trainer, saved = super()._trainer(run)
        self.watch.wrap(trainer.learner, "add", "learning")
        self.watch.wrap(trainer.learner, "update", "learning")
        return trainer, saved


def run(recipe: str, episodes: int, rates: dict[int, float]) -> dict[str, float]:
    """Train, and return the µs of core time of a step, by part."""
    values = {**recipes.load(recipe).values, "workers": CORES, "episodes": episodes}
    values.pop("until", None)
    config = Config.build(values)
    with tempfile.TemporaryDirectory() as directory, WatchedSession(config) as session:
        with Run.create(Path(directory) / "run", config) as made:
            session.train(made)
        assert session.began is not None
        wall, cpu, own = (b - a for a, b in zip(session.began, session.now(), strict=True))
    per_step = 1e6 / session.steps
    skip = session.frames / session.steps
    emulated = skip * rates[min(rates, key=lambda known: abs(known - skip))]
    pickling = session.taken * seconds_to_pickle(list(session.results)) * per_step
    transport = session.watch.seconds["transport"] * per_step
    learning = session.watch.seconds["learning"] * per_step
    return {
        "emulation": emulated,
        "play": (cpu - own) * per_step - emulated - pickling,
        "learning": learning,
        "transport": transport + pickling,
        "rest": own * per_step - learning - transport,
        "idle": CORES * wall * per_step - cpu * per_step,
    }


def seconds_to_pickle(results: list[Any]) -> float:
    """Return the CPU seconds of pickling a result."""
    start = time.process_time()
    for result in results:
        pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    return (time.process_time() - start) / len(results)
