"""Losses, the softmax, and gradients by what goes into them."""

from __future__ import annotations

import numpy as np

from fastpong.arrays import Array
from fastpong.kernels import checks
from fastpong.kernels.checks import FLOATS, I64, U8, Checker
from fastpong.kernels.raw import Raw

F64 = (np.dtype(np.float64),)


class Losses:
    """The part of a ``Backend`` that this family adds."""

    raw: Raw

    def softmax(self, logits: Array, out: Array | None = None) -> Array:
        """Return p_i = exp(l_i) / sum_j exp(l_j): (T, A) -> (T, A); ``out`` may be ``logits``."""
        check = Checker()
        logits = check.input("logits", logits, FLOATS, ("T", "A"))
        out = check.output("out", out, FLOATS, ("T", "A"))
        checks.same_or_separate("out", out, "logits", logits)
        self.raw.losses.softmax(logits, out)
        return out

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
        check = Checker()
        inputs = {
            "probability": check.input("probability", probability, FLOATS, ("T", "A")),
            "actions": check.input("actions", actions, U8, ("T",)),
            "advantage": check.input("advantage", advantage, FLOATS, ("T",)),
        }
        if actions.size and actions.max() >= check.sizes["A"]:
            raise ValueError(
                f"actions: expected numbers below {check.sizes['A']}, got {actions.max()}"
            )
        first, second = checks.pair("out", out)
        dlogit = check.output("dlogit", first, FLOATS, ("T", "A"))
        loss = check.output("loss", second, FLOATS, ("T",))
        checks.no_overlap({"dlogit": dlogit, "loss": loss}, inputs)
        self.raw.losses.cross_entropy_gradient(
            *inputs.values(), checks.not_negative("step", step), dlogit, loss
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
        check = Checker()
        inputs = {
            "order": check.input("order", order, I64, ("M",)),
            "logit": check.input("logit", logit, FLOATS, ("M",)),
            "estimate": check.input("estimate", estimate, FLOATS, ("M",)),
            "actions": check.input("actions", actions, U8, ("N",)),
            "old_logit": check.input("old_logit", old_logit, FLOATS, ("N",)),
            "advantage": check.input("advantage", advantage, FLOATS, ("N",)),
            "returns": check.input("returns", returns, FLOATS, ("N",)),
        }
        checks.within("order", inputs["order"], 0, check.sizes["N"])
        checks.within("actions", inputs["actions"], 0, 2)
        parts = checks.parts("out", out, 3)
        outputs = {
            "dlogit": check.output("dlogit", parts[0], FLOATS, ("M",)),
            "dvalue": check.output("dvalue", parts[1], FLOATS, ("M",)),
            "losses": check.output("losses", parts[2], F64, (5, "M")),
        }
        checks.no_overlap(outputs, inputs)
        self.raw.losses.ppo_gradient(
            *inputs.values(),
            (
                checks.below_one("clip", clip),
                checks.not_negative("entropy_weight", entropy_weight),
                checks.not_negative("value_weight", value_weight),
            ),
            *outputs.values(),
        )
        return tuple(outputs.values())
