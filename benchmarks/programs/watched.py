"""A command whose memory is looked at from outside, phase by phase."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
from measure import fastpong_command, plain_environment

LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 300.0
"""How long a command may print nothing, and how long it may take to end."""


@dataclass(frozen=True)
class Peak:
    """Memory of a phase, in bytes.

    main  : the most that the command's own process had resident (VmHWM). The kernel keeps it, so
            that no look can miss it
    total : the most that all its processes had together, pages that several share counted once
            (PSS), as often as was looked
    """

    main: int
    total: int

    def __or__(self, other: Peak) -> Peak:
        return Peak(max(self.main, other.main), max(self.total, other.total))


class Watched:
    """A command of fastpong in a process group of its own."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*fastpong_command(), *arguments], stdin=subprocess.DEVNULL, stdout=self._output,
            stderr=subprocess.STDOUT, process_group=0, env=plain_environment(),
        )  # fmt: skip

    def phase(self, done: Callable[[], bool] = lambda: False) -> Peak:
        """Return the peak until ``done()``, or until the command ends."""
        self._forget_peak()
        found, printed, last = Peak(0, 0), -1, time.monotonic()
        while self.process.poll() is None and not done():
            found |= self._look()
            if printed != (printed := os.fstat(self._output.fileno()).st_size):
                last = time.monotonic()
            elif time.monotonic() > last + PATIENCE_SECONDS:
                raise RuntimeError(f"nothing happened for long:\n{self._said()}")
            time.sleep(LOOK_SECONDS)
        return found | self._look()

    def end(self) -> Peak:
        """Interrupt it as Ctrl-C does, and return the peak of its end."""
        self._forget_peak()
        self.process.send_signal(signal.SIGINT)
        return self._phase_from_here()

    def check(self, *statuses: int) -> None:
        """Raise RuntimeError unless it has ended in one of these ways."""
        if self.process.wait(PATIENCE_SECONDS) not in statuses:
            raise RuntimeError(f"exit status {self.process.returncode}:\n{self._said()}")

    def _phase_from_here(self) -> Peak:
        found = Peak(0, 0)
        while self.process.poll() is None:
            found |= self._look()
            time.sleep(LOOK_SECONDS / 5)
        return found

    def _forget_peak(self) -> None:
        """Make the kernel begin a new VmHWM."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _look(self) -> Peak:
        peak = _status(self.process.pid, "VmHWM")
        total = 0
        with contextlib.suppress(psutil.Error):
            main = psutil.Process(self.process.pid)
            total = sum(_pss(one.pid) for one in [main, *main.children(recursive=True)])
        return Peak(peak, total)

    def _said(self) -> str:
        self._output.seek(0)
        return self._output.read()[-2000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._output.close()


def _status(pid: int, name: str) -> int:
    return _kilobytes(Path(f"/proc/{pid}/status"), name)


def _pss(pid: int) -> int:
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


def _kilobytes(path: Path, name: str) -> int:
    """Return a line of a file of /proc in bytes, 0 for a process that has ended."""
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0
