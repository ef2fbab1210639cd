"""Kernels of the cells network compiled by Numba: names and order of ``fastpong.oracle_ppo``.

Raw, and compiled and kept on disk as in ``_kernels_numba``. The algorithm is that of
``_kernels_ppo.pyx``, which explains it: sparse sums of rows, the rows' steps made of their own and
their parents'. np.float64() and not float(), which leaves a float32 what it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numba import types
from numpy.typing import DTypeLike, NDArray

from fastpong._kernels_numba import (
    F64,
    I8,
    I64,
    SPARSE,
    TOP,
    U8,
    U16,
    _helper,
    _in,
    _kernel,
    _out,
    _sigmoid,
)  # fmt: skip

# Of any type: compiled code has them from signatures.
Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = tuple[Array, ...]

I32 = types.int32
GROUP = 1  # no units are added up by themselves: an update joins all shares
FIELD = 160
TINY = 1e-35  # as in _kernels_ppo.pyx


def _pack(*kinds: object) -> object:
    """Return the type of a tuple."""
    return types.Tuple(kinds)


CSR = _pack(*SPARSE)


def _network(F: object) -> object:
    """Return the type of rows and units."""
    return _pack(_in(F, 2), _in(F, 2))


# --- input --------------------------------------------------------------------------------------


@_helper
def _encode_channel(
    screen: Array, previous: Array, table: Array, cell_size: int, pixel_stride: int, channel: int,
    out: Arrays, n: int,
) -> int:  # fmt: skip
    """Write the non-zero cells of a channel from n on; return the position after them.

    Channel 0 is the frame, all others are differences.
    """
    indices, values = out
    side = FIELD // pixel_stride // cell_size
    for y in range(side):
        for x in range(side):
            count = 0
            for r in range(cell_size):
                row = TOP + pixel_stride * (y * cell_size + r)
                for c in range(cell_size):
                    column = pixel_stride * (x * cell_size + c)
                    count += table[screen[row, column]]
                    if channel > 0:
                        count -= table[previous[row, column]]
            if count != 0:
                indices[n], values[n] = (channel * side + y) * side + x, count
                n += 1
    return n


@_kernel(
    0,
    lambda F: types.int64(
        _in(U8, 2), _in(U8, 2), _in(U8, 1), I64, I64, _pack(_out(U16, 1), _out(I8, 1))
    ),
)
def encode_cells(
    screen: Array, previous: Array, table: Array, cell_size: int, pixel_stride: int, out: Arrays
) -> int:
    """Write the non-zero cells, return their number."""
    n = _encode_channel(screen, previous, table, cell_size, pixel_stride, 0, out, 0)
    return int(_encode_channel(screen, previous, table, cell_size, pixel_stride, 1, out, n))


# --- network ------------------------------------------------------------------------------------


@_helper
def _one_forward(inputs: Arrays, t: int, network: Arrays, mirror: Array, hidden: Array) -> None:
    """Write relu(b + sum of value * row), upright and mirrored: (2, H)."""
    indptr, indices, values = inputs
    rows, units = network
    zero, size = rows.dtype.type(0), units.shape[1]
    for j in range(size):
        hidden[0, j] = hidden[1, j] = units[0, j]
    for i in range(indptr[t], indptr[t + 1]):
        d, value = indices[i], rows.dtype.type(values[i])
        e = mirror[d]
        for j in range(size):
            hidden[0, j] += value * rows[d, j]
        for j in range(size):
            hidden[1, j] += value * rows[e, j]
    for k in range(2):
        for j in range(size):
            hidden[k, j] = zero if hidden[k, j] < 0 else hidden[k, j]


@_kernel(4, lambda F: (_in(I64, 1), CSR, _network(F), _in(I32, 1), _out(F, 3)))
def cells_forward(
    order: Array, inputs: Arrays, network: Arrays, mirror: Array, hidden: Array
) -> None:
    """Write the hidden layer, upright and mirrored: (M, 2, H)."""
    for q in range(len(order)):
        _one_forward(inputs, order[q], network, mirror, hidden[q])


@_helper
def _one_heads(hidden: Array, units: Array) -> tuple[float, float]:
    """Return log odds and value of one step, in interleaved sums."""
    zero = units.dtype.type(0)
    a0, a1, a2, a3 = zero, zero, zero, zero
    v0, v1, v2, v3 = zero, zero, zero, zero
    size = units.shape[1]
    for j in range(0, size - 3, 4):
        a0 += (hidden[0, j] - hidden[1, j]) * units[1, j]
        a1 += (hidden[0, j + 1] - hidden[1, j + 1]) * units[1, j + 1]
        a2 += (hidden[0, j + 2] - hidden[1, j + 2]) * units[1, j + 2]
        a3 += (hidden[0, j + 3] - hidden[1, j + 3]) * units[1, j + 3]
        v0 += (hidden[0, j] + hidden[1, j]) * units[2, j]
        v1 += (hidden[0, j + 1] + hidden[1, j + 1]) * units[2, j + 1]
        v2 += (hidden[0, j + 2] + hidden[1, j + 2]) * units[2, j + 2]
        v3 += (hidden[0, j + 3] + hidden[1, j + 3]) * units[2, j + 3]
    for j in range(size - size % 4, size):
        a0 += (hidden[0, j] - hidden[1, j]) * units[1, j]
        v0 += (hidden[0, j] + hidden[1, j]) * units[2, j]
    total = (a0 + a1) + (a2 + a3)
    return total + total, (v0 + v1) + (v2 + v3)


@_kernel(0, lambda F: (_in(F, 3), _in(F, 2), _pack(_out(F, 1), _out(F, 1))))
def cells_heads(hidden: Array, units: Array, out: Arrays) -> None:
    """Write log odds of RIGHT and value."""
    logit, value = out
    for q in range(len(logit)):
        logit[q], value[q] = _one_heads(hidden[q], units)


@_helper
def _one_backward(
    inputs: Arrays, t: int, mirror: Array, hidden: Array, units: Array, du: float, dv: float,
    gradient: Array,
) -> None:  # fmt: skip
    """Add one step's gradient into rows and units."""
    indptr, indices, values = inputs
    own, size, kind = len(gradient) - 3, units.shape[1], units.dtype.type
    for j in range(size):
        h, g = hidden[0, j], hidden[1, j]
        up = (dv * units[2, j] + du * units[1, j]) * kind(h > 0)
        down = (dv * units[2, j] - du * units[1, j]) * kind(g > 0)
        gradient[own, j] += up + down
        gradient[own + 1, j] += du * (h - g)
        gradient[own + 2, j] += dv * (h + g)
    for i in range(indptr[t], indptr[t + 1]):
        d, value = indices[i], kind(values[i])
        e = mirror[d]
        for j in range(size):
            up = (dv * units[2, j] + du * units[1, j]) * kind(hidden[0, j] > 0)
            gradient[d, j] += value * up
        for j in range(size):
            down = (dv * units[2, j] - du * units[1, j]) * kind(hidden[1, j] > 0)
            gradient[e, j] += value * down


