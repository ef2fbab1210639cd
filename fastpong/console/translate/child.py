"""Compile a cartridge in another process, one at a time."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import SubprocessError

import fastpong
from fastpong.console.cartridge import Rom

if sys.platform != "win32":
    import fcntl

TIMEOUT = 120.0
"""Seconds for a compilation, and for waiting for another process's."""

POLL = 0.1

__all__ = ["SubprocessError", "compile_kept", "locked"]


def compile_kept(rom: Rom, directory: Path | None, name: str) -> bytes:
    """Compile a cartridge, keep its file in a directory, if there is one, and return its content.

    Raises OSError, subprocess.SubprocessError or ValueError when the process fails.
    """
    done = subprocess.run(
        _child_command(rom.name, directory, name),
        input=rom.data,
        capture_output=True,
        timeout=TIMEOUT,
        start_new_session=True,  # Ctrl-C is for those who play
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise ValueError(f"exit status {done.returncode}: {lines[-1]}")
    return done.stdout


@contextlib.contextmanager
def locked(directory: Path | None, name: str) -> Iterator[None]:
    """Hold the lock of a file. A dead process's is released.

    Raises TimeoutError when another process holds it for too long.
    """
    if directory is None:
        yield
        return
    file = os.open(
        directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no lock on {name} in {TIMEOUT:.0f} s") from None
                time.sleep(POLL)
        yield
    finally:
        os.close(file)


def _child_command(name: str, directory: Path | None, file: str) -> list[str]:
    """Return the command of a process that compiles the ROM on its standard input.

    It keeps the image in a directory, if there is one, and writes it to its standard output.
    """
    # The last one is for our own package, which may be found without sys.path.
    paths = [*sys.path, str(Path(fastpong.__file__).parents[1])]
    program = (
        "import json, sys; a = json.loads(sys.argv[1]); sys.path[:] = a['path']; "
        "import fastpong; sys.path.pop(); "
        "from fastpong.runtime.parent import die_with_parent; die_with_parent(parent=a['parent']); "
        "from fastpong.console.translate.compiler import main; main(a)"
    )
    arguments = {
        "path": paths,
        "parent": os.getpid(),
        "name": name,
        "directory": str(directory) if directory else None,
        "file": file,
    }
    return [sys.executable, "-I", "-c", program, json.dumps(arguments)]
