"""Games on a handful of a run's checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fastpong.arrays import Arrays
from fastpong.pages.charts import thin
from fastpong.settings.config import default_backend
from fastpong.storage.checkpoint import Checkpoint, CheckpointError
from fastpong.storage.finding import find
from fastpong.storage.reading import checkpoint_paths
from fastpong.training.evaluation import Game, Player, Summary, evaluate, restore, summarize
from fastpong.training.periodic import BEST
from fastpong.training.trained import read_trained

MOST = 6
"""Checkpoints that are evaluated at most, the oldest and the newest among them."""


@dataclass(frozen=True)
class Evaluated:
    """Hold the episodes of a checkpoint.

    name           : of its place in the run
    episode, steps : of training before it
    agent          : of its stage
    """

    name: str
    episode: int
    steps: int
    agent: str
    games: Sequence[Game]

    @property
    def summary(self) -> Summary:
        """Return the summary of the episodes."""
        return summarize([game.score for game in self.games], [game.length for game in self.games])

    @property
    def error(self) -> float | None:
        """Return the standard error of the mean return, None for one episode."""
        return standard_error(self.summary.deviation, len(self.games))


def standard_error(deviation: float | None, episodes: int) -> float | None:
    """Return the standard error of a mean, None for that of one episode."""
    return None if deviation is None else deviation / math.sqrt(episodes)


def evaluate_checkpoints(
    directory: Path, *, episodes: int, workers: int, seed: int, stop: Callable[[], bool]
) -> Iterator[Evaluated | str]:
    """Play episodes on a handful of checkpoints, the oldest first, and on the best weights.

    episodes : on each, those of ``fastpong eval`` with the same seed
    stop     : polled several times a second. Once it is true, the running ones are dropped

    Yields a sentence for a checkpoint that is refused. One that training deletes meanwhile is left
    out.
    """
    paths = checkpoint_paths(directory)
    chosen = [paths[n] for n in thin(len(paths), MOST)]
    best = directory / BEST
    ready: list[_Ready] = []
    # All are read before the first is played: training deletes old ones in less than an episode.
    for path in [*chosen, *([best] if best.exists() else [])]:
        if stop():
            return
        try:
            ready.append(_read(path, seed))
        except CheckpointError as error:
            if path.exists():
                yield str(error)
    for one in ready:
        if stop():
            return
        played = evaluate(one.player, one.parameters, episodes=episodes, workers=workers, stop=stop)
        if games := [*played]:
            yield Evaluated(one.name, one.episode, one.steps, one.player.agent, games)


class _Ready(NamedTuple):
    """Hold what of a checkpoint plays."""

    name: str
    episode: int
    steps: int
    player: Player
    parameters: Arrays


def _read(path: Path, seed: int) -> _Ready:
    found, _ = find(path)
    player, parameters = restore(found, default_backend(), seed=seed)
    name = "checkpoint" if isinstance(found, Checkpoint) else "best while it trained"
    steps = read_trained(found, player.backend).steps
    return _Ready(name, found.episode, steps, player, parameters)
