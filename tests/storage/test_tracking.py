"""Trackers: what reaches them, and that they cannot harm a training."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from run_cases import config, stats
from waiting import until

from fastpong.storage import tracking
from fastpong.storage.evaluations import EvaluationRow
from fastpong.storage.run import Run, RunError
from fastpong.storage.tracking import FAILED, FINISHED, STOPPED, Tracking, missing, track

EXAM = EvaluationRow(2, 1, 2003, 6009, 0.3, 5, -20.0, 1.0, -21.0, -18.0, 0, 900.0)


class Recorder:
    """A tracker that fails at some steps, and may wait."""

    id = "it"

    def __init__(self, *, failing: tuple[int, ...] = (), gate: threading.Event | None = None):
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.closed: list[str] = []
        self._failing, self._gate = failing, gate

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        if self._gate is not None:
            self._gate.wait(30)
        if step in self._failing:
            raise ConnectionError(f"no network\nat {step}")
        self.logged.append((step, dict(scalars)))

    def close(self, status: str) -> None:
        self.closed.append(status)


def test_a_tracker_that_fails_is_said_once_and_hears_the_rest() -> None:
    recorder, said = Recorder(failing=(1, 2)), list[str]()
    with Tracking(recorder, "wandb", said.append) as tracked:
        for step in range(5):
            tracked.log(step, {"x": step})
        tracked.finished()
    assert [step for step, _ in recorder.logged] == [0, 3, 4]
    assert recorder.closed == [FINISHED]
    assert said == [
        "--track wandb: no network at 1; training goes on, and metrics.csv has every row"
    ]


def test_how_a_run_ended() -> None:
    recorder = Recorder()
    with Tracking(recorder, "wandb", warnings.warn):
        pass
    with pytest.raises(OSError, match="full"), Tracking(recorder, "wandb", warnings.warn):
        raise OSError("full")
    assert recorder.closed == [STOPPED, FAILED]


def test_a_tracker_that_hangs_makes_nobody_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "CLOSE_SECONDS", 0.1)
    gate, said = threading.Event(), list[str]()
    with Tracking(Recorder(gate=gate), "mlflow", said.append) as tracked:
        for step in range(1000):
            tracked.log(step, {"x": step})
    (line,) = said
    assert line.startswith("--track mlflow: does not answer; ")
    gate.set()


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_package_that_is_missing_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A directory of its files is no package."""
    (tmp_path / name).mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem(tracking.importlib.util.sys.modules, name, raising=False)
    assert missing(name) == (
        f"--track {name}: expected the package {name}, found none: pip install {name}"
    )


def test_a_service_that_cannot_begin_is_an_error_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*arguments: object) -> Any:
        raise ConnectionError("no api key")

    monkeypatch.setattr(tracking, "TRACKERS", {"wandb": refuses})
    with Run.create(tmp_path / "run", config()) as run:
        with pytest.raises(RunError, match="--track wandb: cannot begin: no api key; log in by"):
            track(run, "wandb")
        assert run.listeners == []


def tracked_run(directory: Path, name: str) -> str:
    """Track a run of two episodes and an evaluation; return its id."""
    with Run.create(directory, config(seed=7)) as run, track(run, name) as tracked:
        run.log(stats(1))
        run.log(stats(2))
        run.log_evaluation(EXAM)
        tracked.finished()
        return tracked.id


def test_mlflow_has_settings_episodes_and_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'it.db'}")
    monkeypatch.chdir(tmp_path)
    number = tracked_run(tmp_path / "my-run", "mlflow")
    client = MlflowClient()
    found = client.get_run(number)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "my-run")
    assert found.data.params["seed"] == "7" and found.data.params["agent"] == "karpathy"
    history = client.get_metric_history(number, "charts/episodic_return")
    assert [(m.step, m.value) for m in history] == [
        (stats(n).total_steps, pytest.approx(stats(n).score)) for n in (1, 2)
    ]
    (mean,) = client.get_metric_history(number, "eval/mean_reward")
    assert (mean.step, mean.value) == (2003, -20.0)
    assert "train/gradient_norm" in found.data.metrics


def test_wandb_writes_its_files_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    number = tracked_run(tmp_path / "my-run", "wandb")
    (directory,) = (tmp_path / "wandb").glob(f"offline-run-*-{number}")
    (file,) = directory.glob("*.wandb")
    words = (b"my-run", b"charts/episodic_return", b"eval/mean_reward", b"global_step")
    # Its service writes the file after the end of the run.
    until(lambda: all(word in file.read_bytes() for word in words))
