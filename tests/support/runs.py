"""Trainings that something happens to, of which nothing is left in the end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from commands import COMMAND, SMALL, Process
from waiting import until


def after(program: str) -> list[str]:
    """Return a command that does something to itself before it becomes another program."""
    return [sys.executable, "-P", "-c", f"import os, signal, sys; {program}; "
            "os.execv(sys.argv[1], sys.argv[1:])"]  # fmt: skip


@contextlib.contextmanager
def begun(
    *arguments: object, cwd: Path, before: list[str] | None = None, **options: Any
) -> Iterator[Process]:
    """Start a training in a session of its own, of which nothing is left in the end."""
    process = Process(
        [*(before or []), *COMMAND, "train", *SMALL, *map(str, arguments)],
        cwd=cwd,
        **{
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "start_new_session": True,
        }
        | options,
    )
    try:
        yield process
    finally:
        for survivor in in_session(process.pid):
            survivor.kill()
        process.communicate()


def play_an_episode(process: subprocess.Popen[str], word: str = "") -> None:
    """Wait for a training's next episode, or for one whose line has a word."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("episode ") and word in line:
            return
    raise AssertionError(process.communicate())


def family(pid: int) -> tuple[psutil.Process, list[psutil.Process]]:
    """Return a training's fork server and its workers.

    A process that compiles a cartridge may be there, too.
    """
    children = {child: child.children() for child in psutil.Process(pid).children()}
    (server,) = [child for child, workers in children.items() if workers]
    return server, children[server]


def stop(process: psutil.Process) -> None:
    """Stop a process, and wait until it is."""
    process.send_signal(signal.SIGSTOP)
    until(lambda: process.status() == psutil.STATUS_STOPPED)


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process has. A zombie waits for nothing but its parent."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def in_session(session: int) -> list[psutil.Process]:
    """Return the processes of a session that have not ended."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
