"""Nameless shared memory for arrays: one writer, many readers, nothing left behind.

The block has no name in any file system: it is a memfd, or, where that is denied, a temporary file
that is unlinked from birth. It lives as long as a process holds it open, so a SIGKILL of all of
them frees it.
Named blocks (``multiprocessing.shared_memory``) stay in /dev/shm after a SIGKILL.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import tempfile
import warnings
import weakref
from collections.abc import Callable, Mapping
from multiprocessing import reduction
from multiprocessing.context import get_spawning_popen
from typing import Literal, Protocol

import numpy as np
from numpy.typing import DTypeLike

from fastpong.arrays import Array

__all__ = ["ALIGNMENT", "SharedArrays"]

ALIGNMENT = 64
"""Every array begins at a multiple of this many bytes: a cache line, and an AVX-512 register."""

_DENIED = {errno.EACCES, errno.EPERM, errno.ENOSYS, errno.EINVAL}
_UNKNOWN = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_CHUNK = 1 << 20

Backing = Literal["memfd", "file"]


class _DuplicatedDescriptor(Protocol):
    def detach(self) -> int: ...


class SharedArrays:
    """Hold several copies of named arrays in shared memory.

    They lie in one anonymous block.

    shapes  : name -> shape, the same in every slot. C-contiguous, 64-byte aligned, zeros at first
    dtype   : of all arrays, any fixed-size dtype without Python objects
    slots   : number of copies, >= 1
    backing : "memfd" (memory), "file" (an unlinked temporary file, mapped) or None for memfd
              if the system has and permits it, else file, with a warning if it is denied

    Give it to a process as an argument at its start, under any start method. The child maps the
    same memory. It cannot be pickled at any other time (RuntimeError), for it carries a file
    descriptor.

    Raises TypeError or ValueError for bad arguments, OSError when there is no room for the block.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        dtype: DTypeLike,
        slots: int,
        *,
        backing: Backing | None = None,
    ) -> None:
        self.shapes = _checked_shapes(shapes)
        self.dtype = _checked_dtype(dtype)
        self.slots = _checked_count("slots", slots, minimum=1)
        self.backing = _checked_backing(backing)
        self._layout()
        self._own(self._create(fall_back=backing is None))

    def _layout(self) -> None:
        """Place a slot's arrays at multiples of 64."""
        self._offsets: dict[str, int] = {}
        end = 0
        for name, shape in self.shapes.items():
            self._offsets[name] = end
            end = _round_up(end + math.prod(shape) * self.dtype.itemsize)
        self._stride = end
        self.nbytes = max(end * self.slots, ALIGNMENT)

    def _create(self, fall_back: bool) -> int:
        if self.backing == "memfd":
            try:
                return _create_memfd(self.nbytes)
            except OSError as error:
                # A seccomp filter, vm.memfd_noexec=2 or an old kernel.
                if not fall_back or error.errno not in _DENIED:
                    raise
                warnings.warn(
                    f"memfd_create is denied here ({error.strerror}); the weights lie in an "
                    f"unlinked file in {tempfile.gettempdir()}",
                    RuntimeWarning,
                    stacklevel=2,  # here, so that it is said once
                )
        self.backing = "file"
        return _create_file(self.nbytes)

    def _own(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._maps: dict[bool, mmap.mmap] = {}
        self._finalizer = weakref.finalize(self, os.close, descriptor)

    def slot(self, index: int, writeable: bool = True) -> dict[str, Array]:
        """Return views of a slot's arrays by name.

        With ``writeable=False`` the memory itself is mapped read-only: NumPy refuses to write,
        and a stray pointer ends the process instead of corrupting everyone's weights.

        Raises ValueError when ``index`` lies outside [0, slots) or after close().
        """
        if not 0 <= index < self.slots:
            raise ValueError(f"expected a slot in [0, {self.slots}), got {index}")
        memory = self._map(writeable)
        start = index * self._stride
        return {
            name: np.ndarray(shape, self.dtype, memory, start + self._offsets[name])
            for name, shape in self.shapes.items()
        }

    def write(self, index: int, arrays: Mapping[str, Array]) -> None:
        """Copy ``arrays`` into a slot.

        They have exactly the declared names, shapes and dtype. Nothing is written unless all fit.
        Raises ValueError or TypeError naming the array.
        """
        target = self.slot(index)
        if arrays.keys() != target.keys():
            raise ValueError(f"expected arrays named {sorted(target)}, got {sorted(arrays)}")
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray) or array.dtype != self.dtype:
                got = getattr(array, "dtype", type(array).__name__)
                raise TypeError(f"expected {name!r} to be an array of {self.dtype}, got {got}")
            if array.shape != self.shapes[name]:
                raise ValueError(
                    f"expected {name!r} of shape {self.shapes[name]}, got {array.shape}"
                )
        for name, array in arrays.items():
            np.copyto(target[name], array)

    def close(self) -> None:
        """Release the block.

        May be called again. The memory is freed when every process has closed it and the last view
        of it is gone: views handed out before stay valid.
        """
        self._maps.clear()  # not mmap.close(): it refuses while views exist
        self._finalizer()

    def _map(self, writeable: bool) -> mmap.mmap:
        if not self._finalizer.alive:
            raise ValueError("these shared arrays are closed; make new ones")
        if writeable not in self._maps:
            protection = mmap.PROT_READ | (mmap.PROT_WRITE if writeable else 0)
            self._maps[writeable] = mmap.mmap(
                self._descriptor, self.nbytes, mmap.MAP_SHARED, protection
            )
        return self._maps[writeable]

    def __reduce__(self) -> tuple[Callable[..., SharedArrays], tuple[object, ...]]:
        if not self._finalizer.alive:
            raise ValueError("these shared arrays are closed; make new ones")
        if get_spawning_popen() is None:
            raise RuntimeError(
                "expected shared arrays to be handed to a process at its start, got a pickling at "
                "another time; pass them in the arguments of multiprocessing's Process"
            )
        descriptor = reduction.DupFd(self._descriptor)
        return _rebuild, (self.shapes, self.dtype.str, self.slots, self.backing, descriptor)

    def __repr__(self) -> str:
        names = ", ".join(f"{name}{list(shape)}" for name, shape in self.shapes.items())
        return f"<SharedArrays {self.slots} x ({names}) {self.dtype}, {self.backing}>"


