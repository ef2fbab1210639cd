"""The lock of a run's directory, held by the process that trains in it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from fastpong.storage.files import Warn, reason
from fastpong.storage.manifest import CONFIG
from fastpong.storage.opening import open_descriptor

LOCK = ".lock"
_NO_LOCKS = frozenset({
    errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL,
})  # fmt: skip
"""Of file systems without locks: some of Lustre, NFS and FUSE."""


class RunError(Exception):
    """Report a run that cannot be created, resumed or gone on with.

    The message gives the reason and the remedy.
    """


@contextlib.contextmanager
def claimed(directory: Path, warn: Warn) -> Iterator[int]:
    """Lock a run's directory for this process.

    An exception releases it. A file system without locks is a warning.

    Yields the descriptor that holds the lock. The kernel releases it when the process ends,
    however it ends.
    """
    # A link in a stranger's run must not lead to a file that is emptied below.
    lock = open_descriptor(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    try:
        _take(directory, lock, warn)
        with contextlib.suppress(OSError):  # on a full disk the number alone is missing
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield lock
    except BaseException:
        os.close(lock)
        raise


def _take(directory: Path, lock: int, warn: Warn) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
        raise RunError(
            f"{directory}: is in use by process {holder}; stop that one first, or wait for it"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warn(
            f"{directory}: this file system has no locks ({reason(error)}), and nothing keeps a "
            "second process from training here; see to it that there is none"
        )


def release(lock: int) -> None:
    """Unlock and close a descriptor of ``claimed``."""
    with contextlib.suppress(OSError):  # without locks there is nothing to unlock
        # Not only closed: workers made by fork hold copies of the descriptor.
        fcntl.flock(lock, fcntl.LOCK_UN)
    os.close(lock)


class Place:
    """Tell whether a path still leads to the directory that was locked."""

    def __init__(self, directory: Path, lock: int) -> None:
        self._path, self._lock = directory / LOCK, lock
        # Some network file systems number their files anew. There only a missing one is noticed.
        self._numbered = self._is_same()

    @property
    def is_there(self) -> bool:
        """Return whether the directory is neither removed nor replaced."""
        try:
            return self._is_same() or not self._numbered
        except (FileNotFoundError, NotADirectoryError):
            return self._path.with_name(CONFIG).is_file()  # somebody removed the lock alone
        except OSError:  # a disk that fails is another matter
            return True

    def _is_same(self) -> bool:
        return os.path.samestat(self._path.stat(), os.fstat(self._lock))
