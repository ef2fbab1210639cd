"""Play episodes with fixed weights over a pool, and say how the agent did.

Episode n is played with the stream EVAL's draws of (seed, n): the games are none of training's,
and the same ones for any number of workers.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastpong import agents
from fastpong.envs.draws import EVAL
from fastpong.runtime.pool import Pool, Task
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.settings.config import Config
from fastpong.storage.checkpoint import CheckpointError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastpong.storage.checkpoint import Checkpoint

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Player:
    """An agent as it plays: everything but its weights."""

    agent: str
    hyper: Any
    backend: str
    dtype: str
    env: str
    seed: int
    greedy: bool = False


def restore(
    found: Checkpoint, backend: str, *, env: str | None = None, seed: int = 0, greedy: bool = False
) -> tuple[Player, Mapping[str, NDArray[Any]]]:
    """Return the agent of a run's checkpoint, as it is to play, and its final parameters.

    env : another variant than the run's

    Raises CheckpointError where it is no run's, its weights do not fit its settings, or its agent
    cannot play that variant.
    """

    def arrays(prefix: str) -> dict[str, NDArray[Any]]:
        names = [name for name in found.arrays if name.startswith(prefix)]
        return {name.removeprefix(prefix): found.arrays[name] for name in names}

    try:
        config = Config.build(found.manifest["config"])
        agent = agents.create(config.agent, config.hyper, backend, config.dtype)
        parameters = agent.final_parameters(arrays("parameters/0/"), arrays("state/"))
        config = dataclasses.replace(config, hyper=agent.settled(arrays("state/")))
        for name, shape in agent.shapes.items():
            if parameters[name].shape != shape:
                raise ValueError(f"{name}: expected {shape}, got {parameters[name].shape}")
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{found.path}: expected a checkpoint of a run, got another kind ({error})"
        ) from error
    try:
        config = dataclasses.replace(config, env=env or config.env)
    except ValueError as error:
        raise CheckpointError(f"{found.path}: {error}") from error
    player = Player(config.agent, config.hyper, backend, config.dtype, config.env, seed, greedy)
    return player, parameters


@dataclass(frozen=True)
class Game:
    """One episode: its number from 0, points won minus lost, steps and emulated frames."""

    number: int
    score: float
    length: int
    frames: int


@dataclass(frozen=True)
class Summary:
    """What a number of episodes came to.

    mean, deviation, lowest, highest : of the scores; the deviation is the population's
    wins        : episodes with more points won than lost
    mean_length : steps an episode
    """

    episodes: int
    mean: float
    deviation: float
    lowest: float
    highest: float
    wins: int
    mean_length: float


def summarize(scores: Sequence[float], lengths: Sequence[int]) -> Summary:
    """Summarize episodes by their scores (points) and lengths (steps); ValueError for none."""
    if not scores or len(scores) != len(lengths):
        raise ValueError(
            f"expected scores and lengths of the same episodes, at least one, "
            f"got {len(scores)} and {len(lengths)}"
        )
    return Summary(
        episodes=len(scores),
        mean=statistics.fmean(scores),
        deviation=statistics.pstdev(scores),
        lowest=min(scores),
        highest=max(scores),
        wins=sum(score > 0 for score in scores),
        mean_length=statistics.fmean(lengths),
    )


def evaluate(
    player: Player,
    parameters: Mapping[str, NDArray[Any]],
    *,
    episodes: int,
    workers: int,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Game]:
    """Play ``episodes`` games and yield each in the order of their numbers.

    parameters : the agent's, by name, of the shapes that the agent declares
    stop       : polled several times a second; once it is true, what is still played is dropped

    Raises ValueError for settings or parameters that do not fit, WorkerError as the pool does.
    """
    agent = agents.create(player.agent, player.hyper, player.backend, player.dtype)
    weights = SharedArrays(agent.shapes, player.dtype, slots=1)
    try:
        with Pool(
            agents.make_player,
            _arguments(player),
            weights,
            workers=workers,
            preload=agents.PRELOAD,
        ) as pool:
            pool.publish(0, parameters)
            for number in range(episodes):
                pool.submit(Task(number, version=0))
            yield from _in_order(pool, episodes, stop)
    finally:
        weights.close()


def _in_order(pool: Pool, episodes: int, stop: Callable[[], bool]) -> Iterator[Game]:
    played: dict[int, Game] = {}
    number = 0
    while number < episodes and not stop():
        for task, result in pool.collect(POLL_SECONDS):
            played[task.number] = Game(task.number, result.score, result.length, result.frames)
        while number in played:
            yield played.pop(number)
            number += 1


def _arguments(player: Player) -> tuple[Any, ...]:
    """Return what ``agents.make_player`` takes."""
    return (
        player.agent,
        player.hyper,
        player.backend,
        player.dtype,
        player.env,
        player.seed,
        EVAL,
        player.greedy,
    )