TREE = _pack(_in(I32, 1), _in(I32, 2), _in(F64, 1), _in(U8, 1))


@_kernel(
    3,
    lambda F: (
        *(_in(I64, 1), CSR, TREE, _in(F, 3), _in(F, 2)),
        *(_pack(_in(F, 1), _in(F, 1)), _pack(_out(F, 2), _out(F64, 1))),
    ),
)
def cells_backward(
    order: Array, inputs: Arrays, tree: Arrays, hidden: Array, units: Array, upward: Arrays,
    out: Arrays,
) -> None:  # fmt: skip
    """Write the gradient by all weights, and its squares' sums."""
    mirror, parents, scales, seen = tree
    dlogit, dvalue = upward
    gradient, squares = out
    own, kind, size = len(seen), units.dtype.type, units.shape[1]
    for r in range(own + 3):
        if r >= own or seen[r]:
            gradient[r] = 0
    for q in range(len(order)):
        _one_backward(
            inputs, order[q], mirror, hidden[q], units, dlogit[q] + dlogit[q], dvalue[q], gradient
        )
    for k in range(len(scales)):
        scale = kind(scales[k])
        for r in range(parents.shape[1]):
            above = parents[k, r]
            if seen[r] and above >= 0:
                for j in range(size):
                    gradient[above, j] += scale * gradient[r, j]
    squares[:] = 0
    for r in range(own + 3):
        if r >= own or seen[r]:
            for j in range(size):
                squares[j] += np.float64(gradient[r, j]) * np.float64(gradient[r, j])


