"""One call of every kernel of the agent ppo on real Pong data, for all backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from cases.kernel_calls import BACKENDS, Call, _simple
from cases.stages import only_stage
from numpy.typing import NDArray

from fastpong import kernels
from fastpong.acting.rollout import EnvState, Rollout
from fastpong.agents.ppo.settings import PPOSettings
from fastpong.agents.ppo.updater import Batch
from fastpong.agents.protocol import Chance
from fastpong.agents.pyramid import mark_seen
from fastpong.envs.draws import TRAIN
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import find_variant
from fastpong.kernels.bundles import CellNetwork, CellTree, Moments

Array = NDArray[Any]

ENV = "PongDeterministic-v4"
SETTINGS = PPOSettings()
ENVS = range(SETTINGS.n_envs)
KERNELS = 12


@dataclass(frozen=True)
class Data:
    """What the untrained agent played, and its first minibatch.

    batch    : rollouts of all environments, some updates into their episodes
    order    : a minibatch of it
    parameters, seen : of the agent
    """

    batch: Batch
    order: Array
    parameters: dict[str, Array]
    seen: Array
    rollouts: list[Rollout]

    @property
    def entries(self) -> float:
        """Entries of an observation, on average over the batch."""
        return len(self.batch.inputs.indices) / len(self.batch.steps.actions)


def play(dtype: str, skip: int = 3) -> Data:
    """Play the rollouts of ``skip`` updates, learn nothing, and keep the last ones."""
    stage, tree = only_stage("ppo", ENV, SETTINGS, dtype=dtype), SETTINGS.pyramid()
    parameters = stage.spec.initial_parameters(0)
    actor, states = stage.spec.actor(stage, Chance(0, TRAIN)), list(map(EnvState, ENVS))
    rollouts: list[Rollout] = []
    for n in range(skip):
        first = n * len(states)
        rollouts = [actor.play(first + env, parameters, states[env]) for env in ENVS]
        states = [rollout.state for rollout in rollouts]
    batch = Batch.of(rollouts, SETTINGS, kernels.get_backend("cython"), dtype)
    seen = np.zeros(tree.rows, np.uint8)
    mark_seen(tree, batch.inputs.indices, seen)
    order = np.random.default_rng(0).permutation(len(batch.steps.actions))[: SETTINGS.batch_size]
    return Data(batch, order, parameters, seen, rollouts)


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
    network, frames = CellNetwork(rows, units), (data.order, batch.inputs)
    size, hidden_units = len(data.order), SETTINGS.hidden
    hidden = oracle.cells_forward(*frames, network, tree.mirror)
    logit, value = oracle.cells_heads(hidden, units)
    dlogit, dvalue, _ = oracle.ppo_gradient(data.order, logit, value, batch.steps)
    family = CellTree(tree.mirror, tree.parents, tree.scales, data.seen)
    back = (*frames, family, hidden, units, dlogit, dvalue)
    gradient, squares = (array.copy() for array in oracle.cells_backward(*back))
    out = np.empty_like(logit), np.empty_like(value)
    losses = (np.empty_like(logit), np.empty_like(logit), np.empty((5, size)))
    path = [np.stack([getattr(s, n) for s in data.rollouts], axis=1) for n in ("rewards", "dones")]
    values = np.stack([s.values for s in data.rollouts], axis=1)
    rewards = path[0].astype(dtype)
    half = size // 2
    heads = np.stack([logit, value])
    td = (
        heads[:, : 2 * half].copy(),
        heads[:, half : 2 * half].copy(),
        batch.steps.actions[data.order[:half]],
        np.ones(half),
        np.full(half, 0.86),
    )
    errors = (np.empty_like(logit[:half]), np.empty_like(logit[:half]), np.empty((2, half)))

    def weights() -> tuple[CellNetwork, Array, Moments]:
        own = CellNetwork(rows.copy(), units.copy())
        return own, gradient.copy(), Moments(gradient * 0, gradient**2)

    learned = weights()

    def fresh_update() -> tuple[Array, ...]:
        own, steps, moments = weights()
        k.cells_adam(own, steps, moments, family, 3)
        return (*own, steps, *moments)

    return [
        *_screens(k, data, dtype),
        _simple("cells_forward", "step", size, k.cells_forward, *frames, network, tree.mirror,
                out=np.empty((size, 2, hidden_units), dtype)),
        _simple("cells_heads", "step", size, k.cells_heads, hidden, units, out=out),
        _simple("ppo_gradient", "step", size, k.ppo_gradient, data.order, logit, value,
                batch.steps, out=losses),
        _simple("cells_backward", "step", size, k.cells_backward, *back,
                out=(gradient.copy(), squares.copy())),
        Call("cells_adam", f"update of {gradient.size / 1e3:,.0f}k", 1,
             lambda: k.cells_adam(*learned, family, 3),
             fresh_update),
        _simple("td_gradient", "step", half, k.td_gradient, *td, out=errors),
        *_returns(k, rewards, values, path[1]),
    ]  # fmt: skip


def _returns(k: Any, rewards: Array, values: Array, ends: Array) -> list[Call]:
    """Return the kernels of rollouts, (T, N)."""
    given, out = (rewards, values[:-1], ends, values[-1]), np.empty_like(rewards)
    size, logs = rewards.size, 0.1 * values[:-1]
    return [
        _simple("gae", "step", size, k.gae, *given, out=out),
        _simple("lambda_returns", "step", size, k.lambda_returns, *given, out=out),
        _simple("n_step_returns", "step", size, k.n_step_returns, *given, 5, out=out),
        _simple("vtrace", "step", size, k.vtrace, logs, *given, out=(out, out.copy())),
    ]


def _screens(k: Any, data: Data, dtype: str) -> list[Call]:
    """Return the encoder and the fused step, over two neighbouring screens, to and fro."""
    emulator, cap, tree = Emulator(find_variant(ENV)), 32, SETTINGS.pyramid()
    screens = np.ascontiguousarray(data.rollouts[0].state.screens)
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
    buffers = tuple(outputs.values())
    step = k.cells_step(
        screens, table, CellNetwork(data.parameters["rows"], data.parameters["units"]),
        tree.mirror, buffers[:3], buffers[3:], SETTINGS.cell_size,
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
                SETTINGS.cell_size, out=cells),
        Call("cells_step", "step", cap, run, result),
    ]  # fmt: skip
