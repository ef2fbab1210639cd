"""Directories that keep machine code, and its files.

Code in a directory is as trusted as whoever can write there. So the directory must be the user's
own and closed to the world, and so must the file.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

MOST_BYTES = 1 << 24
"""Of a file. A cartridge's code takes 20 to 100 kB."""


def candidates() -> Iterator[Path]:
    """Yield the directories that may keep code: beside Numba's kernels first."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        yield Path(chosen) / "fastpong"
    yield Path(__file__).parent / "__pycache__"
    base = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield (Path(base) if base else Path.home() / ".cache") / "fastpong"


def is_own(status: os.stat_result) -> bool:
    """Say whether only the user can write to a file, and the world not to a directory."""
    others = stat.S_IWOTH if stat.S_ISDIR(status.st_mode) else stat.S_IWOTH | stat.S_IWGRP
    return status.st_uid == os.getuid() and not status.st_mode & others


def trusted_directories() -> list[Path]:
    """Return the directories that exist and may be read."""
    found = []
    for path in candidates():
        with contextlib.suppress(OSError):
            if is_own(path.stat()):
                found.append(path)
    return found


def writable_directory() -> Path | None:
    """Return the first directory that may be written to, made if need be."""
    for path in candidates():
        with contextlib.suppress(OSError):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_own(path.stat()) and os.access(path, os.W_OK | os.X_OK):
                return path
    return None


def read_file(name: str) -> bytes | None:
    """Return a kept file's content, or None.

    Raises ValueError for a file that others may have written.
    """
    for directory in trusted_directories():
        try:
            # Without waiting for whoever writes to a pipe of that name.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            file = os.open(directory / name, flags)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ValueError(f"expected a readable file, got {error}") from error
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) or not is_own(status):
                raise ValueError(
                    f"expected a file of your own that only you can write to, "
                    f"got {directory / name}"
                )
            with os.fdopen(file, "rb", closefd=False) as stream:
                return stream.read(MOST_BYTES)
        except OSError as error:
            raise ValueError(f"expected a readable file, got {error}") from error
        finally:
            os.close(file)
    return None


def write_file(directory: Path, name: str, content: bytes) -> None:
    """Keep a file. Readers see all of it or nothing."""
    scratch = directory / f"{name}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
        scratch.replace(directory / name)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
