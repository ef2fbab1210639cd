"""File systems that refuse: no locks, no flush of directories, nothing writable but the run."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from commands import COMMAND, SMALL, complaint, fastpong, rows
from waiting import PATIENCE

MORE = ["--episodes", 4, "--save-every", 1]


def test_without_locks_it_warns_once_and_trains(
    run: Path, tmp_path: Path, refusing: dict[str, str]
) -> None:
    env = refusing | {"REFUSE_FLOCK": str(errno.ENOLCK)}
    done = fastpong("train", "--resume", run, *MORE, cwd=tmp_path, env=env)
    assert done.returncode == 0, done
    (warning,) = done.stderr.splitlines()
    assert f"this file system has no locks ({os.strerror(errno.ENOLCK)})" in warning
    assert len(rows(run)) == 4


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_every_way_to_have_no_locks(tmp_path: Path, refusing: dict[str, str], number: int) -> None:
    np.savez(tmp_path / "save.npz", W1=np.zeros((2, 6400)), W2=np.zeros(2))
    env = refusing | {"REFUSE_FLOCK": str(number)}
    done = fastpong("import", "save.npz", "run", cwd=tmp_path, env=env)
    assert done.returncode == 0, done
    assert f"this file system has no locks ({os.strerror(number)})" in done.stderr


def test_other_troubles_with_a_lock_end_it(
    run: Path, tmp_path: Path, refusing: dict[str, str]
) -> None:
    env = refusing | {"REFUSE_FLOCK": str(errno.EIO)}
    done = fastpong("train", "--resume", run, *MORE, cwd=tmp_path, env=env)
    assert f"cannot be resumed: {os.strerror(errno.EIO)}" in complaint(done)


@pytest.mark.parametrize(
    ("what", "number"), [("DIRECTORY", errno.EINVAL), ("FILE", errno.EOPNOTSUPP)]
)
def test_without_a_flush_it_saves_and_says_nothing(
    run: Path, tmp_path: Path, refusing: dict[str, str], what: str, number: int
) -> None:
    file = tmp_path / "w.safetensors"
    env = refusing | {f"REFUSE_FSYNC_{what}": str(number)}
    done = fastpong("export", run, file, cwd=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert file.stat().st_size > 1000


def test_a_disk_that_fails_is_said(run: Path, tmp_path: Path, refusing: dict[str, str]) -> None:
    env = refusing | {"REFUSE_FSYNC_FILE": str(errno.EIO)}
    done = fastpong("export", run, tmp_path / "w.safetensors", cwd=tmp_path, env=env)
    assert complaint(done).endswith(f"w.safetensors: {os.strerror(errno.EIO)}")
    done = fastpong("train", "--resume", run, *MORE, cwd=tmp_path, env=env)
    assert done.returncode == 1
    assert "newest checkpoint is of episode 3" in complaint(done)


READ_ONLY = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
cd "$1"
for place in / $(findmnt -rno TARGET | sort -u); do
    case "$place" in "$1"|/proc*|/sys*|/dev*) continue ;; esac
    mount -o remount,bind,ro "$place" || true
done
shift
exec "$@"
"""


def test_everything_but_the_run_is_read_only(tmp_path: Path) -> None:
    """A container with a read-only root: no home, no caches, no temporary directory."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("findmnt"):
        pytest.skip("mounting file systems needs root, unshare and findmnt")
    place = tmp_path / "place"
    place.mkdir()
    inside = (
        "touch /probe 2>/dev/null && exit 99; "
        + " ".join([*COMMAND, "train", *SMALL, "--episodes", "1", "--run-dir", "run"])
        + " && "
        + " ".join([*COMMAND, "eval", "run", "--episodes", "1"])
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", READ_ONLY, "sh", str(place), "sh", "-c", inside],
        env=os.environ | {"HOME": "/nowhere"}, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    if done.returncode == 99 or "ermission denied" in done.stderr or "ermitted" in done.stderr:
        pytest.skip(f"this system lets nobody remount: {done.stderr.strip()[:100]}")
    assert done.returncode == 0, done
    assert "trained 1 episode, " in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["train", "plot", "info"])
def test_no_place_for_caches(run: Path, tmp_path: Path, command: str) -> None:
    nowhere = dict.fromkeys(
        ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR"),
        "/dev/null/nowhere",
    )
    arguments = {
        "train": ["train", "--resume", run, *MORE],
        "plot": ["plot", run, "-o", tmp_path / "curves.png"],
        "info": ["info"],
    }
    backend = {"FASTPONG_BACKEND": "numba"} if command == "info" else {}
    done = fastpong(*arguments[command], cwd=tmp_path, env=nowhere | backend)
    assert done.returncode == 0, done
    assert command != "info" or "(default: numba)" in done.stdout
    assert "Traceback" not in done.stderr
