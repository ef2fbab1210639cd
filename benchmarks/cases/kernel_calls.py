"""One call of every public kernel on real Pong data, the same for all backends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from cases.recorded import KEPT_SCREENS, Recording, record
from numpy.typing import NDArray
from shared import tolerances

from fastpong import kernels, oracle
from fastpong.console.palette import palette_of

Array = NDArray[Any]

BACKENDS = ("cython", "numba", "numpy")
# As many steps as the agent learns from at a time.
STEPS = KEPT_SCREENS


@dataclass(frozen=True)
class Call:
    """A kernel with its arguments, bound to one backend.

    per, units : what a time is given for, and how many of those one call is
    run        : call it, with outputs allocated before
    result     : what a call returns that begins with zeros, for the check
    """

    kernel: str
    per: str
    units: int
    run: Callable[[], object]
    result: Callable[[], tuple[Array, ...]]


@dataclass(frozen=True)
class Data:
    """Real arguments in one dtype: the first steps of a recorded episode."""

    recording: Recording
    dense: Array
    indptr: Array
    hidden: Array
    dlogit: Array
    rewards: Array
    returns: Array
    w1: Array
    w2: Array
    gradient: Array


def real_data(dtype: str) -> Data:
    """Return the arguments; what a kernel needs from another one is the oracle's."""
    recording = record()
    trajectory = recording.trajectory
    numpy = kernels.get_backend("numpy")
    w1, w2 = (recording.parameters[name].astype(dtype) for name in ("w1", "w2"))
    indptr = trajectory.indptr[: STEPS + 1]
    frames = (indptr, trajectory.indices, trajectory.signs)
    hidden, probability = numpy.sparse_policy_forward(*frames, w1, w2)
    rewards = trajectory.rewards.astype(dtype)
    returns = numpy.discount_rewards(rewards, 0.99)
    advantage = numpy.standardize(returns)[:STEPS]
    dlogit = ((trajectory.actions[:STEPS] - probability) * advantage).astype(dtype)
    gradient, _ = numpy.sparse_policy_backward(*frames, hidden, dlogit, w2)
    dense = oracle.dense_frames(*frames)[:STEPS].astype(dtype)
    return Data(
        recording, dense, indptr, hidden, dlogit, rewards, returns, w1, w2, gradient
    )  # fmt: skip


def calls(data: Data, backend: str) -> dict[str, Call]:
    """Return one call of every kernel, by name."""
    k = kernels.get_backend(backend)
    groups = (
        _frames(data, k),
        _atari(data, k),
        _dense(data, k),
        _sparse(data, k),
        _step(data, k),
        _rest(data, k),
    )
    return {call.kernel: call for group in groups for call in group}


def _simple(
    kernel: str, per: str, units: int, function: Callable[..., Any], *args: Any, **outs: Any
) -> Call:
    """Return a call whose ``out`` is overwritten each time."""

    def result() -> tuple[Array, ...]:
        returned = function(*args, **outs)
        arrays = returned if isinstance(returned, tuple) else (returned,)
        return tuple(np.array(array) for array in arrays)

    return Call(kernel, per, units, lambda: function(*args, **outs), result)


