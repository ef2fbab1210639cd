"""The shared parts of agents that play rollouts.

    h = ReLU(x E + b),  h' = ReLU(x' E + b)        x' is x upside down
    logit = 2 (h - h') . a,   value = (h + h') . v

The input x is the frame and its differences to earlier frames, in cells: see ``pyramid``. The
meaning of logit and value is the agent's.

A task is a rollout of T steps of one of N environments, and an update is made from the rollouts of
all of them. Every point ends the return: nothing that happens after it counts for the steps before.

Training plays with the newest weights, evaluation with an average over the last updates, which
makes up for the noise of large steps. After the t-th update since learning began, with averaging
eta,

    average += (eta + 1) / (t + eta) (weights - average)

Source: Shamir and Zhang, "Stochastic Gradient Descent for Non-smooth Optimization" (2013).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from fastpong.acting.playing import Policy
from fastpong.acting.rollout import Buffers, EnvState, Game, Rollout, RolloutPlayer
from fastpong.acting.screens import ScreenPlayer
from fastpong.agents.episodic import by_name
from fastpong.agents.ppo.settings import RolloutSettings
from fastpong.agents.protocol import Chance, PlannedStage, Thought
from fastpong.agents.pyramid import Pyramid
from fastpong.arrays import Array, Arrays
from fastpong.envs.draws import INIT, uniforms
from fastpong.envs.emulator import Emulator, is_of_console
from fastpong.geometry import PONG
from fastpong.kernels import Backend
from fastpong.kernels.bundles import CellNetwork, SparseInputs
from fastpong.kernels.cells import Step

SAVED_BYTES = 1 << 14
"""Room for the result of ``Emulator.save``: of ale 8 kB and a little, not always the same."""

KERNELS = (
    "cells_step", "cells_forward", "cells_heads", "ppo_gradient", "td_gradient", "cells_backward",
    "cells_adam", "gae", "standardize",
)  # fmt: skip


class RolloutSpec:
    """A Spec whose tasks are rollouts.

    Parameters: rows (B, H), E of ``pyramid``, and units (3, H): b, a and v. The weights of the
    coarser cells are nowhere stored by themselves, see ``pyramid``.

    initial_deviation : of the weights of every level
    """

    initial_deviation: ClassVar[float] = 0.05
    defaults: ClassVar[Mapping[str, object]] = {"episodes": 1000, "save_every": 50}

    def __init__(self, settings: RolloutSettings, kernels: Backend, dtype: DTypeLike) -> None:
        self.kernels, self.dtype, self.settings = kernels, np.dtype(dtype), settings
        self.pyramid: Pyramid = settings.pyramid()
        self.hidden = settings.hidden
        self.shapes = {"rows": (self.pyramid.base, self.hidden), "units": (3, self.hidden)}
        self.tasks_per_update, self.steps_per_task = settings.n_envs, settings.n_steps
        kernels.prepare(dtype, *KERNELS)

    def screens_needed(self, frame_spread: int) -> int:
        """Return the screens that an environment must keep.

        Those between compared screens are among them.
        """
        return 1 + (self.pyramid.channels - 1) * frame_spread

    def initial_parameters(self, seed: int) -> dict[str, Array]:
        """Draw the parameters of version 0.

        W from N(0, initial_deviation^2), a and v from N(0, 0.1^2 / H). b is 0.
        """
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(INIT,)))
        tree, hidden = self.pyramid, self.hidden
        w = self.initial_deviation * rng.standard_normal((tree.rows, hidden))
        rows = w[: tree.base].copy()
        for above, scale in zip(tree.parents, tree.scales, strict=True):
            rows += scale * np.where(above[:, None] >= 0, w[above], 0.0)
        units = 0.1 * rng.standard_normal((3, hidden)) / np.sqrt(hidden)
        units[0] = 0.0
        return {"rows": rows.astype(self.dtype), "units": units.astype(self.dtype)}

    def evaluation_parameters(self, parameters: Arrays, state: Arrays) -> Arrays:
        """Return the averaged weights, once something has been learned."""
        if not state["steps"][0]:
            return parameters
        return {name: state[f"average/{name}"] for name in self.shapes}

    def bind_step(
        self, buffers: Buffers, stage: PlannedStage, parameters: Arrays, table: Array
    ) -> Step:
        """Bind buffers and weights to ``cells_step``."""
        b, settings = buffers, self.settings
        return self.kernels.cells_step(
            b.screens, table, CellNetwork(parameters["rows"], parameters["units"]),
            self.pyramid.mirror, SparseInputs(b.indptr, b.indices, b.counts),
            (b.actions, b.logits, b.values), settings.cell_size, settings.pixel_stride,
            stage.frame_spread,
        )  # fmt: skip

    def evaluation_policy(self, step: Step, greedy: bool) -> Policy:
        """Return the policy of whole episodes: sample, or greedy."""
        return Policy(step, history=True, greedy=greedy)

    def buffers(self, stage: PlannedStage, n_steps: int) -> Buffers:
        """Return buffers for ``n_steps`` steps."""
        return Buffers(n_steps, self.pyramid.base, self.dtype, stage.frames_kept)

    def screen_player(self, stage: PlannedStage, parameters: Arrays, table: Array) -> ScreenPlayer:
        """Return a player on screens that others provide."""
        buffers = self.buffers(stage, 1)
        step = self.bind_step(buffers, stage, parameters, table)
        sampled, greedy = (self.evaluation_policy(step, greedy) for greedy in (False, True))
        moves = stage.variant.game.move_actions
        return ScreenPlayer(buffers.screens, sampled, greedy, moves, 0, stage.frames_kept)


class RolloutActor:
    """Play rollouts, and whole episodes for evaluation.

    Screens are compared over the same time in every stage, ``frame_spread`` steps apart.
    """

    def __init__(
        self, spec: RolloutSpec, settings: RolloutSettings, stage: PlannedStage, chance: Chance
    ) -> None:
        self.spec, self.settings, self.stage, self.chance = spec, settings, stage, chance
        self.emulator = emulator = Emulator(stage.variant, stage.emulator)
        self.moves = stage.variant.game.move_actions
        buffers = spec.buffers(stage, settings.n_steps)
        self.player = RolloutPlayer(emulator, buffers, settings.noop_max)
        self.table = emulator.foreground_table()

    def play(
        self, task: int, parameters: Arrays, payload: EnvState | None = None
    ) -> Rollout | Game:
        """Play a rollout from an environment's state on.

        Without one, play a whole episode.
        """
        step = self.spec.bind_step(self.player.buffers, self.stage, parameters, self.table)
        draw = uniforms(self.chance.seed, self.chance.stream, task)
        if payload is None:
            policy = self.spec.evaluation_policy(step, self.chance.greedy)
            return self.player.play_episode(policy, draw)
        return self.player.play_rollout(self.policy(step, task), payload, draw)

    def steps(self, task: int, parameters: Arrays) -> Iterator[Thought]:
        """Play a whole episode, step by step."""
        step = self.spec.bind_step(self.player.buffers, self.stage, parameters, self.table)
        policy = self.spec.evaluation_policy(step, self.chance.greedy)
        draw = uniforms(self.chance.seed, self.chance.stream, task)
        for row in self.player.episode_steps(policy, draw, stride=1):
            b = self.player.buffers
            entries = slice(b.indptr[row], b.indptr[row + 1])
            image = self.spec.pyramid.image(b.indices[entries], b.counts[entries])
            right = policy.probability(float(b.logits[row]))
            yield Thought(np.array([1 - right, right]), image)

    def policy(self, step: Step, task: int) -> Policy:
        """Return the policy of a rollout: sample from the logits."""
        return Policy(step, history=True)


@dataclass(frozen=True, eq=False)
class EnvStates:
    """Hold N environments' states between two updates."""

    saved: Array
    saved_bytes: Array
    screens: Array
    last_action: Array
    score: Array
    length: Array

    @classmethod
    def initial(cls, n_envs: int, frames_kept: int) -> EnvStates:
        """Return environments that have yet to begin."""
        return cls(
            np.zeros((n_envs, SAVED_BYTES), np.uint8),
            np.zeros(n_envs, np.int64),
            np.zeros((n_envs, frames_kept, *PONG.screen), np.uint8),
            np.zeros(n_envs, np.int64),
            np.zeros(n_envs, np.float64),
            np.zeros(n_envs, np.int64),
        )

    def get(self, env: int) -> EnvState:
        """Return the state of an environment."""
        saved = self.saved[env, : self.saved_bytes[env]].tobytes()
        if not saved:
            return EnvState(env)
        return EnvState(
            env,
            saved,
            self.screens[env].copy(),
            int(self.last_action[env]),
            float(self.score[env]),
            int(self.length[env]),
        )

    def put(self, state: EnvState) -> None:
        """Store the state of an environment."""
        env = state.env
        self.saved[env, : len(state.saved)] = np.frombuffer(state.saved, np.uint8)
        self.saved_bytes[env] = len(state.saved)
        self.screens[env] = state.screens
        self.last_action[env] = state.last_action
        self.score[env] = state.score
        self.length[env] = state.length


