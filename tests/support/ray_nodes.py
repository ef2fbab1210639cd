"""The nodes of a Ray cluster on this machine."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

import psutil
import ray
from ray.cluster_utils import Cluster

STORE = 80 * 2**20


class Nodes:
    """A head without CPUs, and nodes of one CPU each."""

    def __init__(self) -> None:
        self.outside = f"ray://127.0.0.1:{_free_port()}"
        port = int(self.outside.rpartition(":")[2])
        options = {
            "num_cpus": 0,
            "ray_client_server_port": port,
            "include_dashboard": False,
            "object_store_memory": STORE,
        }
        self._cluster = _patiently(lambda: Cluster(initialize_head=True, head_node_args=options))
        self._nodes: list[Any] = []

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def want(self, count: int) -> None:
        """Add or kill nodes until there are so many."""
        while len(self._nodes) > count:
            self.kill()
        while len(self._nodes) < count:
            self.add()

    def add(self, **options: Any) -> None:
        options = {"num_cpus": 1, "object_store_memory": STORE} | options
        self._nodes.append(_patiently(lambda: self._cluster.add_node(**options)))

    @property
    def count(self) -> int:
        return len(self._nodes)

    def kill(self) -> None:
        """Kill the oldest node's processes, without a word."""
        self._cluster.remove_node(self._nodes.pop(0), allow_graceful=False)

    def workers(self) -> list[psutil.Process]:
        """Return the processes of actors, of all nodes."""
        raylets = [node.all_processes["raylet"][0].process.pid for node in self._nodes]
        found = []
        for pid in raylets:
            for child in psutil.Process(pid).children(recursive=True):
                if any("RayWorker" in word for word in child.cmdline()[:1]):
                    found.append(child)
        return found

    def close(self) -> None:
        if ray.is_initialized():
            ray.shutdown()
        self._cluster.shutdown()


def _patiently(start: Callable[[], Any]) -> Any:
    """Start a node, which gives itself half a minute: too little on a busy machine."""
    for _ in range(3):
        with contextlib.suppress(Exception):
            return start()
    return start()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def until(condition: Any, patience: float = 60.0) -> Any:
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, "what the test waits for did not happen"
        time.sleep(0.02)
    return value
