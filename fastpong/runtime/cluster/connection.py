"""The connection of this process to Ray, of which there is one at most.

A Ray of our own listens on this machine alone, asks for a token that nobody else has, and keeps its
files in a directory that goes with it. Its processes end with ours, however that ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import fastpong
from fastpong.extras import how_to_install
from fastpong.runtime.cluster import leftovers
from fastpong.runtime.cluster.address import OWN_RAY, endpoint, is_outside
from fastpong.runtime.cluster.signs import Signs
from fastpong.runtime.pool import WorkerError

CONNECT_SECONDS = 5.0
"""For an address to answer, and again for it to speak Ray's protocol."""

STARTS = 3
"""Of a Ray of our own. It gives itself half a minute, which a busy machine may exceed."""

_RECONNECT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "600"}
"""Seconds after which Ray ends a process whose cluster's head is gone. A learner may take longer
than the usual 60 for an update, and ends by itself: see ``signs``."""

_INLINE = {"RAY_max_direct_call_object_size": "1000000"}
"""Bytes up to which a result travels in the answer itself, and not by way of the object store.
Ray's 100,000 are less than an episode."""

_HINT = (
    "; HOST:PORT is what ray start --head prints, ray://HOST:10001 is for Ray Client, a cluster "
    "that asks for a token needs RAY_AUTH_MODE=token here, too: see docs/cluster.md"
)

_STORE_BYTES = 512 * 2**20


class Connection:
    """Be connected to Ray until ``close``.

    pool : "ray" for a Ray of our own with so many ``cpus``, else an address, see ``address``

    ray : the module

    Raises WorkerError without Ray, for an address where no cluster answers, and for a cluster with
    other versions. Waits for seconds, and not for ever.
    """

    def __init__(self, pool: str, cpus: int = 1) -> None:
        self._before: dict[str, str | None] = {}
        self._set_environment(_unless_set(_RECONNECT | _INLINE))  # the import reads them
        try:
            self.ray = _import_ray(pool)
        finally:
            self._restore_environment()
        if self.ray.is_initialized():
            raise WorkerError(
                f"pool {pool}: expected a process without Ray, got one that is connected already; "
                "close the other training, or call ray.shutdown() first"
            )
        self._signs: Signs | None = None
        self._directory: Path | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        logging.getLogger("ray").setLevel(logging.ERROR)
        try:
            with _own_handlers():
                self._open(pool, cpus)
        except BaseException as error:
            self.close()
            if isinstance(error, WorkerError) or not isinstance(error, Exception):
                raise
            hint = "" if pool == OWN_RAY else _HINT
            raise WorkerError(f"pool {pool}: {_reason(error)}{hint}") from error

    def _open(self, pool: str, cpus: int) -> None:
        if pool == OWN_RAY:
            self._open_own(cpus)
        else:
            _require_answer(pool)
            self.ray.init(address=pool, log_to_driver=False, logging_level=logging.ERROR)
        # Errors of other machines, a screen each, which Ray prints whatever it is told.
        self.ray._private.worker._worker_logs_enabled = False
        self._signs = Signs(self.ray, outside=is_outside(pool))

    def _open_own(self, cpus: int) -> None:
        leftovers.sweep()
        home = str(Path(fastpong.__file__).parents[1])  # of a checkout, no path has it
        self._set_environment(
            {
                **_unless_set(_INLINE),
                "RAY_AUTH_TOKEN": _token(),
                "RAY_USAGE_STATS_ENABLED": "0",
                "PYTHONSAFEPATH": "1",
                "PYTHONPATH": os.pathsep.join(
                    [*(path or str(Path.cwd()) for path in sys.path), home]
                ),
            }
        )
        for left in reversed(range(STARTS)):
            self._directory = leftovers.make_directory()
            self._watcher = leftovers.watch(self._directory)
            try:
                self._start(cpus)
                return
            except Exception:
                if not left:
                    raise
                self._end()

    def _start(self, cpus: int) -> None:
        self.ray.init(
            address="local",
            num_cpus=cpus,
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(self._directory),
        )

    def _end(self) -> None:
        """Disconnect, and end a Ray of our own, or a part of it that has started."""
        if self._signs is not None:
            self._signs.close()
            self._signs = None
        with contextlib.suppress(Exception):
            self.ray.shutdown()
        self.ray._private.worker._worker_logs_enabled = True
        if self._directory is not None and self._watcher is not None:
            leftovers.remove(self._directory)
            self._directory = None
            self._watcher.kill()  # nothing is left to it
            self._watcher.communicate()

    def put(self, value: object) -> Any:
        """Put something into the object store, and return its reference.

        Raises WorkerError where Ray would end this process.
        """
        self.signs.require_agent()
        return self.ray.put(value)

    @property
    def signs(self) -> Signs:
        """Return the cluster's signs of life."""
        assert self._signs is not None
        return self._signs

    def _set_environment(self, values: dict[str, str]) -> None:
        names = {*values, "RAY_AUTH_MODE"}  # this one Ray sets itself
        self._before = {name: os.environ.get(name) for name in names}
        os.environ.update(values)

    def _restore_environment(self) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._before = {}

    def close(self) -> None:
        """Disconnect, and end a Ray of our own.

        May be called again.
        """
        with _own_handlers():
            self._end()
        self._restore_environment()


def _unless_set(settings: dict[str, str]) -> dict[str, str]:
    """Return settings of Ray, with the environment's values for those that it has."""
    return {name: os.environ.get(name, value) for name, value in settings.items()}


@cache
def _token() -> str:
    """Return a secret of this process, which Ray reads once."""
    return secrets.token_hex(32)


def _import_ray(pool: str) -> Any:
    """Import Ray. Raises WorkerError where it is not installed."""
    try:
        import grpc  # noqa: F401  # of ray[client]
        import ray
    except ImportError as error:
        raise WorkerError(
            f"pool {pool}: expected Ray to be installed, but {error}; {how_to_install('ray')}"
        ) from error
    return ray


def _require_answer(pool: str) -> None:
    """Raise WorkerError where no Ray answers: itself it would try for minutes."""
    import grpc

    try:
        socket.create_connection(endpoint(pool), CONNECT_SECONDS).close()
        if os.environ.get("RAY_USE_TLS", "0") in ("0", ""):
            with grpc.insecure_channel(pool.removeprefix("ray://")) as channel:
                grpc.channel_ready_future(channel).result(CONNECT_SECONDS)
    except (OSError, grpc.FutureTimeoutError) as error:
        strange = "something that is no Ray"
        got = strange if not isinstance(error, OSError) else error.strerror or error
        raise WorkerError(
            f"pool {pool}: expected a Ray cluster to answer there, got: {got}; "
            "start one by ray start --head, and see docs/cluster.md"
        ) from error


def _reason(error: Exception) -> str:
    """Return what Ray complains of, in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"cannot connect to Ray: {text}"


@contextlib.contextmanager
def _own_handlers() -> Iterator[None]:
    """Keep our handlers of signals, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
