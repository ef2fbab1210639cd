"""Processes of a run: begun on a terminal or without, found by their mark, struck by signals."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from reliability.trainings import MARK, environment

LIMIT_SECONDS = 600.0
"""After which a command counts as hanging. It may be one of many on a busy machine."""

ORPHAN_SECONDS = 60.0
"""The same for what a killed parent leaves. Promised are 5, on a machine that is not busy."""

POLL_SECONDS = 0.005


@dataclass
class Started:
    """A command under way, in a process group of its own.

    mark   : in the environment of all its processes
    output : what it has printed, on both streams and the terminal
    """

    process: subprocess.Popen[bytes]
    mark: str
    home: Path
    terminal: int | None = None
    begun: float = field(default_factory=time.monotonic)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def printed(self) -> str:
        return "".join((self.home / name).read_text(errors="replace") for name in ("out", "err"))

    @property
    def errors(self) -> str:
        return (self.home / "err").read_text(errors="replace")

    def wait(self, condition: Callable[[], object], poll: float = POLL_SECONDS) -> bool:
        """Return whether the condition came true before the command ended."""
        ends = time.monotonic() + LIMIT_SECONDS
        while self.alive and time.monotonic() < ends:
            if condition():
                return True
            time.sleep(poll)
        return False

    def sleep(self, seconds: float) -> bool:
        """Return whether the command is still under way after so long."""
        ends = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() >= ends)
        return self.alive

    def status(self) -> int | None:
        """Return the exit status once it has ended, None if it hangs."""
        try:
            return self.process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            return None


@contextlib.contextmanager
def started(
    command: list[str], home: Path, mark: str, *, watched: bool = False
) -> Iterator[Started]:
    """Begin a command in a directory. In the end nothing of it is left alive.

    watched : on a terminal
    """
    terminal = inner = None
    with (home / "out").open("wb") as out, (home / "err").open("wb") as err:
        if watched:
            terminal, inner = os.openpty()
            fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
            threading.Thread(target=_drain, args=(terminal, home / "err"), daemon=True).start()
        process = subprocess.Popen(
            command,
            cwd=home,
            stdin=subprocess.DEVNULL if inner is None else inner,
            stdout=out if inner is None else inner,
            stderr=err if inner is None else inner,
            env=environment(home, mark) | ({"TERM": "xterm-256color"} if watched else {}),
            process_group=0,  # as a shell's job. A session would not keep our priority
        )
    if inner is not None:
        os.close(inner)
    try:
        yield Started(process, mark, home, terminal)
    finally:
        process.kill()
        process.wait()
        for other in family(mark):
            with contextlib.suppress(psutil.Error):
                other.kill()


def _drain(terminal: int, path: Path) -> None:
    """Write what comes to a terminal into a file, until its other side is closed."""
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while data := os.read(terminal, 65536):
            file.write(data)
    os.close(terminal)


def family(mark: str) -> list[psutil.Process]:
    """Return the living processes with a mark in their environment."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError, psutil.Error):
            # Of a dead one that nobody has waited for it is empty.
            if wanted in path.read_bytes().split(b"\0"):
                found.append(psutil.Process(int(path.parent.name)))
    return found


def helpers(started: Started, *, sweep: bool = False) -> tuple[list[int], list[int]]:
    """Return the workers of a command, and its other helpers: fork servers and trackers.

    A worker has no children.

    sweep : the command's own children are runs, and neither
    """
    workers, others, waiting = [], [], _children(started.process.pid)
    if sweep:
        waiting = [pid for run in waiting for pid in _children(run)]
    while waiting:
        pid = waiting.pop()
        own = _children(pid)
        waiting += own
        (others if own or b"resource_tracker" in _read(pid, "cmdline") else workers).append(pid)
    return workers, others


def _children(pid: int) -> list[int]:
    """Return the children of a process, a thread's among them."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [
        int(word)
        for path in threads
        for word in _read(pid, f"task/{path.parent.name}/children").split()
    ]


def _read(pid: int, name: str) -> bytes:
    """Return a file of a process, nothing once it is dead."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def vanish(mark: str) -> float | None:
    """Return the seconds until no process with a mark is alive, None if that does not come."""
    begun = time.monotonic()
    while family(mark):
        if time.monotonic() - begun > ORPHAN_SECONDS:
            return None
        time.sleep(0.02)
    return time.monotonic() - begun


def strike(pid: int, number: signal.Signals, *, group: bool = False) -> bool:
    """Send a signal, and return whether there was somebody to hear it."""
    with contextlib.suppress(OSError):
        (os.killpg if group else os.kill)(pid, number)
        return True
    return False
