"""``fastpong train --pool``: real processes, and what they leave behind."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import tempfile
from pathlib import Path

import psutil
import pytest
from commands import SMALL, complaint, fastpong, training
from waiting import PATIENCE, until

pytest.importorskip("ray")

RAY = ["--pool", "ray", "--workers", "2", "--save-every", "1"]


@pytest.fixture(autouse=True)
def as_a_user_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the settings of the tests' own cluster away, and see what is written at home."""
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def left() -> list[object]:
    """Return what a Ray of ours may leave: processes, files, shared memory."""
    found: list[object] = [*Path("/tmp").glob("fastpong-ray-*"), *Path("/dev/shm").glob("plasma*")]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), *(file.path for file in process.open_files())]
            if any("fastpong-ray-" in word for word in words):
                found.append(process)
    return found


def weights(run: Path, episode: int) -> str:
    path = run / "checkpoints" / f"{episode:08d}.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_run_on_ray_is_stopped_and_goes_on_without(tmp_path: Path) -> None:
    with training(*RAY, "--run-dir", "run", cwd=tmp_path) as process:
        assert left()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        printed, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and errors == "", (printed, errors)
    assert "stopped by SIGINT after episode" in printed
    assert until(lambda: not left())
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    more = 2 + max(int(path.stem) for path in (tmp_path / "run/checkpoints").glob("*.json"))
    how = {"cwd": tmp_path}
    done = fastpong("train", "--resume", "run", "--pool", "local", "--episodes", more, **how)
    assert done.returncode == 0, done
    done = fastpong("train", *SMALL, "--run-dir", "local", "--episodes", more, **how)
    assert done.returncode == 0, done
    assert weights(tmp_path / "run", more) == weights(tmp_path / "local", more)


def test_a_killed_run_takes_its_ray_along(tmp_path: Path) -> None:
    with training(*RAY, "--run-dir", "run", cwd=tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
    until(lambda: not left())
    done = fastpong("train", "--resume", "run", "--pool", "ray", "--episodes", 4, cwd=tmp_path)
    assert done.returncode == 0, done
    assert until(lambda: not left())


def test_a_long_path_to_temporary_files(tmp_path: Path) -> None:
    """Sockets below it would have names that Linux refuses."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="slurm-job-123456") as long:
        how = {"cwd": tmp_path, "env": {"TMPDIR": long}}
        done = fastpong("train", *SMALL, *RAY, "--run-dir", "run", "--episodes", 2, **how)
    assert done.returncode == 0, done
    assert until(lambda: not left())


@pytest.mark.parametrize(
    ("pool", "reason"),
    [
        ("127.0.0.1:1", "expected a Ray cluster to answer there, got: Connection refused; start"),
        ("ray://127.0.0.1:1", "expected a Ray cluster to answer there, got: Connection refused;"),
        ("cluster", "expected local, ray, HOST:PORT or ray://HOST:PORT, got 'cluster'"),
        ("ray://host", "expected local, ray, HOST:PORT or ray://HOST:PORT, got 'ray://host'"),
    ],
)
def test_addresses_that_are_none(tmp_path: Path, pool: str, reason: str) -> None:
    assert reason in complaint(fastpong("train", "--pool", pool, cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []
