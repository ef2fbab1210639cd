"""Signals of terminals, schedulers and containers, sent to real runs."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pool_parent
import pool_players
import psutil
import pytest
from commands import SMALL, rows
from runs import begun, family, has_ended, in_session, play_an_episode
from terminals import Session, session
from waiting import PATIENCE, until

from fastpong.storage import checkpoint

SCHEDULERS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
IN_A_CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc"]


def test_a_scheduler_s_signal_to_all_processes_saves_and_ends(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        running = {
            number: stack.enter_context(begun("--run-dir", number.name, cwd=tmp_path))
            for number in SCHEDULERS
        }
        for process in running.values():
            play_an_episode(process)
        for number, process in running.items():
            os.killpg(process.pid, number)
            printed, errors = process.communicate(timeout=PATIENCE)
            assert (process.returncode, errors) == (128 + number, "")
            run = tmp_path / number.name
            episode = checkpoint.newest(run / "checkpoints")[0].episode
            assert episode == len(rows(run)) > 0
            assert f"stopped by {number.name} after episode {episode}" in printed
            until(lambda p=process: in_session(p.pid) == [])


def signalled(process: subprocess.Popen[str]) -> bool:
    """Send a scheduler's signals to a process and its workers."""
    for number in SCHEDULERS:
        os.killpg(process.pid, number)
    return True


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_scheduler_s_signals_disturb_no_process_but_the_parent(
    tmp_path: Path, method: str
) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, pool_parent.__file__, method, "hold", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        # From the start of interpreters on, and into the tasks.
        until(lambda: signalled(process) and pool_players.starts(tmp_path, 1))
        (tmp_path / "go").touch()
        printed, errors = process.communicate(timeout=PATIENCE)
    last = json.loads(printed.splitlines()[-1])
    assert errors == "" and last["restarts"] == 0
    assert last["results"] == {str(n): n * n for n in range(4)}


@pytest.mark.skipif(
    subprocess.run([*IN_A_CONTAINER, "true"], capture_output=True).returncode != 0
    if sys.platform == "linux"
    else True,
    reason="namespaces need root",
)
def test_the_first_process_of_a_container_saves_and_ends(tmp_path: Path) -> None:
    with begun("--run-dir", "run", "--workers", 2, cwd=tmp_path, before=IN_A_CONTAINER) as process:
        play_an_episode(process)
        (first,) = psutil.Process(process.pid).children()
        children = first.children(recursive=True)
        _, workers = family(first.pid)
        assert len(workers) == 2
        workers[-1].kill()  # to be replaced
        first.send_signal(signal.SIGTERM)
        printed, errors = process.communicate(timeout=PATIENCE)
    assert f"stopped by SIGTERM after episode {len(rows(tmp_path / 'run'))}" in printed
    assert errors == ""
    until(lambda: all(map(has_ended, children)))


def hidden(shown: Session) -> bool:
    """Return whether the cursor is."""
    return shown.raw.rfind("\x1b[?25l") > shown.raw.rfind("\x1b[?25h")


def elapsed(shown: Session) -> int:
    """Return the seconds on the panel."""
    found = re.findall(r"elapsed (\d+):(\d+):(\d+)", shown.raw)
    return sum(int(part) * 60**place for place, part in enumerate(reversed(found[-1])))


def read_until(shown: Session, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, shown.raw[-2000:]
        shown.read()


def test_ctrl_z_gives_the_cursor_back_and_stops_the_clock(tmp_path: Path) -> None:
    start = time.monotonic()
    with session("train", *SMALL, "--run-dir", "run", cwd=tmp_path, drawn=False) as shown:
        read_until(shown, lambda: "elapsed" in shown.raw and "frames/s" in shown.raw)
        shown.press("\x1a")
        stopped = psutil.Process(shown.pid)
        read_until(shown, lambda: stopped.status() == psutil.STATUS_STOPPED)
        shown.read()
        assert not hidden(shown)
        before, drawn, paused = elapsed(shown), len(shown.raw), time.monotonic()
        time.sleep(4)
        pause = time.monotonic() - paused
        stopped.send_signal(signal.SIGCONT)
        read_until(shown, lambda: shown.raw.count("elapsed", drawn) >= 3)
        assert hidden(shown)
        assert before <= elapsed(shown) <= time.monotonic() - start - pause
        shown.press("\x03")
        assert shown.end() == 130
        assert not hidden(shown)