def _rebuild(
    shapes: dict[str, tuple[int, ...]],
    dtype: str,
    slots: int,
    backing: Backing,
    descriptor: _DuplicatedDescriptor,
) -> SharedArrays:
    arrays = SharedArrays.__new__(SharedArrays)
    arrays.shapes, arrays.dtype = shapes, np.dtype(dtype)
    arrays.slots, arrays.backing = slots, backing
    arrays._layout()
    arrays._own(descriptor.detach())
    return arrays


def _create_memfd(nbytes: int) -> int:
    descriptor = os.memfd_create("fastpong")
    try:
        os.ftruncate(descriptor, nbytes)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _create_file(nbytes: int) -> int:
    # TemporaryFile asks for O_TMPFILE and so never has a name; elsewhere it unlinks at once.
    with tempfile.TemporaryFile(prefix="fastpong-", buffering=0) as file:
        try:
            _reserve(file.fileno(), nbytes)
        except OSError as error:
            asked = f"{tempfile.gettempdir()}: {nbytes:,} bytes of shared memory"
            raise OSError(error.errno, error.strerror, asked) from error
        return os.dup(file.fileno())


def _reserve(descriptor: int, nbytes: int) -> None:
    """Reserve the blocks of a file: on a full disk a hole is a SIGBUS at the first write."""
    try:
        os.posix_fallocate(descriptor, 0, nbytes)
    except (AttributeError, OSError) as error:  # a system or a file system without it
        if isinstance(error, OSError) and error.errno not in _UNKNOWN:
            raise
        zeros = memoryview(bytes(min(nbytes, _CHUNK)))
        for start in range(0, nbytes, _CHUNK):
            os.pwrite(descriptor, zeros[: nbytes - start], start)


def _round_up(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _checked_count(name: str, value: object, *, minimum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"expected {name} to be an int, got {value!r}")
    if value < minimum:
        raise ValueError(f"expected {name} >= {minimum}, got {value}")
    return int(value)


def _checked_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    if not shapes:
        raise ValueError("expected at least one array, got no shapes")
    return {
        name: tuple(_checked_count(f"the shape of {name!r}", n, minimum=0) for n in shape)
        for name, shape in shapes.items()
    }


def _checked_dtype(dtype: DTypeLike) -> np.dtype[np.generic]:
    checked = np.dtype(dtype)
    if checked.hasobject or checked.itemsize == 0:
        raise TypeError(f"expected a fixed-size dtype without Python objects, got {checked}")
    return checked


def _checked_backing(backing: Backing | None) -> Backing:
    has_memfd = hasattr(os, "memfd_create")
    if backing is None:
        return "memfd" if has_memfd else "file"
    if backing not in ("memfd", "file"):
        raise ValueError(f"expected backing 'memfd', 'file' or None, got {backing!r}")
    if backing == "memfd" and not has_memfd:
        raise ValueError("this system has no memfd; use backing 'file' or None")
    return backing
