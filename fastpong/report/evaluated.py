"""Games on a handful of a run's checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastpong.pages.charts import thin
from fastpong.settings.config import default_backend
from fastpong.storage import checkpoint
from fastpong.storage.checkpoint import CheckpointError
from fastpong.storage.reading import checkpoint_paths
from fastpong.training.evaluation import Game, Summary, evaluate, restore, summarize

MOST = 6
"""Checkpoints that are evaluated at most, the oldest and the newest among them."""


@dataclass(frozen=True)
class Evaluated:
    """Hold the games of a checkpoint.

    episode, steps : of training before it
    agent          : of its stage
    """

    episode: int
    steps: int
    agent: str
    games: Sequence[Game]

    @property
    def summary(self) -> Summary:
        """Return the summary of the games."""
        return summarize([game.score for game in self.games], [game.length for game in self.games])

    @property
    def error(self) -> float:
        """Return the standard error of the mean return, 0 for one game."""
        count = len(self.games)
        return self.summary.deviation / math.sqrt(count - 1) if count > 1 else 0.0


def evaluate_checkpoints(
    directory: Path, *, episodes: int, workers: int, seed: int, stop: Callable[[], bool]
) -> Iterator[Evaluated | str]:
    """Play games on a handful of checkpoints, the oldest first.

    episodes : games on each, those of ``fastpong eval`` with the same seed
    stop     : polled several times a second. Once it is true, the running ones are dropped

    Yields a sentence for a checkpoint that is refused. One that training deletes meanwhile is left
    out.
    """
    paths = checkpoint_paths(directory)
    for path in [paths[n] for n in thin(len(paths), MOST)]:
        if stop():
            return
        try:
            yield from _evaluate(path, episodes, workers, seed, stop)
        except CheckpointError as error:
            if path.exists():
                yield str(error)


def _evaluate(
    path: Path, episodes: int, workers: int, seed: int, stop: Callable[[], bool]
) -> Iterator[Evaluated]:
    found = checkpoint.load(path)
    player, parameters = restore(found, default_backend(), seed=seed)
    games = [*evaluate(player, parameters, episodes=episodes, workers=workers, stop=stop)]
    if games:
        steps = int(found.manifest["counters"]["total_steps"])
        yield Evaluated(found.episode, steps, player.agent, games)
