"""What workers of the tests do. A module of its own, because worker processes import it."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from fastpong.runtime.pool import Task
from fastpong.runtime.worker import READY, Cargo, Ties, prepare

ENDLESS = 900.0
"""Seconds of tasks that last longer than any test."""


class Unfriendly(Exception):
    """An exception that pickles and does not unpickle."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class Poison:
    """A result that pickles and does not unpickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Unfriendly, ("only one",)


def echo(connection: Connection, cargo: Cargo, ties: Ties) -> None:
    """A supervised process that answers every message with its cargo and the message."""
    prepare(connection, ties)
    connection.send_bytes(READY)
    while True:
        connection.send_bytes(cargo.unpack() + connection.recv_bytes())


def starts(directory: Path, number: int) -> list[int]:
    """Pids of the workers that began task ``number``, in order."""
    path = directory / f"task-{number}"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def interrupts(directory: Path) -> int:
    """Return how many signals pool_parent.py has heard."""
    path = directory / "interrupts"
    return path.stat().st_size if path.exists() else 0


def expected(number: int, weight: float) -> float:
    return number * number + weight


def blas_threads() -> list[int]:
    """What each OpenBLAS in this process says of the number of threads it uses."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    libraries = [
        ctypes.CDLL(path) for path in {line.split()[-1] for line in maps if "blas" in line}
    ]
    names = [f"{p}openblas_get_num_threads{s}" for p in ("", "scipy_") for s in ("", "64_")]
    return [getattr(lib, name)() for lib in libraries for name in names if hasattr(lib, name)]


def facts() -> dict[str, Any]:
    """What a worker can say about itself; the product wakes up any BLAS threads."""
    square = np.ones((400, 400), np.float32)
    (square @ square).sum()
    status = Path("/proc/self/status").read_text()
    return {
        "blas": blas_threads(),
        "threads": int(status.partition("Threads:")[2].split()[0]),
        "environment": {k: v for k, v in os.environ.items() if k.endswith("_NUM_THREADS")},
        "sigint": signal.getsignal(signal.SIGINT),
        "sigterm": signal.getsignal(signal.SIGTERM),
        "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "light": "psutil" not in sys.modules,
    }


def make_player(directory: Path) -> Callable[[Task, dict[str, Any]], Any]:
    """Do what ``task.payload`` says: a verb, and perhaps an argument."""

    def play(task: Task, weights: dict[str, Any]) -> Any:
        with (directory / f"task-{task.number}").open("a") as file:
            file.write(f"{os.getpid()}\n")
        verb, *arguments = task.payload or ("answer",)
        result = VERBS[verb](task, weights, directory, *arguments)
        return expected(task.number, float(weights["w"][0])) if result is None else result

    return play


def _hold(task: Task, weights: Any, directory: Path) -> None:
    deadline = time.monotonic() + ENDLESS
    while not (directory / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.002)


def _spin(task: Task, weights: Any, directory: Path) -> None:
    deadline = time.monotonic() + ENDLESS
    while time.monotonic() < deadline:
        pass


def _fail(task: Task, weights: Any, directory: Path) -> None:
    raise Unfriendly("the ball", "is lost")


def _write(task: Task, weights: Any, directory: Path) -> None:
    weights["w"][0] = 7


def _die(task: Task, weights: Any, directory: Path, number: int) -> None:
    faulthandler.disable()  # pytest's would print every crash of a forked worker
    os.kill(os.getpid(), number)


def _die_at_first(task: Task, weights: Any, directory: Path) -> None:
    if len(starts(directory, task.number)) == 1:
        os.kill(os.getpid(), signal.SIGKILL)


VERBS: dict[str, Callable[..., Any]] = {
    "answer": lambda task, weights, directory, *anything: None,
    "hold": _hold,
    "spin": _spin,
    "sleep": lambda task, weights, directory, seconds=ENDLESS: time.sleep(seconds),
    "fail": _fail,
    "write": _write,
    "leave": lambda task, weights, directory: sys.exit("I leave"),
    "vanish": lambda task, weights, directory: os._exit(3),
    "die": _die,
    "die at first": _die_at_first,
    "unpicklable": lambda task, weights, directory: lambda: None,
    "poison": lambda task, weights, directory: Poison(),
    "array": lambda task, weights, directory, size: np.full(size, task.number, np.uint8),
    "measure": lambda task, weights, directory, data: len(data),
    "facts": lambda task, weights, directory: facts(),
}


def make_nothing(directory: Path) -> Any:
    raise Unfriendly("no emulator", "here")


def make_and_note(directory: Path) -> Any:
    with (directory / "makes").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return make_player(directory)


def make_when_told(directory: Path) -> Any:
    player = make_and_note(directory)
    _hold(Task(0, 0), None, directory)
    return player


def make_and_die(directory: Path) -> Any:
    with (directory / "makes").open("a") as file:
        file.write(f"{os.getpid()}\n")
    os._exit(4)


def make_and_die_later(directory: Path) -> Any:
    """The first worker comes up, then two do not."""
    player = make_and_note(directory)
    if len((directory / "makes").read_text().split()) in (2, 3):
        os.kill(os.getpid(), signal.SIGKILL)
    return player


def make_and_die_at_first(directory: Path) -> Any:
    """Two workers do not come up, the later ones do."""
    with (directory / "makes").open("a") as file:
        file.write(f"{os.getpid()}\n")
    if len((directory / "makes").read_text().split()) <= 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return make_player(directory)


def make_and_hang_at_first(directory: Path) -> Any:
    """The first worker does not come up."""
    with (directory / "makes").open("a") as file:
        file.write(f"{os.getpid()}\n")
    if len((directory / "makes").read_text().split()) == 1:
        time.sleep(ENDLESS)
    return make_player(directory)


def add_one(arrays: Any) -> None:
    """Runs in a process of the shared memory's tests."""
    for index in range(arrays.slots):
        for view in arrays.slot(index).values():
            view += 1


def write_to_read_only(arrays: Any, answer: Any) -> None:
    """Send what NumPy says to a write, then write through a bare pointer."""
    view = arrays.slot(0, writeable=False)["a"]
    try:
        view[0] = 1
    except ValueError as error:
        answer.send(str(error))
    faulthandler.disable()  # a forked child would print the crash that is wanted here
    ctypes.memset(view.ctypes.data, 1, 1)
    answer.send("the pointer wrote")
