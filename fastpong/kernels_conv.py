"""The public kernels of the convolutional agent; ``fastpong.kernels`` has them beside the others.

Conventions as there. F filters, P positions of the convolution's output, H units, N inputs and M
outputs of a dense layer, A actions. Arrays are shaped as Keras shapes them.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong import _checks as checks
from fastpong._checks import FLOATS, I8, I64, U8, U16, Checker

Array = NDArray[Any]

PIXELS, SCREEN, OUT = 6400, (210, 160), 27
MODULES = {
    "cython": "fastpong._kernels_conv",
    "numba": "fastpong._kernels_conv_numba",
    "numpy": "fastpong.oracle_conv",
}
NETWORK = ("kernel", "bias", "w1", "b1", "w2", "b2", "w3", "b3")
"""The arrays of the network, in the order in which ``conv_step`` takes them."""


class ConvKernels:
    """The part of a ``Backend`` that the convolutional agent adds."""

    name: str

    @functools.cached_property
    def conv(self) -> Any:
        """The raw kernels; imported when first used."""
        return importlib.import_module(MODULES[self.name])

    def prepare_conv(self, dtype: DTypeLike) -> None:
        """Do for these kernels what ``prepare`` does for the others."""
        compile_all = getattr(self.conv, "compile_all", None)
        if compile_all is not None:
            compile_all(dtype)

    # --- network --------------------------------------------------------------------------------

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
        """Return the first two layers of T sparse frames: a convolution and a dense layer.

            h = ReLU(flatten(ReLU(conv(x) + bias)) W + b),   6x6, stride 3, 'same' padding

        Of W only the rows of positions that a frame touches are read, about a third; what is
        the same for all frames is computed once a call.

        indptr, indices, signs : sparse frames, as for ``sparse_policy_forward``
        kernel : (6, 6, C, F). C = 80 takes a frame as one row of 80 columns (the image's rows)
                 with 80 channels (its columns): P = 27. C = 1 takes it as an image: P = 27 x 27
        bias   : (F,);  w : (P F, H);  b : (H,)
        out    : (T, H)
        """
        check = Checker(D=PIXELS)
        frames = checks.sparse_frames(check, indptr, indices, signs)
        inputs = _conv_inputs(check, kernel, bias, w)
        inputs["b"] = check.input("b", b, FLOATS, ("H",))
        out = check.output("out", out, FLOATS, ("T", "H"))
        checks.no_overlap({"out": out}, inputs | _named(frames))
        self.conv.sparse_conv_forward(*frames, *_flat(inputs), *_scratch(check), out)
        return out

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
        """Return the gradient of sum_t dhidden_t . (flatten(ReLU(conv(x_t) + bias)) W + b).

        dhidden    : (T, H), with respect to h before its ReLU
        out        : (grad_kernel, grad_bias, grad_w, grad_b), shaped as kernel, bias, w and (H,)
        accumulate : add to ``out`` instead of overwriting it

        The other arguments are those of ``sparse_conv_forward``.
        """
        check = Checker(D=PIXELS)
        frames = checks.sparse_frames(check, indptr, indices, signs)
        inputs = _conv_inputs(check, kernel, bias, w)
        inputs["dhidden"] = check.input("dhidden", dhidden, FLOATS, ("T", "H"))
        parts = checks.parts("out", out, 4)
        grads = {
            "grad_kernel": check.output("grad_kernel", parts[0], FLOATS, (6, 6, "C", "F")),
            "grad_bias": check.output("grad_bias", parts[1], FLOATS, ("F",)),
            "grad_w": check.output("grad_w", parts[2], FLOATS, ("P F", "H")),
            "grad_b": check.output("grad_b", parts[3], FLOATS, ("H",)),
        }
        checks.no_overlap(grads, inputs | _named(frames))
        _clear(grads, out is not None and accumulate)
        self.conv.sparse_conv_backward(*frames, *_flat(inputs), *_scratch(check), *_flat(grads))
        return tuple(grads.values())

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
        self.conv.dense_forward(*inputs.values(), bool(relu), out)
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
        self.conv.dense_backward(*inputs.values(), bool(relu), *grads.values(), dx)
        return (*grads.values(), dx)

    def softmax(self, logits: Array, out: Array | None = None) -> Array:
        """Return p_i = exp(l_i) / sum_j exp(l_j): (T, A) -> (T, A); ``out`` may be ``logits``."""
        check = Checker()
        logits = check.input("logits", logits, FLOATS, ("T", "A"))
        out = check.output("out", out, FLOATS, ("T", "A"))
        checks.same_or_separate("out", out, "logits", logits)
        self.conv.softmax(logits, out)
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
        self.conv.cross_entropy_gradient(
            *inputs.values(), checks.not_negative("step", step), dlogit, loss
        )
        return dlogit, loss

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
        """Bind the buffers of an episode; return ``step(t, uniform) -> action``.

        As ``policy_step``, for A actions: the one chosen is the first whose probability and
        those before it come to more than ``uniform``, or the likeliest if ``greedy``.

        network : (kernel, bias, w1, b1, w2, b2, w3, b3), convolution and three dense layers;
                  may be read-only, and must not change as long as the step is used
        """
        check = Checker(D=PIXELS)
        layers = _network(check, network)
        outputs = {
            "actions": check.given("actions", actions, U8, ("cap",)),
            "indices": check.given("indices", indices, U16, ("room",)),
            "signs": check.given("signs", signs, I8, ("room",)),
        }
        check.sizes["cap+1"] = check.sizes["cap"] + 1
        outputs["indptr"] = check.given("indptr", indptr, I64, ("cap+1",))
        table = checks.table(table)
        screens = check.bound("screens", screens, U8, (2, *SCREEN))
        checks.no_overlap(outputs, layers | {"screens": screens, "table": table})
        values, base, touched = _scratch(check)
        sizes = (check.sizes[name] for name in ("H", "N", "A"))
        rest = (np.empty(size, base.dtype) for size in sizes)
        step: Callable[[int, float], int] = self.conv.ConvStep(
            screens, table, tuple(_flat(layers)), (values, base, *rest, touched),
            outputs["indptr"], outputs["indices"], outputs["signs"], outputs["actions"],
            bool(greedy),
        )  # fmt: skip
        return step

    # --- optimizer ------------------------------------------------------------------------------

    def adam_update(
        self,
        parameter: Array,
        gradient: Array,
        mean: Array,
        square: Array,
        step: int,
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:
        """Descend one step of Adam in place, as Keras does; all four arrays of one shape.

            m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
            w = w - learning_rate sqrt(1 - b2^step) / (1 - b1^step) m / (sqrt(v) + epsilon)

        parameter, mean, square : overwritten; writeable and C-contiguous
        gradient                : read
        step                    : number of this update, from 1
        learning_rate           : >= 0;  beta1, beta2 : in [0, 1)
        epsilon                 : > 0, also when rounded to the arrays' dtype
        """
        check = Checker()
        dims = [f"dim {k}" for k in range(np.ndim(parameter))]
        given = {"parameter": parameter, "mean": mean, "square": square}
        outputs = {name: check.given(name, value, FLOATS, dims) for name, value in given.items()}
        gradient = check.input("gradient", gradient, FLOATS, dims)
        checks.no_overlap(outputs, {"gradient": gradient})
        flat = [outputs[name].reshape(-1) for name in given]
        self.conv.adam_update(
            flat[0],
            gradient.reshape(-1),
            *flat[1:],
            checks.count("step", step),
            checks.not_negative("learning_rate", learning_rate),
            checks.below_one("beta1", beta1),
            checks.below_one("beta2", beta2),
            check.above_zero("epsilon", epsilon),
        )


def _conv_inputs(
    check: Checker, kernel: Any, bias: Any, w: Any, name: str = "w"
) -> dict[str, Array]:
    """Check the arrays of the convolution and, called ``name``, of the layer behind it."""
    inputs = {"kernel": check.input("kernel", kernel, FLOATS, (6, 6, "C", "F"))}
    channels, filters = inputs["kernel"].shape[2:]
    if channels not in (1, 80):
        raise ValueError(f"kernel: expected shape (6, 6, 80 or 1, F), got {kernel.shape}")
    check.sizes["P"] = OUT if channels == 80 else OUT * OUT
    check.sizes["P F"] = check.sizes["P"] * filters
    inputs["bias"] = check.input("bias", bias, FLOATS, ("F",))
    inputs[name] = check.input(name, w, FLOATS, ("P F", "H"))
    return inputs


def _network(check: Checker, network: Any) -> dict[str, Array]:
    """Check the eight arrays of the network."""
    if not isinstance(network, tuple) or len(network) != len(NETWORK):
        raise TypeError(
            f"network: expected a tuple of the {len(NETWORK)} arrays {', '.join(NETWORK)}, "
            f"got {type(network).__name__}"
        )
    layers = dict(zip(NETWORK, network, strict=True))
    layers |= _conv_inputs(check, network[0], network[1], network[2], "w1")
    dims = {"b1": ("H",), "w2": ("H", "N"), "b2": ("N",), "w3": ("N", "A"), "b3": ("A",)}
    for name, size in dims.items():
        layers[name] = check.input(name, layers[name], FLOATS, size)
    if not 1 <= check.sizes["A"] <= 255:
        raise ValueError(f"w3: expected 1 to 255 actions, got {check.sizes['A']}")
    return layers


def _flat(arrays: dict[str, Array]) -> list[Array]:
    """Return the arrays with the convolution's kernel as lines of F: (36 C, F)."""
    return [a.reshape(-1, a.shape[-1]) if a.ndim == 4 else a for a in arrays.values()]


def _scratch(check: Checker) -> tuple[Array, Array, Array]:
    """Return what the convolution's kernels work in: values (P, F), base (H,), touched (2, P)."""
    positions, kind = check.sizes["P"], check.float
    return (
        np.empty((positions, check.sizes["F"]), kind),
        np.empty(check.sizes["H"], kind),
        np.zeros((2, positions), np.int64),
    )


def _named(frames: tuple[Array, ...]) -> dict[str, Array]:
    return dict(zip(("indptr", "indices", "signs"), frames, strict=True))


def _clear(grads: dict[str, Array], keep: bool) -> None:
    if not keep:
        for gradient in grads.values():
            gradient.fill(0)
