"""Evaluation: episodes with fixed weights over a pool.

Episode n is played with the stream EVAL's draws of (seed, n). So the episodes are none of
training's, and the same ones for any number of workers.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fastpong.agents import make_plan
from fastpong.agents.plan import Plan
from fastpong.agents.protocol import Chance
from fastpong.arrays import Arrays
from fastpong.envs.choice import choose_for, prepare
from fastpong.envs.draws import EVAL
from fastpong.envs.variants import Variant, find_like
from fastpong.runtime.pool import Pool, Task
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.settings.stages import Stage
from fastpong.storage.checkpoint import CheckpointError
from fastpong.storage.finding import Found
from fastpong.training.players import PRELOAD, make_player, needs_main
from fastpong.training.stats import sample_deviation
from fastpong.training.trained import read_trained

POLL_SECONDS = 0.1
_AHEAD = 256


@dataclass(frozen=True)
class Player:
    """Describe a run's agent, all but its weights.

    stage : number of the stage that the run has come to
    """

    env: str
    stages: tuple[Stage, ...]
    stage: int
    backend: str
    dtype: str
    seed: int
    greedy: bool = False
    emulator: str = "auto"

    @property
    def agent(self) -> str:
        """Return the name of the agent."""
        return self.stages[self.stage].agent

    @property
    def place(self) -> str:
        """Return the environment, and the frame skip if it is the stage's own."""
        skip = self.stages[self.stage].frame_skip
        return self.env if skip is None else f"{self.env} with frame skip {skip}"

    @property
    def variant(self) -> Variant:
        """Return the environment, with the frame skip of the stage."""
        return self.plan().stages[self.stage].variant

    def plan(self) -> Plan:
        """Return the plan of the run."""
        return make_plan(self.env, self.stages, self.backend, self.dtype, self.emulator)

    def elsewhere(
        self, env: str | None, frame_skip: int | None = None, sticky: float | None = None
    ) -> Player:
        """Return the agent in another environment.

        frame_skip : frames that an action is played for
        sticky     : gymnasium's repeat_action_probability

        None: as it is here. Raises ValueError where no environment is so, or the agent cannot
        play it.
        """
        stage, name = self.stages[self.stage], env or self.env
        if stage.frame_skip is None:
            moved = replace(self, env=find_like(name, frame_skip, sticky).name)
        else:  # it may have another one in the same environment
            stage = replace(stage, frame_skip=frame_skip or stage.frame_skip)
            stages = (*self.stages[: self.stage], stage)
            moved = replace(self, env=find_like(name, sticky=sticky).name, stages=stages)
        moved.plan()
        return moved


def restore(
    found: Found,
    backend: str,
    *,
    env: str | None = None,
    seed: int = 0,
    greedy: bool = False,
    emulator: str | None = None,
) -> tuple[Player, Arrays]:
    """Return the agent of a checkpoint or an exported file, and its evaluation parameters.

    env      : another environment than the run's
    emulator : another one than the run's

    Raises CheckpointError as ``read_trained``, and for an environment that the agent cannot play,
    EmulatorError for an emulator that cannot play it.
    """
    trained = read_trained(found, backend)
    config = trained.config
    # Stages yet to come may not fit another environment.
    stages = config.stages[: trained.stage + 1]
    player = Player(config.env, stages, trained.stage, backend, config.dtype, seed, greedy)
    try:
        player = player.elsewhere(env)
    except ValueError as error:
        raise CheckpointError(f"{found.path}: {error}") from error
    kind = choose_for(player.env, emulator or config.emulator)
    return replace(player, emulator=kind), trained.parameters


@dataclass(frozen=True)
class Game:
    """Describe an episode that was played.

    number : from 0
    score  : points won minus points lost
    length : steps
    frames : emulated frames
    """

    number: int
    score: float
    length: int
    frames: int


@dataclass(frozen=True)
class Summary:
    """Summarize a number of episodes.

    mean, lowest, highest : of the scores
    deviation   : their standard deviation, with n - 1. None for one episode
    wins        : episodes with more points won than lost
    mean_length : steps an episode
    """

    episodes: int
    mean: float
    deviation: float | None
    lowest: float
    highest: float
    wins: int
    mean_length: float


def summarize(scores: Sequence[float], lengths: Sequence[int]) -> Summary:
    """Summarize episodes by their scores and lengths.

    Raises ValueError for none.
    """
    if not scores or len(scores) != len(lengths):
        raise ValueError(
            f"expected scores and lengths of the same episodes, at least one, "
            f"got {len(scores)} and {len(lengths)}"
        )
    return Summary(
        episodes=len(scores),
        mean=statistics.fmean(scores),
        deviation=sample_deviation(scores),
        lowest=min(scores),
        highest=max(scores),
        wins=sum(score > 0 for score in scores),
        mean_length=statistics.fmean(lengths),
    )


def evaluate(
    player: Player,
    parameters: Arrays,
    *,
    episodes: int,
    workers: int,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Game]:
    """Play episodes, and yield them in their order.

    parameters : the agent's, by name, of the shapes that the agent declares
    stop       : polled several times a second. Once it is true, running episodes are dropped

    Raises ValueError for settings or parameters that do not fit, EmulatorError for an emulator
    that cannot play, WorkerError as the pool does.
    """
    spec = player.plan().stages[player.stage].spec
    weights = SharedArrays(spec.shapes, player.dtype, slots=1)
    chance = Chance(player.seed, EVAL, player.greedy)
    emulator = choose_for(player.env, player.emulator)
    prepare(player.env, emulator)
    run = (player.env, player.stages, player.backend, player.dtype)
    arguments = (*run, chance, player.stage, emulator)
    preload, main = PRELOAD[emulator], needs_main(player.stages)
    try:
        with Pool(
            make_player, arguments, weights, workers=workers, preload=preload, main=main
        ) as pool:
            pool.publish(0, parameters)
            yield from _in_order(pool, episodes, max(_AHEAD, 4 * workers), stop)
    finally:
        weights.close()


def _in_order(pool: Pool, episodes: int, ahead: int, stop: Callable[[], bool]) -> Iterator[Game]:
    """Play episodes, up to ``ahead`` of them before their turn."""
    played: dict[int, Game] = {}
    number = submitted = 0
    while number < episodes and not stop():
        while submitted < min(episodes, number + ahead):
            pool.submit(Task(submitted, version=0))
            submitted += 1
        for task, result in pool.collect(POLL_SECONDS):
            played[task.number] = Game(task.number, result.score, result.length, result.frames)
        while number in played:
            yield played.pop(number)
            number += 1
