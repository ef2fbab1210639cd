"""The NumPy reference of the cells network's kernels: dense, unpartitioned, in float64.

As in ``oracle``, each function has the name, the arguments and the outputs of the compiled kernel
that it judges and goes another way: frames are made dense, the network and its gradient are matrix
products, the policy is a softmax of two logits, returns are explicit sums.

Notation: N steps of a batch, M of them in a minibatch, B base rows (inputs) and R rows in all,
H units; see ``pyramid`` for rows, parents and scales. The network, for an input x and its mirror
image x':

    h = ReLU(x E + b),  h' = ReLU(x' E + b)
    logits of RIGHT and LEFT: u and -u, u = (h - h') . a;  value: (h + h') . v

so that upside down the two actions exchange and the value stays. ``units`` is (3, H): b, a, v.
Tuples of arrays are those of ``_bundles``: inputs, tree, network, moments, steps.

Sources: Schulman et al., "Proximal Policy Optimization Algorithms" (2017), eq. 7 and 9; Schulman
et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation" (2016), eq. 16;
Kingma and Ba, "Adam" (2015), algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong.oracle import Array, _exact

Arrays = tuple[Array, ...]

FIELD = 160
GROUP = 1  # no units are added up by themselves


def compile_all(dtype: DTypeLike) -> None:
    """Do nothing: there is nothing to compile."""


# --- input --------------------------------------------------------------------------------------


def cell_counts(frame: Array, cell_size: int) -> NDArray[np.float64]:
    """Return the sum over each cell of a square field: (S, S)."""
    side = len(frame) // cell_size
    blocks = _exact(frame).reshape(side, cell_size, side, cell_size)
    return np.asarray(blocks.sum(axis=(1, 3)))


def encode_cells(
    screen: Array, previous: Array, table: Array, cell_size: int, pixel_stride: int, out: Arrays
) -> int:
    """Write the non-zero cells, return their number n.

    indices[:n] u16: S y + x for the frame's, S S more for the difference's; values[:n] int8.
    """
    return encode_channels((screen, previous), table, cell_size, pixel_stride, out)


def encode_channels(
    screens: Sequence[Array], table: Array, cell_size: int, pixel_stride: int, out: Arrays
) -> int:
    """Do the same for a screen and its predecessors.

    Channel 0 is the frame, channel c screen c - 1 less screen c, counted back from the newest.
    """
    field = [s[35 : 35 + FIELD : pixel_stride, :FIELD:pixel_stride] for s in screens]
    frames = [np.take(table, part).astype(np.float64) for part in field]
    channels = [frames[0], *(now - before for now, before in pairwise(frames))]
    flat = np.concatenate([cell_counts(channel, cell_size).ravel() for channel in channels])
    lit = np.flatnonzero(flat)
    for array, found in zip(out, (lit, flat[lit]), strict=True):
        array[: len(lit)] = found
    return len(lit)


def dense_inputs(order: Array, inputs: Arrays, base: int) -> NDArray[np.float64]:
    """Return the inputs of the steps ``order``: (M, B)."""
    indptr, indices, values = inputs
    x = np.zeros((len(order), base))
    for q, t in enumerate(order):
        span = slice(indptr[t], indptr[t + 1])
        np.add.at(x[q], indices[span], _exact(values[span]))
    return x


# --- network ------------------------------------------------------------------------------------


def cells_forward(
    order: Array, inputs: Arrays, network: Arrays, mirror: Array, hidden: Array
) -> None:
    """Write h and h' of the steps ``order``: hidden (M, 2, H)."""
    rows, units = network
    x = dense_inputs(order, inputs, len(rows))
    for k, image in enumerate((x, x[:, mirror])):
        hidden[:, k] = np.maximum(image @ _exact(rows) + _exact(units[0]), 0.0)


def cells_heads(hidden: Array, units: Array, out: Arrays) -> None:
    """Write logit = u - (-u) = 2 (h - h') . a and the value."""
    logit, value = out
    h, image = _exact(hidden[:, 0]), _exact(hidden[:, 1])
    logit[:] = 2.0 * (h @ _exact(units[1]) - image @ _exact(units[1]))
    value[:] = h @ _exact(units[2]) + image @ _exact(units[2])


