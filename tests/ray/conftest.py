"""A Ray cluster of several nodes on this machine, all real."""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Ray reads these when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))
# Ray gives way to all else, which on a busy machine takes minutes.
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "120")
# Ray waits half a minute before it takes a silent node for dead.
os.environ.setdefault("RAY_health_check_period_ms", "500")
os.environ.setdefault("RAY_health_check_failure_threshold", "4")


@pytest.fixture(scope="session")
def nodes() -> Iterator[Any]:
    """Return a head without CPUs, to which tests add nodes."""
    import ray_nodes

    from fastpong.runtime.cluster import leftovers

    directory = tempfile.mkdtemp(prefix="frt-", dir="/tmp")  # its sockets have long names
    support = str(Path(__file__).parents[1] / "support")  # actors import players of tests
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", directory)
        patch.setenv("PYTHONPATH", support)
        try:
            nodes = ray_nodes.Nodes()
            yield nodes
            nodes.close()
        finally:
            leftovers.remove(Path(directory))


@pytest.fixture
def nothing_is_left(nodes: Any) -> Iterator[None]:
    """See that a test leaves no actor, no connection and no thread."""
    import ray
    from waiting import until

    from fastpong.runtime.cluster.signs import NAME

    yield
    assert until(lambda: not nodes.workers())
    assert not ray.is_initialized()
    assert NAME not in {thread.name for thread in threading.enumerate()}
