"""The kernels compiled by Numba: names and argument order of ``fastpong.oracle``.

Raw: ``fastpong.kernels`` validates, converts and allocates; here shapes and layouts are trusted.

A. A kernel is compiled when first called with a dtype, or by ``compile_all``. Its one signature
   per dtype takes read-only arrays for inputs: writeable arrays convert to them, so that no mix
   of flags compiles anything twice.
B. No fastmath: sums have a fixed order, so the bits are the same from call to call. Sums over
   steps (returns, mean, deviation) are float64 whatever the dtype; sums over pixels are of the
   dtype, in the order of the pixels, which makes the dense and the sparse kernels agree bit for
   bit. error_model="numpy": no check of divisors, which would keep loops from being vectorised.
C. Zero pixels are skipped in the dense kernels too: a difference frame has about 22 others of
   6400. W1 is pixel-major, so a pixel is an axpy over one contiguous row.
D. Compiled code is kept on disk; see ``_Cache``.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import pickle
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import config
from numba.core.caching import FunctionCache
from numpy.typing import DTypeLike, NDArray

Array = NDArray[np.generic]

PIXELS = 6400
WIDTH = 80
TOP = 35  # first screen row of the field; it spans 160 rows, of which every second is kept


class _Cache(FunctionCache):  # type: ignore[misc]
    """Keeps one file per function, signature and CPU; whatever is wrong with it is a miss.

    Numba's own cache numbers its files through an index per function. Two processes that save
    at once can leave an index pointing at the other's code, garbage raises at load, and a
    flipped bit is executed. Here the name follows from the key, so there is no index to race
    for, and the file opens with the sha256 of the source's stamp, its name and its content.
    What was compiled from other source, or renamed, counts as damaged and is overwritten.
    """

    def _path(self, sig: Any, codegen: Any) -> Path:
        cpu, versions = codegen.magic_tuple(), (sys.implementation.cache_tag, numba.__version__)
        key = repr((sig, cpu, versions, config.BOUNDSCHECK))
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        function = f"{self._py_func.__module__.rpartition('.')[2]}.{self._py_func.__name__}"
        return Path(self.cache_path) / f"{function}-{digest}.nbc"

    def _digest(self, path: Path, content: bytes) -> bytes:
        origin = repr((self._impl.locator.get_source_stamp(), _stamp(), path.name))
        return hashlib.sha256(origin.encode() + content).digest()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            target_context.refresh()
            path = self._path(sig, target_context.codegen())
            stored = path.read_bytes()
            if stored[:32] != self._digest(path, stored[32:]):
                return None
            return self._impl.rebuild(target_context, pickle.loads(stored[32:]))
        except Exception:
            return None  # then it is compiled, as if nothing had been there

    def save_overload(self, sig: Any, data: Any) -> None:
        path = self._path(sig, data.codegen)
        scratch = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        try:
            content = self._cache_file._dump(self._impl.reduce(data))
            scratch.write_bytes(self._digest(path, content) + content)
            scratch.replace(path)
        except Exception:
            # A full or read-only disk costs the next process a compilation, not this one its run.
            scratch.unlink(missing_ok=True)


def _stamp() -> tuple[float, int]:
    """Return time and size of this file: kernels of other files call functions of it."""
    status = Path(__file__).stat()
    return status.st_mtime, status.st_size


class _Kernel:
    """A function compiled once per dtype, from explicit signatures, when it is first needed."""

    def __init__(self, function: Callable[..., Any], key: int, signature: Callable[..., Any]):
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        self.key, self.signature = key, signature
        self.dispatcher: Any = _compiled(function)
        self.entries: dict[Any, Callable[..., Any]] = {}
        self.lock = threading.Lock()

    def compile(self, dtype: DTypeLike) -> Callable[..., Any]:
        """Compile for ``dtype``, or load; return what can be called without type resolution."""
        dtype = np.dtype(dtype)
        with self.lock:
            if dtype not in self.entries:
                self.dispatcher.disable_compile(False)
                signature = self.signature(numba.from_dtype(dtype))
                self.entries[dtype] = self.dispatcher.compile(signature)
                # From here on writeable arrays are converted to the signature's read-only ones.
                self.dispatcher.disable_compile()
        return self.entries[dtype]

    def __call__(self, *arguments: Any) -> Any:
        dtype = arguments[self.key].dtype
        if dtype not in self.entries:
            self.compile(dtype)
        return self.dispatcher(*arguments)


def _compiled(function: Callable[..., Any]) -> Any:
    dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    # Either error: no directory can be written to, and each process compiles for itself.
    with contextlib.suppress(OSError, RuntimeError):
        dispatcher._cache = _Cache(function)
    return dispatcher


def _kernel(key: int, signature: Callable[..., Any]) -> Callable[[Callable[..., Any]], _Kernel]:
    """Make a kernel whose dtype is that of argument ``key``."""
    return lambda function: _Kernel(function, key, signature)


def _helper(function: Callable[..., Any]) -> Any:
    return numba.njit(nogil=True, error_model="numpy")(function)


def _in(dtype: Any, ndim: int) -> Any:
    return types.Array(dtype, ndim, "C", readonly=True)


def _out(dtype: Any, ndim: int) -> Any:
    return types.Array(dtype, ndim, "C")


U8, I8, U16, I64, F64 = types.uint8, types.int8, types.uint16, types.int64, types.float64
SPARSE = (_in(I64, 1), _in(U16, 1), _in(I8, 1))


@_kernel(2, lambda F: (_in(U8, 2), _in(U8, 1), _out(F, 1)))
def preprocess_frame(screen: Any, table: Any, out: Any) -> None:
    """Write ``table[screen]`` of the field: (210, 160) u8 palette indices -> (6400,) of 0 and 1."""
    for row in range(WIDTH):
        for column in range(WIDTH):
            out[row * WIDTH + column] = table[screen[TOP + 2 * row, 2 * column]]


@_kernel(1, lambda F: (_in(U8, 3), _out(F, 1)))
def preprocess_frame_rgb(frame: Any, out: Any) -> None:
    """Write 0 where red is 0, 109 or 144, else 1: (210, 160, 3) u8 -> (6400,)."""
    for row in range(WIDTH):
        for column in range(WIDTH):
            red = frame[TOP + 2 * row, 2 * column, 0]
            # & and not `and`: without branches the loop is vectorised.
            out[row * WIDTH + column] = (red != 0) & (red != 109) & (red != 144)


@_kernel(0, lambda F: (_in(F, 1), _in(F, 1), _out(I8 if F == U8 else F, 1)))
def difference_frame(current: Any, previous: Any, out: Any) -> None:
    """Write x_t = f_t - f_{t-1}: (D,) each; u8 frames give int8."""
    for d in range(len(out)):
        out[d] = current[d] - previous[d]


@_helper
def _encode(screen: Any, previous: Any, table: Any, indices: Any, signs: Any, start: int) -> int:
    """Write the difference of two screens from ``start`` on; return the position after it."""
    n = start
    for row in range(WIDTH):
        y = TOP + 2 * row
        # Most rows are as they were, and comparing bytes is vectorised, looking them up is not.
        changed = np.uint8(0)
        for x in range(2 * WIDTH):
            changed = np.uint8(changed | (screen[y, x] ^ previous[y, x]))
        if changed == 0:
            continue
        for column in range(WIDTH):
            now, before = table[screen[y, 2 * column]], table[previous[y, 2 * column]]
            if now != before:
                indices[n] = row * WIDTH + column
                signs[n] = 1 if now > before else -1
                n += 1
    return n


@_kernel(0, lambda F: (_in(U8, 2), _in(U8, 2), _in(U8, 1), _out(U16, 1), _out(I8, 1)))
def sparse_difference_frame(
    screen: Any, previous: Any, table: Any, indices: Any, signs: Any
) -> int:
    """Write the non-zeros of the difference frame of two palette screens; return their number n.

    indices[:n] u16 ascending, signs[:n] int8 in {-1, +1}; the rest of both is left alone.
    """
    return int(_encode(screen, previous, table, indices, signs, 0))


@_helper
def _sigmoid(logit: float) -> float:
    """Return 1 / (1 + exp(-logit)); the exponent is never positive, so nothing overflows."""
    small = math.exp(-abs(logit))
    return (1.0 if logit >= 0 else small) / (1.0 + small)


@_helper
def _finish(hidden: Any, w2: Any) -> float:
    """Apply the ReLU to one row of ``hidden`` and return p. NaN stays NaN, as in the oracle."""
    # Four sums, because one would wait for itself: the order is fixed, the latency hidden.
    a = b = c = d = 0.0
    units = len(w2)
    for h in range(units):
        hidden[h] = 0 if hidden[h] < 0 else hidden[h]
    for h in range(0, units - 3, 4):
        a += float(hidden[h]) * float(w2[h])
        b += float(hidden[h + 1]) * float(w2[h + 1])
        c += float(hidden[h + 2]) * float(w2[h + 2])
        d += float(hidden[h + 3]) * float(w2[h + 3])
    for h in range(units - units % 4, units):
        a += float(hidden[h]) * float(w2[h])
    return float(_sigmoid((a + b) + (c + d)))


@_helper
def _add_pixels(indices: Any, signs: Any, first: int, last: int, w1: Any, hidden: Any) -> None:
    """Write the sum of +-W1 rows of one sparse frame, before the ReLU."""
    hidden[:] = 0
    for k in range(first, last):
        d, sign = indices[k], w1.dtype.type(signs[k])  # int8 times float32 would be float64
        for h in range(len(hidden)):
            hidden[h] += sign * w1[d, h]


@_helper
def _add_gradient(scale: Any, hidden: Any, w2: Any, grad: Any) -> None:
    """Add scale * W2 where h > 0 into one pixel's row of the gradient.

    The product is made anew for every pixel: a row of scratch would have to be allocated, and
    the row of the gradient, out of a farther cache, takes longer to come than the product.
    """
    for h in range(len(w2)):
        grad[h] += scale * w2[h] if hidden[h] > 0 else grad.dtype.type(0)


@_kernel(0, lambda F: (_in(F, 2), _in(F, 2), _in(F, 1), _out(F, 2), _out(F, 1)))
def policy_forward(x: Any, w1: Any, w2: Any, hidden: Any, probability: Any) -> None:
    """Write h = ReLU(x W1) and p = sigmoid(h . W2): (T, D) -> (T, H) and (T,)."""
    for t in range(len(x)):
        hidden[t] = 0
        for d in range(x.shape[1]):
            value = x[t, d]
            if value != 0:
                for h in range(len(w2)):
                    hidden[t, h] += value * w1[d, h]
        probability[t] = _finish(hidden[t], w2)


@_kernel(0, lambda F: (_in(F, 2), _in(F, 2), _in(F, 1), _in(F, 1), _out(F, 2), _out(F, 1)))
def policy_backward(x: Any, hidden: Any, dlogit: Any, w2: Any, grad_w1: Any, grad_w2: Any) -> None:
    """Add the gradient of sum_t dlogit_t logit_t: (D, H) and (H,).

    dW2 = h^T dlogit;  dW1 = x^T (dlogit W2^T where h > 0).
    """
    for t in range(len(x)):
        for d in range(x.shape[1]):
            if x[t, d] != 0:
                _add_gradient(x[t, d] * dlogit[t], hidden[t], w2, grad_w1[d])
        for h in range(len(w2)):
            grad_w2[h] += dlogit[t] * hidden[t, h]


@_kernel(3, lambda F: (*SPARSE, _in(F, 2), _in(F, 1), _out(F, 2), _out(F, 1)))
def sparse_policy_forward(
    indptr: Any, indices: Any, signs: Any, w1: Any, w2: Any, hidden: Any, probability: Any
) -> None:
    """Write ``policy_forward`` of the dense frames; only the rows of lit pixels are read."""
    for t in range(len(hidden)):
        _add_pixels(indices, signs, indptr[t], indptr[t + 1], w1, hidden[t])
        probability[t] = _finish(hidden[t], w2)


@_kernel(3, lambda F: (*SPARSE, _in(F, 2), _in(F, 1), _in(F, 1), _out(F, 2), _out(F, 1)))
def sparse_policy_backward(
    indptr: Any,
    indices: Any,
    signs: Any,
    hidden: Any,
    dlogit: Any,
    w2: Any,
    grad_w1: Any,
    grad_w2: Any,
) -> None:
    """Add ``policy_backward`` of the dense frames; only the rows of lit pixels are touched."""
    for t in range(len(hidden)):
        for k in range(indptr[t], indptr[t + 1]):
            scale = w2.dtype.type(signs[k]) * dlogit[t]
            _add_gradient(scale, hidden[t], w2, grad_w1[indices[k]])
        for h in range(len(w2)):
            grad_w2[h] += dlogit[t] * hidden[t, h]


@_kernel(
    2,
    lambda F: types.int64(
        _in(U8, 3),
        _in(U8, 1),
        _in(F, 2),
        _in(F, 1),
        _out(I64, 1),
        _out(U16, 1),
        _out(I8, 1),
        _out(U8, 1),
        _out(F, 1),
        I64,
        F64,
    ),
)
def _policy_step(
    screens: Any,
    table: Any,
    w1: Any,
    w2: Any,
    indptr: Any,
    indices: Any,
    signs: Any,
    actions: Any,
    hidden: Any,
    t: int,
    uniform: float,
) -> int:
    """Encode, forward, choose: see ``PolicyStep``."""
    if t < 0 or t >= len(actions):
        return -1
    start = indptr[t]
    if start < 0 or start > len(indices) - PIXELS:  # this way round nothing overflows
        return -1
    end = start
    if t > 0:
        end = _encode(screens[t & 1], screens[(t - 1) & 1], table, indices, signs, start)
    _add_pixels(indices, signs, start, end, w1, hidden)
    # Rounded as sparse_policy_forward rounds it, so that both speak of one policy.
    action = 1 if uniform < w2.dtype.type(_finish(hidden, w2)) else 0
    indptr[t + 1] = end
    actions[t] = action
    return action


class PolicyStep:
    """Decide one step of an episode: encode the screen, forward, choose.

    Buffers belong to the caller and are bound once: screens (2, 210, 160) u8, table (256,) u8,
    w1 (D, H), w2 (H,), indptr (cap + 1,) i64, indices (room,) u16, signs (room,) i8,
    actions (cap,) u8.
    """

    __slots__ = ("_buffers", "_step")

    def __init__(
        self,
        screens: Array,
        table: Array,
        w1: Array,
        w2: Array,
        indptr: Array,
        indices: Array,
        signs: Array,
        actions: Array,
    ) -> None:
        buffers = (screens, table, w1, w2, indptr, indices, signs, actions, np.empty_like(w2))
        # Step -1 has no room: this compiles, and checks types, once. The entry of the compiled
        # code, called below, resolves none: 0.65 us around a step, through the dispatcher 0.85.
        _policy_step(*buffers, -1, 0.0)
        self._buffers, self._step = buffers, _policy_step.compile(w1.dtype)

    def __call__(self, t: int, uniform: float) -> int:
        """Record step t and return 1 (RIGHT) with probability p, else 0 (LEFT); -1: no room."""
        return self._step(*self._buffers, t, uniform)  # type: ignore[no-any-return]


@_kernel(0, lambda F: (_in(F, 1), F64, _out(F, 1), types.boolean))
def discount_rewards(rewards: Any, gamma: float, out: Any, reset_on_reward: bool) -> None:
    """Write G_t = r_t + gamma G_{t+1}, G_T = 0: (T,) -> (T,); ``out`` may be ``rewards``.

    With ``reset_on_reward`` G_{t+1} counts as 0 where r_t != 0: a point ends a rally.
    """
    later = 0.0
    for t in range(len(rewards) - 1, -1, -1):
        reward = float(rewards[t])
        later = reward if reset_on_reward and reward != 0 else reward + gamma * later
        out[t] = later


@_kernel(0, lambda F: (_in(F, 1), _out(F, 1), types.boolean))
def standardize(values: Any, out: Any, center: bool) -> None:
    """Write (v - mean, or v) / population standard deviation; zeros where all values are equal.

    ``out`` may be ``values``. Two passes, since the mean of the squares minus the square of the
    mean cancels. Equality is asked of the values: their deviation from a rounded mean is not 0.
    """
    steps = len(values)
    equal = True
    total = squares = 0.0
    for t in range(steps):
        equal &= values[t] == values[0]
        total += float(values[t])
    mean = total / steps
    for t in range(steps):
        squares += (float(values[t]) - mean) ** 2
    deviation = math.sqrt(squares / steps)
    if equal or deviation == 0:  # the latter where deviations are too small to be squared
        out[:] = 0
        return
    shift = mean if center else 0.0
    for t in range(steps):
        out[t] = (float(values[t]) - shift) / deviation


@_kernel(0, lambda F: (_out(F, 1), _in(F, 1), _out(F, 1), F64, F64, F64))
def rmsprop_update(
    parameter: Any, gradient: Any, cache: Any, learning_rate: float, decay: float, epsilon: float
) -> None:
    """Climb in place: c = decay c + (1 - decay) g^2;  w = w + rate g / (sqrt(c) + epsilon)."""
    kind = parameter.dtype.type
    # 1 - decay before rounding: in float32 the difference would be off by 1e-6 of itself.
    keep, take = kind(decay), kind(1.0 - decay)
    rate, small = kind(learning_rate), kind(epsilon)
    for i in range(len(parameter)):
        g = gradient[i]
        c = keep * cache[i] + take * g * g
        cache[i] = c
        parameter[i] += rate * g / (math.sqrt(c) + small)


TRAINING = (
    _policy_step,
    sparse_policy_forward,
    sparse_policy_backward,
    discount_rewards,
    standardize,
    rmsprop_update,
)


def compile_all(dtype: DTypeLike) -> None:
    """Compile, or load, what training in ``dtype`` calls, before workers start.

    They would each compile it again otherwise; so they find it on disk, written by one process.
    """
    for kernel in TRAINING:
        kernel.compile(dtype)
