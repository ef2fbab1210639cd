"""A small run that the faults are done to, and how they are done."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import SMALL, fastpong
from fuzzing import compiler
from waiting import PATIENCE

SOURCE = Path(__file__).parents[1] / "support" / "refusing.c"


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train three episodes and return the run."""
    home = tmp_path_factory.mktemp("trained")
    done = fastpong(
        "train", *SMALL, "--episodes", 3, "--save-every", 1, "--run-dir", "run", cwd=home
    )
    assert done.returncode == 0, done
    return home / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of the run."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture(scope="package")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Compile the library that makes a file system refuse, and return the environment with it."""
    library = tmp_path_factory.mktemp("refusing") / "refusing.so"
    command = [*compiler(), "-shared", "-fPIC", "-O1", str(SOURCE), "-o", str(library), "-ldl"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except OSError:
        pytest.skip("no C compiler")
    assert done.returncode == 0, done.stderr
    return {"LD_PRELOAD": str(library)}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a real file system of 2 MiB, where we may mount one."""
    target = tmp_path / "disk"
    target.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(target)]
    try:
        failed = subprocess.run(mount, capture_output=True, timeout=PATIENCE).returncode
    except OSError:
        failed = 1
    if os.geteuid() != 0 or failed:
        pytest.skip("mounting a file system needs root")
    yield target
    subprocess.run(["umount", "-l", str(target)], check=True, timeout=PATIENCE)
