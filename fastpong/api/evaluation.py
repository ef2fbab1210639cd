"""``fastpong.evaluate``: episodes with fixed weights."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import warnings
from dataclasses import dataclass
from pathlib import Path

from fastpong.api.loading import find_agent
from fastpong.api.policy import Policy
from fastpong.api.training import Training
from fastpong.printable import counted
from fastpong.settings.config import available_cores
from fastpong.training.evaluation import Game, Summary, summarize
from fastpong.training.evaluation import evaluate as play

OURS = {
    "n_eval_episodes": "episodes", "n_episodes": "episodes", "num_episodes": "episodes",
    "greedy": "deterministic", "n_envs": "workers", "num_envs": "workers", "n_workers": "workers",
    "num_workers": "workers", "env_id": "env", "frameskip": "frame_skip",
    "repeat_action_probability": "sticky", "model": "source", "checkpoint": "source",
    "run_dir": "source", "path": "source",
}  # fmt: skip
"""Other programs' names of arguments, and ours."""


@dataclass(frozen=True)
class Evaluation(Summary):
    """Summarize the episodes played.

    games : all of them, in order
    """

    games: tuple[Game, ...] = ()

    def __str__(self) -> str:
        deviation = "-" if self.deviation is None else f"{self.deviation:.2f}"
        return (
            f"{counted(self.episodes, 'episode')}: mean return {self.mean:+.2f} (standard "
            f"deviation {deviation}, {self.lowest:+.0f} to {self.highest:+.0f}), won {self.wins}"
        )


def evaluate(
    source: str | Path | Policy | Training,
    *,
    episodes: int = 100,
    deterministic: bool = False,
    seed: int = 0,
    env: str | None = None,
    frame_skip: int | None = None,
    sticky: float | None = None,
    workers: int | None = None,
    emulator: str | None = None,
    backend: str | None = None,
    **others: object,
) -> Evaluation:
    """Play episodes in worker processes, the same ones as ``fastpong eval``.

    source        : as for ``fastpong.load``, or a policy, or a training, for its newest checkpoint
    episodes      : to play, at least 1
    deterministic : take the likeliest action. Else sample (dqn: epsilon-greedy)
    seed          : of the episodes. None of them is one of training's
    env           : gymnasium's name of another environment than training's
    frame_skip    : frames that an action is played for, others than there
    sticky        : gymnasium's repeat_action_probability, another one than there
    workers       : processes, by default the cores there are. The episodes are the same for any
    emulator      : console, ale or auto, by default the run's

    Warns of an environment unlike training's. Raises ValueError for a number out of range and an
    environment that the agent cannot play, CheckpointError as ``fastpong.load``, TypeError for
    other arguments, with their names here.
    """
    for name in others:
        raise TypeError(_unknown(name))
    for name, value in (("episodes", episodes), ("workers", 1 if workers is None else workers)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}: expected an integer >= 1, got {value!r}")
    if isinstance(source, Policy):
        player, parameters = source.player, source.parameters
    else:
        path = source.run_dir if isinstance(source, Training) else source
        player, parameters = find_agent(path, backend)
    trained, player = player.variant, player.elsewhere(env, frame_skip, sticky)
    played = player.variant
    if told := trained.differences(played.frameskip, played.sticky):
        warnings.warn(trained.warning(told), stacklevel=2)
    player = dataclasses.replace(
        player,
        seed=seed,
        greedy=deterministic,
        emulator=emulator or player.emulator,
        backend=backend or player.backend,
    )
    count = workers or available_cores()
    games = tuple(play(player, parameters, episodes=episodes, workers=count))
    summary = summarize([game.score for game in games], [game.length for game in games])
    return Evaluation(**vars(summary), games=games)


def _unknown(name: str) -> str:
    """Return the message for an argument of another name, such as Stable-Baselines3's."""
    known = [*inspect.signature(evaluate).parameters][:-1]
    if (ours := OURS.get(name)) is not None:
        return f"{name}: is called {ours} here"
    (nearest,) = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return (
        f"{name}: expected an argument of fastpong.evaluate, got an unknown name; the nearest is "
        f"{nearest}, all are {', '.join(known)}"
    )
