"""The worker's side of the pool: its preparation and its answers to tasks.

This file imports no NumPy: a worker sets the number of BLAS threads before it loads any.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import spawn
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastpong.runtime import signals
from fastpong.runtime.parent import die_with_parent, end_with

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)

# First byte of a worker's message. The rest is a pickled result or the text of a traceback.
READY, RESULT, ERROR, BROKEN = b"K", b"R", b"E", b"B"


def one_thread(numba_loaded: bool) -> dict[str, str]:
    """Return the environment that gives each library one thread."""
    # Numba raises at the next compilation if its variable has changed since its threads started.
    names = [n for n in _THREAD_VARIABLES if not (numba_loaded and n == "NUMBA_NUM_THREADS")]
    return dict.fromkeys(names, "1")


@dataclass(frozen=True)
class Ties:
    """Tell a process how it hangs together with its parent.

    inherited : the parent's ends of pipes that a forked process holds, too
    bound     : the thread that begins it lasts as long as the parent
    """

    inherited: list[Connection] = field(default_factory=list)
    bound: bool = True


class Cargo:
    """Carry a value, unpickled on request, to a process.

    So the worker's imports come after its threads are pinned and its watcher runs, and if they fail
    it can report that. It is pickled while the process starts, so it may hold memory shared by
    descriptor.
    """

    def __init__(self, value: tuple[object, ...]) -> None:
        self._value = value
        self._pickled: bytes | None = None

    def __getstate__(self) -> bytes:
        try:
            return bytes(multiprocessing.reduction.ForkingPickler.dumps(self._value))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                "expected make_player to be a top-level function of a module, and its arguments "
                f"to be picklable, got {self._value[:2]!r}: {error}"
            ) from error

    def __setstate__(self, pickled: bytes) -> None:
        self._pickled = pickled

    def unpack(self) -> Any:
        """Return the value.

        The caller reports any exception of unpickling it.
        """
        return self._value if self._pickled is None else pickle.loads(self._pickled)


_passed: list[int] = []


@dataclass(frozen=True)
class Passed:
    """Name a descriptor that the fork server's client passed to a process, by its place."""

    place: int

    def detach(self) -> int:
        """Return the descriptor, in that process."""
        return _passed[self.place]


def enter(connection: Connection, descriptors: list[int]) -> None:
    """Do what the first two messages say, in a process of the fork server.

    The first one is multiprocessing's: the path of imports, the program's main module.
    """
    _passed.extend(descriptors)
    current = multiprocessing.current_process()
    current._inheriting = True  # type: ignore[attr-defined]  # a main module must start no other
    try:
        spawn.prepare(pickle.loads(connection.recv_bytes()))
        target, arguments = pickle.loads(connection.recv_bytes())
    finally:
        del current._inheriting  # type: ignore[attr-defined]
    target(connection, *arguments)


def prepare(connection: Connection, ties: Ties) -> None:
    """Prepare a supervised process, first of all.

    It will end with its parent, ignores signals that are for that, and closes its pipes.
    """
    if ties.bound:
        die_with_parent()
    signals.reset()
    for other in ties.inherited:
        other.close()
    end_with(connection.fileno())


def work(connection: Connection, cargo: Cargo, ties: Ties) -> None:
    """Report readiness, then answer tasks until the pipe ends."""
    prepare(connection, ties)
    with contextlib.suppress(EOFError, OSError):  # the parent is gone: nobody to tell
        try:
            # Again: a fork server that someone else launched has its own environment.
            os.environ.update(one_thread("numba" in sys.modules))
            make_player, arguments, weights = cargo.unpack()
            _pin_loaded_blas()
            play = make_player(*arguments)
            views = [weights.slot(i, writeable=False) for i in range(weights.slots)]
        except BaseException:
            connection.send_bytes(BROKEN + _traceback())
            return
        connection.send_bytes(READY)
        while True:
            connection.send_bytes(_answer(play, views, connection.recv_bytes()))


def _answer(play: Callable[..., object], views: Sequence[object], message: bytes) -> bytes:
    try:
        task = pickle.loads(message)
        result = play(task, views[task.version % len(views)])
        return RESULT + pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    except BaseException:  # SystemExit too: a task is answered or its worker is dead
        return ERROR + _traceback()


def _traceback() -> bytes:
    """Return the traceback's text.

    Only text is sent: not every exception survives pickling.
    """
    return traceback.format_exc().encode(errors="backslashreplace")


def _pin_loaded_blas() -> None:
    """Set an OpenBLAS inherited by fork to one thread.

    Its environment variable comes too late.
    """
    try:
        mapped = Path("/proc/self/maps").read_text()
    except OSError:
        return
    for path in {line.split(maxsplit=5)[5] for line in mapped.splitlines() if "openblas" in line}:
        library = ctypes.CDLL(path)
        for prefix in ("", "scipy_"):
            for suffix in ("", "64_"):
                name = f"{prefix}openblas_set_num_threads{suffix}"
                if hasattr(library, name):
                    getattr(library, name)(1)
