"""What the agents that play in lanes share: their network, where the lanes stand, and playing.

    h = ReLU(x E + b),  h' = ReLU(x' E + b)        x' is x upside down
    logit = 2 (h - h') . a,   value = (h + h') . v

The input x is the frame and its differences to those before, in cells; see ``pyramid``. What logit
and value mean is the agent's to say.

L emulators play side by side, a task is a segment of T decisions of one of them, and an update is
made from the segments of all. Every point ends the return: nothing that happens after it counts for
what led to it.

Training plays with the newest weights, evaluation with an average over the last updates, which
makes up for the noise of large steps: after the t-th update since learning began, with averaging
eta,

    average += (eta + 1) / (t + eta) (weights - average)

Source: Shamir and Zhang, "Stochastic Gradient Descent for Non-smooth Optimization" (2013).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong.acting.rollout import Buffers, EnvState, Rollout, RolloutPlayer, Step
from fastpong.agents.pyramid import Pyramid, parse_levels
from fastpong.envs.draws import INIT, uniforms
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import find_variant
from fastpong.geometry import PONG
from fastpong.kernels import Backend
from fastpong.kernels.bundles import CellNetwork, SparseInputs
from fastpong.settings.fields import check, option

Array = NDArray[Any]

SAVED_BYTES = 1 << 14
"""Room for what ``Emulator.save`` returns: 8 kB and a little, not always the same."""

KERNELS = (
    "cells_step", "cells_forward", "cells_heads", "ppo_gradient", "td_gradient", "cells_backward",
    "cells_adam", "gae", "standardize",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LaneSettings:
    """What is seen, and how it is played."""

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
    stride: int = option(
        2,
        "2 to look at every second row and column, 1 at every one",
        minimum=1,
        maximum=2,
    )
    resolution: int = option(2, "pixels along a side of an input cell", minimum=1, maximum=10)
    levels: str = option(
        "4x4:0.35 8x8:0.35 16x16:0.35",
        "coarser cells that an input also feeds, HEIGHTxWIDTH:SCALE in pixels",
    )
    history: int = option(
        0, "differences between earlier frames that are inputs, too", minimum=0, maximum=8
    )
    last_action: bool = option(False, "the action chosen last is an input, too")
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
        levels = parse_levels(self.levels)
        return Pyramid(self.resolution, levels, self.last_action, self.stride, self.history)


class LaneAgent:
    """See ``Agent``. Parameters: rows (B, H), E of ``pyramid``, and units (3, H): b, a and v.

    State: Adam's moments (R + 3, H), ``seen`` (R,), the numbers of steps and updates, the averages
    of the parameters, and where the lanes stand. The weights of the coarser cells are nowhere kept
    by themselves, see ``pyramid``.

    initial_deviation : of the weights of every level
    """

    chained = True
    initial_deviation: ClassVar[float] = 0.05

    def __init__(self, hyper: Any, kernels: Backend, dtype: DTypeLike) -> None:
        self.hyper, self.kernels, self.dtype = hyper, kernels, np.dtype(dtype)
        self.pyramid: Pyramid = hyper.pyramid()
        self.shapes = {"rows": (self.pyramid.base, hyper.hidden), "units": (3, hyper.hidden)}
        self.batch_size, self.lag, self.threads = hyper.lanes, hyper.lag, 1
        kernels.prepare(dtype, *KERNELS)
        self._segments: list[Rollout] = []

    def initial_parameters(self, seed: int) -> dict[str, Array]:
        """Draw W from N(0, initial_deviation^2), a and v from N(0, 0.1^2 / H); b is 0."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(INIT,)))
        tree, hidden = self.pyramid, self.hyper.hidden
        w = self.initial_deviation * rng.standard_normal((tree.rows, hidden))
        rows = w[: tree.base].copy()
        for above, scale in zip(tree.parents, tree.scales, strict=True):
            rows += scale * np.where(above[:, None] >= 0, w[above], 0.0)
        units = 0.1 * rng.standard_normal((3, hidden)) / np.sqrt(hidden)
        units[0] = 0.0
        return {"rows": rows.astype(self.dtype), "units": units.astype(self.dtype)}

    def initial_state(self) -> dict[str, Array]:
        """Return zero moments, nothing seen, no updates, and lanes that have yet to begin."""
        lanes, rows, kept = self.hyper.lanes, self.pyramid.rows, self.kept
        return {
            "mean": np.zeros((rows + 3, self.hyper.hidden), self.dtype),
            "square": np.zeros((rows + 3, self.hyper.hidden), self.dtype),
            "seen": np.zeros(rows, np.uint8),
            "steps": np.zeros(1, np.int64),
            "updates": np.zeros(1, np.int64),
            **{f"average/{name}": np.zeros(s, self.dtype) for name, s in self.shapes.items()},
            "lanes/saved": np.zeros((lanes, SAVED_BYTES), np.uint8),
            "lanes/saved_bytes": np.zeros(lanes, np.int64),
            "lanes/screens": np.zeros((lanes, kept, *PONG.screen), np.uint8),
            "lanes/last_action": np.zeros(lanes, np.int64),
            "lanes/score": np.zeros(lanes, np.float64),
            "lanes/length": np.zeros(lanes, np.int64),
        }

    def verify(self, state: Mapping[str, Array]) -> None:
        """Do nothing: where lanes stand is looked at by whoever plays them."""

    @property
    def kept(self) -> int:
        """Screens that a lane keeps."""
        return self.pyramid.channels

    def halvings(self, number: int, whole_game: bool) -> int:
        """Return how often the frames of an action are halved in task ``number``."""
        return 0

    def length(self, number: int) -> int:
        """Return the decisions of task ``number``, T."""
        return int(self.hyper.segment)

    def settled(self, state: Mapping[str, Array]) -> Any:
        """Return its settings: it plays as it did from the first game on."""
        return self.hyper

    def chooser(self, step: Step, number: int, whole_game: bool) -> Step:
        """Return what chooses the actions of task ``number``; ``step`` draws from the logits."""
        return step

    def player(self, env: str, seed: int, stream: int, greedy: bool) -> Callable[..., Any]:
        """Return ``play(number, parameters, lane)``: a segment; without a lane a whole game.

        ``greedy``, in games: the likelier action, no chance.
        """
        tree, hyper, variant = self.pyramid, self.hyper, find_variant(env)

        @cache
        def prepare(halvings: int, steps: int) -> tuple[RolloutPlayer, Array]:
            emulator = Emulator(variant.halved(halvings))
            buffers = Buffers(steps, tree.base, self.dtype, self.kept)
            return RolloutPlayer(emulator, buffers, hyper.noops), emulator.foreground_table()

        def play(number: int, parameters: Mapping[str, Array], lane: EnvState | None = None) -> Any:
            halvings = self.halvings(number, lane is None)
            player, table = prepare(halvings, self.length(number))
            b = player.buffers
            # Screens are compared over the same time, however often decisions are made.
            step = self.kernels.cells_step(
                b.screens, table, CellNetwork(parameters["rows"], parameters["units"]),
                tree.mirror, SparseInputs(b.indptr, b.indices, b.counts),
                (b.actions, b.logits, b.values), hyper.resolution, hyper.stride, 2**halvings,
            )  # fmt: skip
            step, draw = self.chooser(step, number, lane is None), uniforms(seed, stream, number)
            if lane is None:
                return player.play_episode(step, draw, greedy)
            return player.play_rollout(step, lane, draw)

        return play

    def payload(self, number: int, before: Rollout | None, state: Mapping[str, Array]) -> EnvState:
        """Return where the task's lane stands."""
        if before is not None:
            return before.state
        k = number % self.hyper.lanes
        saved = state["lanes/saved"][k, : state["lanes/saved_bytes"][k]].tobytes()
        if not saved:
            return EnvState(k)
        return EnvState(
            k,
            saved,
            state["lanes/screens"][k].copy(),
            int(state["lanes/last_action"][k]),
            float(state["lanes/score"][k]),
            int(state["lanes/length"][k]),
        )

    def add(
        self, result: Rollout, parameters: Mapping[str, Array], state: dict[str, Array]
    ) -> dict[str, float]:
        """Keep a segment for the update, and note where its lane stands now."""
        k, lane = len(self._segments), result.state
        self._segments.append(result)
        state["lanes/saved"][k, : len(lane.saved)] = np.frombuffer(lane.saved, np.uint8)
        state["lanes/saved_bytes"][k] = len(lane.saved)
        state["lanes/screens"][k] = lane.screens
        state["lanes/last_action"][k] = lane.last_action
        state["lanes/score"][k] = lane.score
        state["lanes/length"][k] = lane.length
        return {}

    def average(self, parameters: dict[str, Array], state: dict[str, Array], times: int) -> None:
        """Take new weights into the averages; ``times`` counts updates since learning began."""
        share = (1 + self.hyper.averaging) / (times + self.hyper.averaging)
        for name, weights in parameters.items():
            average = state[f"average/{name}"]
            average += np.asarray(share, self.dtype) * (weights - average)

    def final_parameters(
        self, parameters: Mapping[str, Array], state: Mapping[str, Array]
    ) -> Mapping[str, Array]:
        """Return the averages, once something has been learned."""
        if not state["steps"][0]:
            return parameters
        return {name: state[f"average/{name}"] for name in self.shapes}


def look(tree: Pyramid, indices: Array, seen: Array) -> None:
    """Note the rows that inputs reach: their own, their mirror images', their parents'."""
    lit = np.zeros(tree.base, bool)
    lit[indices] = True
    lit[tree.mirror[np.flatnonzero(lit)]] = True
    seen[: tree.base][lit] = 1
    above = tree.parents[:, lit]
    seen[above[above >= 0]] = 1
