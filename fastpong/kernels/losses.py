"""Losses, the softmax, and gradients by what goes into them."""

from __future__ import annotations

from fastpong.arrays import Array, Doubles, Flags, Floats, Order
from fastpong.kernels import checks
from fastpong.kernels.arguments import F64, FLOAT, I64, U8, In, Number, Out
from fastpong.kernels.bundles import (
    CELLS,
    MINIBATCH_STEPS,
    RolloutSteps,
    cells_example,
    two_actions,
)
from fastpong.kernels.checks import parts
from fastpong.kernels.parts import actions_below, bits, few_actions, shares
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
        In("order", I64, ("M",)),
        In("logit", FLOAT, ("M",)),
        In("value", FLOAT, ("M",)),
        MINIBATCH_STEPS,
        Group(
            (
                Number("clip_range", checks.below_one, 0.2),
                Number("ent_coef", checks.not_negative, 0.01),
                Number("vf_coef", checks.not_negative, 0.5),
            )
        ),
        Group(
            (
                Out("dlogit", FLOAT, ("M",)),
                Out("dvalue", FLOAT, ("M",)),
                Out("losses", F64, (5, "M")),
            )
        ),
    ),
    CELLS,
    cells_example,
)
TD_GRADIENT = Kernel(
    "td_gradient",
    "losses",
    (
        In("heads", FLOAT, (2, "2M")),
        In("target_heads", FLOAT, (2, "M")),
        Group(
            (
                In("actions", U8, ("M",), two_actions, bits),
                In("rewards", F64, ("M",)),
                In("discount", F64, ("M",)),
            )
        ),
        Group(
            (
                Out("dlogit", FLOAT, ("M",)),
                Out("dvalue", FLOAT, ("M",)),
                Out("parts", F64, (2, "M")),
            )
        ),
    ),
    {"": {"M": 3}},
)


class Losses(Runner):
    """The part of a ``Backend`` that this family adds."""

    def softmax(self, logits: Array, out: Array | None = None) -> Array:
        """Return the softmax of every row.

            p_i = exp(l_i) / sum_j exp(l_j)

        logits : (T, A),  out : (T, A), may be ``logits`` itself
        """
        return self._run_one(SOFTMAX, logits, out)

    def cross_entropy_gradient(
        self,
        probability: Array,
        actions: Array,
        advantage: Array,
        step: float,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Return the soft cross-entropy's gradient, and every loss.

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
            CROSS_ENTROPY_GRADIENT,
            probability,
            actions,
            advantage,
            step,
            *checks.parts("out", out, 2),
        )
        return dlogit, loss

    def ppo_gradient(
        self,
        order: Order,
        logit: Floats,
        value: Floats,
        steps: RolloutSteps,
        clip_range: float = 0.2,
        ent_coef: float = 0.01,
        vf_coef: float = 0.5,
        out: tuple[Array, ...] | None = None,
    ) -> tuple[Array, ...]:
        """Return PPO's mean gradient, and every loss.

            r = pi(a) / pi_old(a)
            loss = mean of max(-r A, -clip(r, 1 - c, 1 + c) A)
                   + vf_coef (V - R)^2 / 2 - ent_coef entropy

        order        : (M,) int64 below N, the steps of this minibatch
        logit, value : (M,), of ``cells_heads``
        steps        : N of them. A and R are their advantage and returns
        clip_range   : c, in [0, 1),  ent_coef, vf_coef : >= 0
        out          : (dlogit (M,), dvalue (M,), losses (5, M) float64)

        The rows of losses are surrogate, value loss, entropy, approximate KL (r - 1) - log r, and
        1 where |r - 1| > c. Source: Schulman et al. (2017), eq. 7 and 9.
        """
        return self._run(
            PPO_GRADIENT, order, logit, value, steps, clip_range, ent_coef, vf_coef,
            *parts("out", out, 3),
        )  # fmt: skip

    def td_gradient(
        self,
        heads: Floats,
        target_heads: Floats,
        actions: Flags,
        rewards: Doubles,
        discount: Doubles,
        out: tuple[Array, ...] | None = None,
    ) -> tuple[Array, ...]:
        """Return the gradient of double Q-learning's mean loss.

            Q(RIGHT) = V + l / 2,  Q(LEFT) = V - l / 2       l the log odds, a dueling network's 2 A
            y = R + g Q'(x_n, argmax_a Q(x_n, a)),   loss = mean of (Q(x, a) - y)^2 / 2

        heads             : (2, 2 M), l and V of M steps, then of those n later
        target_heads      : (2, M), of the target network Q', n steps later
        actions           : (M,) uint8, 1 for RIGHT
        rewards, discount : (M,) float64, R and g: gamma^n, or 0 after a return's end
        out               : (dlogit (M,), dvalue (M,), parts (2, M) float64)

        The rows of parts are the errors Q(x, a) - y and the targets y. All is computed in float64
        and rounded once. Where both actions are worth the same LEFT is the better one.

        Sources: van Hasselt et al., "Deep Reinforcement Learning with Double Q-learning" (2016),
        Wang et al., "Dueling Network Architectures" (2016).
        """
        return self._run(
            TD_GRADIENT, heads, target_heads, actions, rewards, discount, *parts("out", out, 3)
        )