def cells_backward(
    order: Array, inputs: Arrays, tree: Arrays, hidden: Array, units: Array, upward: Arrays,
    out: Arrays,
) -> None:  # fmt: skip
    """Write the gradient by all weights: (R + 3, H).

    The rows of W come first, then those of ``units``. squares (H,) float64: the sum of its squares,
    unit by unit. Rows that no input has ever reached, ``seen`` 0, have no gradient: the kernels
    leave them alone.
    """
    mirror, parents, scales, seen = tree
    gradient, squares = out
    total = len(seen)
    x = dense_inputs(order, inputs, len(mirror))
    h, a, v = _exact(hidden), *_exact(units[1:])
    du = 2.0 * _exact(upward[0])[:, None, None] * np.array([1.0, -1.0])[:, None]
    dv = _exact(upward[1])[:, None, None]
    dz = (du * a + dv * v) * (h > 0)
    full = np.zeros((total + 3, len(a)))
    full[: len(mirror)] = x.T @ dz[:, 0] + x[:, mirror].T @ dz[:, 1]
    for above, scale in zip(parents, scales, strict=True):
        has = np.flatnonzero(above >= 0)
        np.add.at(full, above[has], scale * full[has])
    full[total:] = dz.sum(axis=(0, 1)), (du * h).sum(axis=(0, 1)), (dv * h).sum(axis=(0, 1))
    gradient[:] = full
    squares[:] = np.square(full).sum(axis=0)


# --- losses -------------------------------------------------------------------------------------


def _log_policy(logit: Array) -> NDArray[np.float64]:
    """Return log softmax of (-logit / 2, logit / 2): (M, 2), LEFT and RIGHT."""
    pair = np.stack([-_exact(logit) / 2, _exact(logit) / 2], axis=1)
    top = pair.max(axis=1, keepdims=True)
    return np.asarray(pair - top - np.log(np.exp(pair - top).sum(axis=1, keepdims=True)))


def ppo_losses(logit: Array, value: Array, steps: Arrays, clip_range: float) -> NDArray[np.float64]:
    """Return the parts of every step's loss, and diagnostics: (5, M).

    r = pi(a) / pi_old(a)
    0  clipped surrogate  -min(r A, clip(r, 1 - c, 1 + c) A)
    1  value loss         (V - R)^2 / 2
    2  entropy            -sum_a pi(a) log pi(a)
    3  approximate KL     (r - 1) - log r
    4  clipped            1 where |r - 1| > c, else 0
    """
    actions, old_logit, advantage, returns = steps
    log_policy, each = _log_policy(logit), np.arange(len(logit))
    log_ratio = log_policy[each, actions] - _log_policy(old_logit)[each, actions]
    ratio, exact = np.exp(log_ratio), _exact(advantage)
    bounded = np.clip(ratio, 1 - clip_range, 1 + clip_range)
    surrogate = np.minimum(ratio * exact, bounded * exact)
    entropy = -(np.exp(log_policy) * log_policy).sum(axis=1)
    error = _exact(value) - _exact(returns)
    return np.stack(
        [-surrogate, error**2 / 2, entropy, ratio - 1 - log_ratio, np.abs(ratio - 1) > clip_range]
    )


def ppo_gradient(
    order: Array, logit: Array, value: Array, steps: Arrays,
    coefficients: tuple[float, float, float], out: Arrays,
) -> None:  # fmt: skip
    """Write the gradient by logits and values, and ``ppo_losses``.

    loss = mean of surrogate + vf_coef value loss - ent_coef entropy. ``order`` picks the steps.
    The policy's part goes through the Jacobian of log softmax, dlog pi_i / du_j = d_ij - pi_j.
    """
    actions, old_logit, advantage, returns = batch = tuple(array[order] for array in steps)
    clip_range, ent_coef, vf_coef = coefficients
    dlogit, dvalue, losses = out
    losses[:] = ppo_losses(logit, value, batch, clip_range)
    each, size = np.arange(len(order)), max(1, len(order))
    exact, log_policy = _exact(advantage), _log_policy(logit)
    pi = np.exp(log_policy)
    ratio = np.exp(log_policy - _log_policy(old_logit))[each, actions]
    # min() takes the clipped arm, which is flat, where that is the lower one.
    flat = np.where(exact > 0, ratio > 1 + clip_range, ratio < 1 - clip_range)
    by_log = ent_coef * pi * (log_policy + 1.0)
    by_log[each, actions] -= np.where(flat, 0.0, exact * ratio)
    # Of two, 1 - pi_i is the other one: so written nothing cancels.
    jacobian = pi[:, ::-1, None] * (2 * np.eye(2) - 1)
    by_pair = np.einsum("mi,mij->mj", by_log, jacobian)
    dlogit[:] = (by_pair[:, 1] - by_pair[:, 0]) / 2 / size
    dvalue[:] = vf_coef * (_exact(value) - _exact(returns)) / size


