"""``fastpong.evaluate``: episodes with fixed weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from fastpong.api.loading import find_agent
from fastpong.api.policy import Policy
from fastpong.api.training import Training
from fastpong.settings.config import available_cores
from fastpong.training.evaluation import Game, Summary, summarize
from fastpong.training.evaluation import evaluate as play


@dataclass(frozen=True)
class Evaluation(Summary):
    """Summarize the episodes played.

    games : all of them, in order
    """

    games: tuple[Game, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.episodes} episodes: mean return {self.mean:+.2f} (deviation "
            f"{self.deviation:.2f}, {self.lowest:+.0f} to {self.highest:+.0f}), won {self.wins}"
        )


def evaluate(
    source: str | Path | Policy | Training,
    *,
    episodes: int = 100,
    deterministic: bool = False,
    seed: int = 0,
    env: str | None = None,
    workers: int | None = None,
    emulator: str | None = None,
    backend: str | None = None,
) -> Evaluation:
    """Play episodes in worker processes, the same ones as ``fastpong eval``.

    source        : as for ``fastpong.load``, or a policy, or a training, for its newest checkpoint
    episodes      : to play, at least 1
    deterministic : take the likeliest action. Else sample (dqn: epsilon-greedy)
    seed          : of the episodes. None of them is one of training's
    env           : gymnasium's name of another environment than training's
    workers       : processes, by default the cores there are. The episodes are the same for any
    emulator      : console, ale or auto, by default the run's

    Raises ValueError for a number out of range, CheckpointError as ``fastpong.load``.
    """
    for name, value in (("episodes", episodes), ("workers", 1 if workers is None else workers)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}: expected an integer >= 1, got {value!r}")
    if isinstance(source, Policy):
        player, parameters = source.player, source.parameters
    else:
        path = source.run_dir if isinstance(source, Training) else source
        player, parameters = find_agent(path, backend)
    player = dataclasses.replace(
        player,
        seed=seed,
        greedy=deterministic,
        env=env or player.env,
        emulator=emulator or player.emulator,
        backend=backend or player.backend,
    )
    count = workers or available_cores()
    games = tuple(play(player, parameters, episodes=episodes, workers=count))
    summary = summarize([game.score for game in games], [game.length for game in games])
    return Evaluation(**vars(summary), games=games)
