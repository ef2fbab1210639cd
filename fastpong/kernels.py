"""The public kernels: checked, documented, and the same whichever backend computes them.

>>> from fastpong import kernels
>>> kernels.discount_rewards(np.array([0.0, 0.0, 1.0]), gamma=0.5)
array([0.25, 0.5 , 1.  ])

The functions of this module run on the default backend: ``FASTPONG_BACKEND`` if it is set, else
Cython, else (no compiled extension here) Numba. ``get_backend("cython" | "numba" | "numpy")``
returns an object with the same functions.

Conventions. T steps, D = 6400 pixels, H hidden units. Arrays are float32 or float64, one of them
per call. Inputs may be read-only, and are copied where they are not C-contiguous; outputs given
by ``out=`` must be writeable and C-contiguous. W1 is pixel-major, (D, H), one contiguous row for
a pixel; the reference program's (H, D) matrix is its transpose. Tolerance against
``fastpong.oracle``: pixels exact, float64 1e-12, float32 1e-5 relative. The GIL is released.
Wrong types raise TypeError, wrong shapes and values ValueError, both naming the argument.

Source of the formulas: A. Karpathy, "Deep Reinforcement Learning: Pong from Pixels" (2016).
"""

from __future__ import annotations

import functools
import importlib
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong import _checks as checks
from fastpong._checks import FLOATS, I8, I64, U8, U16, Checker
from fastpong.kernels_conv import NETWORK as NETWORK
from fastpong.kernels_conv import ConvKernels
from fastpong.kernels_ppo import PpoKernels

Array = NDArray[Any]

PIXELS = 6400
SCREEN = (210, 160)
MODULES = {
    "cython": "fastpong._kernels",
    "numba": "fastpong._kernels_numba",
    "numpy": "fastpong.oracle",
}


