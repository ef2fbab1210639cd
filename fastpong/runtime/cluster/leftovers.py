"""What a Ray of our own leaves behind: its files, and agents that did not notice its end.

An agent whose raylet is killed while both start holds the pipe open that would tell it so. It is
found by the files that it has open.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fastpong.runtime.interpreter import python_command

_PROC = Path("/proc")
_PREFIX = "fastpong-ray-"
_HOME = "fastpong-home"
_SOCKET = "/fastpong-ray-1234567-abcdefgh/session_2026-11-30_09-55-39_123456_1234567"
_SOCKET += "/sockets/plasma_store"
_LONGEST = 107 - len(_SOCKET)
"""Bytes of the path to temporary files: Linux takes 107 of a socket, process ids have 7 digits."""

_SECONDS = 5.0


def make_directory() -> Path:
    """Make a directory for the files of a Ray of ours."""
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_parents()[-1]))
    (directory / _HOME).write_text(_home())
    return directory


def watch(directory: Path) -> subprocess.Popen[bytes]:
    """Start a process that removes a directory when this one has ended, however it ends.

    In a session of its own, where no Ctrl-C of a terminal reaches it.
    """
    program = f"from {__name__} import wait_and_remove; wait_and_remove({str(directory)!r})"
    return subprocess.Popen(
        python_command(program),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_and_remove(directory: str) -> None:
    """Remove a directory when the standard input has ended."""
    sys.stdin.buffer.read()
    remove(Path(directory))


def remove(directory: Path) -> None:
    """Kill all that use a directory, and remove it."""
    deadline = time.monotonic() + _SECONDS
    while pids := [*_users(directory)]:
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    shutil.rmtree(directory, ignore_errors=True)


def _home() -> str:
    """Return a word for this boot of this machine, and its numbers of processes.

    A directory may be shared with other machines and containers. Empty where it cannot be told.
    """
    try:
        boot = (_PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
        return f"{boot} {(_PROC / 'self' / 'ns' / 'pid').readlink()}"
    except OSError:
        return ""


def sweep() -> None:
    """Remove what is left of runs of this user on this machine that were killed."""
    if not (home := _home()):
        return
    for parent in _parents():
        for path in Path(parent).glob(f"{_PREFIX}*-*"):
            pid = path.name.removeprefix(_PREFIX).partition("-")[0]
            with contextlib.suppress(OSError):
                mine = path.stat().st_uid == os.getuid()
                here = mine and (path / _HOME).read_text() == home
                if here and pid.isdecimal() and not (_PROC / pid).exists():
                    remove(path)


def _parents() -> list[str]:
    """Return the directories that ours may be in, the one for new ones last."""
    usual = tempfile.gettempdir()
    return [usual] if len(os.fsencode(usual)) <= _LONGEST else [usual, "/tmp"]


def _users(directory: Path) -> Iterator[int]:
    """Yield the other processes that have a file in a directory open."""
    inside = f"{directory}{os.sep}"
    for process in _PROC.glob("[0-9]*"):
        pid = int(process.name)
        with contextlib.suppress(OSError):  # it has ended, or is not ours
            links = (str(link.readlink()) for link in (process / "fd").iterdir())
            if pid != os.getpid() and any(link.startswith(inside) for link in links):
                yield pid
