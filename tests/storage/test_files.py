"""Files written whole or not at all, and messages about those that cannot be."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from fastpong.kernels import ReplayBuffer
from fastpong.storage.files import check_output, replacing, write_atomically

UNWRITABLE = Path("/proc/sys/kernel")  # of root, too
"""A directory in which nobody makes files."""


def test_a_failure_names_the_file_that_was_asked_for() -> None:
    path = UNWRITABLE / "w.bin"
    with pytest.raises(OSError) as raised:
        write_atomically(path, b"x")
    assert (raised.value.filename, raised.value.errno in (errno.EACCES, errno.EPERM, errno.ENOENT,
            errno.EROFS)) == (str(path), True)  # fmt: skip
    with pytest.raises(OSError) as raised, replacing(path) as file:
        file.write(b"x")
    assert raised.value.filename == str(path)


def test_a_disk_that_fills_up_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*w.bin'") as raised:
            write_atomically(tmp_path / "w.bin", bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_outputs_are_checked_before_the_work(tmp_path: Path) -> None:
    check_output(tmp_path / "new.bin")
    check_output(Path("new.bin"))
    with pytest.raises(IsADirectoryError, match="expected a file to write, got a directory"):
        check_output(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"make it: mkdir -p {tmp_path}/a/b"):
        check_output(tmp_path / "a" / "b" / "c.bin")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=f"expected a directory {tmp_path}/file, got a"):
        check_output(tmp_path / "file" / "c.bin")
    if os.geteuid():  # root may write everywhere
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError, match="expected a directory that can be written to"):
            check_output(tmp_path / "c.bin")
        tmp_path.chmod(0o700)


def test_a_replay_buffer_says_where_it_cannot_be_saved(tmp_path: Path) -> None:
    buffer = ReplayBuffer(8, (3,), dtype=np.float32, seed=0)
    with pytest.raises(FileNotFoundError, match=r"expected a directory .*nowhere, found none"):
        buffer.save(tmp_path / "nowhere" / "buffer.npz")
    with pytest.raises(IsADirectoryError, match="expected a file to write, got a directory"):
        buffer.save(tmp_path)
