"""Evaluations while a run trains: fixed episodes, every so many episodes of training.

Training waits meanwhile, and nothing of it changes: the episodes draw from generators of their own,
on workers of their own, with copies of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from fastpong.arrays import Arrays
from fastpong.printable import counted
from fastpong.runtime.cluster.address import LOCAL
from fastpong.settings.config import Config, available_cores
from fastpong.settings.fields import plain_values
from fastpong.storage.checkpoint import CheckpointError
from fastpong.storage.evaluations import EvaluationRow
from fastpong.storage.files import reason
from fastpong.storage.run import Run
from fastpong.storage.weights import exchange, exported
from fastpong.training.evaluation import Player, evaluate, summarize
from fastpong.training.goal import Counters
from fastpong.training.trained import Trained
from fastpong.training.trainer import Trainer

SEED = 1_000_000
"""Of the episodes, in every run.

``fastpong eval`` plays others unless told: the best weights are best on these, by luck, too.
"""

BEST = "best.safetensors"
"""The weights with the highest mean, as ``fastpong export`` writes them."""

Told = Callable[[EvaluationRow, float], None]
"""Hears of an evaluation, and of the highest mean so far."""


class PeriodicEvaluation:
    """Evaluate a trainer's weights when it is time.

    told : called after each evaluation
    stop : polled several times a second. Once it is true, an evaluation is dropped
    """

    def __init__(
        self,
        config: Config,
        emulator: str,
        run: Run,
        trainer: Trainer,
        told: Told,
        stop: Callable[[], bool],
    ) -> None:
        self._config, self._emulator = config, emulator
        self._run, self._trainer, self._told, self._stop = run, trainer, told, stop
        self._best = -math.inf
        if config.eval_every is not None:
            self._best = _mean_of(run)

    def check(self) -> None:
        """Evaluate if it is time, or if the run ends here.

        An evaluation that a signal cut short is made by the resumed run.

        Raises WorkerError as the pool does, OSError where processes cannot be started,
        ArithmeticError for weights that are not finite.
        """
        if self.due and not self._stop():
            self._evaluate()

    @property
    def due(self) -> bool:
        """Return whether an evaluation is to be made of the weights."""
        every, counters, last = self._config.eval_every, self._trainer.counters, self._run.evaluated
        if every is None:
            return False
        if self._trainer.done and lacks_last(self._run, counters):
            return True
        return bool(counters["episode"] // every > (last.episode if last else 0) // every)

    def _evaluate(self) -> None:
        config, trainer = self._config, self._trainer
        spec, index = trainer.stage.spec, trainer.stage.index
        learner = trainer.learner
        parameters = spec.evaluation_parameters(learner.parameters, learner.state())
        self._run.require_finite(parameters)
        stages = config.stages[: index + 1]
        player = Player(
            *(config.env, stages, index, config.backend, config.dtype, SEED),
            emulator=self._emulator,
        )
        count = config.eval_episodes
        # On this machine, wherever training plays: it waits, and these are few episodes.
        workers = config.workers if config.pool == LOCAL else available_cores()
        played = evaluate(player, parameters, episodes=count, workers=workers, stop=self._stop)
        games = [(game.score, game.length) for game in played]
        if len(games) < count:
            return
        self._log([score for score, _ in games], [length for _, length in games], parameters)

    def _log(self, scores: list[float], lengths: list[int], parameters: Arrays) -> None:
        counters, summary = self._trainer.counters, summarize(scores, lengths)
        row = EvaluationRow(
            episode=counters["episode"],
            update=counters["update"],
            total_steps=counters["total_steps"],
            total_frames=counters["total_frames"],
            wall_seconds=counters["wall_seconds"],
            eval_episodes=summary.episodes,
            mean=summary.mean,
            deviation=summary.deviation,
            lowest=summary.lowest,
            highest=summary.highest,
            wins=summary.wins,
            mean_length=summary.mean_length,
        )
        self._run.log_evaluation(row)
        if row.mean > self._best and self._keep(row, parameters):
            self._best = row.mean
        self._told(row, max(self._best, row.mean))

    def _keep(self, row: EvaluationRow, parameters: Arrays) -> bool:
        """Save the best weights, and return the success."""
        stage, path = self._trainer.stage, self._run.directory / BEST
        trained = Trained(path, self._config, stage, parameters, row.episode, row.total_steps)
        about = {**trained.about(), "evaluation": {"seed": SEED, **row._asdict()}}
        settings = plain_values(stage.stage.settings)
        try:
            exchange.write(path, stage.stage.agent, settings, parameters, about)
        except OSError as error:
            self._run.warn(f"{path}: cannot be saved: {reason(error)}; training goes on")
            return False
        return True


def lacks_last(run: Run, counters: Counters) -> bool:
    """Return whether the evaluation at the end of a run is missing."""
    if run.config.eval_every is None:
        return False
    return bool(counters["total_steps"] > (run.evaluated.total_steps if run.evaluated else 0))


def read_best(directory: Path) -> EvaluationRow | None:
    """Return the evaluation of a run's best weights, None without any.

    Raises CheckpointError for a file that is not readable.
    """
    path = directory / BEST
    if not path.exists():
        return None
    about = exported.read(path).about
    try:
        kept = about["evaluation"]
        row = EvaluationRow(**{name: kept[name] for name in EvaluationRow._fields})
        return EvaluationRow.parse(row.line())  # of a damaged file they may be anything
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"{path}: expected the evaluation of these weights in it, found none; rename the file, "
            "and training keeps the best from here on"
        ) from error


def _mean_of(run: Run) -> float:
    """Return the highest mean so far.

    Weights whose mean does not compare with those to come are set aside.
    """
    try:
        best = read_best(run.directory)
    except CheckpointError as error:
        run.warn(f"{error}; it will be replaced")
        return -math.inf
    if best is None:
        return -math.inf
    if (reason := _apart(run, best)) is None:
        return best.mean
    aside = run.directory / f"best-{best.episode}.safetensors"
    (run.directory / BEST).replace(aside)
    run.warn(f"{run.directory / BEST}: {reason}; it is now {aside.name}, and the best begin anew")
    return -math.inf


def _apart(run: Run, best: EvaluationRow) -> str | None:
    """Explain why the best weights do not compare with a run's next ones. None: they do."""
    saved = run.checkpoint.manifest["counters"]["total_steps"] if run.checkpoint else 0
    if best.total_steps > saved:
        return f"is of episode {best.episode:,}, and the run goes on from an earlier checkpoint"
    count = run.config.eval_episodes
    if best.eval_episodes != count:
        before = counted(best.eval_episodes, "episode")
        return f"is the best by {before} each, and now {count:,} are played"
    return None
