"""Compiles kernels, once per dtype, and keeps their code on disk.

A. A kernel is compiled when first called with a dtype, or by ``Backend.prepare``. Its one
   signature per dtype takes read-only arrays for inputs: writeable arrays convert to them, so that
   no mix of flags compiles anything twice.
B. No fastmath: sums have a fixed order, so the bits are the same from call to call. Sums over
   steps (returns, mean, deviation) are float64 whatever the dtype. Sums over pixels are of the
   dtype, in the order of the pixels, which makes the dense and the sparse kernels agree bit for
   bit. error_model="numpy": no check of divisors, which would keep loops from being vectorised.
C. Zero pixels are skipped in the dense kernels too: a difference frame has about 22 others of
   6400. W1 is pixel-major, so a pixel is an axpy over one contiguous row.
D. Compiled code is kept on disk, see ``_Cache``.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pickle
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np
from numba import types
from numba.core import config
from numba.core.base import BaseContext as Context
from numba.core.caching import FunctionCache
from numba.core.codegen import Codegen
from numba.core.compiler import CompileResult as Compiled
from numba.core.dispatcher import Dispatcher
from numpy.typing import DTypeLike

from fastpong import geometry

Type: TypeAlias = types.Type
Signature: TypeAlias = tuple[Type, ...] | Type
Function = TypeVar("Function", bound=Callable[..., object])


class _Cache(FunctionCache):  # type: ignore[misc]
    """Keeps one file per function, signature and CPU.

    Numba's own cache numbers its files through an index per function. Two processes that save
    at once can leave an index pointing at the other's code, garbage raises at load, and a
    flipped bit is executed. Here the name follows from the key, so there is no index to race
    for, and the file opens with the sha256 of the source's stamp, its name and its content.
    What was compiled from other source, or renamed, counts as damaged and is overwritten.
    """

    def _path(self, sig: Type, codegen: Codegen) -> Path:
        cpu, versions = codegen.magic_tuple(), (sys.implementation.cache_tag, numba.__version__)
        key = repr((sig, cpu, versions, config.BOUNDSCHECK))
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        function = f"{self._py_func.__module__.rpartition('.')[2]}.{self._py_func.__name__}"
        return Path(self.cache_path) / f"{function}-{digest}.nbc"

    def _digest(self, path: Path, content: bytes) -> bytes:
        origin = repr((self._impl.locator.get_source_stamp(), _stamp(), path.name))
        return hashlib.sha256(origin.encode() + content).digest()

    def load_overload(self, sig: Type, target_context: Context) -> Any:
        try:
            target_context.refresh()
            path = self._path(sig, target_context.codegen())
            stored = path.read_bytes()
            if stored[:32] != self._digest(path, stored[32:]):
                return None
            return self._impl.rebuild(target_context, pickle.loads(stored[32:]))
        except Exception:
            return None  # then it is compiled, as if nothing had been there

    def save_overload(self, sig: Type, data: Compiled) -> None:
        path = self._path(sig, data.codegen)
        scratch = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        try:
            content = self._cache_file._dump(self._impl.reduce(data))
            scratch.write_bytes(self._digest(path, content) + content)
            scratch.replace(path)
        except Exception:
            # A full or read-only disk costs the next process a compilation, not this one its run.
            scratch.unlink(missing_ok=True)


@functools.cache
def _stamp() -> tuple[tuple[str, int, int], ...]:
    """Return the state of all source files.

    Kernels call helpers of the other files in this folder, and constants are compiled in.
    """
    files = [*Path(__file__).parent.glob("*.py"), Path(geometry.__file__)]
    status = [(path.name, path.stat()) for path in sorted(files)]
    return tuple((name, one.st_mtime_ns, one.st_size) for name, one in status)


class Kernel:
    """A function compiled once per dtype, when first needed."""

    def __init__(
        self, function: Callable[..., object], key: int, signature: Callable[[Type], Signature]
    ) -> None:
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        self.key, self.signature = key, signature
        self.dispatcher = _compiled(function)
        self.entries: dict[np.dtype[np.generic], Callable[..., Any]] = {}
        self.lock = threading.Lock()
        self._function = function

    @functools.cached_property
    def for_callers(self) -> Dispatcher:
        """Compiles for callers that are compiled themselves, and for their own arrays.

        ``dispatcher`` compiles nothing but its one signature per dtype.
        """
        return _compiled(self._function)

    @property
    def _numba_type_(self) -> Type:
        """Name the type to Numba, so that compiled functions can call this one."""
        return types.Dispatcher(self.for_callers)

    def compile(self, dtype: DTypeLike) -> Callable[..., Any]:
        """Compile or load for ``dtype``, return the entry point.

        It resolves no types.
        """
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
        """Run the kernel, compile it if need be."""
        key = arguments[self.key]
        dtype = key[0].dtype if isinstance(key, tuple) else key.dtype
        if dtype not in self.entries:
            self.compile(dtype)
        return self.dispatcher(*arguments)


def _compiled(function: Callable[..., object]) -> Dispatcher:
    dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    # Either error: no directory can be written to, and each process compiles for itself.
    with contextlib.suppress(OSError, RuntimeError):
        dispatcher._cache = _Cache(function)
    compiled: Dispatcher = dispatcher
    return compiled


def kernel(
    key: int, signature: Callable[[Type], Signature]
) -> Callable[[Callable[..., object]], Kernel]:
    """Make a kernel, with the dtype of argument ``key``.

    If that is a tuple, of the first array in it.
    """
    return lambda function: Kernel(function, key, signature)


def helper(function: Function) -> Function:
    """Make a function that kernels can call."""
    compiled: Function = numba.njit(nogil=True, error_model="numpy")(function)
    return compiled


def reads(dtype: Type, ndim: int) -> Type:
    """Return the type of an input."""
    kind: Type = types.Array(dtype, ndim, "C", readonly=True)
    return kind


def writes(dtype: Type, ndim: int) -> Type:
    """Return the type of an output."""
    kind: Type = types.Array(dtype, ndim, "C")
    return kind


def maybe(kind: Type) -> Type:
    """Return the type of an argument that may be None."""
    optional: Type = types.Optional(kind)
    return optional


def pack(*kinds: Type) -> Type:
    """Return the type of a tuple."""
    return types.Tuple(kinds)


U8, I8, U16 = types.uint8, types.int8, types.uint16
I32, I64, F64 = types.int32, types.int64, types.float64
SPARSE = (reads(I64, 1), reads(U16, 1), reads(I8, 1))
