"""The convolution of sparse frames, and the worker's step with it.

F filters, P positions of the convolution's output, H units, N inputs and M outputs of a dense
layer, A actions. Arrays are shaped as Keras shapes them.
"""

from __future__ import annotations

from collections.abc import Callable

from fastpong.arrays import Array
from fastpong.kernels.arguments import FLOAT, I64, Flag, In, Out, Scratch
from fastpong.kernels.checks import parts, truth
from fastpong.kernels.parts import (
    CHECKED_FRAMES,
    CONV,
    EPISODE,
    EPISODE_SIZES,
    IMAGE,
    ROW,
    SCREENS,
    TABLE,
    frames_of,
    lines,
    some_actions,
)
from fastpong.kernels.runner import Runner
from fastpong.kernels.spec import Group, Kernel

NETWORK = ("kernel", "bias", "w1", "b1", "w2", "b2", "w3", "b3")
"""The arrays of the network, in the order in which ``conv_step`` takes them."""

SPARSE_CONV_FORWARD = Kernel(
    "sparse_conv_forward",
    "conv",
    (
        Group(CHECKED_FRAMES),
        Group((*CONV, In("w", FLOAT, ("P F", "H")), In("b", FLOAT, ("H",)))),
        Group(
            (
                Scratch("values", FLOAT, ("P", "F")),
                Scratch("base", FLOAT, ("H",)),
                Scratch("touched", I64, (2, "P")),
            )
        ),
        Out("out", FLOAT, ("T", "H")),
    ),
    {"row": ROW, "image": IMAGE},
    frames_of,
)
SPARSE_CONV_BACKWARD = Kernel(
    "sparse_conv_backward",
    "conv",
    (
        Group(CHECKED_FRAMES),
        Group((*CONV, In("w", FLOAT, ("P F", "H")))),
        In("dhidden", FLOAT, ("T", "H")),
        Group(
            (
                Scratch("values", FLOAT, ("P", "F")),
                Scratch("total", FLOAT, ("H",)),
                Scratch("touched", I64, (2, "P")),
            )
        ),
        Group(
            (
                Out("grad_kernel", FLOAT, (6, 6, "C", "F"), shaped=lines, added=True),
                Out("grad_bias", FLOAT, ("F",), added=True),
                Out("grad_w", FLOAT, ("P F", "H"), added=True),
                Out("grad_b", FLOAT, ("H",), added=True),
            )
        ),
    ),
    {"row": ROW, "image": IMAGE},
    frames_of,
)
CONV_STEP = Kernel(
    "conv_step",
    "conv",
    (
        SCREENS,
        TABLE,
        Group(
            (
                *CONV,
                In("w1", FLOAT, ("P F", "H")),
                In("b1", FLOAT, ("H",)),
                In("w2", FLOAT, ("H", "N")),
                In("b2", FLOAT, ("N",)),
                In("w3", FLOAT, ("N", "A")),
                In("b3", FLOAT, ("A",), some_actions),
            ),
            "network",
        ),
        Group(
            (
                Scratch("values", FLOAT, ("P", "F")),
                Scratch("base", FLOAT, ("H",)),
                Scratch("h1", FLOAT, ("H",)),
                Scratch("h2", FLOAT, ("N",)),
                Scratch("p", FLOAT, ("A",)),
                Scratch("touched", I64, (2, "P")),
            )
        ),
        *EPISODE,
        Flag("greedy", False),
    ),
    {"row": ROW | EPISODE_SIZES | {"N": 4, "A": 6}},
    raw="ConvStep",
)


class Conv(Runner):
    """The part of a ``Backend`` that this family adds."""

    def sparse_conv_forward(
        self,
        indptr: Array,
        indices: Array,
        signs: Array,
        kernel: Array,
        bias: Array,
        w: Array,
        b: Array,
        out: Array | None = None,
    ) -> Array:
        """Return a convolution and a dense layer, of sparse frames.

            h = ReLU(flatten(ReLU(conv(x) + bias)) W + b),   6x6, stride 3, 'same' padding

        Of W only the rows of positions that a frame touches are read, about a third. What is
        the same for all frames is computed once a call.

        indptr, indices, signs : sparse frames, as for ``sparse_policy_forward``
        kernel : (6, 6, C, F). C = 80 takes a frame as one row of 80 columns (the image's rows)
                 with 80 channels (its columns): P = 27. C = 1 takes it as an image: P = 27 x 27
        bias   : (F,),  w : (P F, H),  b : (H,)
        out    : (T, H)
        """
        return self._run_one(SPARSE_CONV_FORWARD, indptr, indices, signs, kernel, bias, w, b, out)

    def sparse_conv_backward(
        self,
        indptr: Array,
        indices: Array,
        signs: Array,
        kernel: Array,
        bias: Array,
        w: Array,
        dhidden: Array,
        out: tuple[Array, ...] | None = None,
        accumulate: bool = False,
    ) -> tuple[Array, ...]:
        """Return the gradient of a convolution and a dense layer.

            loss = sum_t dhidden_t . (flatten(ReLU(conv(x_t) + bias)) W + b)

        dhidden    : (T, H), with respect to h before its ReLU
        out        : (grad_kernel, grad_bias, grad_w, grad_b), shaped as kernel, bias, w and (H,)
        accumulate : add to ``out`` instead of overwriting it

        The other arguments are those of ``sparse_conv_forward``.
        """
        return self._run(
            SPARSE_CONV_BACKWARD, indptr, indices, signs, kernel, bias, w, dhidden,
            *parts("out", out, 4), added=truth("accumulate", accumulate),
        )  # fmt: skip

    def conv_step(
        self,
        screens: Array,
        table: Array,
        network: tuple[Array, ...],
        indptr: Array,
        indices: Array,
        signs: Array,
        actions: Array,
        greedy: bool = False,
    ) -> Callable[[int, float], int]:
        """Bind an episode's buffers, return ``step(t, uniform)``.

        As ``policy_step``, for A actions: the one chosen is the first whose probability and
        those before it come to more than ``uniform``, or the likeliest if ``greedy``.

        network : (kernel, bias, w1, b1, w2, b2, w3, b3), convolution and three dense layers,
                  may be read-only, and must not change as long as the step is used
        """
        return self._bind(
            CONV_STEP, screens, table, network, indptr, indices, signs, actions, greedy
        )
