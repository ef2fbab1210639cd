"""The parts of an agent: Spec, Actor, Learner.

A Spec makes Actors in the workers and a Learner in the trainer. An agent is mathematics only: it
knows neither processes nor files nor screens.

A task is the unit of playing. Task n is a pure function of (seed, stream, n, parameters, payload),
so any worker can play it, and play it again. Update u is made from the tasks of one batch, played
with the parameters of version max(0, u - lag).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from fastpong.acting.screens import ScreenPlayer
from fastpong.arrays import Array, Arrays
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import Variant
from fastpong.settings.stages import Stage


class Game(Protocol):
    """An episode that ended, as the trainer reads it."""

    @property
    def score(self) -> float:
        """Points won minus points lost."""

    @property
    def length(self) -> int:
        """Its steps."""

    @property
    def frames(self) -> int:
        """Its emulated frames."""


class Result(Protocol):
    """A task's result, as the trainer reads it.

    The rest is between actor and learner.
    """

    frames: int

    @property
    def length(self) -> int:
        """Steps of the task."""

    @property
    def games(self) -> Sequence[Game]:
        """The episodes that ended in the task, in order."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage in its place.

    index        : its number, from 0
    spec         : its agent with its settings
    variant      : the environment with the stage's frame skip
    frame_spread : steps from one compared screen to the next, over the time of the environment's
                   own frame skip
    frames_kept  : screens that an environment keeps, the same in all stages
    first_task, first_step : tasks and steps of the run before it
    starts       : for each schedule, the steps of the run before it started
    emulator     : to play on, see ``envs.choice``
    oldest       : version of the oldest weights that may play it, those that its agent began with
    """

    index: int
    stage: Stage
    spec: Spec
    variant: Variant
    frame_spread: int
    frames_kept: int
    first_task: int = 0
    first_step: int = 0
    starts: dict[str, int] = field(default_factory=dict)
    emulator: str = "auto"
    oldest: int = 0

    @property
    def steps_per_update(self) -> int:
        """Return the steps of an update."""
        assert self.spec.steps_per_task is not None
        return self.spec.tasks_per_update * self.spec.steps_per_task

    def steps_before(self, task: int) -> int:
        """Return the run's steps before ``task``'s update."""
        updates = (task - self.first_task) // self.spec.tasks_per_update
        return self.first_step + updates * self.steps_per_update

    def since(self, schedule: str, steps: int) -> int:
        """Return a schedule's steps after ``steps`` of the run."""
        return steps - self.starts.get(schedule, 0)


@dataclass(frozen=True)
class Chance:
    """The randomness of playing.

    seed, stream : every task draws from a generator of (seed, stream, task)
    greedy       : take the likeliest action in whole episodes
    """

    seed: int
    stream: int
    greedy: bool = False


@dataclass(frozen=True)
class Thought:
    """What an actor saw and thought at a step.

    probabilities : of its actions, (A,)
    difference    : (rows, columns) int8, of the frame to the one before, as the network sees it
    """

    probabilities: Array
    difference: Array


class Actor(Protocol):
    """Play tasks in a worker."""

    @property
    def emulator(self) -> Emulator:
        """Return the emulator that it plays on."""

    @property
    def moves(self) -> tuple[int, ...]:
        """Return ALE's numbers of its actions."""

    def play(self, task: int, parameters: Arrays, payload: Any = None) -> Result:
        """Play task number ``task``.

        Without a payload, play one whole episode.
        """

    def steps(self, task: int, parameters: Arrays) -> Iterator[Thought]:
        """Play the episode of ``play(task, parameters)``, step by step, for people who watch.

        Parameters that are changed in place count from the next step on.
        """


class Learner(Protocol):
    """Learn, and owns all that learning changes.

    parameters : the newest, by name
    """

    parameters: dict[str, Array]

    def payload(self, task: int, before: Any) -> Any:
        """Return a task's data besides its parameters, or None.

        before : the result of the task before in the same environment, if it is not added yet
        """

    def add(self, result: Any, parameters: Arrays) -> dict[str, float]:
        """Add a task's result to the coming update.

        Returns metrics.

        parameters : those that the task was played with

        Called in the order of the tasks.
        """

    def update(self) -> dict[str, float]:
        """Update the parameters in place and return metrics.

        Raises ArithmeticError for a gradient that is not finite.
        """

    def advance(self, stage: PlannedStage) -> Learner:
        """Return the next stage's learner, which takes over."""

    def state(self) -> dict[str, Array]:
        """Return views by name of all besides the parameters.

        A resumed run writes a checkpoint's arrays into them. Floats are finite: a checkpoint with
        others is neither saved nor read.
        """

    def verify(self) -> None:
        """Raise ValueError for a state that cannot be.

        It was read from a file.
        """


class Spec(Protocol):
    """An agent with its settings.

    Settings         : its dataclass of options
    defaults         : its own defaults of settings that all agents share
    shapes           : of the parameters, by name
    tasks_per_update : tasks in a batch
    steps_per_task   : steps of a task, None for a whole episode
    """

    Settings: ClassVar[type[Any]]
    defaults: ClassVar[Mapping[str, object]]
    shapes: Mapping[str, tuple[int, ...]]
    tasks_per_update: int
    steps_per_task: int | None

    def screens_needed(self, frame_spread: int) -> int:
        """Return the screens that an environment must keep."""

    def initial_parameters(self, seed: int) -> dict[str, Array]:
        """Draw the parameters of version 0."""

    def evaluation_parameters(self, parameters: Arrays, state: Arrays) -> Arrays:
        """Return the parameters that are evaluated and exported."""

    def actor(self, stage: PlannedStage, chance: Chance) -> Actor:
        """Return an actor. Called in a worker."""

    def screen_player(self, stage: PlannedStage, parameters: Arrays, table: Array) -> ScreenPlayer:
        """Return a player on screens that others provide.

        It plays as an actor does in evaluation.

        table : (256,) uint8, 0 for values of a screen that are background, 1 for others
        """

    def learner(self, stage: PlannedStage, parameters: dict[str, Array], threads: int) -> Learner:
        """Return a learner that has learned nothing yet.

        threads : cores that it may use. Nothing that it computes depends on them
        """