def td_gradient(heads: Array, target_heads: Array, sample: Arrays, out: Arrays) -> None:
    """Write the gradient by log odds and values, errors and targets.

    From tables of both actions' advantages (-l / 2, l / 2) and values V + advantage: the online
    network picks the action after, the target network says its value.
    """
    actions, rewards, discount = sample
    dlogit, dvalue, parts = out
    each, size = np.arange(len(actions)), max(1, len(actions))
    logit, value = _exact(heads)
    advantage = np.stack([-logit / 2, logit / 2], axis=1)
    best = advantage[len(each) :].argmax(axis=1)
    target_advantage = np.stack([-_exact(target_heads[0]) / 2, _exact(target_heads[0]) / 2], axis=1)
    after = (_exact(target_heads[1])[:, None] + target_advantage)[each, best]
    target = rewards + discount * after
    error = (value[: len(each), None] + advantage[: len(each)])[each, actions] - target
    parts[:] = error, target
    dvalue[:] = error / size
    dlogit[:] = np.array([-0.5, 0.5])[actions] * (error / size)


# --- optimizer ----------------------------------------------------------------------------------


def cells_adam(
    network: Arrays, gradient: Array, moments: Arrays, tree: Arrays, step: int,
    coefficients: tuple[float, ...],
) -> None:  # fmt: skip
    """Take one step of Adam with ``factor`` times the gradient.

        m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
        W = W - rate m / (1 - b1^step) / (sqrt(v / (1 - b2^step)) + epsilon)

    Of W only E = W + sum of scaled parents is kept, in ``rows``, and moves by the same sum of
    steps. Overwrites moments (R + 3, H), rows and units, and gradient by the steps of W.
    """
    rows, units = network
    mean, square = moments
    _, parents, scales, seen = tree
    factor, learning_rate, beta1, beta2, epsilon = coefficients
    g = factor * _exact(gradient)
    m = beta1 * _exact(mean) + (1.0 - beta1) * g
    v = beta2 * _exact(square) + (1.0 - beta2) * np.square(g)
    mean[:], square[:] = m, v
    moved = -learning_rate * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
    by_row = moved[: len(rows)].copy()
    for above, scale in zip(parents, scales, strict=True):
        by_row += scale * np.where(above[:, None] >= 0, moved[above], 0.0)
    gradient[:] = moved
    rows[:] = rows + by_row
    units[:] = units + moved[len(seen) :]


# --- PPO's update -------------------------------------------------------------------------------


class PpoUpdate:
    """Passes over a batch, shares joined: see ``kernels``."""

    def __init__(
        self, shares: Sequence[tuple[Arrays, Arrays, Array, Array]], tree: Arrays,
        inputs: Arrays, steps: Arrays, coefficients: tuple[float, ...],
    ) -> None:  # fmt: skip
        self.shares, self.tree, self.inputs, self.steps = shares, tree, inputs, steps
        self.clip_range, self.vf_coef, self.max_grad_norm, *self.adam = coefficients

    def run(
        self, order: Array, edges: Array, step: int, learning_rate: float, ent_coef: float,
        each: Callable[..., None], metrics: Array,
    ) -> None:  # fmt: skip
        """Take a step of Adam for every minibatch order[edges[k]:edges[k + 1]]."""
        cut = [(*network, *moments) for network, moments, _, _ in self.shares]
        whole = [np.concatenate(arrays, axis=1) for arrays in zip(*cut, strict=True)]
        for k, (start, stop) in enumerate(pairwise(edges)):
            gradient, metrics[k] = self.gradient(order[start:stop], whole, ent_coef)
            norm = float(metrics[k, 5])
            if not math.isfinite(norm):
                break
            factor = min(1.0, self.max_grad_norm / max(norm, 1e-12))
            cells_adam(
                tuple(whole[:2]), gradient, tuple(whole[2:]), self.tree, step + k + 1,
                (factor, learning_rate, *self.adam),
            )  # fmt: skip
        edges = np.cumsum([arrays[0].shape[1] for arrays in cut])[:-1]
        for k, joined in enumerate(whole):
            for arrays, part in zip(cut, np.split(joined, edges, axis=1), strict=True):
                arrays[k][...] = part

    def gradient(
        self, order: Array, whole: Sequence[Array], ent_coef: float
    ) -> tuple[Array, list[float]]:
        """Return a minibatch's gradient, its losses and its norm."""
        rows, units, size, kind = whole[0], whole[1], len(order), whole[0].dtype
        hidden, squares = np.empty((size, 2, units.shape[1]), kind), np.empty(units.shape[1])
        gradient, losses = np.zeros_like(whole[2]), np.empty((5, size))
        logit, value, dlogit, dvalue = np.empty((4, size), kind)
        cells_forward(order, self.inputs, (rows, units), self.tree[0], hidden)
        cells_heads(hidden, units, (logit, value))
        coefficients = self.clip_range, ent_coef, self.vf_coef
        ppo_gradient(order, logit, value, self.steps, coefficients, (dlogit, dvalue, losses))
        cells_backward(
            order, self.inputs, self.tree, hidden, units, (dlogit, dvalue), (gradient, squares)
        )
        return gradient, [*losses.mean(axis=1).tolist(), math.sqrt(np.add.accumulate(squares)[-1])]


