"""Losses and their gradients, by way of Jacobians."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Array, Tuple
from fastpong.oracle.arrays import to_float64

# Keras keeps probabilities this far from 0 and 1 in the cross-entropy.
CLIP = 1e-7


def softmax(logits: Array, out: Array) -> None:
    """Write p_i = 1 / sum_j exp(l_j - l_i)."""
    exact = to_float64(logits)
    with np.errstate(over="ignore"):
        out[:] = 1.0 / np.exp(exact[:, None, :] - exact[:, :, None]).sum(axis=2)


def soft_targets(
    probability: Array, actions: Array, advantage: Array, step: float
) -> NDArray[np.float64]:
    """Return p + step (one-hot(action) - p) advantage."""
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
    """Write every loss, and its gradient for fixed targets.

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


def ppo_losses(logit: Array, value: Array, steps: Tuple, clip_range: float) -> NDArray[np.float64]:
    """Return the parts of every step's loss, and diagnostics: (5, M).

    r = pi(a) / pi_old(a)
    0  clipped surrogate  -min(r A, clip(r, 1 - c, 1 + c) A)
    1  value loss         (V - R)^2 / 2
    2  entropy            -sum_a pi(a) log pi(a)
    3  approximate KL     (r - 1) - log r
    4  clipped            1 where |r - 1| > c, else 0
    """
    actions, old_logit, advantage, returns = steps
    log_policy, each = log_probabilities(logit), np.arange(len(logit))
    log_ratio = log_policy[each, actions] - log_probabilities(old_logit)[each, actions]
    ratio, exact = np.exp(log_ratio), to_float64(advantage)
    bounded = np.clip(ratio, 1 - clip_range, 1 + clip_range)
    surrogate = np.minimum(ratio * exact, bounded * exact)
    entropy = -(np.exp(log_policy) * log_policy).sum(axis=1)
    error = to_float64(value) - to_float64(returns)
    return np.stack(
        [-surrogate, error**2 / 2, entropy, ratio - 1 - log_ratio, np.abs(ratio - 1) > clip_range]
    )


def ppo_gradient(
    order: Array, logit: Array, value: Array, steps: Tuple,
    coefficients: tuple[float, float, float], out: Tuple,
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
    exact, log_policy = to_float64(advantage), log_probabilities(logit)
    pi = np.exp(log_policy)
    ratio = np.exp(log_policy - log_probabilities(old_logit))[each, actions]
    # min() takes the clipped arm, which is flat, where that is the lower one.
    flat = np.where(exact > 0, ratio > 1 + clip_range, ratio < 1 - clip_range)
    by_log = ent_coef * pi * (log_policy + 1.0)
    by_log[each, actions] -= np.where(flat, 0.0, exact * ratio)
    # Of two, 1 - pi_i is the other one: so written nothing cancels.
    jacobian = pi[:, ::-1, None] * (2 * np.eye(2) - 1)
    by_pair = np.einsum("mi,mij->mj", by_log, jacobian)
    dlogit[:] = (by_pair[:, 1] - by_pair[:, 0]) / 2 / size
    dvalue[:] = vf_coef * (to_float64(value) - to_float64(returns)) / size


def _table(heads: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return advantages (-l / 2, l / 2) and values of all steps: (M, 2), (M, 1)."""
    logit, value = to_float64(heads)
    return np.stack([-logit / 2, logit / 2], axis=1), value[:, None]


def td_gradient(heads: Array, target_heads: Array, sample: Tuple, out: Tuple) -> None:
    """Write the gradient by log odds and values, errors and targets.

    From tables of both actions' advantages (-l / 2, l / 2) and values V + advantage: the online
    network picks the action after, the target network says its value.
    """
    actions, rewards, discount = sample
    dlogit, dvalue, parts = out
    each, size = np.arange(len(actions)), max(1, len(actions))
    advantage, value = _table(heads)
    target_advantage, target_value = _table(target_heads)
    best = advantage[len(each) :].argmax(axis=1)
    target = rewards + discount * (target_value + target_advantage)[each, best]
    error = (value + advantage)[each, actions] - target
    parts[:] = error, target
    dvalue[:] = error / size
    dlogit[:] = np.array([-0.5, 0.5])[actions] * (error / size)
