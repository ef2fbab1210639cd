"""Losses and the softmax, compiled by Numba."""

from __future__ import annotations

import math

import numpy as np

from fastpong.arrays import Array, Tuple
from fastpong.kernels.numba.cache import F64, I64, U8, helper, kernel, pack, reads, writes

CLIP = 1e-7


@helper
def row_softmax(logits: Array, out: Array) -> None:
    """Write the softmax of one row."""
    top, total = -math.inf, 0.0
    for i in range(len(logits)):
        top = max(top, float(logits[i]))
    for i in range(len(logits)):
        total += math.exp(float(logits[i]) - top)
    for i in range(len(logits)):
        out[i] = math.exp(float(logits[i]) - top) / total


@kernel(0, lambda F: (reads(F, 2), writes(F, 2)))
def softmax(logits: Array, out: Array) -> None:
    """Write the softmax of every row."""
    for t in range(len(logits)):
        row_softmax(logits[t], out[t])


@kernel(0, lambda F: (reads(F, 2), reads(U8, 1), reads(F, 1), F64, writes(F, 2), writes(F, 1)))
def cross_entropy_gradient(
    probability: Array, actions: Array, advantage: Array, step: float, dlogit: Array, loss: Array
) -> None:
    """Write the cross-entropy and its gradient.

    Where nothing is clipped the targets' sum is 1 and p S - Y is step A (p - onehot): written
    so, because the difference would cancel in all but its last three digits.
    """
    for t in range(len(probability)):
        scale, total, entropy, inside = step * float(advantage[t]), 0.0, 0.0, True
        for j in range(probability.shape[1]):
            p = float(probability[t, j])
            target = p + scale * ((1.0 if j == actions[t] else 0.0) - p)
            if CLIP <= p <= 1 - CLIP:
                total += target
            else:
                inside = False
            entropy -= target * math.log(min(max(p, CLIP), 1 - CLIP))
        loss[t] = entropy
        for j in range(probability.shape[1]):
            p, chosen = float(probability[t, j]), (1.0 if j == actions[t] else 0.0)
            if inside:
                dlogit[t, j] = scale * (p - chosen)
            else:
                target = p + scale * (chosen - p) if CLIP <= p <= 1 - CLIP else 0.0
                dlogit[t, j] = p * total - target


@helper
def softplus(x: float) -> float:
    """Return log(1 + e^x), without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@kernel(
    1,
    lambda F: (
        *(reads(I64, 1), reads(F, 1), reads(F, 1)),
        pack(reads(U8, 1), reads(F, 1), reads(F, 1), reads(F, 1)),
        *(pack(F64, F64, F64), pack(writes(F, 1), writes(F, 1), writes(F64, 2))),
    ),
)
def ppo_gradient(
    order: Array, logit: Array, value: Array, steps: Tuple,
    coefficients: tuple[float, float, float], out: Tuple,
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
        log_ratio = softplus(-sign * np.float64(old_logit[t])) - softplus(-sign * odds)
        ratio = math.exp(log_ratio)
        right, left = math.exp(-softplus(-odds)), math.exp(-softplus(odds))
        slope: float = -gain * ratio * sign * (left if actions[t] else right)
        if (gain > 0 and ratio > 1 + clip) or (gain <= 0 and ratio < 1 - clip):
            slope = 0.0
        slope += ent_coef * right * left * odds
        error = np.float64(value[q]) - np.float64(returns[t])
        dlogit[q], dvalue[q] = slope / size, vf_coef * error / size
        losses[0, q] = -min(ratio * gain, min(max(ratio, 1 - clip), 1 + clip) * gain)
        losses[1, q] = error * error / 2
        losses[2, q] = right * softplus(-odds) + left * softplus(odds)
        losses[3, q] = ratio - 1 - log_ratio
        losses[4, q] = 1.0 if abs(ratio - 1) > clip else 0.0


@kernel(
    0,
    lambda F: (
        *(reads(F, 2), reads(F, 2), pack(reads(U8, 1), reads(F64, 1), reads(F64, 1))),
        pack(writes(F, 1), writes(F, 1), writes(F64, 2)),
    ),
)
def td_gradient(heads: Array, target_heads: Array, sample: Tuple, out: Tuple) -> None:
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
