"""Signs of life of a cluster, for Ray ends the process that waits for one in vain.

A. Ray does not answer how many CPUs there are while the cluster's head is gone. So a thread asks.
B. Ray's agent of this machine, the raylet, is noticed to be gone before Ray is used again: by that
   it would end this process at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from fastpong.runtime.parent import hung_up
from fastpong.runtime.pool import WorkerError

NAME = "fastpong-signs"
"""Of the thread."""

ASK_SECONDS = 1.0
"""Between two questions to the cluster's head."""


class Signs:
    """Ask a cluster for signs of life until ``close``.

    ray     : the module, connected
    outside : whether by Ray Client, which has no agent on this machine

    cpus    : of the cluster, when it answered last
    answers : how often it did
    """

    def __init__(self, ray: Any, outside: bool) -> None:
        self._ray = ray
        self.cpus, self.answers = self._ask(), 1
        self._agent = None if outside else _agent(ray)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name=NAME, daemon=True)
        self._thread.start()

    def require_agent(self) -> None:
        """Raise WorkerError once the agent of this machine is gone."""
        if self._agent is not None and hung_up(self._agent.fileno()):
            raise WorkerError(
                "expected Ray to run on this machine, but its raylet has ended; go on by --resume"
            )

    def close(self) -> None:
        """Ask no more."""
        self._over.set()
        self._thread.join(ASK_SECONDS)  # it waits for ever for a head that is gone
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    def _ask(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    def _work(self) -> None:
        while not self._over.wait(ASK_SECONDS):
            with contextlib.suppress(Exception):
                self.cpus = self._ask()
                self.answers += 1


def _agent(ray: Any) -> socket.socket:
    """Return a connection to the raylet of this machine, which hangs up when that ends."""
    here = ray.get_runtime_context().get_node_id()
    node = next(node for node in ray.nodes() if node["NodeID"] == here)
    agent = socket.socket(socket.AF_UNIX)
    try:
        agent.connect(node["RayletSocketName"])
    except OSError:
        agent.close()
        raise
    return agent
