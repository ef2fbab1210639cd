"""Linear layers of dense and sparse frames, and the worker's step with them.

Source: A. Karpathy, "Deep Reinforcement Learning: Pong from Pixels" (2016).
"""

from __future__ import annotations

from collections.abc import Callable

from fastpong.arrays import Array
from fastpong.kernels.arguments import FLOAT, Bound, Flag, In, Out
from fastpong.kernels.checks import parts, truth
from fastpong.kernels.foreign import is_array, plain
from fastpong.kernels.parts import (
    EPISODE,
    EPISODE_SIZES,
    FRAMES,
    PIXELS,
    POLICY,
    SCREENS,
    TABLE,
    frames_of,
    points,
    positive,
    sparse_frames,
)
from fastpong.kernels.runner import Runner
from fastpong.kernels.spec import Kernel

POLICY_FORWARD = Kernel(
    "policy_forward",
    "linear",
    (
        In("x", FLOAT, ("T", "D"), None, points),
        In("w1", FLOAT, ("D", "H")),
        In("w2", FLOAT, ("H",)),
        Out("hidden", FLOAT, ("T", "H")),
        Out("probability", FLOAT, ("T",)),
    ),
    POLICY,
)
POLICY_BACKWARD = Kernel(
    "policy_backward",
    "linear",
    (
        In("x", FLOAT, ("T", "D"), None, points),
        In("hidden", FLOAT, ("T", "H"), None, positive),
        In("dlogit", FLOAT, ("T",)),
        In("w2", FLOAT, ("H",)),
        Out("grad_w1", FLOAT, ("D", "H"), added=True),
        Out("grad_w2", FLOAT, ("H",), added=True),
    ),
    POLICY,
)
SPARSE_POLICY_FORWARD = Kernel(
    "sparse_policy_forward",
    "linear",
    (
        *FRAMES,
        In("w1", FLOAT, ("D", "H"), sparse_frames),
        In("w2", FLOAT, ("H",)),
        Out("hidden", FLOAT, ("T", "H")),
        Out("probability", FLOAT, ("T",)),
    ),
    POLICY,
    frames_of,
)
SPARSE_POLICY_BACKWARD = Kernel(
    "sparse_policy_backward",
    "linear",
    (
        *FRAMES,
        In("hidden", FLOAT, ("T", "H"), None, positive),
        In("dlogit", FLOAT, ("T",)),
        In("w2", FLOAT, ("H",)),
        Out("grad_w1", FLOAT, ("D", "H"), sparse_frames, added=True, default={"D": PIXELS}),
        Out("grad_w2", FLOAT, ("H",), added=True),
    ),
    POLICY,
    frames_of,
)
POLICY_STEP = Kernel(
    "policy_step",
    "linear",
    (
        SCREENS,
        TABLE,
        Bound("w1", FLOAT, (PIXELS, "H")),
        Bound("w2", FLOAT, ("H",)),
        *EPISODE,
    ),
    {"": {"H": 5} | EPISODE_SIZES},
    raw="PolicyStep",
)
DENSE_FORWARD = Kernel(
    "dense_forward",
    "linear",
    (
        In("x", FLOAT, ("T", "N"), None, positive),
        In("w", FLOAT, ("N", "M")),
        In("b", FLOAT, ("M",)),
        Flag("relu", True),
        Out("out", FLOAT, ("T", "M")),
    ),
    {"": {"T": 4, "N": 5, "M": 6}},
)
DENSE_BACKWARD = Kernel(
    "dense_backward",
    "linear",
    (
        In("x", FLOAT, ("T", "N"), None, points),
        In("w", FLOAT, ("N", "M")),
        In("dout", FLOAT, ("T", "M")),
        Flag("relu", True),
        Out("grad_w", FLOAT, ("N", "M"), added=True),
        Out("grad_b", FLOAT, ("M",), added=True),
        Out("dx", FLOAT, ("T", "N")),
    ),
    {"": {"T": 4, "N": 5, "M": 6}},
)