@dataclass(frozen=True, eq=False)
class RolloutState:
    """All that learning carries from update to update.

    mean, square : (R + 3, H), Adam's moments
    seen         : (R,), not 0 for every row of weights that an input has reached
    steps        : (1,), Adam's
    updates      : (1,), of the whole run
    learning_since : (1,), updates before the first that learned something, -1 before that
    average      : averages of the parameters
    """

    mean: Array
    square: Array
    seen: Array
    steps: Array
    updates: Array
    learning_since: Array
    average: dict[str, Array]
    envs: EnvStates

    @classmethod
    def initial(cls, spec: RolloutSpec, frames_kept: int) -> RolloutState:
        """Return the state before the first update."""
        rows = spec.pyramid.rows
        return cls(
            np.zeros((rows + 3, spec.hidden), spec.dtype),
            np.zeros((rows + 3, spec.hidden), spec.dtype),
            np.zeros(rows, np.uint8),
            np.zeros(1, np.int64),
            np.zeros(1, np.int64),
            np.full(1, -1, np.int64),
            {name: np.zeros(shape, spec.dtype) for name, shape in spec.shapes.items()},
            EnvStates.initial(spec.tasks_per_update, frames_kept),
        )

    def arrays(self) -> dict[str, Array]:
        """Return views by name."""
        own = {name: array for name, array in vars(self).items() if name not in _NESTED}
        return own | by_name("average", self.average) | by_name("envs", vars(self.envs))


