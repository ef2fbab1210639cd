"""The worker's side of the pool: its preparation and its answers to tasks.

This file imports no NumPy: a worker sets the number of BLAS threads before it loads any.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


@contextlib.contextmanager
def inheritable_settings(method: str) -> Iterator[None]:
    """Prepare the environment for processes started inside.

    They begin with SIGINT blocked, one thread per library and our path.

    A new interpreter would otherwise print a KeyboardInterrupt when Ctrl-C comes before it can
    ignore it, and BLAS reads its variables once, when it is loaded. The fork server is told our
    sys.path but does not use it. It would preload any package of our name in the current
    directory: a checkout's, say, without its compiled kernels.
    """
    if method != "fork":
        resource_tracker.ensure_running()  # inside, it would unblock SIGINT again
    threads = _thread_variables(method == "fork" and "numba" in sys.modules)
    settings = dict.fromkeys(threads, "1") | {
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }
    before = {name: os.environ.get(name) for name in settings}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        os.environ.update(settings)
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextlib.contextmanager
def hidden_main() -> Iterator[None]:
    """Keep processes started inside from running our main module.

    They import it otherwise, as far as it is a file, and a script that starts a training outside
    of ``if __name__ == "__main__":`` would start one in every worker.
    """
    main = sys.modules["__main__"]
    file, spec = main.__dict__.pop("__file__", None), main.__spec__
    try:
        main.__spec__ = None
        yield
    finally:
        main.__spec__ = spec
        if file is not None:
            main.__file__ = file


def _thread_variables(numba_loaded: bool) -> list[str]:
    # Numba raises at the next compilation if its variable has changed since its threads started.
    return [n for n in _THREAD_VARIABLES if not (numba_loaded and n == "NUMBA_NUM_THREADS")]


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


def prepare(inherited: list[Connection]) -> None:
    """Prepare a supervised process, first of all.

    It will end with its parent, ignores a terminal's signals and closes ``inherited`` connections.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _reset_signals()
    for other in inherited:
        other.close()


def work(connection: Connection, cargo: Cargo, inherited: list[Connection]) -> None:
    """Report readiness, then answer tasks until the pipe ends."""
    prepare(inherited)
    with contextlib.suppress(EOFError, OSError):  # the parent is gone: nobody to tell
        try:
            # Again: a fork server that someone else launched has its own environment.
            os.environ.update(dict.fromkeys(_thread_variables("numba" in sys.modules), "1"))
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


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _reset_signals() -> None:
    """Ignore a terminal's signals, take SIGTERM, drop inherited handlers."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


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
