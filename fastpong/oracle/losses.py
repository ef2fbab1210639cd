"""Losses and their gradients, by way of Jacobians."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Array
from fastpong.oracle.arrays import to_float64

# Keras keeps probabilities this far from 0 and 1 in the cross-entropy.
CLIP = 1e-7


def softmax(logits: Array, out: Array) -> None:
    """Write p_i = 1 / sum_j exp(l_j - l_i): (T, A) -> (T, A)."""
    exact = to_float64(logits)
    with np.errstate(over="ignore"):
        out[:] = 1.0 / np.exp(exact[:, None, :] - exact[:, :, None]).sum(axis=2)


def soft_targets(
    probability: Array, actions: Array, advantage: Array, step: float
) -> NDArray[np.float64]:
    """Return Y = p + step (one-hot(action) - p) advantage: (T, A)."""
    exact = to_float64(probability)
    chosen = np.eye(exact.shape[1])[actions]
    return np.asarray(exact + step * (chosen - exact) * to_float64(advantage)[:, None])


def cross_entropy(targets: Array, probability: Array) -> NDArray[np.float64]:
    """Return -sum_i Y_ti log(clip(p_ti)) of every step: (T,)."""
    clipped = np.clip(to_float64(probability), CLIP, 1 - CLIP)
    return np.asarray(-np.sum(to_float64(targets) * np.log(clipped), axis=1))


def cross_entropy_gradient(
    probability: Array, actions: Array, advantage: Array, step: float, dlogit: Array, loss: Array
) -> None:
    """Write the loss of every step, and its gradient by the logits for fixed targets.

    Through the Jacobian of the softmax, dp_i/dl_j = p_i (delta_ij - p_j), and that of the clipped
    logarithm, 1 / p_i between the bounds and 0 beyond them.
    """
    p = to_float64(probability)
    targets = soft_targets(p, actions, advantage, step)
    inside = (p >= CLIP) & (p <= 1 - CLIP)
    slope = -targets * inside / np.where(inside, p, 1.0)
    jacobian = p[:, :, None] * (np.eye(p.shape[1]) - p[:, None, :])
    dlogit[:] = np.einsum("ti,tij->tj", slope, jacobian)
    loss[:] = cross_entropy(targets, p)


def log_probabilities(logit: Array) -> NDArray[np.float64]:
    """Return log softmax of (-logit / 2, logit / 2): (M, 2), LEFT and RIGHT."""
    pair = np.stack([-to_float64(logit) / 2, to_float64(logit) / 2], axis=1)
    top = pair.max(axis=1, keepdims=True)
    return np.asarray(pair - top - np.log(np.exp(pair - top).sum(axis=1, keepdims=True)))


def ppo_losses(
    logit: Array, estimate: Array, actions: Array, old_logit: Array, advantage: Array, returns:
    Array, clip: float,
) -> NDArray[np.float64]:  # fmt: skip
    """Return, decision by decision, what the loss is made of, and diagnostics: (5, M).

    r = pi(a) / pi_old(a)
    0  clipped surrogate  -min(r A, clip(r, 1 - c, 1 + c) A)
    1  value loss         (V - R)^2 / 2
    2  entropy            -sum_a pi(a) log pi(a)
    3  approximate KL     (r - 1) - log r
    4  clipped            1 where |r - 1| > c, else 0
    """
    log_policy, chosen = log_probabilities(logit), np.arange(len(logit))
    log_ratio = log_policy[chosen, actions] - log_probabilities(old_logit)[chosen, actions]
    ratio, exact = np.exp(log_ratio), to_float64(advantage)
    surrogate = np.minimum(ratio * exact, np.clip(ratio, 1 - clip, 1 + clip) * exact)
    entropy = -(np.exp(log_policy) * log_policy).sum(axis=1)
    error = to_float64(estimate) - to_float64(returns)
    return np.stack(
        [-surrogate, error**2 / 2, entropy, ratio - 1 - log_ratio, np.abs(ratio - 1) > clip]
    )


def ppo_gradient(
    order: Array, logit: Array, estimate: Array, actions: Array, old_logit: Array, advantage: Array,
    returns: Array, weights: tuple[float, float, float], dlogit: Array, dvalue: Array, losses:
    Array,
) -> None:  # fmt: skip
    """Write the gradient of the mean loss by logits and values, and ``ppo_losses``.

    loss = mean of surrogate + value_weight value loss - entropy_weight entropy. ``order`` picks the
    decisions from the batch's actions, old_logit, advantage, returns; the rest is (M,).
    The policy's part goes through the Jacobian of log softmax, dlog pi_i / du_j = d_ij - pi_j.
    """
    clip, entropy_weight, value_weight = weights
    batch = (actions[order], old_logit[order], advantage[order], returns[order])
    losses[:] = ppo_losses(logit, estimate, *batch, clip)
    chosen, size = np.arange(len(order)), max(1, len(order))
    exact, log_policy = to_float64(batch[2]), log_probabilities(logit)
    pi = np.exp(log_policy)
    ratio = np.exp(log_policy - log_probabilities(batch[1]))[chosen, batch[0]]
    # min() takes the clipped arm, which is flat, where that is the lower one.
    flat = np.where(exact > 0, ratio > 1 + clip, ratio < 1 - clip)
    by_log = entropy_weight * pi * (log_policy + 1.0)
    by_log[chosen, batch[0]] -= np.where(flat, 0.0, exact * ratio)
    # Of two, 1 - pi_i is the other one: so written nothing cancels.
    jacobian = pi[:, ::-1, None] * (2 * np.eye(2) - 1)
    by_pair = np.einsum("mi,mij->mj", by_log, jacobian)
    dlogit[:] = (by_pair[:, 1] - by_pair[:, 0]) / 2 / size
    dvalue[:] = value_weight * (to_float64(estimate) - to_float64(batch[3])) / size
