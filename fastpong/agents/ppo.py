"""The strong agent: PPO with one hidden layer that sees several resolutions and the mirror image.

    h = ReLU(x E + b),  h' = ReLU(x' E + b)        x' is x upside down
    RIGHT with probability sigmoid(2 (h - h') . a), else LEFT;   value (h + h') . v

The input x is the frame and the difference frame, in cells; see ``pyramid``. L emulators play side
by side, a task is a segment of T decisions of one of them, and an update is made from the segments
of all: several passes over them in minibatches, with the clipped loss of PPO, an entropy bonus and
the squared error of the value, by Adam. Every point ends the return: nothing that happens after it
counts for what led to it.

Training plays with the newest weights, evaluation with an average over the last updates, which
makes up for the noise of large steps: after update t, with averaging eta,

    average += (eta + 1) / (t + eta) (weights - average)

Sources: Schulman et al., "Proximal Policy Optimization Algorithms" (2017), and "High-Dimensional
Continuous Control Using Generalized Advantage Estimation" (2016); for the average, Shamir and
Zhang, "Stochastic Gradient Descent for Non-smooth Optimization" (2013).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong.agents.ppo_learner import Batch, Learner
from fastpong.emulator import INIT, Emulator, find_variant, uniforms
from fastpong.kernels import Backend
from fastpong.lanes import Buffers, Lane, LanePlayer, Segment
from fastpong.options import check, option
from fastpong.pyramid import Pyramid, parse_levels

Array = NDArray[Any]

SAVED_BYTES = 1 << 14
"""Room for what ``Emulator.save`` returns: 8 kB and a little, not always the same."""
SCREENS = (2, 210, 160)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The recipe; ``docs/learning.md`` says what else was tried."""

    hidden: int = option(128, "hidden units", minimum=1, maximum=1 << 14)
    lanes: int = option(16, "games played side by side", minimum=1, maximum=4096)
    segment: int = option(128, "decisions of each lane to an update", minimum=1, maximum=1 << 14)
    lag: int = option(
        0,
        "updates by which the playing weights are older than the newest: 0 plays and learns in "
        "turn, 1 at the same time",
        minimum=0,
        maximum=16,
    )
    noops: int = option(  # after 256 frames the first point would be lost, uncounted
        30, "a game begins with 0 to so many frames of doing nothing", minimum=0, maximum=200
    )
    resolution: int = option(2, "pixels along a side of an input cell", minimum=1, maximum=10)
    levels: str = option(
        "4x4:0.35 8x8:0.35 16x16:0.35",
        "coarser cells that an input also feeds, HEIGHTxWIDTH:SCALE in pixels",
    )
    last_action: bool = option(False, "the action chosen last is an input, too")
    learning_rate: float = option(1.5e-3, "Adam's step size at the beginning", above=0)
    final_rate: float = option(
        0.1, "the share of the learning rate that is left in the end", minimum=0, maximum=1
    )
    anneal: int = option(
        800_000,
        "decisions over which learning rate and entropy weight fall, in a straight line",
        minimum=1,
    )
    gamma: float = option(0.98, "discount of rewards, per decision", minimum=0, maximum=1)
    gae_lambda: float = option(
        0.98, "weight of later decisions in an advantage", minimum=0, maximum=1
    )
    epochs: int = option(6, "passes over a batch", minimum=1)
    minibatch: int = option(512, "decisions to a step of Adam, about", minimum=1)
    clip: float = option(0.2, "how far a probability's ratio is rewarded", minimum=0, below=1)
    entropy: float = option(0.005, "weight of the entropy bonus at the beginning", minimum=0)
    final_entropy: float = option(
        0.1, "the share of the entropy's weight that is left in the end", minimum=0, maximum=1
    )
    value_weight: float = option(0.5, "weight of the value's loss", minimum=0)
    max_norm: float = option(0.5, "longest gradient that is not cut down", above=0)
    beta1: float = option(0.9, "Adam's decay of gradients", minimum=0, below=1)
    beta2: float = option(0.999, "Adam's decay of squared gradients", minimum=0, below=1)
    epsilon: float = option(1e-5, "added to Adam's root", minimum=1e-12)
    averaging: float = option(
        8.0,
        "how much newer weights count in the average that evaluation plays with; 0 for all alike",
        minimum=0,
    )

    def __post_init__(self) -> None:
        """Raise ValueError for the first value out of range."""
        check(self)
        self.pyramid()

    def pyramid(self) -> Pyramid:
        """Return the numbering of inputs and rows; ValueError for levels that do not fit."""
        return Pyramid(self.resolution, parse_levels(self.levels), self.last_action)


