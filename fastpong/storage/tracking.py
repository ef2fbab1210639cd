"""Runs in Weights & Biases or MLflow, by their own packages, imported only when asked for.

What is written there goes through a thread of its own. A server that does not answer makes nobody
wait, and one that fails ends no training.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol, Self

from fastpong.extras import in_short
from fastpong.storage.files import write_atomically
from fastpong.storage.logs import Warn
from fastpong.storage.opening import read_regular
from fastpong.storage.run import Run, RunError

PROJECT = "fastpong"
"""Name of the project or experiment, unless the environment has another."""

CLOSE_SECONDS = 30.0
"""How long the end of a run waits for what is not sent yet."""

FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
_IDS = "tracking.json"


class Tracker(Protocol):
    """A run at a service.

    id : by which it can be resumed there
    """

    id: str

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Send scalars of a step."""

    def close(self, status: str) -> None:
        """End the run there: finished, stopped or failed."""


class Wandb:
    """A run of Weights & Biases. WANDB_MODE, WANDB_PROJECT and the like hold."""

    def __init__(self, directory: Path, config: Mapping[str, object], known: str | None) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=directory.name,
            id=known,
            resume="allow" if known else None,
            config=dict(config),
            allow_val_change=True,
            settings=wandb.Settings(console="off"),  # else it takes the streams of the display
        )
        # A run that was cut back to a checkpoint goes on from an earlier step.
        self._run.define_metric("*", step_metric="global_step")
        self.id: str = self._run.id

    @staticmethod
    def prepare() -> None:
        """Do nothing: runs share nothing."""

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Send scalars of a step."""
        self._run.log({"global_step": step, **scalars})

    def close(self, status: str) -> None:
        """End the run."""
        self._run.finish(exit_code=int(status == FAILED))


class Mlflow:
    """A run of MLflow. MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME and the like hold."""

    def __init__(self, directory: Path, config: Mapping[str, object], known: str | None) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self._client, self._metric = MlflowClient(), Metric
        if known is not None:
            self.id = known
            self._client.update_run(known, status="RUNNING")
            return
        tags = {"fastpong.directory": str(directory.resolve())}
        experiment = self._experiment(self._client)
        run = self._client.create_run(experiment, tags=tags, run_name=directory.name)
        self.id = run.info.run_id
        # Longer values are refused by older servers.
        params = [Param(key, str(value)[:500]) for key, value in config.items()]
        self._client.log_batch(self.id, params=params)

    @staticmethod
    def _experiment(client: Any) -> str:
        """Return the id of the experiment, which is made if there is none."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = client.get_experiment_by_name(name)
        return str(found.experiment_id if found else client.create_experiment(name))

    @classmethod
    def prepare(cls) -> None:
        """Make the experiment, and a new local store, which no two runs can make at once."""
        from mlflow import MlflowClient

        cls._experiment(MlflowClient())

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Send scalars of a step."""
        now = int(time.time() * 1000)
        metrics = [self._metric(key, float(value), now, step) for key, value in scalars.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def close(self, status: str) -> None:
        """End the run."""
        names = {FINISHED: "FINISHED", STOPPED: "KILLED", FAILED: "FAILED"}
        self._client.set_terminated(self.id, names[status])


TRACKERS: Mapping[str, type[Wandb] | type[Mlflow]] = {"wandb": Wandb, "mlflow": Mlflow}
_HELP = {
    "wandb": "log in by `wandb login`, or set WANDB_MODE=offline and send it later by `wandb sync`",
    "mlflow": "see MLFLOW_TRACKING_URI, which names the server or a local store",
}


def missing(name: str) -> str | None:
    """Explain why a tracker cannot be used. None: it can."""
    spec = importlib.util.find_spec(name)
    # Its own directory ./wandb looks like a package, but has no file of one.
    if spec is None or spec.origin is None:
        return f"--track {name}: expected the package {name}, found none: pip install {name}"
    try:
        importlib.import_module(name)
    except Exception as error:  # a broken package's own
        return (
            f"--track {name}: the package {name} cannot be imported ({in_short(error)}); "
            f"pip install --upgrade --force-reinstall {name} mends it"
        )
    return None


class Tracking:
    """Send a run's scalars to a tracker, in a thread.

    A context manager. Its end is that of the run there.

    id : of the run there

    Unless ``finished`` was called the run there is one that was stopped, and of an exception one
    that failed.
    """

    def __init__(self, tracker: Tracker, name: str, warn: Warn) -> None:
        self.id, self._status = tracker.id, STOPPED
        self._tracker, self._name, self._warn = tracker, name, warn
        self._queue: SimpleQueue[tuple[int, Mapping[str, float]] | str] = SimpleQueue()
        self._failure: Exception | None = None
        self._told = False
        self._thread = threading.Thread(target=self._send, name=f"track {name}", daemon=True)
        self._thread.start()

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Hand scalars over, and return at once."""
        self._queue.put((step, scalars))
        self._tell()

    def finished(self) -> None:
        """Note that the run has come to its own end."""
        self._status = FINISHED

    def close(self, status: str) -> None:
        """Send what is left, for some seconds at most."""
        self._queue.put(status)
        self._thread.join(CLOSE_SECONDS)
        self._tell()
        if self._thread.is_alive():
            self._warn(
                f"--track {self._name}: does not answer; what came after its last answer is only "
                "in metrics.csv"
            )

    def _tell(self) -> None:
        """Report the first failure, in the thread of the caller."""
        if self._failure is not None and not self._told:
            self._told = True
            reason = " ".join(str(self._failure).split()) or type(self._failure).__name__
            self._warn(
                f"--track {self._name}: {reason}; training goes on, and metrics.csv has every row"
            )

    def _send(self) -> None:
        while True:
            item = self._queue.get()
            try:
                if isinstance(item, str):
                    self._tracker.close(item)
                else:
                    self._tracker.log(*item)
            except Exception as error:  # a service's own, of any kind
                self._failure = self._failure or error
            if isinstance(item, str):
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(self._status if error is None else FAILED)


def track(run: Run, name: str) -> Tracking:
    """Begin to track a run, or go on with it where it was tracked before.

    name : of ``TRACKERS``

    Raises RunError, with the service's own reason.
    """
    ids = _read_ids(run.directory)
    with _explained(name):
        tracker = TRACKERS[name](run.directory, run.config.flat(), ids.get(name))
    with contextlib.suppress(OSError):  # a full disk: a resumed run begins another one there
        text = json.dumps({**ids, name: tracker.id}) + "\n"
        write_atomically(run.directory / _IDS, text.encode())
    tracking = Tracking(tracker, name, run.warn)
    run.listeners.append(tracking.log)
    return tracking


def prepare(name: str) -> None:
    """Prepare a service for several runs that begin at once.

    Raises RunError, with the service's own reason.
    """
    with _explained(name):
        TRACKERS[name].prepare()


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a service's own, of any kind
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"--track {name}: cannot begin: {reason}; {_HELP[name]}") from error


def _read_ids(directory: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(read_regular(directory / _IDS, 1 << 20))
        if isinstance(found, dict):
            return found
    return {}
