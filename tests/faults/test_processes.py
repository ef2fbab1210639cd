"""Commands end whatever their children do, and however they were started."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from pathlib import Path

from commands import rows
from runs import after, begun, family, in_session, play_an_episode, stop
from waiting import PATIENCE, until

STARTS = {
    "SIGCHLD blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])",
    "SIGCHLD ignored": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "all blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    "SIGINT ignored": "signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "SIGPIPE ended": "signal.signal(signal.SIGPIPE, signal.SIG_DFL)",
}
"""What a parent may have done to signals, and what a shell does for jobs in the background."""


def test_a_run_ends_by_itself_however_signals_are_at_its_start(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(
                begun("--episodes", 2, "--run-dir", name, cwd=tmp_path, before=after(program))
            )
            for name, program in STARTS.items()
        ]
        for process in running:
            printed, errors = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0 and errors == ""
            assert "trained 2 episodes" in printed
            assert in_session(process.pid) == []


def test_a_run_obeys_signals_that_were_blocked_at_its_start(tmp_path: Path) -> None:
    before = after(STARTS["all blocked"])
    with contextlib.ExitStack() as stack:
        running = {
            number: stack.enter_context(
                begun("--run-dir", number.name, cwd=tmp_path, before=before)
            )
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        for number, process in running.items():
            play_an_episode(process)
            process.send_signal(number)
            printed, errors = process.communicate(timeout=PATIENCE)
            assert (process.returncode, errors) == (128 + number, "")
            assert f"stopped by {number.name}" in printed


def test_a_run_whose_children_are_stopped_ends_by_one_signal(tmp_path: Path) -> None:
    victims: dict[str, slice] = {"server": slice(1), "worker": slice(1, 2), "all": slice(3)}
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(begun("--run-dir", name, "--workers", 2, cwd=tmp_path))
            for name in victims
        }
        for name, process in running.items():
            play_an_episode(process)
            server, workers = family(process.pid)
            for child in [server, *workers][victims[name]]:
                stop(child)
        for name, process in running.items():
            process.send_signal(signal.SIGINT)
            printed, errors = process.communicate(timeout=PATIENCE)
            # On a busy machine a stopped worker may have been told of before the signal came.
            errors = re.sub("fastpong: warning: a worker has been playing task .*\n", "", errors)
            assert (process.returncode, errors) == (130, "")
            assert f"after episode {len(rows(tmp_path / name))}" in printed
            until(lambda p=process: in_session(p.pid) == [])


def test_a_run_goes_on_when_a_worker_of_a_stopped_fork_server_dies(tmp_path: Path) -> None:
    with begun("--run-dir", "run", "--workers", 2, cwd=tmp_path) as process:
        play_an_episode(process)
        server, workers = family(process.pid)
        stop(server)
        workers[0].kill()
        play_an_episode(process, "restarts")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130 and errors == ""


def test_the_interpreter_s_end_cannot_keep_a_command() -> None:
    """A thread of some package that never ends, and a Ctrl-C that changes nothing any more."""
    program = (
        "import threading, time, sys; from fastpong.__main__ import main; "
        "threading.Thread(target=lambda: time.sleep(600)).start(); "
        "sys.argv = ['fastpong', 'recipes']; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        until(lambda: "pong-sticky" in process.stdout.readline())
        until(lambda: process.send_signal(signal.SIGINT) or process.poll() is not None)
        assert process.returncode in (0, 130)
