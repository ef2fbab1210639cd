"""Regular files, opened without waiting.

A pipe would wait for its other end, a device may have no end, and reading either may change it. So
whatever path a person or a run names, only a regular file behind it is opened.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import tomllib
from pathlib import Path
from typing import BinaryIO

MAX_TOML_BYTES = 1 << 18
"""Of a file of settings."""
_MOST_DOTS = 500

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# Without O_NONBLOCK a pipe that takes the file's place after the first look would block.
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def open_descriptor(path: Path, flags: int) -> int:
    """Open a regular file and return its descriptor.

    flags : as of ``os.open``. With O_CREAT the file is made where there is none

    Raises OSError, which names the file and its kind.
    """
    try:
        check_regular(path, path.stat())
    except ValueError as error:  # a name with a NUL in it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    descriptor = os.open(path, flags | _FLAGS, 0o666)
    try:
        check_regular(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read its bytes.

    Raises OSError, which names the file and its kind.
    """
    return os.fdopen(open_descriptor(path, os.O_RDONLY), "rb")


def read_regular(path: Path, limit: int | None = None) -> bytes:
    """Return the bytes of a regular file.

    limit : the most bytes that are read into memory

    Raises OSError, also for a larger file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if limit is not None and size > limit:
            raise OSError(errno.EFBIG, f"expected at most {limit} bytes, got {size}", str(path))
        return file.read(size)


def read_text(path: Path, limit: int | None = None) -> str:
    """Return the text of a regular file of UTF-8, with or without its mark.

    Line ends of all systems become newlines. Raises OSError as ``read_regular``, ValueError for
    other bytes.
    """
    text = read_regular(path, limit).decode("utf-8-sig")
    return io.StringIO(text, newline=None).read()


def read_toml(path: Path) -> dict[str, object]:
    """Return the values of a TOML file of settings.

    Raises OSError as ``read_regular``, ValueError for anything but TOML.
    """
    text = read_text(path, MAX_TOML_BYTES)
    # tomllib's time grows with the square of a key's parts: 20 s for 5,000 of them.
    if any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
        raise ValueError(f"expected up to {_MOST_DOTS} dots in a line, got more")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("expected tables and lists in each other, got too many") from error


def check_regular(path: Path, found: os.stat_result) -> None:
    """Raise OSError for anything but a regular file."""
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        number = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        raise OSError(number, f"expected a regular file, got {kind}", str(path))
