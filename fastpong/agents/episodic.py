"""The shared parts of agents whose tasks are episodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple, NoReturn, Protocol

import numpy as np
from numpy.typing import DTypeLike

from fastpong.acting.episode import BindStep, Buffers, episode_steps, play_episode
from fastpong.acting.playing import Policy
from fastpong.acting.screens import ScreenPlayer
from fastpong.acting.trajectory import Trajectory
from fastpong.agents.protocol import Chance, PlannedStage, Thought
from fastpong.arrays import Array, Arrays
from fastpong.envs.draws import uniforms
from fastpong.envs.emulator import Emulator
from fastpong.envs.games import GameSpec
from fastpong.geometry import PONG
from fastpong.kernels import PIXELS, Backend

CHUNK = 512
"""Steps of an episode that are learned from at a time.

The hidden layer of so many stays in the cache (200 float32 x 512 = 400 kB), and an episode of
50,000 steps needs no memory of its own.
"""


class SparseFrame(NamedTuple):
    """Hold a difference frame, as kernels take it.

    indptr         : (2,) int64, 0 and nnz
    indices, signs : (nnz,) uint16 and int8
    """

    indptr: Array
    indices: Array
    signs: Array

    @classmethod
    def of(cls, buffers: Buffers, t: int) -> SparseFrame:
        """Return that of step ``t`` of the episode being played."""
        entries = slice(buffers.indptr[t], buffers.indptr[t + 1])
        indices = buffers.indices[entries].copy()
        return cls(np.array([0, len(indices)]), indices, buffers.signs[entries].copy())

    def image(self) -> Array:
        """Return it as an image, (80, 80) int8."""
        image = np.zeros(PIXELS, np.int8)
        image[self.indices] = self.signs
        return image.reshape(PONG.rows, PONG.columns)


class EpisodicSettings(Protocol):
    """What the settings of these agents have."""

    @property
    def batch_size(self) -> int:
        """Return the episodes per update."""


class EpisodicSpec:
    """A Spec whose tasks are episodes, each by itself.

    Agents add ``bind_step`` and ``probabilities``.
    """

    defaults: ClassVar[Mapping[str, object]] = {}
    shapes: Mapping[str, tuple[int, ...]]
    steps_per_task = None

    def __init__(self, settings: EpisodicSettings, kernels: Backend, dtype: DTypeLike) -> None:
        self.kernels, self.dtype = kernels, np.dtype(dtype)
        self.tasks_per_update: int = settings.batch_size

    def screens_needed(self, frame_spread: int) -> int:
        """Return 2: the screen and the one before."""
        return 2

    def evaluation_parameters(self, parameters: Arrays, state: Arrays) -> Arrays:
        """Return the newest parameters."""
        return parameters

    def bind_step(self, parameters: Arrays, table: Array, greedy: bool) -> BindStep:
        """Return a function that binds buffers to the agent's step.

        table : (256,), of ``foreground_table``
        """
        raise NotImplementedError

    def probabilities(self, frame: SparseFrame, parameters: Arrays) -> Array:
        """Return the probabilities of all actions in a frame, (A,)."""
        raise NotImplementedError

    def moves(self, game: GameSpec) -> tuple[int, ...]:
        """Return ALE's numbers of the agent's actions."""
        return game.move_actions

    def epsilon(self, greedy: bool) -> float | None:
        """Return the share of random actions. None: sample."""
        return None

    def actor(self, stage: PlannedStage, chance: Chance) -> EpisodicActor:
        """Return an actor."""
        return EpisodicActor(self, stage, chance)

    def screen_player(self, stage: PlannedStage, parameters: Arrays, table: Array) -> ScreenPlayer:
        """Return a player on screens that others provide."""
        buffers = Buffers(steps=3, entries=3 * PIXELS)
        sampled, greedy = (
            Policy(
                buffers.bind(self.bind_step(parameters, table, greedy)),
                epsilon=self.epsilon(greedy),
            )
            for greedy in (False, True)
        )
        # Step 0 has no predecessor, 1 and 2 take turns.
        return ScreenPlayer(buffers.screens, sampled, greedy, self.moves(stage.variant.game), 1, 3)


class EpisodicActor:
    """Play episodes."""

    def __init__(self, spec: EpisodicSpec, stage: PlannedStage, chance: Chance) -> None:
        self.spec, self.chance = spec, chance
        self.emulator = Emulator(stage.variant, stage.emulator)
        self.table = self.emulator.foreground_table()
        self.moves = spec.moves(stage.variant.game)
        self.buffers = Buffers()

    def play(self, task: int, parameters: Arrays, payload: None = None) -> Trajectory:
        """Play episode number ``task``."""
        greedy = self.chance.greedy
        return play_episode(
            self.emulator,
            self.spec.bind_step(parameters, self.table, greedy),
            uniforms(self.chance.seed, self.chance.stream, task),
            ale_actions=self.moves,
            buffers=self.buffers,
            epsilon=self.spec.epsilon(greedy),
        )

    def steps(self, task: int, parameters: Arrays) -> Iterator[Thought]:
        """Play an episode, step by step."""
        greedy = self.chance.greedy
        for t in episode_steps(
            self.emulator,
            self.spec.bind_step(parameters, self.table, greedy),
            uniforms(self.chance.seed, self.chance.stream, task),
            self.buffers,
            ale_actions=self.moves,
            epsilon=self.spec.epsilon(greedy),
            stride=1,
        ):
            frame = SparseFrame.of(self.buffers, t - 1)
            yield Thought(self.spec.probabilities(frame, parameters), frame.image())


class EpisodicLearner:
    """A Learner whose tasks need no payload."""

    def payload(self, task: int, before: object) -> None:
        """Return None: a task's number says it all."""

    def verify(self) -> None:
        """Do nothing: the state is numbers that index nothing."""

    def advance(self, stage: PlannedStage) -> NoReturn:
        """Refuse: a run of this agent has one stage."""
        raise AssertionError(f"stage {stage.index} cannot follow an agent of whole episodes")


def by_name(kind: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays under a checkpoint's names."""
    return {f"{kind}/{name}": array for name, array in arrays.items()}
