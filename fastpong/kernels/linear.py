"""Linear layers of dense and sparse frames, and the worker's step with them.

Source: A. Karpathy, "Deep Reinforcement Learning: Pong from Pixels" (2016).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastpong.arrays import Array
from fastpong.geometry import PONG_GEOMETRY as PONG
from fastpong.kernels import checks
from fastpong.kernels.checks import FLOATS, I8, I64, U8, U16, Checker
from fastpong.kernels.raw import Raw

PIXELS, SCREEN = PONG.pixels, PONG.screen_shape


class Linear:
    """The part of a ``Backend`` that this family adds."""

    raw: Raw

    def policy_forward(
        self, x: Array, w1: Array, w2: Array, out: tuple[Array, Array] | None = None
    ) -> tuple[Array, Array]:
        """Return the hidden layer and the probability of RIGHT.

            h = ReLU(x W1),   p = sigmoid(h . W2)

        x   : (T, D), or (D,) for one frame; zeros are skipped
        w1  : (D, H), pixel-major
        w2  : (H,)
        out : (hidden, probability), (T, H) and (T,) (T = 1 for one frame)

        Returns (hidden (T, H), probability (T,)), for one frame ((H,), scalar).
        """
        single = isinstance(x, np.ndarray) and x.ndim == 1
        check = Checker()
        x = check.input("x", x[None] if single else x, FLOATS, ("T", "D"))
        w1 = check.input("w1", w1, FLOATS, ("D", "H"))
        w2 = check.input("w2", w2, FLOATS, ("H",))
        hidden, probability = self._forward_outputs(check, out, {"x": x, "w1": w1, "w2": w2})
        self.raw.linear.policy_forward(x, w1, w2, hidden, probability)
        return (hidden[0], probability[0]) if single else (hidden, probability)

    def sparse_policy_forward(
        self,
        indptr: Array,
        indices: Array,
        signs: Array,
        w1: Array,
        w2: Array,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Return ``policy_forward`` of T sparse frames: a signed sum of a few rows of W1 each.

        indptr         : (T + 1,) int64; the non-zeros of frame t stand at indptr[t]:indptr[t+1]
        indices, signs : (nnz,) uint16 below D; (nnz,) int8
        w1, w2, out    : as for ``policy_forward``

        Returns (hidden (T, H), probability (T,)). O(nnz H).
        """
        check = Checker()
        w1 = check.input("w1", w1, FLOATS, ("D", "H"))
        w2 = check.input("w2", w2, FLOATS, ("H",))
        frames = checks.sparse_frames(check, indptr, indices, signs)
        inputs = {"w1": w1, "w2": w2} | dict(zip(checks.FRAMES, frames, strict=True))
        hidden, probability = self._forward_outputs(check, out, inputs)
        self.raw.linear.sparse_policy_forward(*frames, w1, w2, hidden, probability)
        return hidden, probability

    @staticmethod
    def _forward_outputs(
        check: Checker, out: tuple[Array, Array] | None, inputs: dict[str, Array]
    ) -> tuple[Array, Array]:
        first, second = checks.pair("out", out)
        hidden = check.output("hidden", first, FLOATS, ("T", "H"))
        probability = check.output("probability", second, FLOATS, ("T",))
        checks.no_overlap({"hidden": hidden, "probability": probability}, inputs)
        return hidden, probability

    def policy_backward(
        self,
        x: Array,
        hidden: Array,
        dlogit: Array,
        w2: Array,
        out: tuple[Array, Array] | None = None,
        accumulate: bool = False,
    ) -> tuple[Array, Array]:
        """Return the gradient of sum_t dlogit_t logit_t with respect to W1 and W2.

            dW2 = h^T dlogit,   dW1 = x^T (dlogit W2^T where h > 0)

        With dlogit_t = (y_t - p_t) A_t, y_t = 1 for RIGHT, it is the policy gradient: the
        gradient of sum_t A_t log pi(a_t | x_t).

        x, hidden  : (T, D) and (T, H), of ``policy_forward``
        dlogit     : (T,)
        w2         : (H,)
        out        : (grad_w1, grad_w2), (D, H) and (H,)
        accumulate : add to ``out`` instead of overwriting it
        """
        check = Checker()
        x = check.input("x", x, FLOATS, ("T", "D"))
        hidden, dlogit, w2 = self._backward_inputs(check, hidden, dlogit, w2)
        inputs = {"x": x, "hidden": hidden, "dlogit": dlogit, "w2": w2}
        grads = self._backward_outputs(check, out, accumulate, inputs)
        self.raw.linear.policy_backward(x, hidden, dlogit, w2, *grads)
        return grads

    def sparse_policy_backward(
        self,
        indptr: Array,
        indices: Array,
        signs: Array,
        hidden: Array,
        dlogit: Array,
        w2: Array,
        out: tuple[Array, Array] | None = None,
        accumulate: bool = False,
    ) -> tuple[Array, Array]:
        """Return ``policy_backward`` of T sparse frames: it adds into a few rows of dW1 each.

        Arguments as for ``sparse_policy_forward`` and ``policy_backward``; without ``out`` the
        gradient of W1 has D = 6400 rows. O(nnz H), and O(D H) to clear it unless ``accumulate``.
        """
        first, _ = checks.pair("out", out)
        given = isinstance(first, np.ndarray) and first.ndim == 2
        check = Checker(D=first.shape[0] if given else PIXELS)
        frames = checks.sparse_frames(check, indptr, indices, signs)
        hidden, dlogit, w2 = self._backward_inputs(check, hidden, dlogit, w2)
        inputs = {"hidden": hidden, "dlogit": dlogit, "w2": w2}
        inputs |= dict(zip(checks.FRAMES, frames, strict=True))
        grads = self._backward_outputs(check, out, accumulate, inputs)
        self.raw.linear.sparse_policy_backward(*frames, hidden, dlogit, w2, *grads)
        return grads

    @staticmethod
    def _backward_inputs(
        check: Checker, hidden: Array, dlogit: Array, w2: Array
    ) -> tuple[Array, Array, Array]:
        return (
            check.input("hidden", hidden, FLOATS, ("T", "H")),
            check.input("dlogit", dlogit, FLOATS, ("T",)),
            check.input("w2", w2, FLOATS, ("H",)),
        )

    @staticmethod
    def _backward_outputs(
        check: Checker,
        out: tuple[Array, Array] | None,
        accumulate: bool,
        inputs: dict[str, Array],
    ) -> tuple[Array, Array]:
        first, second = checks.pair("out", out)
        grad_w1 = check.output("grad_w1", first, FLOATS, ("D", "H"))
        grad_w2 = check.output("grad_w2", second, FLOATS, ("H",))
        checks.no_overlap({"grad_w1": grad_w1, "grad_w2": grad_w2}, inputs)
        if out is None or not accumulate:
            grad_w1.fill(0)
            grad_w2.fill(0)
        return grad_w1, grad_w2

    def policy_step(
        self,
        screens: Array,
        table: Array,
        w1: Array,
        w2: Array,
        indptr: Array,
        indices: Array,
        signs: Array,
        actions: Array,
    ) -> Callable[[int, float], int]:
        """Bind the buffers of an episode; return ``step(t, uniform) -> action``.

        One call is all that a player does for a decision besides the emulator: it encodes the
        difference of screens[t % 2] and screens[(t - 1) % 2] (an empty frame at t = 0) into
        indices and signs from indptr[t] on, sets indptr[t + 1], computes p as
        ``sparse_policy_forward`` does, records in actions[t] and returns 1 (RIGHT) if
        uniform < p, else 0 (LEFT). It returns -1, with nothing written, where the buffers have no
        room for one more step: t >= cap or indptr[t] + 6400 > room. Then bind larger ones and
        call again. Set indptr[0] = 0 before the first step.

        screens : (2, 210, 160) uint8 palette indices, filled by the caller before each step
        table   : (256,) uint8, 0 for background and 1 for foreground
        w1, w2  : (6400, H) and (H,), C-contiguous; may be read-only; read anew at each step
        indptr  : (cap + 1,) int64;  actions : (cap,) uint8
        indices : (room,) uint16;    signs   : (room,) int8
        """
        check = Checker(D=PIXELS)
        outputs = {
            "actions": check.given("actions", actions, U8, ("cap",)),
            "indices": check.given("indices", indices, U16, ("room",)),
            "signs": check.given("signs", signs, I8, ("room",)),
        }
        check.sizes["cap+1"] = check.sizes["cap"] + 1
        outputs["indptr"] = check.given("indptr", indptr, I64, ("cap+1",))
        inputs = {
            "screens": check.bound("screens", screens, U8, (2, *SCREEN)),
            "table": checks.table(table),
            "w1": check.bound("w1", w1, FLOATS, ("D", "H")),
            "w2": check.bound("w2", w2, FLOATS, ("H",)),
        }
        checks.no_overlap(outputs, inputs)
        step: Callable[[int, float], int] = self.raw.linear.PolicyStep(
            *inputs.values(),
            outputs["indptr"], outputs["indices"], outputs["signs"], outputs["actions"],
        )  # fmt: skip
        return step

    def dense_forward(
        self, x: Array, w: Array, b: Array, relu: bool = True, out: Array | None = None
    ) -> Array:
        """Return y = ReLU(x W + b), or x W + b.

        x : (T, N), zeros are skipped;  w : (N, M);  b : (M,);  out : (T, M)
        """
        check = Checker()
        inputs = {
            "x": check.input("x", x, FLOATS, ("T", "N")),
            "w": check.input("w", w, FLOATS, ("N", "M")),
            "b": check.input("b", b, FLOATS, ("M",)),
        }
        out = check.output("out", out, FLOATS, ("T", "M"))
        checks.no_overlap({"out": out}, inputs)
        self.raw.linear.dense_forward(*inputs.values(), bool(relu), out)
        return out

    def dense_backward(
        self,
        x: Array,
        w: Array,
        dout: Array,
        relu: bool = True,
        out: tuple[Array, ...] | None = None,
        accumulate: bool = False,
    ) -> tuple[Array, ...]:
        """Return the gradient of sum_t dout_t . (x_t W + b).

            dW = x^T dout,   db = sum_t dout_t,   dx = dout W^T

        x, w       : (T, N) and (N, M), of ``dense_forward``
        dout       : (T, M), with respect to the layer's output before its ReLU
        relu       : x came out of a ReLU; dx is with respect to what went in: 0 where x <= 0
        out        : (grad_w, grad_b, dx), (N, M), (M,) and (T, N)
        accumulate : add to grad_w and grad_b instead of overwriting them
        """
        check = Checker()
        inputs = {
            "x": check.input("x", x, FLOATS, ("T", "N")),
            "w": check.input("w", w, FLOATS, ("N", "M")),
            "dout": check.input("dout", dout, FLOATS, ("T", "M")),
        }
        parts = checks.parts("out", out, 3)
        grads = {
            "grad_w": check.output("grad_w", parts[0], FLOATS, ("N", "M")),
            "grad_b": check.output("grad_b", parts[1], FLOATS, ("M",)),
        }
        dx = check.output("dx", parts[2], FLOATS, ("T", "N"))
        checks.no_overlap(grads | {"dx": dx}, inputs)
        _clear(grads, out is not None and accumulate)
        self.raw.linear.dense_backward(*inputs.values(), bool(relu), *grads.values(), dx)
        return (*grads.values(), dx)


def _clear(grads: dict[str, Array], keep: bool) -> None:
    if not keep:
        for gradient in grads.values():
            gradient.fill(0)
