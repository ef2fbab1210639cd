"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

Warn = Callable[[str], None]
"""Hears of troubles that end nothing."""

TEMPORARY = ".tmp"
"""End of a temporary file's name. A crash leaves such a file."""

Buffer: TypeAlias = bytes | memoryview
_LIMITS = {
    errno.EFBIG: "ulimit -f, or the largest file of this file system",
    errno.EMFILE: "ulimit -n",
    errno.ENFILE: "the system's limit of open files",
}
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Of file systems that cannot flush: CIFS and FUSE for directories, and a few for files."""


def reason(error: OSError) -> str:
    """Return what went wrong in words, with the limit that was reached if it is one."""
    text = error.strerror or str(error)
    limit = _LIMITS.get(error.errno or 0)
    if limit is None or text != os.strerror(error.errno or 0):
        return text
    return f"{text}, see {limit}"


def named(error: OSError) -> str:
    """Return ``reason`` with the file before it, where there is one."""
    return f"{error.filename}: {reason(error)}" if error.filename else reason(error)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file's content whole or not at all.

    After a crash it holds either the old or the new content. Raises OSError: then the old content
    stands and the temporary file is gone.
    """
    write_files({path: [data]})


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
    if path.exists() and not path.is_file():
        raise OSError(
            f"{path}: expected a file to write, got a pipe, a socket or a device; name another path"
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
    """Make a directory that survives a power cut.

    Its parent must be there: one that was removed is not made again behind a person's back.
    """
    if not directory.is_dir():
        directory.mkdir()
        _sync(directory.parent)


def write_files(contents: Mapping[Path, Sequence[Buffer]]) -> None:
    """Write temporary files, then rename them in order.

    contents : parts of each file, in their order. All files are of one directory
    """
    temporary = {path: path.with_name(path.name + TEMPORARY) for path in contents}
    renamed: list[Path] = []
    try:
        for path, parts in contents.items():
            _write(temporary[path], parts)
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


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove the temporary files of killed writes of these files."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.with_name(path.name + TEMPORARY).unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that takes a path's place when it is whole.

    After a failure the old content stands, and the temporary file is gone.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            flush(file.fileno())
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


def _write(path: Path, parts: Sequence[Buffer]) -> None:
    # Whatever a crash or a person left there, such as a pipe, is replaced and not opened.
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        flush(file.fileno())


def flush(descriptor: int) -> None:
    """Write a file's or a directory's content to the disk, where the file system can.

    Raises OSError where it can and fails.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _sync(directory: Path) -> None:
    """Write a directory's entries to the disk."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # it can be written to and not read: there is no way to flush it
        return
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)
