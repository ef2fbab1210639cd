"""Losses, the softmax, and gradients by what goes into them."""

from __future__ import annotations

from fastpong.arrays import Array
from fastpong.kernels import checks
from fastpong.kernels.arguments import F64, FLOAT, I64, U8, In, Number, Out
from fastpong.kernels.checks import parts
from fastpong.kernels.parts import (
    actions_below,
    any_order,
    bits,
    few_actions,
    order_and_actions,
    shares,
)
from fastpong.kernels.runner import Runner
from fastpong.kernels.spec import Group, Kernel

SOFTMAX = Kernel(
    "softmax",
    "losses",
    (In("logits", FLOAT, ("T", "A")), Out("out", FLOAT, ("T", "A"), aliases=("logits",))),
    {"": {"T": 4, "A": 6}},
)
CROSS_ENTROPY_GRADIENT = Kernel(
    "cross_entropy_gradient",
    "losses",
    (
        In("probability", FLOAT, ("T", "A"), None, shares),
        In("actions", U8, ("T",), actions_below, few_actions),
        In("advantage", FLOAT, ("T",)),
        Number("step", checks.not_negative, 0.1),
        Out("dlogit", FLOAT, ("T", "A")),
        Out("loss", FLOAT, ("T",)),
    ),
    {"": {"T": 4, "A": 6}},
)

PPO_GRADIENT = Kernel(
    "ppo_gradient",
    "losses",
    (
        In("order", I64, ("M",), None, any_order),
        In("logit", FLOAT, ("M",)),
        In("estimate", FLOAT, ("M",)),
        In("actions", U8, ("N",), order_and_actions, bits),
        In("old_logit", FLOAT, ("N",)),
        In("advantage", FLOAT, ("N",)),
        In("returns", FLOAT, ("N",)),
        Group(
            (
                Number("clip", checks.below_one, 0.2),
                Number("entropy_weight", checks.not_negative, 0.01),
                Number("value_weight", checks.not_negative, 0.5),
            )
        ),
        Out("dlogit", FLOAT, ("M",)),
        Out("dvalue", FLOAT, ("M",)),
        Out("losses", F64, (5, "M")),
    ),
    {"": {"M": 3, "N": 4}},
)


class Losses(Runner):
    """The part of a ``Backend`` that this family adds."""

    def softmax(self, logits: Array, out: Array | None = None) -> Array:
        """Return p_i = exp(l_i) / sum_j exp(l_j): (T, A) -> (T, A); ``out`` may be ``logits``."""
        return self._run_one(SOFTMAX, logits, out)

    def cross_entropy_gradient(
        self,
        probability: Array,
        actions: Array,
        advantage: Array,
        step: float,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Return the gradient of the cross-entropy with soft targets, and the loss of every step.

            Y = p + step A (onehot(action) - p),   loss = -sum_i Y_i log(p_i),   Y held fixed
            dlogit_i = sum_k Y_k p_i - Y_i = step A (p_i - onehot_i)

        As in Keras log(p) is clipped to [1e-7, 1 - 1e-7] and flat outside of it.

        probability : (T, A), of ``softmax``
        actions     : (T,) uint8 below A
        advantage   : (T,)
        step        : >= 0
        out         : (dlogit, loss), (T, A) and (T,)
        """
        dlogit, loss = self._run(
            CROSS_ENTROPY_GRADIENT, probability, actions, advantage, step, *parts("out", out, 2)
        )
        return dlogit, loss

    def ppo_gradient(
        self,
        order: Array,
        logit: Array,
        estimate: Array,
        actions: Array,
        old_logit: Array,
        advantage: Array,
        returns: Array,
        clip: float = 0.2,
        entropy_weight: float = 0.01,
        value_weight: float = 0.5,
        out: tuple[Array, ...] | None = None,
    ) -> tuple[Array, ...]:
        """Return the gradient of the mean loss by logits and values, and what it is made of.

            r = pi(a) / pi_old(a)
            loss = mean of max(-r A, -clip(r, 1 - c, 1 + c) A)
                   + value_weight (V - R)^2 / 2 - entropy_weight entropy

        order               : (M,) int64 below N
        logit, estimate     : (M,), of ``actor_critic``
        actions             : (N,) uint8, 1 for RIGHT
        old_logit, advantage, returns : (N,), of the policy that played; A; R
        clip                : c, in [0, 1);  weights : >= 0
        out                 : (dlogit (M,), dvalue (M,), losses (5, M) float64)

        losses holds, decision by decision, surrogate, value loss, entropy, approximate KL
        (r - 1) - log r, and 1 where |r - 1| > c. Source: Schulman et al. (2017), eq. 7 and 9.
        """
        return self._run(
            PPO_GRADIENT, order, logit, estimate, actions, old_logit, advantage, returns, clip,
            entropy_weight, value_weight, *parts("out", out, 3),
        )  # fmt: skip