# --- advantages ---------------------------------------------------------------------------------


def gae(
    rewards: Array,
    values: Array,
    dones: Array,
    last_value: Array,
    gamma: float,
    lambda_: float,
    out: Array,
) -> None:
    """Write generalised advantage estimates: (T, N) each, last_value (N,).

    delta_t = r_t + gamma (1 - done_t) V_{t+1} - V_t,   V_T = last_value
    A_t = sum_{k >= t} (gamma lambda)^{k - t} (product of (1 - done_j), t <= j < k) delta_k
    """
    r, v, going = _exact(rewards), _exact(values), 1.0 - (np.asarray(dones) != 0)
    after = np.concatenate([v[1:], _exact(last_value)[None]]) if len(v) else v
    delta = r + gamma * going * after - v
    for t in range(len(r)):
        reach = np.ones(r.shape[1:])
        total = np.zeros(r.shape[1:])
        for k in range(t, len(r)):
            total += (gamma * lambda_) ** (k - t) * reach * delta[k]
            reach = reach * going[k]
        out[t] = total


# --- a worker's step ----------------------------------------------------------------------------


class CellsStep:
    """Play one step of a rollout: encode, forward, choose."""

    def __init__(
        self, screens: Array, table: Array, geometry: tuple[int, int, int], network: Arrays,
        mirror: Array, scratch: Array, inputs: Arrays, record: Arrays,
    ) -> None:  # fmt: skip
        self.screens, self.table = screens, table
        self.cell_size, self.pixel_stride, self.spread = geometry
        self.network, self.mirror, self.hidden = network, mirror, scratch
        self.inputs, self.record = inputs, record

    def __call__(self, t: int, uniform: float, fresh: bool, last_action: int) -> int:
        """Record step t, return 1 (RIGHT), 0 (LEFT), or -1: no room.

        fresh : the first step of an episode, which has no frame before it
        """
        indptr, indices, values = self.inputs
        actions, logits, estimates = self.record
        possible = 0 <= t < len(actions) and last_action <= 1
        start = int(indptr[t]) if possible else -1
        if start < 0 or start + len(self.mirror) > len(indices):
            return -1
        cells = (FIELD // self.pixel_stride // self.cell_size) ** 2
        channels = len(self.mirror) // cells
        ages = [0 if fresh else age * self.spread for age in range(channels)]
        end = start + encode_channels(
            [self.screens[(t - age) % len(self.screens)] for age in ages], self.table,
            self.cell_size, self.pixel_stride, (indices[start:], values[start:]),
        )  # fmt: skip
        places = channels * cells
        if last_action >= 0 and len(self.mirror) > places:
            indices[end], values[end] = places + last_action, 1
            end += 1
        indptr[t + 1] = end
        cells_forward(np.array([t]), self.inputs, self.network, self.mirror, self.hidden)
        cells_heads(self.hidden, self.network[1], (logits[t : t + 1], estimates[t : t + 1]))
        actions[t] = uniform < np.exp(_log_policy(logits[t : t + 1])[0, 1])
        return int(actions[t])