class Backend(ConvKernels, PpoKernels):
    """One implementation of the kernels, behind the checks that all of them share."""

    def __init__(self, name: str, raw: Any) -> None:
        self.name = name
        self.raw = raw

    def prepare(self, dtype: DTypeLike) -> None:
        """Compile what is compiled at run time, for one dtype: Numba's kernels, or nothing.

        Before worker processes start, so that they load the code instead of compiling it each.
        """
        compile_all = getattr(self.raw, "compile_all", None)
        if compile_all is not None:
            compile_all(dtype)

    # --- frames ---------------------------------------------------------------------------------

    def preprocess_frame(
        self, frame: Array, table: Array | None = None, out: Array | None = None
    ) -> Array:
        """Crop to the field, take every second row and column, set background 0 and the rest 1.

            f[80 r + c] = 1 if the pixel at screen row 35 + 2r, column 2c is foreground, else 0

        frame : (210, 160, 3) uint8 RGB: background is a red value of 0, 109 or 144; or
                (210, 160) uint8 palette indices: background is what ``table`` maps to 0
        table : (256,) uint8 of 0 and 1, for palette indices only
        out   : (6400,) uint8, float32 or float64; a new float32 array by default

        Exact.
        """
        check = Checker()
        rgb = isinstance(frame, np.ndarray) and frame.ndim == 3
        frame = check.input("frame", frame, U8, (*SCREEN, 3) if rgb else SCREEN)
        out = check.output("out", out, (*FLOATS, *U8), (PIXELS,))
        checks.no_overlap({"out": out}, {"frame": frame})
        if rgb and table is not None:
            raise TypeError("table: expected None with an RGB frame, got an array")
        if rgb:
            self.raw.preprocess_frame_rgb(frame, out)
        else:
            table = checks.table(table)
            checks.no_overlap({"out": out}, {"table": table})
            self.raw.preprocess_frame(frame, table, out)
        return out

    def difference_frame(
        self, current: Array, previous: Array | None, out: Array | None = None
    ) -> Array:
        """Return x_t = f_t - f_{t-1}, and zeros for an episode's first frame.

        current  : (D,) uint8, float32 or float64, a preprocessed frame
        previous : (D,) of the same dtype, or None on the first step
        out      : (D,) of the same dtype (int8 for uint8 frames); may be one of the inputs

        Exact.
        """
        check = Checker()
        current = check.input("current", current, (*FLOATS, *U8), ("D",))
        if previous is None:
            previous = current
        kinds = (current.dtype,)
        previous = check.input("previous", previous, kinds, ("D",))
        out = check.output("out", out, I8 if current.dtype == np.uint8 else kinds, ("D",))
        checks.same_or_separate("out", out, "current", current)
        checks.same_or_separate("out", out, "previous", previous)
        self.raw.difference_frame(current, previous, out)
        return out

    def sparse_difference_frame(
        self,
        screen: Array,
        previous: Array | None,
        table: Array,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Preprocess two palette screens and return only where they differ, in one pass.

        screen   : (210, 160) uint8 palette indices, as ``ALEInterface.getScreen`` gives them
        previous : the screen of the step before, or None on the first step
        table    : (256,) uint8, 0 for background and 1 for foreground
        out      : buffers (indices, signs), (6400,) uint16 and (6400,) int8, or None

        Returns (indices, signs), both (n,): the pixels in rising order, and +1 where one became
        foreground, -1 where it ceased to be. Views of ``out``, whose next element may have been
        overwritten. Exact.
        """
        check = Checker()
        screen = check.input("screen", screen, U8, SCREEN)
        previous = screen if previous is None else check.input("previous", previous, U8, SCREEN)
        first, second = checks.pair("out", out)
        indices = check.output("indices", first, U16, (PIXELS,))
        signs = check.output("signs", second, I8, (PIXELS,))
        table = checks.table(table)
        checks.no_overlap(
            {"indices": indices, "signs": signs},
            {"screen": screen, "previous": previous, "table": table},
        )
        n = self.raw.sparse_difference_frame(screen, previous, table, indices, signs)
        return indices[:n], signs[:n]

    # --- network --------------------------------------------------------------------------------

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
        self.raw.policy_forward(x, w1, w2, hidden, probability)
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
        self.raw.sparse_policy_forward(*frames, w1, w2, hidden, probability)
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
        self.raw.policy_backward(x, hidden, dlogit, w2, *grads)
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
        self.raw.sparse_policy_backward(*frames, hidden, dlogit, w2, *grads)
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
        step: Callable[[int, float], int] = self.raw.PolicyStep(
            *inputs.values(),
            outputs["indptr"], outputs["indices"], outputs["signs"], outputs["actions"],
        )  # fmt: skip
        return step

    # --- returns --------------------------------------------------------------------------------

    def discount_rewards(
        self,
        rewards: Array,
        gamma: float,
        out: Array | None = None,
        reset_on_reward: bool = True,
    ) -> Array:
        """Return the discounted return of every step of one episode.

            G_t = r_t + gamma G_{t+1},   G_T = 0,
            with G_{t+1} taken as 0 where r_t != 0 if ``reset_on_reward``.

        rewards : (T,), points of the game: -1, 0 or +1
        gamma   : in [0, 1], per step of the agent (not per emulated frame)
        out     : (T,); may be ``rewards`` itself
        """
        check = Checker()
        rewards = check.input("rewards", rewards, FLOATS, ("T",))
        gamma = checks.fraction("gamma", gamma)
        out = check.output("out", out, FLOATS, ("T",))
        checks.same_or_separate("out", out, "rewards", rewards)
        self.raw.discount_rewards(rewards, gamma, out, bool(reset_on_reward))
        return out

    def standardize(self, values: Array, out: Array | None = None, center: bool = True) -> Array:
        """Return (v - mean(v)) / std(v), with the population standard deviation.

        values : (T,); where all are equal (or there are none) the result is 0, never NaN
        center : subtract the mean; without it v / std(v)
        out    : (T,); may be ``values`` itself
        """
        check = Checker()
        values = check.input("values", values, FLOATS, ("T",))
        out = check.output("out", out, FLOATS, ("T",))
        checks.same_or_separate("out", out, "values", values)
        self.raw.standardize(values, out, bool(center))
        return out

    # --- optimizer ------------------------------------------------------------------------------

    def rmsprop_update(
        self,
        parameter: Array,
        gradient: Array,
        cache: Array,
        learning_rate: float = 1e-4,
        decay: float = 0.99,
        epsilon: float = 1e-5,
    ) -> None:
        """Climb one RMSProp step in place, all three arrays of one shape.

            c = decay c + (1 - decay) g^2,   w = w + learning_rate g / (sqrt(c) + epsilon)

        parameter, cache : overwritten; writeable and C-contiguous
        gradient         : read
        learning_rate : >= 0;  decay : in [0, 1]
        epsilon       : > 0, also when rounded to the arrays' dtype: a pixel that never lit up
                        has g = c = 0, and nothing else keeps it from 0 / 0
        """
        check = Checker()
        dims = [f"dim {k}" for k in range(np.ndim(parameter))]
        outputs = {
            "parameter": check.given("parameter", parameter, FLOATS, dims),
            "cache": check.given("cache", cache, FLOATS, dims),
        }
        gradient = check.input("gradient", gradient, FLOATS, dims)
        checks.no_overlap(outputs, {"gradient": gradient})
        self.raw.rmsprop_update(
            outputs["parameter"].reshape(-1),
            gradient.reshape(-1),
            outputs["cache"].reshape(-1),
            checks.not_negative("learning_rate", learning_rate),
            checks.fraction("decay", decay),
            check.above_zero("epsilon", epsilon),
        )


@functools.cache
def get_backend(name: str | None = None) -> Backend:
    """Return the kernels of one backend: "cython", "numba" or "numpy"; None is the default one.

    Raises ValueError for another name, and ImportError, saying what to do, where the backend
    cannot be loaded.
    """
    if name is None:
        return _default_backend()
    if name not in MODULES:
        raise ValueError(f"backend: expected one of {', '.join(MODULES)}, got {name!r}")
    try:
        return Backend(name, importlib.import_module(MODULES[name]))
    except ImportError as error:
        raise ImportError(
            f"backend {name!r} cannot be loaded: {error}. Install a C compiler and reinstall "
            f"fastpong for cython, or numba for numba; numpy always works"
        ) from error


def _default_backend() -> Backend:
    name = os.environ.get("FASTPONG_BACKEND")
    if name:
        return get_backend(name)
    try:
        return get_backend("cython")
    except ImportError:
        warnings.warn(
            "fastpong was built without a C compiler: its Cython kernels are missing, Numba's "
            "are used. Install a compiler and reinstall for a quicker start.",
            RuntimeWarning,
            stacklevel=2,
        )
        os.environ["FASTPONG_BACKEND"] = "numba"  # said once: child processes need not say it again
        return get_backend("numba")


_default = get_backend()

preprocess_frame = _default.preprocess_frame
difference_frame = _default.difference_frame
sparse_difference_frame = _default.sparse_difference_frame
policy_forward = _default.policy_forward
policy_backward = _default.policy_backward
sparse_policy_forward = _default.sparse_policy_forward
sparse_policy_backward = _default.sparse_policy_backward
policy_step = _default.policy_step
discount_rewards = _default.discount_rewards
standardize = _default.standardize
rmsprop_update = _default.rmsprop_update
sparse_conv_forward = _default.sparse_conv_forward
sparse_conv_backward = _default.sparse_conv_backward
dense_forward = _default.dense_forward
dense_backward = _default.dense_backward
softmax = _default.softmax
cross_entropy_gradient = _default.cross_entropy_gradient
conv_step = _default.conv_step
adam_update = _default.adam_update
encode_cells = _default.encode_cells
cells_forward = _default.cells_forward
cells_backward = _default.cells_backward
cells_adam = _default.cells_adam
cells_heads = _default.cells_heads
cells_step = _default.cells_step
ppo_gradient = _default.ppo_gradient
ppo_update = _default.ppo_update
td_gradient = _default.td_gradient
gae = _default.gae
