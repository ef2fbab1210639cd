"""Claim c, second half: what the trainer's process does, by the steps it learns from.

The training session of `fastpong train` as it is, with another pool: one that plays nothing and
hands out results recorded beforehand, as the bytes that a worker sends. What remains is the
trainer's share: unpickling, gradients, updates, publishing, logs, progress, checkpoints.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cases.recorded import ENV, SEED, record
from cases.stages import only_stage
from measure import Figure, figure
from shared import tolerances

from fastpong.acting.trajectory import Trajectory
from fastpong.agents import make_plan
from fastpong.cli.display import open_display
from fastpong.cli.panel import Heading
from fastpong.runtime.pool import Task
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.settings.config import Config
from fastpong.storage.run import Run
from fastpong.training.session import Session
from fastpong.training.trainer import Trainer

HOW_TRAINER = """\
Trainer: the session of `fastpong train` (float32, batch 10, lag 1, metrics.csv, TensorBoard, a
checkpoint every 100 episodes, progress lines to /dev/null) with a pool that plays nothing and hands
out the pickled results of recorded episodes. Its whole time from the first result to the last,
waiting for the disk included, by the steps of the episodes; what the pipe itself takes is not in
it."""

PARTS = ("unpickling", "gradients", "updates", "logs", "progress", "checkpoints")


class ReplayPool:
    """A pool without processes: every task's result is one recorded beforehand."""

    restarts = 0

    def __init__(self, weights: SharedArrays, messages: list[bytes]) -> None:
        self._weights, self._messages = weights, messages
        self._tasks: deque[Task] = deque()
        self.began = 0.0

    def publish(self, version: int, arrays: Mapping[str, Any]) -> None:
        self._weights.write(version % self._weights.slots, arrays)

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def collect(self, timeout: float) -> list[tuple[Task, Any]]:
        self.began = self.began or time.perf_counter()
        task = self._tasks.popleft()
        return [(task, self.unpickle(self._messages[task.number % len(self._messages)]))]

    def serve(self, timeout: float) -> bool:
        return False

    @staticmethod
    def unpickle(message: bytes) -> Any:
        return pickle.loads(memoryview(message)[1:])

    def close(self) -> None:
        self._tasks.clear()


class Stopwatch:
    """Seconds spent in calls that were given to ``wrap``; a few calls an episode, so it is free."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = defaultdict(float)

    def wrap(self, owner: Any, method: str, part: str) -> None:
        call: Callable[..., Any] = getattr(owner, method)

        def timed(*arguments: Any) -> Any:
            start = self.clock()
            try:
                return call(*arguments)
            finally:
                self.seconds[part] += self.clock() - start

        setattr(owner, method, timed)


class ReplaySession(Session):
    """The session of a run with a ``ReplayPool``."""

    def __init__(self, config: Config, messages: list[bytes]) -> None:
        self.config, self._trainer_now, self.emulator = config, None, "console"
        self.plan = make_plan(config.env, config.stages, config.backend, config.dtype)
        first = self.plan.stages[0]
        slots = first.stage.settings.lag + 1
        self.weights = SharedArrays(first.spec.shapes, config.dtype, slots=slots)
        self.pool: Any = ReplayPool(self.weights, messages)
        self.watch = Stopwatch()

    def _trainer(self, run: Run) -> tuple[Trainer, int]:
        """Return the session's trainer, with a clock on its learner."""
        trainer, saved = super()._trainer(run)
        self.watch.wrap(trainer.learner, "add", "gradients")
        self.watch.wrap(trainer.learner, "update", "updates")
        return trainer, saved


def record_messages(episodes: int) -> tuple[list[bytes], list[int]]:
    """Return the results of some episodes as workers send them, and their steps."""
    trajectories = [record(number).trajectory for number in range(episodes)]
    messages = [b"R" + pickle.dumps(t, pickle.HIGHEST_PROTOCOL) for t in trajectories]
    return messages, [t.length for t in trajectories]


def train(
    messages: list[bytes], episodes: int, directory: Path, dtype: str = "float32"
) -> tuple[float, dict[str, float]]:
    """Train on the messages; return seconds from the first result on, in all and by part."""
    config = Config(env=ENV, seed=SEED, backend="cython", workers=1, episodes=episodes, dtype=dtype)
    heading = Heading(
        ENV, config.agent, "cython", dtype, 1, episodes, str(directory), config.until,
        config.until_episodes,
    )  # fmt: skip
    with (
        open(os.devnull, "w") as nowhere,  # noqa: PTH123
        contextlib.redirect_stdout(nowhere),
        ReplaySession(config, messages) as session,
        Run.create(directory, config) as run,
    ):
        display, watch = open_display(heading, progress=True), session.watch
        for owner, method, part in (
            (session.pool, "unpickle", "unpickling"),
            (run, "log", "logs"),
            (display, "update", "progress"),
        ):
            watch.wrap(owner, method, part)
        save = run.save

        def timed_save(snapshot: Any) -> bool:
            start = time.perf_counter()
            saved = save(snapshot)
            if session.pool.began:  # the one before the first result belongs to the start
                watch.seconds["checkpoints"] += time.perf_counter() - start
            return saved

        run.save = timed_save  # type: ignore[method-assign]
        outcome = session.train(run, display=display)
        seconds = time.perf_counter() - session.pool.began
    assert outcome.finished and outcome.saved == episodes
    return seconds, dict(watch.seconds)


def check(messages: list[bytes]) -> None:
    """Raise AssertionError unless the replayed session learns what the oracle learns.

    The weights of its checkpoint after one batch of 10 episodes, in float64: in float32 RMSProp's
    first step, the sign of the gradient, magnifies the roundings of gradients near 0.
    """
    from fastpong.storage import checkpoint

    with tempfile.TemporaryDirectory() as directory:
        train(messages, 10, Path(directory) / "run", "float64")
        found, _ = checkpoint.newest(Path(directory) / "run" / "checkpoints")
    stage = only_stage("karpathy", ENV, backend="numpy", dtype="float64")
    played = stage.spec.initial_parameters(SEED)
    learned = {name: array.copy() for name, array in played.items()}
    oracle = stage.spec.learner(stage, learned, threads=1)
    for number in range(10):
        result = ReplayPool.unpickle(messages[number % len(messages)])
        assert isinstance(result, Trajectory)
        oracle.add(result, played)
    oracle.update()
    for name, array in learned.items():
        tolerances.assert_close(found.arrays[f"parameters/0/{name}"], array, tolerances.TRAINING)


def measure(rounds: int, episodes: int, recorded: int) -> tuple[list[Figure], list[Figure]]:
    """Return the figure of the claim and its parts, in µs per step."""
    messages, lengths = record_messages(recorded)
    check(messages)
    steps = sum(lengths[number % recorded] for number in range(episodes))
    totals: list[float] = []
    parts: dict[str, list[float]] = {part: [] for part in PARTS}
    with tempfile.TemporaryDirectory() as directory:
        for number in range(rounds):
            seconds, by_part = train(messages, episodes, Path(directory) / str(number))
            totals.append(1e6 * seconds / steps)
            for part, values in parts.items():
                values.append(1e6 * by_part[part] / steps)
    total = figure("the trainer, per step", totals, "µs", at_most=4.0)
    return [total], [figure(f"trainer: {part}", values, "µs") for part, values in parts.items()]
