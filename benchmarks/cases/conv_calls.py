"""One call of every kernel of the agent keras on real Pong data, for all backends."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases.kernel_calls import BACKENDS, Call, _added, _simple
from cases.stages import only_stage
from numpy.typing import NDArray
from programs.training import first_keras_episode

from fastpong import kernels
from fastpong.acting.trajectory import Trajectory
from fastpong.agents.keras.settings import KerasSettings
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import find_variant
from fastpong.kernels import NETWORK

Array = NDArray[Any]

STEPS = {"row": 256, "image": 64}


def calls(dtype: str) -> dict[str, dict[str, Call]]:
    """Return for every backend one call of every kernel, by name."""
    trajectory = first_keras_episode()
    return {
        backend: {
            call.kernel: call
            for mode in ("row", "image")
            for call in _calls(kernels.get_backend(backend), trajectory, mode, dtype)
        }
        for backend in BACKENDS
    }


def _calls(k: Any, trajectory: Trajectory, mode: str, dtype: str) -> list[Call]:
    p = _weights(mode, dtype)
    steps = STEPS[mode]
    oracle, small = kernels.get_backend("numpy"), (steps, 64)
    frames = (trajectory.indptr[: steps + 1], trajectory.indices, trajectory.signs)
    first = (*frames, p["kernel"], p["bias"], p["w1"])
    h1 = oracle.sparse_conv_forward(*first, p["b1"])
    up = np.random.default_rng(1).standard_normal(small).astype(dtype)
    grads = tuple(np.zeros_like(p[name]) for name in ("kernel", "bias", "w1", "b1"))
    found = [
        _simple(f"sparse_conv_forward, {mode}", "step", steps, k.sparse_conv_forward, *first,
                p["b1"], out=np.empty(small, dtype)),
        _added(f"sparse_conv_backward, {mode}", steps, k.sparse_conv_backward, (*first, up), grads),
        _step(k, p, mode),
    ]  # fmt: skip
    return found + (_dense(k, p, h1, trajectory) if mode == "row" else [])


def _weights(mode: str, dtype: str) -> dict[str, Array]:
    settings = KerasSettings(image_conv=mode == "image")
    weights = only_stage("keras", "Pong-v0", settings, dtype=dtype).spec.initial_parameters(0)
    weights["bias"][:] = np.linspace(-0.02, 0.02, len(weights["bias"]))
    return weights


def _dense(k: Any, p: dict[str, Array], h1: Array, trajectory: Trajectory) -> list[Call]:
    oracle, dtype, steps = kernels.get_backend("numpy"), h1.dtype, len(h1)
    h2 = oracle.dense_forward(h1, p["w2"], p["b2"])
    logits = oracle.dense_forward(h2, p["w3"], p["b3"], relu=False)
    probability = oracle.softmax(logits)
    actions, advantage = trajectory.actions[:steps], np.ones(steps, dtype)
    losses = (np.empty_like(logits), np.empty(steps, dtype))
    weights, mean, square = p["kernel"].copy(), np.zeros_like(p["kernel"]), p["kernel"] ** 2
    gradient = p["kernel"] * np.asarray(1e-3, dtype)

    def fresh_update() -> tuple[Array, ...]:
        arrays = p["kernel"].copy(), np.zeros_like(gradient), p["kernel"] ** 2
        k.adam_update(arrays[0], gradient, *arrays[1:], 3)
        return arrays

    dense = (np.empty_like(p["w2"]), np.empty_like(p["b2"]), np.empty_like(h1))
    return [
        _simple("dense_forward, 64 to 32", "step", steps, k.dense_forward, h1, p["w2"], p["b2"],
                out=np.empty_like(h2)),
        _simple("dense_backward, 64 to 32", "step", steps, k.dense_backward, h1, p["w2"], h2,
                out=dense),
        _simple("softmax", "step", steps, k.softmax, logits, out=np.empty_like(logits)),
        _simple("cross_entropy_gradient", "step", steps, k.cross_entropy_gradient, probability,
                actions, advantage, 1e-3, out=losses),
        Call("adam_update", "update of 92k", 1,
             lambda: k.adam_update(weights, gradient, mean, square, 3), fresh_update),
    ]  # fmt: skip


def _step(k: Any, p: dict[str, Array], mode: str) -> Call:
    """The fused step over two neighbouring screens, to and fro."""
    emulator, cap = Emulator(find_variant("PongDeterministic-v4")), 32
    screens = np.zeros((2, *emulator.screen_shape), np.uint8)
    emulator.reset(iter(lambda: 0.5, None).__next__)
    for t in range(60):
        emulator.read_screen(screens[t % 2])
        emulator.step(3)
    outputs = {
        "indptr": np.zeros(cap + 1, np.int64),
        "indices": np.zeros(cap * 6400, np.uint16),
        "signs": np.zeros(cap * 6400, np.int8),
        "actions": np.zeros(cap, np.uint8),
    }
    network = tuple(p[name] for name in NETWORK)
    step = k.conv_step(screens, emulator.foreground_table(), network, **outputs)

    def run() -> None:
        for t in range(1, cap):
            step(t, 0.5)

    def result() -> tuple[Array, ...]:
        run()
        used = int(outputs["indptr"][cap])
        return (
            outputs["indptr"].copy(), outputs["indices"][:used].copy(),
            outputs["signs"][:used].copy(), outputs["actions"].copy(),
        )  # fmt: skip

    return Call(f"conv_step, {mode}", "step", cap - 1, run, result)
