"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp"
"""End of a temporary file's name. A crash leaves such a file."""


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file's content whole or not at all.

    After a crash it holds either the old or the new content. Raises OSError: then the old content
    stands and the temporary file is gone.
    """
    write_files({path: data})


def check_output(path: Path) -> None:
    """Raise OSError for a path that no file can be written to.

    The message is one sentence with the remedy. It is called before the work whose result is
    written.
    """
    directory = path.parent
    if path.is_dir():
        raise IsADirectoryError(
            f"{path}: expected a file to write, got a directory; name a file in it"
        )
    if not directory.exists():
        raise FileNotFoundError(
            f"{path}: expected a directory {directory}, found none; make it: mkdir -p {directory}"
        )
    if not directory.is_dir():
        raise NotADirectoryError(
            f"{path}: expected a directory {directory}, got a file; name another path"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(
            f"{path}: expected a directory that can be written to, {directory} cannot; name a file "
            "elsewhere, or change its permissions"
        )


def make_directory(directory: Path) -> None:
    """Make a directory that survives a power cut."""
    if not directory.is_dir():
        directory.mkdir(parents=True)
        _sync(directory.parent)


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write temporary files, then rename them in order.

    They are of one directory.
    """
    temporary = {path: path.with_name(path.name + TEMPORARY) for path in contents}
    renamed: list[Path] = []
    try:
        for path, data in contents.items():
            _write(temporary[path], data)
        for path in contents:
            temporary[path].replace(path)
            renamed.append(path)
    except OSError as error:
        # The last rename did not happen, so nothing refers to the files before it.
        for path in [*temporary.values(), *renamed]:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        raise blame_asked(error, temporary) from error
    for directory in {path.parent for path in contents}:
        _sync(directory)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that takes a path's place when it is whole.

    After a failure the old content stands, and the temporary file is gone.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise blame_asked(error, {path: temporary}) from error
        raise
    _sync(path.parent)


def blame_asked(error: OSError, temporary: Mapping[Path, Path]) -> OSError:
    """Return an error about the file that was asked for, and not its temporary one.

    temporary : the files that were asked for, and those that were written
    """
    asked = {str(other): str(path) for path, other in temporary.items()}
    name = asked.get(str(error.filename), error.filename) or next(iter(asked.values()))
    return OSError(error.errno or errno.EIO, error.strerror or str(error), name)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
