"""A killed command leaves nothing in the temporary directory, in shared memory or in its run."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commands import COMMAND, SMALL, fastpong, rows
from runs import begun, in_session, play_an_episode
from waiting import PATIENCE, until

SHARED = Path("/dev/shm")
WRITTEN = ("config.toml", "versions.json", "best.safetensors", "tracking.json")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a temporary directory for commands."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


def shared() -> set[str]:
    return {path.name for path in SHARED.iterdir()} if SHARED.is_dir() else set()


def test_killed_and_hurried_runs_leave_nothing(tmp_path: Path, temporary: Path) -> None:
    before, names = shared(), ("killed", "killed in saving", "hurried")
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(begun("--run-dir", name, "--save-every", 1, cwd=tmp_path))
            for name in names
        ]
        for process in running:
            play_an_episode(process)
        running[0].kill()
        checkpoints = tmp_path / names[1] / "checkpoints"
        with contextlib.suppress(AssertionError):  # it is a matter of luck
            until(lambda: [*checkpoints.glob("*.tmp")], 1)
        running[1].kill()
        while running[2].poll() is None:
            running[2].send_signal(signal.SIGINT)
            time.sleep(0.01)
        for process in running:
            process.wait()
            until(lambda p=process: in_session(p.pid) == [])
    assert [*temporary.iterdir()] == []
    until(lambda: shared() <= before)  # others may use it for a while
    for path in (checkpoints / "00000009.json", *map((tmp_path / names[1]).joinpath, WRITTEN)):
        path.with_name(path.name + ".tmp").touch()  # so that luck does not matter
    again = [
        subprocess.Popen(
            [*COMMAND, "train", "--resume", name, "--no-progress",
             "--episodes", str(len(rows(tmp_path / name)) + 1)],
            cwd=tmp_path, stdout=subprocess.DEVNULL,
        )
        for name in names
    ]  # fmt: skip
    assert [process.wait(PATIENCE) for process in again] == [0, 0, 0]
    assert [path for name in names for path in (tmp_path / name).rglob("*.tmp")] == []
    assert [*temporary.iterdir()] == []


def test_a_killed_report_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    assert fastpong("train", *SMALL, "--episodes", 1, "--run-dir", "run", cwd=tmp_path)
    report = ("report", "run", "-o", "page.html", "--episodes", "0", "--seconds")
    command = [*COMMAND, *report, "120"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline().startswith("filming")
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert [*temporary.iterdir()] == []
    assert fastpong(*report, 1, cwd=tmp_path).returncode == 0
    assert [*temporary.iterdir()] == []
