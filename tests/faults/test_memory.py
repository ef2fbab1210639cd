"""Memory: a checkpoint takes no second copy of what it holds, and small containers suffice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import COMMAND
from waiting import PATIENCE

SUPPORT = Path(__file__).resolve().parents[1] / "support"
MB = 1_000_000

BUFFER = 95 * MB
"""Of dqn's replay buffer of 300,000 steps, as large in memory as in a checkpoint."""

TRAINER = 230 * MB
"""The most that dqn's trainer has resident, with a full buffer, whatever it does."""

TOGETHER = 320 * MB
"""The smallest control group that it is promised to live in, with one worker."""

PEAKS = """
import os, sys
import numpy as np
from pathlib import Path
from fastpong.storage import checkpoint
from fastpong.storage.tensors import read_into

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    found = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return found * 1024

rng = np.random.default_rng(1)
arrays = {"u": rng.integers(0, 9, 20_000_000).astype(np.uint16), "f": np.ones(5_000_000)}
peak()
before = peak()
path = checkpoint.save(sys.argv[1], 1, arrays, {})
saved = peak()
found = checkpoint.load(path)
loaded = peak()
for name, array in arrays.items():
    read_into(found.arrays, name, array)
print(before, saved, loaded, peak())
"""


def python(*arguments: object) -> str:
    command = [sys.executable, "-P", *map(str, arguments)]
    env = os.environ | {"PYTHONPATH": str(SUPPORT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_arrays_go_to_a_checkpoint_and_back_without_a_copy(tmp_path: Path) -> None:
    """Of 80 MB of arrays."""
    before, *peaks = map(int, python("-c", PEAKS, tmp_path).split())
    for peak in peaks:
        assert peak < before + 6 * MB, (before, peaks)


@contextlib.contextmanager
def memory_group(limit: int) -> Iterator[Path | None]:
    """Yield a control group of so many bytes, None where none can be made."""
    group = _made_group(Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", limit)
    group = group or _made_group(Path("/sys/fs/cgroup"), "memory.max", limit)
    try:
        yield group
    finally:
        _remove(group)


def _remove(group: Path | None) -> None:
    """Remove a control group, whose last processes may be about to end."""
    for _ in range(100 if group is not None else 0):
        with contextlib.suppress(OSError):
            group.rmdir()  # type: ignore[union-attr]
            return
        time.sleep(0.1)


def _made_group(base: Path, name: str, limit: int) -> Path | None:
    group = base / f"fastpong-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        return None
    try:
        (group / name).write_text(str(limit))
    except OSError:
        group.rmdir()
        return None
    return group


PEAK = """
import resource, subprocess, sys
procs, peak, *command = sys.argv[1:]
if procs:
    with open(procs, "w") as group:
        group.write("0")
status = subprocess.run(command).returncode
with open(peak, "w") as file:
    file.write(str(1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status)
"""
"""Runs a command and writes its peak. Of its own, for a process inherits the peak of its parent."""


def run_inside(group: Path | None, arguments: list[str], cwd: Path) -> int:
    """Run a command in a control group, which must end well. Returns its own peak in bytes."""
    procs = str(group / "cgroup.procs") if group else ""
    with (cwd / "said.txt").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-P", "-S", "-c", PEAK, procs, cwd / "peak", *COMMAND, *arguments],
            cwd=cwd, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        said.seek(0)
        assert process.returncode == 0, (process.returncode, said.read())
    return int((cwd / "peak").read_text())


def test_dqn_with_a_full_buffer_in_a_small_container(tmp_path: Path) -> None:
    """It is resumed, learns and saves, and is evaluated, and nothing is killed."""
    run = tmp_path / "run"
    python(SUPPORT / "full_buffer.py", run)
    (first,) = (run / "checkpoints").glob("*.safetensors")
    assert BUFFER < first.stat().st_size < BUFFER + 20 * MB
    with memory_group(TOGETHER) as group:
        arguments = ["train", "--resume", str(run), "--total-timesteps", "4096"]
        peak = run_inside(group, arguments, tmp_path)
        assert peak < TRAINER, peak / MB
        peak = run_inside(group, ["eval", str(run), "--episodes", "1"], tmp_path)
        assert peak < TRAINER - BUFFER, peak / MB
    (second,) = (run / "checkpoints").glob("*.safetensors")  # of episode 0, too
    assert second.name != first.name
    if group is None:
        pytest.skip("no control group of memory can be made here; the peaks are as promised")
