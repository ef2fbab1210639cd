"""One call of every kernel of the actor-critic agent on real Pong data, for all backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from kernel_calls import BACKENDS, Call, _simple
from numpy.typing import NDArray

from fastpong import kernels
from fastpong.acting.rollout import EnvState
from fastpong.agents.multi_env import look
from fastpong.agents.ppo.agent import ActorCritic, Settings
from fastpong.agents.ppo.learner import Batch
from fastpong.envs.draws import TRAIN
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import find_variant

Array = NDArray[Any]

ENV = "PongDeterministic-v4"
SETTINGS = Settings()
KERNELS = 8


@dataclass(frozen=True)
class Data:
    """What the untrained agent played, and its first minibatch.

    batch   : the segments of all lanes, some updates into their games
    order   : a minibatch of it
    parameters, seen : of the agent
    """

    batch: Batch
    order: Array
    parameters: dict[str, Array]
    seen: Array
    segments: list[Any]

    @property
    def entries(self) -> float:
        """Entries of an observation, on average over the batch."""
        return len(self.batch.indices) / len(self.batch.actions)


def play(dtype: str, skip: int = 3) -> Data:
    """Play ``skip`` updates' segments, learn nothing, and keep the next ones."""
    agent = ActorCritic(SETTINGS, kernels.get_backend("cython"), dtype)
    parameters, state = agent.initial_parameters(0), agent.initial_state()
    player, lanes = agent.player(ENV, 0, TRAIN, False), [EnvState()] * SETTINGS.lanes
    segments: list[Any] = []
    for n in range(skip):
        segments = [player(n * len(lanes) + k, parameters, lane) for k, lane in enumerate(lanes)]
        lanes = [segment.state for segment in segments]
    batch = Batch.of(segments, SETTINGS, agent.kernels, dtype)
    look(agent.pyramid, batch.indices, state["seen"])
    order = np.random.default_rng(0).permutation(len(batch.actions))[: SETTINGS.minibatch]
    return Data(batch, order, parameters, state["seen"], segments)


def calls(dtype: str) -> dict[str, dict[str, Call]]:
    """Return for every backend one call of every kernel, by name."""
    data = play(dtype)
    return {
        backend: {call.kernel: call for call in _calls(kernels.get_backend(backend), data, dtype)}
        for backend in BACKENDS
    }


def _calls(k: Any, data: Data, dtype: str) -> list[Call]:
    oracle, tree, batch = kernels.get_backend("numpy"), SETTINGS.pyramid(), data.batch
    rows, units = data.parameters["rows"], data.parameters["units"]
    frames = (data.order, batch.indptr, batch.indices, batch.values)
    size, hidden_units = len(data.order), SETTINGS.hidden
    hidden = oracle.pyramid_forward(*frames, rows, tree.mirror, units)
    logit, estimate = oracle.actor_critic(hidden, units)
    past = (batch.actions, batch.old_logit, batch.advantage, batch.returns)
    dlogit, dvalue, _ = oracle.ppo_gradient(data.order, logit, estimate, *past)
    family = (tree.parents, tree.scales, data.seen)
    back = (*frames, tree.mirror, *family, hidden, units, dlogit, dvalue)
    gradient, squares = (array.copy() for array in oracle.pyramid_backward(*back))
    out = np.empty_like(logit), np.empty_like(estimate)
    losses = (np.empty_like(logit), np.empty_like(logit), np.empty((5, size)))
    path = [np.stack([getattr(s, n) for s in data.segments], axis=1) for n in ("rewards", "dones")]
    values = np.stack([s.values for s in data.segments], axis=1)
    rewards = path[0].astype(dtype)
    weights = [rows.copy(), units.copy(), gradient.copy(), gradient * 0, gradient**2]

    def fresh_update() -> tuple[Array, ...]:
        arrays = [rows.copy(), units.copy(), gradient.copy(), gradient * 0, gradient**2]
        k.pyramid_adam(*arrays, data.seen, tree.parents, tree.scales, 3)
        return tuple(arrays)

    return [
        *_screens(k, data, dtype),
        _simple("pyramid_forward", "decision", size, k.pyramid_forward, *frames, rows,
                tree.mirror, units, out=np.empty((size, 2, hidden_units), dtype)),
        _simple("actor_critic", "decision", size, k.actor_critic, hidden, units, out=out),
        _simple("ppo_gradient", "decision", size, k.ppo_gradient, data.order, logit, estimate,
                *past, out=losses),
        _simple("pyramid_backward", "decision", size, k.pyramid_backward, *back,
                out=(gradient.copy(), squares.copy())),
        Call("pyramid_adam", f"update of {gradient.size / 1e3:,.0f}k", 1,
             lambda: k.pyramid_adam(*weights, data.seen, tree.parents, tree.scales, 3),
             fresh_update),
        _simple("gae", "decision", rewards.size, k.gae, rewards, values[:-1], path[1], values[-1],
                out=np.empty_like(rewards)),
    ]  # fmt: skip


def _screens(k: Any, data: Data, dtype: str) -> list[Call]:
    """Return the encoder and the fused step, over two neighbouring screens, to and fro."""
    emulator, cap, tree = Emulator(find_variant(ENV)), 32, SETTINGS.pyramid()
    screens = np.ascontiguousarray(data.segments[0].state.screens)
    table = emulator.foreground_table()
    cells = (np.empty(tree.base, np.uint16), np.empty(tree.base, np.int8))
    outputs = {
        "indptr": np.zeros(cap + 1, np.int64),
        "indices": np.zeros(cap * tree.base, np.uint16),
        "values": np.zeros(cap * tree.base, np.int8),
        "actions": np.zeros(cap, np.uint8),
        "logits": np.zeros(cap, dtype),
        "estimates": np.zeros(cap, dtype),
    }
    step = k.actor_step(
        screens, table, SETTINGS.resolution, data.parameters["rows"], tree.mirror,
        data.parameters["units"], **outputs,
    )  # fmt: skip

    def run() -> None:
        for t in range(cap):
            step(t, 0.5, False, 0)

    def result() -> tuple[Array, ...]:
        run()
        used = int(outputs["indptr"][cap])
        return (
            outputs["indices"][:used].copy(), outputs["values"][:used].copy(),
            outputs["actions"].copy(), outputs["logits"].copy(), outputs["estimates"].copy(),
        )  # fmt: skip

    return [
        _simple("encode_cells", "frame", 1, k.encode_cells, screens[0], screens[1], table,
                SETTINGS.resolution, out=cells),
        Call("actor_step", "decision", cap, run, result),
    ]  # fmt: skip
