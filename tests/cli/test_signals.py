"""Signals, dead workers, and what they leave behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from commands import (
    fastpong,
    played,
    rows,
    training,
)  # fmt: skip
from waiting import PATIENCE, until

from fastpong.storage import checkpoint


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_to_the_group_ends_a_run_with_a_checkpoint(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    with training("--run-dir", "my run", cwd=tmp_path) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, number)  # as a terminal does
        printed, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    assert errors == ""
    episode = checkpoint.newest(tmp_path / "my run" / "checkpoints")[0].episode
    assert episode == len(rows(tmp_path / "my run")) > 0
    assert f"stopped by {number.name} after episode {episode}; checkpoint my run/" in printed
    assert "fastpong train --resume 'my run'\n" in printed
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []


def test_a_stopped_run_goes_on_as_if_nothing_had_been(
    tmp_path: Path, trained: tuple[Path, str]
) -> None:
    with training("--run-dir", "run", cwd=tmp_path) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    before = rows(tmp_path / "run")
    episodes = max(3, len(before) + 1)
    done = fastpong("train", "--resume", "run", "--episodes", episodes, cwd=tmp_path)
    assert done.returncode == 0, done
    assert f"going on after episode {len(before)} of run" in done.stdout
    after = rows(tmp_path / "run")
    assert after[: len(before)] == before
    assert len(after) == episodes
    assert float(after[-1]["wall_seconds"]) > float(before[-1]["wall_seconds"])
    assert played(tmp_path / "run")[:3] == played(trained[0])


def test_another_ctrl_c_ends_a_run_at_once(tmp_path: Path) -> None:
    with training(cwd=tmp_path) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        until(lambda: process.send_signal(signal.SIGINT) or process.poll() is not None)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []


def test_the_second_signal_kills_workers_and_waits_for_nothing() -> None:
    code = """
import os, signal, subprocess, sys
from fastpong.cli.interrupt import Interrupt
with Interrupt() as interrupt:
    child = subprocess.Popen(["sleep", "60"])
    interrupt.deferred, interrupt.pids = True, lambda: [child.pid, 2**22 + 1]
    os.kill(os.getpid(), signal.SIGTERM)
    assert interrupt() and interrupt.status == 143
    os.kill(os.getpid(), signal.SIGTERM)  # impatient supervisors do not spoil the checkpoint
    print("still here", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("unreachable", flush=True)
"""
    # The child holds the other end of our pipe: this returns only when it is dead, too.
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (130, "still here\n")


def test_a_signal_before_training_raises_and_leaves_no_handlers() -> None:
    from fastpong.cli.interrupt import Interrupt, Interrupted

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGTERM"), Interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    assert signal.getsignal(signal.SIGTERM) == before


def test_nothing_outlives_a_killed_run_and_it_can_be_resumed(tmp_path: Path) -> None:
    with training("--run-dir", "run", "--save-every", 1, cwd=tmp_path) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2, "a fork server and a worker"
        process.kill()
        process.communicate()
        assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []
    saved = checkpoint.newest(tmp_path / "run" / "checkpoints")[0].episode
    done = fastpong("train", "--resume", "run", "--episodes", saved + 1, cwd=tmp_path)
    assert done.returncode == 0, done
    assert len(rows(tmp_path / "run")) == saved + 1


def kill_workers(pid: int) -> None:
    """Kill those workers of a training that there are."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for server in psutil.Process(pid).children():
            for worker in server.children():
                worker.kill()


def test_workers_that_die_too_often_end_a_run_with_a_checkpoint(tmp_path: Path) -> None:
    with training("--run-dir", "run", cwd=tmp_path) as process:
        until(lambda: kill_workers(process.pid) or process.poll() is not None)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert re.search(r"^fastpong: error: .*(given up|could not start).*SIGKILL", errors, re.M)
    assert "Traceback" not in errors
    assert checkpoint.newest(tmp_path / "run" / "checkpoints")[0].episode == len(
        rows(tmp_path / "run")
    )
