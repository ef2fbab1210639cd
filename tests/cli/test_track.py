"""Trackers as the command uses them: every end closes the run there."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from commands import SMALL, complaint, fastpong, rows, training
from waiting import PATIENCE, until

SHORT = [*SMALL, "--run-dir", "run", "--episodes"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return MLflow's client of a local store, which commands use, too."""
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'it.db'}")
    return MlflowClient()


def number(run: Path, name: str) -> str:
    return str(json.loads((run / "tracking.json").read_text())[name])


def test_mlflow_hears_of_ctrl_c_and_of_the_resumed_run(tmp_path: Path, store: Any) -> None:
    with training("--run-dir", "run", "--track", "mlflow", cwd=tmp_path) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "fastpong: " not in errors
    run = number(tmp_path / "run", "mlflow")
    assert store.get_run(run).info.status == "KILLED"
    episodes = len(rows(tmp_path / "run"))
    assert len(store.get_metric_history(run, "charts/episodic_return")) == episodes
    again = ["--resume", "run", "--track", "mlflow", "--episodes", episodes + 1]
    assert fastpong("train", *again, cwd=tmp_path).returncode == 0
    assert number(tmp_path / "run", "mlflow") == run
    assert store.get_run(run).info.status == "FINISHED"
    assert len(store.get_metric_history(run, "charts/episodic_return")) == episodes + 1


def test_wandb_ends_with_ctrl_c_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with training("--run-dir", "run", "--track", "wandb", cwd=tmp_path) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "fastpong: " not in errors and "Traceback" not in errors
    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    assert b"charts/episodic_return" in file.read_bytes()
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []


def services(pid: int) -> list[psutil.Process]:
    """Return the processes of wandb that a training has started."""
    return [c for c in psutil.Process(pid).children(recursive=True) if "wandb" in c.name()]


def test_a_service_that_dies_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)  # among them the service of a test in this process
    monkeypatch.setenv("WANDB_MODE", "offline")
    with training("--run-dir", "run", "--track", "wandb", cwd=tmp_path) as process:
        for child in until(lambda: services(process.pid)):  # it starts beside the first episodes
            child.kill()
        episodes = len(rows(tmp_path / "run"))
        until(lambda: process.poll() is not None or len(rows(tmp_path / "run")) >= episodes + 2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert errors.count("fastpong: --track wandb: ") == 1, errors
    assert "training goes on, and metrics.csv has every row" in errors


def test_wandb_without_a_login_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    done = fastpong("train", *SHORT, 1, "--track", "wandb", cwd=tmp_path)
    message = complaint(done)
    assert "--track wandb: cannot begin: " in message
    assert "WANDB_MODE=offline" in message
    assert fastpong("train", "--resume", "run", cwd=tmp_path).returncode == 0


def test_a_tracker_that_cannot_begin_leaves_a_run_to_resume(tmp_path: Path) -> None:
    """Without a network and without the package: one that refuses as it does."""
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "__init__.py").write_text(
        "Settings = dict\ndef init(**settings): raise RuntimeError('api_key not configured')\n"
    )
    env = {"PYTHONPATH": str(tmp_path)}
    message = complaint(fastpong("train", *SHORT, 1, "--track", "wandb", cwd=tmp_path, env=env))
    assert "--track wandb: cannot begin: api_key not configured; log in by" in message
    done = fastpong("train", "--resume", "run", cwd=tmp_path)
    assert done.returncode == 0 and "going on after episode 0 of run" in done.stdout, done
    assert len(rows(tmp_path / "run")) == 1


def test_a_run_of_a_sweep_is_tracked(tmp_path: Path, store: Any) -> None:
    seeds = [*SMALL, "--episodes", 1, "--seeds", "1-2", "--run-dir", "it", "--track", "mlflow"]
    done = fastpong("train", *seeds, cwd=tmp_path)
    assert done.returncode == 0, done
    for seed in (1, 2):
        run = number(tmp_path / "it" / f"seed-{seed}", "mlflow")
        assert store.get_run(run).data.params["seed"] == str(seed)
        assert store.get_run(run).info.status == "FINISHED"


def test_a_package_that_is_missing_is_one_message(complain: Any) -> None:
    from fastpong.storage.tracking import missing

    for name in ("wandb", "mlflow"):
        if missing(name) is not None:
            status, message = complain("train", "--track", name)
            assert (status, f"found none: pip install {name}" in message) == (2, True)
    status, message = complain("train", "--track", "clearml")
    assert status == 2
    assert "'clearml' is not one of 'wandb', 'mlflow'" in message