# --- losses -------------------------------------------------------------------------------------


@_helper
def _softplus(x: float) -> float:
    """Return log(1 + e^x), without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@_kernel(
    1,
    lambda F: (
        *(_in(I64, 1), _in(F, 1), _in(F, 1)),
        _pack(_in(U8, 1), _in(F, 1), _in(F, 1), _in(F, 1)),
        *(_pack(F64, F64, F64), _pack(_out(F, 1), _out(F, 1), _out(F64, 2))),
    ),
)
def ppo_gradient(
    order: Array, logit: Array, value: Array, steps: Arrays,
    coefficients: tuple[float, float, float], out: Arrays,
) -> None:  # fmt: skip
    """Write the gradient by logits and values, and every loss."""
    actions, old_logit, advantage, returns = steps
    clip, ent_coef, vf_coef = coefficients
    dlogit, dvalue, losses = out
    size = len(order)
    for q in range(size):
        t = order[q]
        sign = 1.0 if actions[t] else -1.0
        odds, gain = np.float64(logit[q]), np.float64(advantage[t])
        log_ratio = _softplus(-sign * np.float64(old_logit[t])) - _softplus(-sign * odds)
        ratio = math.exp(log_ratio)
        right, left = math.exp(-_softplus(-odds)), math.exp(-_softplus(odds))
        slope: float = -gain * ratio * sign * (left if actions[t] else right)
        if (gain > 0 and ratio > 1 + clip) or (gain <= 0 and ratio < 1 - clip):
            slope = 0.0
        slope += ent_coef * right * left * odds
        error = np.float64(value[q]) - np.float64(returns[t])
        dlogit[q], dvalue[q] = slope / size, vf_coef * error / size
        losses[0, q] = -min(ratio * gain, min(max(ratio, 1 - clip), 1 + clip) * gain)
        losses[1, q] = error * error / 2
        losses[2, q] = right * _softplus(-odds) + left * _softplus(odds)
        losses[3, q] = ratio - 1 - log_ratio
        losses[4, q] = 1.0 if abs(ratio - 1) > clip else 0.0


@_kernel(
    0,
    lambda F: (
        *(_in(F, 2), _in(F, 2), _pack(_in(U8, 1), _in(F64, 1), _in(F64, 1))),
        _pack(_out(F, 1), _out(F, 1), _out(F64, 2)),
    ),
)
def td_gradient(heads: Array, target_heads: Array, sample: Arrays, out: Arrays) -> None:
    """Write the gradient by log odds and values, errors and targets."""
    actions, rewards, discount = sample
    dlogit, dvalue, parts = out
    size = len(actions)
    for q in range(size):
        sign = 0.5 if actions[q] else -0.5
        better = 0.5 if heads[0, size + q] > 0 else -0.5
        after = np.float64(target_heads[1, q]) + better * np.float64(target_heads[0, q])
        target = rewards[q] + discount[q] * after
        error = np.float64(heads[1, q]) + sign * np.float64(heads[0, q]) - target
        slope = error / size
        dlogit[q], dvalue[q] = sign * slope, slope
        parts[0, q], parts[1, q] = error, target


# --- optimizer ----------------------------------------------------------------------------------


@_helper
def _moments(
    gradient: Array, mean: Array, square: Array, seen: Array, step: int,
    coefficients: tuple[float, ...],
) -> None:  # fmt: skip
    """Write the moments, and the steps in place of the gradient."""
    factor, learning_rate, beta1, beta2, epsilon = coefficients
    kind = gradient.dtype.type
    zero, tiny, by, small = kind(0), kind(TINY), kind(factor), kind(epsilon)
    keep1, take1, keep2, take2 = kind(beta1), kind(1 - beta1), kind(beta2), kind(1 - beta2)
    rate = kind(learning_rate / (1 - beta1 ** float(step)))
    root_scale = kind(1 / math.sqrt(1 - beta2 ** float(step)))
    for r in range(len(seen) + 3):
        if r >= len(seen) or seen[r]:
            for j in range(gradient.shape[1]):
                g = by * gradient[r, j]
                m = keep1 * mean[r, j] + take1 * g
                v = keep2 * square[r, j] + take2 * g * g
                m = m if m > tiny or m < -tiny else zero
                v = v if v > tiny else zero
                mean[r, j], square[r, j] = m, v
                gradient[r, j] = -rate * m / (root_scale * math.sqrt(v) + small)


@_kernel(
    1,
    lambda F: (
        *(_pack(_out(F, 2), _out(F, 2)), _out(F, 2), _pack(_out(F, 2), _out(F, 2)), TREE, I64),
        _pack(F64, F64, F64, F64, F64),
    ),
)
def cells_adam(
    network: Arrays, gradient: Array, moments: Arrays, tree: Arrays, step: int,
    coefficients: tuple[float, ...],
) -> None:  # fmt: skip
    """Take one step of Adam with ``factor`` times the gradient."""
    rows, units = network
    mean, square = moments
    _, parents, scales, seen = tree
    kind, size = rows.dtype.type, rows.shape[1]
    _moments(gradient, mean, square, seen, step, coefficients)
    for r in range(len(rows)):
        if seen[r]:
            for j in range(size):
                rows[r, j] += gradient[r, j]
        for k in range(len(scales)):
            above = parents[k, r]
            if above >= 0 and seen[above]:
                scale = kind(scales[k])
                for j in range(size):
                    rows[r, j] += scale * gradient[above, j]
    for r in range(3):
        for j in range(size):
            units[r, j] += gradient[len(seen) + r, j]


# --- PPO's update -------------------------------------------------------------------------------


class PpoUpdate:
    """Passes over a batch, by the kernels above on one thread; see ``kernels``.

    Heads add up all units in one go, whatever the shares: these are joined, and cut again.
    """

    def __init__(
        self, shares: Sequence[tuple[Any, ...]], tree: Arrays, inputs: Arrays, steps: Arrays,
        coefficients: tuple[float, ...],
    ) -> None:  # fmt: skip
        self._shares, self._tree, self._inputs, self._steps = shares, tree, inputs, steps
        self._clip_range, self._vf_coef, self._max_grad_norm, *self._adam = coefficients

    def run(
        self, order: Array, edges: Array, step: int, learning_rate: float, ent_coef: float,
        each: Callable[..., None], metrics: Array,
    ) -> None:  # fmt: skip
        """Take a step of Adam for every minibatch order[edges[k]:edges[k + 1]]."""
        cut = [(*network, *moments) for network, moments, _, _ in self._shares]
        whole = [np.concatenate(arrays, axis=1) for arrays in zip(*cut, strict=True)]
        gradient = np.concatenate([share[2] for share in self._shares], axis=1)
        weights = self._clip_range, ent_coef, self._vf_coef
        for k in range(len(edges) - 1):
            part = order[edges[k] : edges[k + 1]]
            metrics[k] = self._gradient(part, whole, gradient, weights)
            norm = float(metrics[k, 5])
            if not math.isfinite(norm):
                break
            factor = min(1.0, self._max_grad_norm / max(norm, 1e-12))
            cells_adam(
                tuple(whole[:2]), gradient, tuple(whole[2:]), self._tree, step + k + 1,
                (factor, learning_rate, *self._adam),
            )  # fmt: skip
        first = 0
        for arrays in cut:
            last = first + arrays[0].shape[1]
            for mine, joined in zip(arrays, whole, strict=True):
                mine[...] = joined[:, first:last]
            first = last

    def _gradient(
        self, order: Array, whole: Sequence[Array], gradient: Array, weights: tuple[float, ...]
    ) -> list[float]:
        """Write the gradient, return the losses and its norm."""
        rows, units, size, kind = whole[0], whole[1], len(order), gradient.dtype
        hidden, squares = np.empty((size, 2, units.shape[1]), kind), np.empty(units.shape[1])
        logit, value, dlogit, dvalue = np.empty((4, size), kind)
        losses = np.empty((5, size))
        cells_forward(order, self._inputs, (rows, units), self._tree[0], hidden)
        cells_heads(hidden, units, (logit, value))
        ppo_gradient(order, logit, value, self._steps, weights, (dlogit, dvalue, losses))
        cells_backward(
            order, self._inputs, self._tree, hidden, units, (dlogit, dvalue), (gradient, squares)
        )
        return [*losses.mean(axis=1).tolist(), math.sqrt(np.add.accumulate(squares)[-1])]


# --- advantages ---------------------------------------------------------------------------------


@_kernel(0, lambda F: (_in(F, 2), _in(F, 2), _in(U8, 2), _in(F, 1), F64, F64, _out(F, 2)))
def gae(
    rewards: Array, values: Array, dones: Array, last_value: Array, gamma: float, lambda_: float,
    out: Array,
) -> None:  # fmt: skip
    """Write A_t = delta_t + gamma lambda (1 - done_t) A_{t+1}, column by column."""
    for n in range(rewards.shape[1]):
        carried: float = 0.0
        after: float = np.float64(last_value[n])
        for t in range(len(rewards) - 1, -1, -1):
            if dones[t, n]:
                carried = after = 0.0
            value = np.float64(values[t, n])
            carried = np.float64(rewards[t, n]) + gamma * after - value + gamma * lambda_ * carried
            after = value
            out[t, n] = carried


# --- a worker's step ----------------------------------------------------------------------------


@_kernel(
    5,
    lambda F: types.int64(
        *(_in(U8, 3), _in(U8, 1), _pack(I64, I64, I64), _network(F), _in(I32, 1), _out(F, 3)),
        _pack(_out(I64, 1), _out(U16, 1), _out(I8, 1)),
        _pack(_out(U8, 1), _out(F, 1), _out(F, 1)),
        *(I64, F64, types.boolean, I64),
    ),
)
def _cells_step(
    screens: Array, table: Array, geometry: tuple[int, int, int], network: Arrays, mirror: Array,
    hidden: Array, inputs: Arrays, record: Arrays, t: int, uniform: float, fresh: bool,
    last_action: int,
) -> int:  # fmt: skip
    """Encode, forward, choose: see ``CellsStep``."""
    cell_size, pixel_stride, spread = geometry
    indptr, indices, values = inputs
    actions, logits, estimates = record
    if t < 0 or t >= len(actions) or last_action > 1:
        return -1
    kept, cells, base = len(screens), (FIELD // pixel_stride // cell_size) ** 2, len(mirror)
    channels = base // cells
    start, places = indptr[t], channels * cells
    if start < 0 or start > len(indices) - base:  # this way round nothing overflows
        return -1
    end = start
    for channel in range(1 if fresh else channels):
        now = screens[(t - max(0, channel - 1) * spread) % kept]
        before = screens[(t - channel * spread) % kept]
        end = _encode_channel(
            now, before, table, cell_size, pixel_stride, channel, (indices, values), end
        )
    if last_action >= 0 and base > places:
        indices[end], values[end] = places + last_action, 1
        end += 1
    indptr[t + 1] = end
    _one_forward(inputs, t, network, mirror, hidden[0])
    logits[t], estimates[t] = _one_heads(hidden[0], network[1])
    actions[t] = 1 if uniform < _sigmoid(np.float64(logits[t])) else 0
    return int(actions[t])


class CellsStep:
    """Play one step of a rollout: encode, forward, choose."""

    __slots__ = ("_buffers", "_step")

    def __init__(
        self, screens: Array, table: Array, geometry: tuple[int, int, int], network: Arrays,
        mirror: Array, scratch: Array, inputs: Arrays, record: Arrays,
    ) -> None:  # fmt: skip
        buffers = (screens, table, geometry, network, mirror, scratch, inputs, record)
        _cells_step(*buffers, -1, 0.0, False, -1)
        self._buffers, self._step = buffers, _cells_step.compile(scratch.dtype)

    def __call__(self, t: int, uniform: float, fresh: bool, last_action: int) -> int:
        """Record step t, return 1 (RIGHT), 0 (LEFT), or -1: no room."""
        return self._step(*self._buffers, t, uniform, fresh, last_action)  # type: ignore[no-any-return]


TRAINING = (
    _cells_step,
    cells_forward,
    cells_heads,
    ppo_gradient,
    td_gradient,
    cells_backward,
    cells_adam,
    gae,
)


def compile_all(dtype: DTypeLike) -> None:
    """Compile, or load, what training in ``dtype`` calls."""
    for kernel in TRAINING:
        kernel.compile(dtype)