def _frames(data: Data, k: kernels.Backend) -> list[Call]:
    recording, dtype = data.recording, data.w1.dtype
    table = recording.actor.table
    before, screen = recording.screens[STEPS // 2], recording.screens[STEPS // 2 + 1]
    first, second = (k.preprocess_frame(s, table).astype(dtype) for s in (before, screen))
    indices, signs = np.empty(6400, np.uint16), np.empty(6400, np.int8)
    return [
        _simple("preprocess_frame (palette)", "frame", 1, k.preprocess_frame, screen, table,
                out=np.empty(6400, dtype)),
        _simple("preprocess_frame (RGB)", "frame", 1, k.preprocess_frame, recording.rgb[0],
                out=np.empty(6400, dtype)),
        _simple("difference_frame", "frame", 1, k.difference_frame, second, first,
                out=np.empty(6400, dtype)),
        _simple("sparse_difference_frame", "frame", 1, k.sparse_difference_frame, screen, before,
                table, out=(indices, signs)),
    ]  # fmt: skip


def _atari(data: Data, k: kernels.Backend) -> list[Call]:
    """Two neighbouring screens, as other agents see them."""
    recording = data.recording
    before, screen = recording.screens[STEPS // 2], recording.screens[STEPS // 2 + 1]
    palette, rgb = palette_of(len(screen)), recording.rgb[0]
    stack, frame = np.zeros((4, 84, 84), np.uint8), np.empty((84, 84), np.uint8)

    def pushed() -> tuple[Array, ...]:
        fresh = np.zeros_like(stack)
        for _ in range(3):
            k.frame_stack_push(fresh, frame)
        return (fresh,)

    return [
        _simple("max_pool_frames", "screen", 1, k.max_pool_frames, screen, before,
                out=np.empty_like(screen)),
        _simple("grayscale", "screen", 1, k.grayscale, rgb, out=np.empty_like(screen)),
        _simple("resize_area", "screen", 1, k.resize_area, screen, out=frame.copy()),
        _simple("atari_frame (palette)", "frame", 1, k.atari_frame, screen, before, palette,
                out=frame),
        _simple("atari_frame (RGB)", "frame", 1, k.atari_frame, palette[screen],
                palette[before], out=frame.copy()),
        Call("frame_stack_push", "frame", 1, lambda: k.frame_stack_push(stack, frame), pushed),
    ]  # fmt: skip


def _dense(data: Data, k: kernels.Backend) -> list[Call]:
    size, dtype = STEPS, data.w1.dtype
    inputs = (data.dense, data.hidden, data.dlogit, data.w2)
    out = (np.empty((size, len(data.w2)), dtype), np.empty(size, dtype))
    grads = (np.zeros_like(data.w1), np.zeros_like(data.w2))
    return [
        _simple(
            "policy_forward", "step", size, k.policy_forward, data.dense, data.w1, data.w2, out=out
        ),
        _added("policy_backward", size, k.policy_backward, inputs, grads),
    ]


def _sparse(data: Data, k: kernels.Backend) -> list[Call]:
    trajectory, dtype = data.recording.trajectory, data.w1.dtype
    frames = (data.indptr, trajectory.indices, trajectory.signs)
    out = (np.empty((STEPS, len(data.w2)), dtype), np.empty(STEPS, dtype))
    grads = (np.zeros_like(data.w1), np.zeros_like(data.w2))
    inputs = (*frames, data.hidden, data.dlogit, data.w2)
    return [
        _simple("sparse_policy_forward", "step", STEPS, k.sparse_policy_forward,
                *frames, data.w1, data.w2, out=out),
        _added("sparse_policy_backward", STEPS, k.sparse_policy_backward, inputs, grads),
    ]  # fmt: skip


def _added(
    kernel: str, steps: int, function: Callable[..., Any], inputs: tuple[Any, ...], grads: Any
) -> Call:
    """Return a call that adds into the gradients, as the trainer's does."""
    return Call(
        kernel,
        "step",
        steps,
        lambda: function(*inputs, out=grads, accumulate=True),
        lambda: function(*inputs),
    )


def _step(data: Data, k: kernels.Backend) -> list[Call]:
    """The fused step over two neighbouring screens, to and fro."""
    recording, cap = data.recording, 32
    screens = np.ascontiguousarray(recording.screens[STEPS // 2 : STEPS // 2 + 2])
    outputs = {
        "indptr": np.zeros(cap + 1, np.int64),
        "indices": np.zeros(cap * 6400, np.uint16),
        "signs": np.zeros(cap * 6400, np.int8),
        "actions": np.zeros(cap, np.uint8),
    }
    step = k.policy_step(screens, recording.actor.table, data.w1, data.w2, **outputs)

    def run() -> None:
        # From 1: step 0 has no screen before it and so nothing to do.
        for t in range(1, cap):
            step(t, 0.5)

    def result() -> tuple[Array, ...]:
        run()
        used = int(outputs["indptr"][cap])
        return (
            outputs["indptr"].copy(), outputs["indices"][:used].copy(),
            outputs["signs"][:used].copy(), outputs["actions"].copy(),
        )  # fmt: skip

    return [Call("policy_step", "step", cap - 1, run, result)]


def _rest(data: Data, k: kernels.Backend) -> list[Call]:
    out = np.empty_like(data.rewards)
    weights, cache = data.w1.copy(), np.zeros_like(data.w1)

    def fresh_update() -> tuple[Array, ...]:
        arrays = data.w1.copy(), np.zeros_like(data.w1)
        k.rmsprop_update(arrays[0], data.gradient, arrays[1])
        return arrays

    return [
        *_statistics(data, k),
        _simple("discount_rewards", "episode", 1, k.discount_rewards, data.rewards, 0.99, out=out),
        _simple("standardize", "episode", 1, k.standardize, data.returns, out=out.copy()),
        Call("rmsprop_update", "update of 1.28M", 1,
             lambda: k.rmsprop_update(weights, data.gradient, cache), fresh_update),
    ]  # fmt: skip


def _statistics(data: Data, k: kernels.Backend) -> list[Call]:
    """Running statistics of the first frames, and of their returns, as one environment."""
    frames, rewards = data.dense[:64], data.rewards[:64, None]
    starts, scaled = np.zeros(rewards.shape, np.uint8), np.empty_like(rewards)
    size = frames.shape[1]

    def state(width: int) -> tuple[Array, Array, Array]:
        return np.zeros(width), np.ones(width), np.full(1, 1e-4)

    moments, going = state(size), (np.zeros(1), *state(1))

    def fresh_moments() -> tuple[Array, ...]:
        fresh = state(size)
        k.update_mean_var(frames, *fresh)
        return fresh

    def fresh_rewards() -> tuple[Array, ...]:
        fresh = (np.zeros(1), *state(1))
        return k.normalize_rewards(rewards, starts, *fresh), *fresh

    mean, var, _ = fresh_moments()
    return [
        Call("update_mean_var", "row of 6400", len(frames),
             lambda: k.update_mean_var(frames, *moments), fresh_moments),
        _simple("normalize_observations", "row of 6400", len(frames), k.normalize_observations,
                frames, mean, var, out=np.empty_like(frames)),
        Call("normalize_rewards", "step", len(rewards),
             lambda: k.normalize_rewards(rewards, starts, *going, out=scaled), fresh_rewards),
    ]  # fmt: skip


KERNELS = (
    "preprocess_frame (palette)", "preprocess_frame (RGB)", "difference_frame",
    "sparse_difference_frame", "max_pool_frames", "grayscale", "resize_area",
    "atari_frame (palette)", "atari_frame (RGB)", "frame_stack_push", "policy_forward",
    "policy_backward", "sparse_policy_forward", "sparse_policy_backward", "policy_step",
    "update_mean_var", "normalize_observations", "normalize_rewards", "discount_rewards",
    "standardize", "rmsprop_update",
)  # fmt: skip


def check(call: Call, wanted: Call) -> None:
    """Raise AssertionError unless a call's results are the oracle's, by the tests' tolerances."""
    results = call.result()
    # A float64 result beside float32 ones was computed from them.
    rtol = max(
        (tolerances.KERNEL[got.dtype] for got in results if got.dtype.kind == "f"), default=None
    )
    for got, want in zip(results, wanted.result(), strict=True):
        if got.dtype.kind == "f":
            tolerances.assert_close(got, want, rtol)
        else:
            tolerances.assert_same(got, want)
