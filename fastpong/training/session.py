"""A training session: all parts wired together.

Used by the command line, and as it is by benchmarks and tests:

    with Session(config) as session, Run.create(directory, config) as run:
        outcome = session.train(run)

The order matters for the time to the first step: a Session starts its workers at once and does not
wait for them, so that the run directory, the display and the first checkpoint are made meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from fastpong.agents import make_plan
from fastpong.agents.protocol import Chance
from fastpong.arrays import Arrays
from fastpong.envs.choice import choose_for, prepare
from fastpong.envs.draws import TRAIN
from fastpong.envs.variants import find_variant
from fastpong.runtime.cluster.address import LOCAL
from fastpong.runtime.pool import Pool, WorkerError
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.settings.config import Config, available_cores
from fastpong.storage.evaluations import EvaluationRow
from fastpong.storage.run import Run, RunError
from fastpong.training.beginning import initial_weights
from fastpong.training.goal import Counters, Goal
from fastpong.training.periodic import PeriodicEvaluation, Told
from fastpong.training.players import PRELOAD, make_player, needs_main
from fastpong.training.state import TrainerState
from fastpong.training.stats import EpisodeStats
from fastpong.training.trainer import Trainer

if TYPE_CHECKING:
    from fastpong.runtime.cluster.pool import RayPool


class Display(Protocol):
    """What a session shows its progress on."""

    def begin(self, counters: Counters) -> None:
        """Show where training begins."""

    def update(self, stats: EpisodeStats, restarts: int) -> None:
        """Show an episode that ended."""

    def evaluated(self, row: EvaluationRow, best: float) -> None:
        """Show an evaluation, and the highest mean so far."""

    def tick(self) -> None:
        """Refresh. Called about ten times a second."""


@dataclass(frozen=True)
class Outcome:
    """How a session ended.

    episode  : the last one trained on
    finished : whether no more were asked for, and no evaluation is missing
    steps    : of the run
    reached  : whether it ended because the goal is reached
    saved    : the episode of the newest checkpoint, -1 without one
    unsaved  : whether training went on after that checkpoint, since the disk is full or fails
    """

    episode: int
    steps: int
    finished: bool
    reached: bool
    saved: int
    unsaved: bool = False


class Session:
    """Hold a run's workers and their shared weights.

    A context manager ends them.

    emulator : "console" or "ale", the one that workers play on

    Raises ValueError or ImportError where agent and backend do not fit, EmulatorError where the
    emulator cannot play the game, as ``Pool`` does where processes cannot be started.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._trainer_now: Trainer | None = None
        self.emulator = emulator = choose_for(config.env, config.emulator)
        self.plan = make_plan(config.env, config.stages, config.backend, config.dtype, emulator)
        prepare(config.env, emulator)
        first = self.plan.stages[0]
        slots = first.stage.settings.lag + 1
        self.weights = SharedArrays(first.spec.shapes, config.dtype, slots=slots)
        try:
            self.pool = _open_pool(config, self.weights, emulator)
        except BaseException:
            self.weights.close()
            raise

    def train(
        self,
        run: Run,
        *,
        display: Display | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Train, logging and saving into ``run``.

        It ends with the last episode, at the goal or once ``stop()`` is true.

        ``stop`` is polled about ten times a second. There is a checkpoint at the start (so that a
        run can be resumed from its first moment on), after every ``save_every`` episodes, and at
        the end, also when the workers have failed.

        Raises RunError where the run's checkpoint does not fit, WorkerError as the pool does,
        ArithmeticError for training that diverges.
        """
        if display is None:
            episodes = self.episodes(run, stop=stop)
        else:
            begin, evaluated = display.begin, display.evaluated
            polled = _poll(display, stop)
            episodes = self.episodes(run, begin=begin, evaluated=evaluated, stop=polled)
        with contextlib.closing(episodes):
            while True:
                try:
                    stats = next(episodes)
                except StopIteration as end:
                    outcome: Outcome = end.value
                    return outcome
                if display is not None:
                    display.update(stats, self.pool.restarts)

    def episodes(
        self,
        run: Run,
        *,
        begin: Callable[[Counters], None] = lambda counters: None,
        evaluated: Told = lambda row, best: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Generator[EpisodeStats, None, Outcome]:
        """Train as ``train`` does, and yield every episode.

        Closed early, it saves a checkpoint.

        begin     : told where training begins
        evaluated : told of every evaluation
        """
        trainer, saved = self._trainer(run)
        run.begin()
        self._trainer_now = trainer
        keeper = _Keeper(run, trainer, saved)
        keeper.save()
        exam = PeriodicEvaluation(self.config, self.emulator, run, trainer, evaluated, stop)
        begin(trainer.counters)
        last, every = int(trainer.counters["episode"]), self.config.save_every
        ended: list[EpisodeStats] = []
        try:
            exam.check()
            for stats in trainer.run(stop):
                run.log(stats)
                ended.append(stats)
                if stats.episode < trainer.counters["episode"]:
                    continue  # others ended with it, and are not logged yet
                if stats.episode // every > last // every:
                    keeper.save()
                last = stats.episode
                yield from ended
                ended.clear()
                exam.check()
            exam.check()  # updates may have followed the last episode
        except (WorkerError, OSError, GeneratorExit):
            # It comes between two takings-in, where nothing is half done. But while an update is
            # made the pool is served, and that may fail, too.
            if trainer.is_whole:
                keeper.save()
            raise
        keeper.save()
        episode = int(trainer.counters["episode"])
        steps = int(trainer.counters["total_steps"])
        finished = trainer.done and not exam.due
        return Outcome(episode, steps, finished, trainer.reached, keeper.episode, keeper.is_behind)

    def save_first(self, run: Run) -> None:
        """Save a new run's first checkpoint at once, as ``train`` does later.

        For what may fail or last long before it trains: the run can be resumed then. The trainer
        is made again later, so that its clock does not run meanwhile.
        """
        if run.checkpoint is None:
            _Keeper(run, *self._trainer(run)).save()

    @property
    def workers(self) -> int:
        """Return the number of workers, in a cluster the one that it has room for now."""
        return self.config.workers if isinstance(self.pool, Pool) else self.pool.workers

    def newest(self) -> tuple[int, Arrays] | None:
        """Return the number of the stage and the newest weights, until the next update.

        None before training begins.
        """
        trainer = self._trainer_now
        return None if trainer is None else (trainer.stage.index, trainer.learner.parameters)

    def _trainer(self, run: Run) -> tuple[Trainer, int]:
        """Return the trainer and its checkpoint's episode, else -1."""
        config, state, saved = self.config, None, -1
        if run.checkpoint is not None:
            saved = run.checkpoint.episode
            state = TrainerState(run.checkpoint.manifest["counters"], run.checkpoint.arrays)
        elif config.init_from is not None:
            state = TrainerState.initial(self.plan, initial_weights(config))
        try:
            trainer = Trainer(
                self.plan,
                self.pool,
                self.weights,
                seed=config.seed,
                goal=goal_of(config),
                threads=min(config.workers, available_cores()),
                state=state,
            )
        except (ValueError, TypeError, KeyError) as error:
            if run.checkpoint is None:
                raise
            raise RunError(f"{run.directory}: cannot be resumed: {error}") from error
        if run.checkpoint is not None:
            run.checkpoint.close()  # else its file takes up the disk after it was deleted
        return trainer, saved

    def close(self) -> None:
        """End the workers and free their shared weights.

        It may be called again.
        """
        self.pool.close()
        self.weights.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_pool(config: Config, weights: SharedArrays, emulator: str) -> Pool | RayPool:
    """Return the pool of a run, on this machine or in a cluster."""
    run = (config.env, config.stages, config.backend, config.dtype)
    arguments = (*run, Chance(config.seed, TRAIN), None, emulator)
    if config.pool == LOCAL:
        return Pool(
            make_player,
            arguments,
            weights,
            workers=config.workers,
            preload=PRELOAD[emulator],
            main=needs_main(config.stages),
            task_timeout=config.task_timeout,
        )
    from fastpong.runtime.cluster.pool import RayPool

    for stage in config.stages:
        if type(stage.settings).__module__ == "__main__":
            raise WorkerError(
                f"pool {config.pool}: expected agents of modules that all machines have, got "
                f"{stage.agent} of the program itself; move it to a module, or play locally"
            )
    return RayPool(
        make_player,
        arguments,
        weights,
        address=config.pool,
        workers=config.workers,
        about=(find_variant(config.env).game.rom, config.backend, emulator),
        task_timeout=config.task_timeout,
    )


def goal_of(config: Config) -> Goal:
    """Return the end of training of a configuration."""
    return Goal(config.episodes, config.total_timesteps, config.until, config.until_episodes)


def _poll(display: Display, stop: Callable[[], bool]) -> Callable[[], bool]:
    """Return a stop flag that refreshes the display."""

    def poll() -> bool:
        display.tick()
        return stop()

    return poll


class _Keeper:
    """Save a trainer's state unless it is saved already.

    episode : of the last checkpoint, -1 without one. With rollouts there may be several checkpoints
              of one episode, so that tasks are compared
    """

    def __init__(self, run: Run, trainer: Trainer, episode: int) -> None:
        self._run, self._trainer, self.episode = run, trainer, episode
        self._task = -1 if episode < 0 else int(trainer.counters["task"])

    @property
    def is_behind(self) -> bool:
        """Return whether there is anything new to save."""
        return bool(self._trainer.counters["task"] != self._task)

    def save(self) -> None:
        """Save, if there is anything new."""
        counters = self._trainer.counters
        if self.is_behind and self._run.save(self._trainer.snapshot(copy=False)):
            self.episode, self._task = int(counters["episode"]), int(counters["task"])
