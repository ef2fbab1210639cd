"""The convolution of sparse frames, and the worker's step with it.

F filters, P positions of the convolution's output, H units, N inputs and M outputs of a dense
layer, A actions. Arrays are shaped as Keras shapes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastpong.arrays import Array
from fastpong.geometry import PONG_GEOMETRY as PONG
from fastpong.kernels import checks
from fastpong.kernels.checks import FLOATS, I8, I64, U8, U16, Checker
from fastpong.kernels.raw import Raw

PIXELS, SCREEN = PONG.pixels, PONG.screen_shape

OUT = 27
NETWORK = ("kernel", "bias", "w1", "b1", "w2", "b2", "w3", "b3")
"""The arrays of the network, in the order in which ``conv_step`` takes them."""


class Conv:
    """The part of a ``Backend`` that this family adds."""

    raw: Raw

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
        self.raw.conv.sparse_conv_forward(*frames, *_flat(inputs), *_scratch(check), out)
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
        self.raw.conv.sparse_conv_backward(*frames, *_flat(inputs), *_scratch(check), *_flat(grads))
        return tuple(grads.values())

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
        step: Callable[[int, float], int] = self.raw.conv.ConvStep(
            screens, table, tuple(_flat(layers)), (values, base, *rest, touched),
            outputs["indptr"], outputs["indices"], outputs["signs"], outputs["actions"],
            bool(greedy),
        )  # fmt: skip
        return step


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