_NESTED = ("average", "envs")


class RolloutLearner:
    """A Learner whose tasks are rollouts.

    Agents add ``update`` and ``advance``.
    """

    def __init__(
        self,
        spec: RolloutSpec,
        settings: RolloutSettings,
        stage: PlannedStage,
        parameters: dict[str, Array],
        threads: int,
    ) -> None:
        self.spec, self.stage, self.parameters, self.threads = spec, stage, parameters, threads
        self.game = stage.variant.game
        if not self.game.mirror_swaps_actions:
            raise ValueError(
                f"env: expected a game whose actions exchange in its mirror image, got "
                f"{self.game.rom}"
            )
        self.averaging = settings.weight_averaging
        self.rollout_state = RolloutState.initial(spec, stage.frames_kept)
        self.rollouts: list[Rollout] = []

    def state(self) -> dict[str, Array]:
        """Return the state's arrays by name."""
        return self.rollout_state.arrays()

    def verify(self) -> None:
        """Raise ValueError for an environment's state that the console cannot restore."""
        emulator: Emulator | None = None
        for env in range(self.spec.tasks_per_update):
            saved = self.rollout_state.envs.get(env).saved
            if is_of_console(saved):
                emulator = emulator or Emulator(self.stage.variant, self.stage.emulator)
                emulator.restore(saved, lambda: 0.0)
                if emulator.over:
                    raise ValueError(
                        f"envs/saved: expected episodes that go on, number {env} is over"
                    )

    def payload(self, task: int, before: Rollout | None) -> EnvState:
        """Return the state of the task's environment."""
        if before is not None:
            return before.state
        return self.rollout_state.envs.get(task % self.spec.tasks_per_update)

    def add(self, result: Rollout, parameters: Arrays) -> dict[str, float]:
        """Store a rollout and its environment's state."""
        self.rollouts.append(result)
        self.rollout_state.envs.put(result.state)
        return {}

    def begin_update(self) -> tuple[list[Rollout], int]:
        """Count an update.

        Returns its rollouts and the steps of the run before it.
        """
        rollouts, self.rollouts = self.rollouts, []
        task = int(self.rollout_state.updates[0]) * self.spec.tasks_per_update
        self.rollout_state.updates[0] += 1
        return rollouts, self.stage.steps_before(task)

    def average(self) -> None:
        """Add the new weights to the averages."""
        state = self.rollout_state
        if state.learning_since[0] < 0:
            state.learning_since[0] = state.updates[0] - 1
        times = int(state.updates[0] - state.learning_since[0])
        share = (1 + self.averaging) / (times + self.averaging)
        for name, weights in self.parameters.items():
            average = state.average[name]
            average += np.asarray(share, self.spec.dtype) * (weights - average)
