"""Give a cartridge its machine code: from the cache, or compiled in the background.

The interpreter plays until the code is there. Both give the same bits, so it does not matter when
that is.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import fastpong
from fastpong.console.machine import Cartridge
from fastpong.console.translate import cache
from fastpong.console.translate.image import Image, image_key

if sys.platform != "win32":
    import fcntl

Warn = Callable[[str], object]

TIMEOUT = 120.0
"""Seconds for a compilation, and for waiting for another process's."""

POLL = 0.1

_said: set[str] = set()


def attach(
    cartridge: Cartridge, background: bool = True, warn: Warn = warnings.warn
) -> threading.Thread | None:
    """Run a cartridge as machine code, as soon as that is there.

    background : compile in a thread, which is returned. Code from the cache is there at once, 1 ms
    warn       : is told once of what is wrong. The interpreter plays on
    """
    if cartridge.translated or not is_supported():
        return None
    key = image_key(cartridge.rom)
    if _attach_kept(cartridge, key, warn):
        return None
    thread = threading.Thread(
        target=_compile, args=(cartridge, key, warn), name="translation", daemon=True
    )
    thread.start()
    if background:
        return thread
    thread.join(2 * TIMEOUT)
    return None


def is_supported() -> bool:
    """Say whether machine code can be made for this system."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def file_name(cartridge: Cartridge, key: bytes) -> str:
    """Return the name of the file that keeps a cartridge's code."""
    return f"console-{cartridge.rom.sha256[:8]}-{key.hex()[:16]}.code"


def _say(warn: Warn, message: str) -> None:
    """Warn, once a process."""
    if message not in _said:
        _said.add(message)
        warn(message)


def _attach_kept(cartridge: Cartridge, key: bytes, warn: Warn) -> bool:
    """Attach code from the cache. Returns whether there is nothing to compile."""
    try:
        content = cache.read_file(file_name(cartridge, key))
        if content is None:
            return False
        image = Image.from_bytes(key, content)
    except ValueError as error:
        _say(warn, f"translation cache: {error}. It is compiled anew")
        return False
    _attach(cartridge, image, warn)
    return True


def _attach(cartridge: Cartridge, image: Image, warn: Warn) -> None:
    try:
        cartridge.attach(image.code, image.entries)
    except OSError as error:
        _say(
            warn,
            f"translation: expected to be allowed to run compiled code, got {error}. The console "
            f"runs on its interpreter, at half the speed. SELinux: allow execmem",
        )


def _compile(cartridge: Cartridge, key: bytes, warn: Warn) -> None:
    directory = cache.writable_directory()
    if directory is None:
        _say(
            warn,
            "translation cache: expected a directory of your own to write to, got none of "
            f"{', '.join(map(str, cache.candidates()))}. Every process compiles for itself: set "
            "XDG_CACHE_HOME",
        )
    name = file_name(cartridge, key)
    try:
        with _locked(directory, name):
            # Another process may have compiled it meanwhile. What is wrong was said before.
            if not _attach_kept(cartridge, key, lambda message: None):
                content = _run_child(cartridge, directory, name)
                _attach(cartridge, Image.from_bytes(key, content), warn)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        _say(
            warn,
            f"translation: expected llvmlite to compile the cartridge, got {error}. The console "
            f"runs on its interpreter, at half the speed: pip install llvmlite",
        )


def _child_command(name: str, directory: Path | None, file: str) -> list[str]:
    """Return the command of a process that compiles the ROM on its standard input.

    It keeps the image in a directory, if there is one, and writes it to its standard output.
    """
    paths = [str(Path(fastpong.__file__).parents[1]), *sys.path]
    program = (
        "import json, sys; a = json.loads(sys.argv[1]); sys.path[:] = a['path']; "
        "from fastpong.console.translate.compiler import main; main(a)"
    )
    arguments = {
        "path": paths,
        "name": name,
        "directory": str(directory) if directory else None,
        "file": file,
    }
    return [sys.executable, "-I", "-c", program, json.dumps(arguments)]


def _run_child(cartridge: Cartridge, directory: Path | None, name: str) -> bytes:
    done = subprocess.run(
        _child_command(cartridge.rom.name, directory, name),
        input=cartridge.rom.data,
        capture_output=True,
        timeout=TIMEOUT,
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise ValueError(f"exit status {done.returncode}: {lines[-1]}")
    return done.stdout


@contextlib.contextmanager
def _locked(directory: Path | None, name: str) -> Iterator[None]:
    """Let one process compile a cartridge at a time. A dead one's lock is released."""
    if directory is None:
        yield
        return
    file = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