class ActorCritic:
    """See ``Agent``. Parameters: rows (B, H), E of ``pyramid``, and units (3, H): b, a and v.

    State: Adam's moments (R + 3, H), ``seen`` (R,), the number of updates, the averages of the
    parameters, and where the lanes stand. The weights of the coarser cells are nowhere kept by
    themselves, see ``pyramid``.
    """

    Hyperparameters = Settings
    defaults: ClassVar[dict[str, Any]] = {"episodes": 1000, "save_every": 50}
    chained = True

    def __init__(self, hyper: Settings, kernels: Backend, dtype: DTypeLike) -> None:
        self.hyper, self.kernels, self.dtype = hyper, kernels, np.dtype(dtype)
        self.pyramid = hyper.pyramid()
        self.shapes = {"rows": (self.pyramid.base, hyper.hidden), "units": (3, hyper.hidden)}
        self.batch_size, self.lag, self.threads = hyper.lanes, hyper.lag, 1
        kernels.prepare_ppo(dtype)
        self._segments: list[Segment] = []
        self._learner: Learner | None = None

    @property
    def learner(self) -> Learner:
        """What makes updates, on as many threads as are allowed now."""
        if self._learner is None or self._learner.threads != self.threads:
            self._learner = Learner(self.hyper, self.kernels, self.dtype, self.threads)
        return self._learner

    def initial_parameters(self, seed: int) -> dict[str, Array]:
        """Draw W from N(0, 0.05^2) at every level, a and v from N(0, 0.1^2 / H); b is 0."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(INIT,)))
        tree, hidden = self.pyramid, self.hyper.hidden
        w = 0.05 * rng.standard_normal((tree.rows, hidden))
        rows = w[: tree.base].copy()
        for above, scale in zip(tree.parents, tree.scales, strict=True):
            rows += scale * np.where(above[:, None] >= 0, w[above], 0.0)
        units = 0.1 * rng.standard_normal((3, hidden)) / np.sqrt(hidden)
        units[0] = 0.0
        return {"rows": rows.astype(self.dtype), "units": units.astype(self.dtype)}

    def initial_state(self) -> dict[str, Array]:
        """Return zero moments, nothing seen, no updates, and lanes that have yet to begin."""
        lanes, rows = self.hyper.lanes, self.pyramid.rows
        return {
            "mean": np.zeros((rows + 3, self.hyper.hidden), self.dtype),
            "square": np.zeros((rows + 3, self.hyper.hidden), self.dtype),
            "seen": np.zeros(rows, np.uint8),
            "steps": np.zeros(1, np.int64),
            "updates": np.zeros(1, np.int64),
            **{
                f"average/{name}": np.zeros(shape, self.dtype)
                for name, shape in self.shapes.items()
            },
            "lanes/saved": np.zeros((lanes, SAVED_BYTES), np.uint8),
            "lanes/saved_bytes": np.zeros(lanes, np.int64),
            "lanes/screens": np.zeros((lanes, *SCREENS), np.uint8),
            "lanes/last_action": np.zeros(lanes, np.int64),
            "lanes/score": np.zeros(lanes, np.float64),
            "lanes/length": np.zeros(lanes, np.int64),
        }

    def player(self, env: str, seed: int, stream: int, greedy: bool) -> Callable[..., Any]:
        """Return ``play(number, parameters, lane)``: a segment; without a lane a whole game.

        ``greedy``, in games: the likelier action, no chance.
        """
        emulator = Emulator(find_variant(env))
        table = emulator.foreground_table()
        buffers = Buffers(self.hyper.segment, self.pyramid.base, self.dtype)
        player = LanePlayer(emulator, buffers, self.hyper.noops)

        def play(number: int, parameters: Mapping[str, Array], lane: Lane | None = None) -> Any:
            b = buffers
            step = self.kernels.actor_step(
                b.screens, table, self.hyper.resolution, parameters["rows"], self.pyramid.mirror,
                parameters["units"], b.indptr, b.indices, b.values, b.actions, b.logits,
                b.estimates,
            )  # fmt: skip
            draw = uniforms(seed, stream, number)
            if lane is None:
                return player.play_game(step, draw, greedy)
            return player.play_segment(step, lane, draw)

        return play

    def payload(self, number: int, before: Segment | None, state: Mapping[str, Array]) -> Lane:
        """Return where the task's lane stands."""
        if before is not None:
            return before.lane
        k = number % self.hyper.lanes
        saved = state["lanes/saved"][k, : state["lanes/saved_bytes"][k]].tobytes()
        if not saved:
            return Lane()
        return Lane(
            saved,
            state["lanes/screens"][k].copy(),
            int(state["lanes/last_action"][k]),
            float(state["lanes/score"][k]),
            int(state["lanes/length"][k]),
        )

    def add(
        self, result: Segment, parameters: Mapping[str, Array], state: dict[str, Array]
    ) -> dict[str, float]:
        """Keep a segment for the update, and note where its lane stands now."""
        k, lane = len(self._segments), result.lane
        self._segments.append(result)
        state["lanes/saved"][k, : len(lane.saved)] = np.frombuffer(lane.saved, np.uint8)
        state["lanes/saved_bytes"][k] = len(lane.saved)
        state["lanes/screens"][k] = lane.screens
        state["lanes/last_action"][k] = lane.last_action
        state["lanes/score"][k] = lane.score
        state["lanes/length"][k] = lane.length
        return {}

    def update(self, parameters: dict[str, Array], state: dict[str, Array]) -> dict[str, float]:
        """Learn from the segments of all lanes; see ``Learner``.

        Raises ArithmeticError where a gradient is not finite.
        """
        batch = Batch.of(self._segments, self.hyper, self.kernels, self.dtype)
        self._segments.clear()
        decisions = int(state["updates"][0]) * self.hyper.lanes * self.hyper.segment
        done = min(1.0, decisions / self.hyper.anneal)
        state["updates"] += 1
        found = self.learner.learn(batch, parameters, state, done)
        share = (1 + self.hyper.averaging) / (int(state["updates"][0]) + self.hyper.averaging)
        for name, weights in parameters.items():
            average = state[f"average/{name}"]
            average += np.asarray(share, self.dtype) * (weights - average)
        return found

    def final_parameters(
        self, parameters: Mapping[str, Array], state: Mapping[str, Array]
    ) -> Mapping[str, Array]:
        """Return the averages, once there has been an update."""
        if not state["updates"][0]:
            return parameters
        return {name: state[f"average/{name}"] for name in self.shapes}
