"""The nodes of a Ray cluster on this machine."""

from __future__ import annotations

import contextlib
import socket
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
        """Kill the oldest node's processes at once, without a word.

        A worker whose raylet alone is killed plays on for a second.
        """
        node = self._nodes.pop(0)
        for process in [*_children(node), *_processes(node, "raylet")]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._cluster.remove_node(node, allow_graceful=False)

    def kill_head(self, *names: str) -> None:
        """Kill processes of the head: "gcs_server", "raylet"."""
        for name in names:
            for process in _processes(self._cluster.head_node, name):
                process.kill()

    def workers(self) -> list[psutil.Process]:
        """Return the processes of actors, of all nodes."""
        return [child for node in self._nodes for child in _children(node, "RayWorker")]

    def close(self) -> None:
        if ray.is_initialized():
            ray.shutdown()
        self._cluster.shutdown()


def _processes(node: Any, name: str) -> list[psutil.Process]:
    return [psutil.Process(each.process.pid) for each in node.all_processes.get(name, [])]


def _children(node: Any, word: str = "") -> list[psutil.Process]:
    """Return the processes of a node's raylet with a word in their name."""
    found = []
    for raylet in _processes(node, "raylet"):
        for child in raylet.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if word in "".join(child.cmdline()[:1]):
                    found.append(child)
    return found


def _patiently(start: Callable[[], Any]) -> Any:
    """Start a node, which gives itself half a minute: too little on a busy machine."""
    here = psutil.Process()
    for left in reversed(range(4)):
        before = here.children()
        try:
            return start()
        except Exception:
            for process in here.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if not {process, *process.parents()} & {*before}:
                        process.kill()
            if not left:
                raise


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def ready(pool: Any) -> int:
    """Return the number of actors to give tasks to, after a look at them."""
    pool.serve(0.1)
    assert pool._failure is None
    return len(pool._crew.ready)