class Linear(Runner):
    """The part of a ``Backend`` that this family adds."""

    def policy_forward(
        self, x: Array, w1: Array, w2: Array, out: tuple[Array, Array] | None = None
    ) -> tuple[Array, Array]:
        """Return the hidden layer and the probability of RIGHT.

            h = ReLU(x W1),   p = sigmoid(h . W2)

        x   : (T, D), or (D,) for one frame. Zeros are skipped
        w1  : (D, H), pixel-major
        w2  : (H,)
        out : (hidden, probability), (T, H) and (T,) (T = 1 for one frame)

        Returns (hidden (T, H), probability (T,)), for one frame ((H,), scalar).
        """
        single = is_array(x) and x.ndim == 1
        if single:
            x = plain("x", x)[None]
        hidden, probability = self._run(POLICY_FORWARD, x, w1, w2, *parts("out", out, 2))
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
        """Return ``policy_forward`` of T sparse frames.

        A frame is a signed sum of a few rows of W1.

        indptr         : (T + 1,) int64. The non-zeros of frame t stand at indptr[t]:indptr[t+1]
        indices, signs : (nnz,) uint16 below D, (nnz,) int8
        w1, w2, out    : as for ``policy_forward``

        Returns (hidden (T, H), probability (T,)). O(nnz H).
        """
        hidden, probability = self._run(
            SPARSE_POLICY_FORWARD, indptr, indices, signs, w1, w2, *parts("out", out, 2)
        )
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
        """Return the gradient of sum_t dlogit_t logit_t.

            dW2 = h^T dlogit,   dW1 = x^T (dlogit W2^T where h > 0)

        With dlogit_t = (y_t - p_t) A_t, y_t = 1 for RIGHT, it is the policy gradient: the
        gradient of sum_t A_t log pi(a_t | x_t).

        x, hidden  : (T, D) and (T, H), of ``policy_forward``
        dlogit     : (T,)
        w2         : (H,)
        out        : (grad_w1, grad_w2), (D, H) and (H,)
        accumulate : add to ``out`` instead of overwriting it
        """
        grad_w1, grad_w2 = self._run(
            POLICY_BACKWARD,
            x,
            hidden,
            dlogit,
            w2,
            *parts("out", out, 2),
            added=truth("accumulate", accumulate),
        )
        return grad_w1, grad_w2

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
        """Return ``policy_backward`` of T sparse frames.

        A frame adds into a few rows of dW1.

        Arguments as for ``sparse_policy_forward`` and ``policy_backward``, without ``out`` the
        gradient of W1 has D = 6400 rows. O(nnz H), and O(D H) to clear it unless ``accumulate``.
        """
        grad_w1, grad_w2 = self._run(
            SPARSE_POLICY_BACKWARD, indptr, indices, signs, hidden, dlogit, w2,
            *parts("out", out, 2), added=truth("accumulate", accumulate),
        )  # fmt: skip
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
        """Bind an episode's buffers, return ``step(t, uniform)``.

        One call is all that a player does for a decision besides the emulator: it encodes the
        difference of screens[t % 2] and screens[(t - 1) % 2] (an empty frame at t = 0) into
        indices and signs from indptr[t] on, sets indptr[t + 1], computes p as
        ``sparse_policy_forward`` does, records in actions[t] and returns 1 (RIGHT) if
        uniform < p, else 0 (LEFT). It returns -1, with nothing written, where the buffers have no
        room for one more step: t >= cap or indptr[t] + 6400 > room. Then bind larger ones and
        call again. Set indptr[0] = 0 before the first step.

        screens : (2, 210, 160) uint8 palette indices, filled by the caller before each step
        table   : (256,) uint8, 0 for background and 1 for foreground
        w1, w2  : (6400, H) and (H,), C-contiguous, may be read-only. Read anew at each step
        indptr  : (cap + 1,) int64,  actions : (cap,) uint8
        indices : (room,) uint16,    signs   : (room,) int8
        """
        return self._bind(POLICY_STEP, screens, table, w1, w2, indptr, indices, signs, actions)

    def dense_forward(
        self, x: Array, w: Array, b: Array, relu: bool = True, out: Array | None = None
    ) -> Array:
        """Return a dense layer, y = ReLU(x W + b).

        x : (T, N), zeros are skipped,  w : (N, M),  b : (M,),  out : (T, M)
        """
        return self._run_one(DENSE_FORWARD, x, w, b, relu, out)

    def dense_backward(
        self,
        x: Array,
        w: Array,
        dout: Array,
        relu: bool = True,
        out: tuple[Array, ...] | None = None,
        accumulate: bool = False,
    ) -> tuple[Array, ...]:
        """Return the gradient of a dense layer.

            loss = sum_t dout_t . (x_t W + b)

            dW = x^T dout,   db = sum_t dout_t,   dx = dout W^T

        x, w       : (T, N) and (N, M), of ``dense_forward``
        dout       : (T, M), with respect to the layer's output before its ReLU
        relu       : x came out of a ReLU, and dx is with respect to what went in: 0 where x <= 0
        out        : (grad_w, grad_b, dx), (N, M), (M,) and (T, N)
        accumulate : add to grad_w and grad_b instead of overwriting them
        """
        return self._run(
            DENSE_BACKWARD,
            x,
            w,
            dout,
            relu,
            *parts("out", out, 3),
            added=truth("accumulate", accumulate),
        )
